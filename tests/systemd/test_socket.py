# SPDX-License-Identifier: MIT
"""The socket: who may use it, and what a client sees while the daemon is not there."""

import json
import stat
import os

from machine import *


def test_the_first_submit_starts_the_daemon(m):
    """A client that connects while the service is down starts it, and is answered."""
    m.systemctl("stop", SERVICE)
    assert m.is_active() == "inactive" and m.is_active(SOCKET) == "active"
    assert m.call("celsius", {"fahrenheit": 212})["celsius"] == 100
    assert m.is_active() == "active"


def test_a_member_submits_and_waits(m):
    """A user of the group brood submits, waits and sees its job."""
    job = m.submit("echo", {"x": "mine"})
    m.ctl("wait", job)
    shown = m.get(job)
    assert shown["state"] == "succeeded" and shown["result"] == {"x": "mine"}
    assert job in m.ctl("list").out


def test_a_stranger_is_refused(m):
    """A user who is not in the group cannot connect, and is told so; root can."""
    mode = os.stat(m.path("/run/brood/brood.sock"))
    assert stat.S_IMODE(mode.st_mode) == 0o660 and mode.st_uid == 0
    done = m.ctl("submit", "celsius", '{"fahrenheit":1}', user="stranger", status=3)
    assert "Permission denied" in done.err and "/run/brood/brood.sock" in done.err, done.err
    assert not done.out
    for verb in ["list"], ["status"], ["workers"], ["reload"]:
        m.ctl(*verb, user="stranger", status=3)
    assert json.loads(m.ctl("submit", "--wait", "celsius", '{"fahrenheit":32}',
                            user="root").out)["celsius"] == 0


def test_jobs_run_as_the_account_of_the_service(m):
    """A command is not root, not the one who submitted it, and not the daemon: it neither reads the
    queue nor operates."""
    assert m.shell("id -un")["stdout"].strip() == "brood-worker"
    for command in ("cat /var/lib/brood/brood.db", "ls /var/lib/brood", "cat /etc/brood/brood.conf",
                    "broodctl list", "broodctl reload", "broodctl pause exec"):
        done = m.shell(command)
        assert done["exit_status"] != 0, (command, done)

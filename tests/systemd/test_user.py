# SPDX-License-Identifier: MIT
"""A user's own broodd, under systemctl --user."""

import json

from machine import *

USER = "member"


def systemctl(m, *args, **kwargs):
    return m.as_user(USER, "systemctl", "--user", *args, **kwargs)


def ctl(m, *args, **kwargs):
    return m.as_user(USER, "broodctl", "--user", *args, **kwargs)


def show(m, property):
    return systemctl(m, "show", "-P", property, SERVICE).out.strip()


def begin(m):
    """The user's config, and the socket."""
    m.run("install", "-d", "-o", USER, "-g", USER, "/home/member/.config",
          "/home/member/.config/brood", "/home/member/.config/brood/pools")
    m.write("/home/member/.config/brood/pools/mine.pool", DIAG)
    m.write("/home/member/.config/brood/pools/exec.pool", "[Pool]\nBuiltin=exec\n")
    systemctl(m, "enable", "--now", SOCKET)


def test_a_submit_starts_the_users_own_daemon(m):
    """The user's socket starts it on the first submit, with the user's config, store and rights."""
    begin(m)
    assert show(m, "ActiveState") == "inactive"
    assert json.loads(ctl(m, "submit", "--wait", "echo", '{"x": 1}').out) == {"x": 1}
    assert show(m, "ActiveState") == "active"
    out = ctl(m, "submit", "--wait", "exec", '{"argv": ["/bin/sh", "-c", "id -un; pwd"]}').out
    assert json.loads(out)["stdout"].split()[0] == USER
    assert m.exists("/home/member/.local/state/brood/brood.db")
    assert "2 of 2 pools" in show(m, "StatusText"), show(m, "StatusText")
    m.as_user("colleague", "broodctl", "--socket=/run/user/%s/brood/brood.sock"
              % m.run("id", "-u", USER).out.strip(), "status", status=3)


def test_it_is_stopped_and_starts_again(m):
    """stop lets the running job finish and keeps the others; the next client starts it."""
    begin(m)
    running = [ctl(m, "submit", "sleep", '{"seconds": 1}').out.strip() for _ in range(2)]
    until(lambda: "running" in ctl(m, "get", running[1]).out, "it runs")
    queued = ctl(m, "submit", "echo", '{"x": 2}').out.strip()
    systemctl(m, "stop", SERVICE)
    assert show(m, "ActiveState") == "inactive" and show(m, "Result") == "success"
    ctl(m, "wait", queued, *running)
    assert show(m, "ActiveState") == "active"
    job, = [json.loads(line) for line in ctl(m, "get", "--json", running[0]).out.splitlines()]
    assert job.get("job", job)["state"] == "succeeded"


def test_it_is_restarted_after_a_kill_and_reloads(m):
    """kill -9: it is back, and the queue with it; reload takes a new pool, or fails."""
    begin(m)
    job = ctl(m, "submit", "echo", '{"x": 3}', "--delay=1s").out.strip()
    systemctl(m, "kill", "--signal=KILL", "--kill-who=main", SERVICE)
    ctl(m, "wait", job)
    assert show(m, "NRestarts") == "1"
    m.write("/home/member/.config/brood/pools/celsius.pool", "[Pool]\nModule=celsius.so\n")
    systemctl(m, "reload", SERVICE)
    out = ctl(m, "submit", "--wait", "celsius", '{"fahrenheit": 32}').out
    assert json.loads(out)["celsius"] == 0
    m.write("/home/member/.config/brood/pools/celsius.pool", "[Pool]\nNonsense=\n")
    assert systemctl(m, "reload", SERVICE, status=None).status != 0
    ctl(m, "submit", "--wait", "celsius", '{"fahrenheit": 32}')


def test_a_recurring_job_of_a_user(m):
    """brood-submit@ works for a user's daemon, too."""
    begin(m)
    m.write("/home/member/.config/brood/recurring/mine.conf",
            "HANDLER=echo\nARGS='{\"tick\": 1}'\nOPTIONS=--tag=mine\n")
    systemctl(m, "start", "brood-submit@mine.service")
    until(lambda: "succeeded" in ctl(m, "list", "--tag=mine").out, "the job is done")

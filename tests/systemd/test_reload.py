# SPDX-License-Identifier: MIT
"""systemctl reload."""

from machine import *

MORE = """[Pool]
Handlers=fail
Module=diag.so
MinWorkers=1
SpareWorkers=0
"""
LESS = DIAG.replace("Module=", "Handlers=echo sleep\nModule=")


def test_reload_takes_a_good_config(m):
    """A new pool serves when systemctl reload returns; the main process is the same."""
    m.pool("diag", LESS)
    m.restart()
    m.ctl("submit", "fail", '{"message": "x"}', status=4)
    m.pool("more", MORE)
    pid = m.main_pid()
    running = m.submit("sleep", {"seconds": 1})
    m.await_job(running, "running")
    m.systemctl("reload", SERVICE)
    done = m.ctl("submit", "--wait", "fail", '{"message": "as told", "retry": false}', status=1)
    assert "as told" in done.err
    assert m.main_pid() == pid and m.is_active() == "active"
    ended = m.await_job(running, "succeeded")
    assert len(ended["attempts"]) == 1


def test_reload_refuses_a_bad_config(m):
    """systemctl reload fails, the old config serves on, and the journal says file and line."""
    pid = m.main_pid()
    m.pool("diag", DIAG + "\n\nMinWorkers=many\n")
    done = m.systemctl("reload", SERVICE, status=None)
    assert done.status != 0, done
    until(lambda: m.is_active() == "active", "it is active again")
    assert m.main_pid() == pid
    entry = m.await_message(r"diag\.pool:7:", "-u", SERVICE)
    assert "MinWorkers" in entry["MESSAGE"]
    assert m.call("echo", {"x": 1}) == {"x": 1}
    assert "diag.pool" in m.show("StatusText"), m.show("StatusText")
    m.pool("diag", DIAG)
    m.systemctl("reload", SERVICE)
    until(lambda: "diag.pool" not in m.show("StatusText"), "STATUS speaks of it no more")


# Fork servers that do not begin while a file is there.
HELD = """#!/bin/sh
while [ -e /etc/brood/hold ]; do sleep 0.05; done
exec /usr/libexec/brood/brood-forkserver "$@"
"""


def test_the_state_is_reloading_meanwhile(m):
    """While a reload goes on, systemd knows it: RELOADING=1, then READY=1."""
    m.write("/usr/local/lib/brood-test/libexec/brood-forkserver", HELD, 0o755)
    m.drop_in("[Service]\nEnvironment=BROOD_LIBEXEC=/usr/local/lib/brood-test/libexec\n")
    m.restart()
    m.write("/etc/brood/hold", "")
    m.pool("more", MORE.replace("fail", "leak"))
    m.pool("diag", LESS)
    reload = m.begin("systemctl", "reload", SERVICE)
    until(lambda: m.is_active() == "reloading", "it is reloading")
    m.run("rm", "/etc/brood/hold")
    assert reload.wait(timeout=20) == 0
    until(lambda: m.is_active() == "active", "it is active again")
    assert m.call("echo", {"x": 1}) == {"x": 1}


def test_a_hangup_signal_reloads(m):
    """SIGHUP is a reload, too, of which systemd hears the end."""
    m.pool("more", MORE.replace("fail", "leak"))
    m.pool("diag", LESS)
    m.kill_main("HUP")
    until(lambda: "more" in m.ctl("pools").out, "the new pool serves")
    until(lambda: m.is_active() == "active", "it is active")

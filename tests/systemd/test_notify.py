# SPDX-License-Identifier: MIT
"""What systemd is told: READY=, STATUS=, ERRNO=."""

import errno
import os
import re
import time

from machine import *


def figures(text):
    """{"queued": 5, …} of "jobs: 5 queued, …"."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (queued|running|done)", text)}


def test_status_has_live_figures(m):
    """systemctl status shows what the daemon does now: queued, running and done jobs."""
    for n in range(4):
        m.call("echo", {"n": n})
    running = [m.submit("sleep", {"seconds": 6}) for _ in range(2)]
    for job in running:
        m.await_job(job, "running")
    for n in range(5):
        m.submit("echo", {"n": n})
    until(lambda: figures(m.show("StatusText")) == {"queued": 5, "running": 2, "done": 4},
          lambda: "5 queued, 2 running, 4 done, but: " + m.show("StatusText"))
    shown = m.systemctl("status", "--no-pager", SERVICE).out
    assert re.search(r"Status: \".*\b5 queued\b.*\"", shown), shown
    for job in running:
        m.await_job(job, "succeeded")
    until(lambda: figures(m.show("StatusText")) == {"queued": 0, "running": 0, "done": 11},
          lambda: "11 done, but: " + m.show("StatusText"))


def test_ready_waits_for_the_minimum_of_each_pool(m):
    """systemctl start returns when every pool has its workers, and not before."""
    m.pool("slow", SLOW % 1.5)
    m.systemctl("stop", SERVICE)
    began = time.monotonic()
    m.start()
    took = time.monotonic() - began
    assert took >= 1.4, took
    ready = [w for w in m.worker_list("slow") if w["state"] == "idle"]
    assert len(ready) == 2, m.worker_list("slow")


def test_a_pool_that_cannot_start_does_not_keep_the_others(m):
    """With a pool that never has a worker it is active all the same, and STATUS names the pool."""
    m.pool("lame", "[Pool]\nHandlers=nothing\nCommand=/bin/false\nMinWorkers=2\n"
           "SpareWorkers=0\n")
    m.systemctl("stop", SERVICE)
    m.start()
    assert m.is_active() == "active"
    assert m.call("echo", {"x": 1}) == {"x": 1}
    assert "lame" in m.show("StatusText"), m.show("StatusText")


def test_a_bad_config_is_not_started(m):
    """The start fails at once, the journal says file and line, and after some tries it stays so."""
    m.write("/etc/brood/brood.conf", "[Daemon]\n\nStopTimeout=soon\n")
    done = m.systemctl("restart", SERVICE, status=None, seconds=20)
    assert done.status != 0
    m.await_message(r"brood\.conf:3:.*StopTimeout", "-u", SERVICE)
    m.await_state("failed", seconds=20)
    m.write("/etc/brood/brood.conf", "")
    m.systemctl("reset-failed", SOCKET, SERVICE)
    m.systemctl("start", SOCKET, SERVICE)
    assert m.call("echo", {"x": 1}) == {"x": 1}


def test_a_start_that_fails_says_its_errno(m):
    """A store that cannot be read: systemctl status has the errno, and the reason in words."""
    m.drop_in("[Service]\nRestart=no\n")
    m.systemctl("stop", SERVICE)
    for file in os.listdir(m.path("/var/lib/brood")):
        if file.startswith("brood.db-"):
            os.unlink(m.path("/var/lib/brood/" + file))
    m.write("/var/lib/brood/brood.db", "this is no database " * 500)
    assert m.systemctl("start", SERVICE, status=None).status != 0
    assert m.show("StatusErrno") == str(errno.EBADMSG), m.show("StatusErrno")
    assert "brood.db" in m.show("StatusText"), m.show("StatusText")
    m.await_message("brood.db.*not a database", "-u", SERVICE)


def test_only_the_supervisor_speaks_for_the_service(m):
    """A command cannot tell systemd anything, and gets no socket to do so."""
    m.call("echo")
    done = m.shell("systemd-notify --ready --status='all is lost'; echo $NOTIFY_SOCKET; "
                   "NOTIFY_SOCKET=/run/systemd/notify systemd-notify --status='all is lost'")
    assert done["stdout"].strip() == "", done
    m.run("sleep", "0.3")
    assert "lost" not in m.show("StatusText")

# SPDX-License-Identifier: MIT
"""systemctl stop: what runs may finish, what waits is kept."""

import time

from machine import *


def test_stop_drains(m):
    """The running job is finished, the durable ones that wait run after the next start."""
    running = [m.submit("sleep", {"seconds": 5}) for _ in range(2)]
    for job in running:
        m.await_job(job, "running")
    queued = [m.submit("echo", {"n": n}) for n in range(5)]
    asked = time.time()
    m.systemctl("stop", SERVICE)
    assert m.is_active() == "inactive" and m.show("Result") == "success" and not m.processes()
    assert m.exists("/run/brood/brood.sock")
    m.start()
    for job in running:
        ended = m.get(job)
        assert ended["state"] == "succeeded" and len(ended["attempts"]) == 1, ended
        assert ended["ended_usec"] > asked * 1e6, ended
    for n, job in enumerate(queued):
        assert m.await_job(job, "succeeded")["result"] == {"n": n}


def test_stop_ends_what_takes_too_long(m):
    """A job that goes on for longer than StopTimeout= is ended, and tried again after the start."""
    m.write("/etc/brood/brood.conf", "[Daemon]\nStopTimeout=1s\n")
    m.pool("diag", DIAG + "KillAfter=500ms\n")
    m.restart()
    job = m.submit("sleep", {"seconds": 100}, "--max-attempts=5")
    command = m.submit_shell("trap '' TERM; sleep 1001", "--max-attempts=1", "--timeout=50s")
    m.await_job(job, "running")
    m.await_job(command, "running")
    began = time.monotonic()
    m.systemctl("stop", SERVICE)
    took = time.monotonic() - began
    assert 0.9 < took < 15, took
    assert m.show("Result") == "success" and not m.processes(), m.show("Result")
    m.start()
    again = m.await_job(job, "running")
    assert again["attempts"][0]["outcome"] == "shutdown", again
    m.ctl("cancel", "--force", job)


def test_stop_asks_for_more_time(m):
    """StopTimeout= longer than TimeoutStopSec=: systemd is told, and the job is finished."""
    m.drop_in("[Service]\nTimeoutStopSec=1500ms\n")
    m.restart()
    job = m.submit("sleep", {"seconds": 5}, "--max-attempts=1")
    m.await_job(job, "running")
    stop = m.begin("systemctl", "stop", SERVICE)
    until(lambda: m.is_active() == "deactivating", "it stops")
    until(lambda: "topping" in m.show("StatusText"), lambda: "STATUS says that it stops, but: "
          + m.show("StatusText"))
    assert stop.wait(timeout=20) == 0
    assert m.show("Result") == "success"
    m.start()
    ended = m.get(job)
    assert ended["state"] == "succeeded" and len(ended["attempts"]) == 1, ended


def test_a_poweroff_keeps_the_queue(m):
    """Both units stopped, as at a shutdown: the store has every job at the next start."""
    jobs = [m.submit("echo", {"n": n}, "--delay=1s") for n in range(3)]
    m.systemctl("stop", SOCKET, SERVICE)
    assert not m.exists("/run/brood/brood.sock")
    m.ctl("status", status=3)
    m.start(SOCKET)
    for n, job in enumerate(jobs):
        assert m.await_job(job, "succeeded")["result"] == {"n": n}

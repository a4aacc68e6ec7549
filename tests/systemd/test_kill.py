# SPDX-License-Identifier: MIT
"""The supervisor is killed, or stands still: nothing is left of it, and nothing is lost."""

import os

from machine import *

# A command with a child, one that has detached itself twice, and one that ignores SIGTERM.
STUBBORN = """
trap '' TERM INT HUP
sleep 1001 &
setsid sh -c 'setsid sh -c "trap : TERM; exec sleep 1002" & exec sleep 1003' &
setsid setsid sh -c 'trap "" TERM HUP; while :; do sleep 1004; done' >/dev/null 2>&1 &
echo started
wait
sleep 1005
"""


def busy(m):
    """Commands with stubborn children and handlers run, and jobs wait. Returns their ids."""
    running = [m.submit_shell(STUBBORN, "--max-attempts=1"),
               m.submit("sleep", {"seconds": 1.5}, "--max-attempts=3"),
               m.submit("sleep", {"seconds": 1.5}, "--max-attempts=3")]
    for job in running:
        m.await_job(job, "running")
    until(lambda: sum("sleep 100" in line for line in m.command_lines()) >= 4,
          "the command's children run")
    queued = [m.submit("echo", {"n": n}) for n in range(5)]
    return running, queued


def check_finished(m, running, queued):
    """The jobs that waited are done, those that ran tell that their supervisor died."""
    for n, job in enumerate(queued):
        assert m.await_job(job, "succeeded", seconds=20)["result"] == {"n": n}
    job = m.await_job(running[0], "failed")
    assert [a["outcome"] for a in job["attempts"]] == ["supervisor_died"], job
    for job in running[1:]:
        job = m.await_job(job, "succeeded", seconds=20)
        assert [a["outcome"] for a in job["attempts"]] == ["supervisor_died", "succeeded"], job


def test_kill_leaves_nothing_and_loses_nothing(m):
    """kill -9 of the supervisor: it is back at once, nothing of before lives, no job is lost."""
    running, queued = busy(m)
    old, pids = m.main_pid(), m.processes()
    assert len(pids) > 10
    m.kill_main("KILL")
    m.await_new_main(old, seconds=5)
    until(lambda: not [p for p in pids if os.path.exists("/proc/%d" % p)],
          lambda: "the processes of before are gone: %s" % [
              command_line(p) for p in pids if os.path.exists("/proc/%d" % p)], 5)
    assert m.show("NRestarts") == "1"
    check_finished(m, running, queued)
    assert m.call("celsius", {"fahrenheit": 32})["celsius"] == 0


def test_kill_without_a_restart_leaves_an_empty_group(m):
    """The same where systemd does not start it again: the unit's control group ends empty."""
    m.drop_in("[Service]\nRestart=no\n")
    m.restart()
    running, queued = busy(m)
    m.kill_main("KILL")
    m.await_state("failed")
    until(lambda: not m.processes(), lambda: "nothing left, but %s" % m.command_lines(), 5)
    m.systemctl("reset-failed", SERVICE)
    m.start()
    check_finished(m, running, queued)


def test_the_watchdog_catches_a_supervisor_that_stands_still(m):
    """A SIGSTOPped supervisor is ended and started again; the queue is as it was."""
    m.drop_in("[Service]\nWatchdogSec=1s\nRestartSec=0\n")
    m.restart()
    running, queued = busy(m)
    old, pids = m.main_pid(), m.processes()
    m.kill_main("STOP")
    m.await_new_main(old, seconds=8)
    m.await_message("Watchdog timeout", "UNIT=" + SERVICE)
    until(lambda: not [p for p in pids if os.path.exists("/proc/%d" % p)],
          "the processes of before are gone", 5)
    check_finished(m, running, queued)


def test_the_watchdog_leaves_a_busy_supervisor_alone(m):
    """Under load and while nothing happens there is a sign of life in time, and not too many."""
    m.drop_in("[Service]\nWatchdogSec=1s\n")
    m.restart()
    pid = m.main_pid()
    m.ctl("bench", "throughput", "--json", status=None, seconds=40)
    m.run("sleep", "2.5")
    assert m.main_pid() == pid and m.show("NRestarts") == "0"


def test_the_watchdog_sees_a_pool_that_does_nothing(m):
    """WatchdogPool=: no job gets through that pool, so the supervisor is started again."""
    m.write("/etc/brood/brood.conf", "[Daemon]\nWatchdogPool=diag\n")
    m.drop_in("[Service]\nWatchdogSec=1s\nRestartSec=0\n")
    m.restart()
    m.run("sleep", "2.5")
    assert m.show("NRestarts") == "0"
    old = m.main_pid()
    for pid in m.workers("diag"):
        m.run("kill", "-STOP", str(pid))
    m.await_new_main(old, seconds=10)
    m.await_message("Watchdog timeout", "UNIT=" + SERVICE)
    assert m.call("echo", {"x": 1}) == {"x": 1}

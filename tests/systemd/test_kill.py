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


# Runs for ever the first time, and ends at once the next.
ONCE = "mkdir /var/lib/brood-worker/ran || exit 0; sleep 1006"


def busy(m):
    """Commands with stubborn children and handlers run, and jobs wait. Returns their ids."""
    commands = [m.submit_shell(STUBBORN, "--max-attempts=1"),
                m.submit_shell(ONCE, "--max-attempts=3")]
    sleeping = [m.submit("sleep", {"seconds": 1000}, "--max-attempts=3") for _ in range(2)]
    for job in commands + sleeping:
        m.await_job(job, "running")
    until(lambda: {"sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "sleep 1006"}
          <= set(m.command_lines()), "the commands' children run")
    queued = [m.submit("echo", {"n": n}) for n in range(5)]
    return commands, sleeping, queued


def outcomes(job):
    return [attempt.get("outcome") for attempt in job["attempts"]]


def check_finished(m, commands, sleeping, queued):
    """The jobs that ran tell that their supervisor died, those that waited are done."""
    assert outcomes(m.await_job(commands[0], "failed")) == ["supervisor_died"]
    assert outcomes(m.await_job(commands[1], "succeeded", seconds=20)) == [
        "supervisor_died", "succeeded"]
    for job in sleeping:
        job = until(lambda job=job: m.get(job) if m.get(job)["attempts"][1:] else None,
                    "it runs again")
        assert outcomes(job)[0] == "supervisor_died", job
        m.ctl("cancel", "--force", job["id"])
    for n, job in enumerate(queued):
        assert m.await_job(job, "succeeded", seconds=20)["result"] == {"n": n}


def test_kill_leaves_nothing_and_loses_nothing(m):
    """kill -9 of the supervisor: it is back at once, nothing of before lives, no job is lost."""
    jobs = busy(m)
    old, pids = m.main_pid(), m.processes()
    assert len(pids) > 10
    m.kill_main("KILL")
    m.await_new_main(old, seconds=5)
    until(lambda: not [p for p in pids if os.path.exists("/proc/%d" % p)],
          lambda: "the processes of before are gone: %s" % [
              command_line(p) for p in pids if os.path.exists("/proc/%d" % p)], 5)
    assert m.show("NRestarts") == "1"
    check_finished(m, *jobs)
    assert m.call("celsius", {"fahrenheit": 32})["celsius"] == 0


def test_kill_without_a_restart_leaves_an_empty_group(m):
    """The same where systemd does not start it again: the unit's control group ends empty."""
    m.drop_in("[Service]\nRestart=no\n")
    m.restart()
    jobs = busy(m)
    m.kill_main("KILL")
    m.await_state("failed")
    until(lambda: not m.processes(), lambda: "nothing left, but %s" % m.command_lines(), 5)
    m.systemctl("reset-failed", SERVICE)
    m.start()
    check_finished(m, *jobs)


def test_the_watchdog_catches_a_supervisor_that_stands_still(m):
    """A SIGSTOPped supervisor is ended and started again; the queue is as it was."""
    m.drop_in("[Service]\nWatchdogSec=1s\nRestartSec=0\n")
    m.restart()
    jobs = busy(m)
    old, pids = m.main_pid(), m.processes()
    m.kill_main("STOP")
    m.await_new_main(old, seconds=8)
    m.await_message("Watchdog timeout", "UNIT=" + SERVICE)
    until(lambda: not [p for p in pids if os.path.exists("/proc/%d" % p)],
          "the processes of before are gone", 5)
    check_finished(m, *jobs)


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

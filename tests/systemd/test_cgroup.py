# SPDX-License-Identifier: MIT
"""Control groups: a leaf for the supervisor, each worker and each command."""

import os
import signal

from machine import *


def shell_pid(m, words):
    """The box's pid of the process with these words in its command line."""
    def find():
        out = m.run("pgrep", "-f", "-x", words, status=None).out.split()
        return int(out[0]) if out else None
    return until(find, "%s runs" % words)


def test_each_has_a_leaf_of_its_own(m):
    """Supervisor, workers and commands are in control groups of their own below the unit's."""
    main = m.leaf_of(m.main_pid())
    assert main, "the supervisor is in the unit's own group"
    leaves = [m.leaf_of(pid) for pid in m.workers("diag") + m.workers("exec")]
    assert len(set(leaves)) == len(leaves) and main not in leaves and "" not in leaves, leaves
    jobs = [m.submit_shell("sleep 100%d & sleep 200%d; :" % (n, n)) for n in (1, 2)]
    commands = []
    for n in 1, 2:
        child = m.leaf_of(shell_pid(m, "sleep 100%d" % n))
        assert child == m.leaf_of(shell_pid(m, "sleep 200%d" % n))
        commands.append(child)
    assert len(set(commands + leaves + [main])) == len(leaves) + 3, (commands, leaves, main)
    assert not m.groups("system.slice/" + SERVICE)["."], "processes in the unit's own group"
    for job in jobs:
        m.ctl("cancel", "--force", job)


def test_a_command_leaves_nothing(m):
    """A command's end is the end of what it started, and its leaf goes, too."""
    before = set(m.groups("system.slice/" + SERVICE))
    job = m.submit_shell("setsid setsid sh -c 'trap \"\" TERM HUP; exec sleep 1001' & "
                         "sleep 0.3; echo done")
    m.ctl("wait", job)
    until(lambda: not [line for line in m.command_lines() if "sleep 1001" in line],
          "the detached child is gone")
    until(lambda: set(m.groups("system.slice/" + SERVICE)) <= before,
          lambda: "no leaf is left: %s" % set(m.groups("system.slice/" + SERVICE)))


def test_what_a_dead_run_has_left_is_swept(m):
    """Supervisor and fork servers die at once and systemd kills nobody: the next start does."""
    m.drop_in("[Service]\nKillMode=process\nRestartSec=1s\n")
    m.restart()
    m.submit_shell("setsid setsid sh -c 'trap \"\" TERM HUP; exec sleep 1001' & sleep 1002",
                   "--max-attempts=1")
    until(lambda: {"sleep 1001", "sleep 1002"} <= set(m.command_lines()), "both run")
    sleeper, = [pid for pid in m.processes() if command_line(pid) == "sleep 1001"]
    leaf = m.leaf_of(shell_pid(m, "sleep 1001"))
    old = m.main_pid()
    others = [pid for pid in m.processes() if pid != sleeper]
    for pid in others:
        kill(pid, signal.SIGSTOP)  # so that no one sees another's death
    for pid in others:
        kill(pid)
    until(lambda: not [p for p in others if os.path.exists("/proc/%d" % p)], "they are dead")
    assert os.path.exists("/proc/%d" % sleeper)
    m.await_new_main(old)
    until(lambda: not os.path.exists("/proc/%d" % sleeper), "what was left is ended")
    until(lambda: leaf not in m.groups("system.slice/" + SERVICE)
          or not m.groups("system.slice/" + SERVICE)[leaf], "its leaf is empty")


def test_limits_that_cannot_be_kept_are_told_once(m):
    """MemoryMax= where no memory controller is: a notice says so for each pool, once."""
    unless(m.run("grep", "-qw", "memory", "/sys/fs/cgroup/cgroup.controllers",
                 status=None).status != 0, "the memory controller is there")
    m.pool("diag", DIAG + "[Process]\nMemoryMax=100M\n")
    m.pool("exec", "[Pool]\nBuiltin=exec\n[Process]\nMemoryMax=100M\nTasksMax=50\n")
    m.restart()
    assert m.call("echo", {"x": 1}) == {"x": 1}
    m.shell("true")
    m.await_message("diag.*MemoryMax=", "-u", SERVICE)
    m.submit("crash", {"signal": "KILL"}, "--max-attempts=1")  # new workers are not news
    m.call("sleep", {"seconds": 0.1})
    told = [e for e in m.messages("-u", SERVICE) if "MemoryMax=" in e]
    assert len(told) == len(set(told)) == 2, told


def test_stop_leaves_no_group(m):
    """After a stop the unit's control group is gone."""
    m.call("echo")
    m.systemctl("stop", SERVICE)
    until(lambda: not os.path.exists(m.group("system.slice/" + SERVICE)), "the group is gone")


@v1
@limit(90)
def test_a_worker_that_eats_the_units_memory_dies_alone(m):
    """MemoryMax= of the unit: the kernel kills the greedy worker, the rest goes on."""
    controllers = m.run("sh", "-c", "cat /sys/fs/cgroup/cgroup.controllers; ls /sys/fs/cgroup").out
    unless("memory" in controllers.split(), "no memory controller")
    assert m.show("OOMPolicy") == "continue"
    m.drop_in("[Service]\nMemoryMax=200M\n")
    m.restart()
    pid = m.main_pid()
    job = m.submit("leak", {"bytes": 1 << 30}, "--max-attempts=1")
    ended = m.await_job(job, "failed", seconds=40)
    attempt, = ended["attempts"]
    assert attempt["outcome"] == "worker_died" and attempt["signal"] in ("KILL", "SIGKILL"), attempt
    assert m.main_pid() == pid and m.is_active() == "active" and m.show("NRestarts") == "0"
    assert m.call("echo", {"x": 1}) == {"x": 1}

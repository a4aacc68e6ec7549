# SPDX-License-Identifier: MIT
"""Orphans: supervisor, fork server and worker are killed, each alone, in pairs and all three at
once, while commands run that ignore SIGTERM and have daemonized grandchildren.

With cgroups nothing is left (where the supervisor died, when the next one has started; under
systemd the service manager does it at once). Without, no worker and no command is left, and
grandchildren only if supervisor and fork server died at once. What becomes of jobs then, and of
everything within 100 ms of the supervisor's death, is in test_death.py.
"""

import contextlib
import os
import signal

from cgroups import Subtree
from harness import *
from test_exec import read_pid

# Forked twice, in a session of its own, deaf to SIGTERM and SIGHUP, holding no pipe.
SCRIPT = """trap '' TERM HUP
echo $$ >%(main)s.new; mv %(main)s.new %(main)s
setsid sh -c 'exec >/dev/null 2>&1 </dev/null
        sh -c "echo \\$\\$ >%(child)s.new; mv %(child)s.new %(child)s; exec sleep 1000" &' &
wait
while :; do sleep 1000; done
"""


class Case:
    """A daemon whose two workers each run such a command."""

    def __init__(self, daemon):
        self.daemon = d = daemon
        self.commands, self.grandchildren, self.jobs = [], [], []
        for i in range(2):
            paths = {"main": d.path("main%d" % i), "child": d.path("child%d" % i)}
            self.jobs.append(d.submit("exec", {"argv": ["/bin/sh", "-c", SCRIPT % paths]}))
            self.commands.append(read_pid(paths["main"]))
            self.grandchildren.append(read_pid(paths["child"]))
        self.workers = [d.worker_of(id)["pid"] for id in self.jobs]
        self.server, = d.fork_servers()
        self.below = d.tree()
        for pid in self.grandchildren:
            until(lambda pid=pid: parent_of(pid) in self.workers, "the second fork")

    def kill(self, *names):
        """All of them at once: stopped first, none of them can do anything about another."""
        pids = {"supervisor": self.daemon.pid, "server": self.server, "worker": self.workers[0]}
        for signal_number in signal.SIGSTOP, signal.SIGKILL:
            for name in names:
                with contextlib.suppress(ProcessLookupError):  # who lives on was quicker
                    os.kill(pids[name], signal_number)
        if "supervisor" in names:
            self.daemon.process.wait()

    def end_grandchildren(self):
        for pid in self.below:
            with contextlib.suppress(ProcessLookupError):
                if alive(pid) and "sleep" in command_line(pid):
                    os.kill(pid, signal.SIGKILL)


def first_and_its_neighbour(case):
    """One worker died: all that was its is gone, all of the other is as it was."""
    d = case.daemon
    wait_gone([case.workers[0], case.commands[0], case.grandchildren[0]])
    assert d.wait(case.jobs[0])["attempts"][0]["outcome"] == "worker_died"
    assert alive(case.workers[1]) and alive(case.commands[1]) and alive(case.grandchildren[1])
    d.call("Cancel", id=case.jobs[1])
    d.wait(case.jobs[1])
    wait_gone([case.commands[1], case.grandchildren[1]])


def all_of_the_pool(case):
    d = case.daemon
    wait_gone(case.below)
    for id in case.jobs:
        assert d.wait(id)["attempts"][0]["outcome"] == "worker_died"
    until(lambda: d.pool_status("exec")["idle"] == 2, "new workers")


def with_cgroups(*victims):
    with Subtree() as tree:
        d = Daemon({"exec": commands()}, start=False)
        with d:
            tree.start(d)
            case = Case(d)
            groups = [g for g in tree.groups() if "/" in g]
            case.kill(*victims)
            if "supervisor" in victims:
                wait_gone([*case.workers, *case.commands])
                d.disconnect()
                tree.start(d)
                wait_gone(case.below)
            elif "server" in victims:
                all_of_the_pool(case)
                tree.await_gone("pool-exec/forkserver-1", *[g for g in groups if "worker" in g])
            else:
                first_and_its_neighbour(case)
                until(lambda: d.pool_status("exec")["idle"] == 2, "a new worker")
            assert sorted(tree.all_pids()) == sorted([d.pid, *d.tree()])
            assert not [p for p in d.marked() if p != d.pid and p not in d.tree() and alive(p)]


def test_with_cgroups_the_worker():
    """All that was its is gone, its neighbour's is not touched."""
    with_cgroups("worker")


def test_with_cgroups_the_fork_server():
    """Every worker of the pool goes with it, and all that was theirs."""
    with_cgroups("server")


def test_with_cgroups_fork_server_and_worker():
    """The same."""
    with_cgroups("server", "worker")


def test_with_cgroups_the_supervisor():
    """The fork server ends the rest; the next start finds empty groups, and removes them."""
    with_cgroups("supervisor")


def test_with_cgroups_supervisor_and_worker():
    """The fork server is left to do it."""
    with_cgroups("supervisor", "worker")


def test_with_cgroups_supervisor_and_fork_server():
    """Nobody is left who knows of the grandchildren: the next start sweeps."""
    with_cgroups("supervisor", "server")


def test_with_cgroups_all_three():
    """The next start sweeps."""
    with_cgroups("supervisor", "server", "worker")


def without_cgroups(*victims):
    with Daemon({"exec": commands()}) as d:
        assert "no delegated cgroup" in d.log()
        case = Case(d)
        try:
            case.kill(*victims)
            wait_gone([*case.workers, *case.commands]
                      if victims != ("worker",) else [case.workers[0], case.commands[0]])
            if "supervisor" not in victims:
                (all_of_the_pool if "server" in victims else first_and_its_neighbour)(case)
                return
            if "server" not in victims:
                wait_gone(case.below)
            case.end_grandchildren()  # of whom nobody knows any more
            wait_gone(case.below)
            assert not [p for p in d.marked() if alive(p)]
            d.disconnect()
            d.start()  # and it serves again
            assert d.run("exec", {"argv": ["true"]})["state"] == "succeeded"
        finally:
            case.end_grandchildren()


def test_without_cgroups_the_worker():
    """The fork server, a subreaper, has what it left; its neighbour's is not touched."""
    without_cgroups("worker")


def test_without_cgroups_fork_server_and_worker():
    """The supervisor, a subreaper too, ends all that falls to it."""
    without_cgroups("server", "worker")


def test_without_cgroups_supervisor_and_worker():
    """The fork server ends all, and itself."""
    without_cgroups("supervisor", "worker")


def test_without_cgroups_supervisor_and_fork_server():
    """No worker and no command is left. The hole that is known: grandchildren are."""
    without_cgroups("supervisor", "server")


def test_without_cgroups_all_three():
    """The same."""
    without_cgroups("supervisor", "server", "worker")

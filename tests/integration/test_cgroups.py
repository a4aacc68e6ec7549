# SPDX-License-Identifier: MIT
"""cgroups: who lives where, what is killed with whom, limits, and what is left at the end."""

import glob
import os
import re
import signal

from cgroups import MadeUp, Subtree, Tree, write
from harness import *
from test_exec import DAEMONIZE, read_pid, sh

NOBODY = 65534
SLEEPER = ["sleep", "1000"]


def seat(d, pool, i=0):
    """The group of a worker."""
    w = [w for w in d.workers(pool) if w["name"] == "%s.%d" % (pool, i)][0]
    return "pool-%s/%d.%d" % (pool, i, w["generation"])


def one(**keys):
    return {"diag": diag(min_workers=1, **keys)}


def notices(d, pattern="cgroup"):
    return [line for line in d.log().splitlines() if re.search(pattern, line)]


# --- where everybody lives ---

def test_everybody_lives_in_a_leaf_of_their_own():
    """Supervisor, fork servers, workers however they are started, and a command."""
    with Subtree() as tree:
        pools = {"diag": diag(), "exec": commands(min_workers=1),
                 "spawn": pool("celsius", "celsius.so", start_method="spawn", min_workers=1,
                               spare_workers=0),
                 "py": pool("add nap", command="/usr/bin/python3 " + os.path.join(
                     HERE, "worker.py"), min_workers=1, spare_workers=0)}
        with tree.daemon(pools) as d:
            assert tree.pids() == [] and tree.pids("supervisor") == [d.pid]
            for name in pools:
                pids = []
                assert tree.pids("pool-" + name) == []
                for w in d.workers(name):
                    group = "pool-%s/%s.%d" % (name, w["name"].rpartition(".")[2],
                                               w["generation"])
                    assert tree.pids(group + "/worker") == [w["pid"]], (name, w)
                    assert tree.pids(group) == []
                    pids.append(w["pid"])
                assert pids and tree.pids("pool-%s/forkserver-1" % name) == [parent_of(pids[0])]
            id = d.submit("exec", {"argv": SLEEPER})
            job = seat(d, "exec") + "/job"
            command = tree.await_pid(job)
            assert parent_of(command) == d.pids("exec")[0]
            assert sorted(tree.all_pids()) == sorted([d.pid, *d.tree()])
            d.call("Cancel", id=id)
            d.wait(id)
            tree.await_gone(job)
            assert not notices(d, "<[34]>"), notices(d, "<[34]>")


def test_a_spawned_exec_worker_makes_leaves_too():
    """StartMethod=spawn of Builtin=exec: the descriptor reaches the fresh image."""
    with Subtree() as tree:
        with tree.daemon({"exec": commands(min_workers=1, start_method="spawn")}) as d:
            job = sh(d, "sed -n 's/^0:://p' /proc/self/cgroup")
            assert job["result"]["stdout"].endswith("/pool-exec/0.1/job\n"), job


def test_workers_of_another_user_enter_with_their_own_rights():
    """Worker and command are in their leaves, and nobody of them has a door that the daemon has
    opened: the kernel would let him move any process by it."""
    unless(os.geteuid() == 0, "only root starts workers of other users")
    process = "User=nobody\nGroup=nogroup"
    with Subtree() as tree:
        pools = {"exec": commands(min_workers=1, process=process),
                 "spawn": pool("celsius", "celsius.so", start_method="spawn", min_workers=1,
                               spare_workers=0, process=process),
                 "diag": diag(min_workers=1, process=process)}
        d = Daemon(pools, start=False)
        os.chmod(d.directory, 0o755)
        with d:
            tree.start(d, wrap=["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"])
            for name in pools:
                for w in d.workers(name):
                    group = "pool-%s/%s.%d" % (name, w["name"].rpartition(".")[2],
                                               w["generation"])
                    assert tree.pids(group + "/worker") == [w["pid"]], (name, w)
                    for pid in w["pid"], parent_of(w["pid"]):
                        doors = [t for t in map(os.readlink, glob.glob("/proc/%d/fd/*" % pid))
                                 if t.endswith("cgroup.procs")]
                        assert not doors, (name, pid, doors)
            job = sh(d, "sed -n 's/^0:://p' /proc/self/cgroup; id -un")
            assert job["result"]["stdout"].endswith("/pool-exec/0.1/job\nnobody\n"), job
            # what they may not: a group of another pool, and ours
            for group in "", "supervisor", "pool-diag/0.1", "pool-diag":
                job = sh(d, "echo $$ >%s" % tree.at(group + "/cgroup.procs"))
                assert job["result"]["exit_status"] != 0, group
            assert tree.pids("supervisor") == [d.pid]


def test_the_handler_of_a_module_does_not_hold_the_groups_directory():
    """Only a worker that runs commands has a descriptor of a cgroup."""
    with Subtree() as tree, tree.daemon({**DIAG, **EXEC}) as d:
        def held(pid):
            links = [os.readlink("/proc/%d/fd/%s" % (pid, fd))
                     for fd in os.listdir("/proc/%d/fd" % pid)]
            return [link for link in links if "/cgroup/" in link]
        assert all(held(pid) == [] for pid in d.pids("diag"))
        assert all(len(held(pid)) == 1 for pid in d.pids("exec"))
        sh(d, "true")
        assert all(len(held(pid)) == 1 for pid in d.pids("exec"))
        links = sh(d, "ls -l /proc/self/fd")["result"]["stdout"]
        assert "cgroup" not in links, links


# --- what is killed with whom ---

def test_a_command_takes_along_what_has_joined_its_group():
    """Daemonized grandchildren, and even what is none of its descendants; its worker lives on."""
    with Subtree() as tree, tree.daemon({"exec": commands(min_workers=1)}) as d, \
            Helpers.process(SLEEPER) as helper:
        path = d.path("pid")
        worker, = d.pids()
        id = d.submit("exec", {"argv": ["/bin/sh", "-c", "trap '' TERM; " + DAEMONIZE % path
                                        + "exec sleep 1000"]})
        grandchild = read_pid(path)
        job = seat(d, "exec") + "/job"
        assert grandchild in tree.pids(job)
        tree.enter(helper.pid, job)
        d.call("Cancel", id=id)
        d.wait(id)
        wait_gone([grandchild])
        assert helper.wait(5) == -signal.SIGKILL
        tree.await_gone(job)
        assert d.pids() == [worker]
        assert sh(d, "true")["state"] == "succeeded"


def test_a_command_that_ends_by_itself_leaves_nothing():
    """Its group goes with it, with groups that it has made itself in there."""
    with Subtree() as tree, tree.daemon({"exec": commands(min_workers=1)}) as d:
        path = d.path("pid")
        job = sh(d, "g=%s/pool-exec/0.1/job; mkdir -p $g/a/b; %s while ! test -s %s; do :; done;"
                    "cat %s >$g/a/b/cgroup.procs; cat $g/a/b/cgroup.procs"
                 % (tree.path, DAEMONIZE % path, path, path))
        pid = read_pid(path)
        assert job["result"]["stdout"] == "%d\n" % pid, job
        assert not alive(pid)
        assert not os.path.exists(tree.at("pool-exec/0.1/job"))


def test_a_worker_takes_its_group_along():
    """Killed by a signal, by a timeout, or asked to leave: nothing stays in its group."""
    with Subtree() as tree, tree.daemon(one(kill_after="50ms")) as d:
        for how in "signal", "timeout", "restart":
            group = seat(d, "diag")
            with Helpers.process(SLEEPER) as helper:
                tree.enter(helper.pid, group + "/worker")
                if how == "signal":
                    os.kill(d.pids()[0], signal.SIGKILL)
                elif how == "timeout":
                    id = d.submit("sleep", {"seconds": 100}, timeout_usec=100000, max_attempts=1)
                    os.kill(d.worker_of(id)["pid"], signal.SIGSTOP)
                    assert d.wait(id)["attempts"][0]["outcome"] == "timeout"
                else:
                    d.call("RestartPool", pool="diag")
                assert helper.wait(5) == -signal.SIGKILL, how
            tree.await_gone(group)
            until(lambda: d.pool_status()["idle"] == 1, "a new one")
            assert d.run("echo")["state"] == "succeeded"


def test_the_last_rung_reaches_what_a_worker_that_lives_has_started():
    """SIGKILL for a worker is SIGKILL for its group, though the worker be a zombie by then."""
    with Subtree() as tree, tree.daemon({"exec": commands(min_workers=1,
                                                          kill_after="50ms")}) as d:
        path = d.path("pid")
        id = d.submit("exec", {"argv": ["/bin/sh", "-c", DAEMONIZE % path + "sleep 1000"]},
                      timeout_usec=300000)
        grandchild, group = read_pid(path), seat(d, "exec")
        server = d.fork_servers()[0]
        os.kill(server, signal.SIGSTOP)  # nobody sweeps up behind the worker
        os.kill(d.worker_of(id)["pid"], signal.SIGSTOP)
        wait_gone([grandchild])
        os.kill(server, signal.SIGCONT)
        assert d.wait(id)["attempts"][0]["outcome"] == "timeout"
        tree.await_gone(group)


def test_a_fork_server_takes_its_group_along():
    """The next one has the next number."""
    with Subtree() as tree, tree.daemon(one()) as d, Helpers.process(SLEEPER) as helper:
        tree.enter(helper.pid, "pool-diag/forkserver-1")
        group = seat(d, "diag")
        os.kill(d.fork_servers()[0], signal.SIGKILL)
        assert helper.wait(5) == -signal.SIGKILL
        tree.await_gone("pool-diag/forkserver-1", group)
        until(lambda: d.pool_status()["idle"] == 1, "a new worker")
        assert tree.pids("pool-diag/forkserver-2") == d.fork_servers()


def test_a_pool_goes_with_its_group_and_may_come_back():
    """Names are used again when a pool of the same name is added later."""
    with Subtree() as tree, tree.daemon({**DIAG, **EXEC}) as d:
        for _ in range(2):
            os.unlink(d.path("config/pools/exec.pool"))
            d.call("Reload")
            tree.await_gone("pool-exec")
            d.write_pool("exec", commands())
            d.call("Reload")
            d.await_workers()
            assert sh(d, "true")["state"] == "succeeded"
        assert tree.pids("pool-exec/0.1/worker") and not notices(d, "<[34]>")


def test_a_group_that_does_not_go_at_once_is_tried_again():
    """EBUSY is met with patience; a name in the list of the doomed can be used again."""
    with Subtree() as tree:
        control = tree.path.replace("/", "_")
        env = {"LD_PRELOAD": build("tests", "integration", "stubborn.so"),
               "BROOD_STUBBORN": "/tmp/" + control}
        unless(not SANITIZED, "a sanitizer has to be the first library")
        with tree.daemon(one(), env=env) as d:
            write("", env["BROOD_STUBBORN"])
            try:
                group = seat(d, "diag")
                os.kill(d.pids()[0], signal.SIGKILL)
                until(lambda: os.path.getsize(env["BROOD_STUBBORN"]) > 3, "some tries")
                assert os.path.exists(tree.at(group))
                assert d.run("echo")["state"] == "succeeded"
                until(lambda: d.pool_status()["idle"] == 1, "a new one")
                os.unlink(d.path("config/pools/diag.pool"))
                d.call("Reload")
                d.wait_log("pool=diag: gone")
                d.write_pool("diag", one()["diag"])
                d.call("Reload")
                d.await_workers()
                before = os.path.getsize(env["BROOD_STUBBORN"])
                until(lambda: os.path.getsize(env["BROOD_STUBBORN"]) > before, "more tries")
                assert tree.pids("pool-diag/0.1/worker") == d.pids()
            finally:
                os.unlink(env["BROOD_STUBBORN"])
            tree.await_gone("pool-diag/0.2")
            assert tree.pids("pool-diag/0.1/worker") == d.pids()
            assert d.run("echo")["state"] == "succeeded"


# --- the end, and the beginning ---

def test_nothing_is_left_after_a_stop():
    """Also when a command that ignores SIGTERM runs, with a daemonized grandchild."""
    with Subtree() as tree, tree.daemon({**DIAG, **EXEC},
                                        conf="[Daemon]\nStopTimeout=300ms\n") as d:
        path = d.path("pid")
        d.submit("exec", {"argv": ["/bin/sh", "-c", "trap '' TERM; " + DAEMONIZE % path
                                   + "while :; do sleep 1; done"]})
        read_pid(path)
        d.stop()
        assert tree.groups() == [] and tree.all_pids() == []


def test_a_refused_start_leaves_no_group():
    """A config that can not be used, found late."""
    with Subtree() as tree:
        d = Daemon({"diag": pool("no-such-handler")}, start=False)
        try:
            tree.start(d, ready=False)
            assert d.wait_exit() == 1
            assert tree.groups() == [] and tree.all_pids() == []
        finally:
            d.end()


def test_the_next_start_sweeps():
    """What is left when supervisor and fork server are killed at once, and groups of any depth
    with a stranger in them; what the service manager keeps there (.control) is not touched."""
    with Subtree() as tree, Helpers.process(SLEEPER) as stranger, \
            Helpers.process(SLEEPER) as manager:
        d = Daemon(EXEC, start=False)
        with d:
            tree.start(d)
            path = d.path("pid")
            d.submit("exec", {"argv": ["/bin/sh", "-c", "trap '' TERM; " + DAEMONIZE % path
                                       + "sleep 1000"]})
            grandchild = read_pid(path)
            for pid in [*d.fork_servers(), *d.pids(), d.pid]:
                os.kill(pid, signal.SIGSTOP)  # so that they die at once
            for pid in [*d.fork_servers(), *d.tree()]:
                if pid != grandchild and "forkserver" in command_line(pid):
                    os.kill(pid, signal.SIGKILL)
            d.kill()
            assert alive(grandchild)
            for name, pid in ("other/a/b", stranger.pid), (".control", manager.pid):
                os.makedirs(tree.at(name))
                tree.enter(pid, name)
            os.makedirs(tree.at("pool-gone/7.7/worker"))
            d.disconnect()
            tree.start(d)
            wait_gone([grandchild])
            assert stranger.wait(5) == -signal.SIGKILL
            assert alive(manager.pid) and tree.pids(".control") == [manager.pid]
            groups = tree.groups()
            assert not [g for g in groups if g.startswith(("other", "pool-gone"))], groups
            d.wait_log(r"what an earlier run has left in it is killed")
            d.wait_log(r"<5>cgroup %s: swept 3 groups of an earlier run" % tree.path)
            assert sh(d, "true")["state"] == "succeeded"
        assert tree.groups() == [".control"]
        manager.kill()
        manager.wait()
        os.rmdir(tree.at(".control"))


def test_sweeping_is_bounded():
    """A group that can not be removed holds up the start for some time, and is told of."""
    unless(not SANITIZED, "a sanitizer has to be the first library")
    with Subtree() as tree:
        os.mkdir(tree.at("pool-old"))
        control = "/tmp/" + tree.path.replace("/", "_")
        write("", control)
        try:
            with tree.daemon(one(), env={"LD_PRELOAD": build("tests", "integration",
                                                             "stubborn.so"),
                                         "BROOD_STUBBORN": control}) as d:
                d.wait_log(r"<4>cgroup \S+/pool-old of an earlier run can not be removed: "
                           "Device or resource busy")
                assert d.run("echo")["state"] == "succeeded"
                os.unlink(control)
                os.rmdir(tree.at("pool-old"))
        finally:
            if os.path.exists(control):
                os.unlink(control)


# --- whose is it? ---

def test_an_unprivileged_daemon_has_what_was_given_to_it():
    """The kernel's delegation: the directory and three files belong to the user. No mark."""
    with Subtree(mark=False) as tree:
        for name in "", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control":
            os.chown(tree.at(name), NOBODY, NOBODY)
        d = Daemon({**DIAG, **EXEC}, start=False)
        for folder, folders, files in os.walk(d.directory):
            for name in [".", *folders, *files]:
                os.chown(os.path.join(folder, name), NOBODY, NOBODY)
        with d:
            os.makedirs(tree.at("not-ours"))
            os.makedirs(tree.at("pool-old/0.1"))
            for name in "pool-old", "pool-old/0.1":
                os.chown(tree.at(name), NOBODY, NOBODY)
            tree.start(d, wrap=["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY,
                                "--clear-groups", "--no-new-privs"])
            assert tree.pids("supervisor") == [d.pid]
            assert not os.path.exists(tree.at("pool-old"))
            assert os.path.exists(tree.at("not-ours"))  # it has none of our names
            path = d.path("pid")
            id = d.submit("exec", {"argv": ["/bin/sh", "-c", DAEMONIZE % path + "sleep 1000"]})
            grandchild = read_pid(path)
            group = next("pool-exec/%s.1" % w["name"][-1] for w in d.workers("exec")
                         if id in w["jobs"])
            assert grandchild in tree.pids(group + "/job")
            d.call("Cancel", id=id)
            d.wait(id)
            wait_gone([grandchild])
            tree.await_gone(group + "/job")
            d.stop()
        os.rmdir(tree.at("not-ours"))


def refusal(tree, why):
    """A daemon that is started in it leaves it alone, says why once, and works."""
    before = tree.groups()
    with tree.daemon({**DIAG, "exec": commands(process="MemoryMax=64M\nTasksMax=9")}) as d:
        found = notices(d, "^<5>no delegated cgroup")
        assert len(found) == 1 and re.search(
            "^<5>no delegated cgroup: .*%s; workers are watched without$" % why, found[0]), found
        assert tree.pids() and d.pid in tree.pids()
        assert tree.groups() == before
        warned = notices(d, "<4>pool=exec: .* can not be applied: there is no delegated cgroup")
        assert len(warned) == 2 and "MemoryMax=" in warned[0] and "TasksMax=" in warned[1], warned
        assert sh(d, "true")["state"] == "succeeded"
        d.call("Reload")
        assert len(notices(d, "can not be applied")) == 2


def test_what_is_not_marked_is_not_taken_by_root():
    """Root could write any; one that nobody has delegated is left alone."""
    with Subtree(mark=False) as tree:
        refusal(tree, "%s is not marked as delegated .Delegate=yes." % tree.path)


def test_a_group_with_others_in_it_is_not_taken():
    """They would have to be moved, or would keep the controllers from us."""
    with Subtree() as tree, Helpers.process(SLEEPER) as other:
        tree.enter(other.pid, ".")
        refusal(tree, "process %d is in %s too" % (other.pid, tree.path))
        assert alive(other.pid)
        other.kill()
        other.wait()


def test_a_group_where_another_daemon_lives_is_not_taken():
    """One whose leaf `supervisor` is taken: its pools are not swept, either."""
    with Subtree() as tree, tree.daemon() as first, Helpers.process(SLEEPER):
        refusal(tree, "process %d is in %s/supervisor too" % (first.pid, tree.path))
        assert first.run("echo")["state"] == "succeeded"
        assert first.pool_status()["deaths"] == 0


def test_a_service_says_nothing_of_delegation():
    """NOTIFY_SOCKET and INVOCATION_ID are inherited by anything: they do not stand for a mark."""
    with Subtree(mark=False) as tree, tree.daemon(env={
            "INVOCATION_ID": "0" * 32, "NOTIFY_SOCKET": "@brood-test-nobody"}) as d:
        assert notices(d, "is not marked as delegated")


def test_the_root_of_all_cgroups_is_not_taken():
    """Where the daemon is in none of its own, it says so."""
    with open("/proc/self/cgroup", encoding="ascii") as f:
        unless("0::/\n" in f.read(), "only where tests run in the root cgroup")
    with Daemon() as d:
        assert notices(d, "<5>no delegated cgroup: .* is the root of all cgroups")


def test_a_daemon_that_is_born_in_the_leaf_has_the_group_above():
    """DelegateSubgroup=supervisor, or a daemon that executes itself anew."""
    with Subtree() as tree:
        os.mkdir(tree.at("supervisor"))
        below = Tree(tree.at("supervisor"))
        below.command = lambda d, wrap: ["/bin/sh", "-c", 'echo 0 >%s/cgroup.procs; exec "$@"'
                                         % below.path, "sh", *d.command()]
        with below.daemon() as d:
            assert tree.pids("supervisor") == [d.pid]
            assert tree.pids("pool-diag/0.1/worker")


# --- limits ---

LIMITS = "MemoryMax=64M\nTasksMax=50\nCPUWeight=200"


def test_limits_are_those_of_the_pools_group():
    """Written where the controllers are, which are handed down to where they are needed."""
    with MadeUp() as tree, tree.daemon({"diag": diag(process=LIMITS), **EXEC}) as d:
        assert tree.read("pool-diag/memory.max") == str(64 << 20)
        assert tree.read("pool-diag/pids.max") == "50"
        assert tree.read("pool-diag/cpu.weight") == "200"
        assert tree.read("pool-exec/memory.max") == "max"
        assert tree.read("pool-exec/pids.max") == "max"
        assert tree.read("pool-exec/cpu.weight") == "100"
        for group in ".", "pool-diag":
            assert tree.read(group, "cgroup.subtree_control") == "+memory +pids +cpu"
        assert tree.read("pool-diag/0.1/cgroup.subtree_control") == "+memory"
        assert not os.path.exists(tree.at("pool-diag/0.1/worker/cgroup.subtree_control"))
        assert tree.read("supervisor/cgroup.procs") == "0"
        assert not notices(d, "not applied|can not be applied")
        d.stop()
        assert tree.read("cgroup.subtree_control") == "-memory -pids -cpu"
        assert tree.read("cgroup.procs") == "0"


def test_limits_change_without_new_workers():
    """A reload writes them; no limit any more is written too."""
    with MadeUp() as tree, tree.daemon({"diag": diag(process=LIMITS)}) as d:
        pids = d.pids()
        d.write_pool("diag", diag(process="MemoryMax=infinity\nTasksMax=7"))
        d.call("Reload")
        assert tree.read("pool-diag/memory.max") == "max"
        assert tree.read("pool-diag/pids.max") == "7"
        assert tree.read("pool-diag/cpu.weight") == "100"
        assert d.pids() == pids
        d.write_pool("diag", diag(process="TasksMax=8\nNice=1"))  # with new workers as well
        d.call("Reload")
        until(lambda: not set(d.pids()) & set(pids), "new ones")
        assert tree.read("pool-diag/pids.max") == "8"


def test_limits_without_a_controller_are_told_once():
    """A notice for the daemon, a warning for each pool and limit, again only if it changes."""
    with MadeUp("cpu io") as tree, tree.daemon({"diag": diag(process=LIMITS), **EXEC}) as d:
        assert notices(d, "<5>cgroup %s has no controller of: memory, pids; such limits are not "
                          "applied" % tree.path)
        assert tree.read("pool-diag/cpu.weight") == "200"
        assert tree.read("cgroup.subtree_control") == "+cpu"
        assert not os.path.exists(tree.at("pool-diag/memory.max"))
        assert len(notices(d, "<4>pool=diag: (MemoryMax|TasksMax)= can not be applied: our cgroup "
                              "has no such controller")) == 2
        d.call("Reload")
        assert len(notices(d, "can not be applied")) == 2
        d.write_pool("diag", diag(process="MemoryMax=65M"))
        d.call("Reload")
        assert len(notices(d, "can not be applied")) == 3


def test_limits_that_the_kernel_refuses_are_told():
    """The rest holds, and the daemon serves."""
    with MadeUp() as tree, tree.daemon(one()) as d:
        os.unlink(tree.at("pool-diag/memory.max"))
        os.mkdir(tree.at("pool-diag/memory.max"))  # what is no file can not be written
        d.write_pool("diag", diag(min_workers=1, process=LIMITS))
        d.call("Reload")
        until(lambda: notices(d, "<4>pool=diag: MemoryMax= can not be applied: Is a directory"),
              "it is told")
        assert tree.read("pool-diag/pids.max") == "50"
        assert d.run("echo")["state"] == "succeeded"


# --- the death certificate ---

def test_the_certificate_has_what_the_group_has_used():
    """Peak memory and CPU of the worker with all that it has started, and who killed it."""
    with MadeUp() as tree, tree.daemon(one(process="MemoryMax=64M")) as d:
        id = d.submit("sleep", {"seconds": 100}, max_attempts=1)
        worker = d.worker_of(id)
        group = seat(d, "diag")
        tree.write("67108864\n", group, "memory.peak")
        tree.write("usage_usec 1234567\nuser_usec 1\n", group, "cpu.stat")
        tree.write("low 0\nmax 3\noom 1\noom_kill 1\n", group, "worker", "memory.events")
        os.kill(worker["pid"], signal.SIGKILL)
        attempt, = d.wait(id)["attempts"]
        assert attempt["oom_killed"] is True and attempt["signal"] == "KILL", attempt
        assert attempt["peak_memory_bytes"] == 67108864 and attempt["cpu_usec"] == 1234567
        words = r"was killed by the kernel: out of memory \(MemoryMax=64M\)"
        assert re.search(words, attempt["error"]), attempt
        d.wait_log("died: .*" + words)
        assert tree.read(group, "cgroup.kill") == "1"


def test_a_death_that_was_not_for_lack_of_memory():
    """The count has to have grown, in the worker's own leaf, and the signal to be SIGKILL."""
    with MadeUp() as tree, tree.daemon(one()) as d:
        for signal_name, where, kills in (("KILL", "worker", 0), ("KILL", "job", 1),
                                          ("SEGV", "worker", 1)):
            group = seat(d, "diag")
            os.makedirs(tree.at(group, where), exist_ok=True)
            tree.write("oom 1\noom_kill %d\n" % kills, group, where, "memory.events")
            attempt, = d.run("crash", {"signal": signal_name}, max_attempts=1)["attempts"]
            assert attempt.get("oom_killed") is None and attempt["signal"] == signal_name, attempt
            assert "out of memory" not in attempt["error"]
            assert attempt["peak_memory_bytes"] > 0  # of rusage
            until(lambda g=group: d.pool_status()["idle"] == 1 and seat(d, "diag") != g, "another")


def test_a_real_group_counts_cpu_of_all_in_it():
    """cpu.stat is there without any controller: what a command has used is its worker's too."""
    with Subtree() as tree, tree.daemon({"exec": commands(min_workers=1)}) as d:
        id = d.submit("exec", {"argv": ["/bin/sh", "-c",
                                        "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; "
                                        "echo done; exec sleep 1000"]})
        worker = d.worker_of(id)
        usage = tree.at("pool-exec/0.1/cpu.stat")

        def used():
            with open(usage, encoding="ascii") as f:
                return int(f.read().split()[1])
        until(lambda: used() > 50000, "it has used some")
        os.kill(worker["pid"], signal.SIGKILL)
        attempt, = d.wait(id)["attempts"]
        assert attempt["cpu_usec"] > 50000, attempt


def test_a_command_killed_for_lack_of_memory():
    """Its failure says so, and its attempt; the worker lives; the next job is not blamed."""
    with MadeUp() as tree, tree.daemon({"exec": commands(min_workers=1)}) as d:
        script = "echo '\"oom_killed\":true}'; echo 'oom_kill 1' >%s; kill -KILL $$"
        job = sh(d, script % tree.at("pool-exec/0.1/job/memory.events"))
        attempt, = job["attempts"]
        assert attempt["outcome"] == "command_failed" and attempt["oom_killed"] is True, job
        assert "out of memory" in attempt["error"], attempt
        assert job["result"]["oom_killed"] is True and job["result"]["signal"] == "KILL"
        job = sh(d, 'printf \'x,"oom_killed":true}\' >&2; exit 3')
        attempt, = job["attempts"]
        assert attempt.get("oom_killed") is None and "memory" not in attempt["error"], job
        assert "oom_killed" not in job["result"]
        assert d.pool_status("exec")["deaths"] == 0


# --- the stand-in for tests ---

def test_a_root_that_is_not_there_is_told():
    """BROOD_CGROUP_ROOT of nothing: the reason is in the notice."""
    with Daemon(env={"BROOD_CGROUP_ROOT": "/no/such"}) as d:
        assert notices(d, "no delegated cgroup: BROOD_CGROUP_ROOT=/no/such: No such file")

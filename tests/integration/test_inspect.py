# SPDX-License-Identifier: MIT
"""Inspect: what the kernel has of a worker, compared with what the kernel has of it; who may ask;
and that nobody else waits for a look. SlowAfter=: the stack of a run that lasts.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time

from cgroups import Subtree
from harness import *
from journald import Journald, LoggingDaemon, message_ids
from users import ALICE, BOB, OLGA, SARA, Users

OPEN = "[Access]\nSubmit=*\nSee=%d\nOperate=%d\n" % (SARA, OLGA)
ID = message_ids()
AT_WORK, WAITING = 4, 64  # daemon/pool/inspector.h


def inspect(d, worker, client=None, **more):
    return (client or d).call("Inspect", worker=worker, **more)["report"]


def read(pid, name):
    with open("/proc/%d/%s" % (pid, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def read_file(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as f:
        return f.read()


def status_of(pid):
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", read(pid, "status"), re.M))


def stat_of(pid):
    return read(pid, "stat").rpartition(")")[2].split()  # [0] is field 3 of proc(5)


def ids(three):
    return [three[which]["id"] for which in ("real", "effective", "saved")]


def broodctl(d, *words):
    return subprocess.run([build("daemon", "ctl", "broodctl"), "--socket=" + d.socket_path, *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)


def need_eu_stack():
    unless(os.path.exists("/usr/bin/eu-stack"), "elfutils is not installed")


class Helper(Daemon):
    """A daemon whose brood-inspect is a shell script."""

    def __init__(self, script, pools=None, **keys):
        super().__init__(pools, start=False, **keys)
        folder = self.path("libexec")
        os.mkdir(folder)
        for name in "brood-forkserver", "brood-worker":
            os.symlink(os.path.join(libexec(), name), os.path.join(folder, name))
        self.write("libexec/brood-inspect", "#!/bin/sh\n" + script)
        os.chmod(self.path("libexec/brood-inspect"), 0o755)
        self.env["BROOD_LIBEXEC"] = folder
        try:
            self.start()
        except BaseException:
            self.end()
            raise


def is_refused(c, name, **parameters):
    """An Inspect that is; returns what the error says."""
    with refused(name) as error:
        c.call("Inspect", **parameters)
    return error


# --- what it is ---

def assert_attributes(p, pid):
    status, stat = status_of(pid), stat_of(pid)
    assert p["pid"] == pid and p["parent"] == int(status["PPid"])
    assert (p["process_group"], p["session"]) == (os.getpgid(pid), os.getsid(pid))
    assert p["controlling_terminal"] is None and int(stat[4]) == 0
    assert p["cwd"] == os.readlink("/proc/%d/cwd" % pid)
    assert p["root"] == os.readlink("/proc/%d/root" % pid)
    assert p["program"] == os.readlink("/proc/%d/exe" % pid)
    assert p["command"] == read(pid, "cmdline").split("\0")[:-1]
    assert p["umask"] == status["Umask"]
    assert ids(p["user"]) == list(map(int, status["Uid"].split()[:3]))
    assert ids(p["group"]) == list(map(int, status["Gid"].split()[:3]))
    assert [g["id"] for g in p["groups"]] == list(map(int, status["Groups"].split()))
    assert p["threads"] == int(status["Threads"])
    assert p["nice"] == int(stat[16])
    ticks = os.sysconf("SC_CLK_TCK")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(p["started_usec"] / 1e6 - (booted + int(stat[19]) / ticks)) < 1


def test_attributes():
    """What it is: as /proc has it, and as [Process] of its pool says."""
    process = "UMask=0037\nWorkingDirectory=/usr/share\nNice=3\nLimitNOFILE=99:200\nLimitCORE=0"
    with Daemon({"diag": diag(min_workers=1, process=process)}) as d:
        worker, = d.workers()
        r = inspect(d, worker["name"])
        assert_attributes(r["process"], worker["pid"])
        assert r["process"]["umask"] == "0037" and r["process"]["nice"] == 3
        assert r["process"]["cwd"] == "/usr/share" and r["process"]["state"] == "sleeping"
        assert r["limits"]["LimitNOFILE"] == {"soft": 99, "hard": 200}
        assert r["limits"]["LimitCORE"] == {"soft": 0, "hard": 0}
        assert r["worker"] == worker["name"]
        for name in "pool", "generation", "state", "started_usec", "jobs_done":
            assert r[name] == worker[name], name
        assert r["jobs"] == [] and "denied" not in r and "stack" not in r


def test_a_worker_of_another_user():
    """Root's daemon becomes the user of the worker; the names of users are told, too."""
    unless(os.geteuid() == 0, "only root can run workers as other users")
    pools = {"diag": diag(min_workers=1, process="User=games\nSupplementaryGroups=audio"),
             "exec": commands(min_workers=1, process="User=games")}
    with Daemon(pools) as d:
        for worker in d.workers():
            r = inspect(d, worker["name"], stack=True)
            assert_attributes(r["process"], worker["pid"])
            assert r["process"]["user"]["effective"] == {"id": 5, "name": "games"}
            assert r["memory"]["total"]["rss_bytes"] > 0
        assert "audio" in [g.get("name") for g in inspect(d, "diag.0")["process"]["groups"]]


def test_without_the_right():
    """A worker that runs commands as another user lets nobody look into it: without CAP_SYS_PTRACE
    the report says what is missing and what it needs, and has the rest."""
    unless(os.geteuid() == 0, "only root can run workers as other users")
    unless(not SANITIZED, "what looks for leaks makes every worker dumpable")
    pools = {"diag": diag(min_workers=1, process="User=games"),
             "exec": commands(min_workers=1, process="User=games")}
    d = Daemon(pools, start=False)
    with d:
        d.start(command=["setpriv", "--bounding-set=-sys_ptrace,-dac_read_search",
                         *d.command()])
        need = inspect(d, d.workers("exec")[0]["name"], stack=True)
        assert "CAP_SYS_PTRACE" in need["stack"]["error"] or "elfutils" in need["stack"]["error"]
        assert "CAP_SYS_PTRACE" in need["denied"]["needs"]
        assert {"memory", "descriptors"} <= set(need["denied"]["what"])
        assert "descriptors" not in need and "total" not in need["memory"]
        assert need["process"]["umask"] == "0022" and need["limits"]
        shown = broodctl(d, "inspect", need["worker"])
        assert shown.returncode == 0 and "not shown: " in shown.stdout, shown
        other = inspect(d, d.workers("diag")[0]["name"])
        assert "denied" not in other and other["descriptors"]["total"] > 3


# --- what it has ---

def hold(d):
    """A worker that holds one of each; returns its pid and the report."""
    id = d.submit("hold", {"directory": d.path("held")})
    d.await_state(id, "running")
    until(lambda: d.get(id).get("progress"), "all is held")
    return id, d.worker_of(id)["pid"], inspect(d, id)


@contextlib.contextmanager
def holder():
    d = Daemon({"holder": pool("hold", "holder.so", min_workers=1, spare_workers=0)}, start=False)
    os.mkdir(d.path("held"))
    with d:
        d.start()
        id, pid, report = hold(d)
        yield d, pid, report
        d.call("Cancel", id=id)
        d.wait(id)


def test_descriptors():
    """Each descriptor with its kind and target, flags and position; sockets with addresses."""
    with holder() as (d, pid, r):
        targets = {int(fd): os.readlink("/proc/%d/fd/%s" % (pid, fd))
                   for fd in os.listdir("/proc/%d/fd" % pid)}
        listed = {one["fd"]: one for one in r["descriptors"]["list"]}
        assert {fd: one["target"] for fd, one in listed.items()} == targets
        assert r["descriptors"]["total"] == len(targets) and r["descriptors"]["left_out"] == 0
        kinds = r["descriptors"]["kinds"]
        assert sum(kinds.values()) == len(targets)
        for kind in ("file", "socket", "pipe", "device", "memfd", "eventfd", "epoll", "pidfd",
                     "directory", "other"):
            assert kinds.get(kind), (kind, kinds)
        by_target = {one["target"]: one for one in listed.values()}
        posix = by_target[d.path("held/posix")]
        assert posix["kind"] == "file" and posix["position"] == 10
        assert posix["flags"] == ["read write", "append", "cloexec"]
        assert by_target["/dev/zero"]["kind"] == "device"
        assert by_target["/memfd:held (deleted)"]["kind"] == "memfd"
        assert by_target[d.path("held")]["kind"] == "directory"
        tcp, = (one for one in listed.values() if one.get("protocol") == "tcp")
        assert tcp["state"] == "listening" and re.match(r"127\.0\.0\.1:\d+$", tcp["local"])
        local, = (one for one in listed.values() if one.get("path") == d.path("held/listener"))
        assert local["protocol"] == "unix stream" and local["state"] == "listening"


def test_many_descriptors():
    """The list is bounded, and the rest counted."""
    d = Daemon({}, start=False)
    with open(os.path.join(HERE, "worker.py"), encoding="utf-8") as f:
        program = d.write("many.py", "import os\n[os.dup(0) for _ in range(400)]\n" + f.read())
    d.write_pool("add", pool("add nap", command="%s %s" % (sys.executable, program),
                             min_workers=1, spare_workers=0))
    with d:
        d.start()
        descriptors = inspect(d, d.workers()[0]["name"])["descriptors"]
        assert len(descriptors["list"]) == 256
        assert descriptors["total"] == 256 + descriptors["left_out"] > 400
        assert sum(descriptors["kinds"].values()) == descriptors["total"]


def test_names_that_are_no_text():
    """What a job has made can be any bytes: it is shown with what is not text escaped, and cut."""
    d = Daemon({}, start=False)
    os.mkdir(d.path("held"))
    folder = os.path.join(os.fsencode(d.path("held")), b"\xff\x01\n" + b"x" * 200, b"y" * 250)
    os.makedirs(folder)
    with open(os.path.join(HERE, "worker.py"), encoding="utf-8") as f:
        program = d.write("named.py", "import os\nfor i in range(300):\n"
                          "    os.open(%r + b'/%%d' %% i, os.O_CREAT | os.O_RDWR)\n" % folder +
                          f.read())
    d.write_pool("add", pool("add nap", command="%s %s" % (sys.executable, program),
                             min_workers=1, spare_workers=0))
    with d:
        d.start()
        listed = inspect(d, d.workers()[0]["name"])["descriptors"]["list"]
        assert len(listed) == 256
        assert any("/held/\\xff\\x01\\x0axxx" in one["target"] for one in listed), listed[-1]
        shown = broodctl(d, "inspect", d.workers()[0]["name"])
        assert shown.returncode == 0 and "\\xff" in shown.stdout, shown.stderr


def test_locks():
    """Locks of all three kinds, with the file, whether it is for reading, and the range."""
    with holder() as (d, pid, r):
        locks = {lock["path"]: lock for lock in r["locks"]}
        whole, posix, ofd = (locks[d.path("held/" + name)] for name in ("flock", "posix", "ofd"))
        assert (whole["type"], whole["access"], whole["taken_by"]) == ("flock", "read", pid)
        assert (posix["type"], posix["access"], posix["taken_by"]) == ("posix", "write", pid)
        assert (posix["start"], posix["end"]) == (10, 14)
        assert (ofd["type"], ofd["access"]) == ("ofd", "write")
        assert whole["end"] is None and len(r["locks"]) == len(locks), r["locks"]


def test_memory():
    """The kinds sum up to the whole, the whole is what the kernel says, and what was taken as heap,
    data and shared memory is counted there."""
    with holder() as (_, pid, r):
        rollup = dict(re.findall(r"^(\w+): +(\d+) kB$", read(pid, "smaps_rollup"), re.M))
        memory, mib = r["memory"], 1 << 20
        kinds = [memory[k] for k in ("code", "data", "heap", "stack", "shared", "other")]
        for figure in "size_bytes", "rss_bytes", "pss_bytes", "private_bytes", "swap_bytes":
            assert sum(k[figure] for k in kinds) == memory["total"][figure], figure
        near = 256 * 1024
        assert abs(memory["total"]["rss_bytes"] - int(rollup["Rss"]) * 1024) < near
        private = int(rollup["Private_Clean"]) + int(rollup["Private_Dirty"])
        assert abs(memory["total"]["private_bytes"] - private * 1024) < near
        assert memory["heap"]["private_bytes"] >= 8 * mib
        assert 4 * mib <= memory["shared"]["rss_bytes"] < 6 * mib
        assert 2 * mib <= memory["data"]["private_bytes"]
        if not SANITIZED:
            assert memory["data"]["private_bytes"] < 4 * mib
            assert memory["heap"]["private_bytes"] < 12 * mib
        assert memory["code"]["rss_bytes"] > 0 and memory["stack"]["rss_bytes"] > 0
        assert memory["peak_rss_bytes"] >= memory["total"]["rss_bytes"] - near


def test_cgroup():
    """Where one is delegated: the group of the worker with its commands, and what it has used."""
    with Subtree() as tree, tree.daemon() as d:
        r = inspect(d, "diag.0")
        path = r["cgroup"]["path"]
        assert path == tree.at("pool-diag/0.1") and os.path.isdir(path), (path, tree.path)
        assert str(r["process"]["pid"]) in read_file(path, "worker/cgroup.procs").split()
        used = int(re.search(r"^usage_usec (\d+)$", read_file(path, "cpu.stat"), re.M).group(1))
        assert 0 < r["cgroup"]["cpu_usec"] <= used
        for file, key in ("memory.current", "memory_bytes"), ("pids.current", "tasks"):
            assert (key in r["cgroup"]) == os.path.exists(os.path.join(path, file)), key


def test_stack():
    """--stack: the frames of the handler that runs; the worker goes on."""
    need_eu_stack()
    with Daemon() as d:
        id = d.submit("spin", {"seconds": slow(2)})
        d.worker_of(id)
        r = inspect(d, id, stack=True)
        stack = r["stack"]
        assert "error" not in stack, stack
        frames = [[f.get("name") for f in t["frames"]] for t in stack["threads"]]
        assert any("spin" in names for names in frames), stack
        assert r["process"]["pid"] in [t["tid"] for t in stack["threads"]]
        assert re.search(r"^#\d+ +0x[0-9a-f]+ spin\b", stack["text"], re.M)
        shown = broodctl(d, "inspect", "--stack", id)
        assert shown.returncode == 0, shown
        assert re.search(r"^ +#\d+ .* spin$", shown.stdout, re.M), shown.stdout
        job = d.wait(id)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 1, job


# --- its jobs, and who may ask ---

def test_jobs_are_shown():
    """The job that runs: its handler, attempt, since when, progress and user."""
    with holder() as (d, _, r):
        job, = r["jobs"]
        record = d.get(job["id"])
        assert job["handler"] == "hold" and job["attempt"] == 1 and job["progress"] == 0.5
        assert job["uid"] == os.getuid() and r["state"] == "busy"
        assert abs(job["since_usec"] - record["attempts"][0]["started_usec"]) < 100000
        shown = broodctl(d, "inspect", r["worker"])
        assert shown.returncode == 0 and job["id"] in shown.stdout, shown
        for words in ("worker " + r["worker"], "memory", "heap", "descriptors", "locks",
                      d.path("held/flock"), "50% done", "Umask: 0022"):
            assert words in shown.stdout, (words, shown.stdout)


def test_who_may_ask():
    """Who may see all, for any worker; a user, for the worker of his own job; nobody else."""
    with Users({"diag": diag()}, OPEN) as d, d.connect_as(ALICE) as alice, \
            d.connect_as(BOB) as bob, d.connect_as(SARA) as sara, d.connect_as(OLGA) as olga:
        id = alice.call("Submit", job={"handler": "sleep", "args": {"seconds": 60}})["id"]
        worker = d.worker_of(id)["name"]
        for client in sara, olga, d.client:
            report = inspect(d, worker, client)
            assert [job["id"] for job in report["jobs"]] == [id]
        assert inspect(d, id, alice)["jobs"][0]["uid"] == ALICE
        assert inspect(d, id, sara)["worker"] == worker
        for client in alice, bob:
            for name in worker, "nobody.0":
                is_refused(client, "AccessDenied", worker=name)
        assert is_refused(bob, "NoSuchJob", worker=id) == {"id": id}
        alice.call("Cancel", id=id)
        d.wait(id)
        assert is_refused(alice, "WrongState", worker=id) == {"id": id, "state": "cancelled"}


def test_a_right_that_is_taken_away():
    """A reload takes the right to see all while the look is under way: AccessDenied."""
    unless(os.geteuid() == 0, "only root can be other users")
    with Users({"diag": diag()}, OPEN) as d, d.connect_as(SARA) as sara:
        pid = d.pids()[0]
        name = next(w["name"] for w in d.workers() if w["pid"] == pid)
        sara.send("Inspect", {"worker": name})
        d.configure("[Access]\nSubmit=*\n")
        with refused("AccessDenied"):
            sara.receive()
            sara.call("Inspect", worker=name)  # the look was faster


def test_unknown_workers():
    """Names of none, and jobs that do not run."""
    with Daemon() as d:
        assert is_refused(d.client, "NoSuchWorker", worker="diag.99") == {"worker": "diag.99"}
        id = d.submit("sleep", {"seconds": 0}, delay_usec=10 ** 9)
        assert is_refused(d.client, "WrongState", worker=id) == {"id": id, "state": "scheduled"}
        shown = broodctl(d, "inspect", "diag.99")
        assert shown.returncode == 4 and "there is no worker 'diag.99'" in shown.stderr, shown
        shown = broodctl(d, "inspect", id)
        assert shown.returncode == 4 and "only while it runs" in shown.stderr, shown
        d.call("Cancel", id=id)


# --- what goes wrong ---

def looks(d):
    """Processes of brood-inspect, or what a test has in its place."""
    servers = d.fork_servers()
    return [pid for pid in children(d.pid) if pid not in servers]


def failure(c, limit=None):
    with refused("InspectFailed") as error:
        c.receive(limit)
    return error["message"]


def test_a_helper_that_hangs():
    """It is killed at its deadline, whoever asked is told so, and everybody else is served."""
    with Helper("exec sleep 1000\n") as d, d.connect() as c:
        c.send("Inspect", {"worker": "diag.0"})
        look, = until(lambda: looks(d), "the helper")
        began = time.monotonic()
        assert d.run("echo", {"x": 1})["result"] == {"x": 1}
        assert time.monotonic() - began < slow(2)
        assert failure(c) == "it was not done within 5 s"
        wait_gone([look])
        assert d.run("echo", {"x": 1})["result"] == {"x": 1}


def test_many_at_once_are_bounded():
    """Of 50 looks four are at work at a time, and all are answered."""
    with Daemon() as d, d.connect(60) as c:
        for _ in range(50):
            c.send("Inspect", {"worker": "diag.0"})
        most = 0
        for _ in range(50):
            most = max(most, len(looks(d)))
            assert c.receive()["report"]["worker"] == "diag.0"
        assert most <= AT_WORK
        until(lambda: not looks(d), "no helper is left")


def test_too_many_are_refused():
    """Of those that wait there is a bound, and for a user who may not see all a lower one."""
    more = 5
    with Helper("exec sleep 1000\n") as d, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(d.connect()) for _ in range(AT_WORK + WAITING + more)]
        for i, c in enumerate(clients):
            c.send("Inspect", {"worker": "diag.%d" % (i % 2)})
        told = []
        while len(told) < more:
            ready, _, _ = select.select([c.socket for c in clients if c not in told], [], [], 4)
            assert ready, "only %d are refused" % len(told)
            told += [c for c in clients if c.socket in ready]
        assert len(told) == more and len(looks(d)) == AT_WORK
        for c in told:
            assert "try again" in failure(c)


def test_a_user_does_not_keep_others_from_looking():
    """Eight of one user who may not see all, and the ninth is refused; root's is not."""
    with Users({"diag": diag()}, OPEN, start=False) as d:
        os.mkdir(d.path("libexec"))
        for name in "brood-forkserver", "brood-worker":
            os.symlink(os.path.join(libexec(), name), d.path("libexec", name))
        d.write("libexec/brood-inspect", "#!/bin/sh\nexec sleep 1000\n")
        os.chmod(d.path("libexec/brood-inspect"), 0o755)
        d.env["BROOD_LIBEXEC"] = d.path("libexec")
        d.start()
        with d.connect_as(ALICE) as alice, d.connect() as c, d.connect_as(ALICE) as other:
            id = alice.call("Submit", job={"handler": "sleep", "args": {"seconds": 60}})["id"]
            d.worker_of(id)
            for _ in range(8):
                alice.send("Inspect", {"worker": id})
            until(lambda: len(looks(d)) == AT_WORK, "the helpers")
            assert "try again" in is_refused(other, "InspectFailed", worker=id)["message"]
            c.send("Inspect", {"worker": id})
            assert failure(c, slow(30)) == "it was not done within 5 s"
            d.call("Cancel", id=id)


def test_a_client_that_goes_away():
    """Its looks end with it: those at work are killed, those that wait are forgotten."""
    with Helper("exec sleep 1000\n") as d, d.steady_descriptors():
        with d.connect() as c:
            for _ in range(20):
                c.send("Inspect", {"worker": "diag.0"})
            until(lambda: len(looks(d)) == AT_WORK, "the helpers")
        until(lambda: not looks(d), "they are gone", 3)


def test_a_worker_that_dies_meanwhile():
    """Killed while it is looked into: an error, and the daemon goes on."""
    with Helper("sleep 0.3; exec %s/brood-inspect \"$@\"\n" % libexec()) as d, d.connect() as c:
        worker = d.workers()[0]
        c.send("Inspect", {"worker": worker["name"]})
        until(lambda: looks(d), "the helper")
        os.kill(worker["pid"], signal.SIGKILL)
        assert "ended" in failure(c)
        assert d.run("echo", {})["state"] == "succeeded"


def test_nonsense_of_a_helper():
    """What is no JSON object, too much of it, a death and no program are errors with words."""
    for script, words in (("echo nonsense", "no JSON object"), ("echo '{\"a\":'", "no JSON object"),
                          ("echo '[1]'", "no JSON object"), ("exit 3", "status 3"),
                          ("kill -SEGV $$", "signal 11"), ("echo so it is; exit 1", "so it is"),
                          ("head -c 3000000 /dev/zero", "larger than 1 MiB")):
        with Helper(script + "\n") as d:
            message = is_refused(d.client, "InspectFailed", worker="diag.0")["message"]
            assert words in message, (script, message)
            os.unlink(d.path("libexec/brood-inspect"))
            message = is_refused(d.client, "InspectFailed", worker="diag.0")["message"]
            assert "No such file" in message, message


def test_a_stop_does_not_wait_for_a_helper():
    """Whoever asked is told that the daemon stops, and no process is left."""
    with Helper("exec sleep 1000\n") as d, d.connect() as c:
        c.send("Inspect", {"worker": "diag.0"})
        until(lambda: looks(d), "the helper")
        began = time.monotonic()
        d.process.terminate()
        with refused("Draining"):
            c.receive()
        assert d.wait_exit() == 0 and time.monotonic() - began < slow(3)
        d.prove_clean()


def test_a_worker_that_is_stopped():
    """SIGSTOP: it is told as stopped, with all that can be read, and nobody waits for it."""
    with Daemon() as d, d.connect() as c:
        id = d.submit("spin", {"seconds": slow(1)})
        worker = d.worker_of(id)
        os.kill(worker["pid"], signal.SIGSTOP)
        try:
            until(lambda: stat_of(worker["pid"])[0] == "T", "it is stopped")
            c.send("Inspect", {"worker": worker["name"], "stack": True})
            began = time.monotonic()
            assert d.run("echo", {"x": 1})["result"] == {"x": 1}
            assert time.monotonic() - began < slow(2)
            report = c.receive()["report"]
            assert report["process"]["state"] == "stopped" and report["descriptors"]["total"]
        finally:
            os.kill(worker["pid"], signal.SIGCONT)
        assert d.wait(id)["state"] == "succeeded"


def test_oneway():
    """Nobody wants to know: nothing is looked at."""
    with Helper("exec sleep 1000\n") as d:
        d.client.send("Inspect", {"worker": "diag.0"}, oneway=True)
        d.call("Status")
        assert not looks(d)


# --- SlowAfter= ---

def slow_entries(j):
    return [e for e in j.entries if e.get("MESSAGE_ID") == ID["JOB_SLOW"].encode()]


def test_a_slow_run_is_told_once():
    """One entry with the fields of the job and its stack, for each run that lasts; none for
    others."""
    need_eu_stack()
    with Journald() as j, LoggingDaemon(j, {"diag": diag(slow_after="300ms")}) as d:
        assert d.run("echo", {})["state"] == "succeeded"
        id = d.submit("spin", {"seconds": slow(3)})
        worker = d.worker_of(id)
        until(lambda: "longer than SlowAfter=300ms" in d.call("Why", id=id)["reason"], "slow", 2)
        entry = j.wait(MESSAGE_ID=ID["JOB_SLOW"])
        for name, value in {"PRIORITY": "4", "BROOD_JOB": id, "BROOD_ATTEMPT": "1",
                            "BROOD_HANDLER": "spin", "BROOD_POOL": "diag",
                            "BROOD_WORKER": worker["name"],
                            "BROOD_USER": str(os.getuid())}.items():
            assert entry[name] == value.encode(), (name, entry)
        assert re.search(rb"SlowAfter=300ms; thread %d: .*\bspin < " % worker["pid"],
                         entry["MESSAGE"]), entry
        assert d.wait(id)["state"] == "succeeded"
        again = d.run("spin", {"seconds": slow(0.6)})["id"]
        j.wait(MESSAGE_ID=ID["JOB_SLOW"], BROOD_JOB=again)
        assert len(slow_entries(j)) == 2, slow_entries(j)


def test_each_slow_attempt_is_told():
    """It is once for a run, not once for a job; and the run may end before the look does."""
    script = "sleep 0.5; echo '{\"stack\":{\"error\":\"by hand\"}}'\n"
    with Helper(script, {"diag": diag(slow_after="100ms", min_workers=1, timeout="250ms",
                                      max_attempts=2)}) as d:
        job = d.run("sleep", {"seconds": 60})
        for n in 1, 2:
            line = d.wait_log("attempt %d of job=%s handler=sleep runs longer" % (n, job["id"]))
            assert "its stack can not be told: by hand" in line.string, line.string
        assert len(re.findall("runs longer than SlowAfter=100ms", d.log())) == 2, d.log()
        counted = re.search(r'^brood_slow_runs_total{.*handler="sleep"} (\d+)$',
                            d.call("Metrics")["text"], re.M)
        assert counted and counted.group(1) == "2", d.call("Metrics")["text"]


def test_a_stack_that_can_not_be_had():
    """The line says why."""
    with Helper("echo no luck; exit 1\n", {"diag": diag(slow_after="50ms")}) as d:
        d.run("sleep", {"seconds": 0.3})
        line = d.wait_log("SlowAfter=50ms")
        assert line.string.endswith("its stack can not be told: no luck"), line.string


def test_off_by_default():
    """Without SlowAfter= nothing is looked at, and Why says nothing of it."""
    with Helper("echo x >>$BROOD_TEST/looked\n") as d:
        id = d.submit("sleep", {"seconds": 0.3})
        d.worker_of(id)
        assert "SlowAfter" not in d.call("Why", id=id)["reason"]
        d.wait(id)
        assert not os.path.exists(d.path("looked")) and "SlowAfter" not in d.log()

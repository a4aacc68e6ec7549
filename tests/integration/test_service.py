# SPDX-License-Identifier: MIT
"""What the service manager is told (sd_notify): readiness, status, reloads, the end, signs of life.

The test is the service manager: a datagram socket in $NOTIFY_SOCKET, and what comes out of it.
"""

import errno
import os
import re
import select
import signal
import socket
import sys
import time
import uuid

from harness import *
from test_durability_disk import Faults

LATE = """#!/bin/sh
while [ ! -e "$BROOD_TEST_GO" ]; do sleep 0.02; done
exec "%s" "%s"
""" % (sys.executable, os.path.join(HERE, "worker.py"))


class Manager:
    """The service manager's end of the socket; .heard is [(time, {name: value})]."""

    def __init__(self, name=None, watchdog=None):
        self.name = name or "@brood-test-%s" % uuid.uuid4()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind("\0" + self.name[1:] if self.name[0] == "@" else self.name)
        self.heard = []
        self.env = {"NOTIFY_SOCKET": self.name}
        if watchdog:
            self.env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def read(self):
        """Takes what is there."""
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except BlockingIOError:
                return self
            assert len(text) < 4096, "the service manager ignores what is longer"
            lines = [line.partition("=") for line in text.rstrip("\n").split("\n")]
            assert all(name and separator for name, separator, _ in lines), text
            self.heard.append((time.monotonic(), {name: value for name, _, value in lines}))

    def listen(self, seconds):
        """Reads for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            select.select([self.socket], [], [], max(0, end - time.monotonic()))
            self.read()
        return self

    def wait(self, what, condition, seconds=10, start=0):
        """Waits for a message; returns its index."""
        end = time.monotonic() + slow(seconds)
        at = start
        while True:
            self.read()
            for i in range(at, len(self.heard)):
                if condition(self.heard[i][1]):
                    return i
            at = len(self.heard)
            left = end - time.monotonic()
            assert left > 0, "not within %s s: %s; heard: %s" % (
                seconds, what, [m for _, m in self.heard[start:]])
            select.select([self.socket], [], [], left)

    def wait_for(self, name, value=None, **keys):
        """Waits for a message with this variable (of this value)."""
        return self.wait("%s=%s" % (name, value or "…"), lambda m: name in m and (
            value is None or m[name] == value), **keys)

    def wait_status(self, pattern, **keys):
        return self.wait("STATUS that matches %r" % pattern,
                         lambda m: re.search(pattern, m.get("STATUS", "")), **keys)

    def all(self, name, start=0):
        """[(time, value)] of a variable."""
        self.read()
        return [(t, m[name]) for t, m in self.heard[start:] if name in m]

    def status(self):
        """The last that was said."""
        return self.all("STATUS")[-1][1]


def daemon(manager, pools=None, start=True, ready=True, env=None, **keys):
    d = Daemon(pools, start=False, env={**manager.env, **(env or {})}, **keys)
    if start:
        d.start(ready=ready)
    return d


INTERVAL = 1.0 * (4 if SANITIZED else 1)


def watched(m, pools=None, watchdog_pool=None, **keys):
    conf = "[Daemon]\n" + ("WatchdogPool=%s\n" % watchdog_pool if watchdog_pool else "")
    return daemon(m, pools, conf=conf + keys.pop("conf", ""), **keys)


def late_pool(d, **keys):
    """A pool whose workers wait for the file that is returned."""
    d.write("late.sh", LATE)
    os.chmod(d.path("late.sh"), 0o755)
    d.write_pool("late", pool("add nap", command=d.path("late.sh"), min_workers=2,
                              spare_workers=0,
                              process="Environment=BROOD_TEST_GO=" + d.path("go"), **keys))
    return d.path("go")


# --- READY ---

def test_ready():
    """READY=1 comes once, when clients are served and all workers are there: by a path, and by a
    name of the abstract kind."""
    for kind in "abstract", "path":
        d = Daemon(start=False)
        name = d.path("notify") if kind == "path" else None
        with Manager(name) as m, d:
            d.env.update(m.env)
            d.start(ready=False)
            at = m.wait_for("READY", "1")
            d.await_socket(0.1)
            assert d.pool_status()["idle"] == 2
            message = m.heard[at][1]
            assert message["STATUS"].startswith("Running: 1 of 1 pools serve, 0 of 2 workers busy")
            m.listen(0.3)
            assert len(m.all("READY")) == 1


def test_ready_does_not_wait_for_what_is_started_on_demand():
    """A pool with Scaling=ondemand serves, though it has no worker."""
    with Manager() as m:
        with daemon(m, {"diag": diag(scaling="ondemand")}, ready=False) as d:
            at = m.wait_for("READY", "1")
            assert m.heard[at][1]["STATUS"].startswith("Running: 1 of 1 pools serve")
            assert not d.workers()


def test_ready_waits_for_workers():
    """Clients are served while workers start; READY=1 waits for each pool's minimum."""
    with Manager() as m:
        d = daemon(m, start=False)
        with d:
            go = late_pool(d)
            d.start(ready=False)
            d.await_socket()
            until(lambda: d.pool_status()["idle"] == 2, "the other pool is there")
            m.wait_status("^Starting: 1 of 2 pools serve.*pool late has 0 of 2 workers")
            assert d.run("echo", {})["state"] == "succeeded"
            m.listen(0.5)
            assert not m.all("READY")
            d.write("go", "")
            at = m.wait_for("READY", "1")
            assert d.pool_status("late")["idle"] == 2, go
            assert "has 0 of" not in m.heard[at][1]["STATUS"]


def test_ready_with_a_pool_that_can_not_start():
    """A pool whose workers can not start opens its breaker, and READY=1 says so; later it may
    recover."""
    with Manager() as m:
        d = daemon(m, start=False)
        with d:
            late_pool(d)
            d.write("late.sh", "#!/bin/sh\nexit 3\n")
            d.start(ready=False)
            at = m.wait_for("READY", "1", seconds=20)
            status = m.heard[at][1]["STATUS"]
            assert re.search(r"pool late: its workers can not start: worker late\.\d \(pid \d+\) "
                             r"ended with status 3", status), status
            assert "1 of 2 pools serve" in status, status
            assert d.pool_status("late")["state"] == "failed"
            d.write("go", "")
            d.write("late.sh", LATE)
            d.call("RestartPool", pool="late")
            m.wait_status("2 of 2 pools serve", seconds=20, start=at)
            assert "can not start" not in m.status()


# of these one is ready at a time, and dies of it
MAYFLY = """#!%s
import fcntl, os, sys, time
sys.path.insert(0, %r)
import worker
class Mayfly(worker.Worker):
    def prepare(self, *args, **keys):
        fcntl.flock(os.open(__file__, os.O_RDONLY), fcntl.LOCK_EX)
        time.sleep(0.1)  # the one before is over
        super().prepare(*args, **keys)
        time.sleep(0.02)
        os._exit(5)
worker.Worker = Mayfly
worker.main()
""" % (sys.executable, HERE)


def test_ready_with_workers_that_die():
    """A pool whose workers die as soon as they are ready does not hold READY=1 for ever."""
    with Manager() as m:
        d = daemon(m, start=False)
        with d:
            late_pool(d)
            d.write("late.sh", MAYFLY)
            d.start(ready=False)
            at = m.wait_for("READY", "1", seconds=20)
            assert "pool late has" in m.heard[at][1]["STATUS"], m.heard[at]
            assert d.pool_status("late")["state"] == "running", "its starts do not fail"


def test_ready_with_a_paused_pool():
    """A pool that an operator has paused does not hold READY=1."""
    with Manager() as m:
        d = daemon(m, start=False)
        with d:
            late_pool(d)
            d.start(ready=False)
            d.await_socket()
            d.call("PausePool", pool="late")
            at = m.wait_for("READY", "1")
            assert "pool late is paused" in m.heard[at][1]["STATUS"]


@limit(120)
def test_ready_in_the_end():
    """Workers that never get ready, and may take for ever: READY=1 comes nevertheless."""
    with Manager() as m:
        d = daemon(m, {"diag": diag(start_timeout="1s")}, start=False)
        with d:
            late_pool(d, start_timeout="infinity", kill_after="100ms")
            began = time.monotonic()
            d.start(ready=False)
            at = m.wait_for("READY", "1", seconds=60)
            assert 35 < time.monotonic() - began < slow(45)
            assert "pool late has 0 of 2 workers" in m.heard[at][1]["STATUS"]


def test_more_time_to_start():
    """While a module is slow to load more time is asked for; not any more after READY=1."""
    with Manager() as m:
        d = daemon(m, start=False)
        with d:
            d.write_pool("moods", pool(module="moods.so", spare_workers=0,
                                       settings="hang=" + d.path("hang")))
            d.write("hang", "")
            d.start(ready=False)
            m.wait("more time twice", lambda _: len(m.all("EXTEND_TIMEOUT_USEC")) >= 3)
            assert "Starting" in m.status(), m.status()
            assert not m.all("READY")
            os.unlink(d.path("hang"))
            at = m.wait_for("READY", "1")
            m.listen(2.2)
            assert not m.all("EXTEND_TIMEOUT_USEC", at)


def test_more_time_to_restore():
    """While a store is slow to read more time is asked for, and STATUS says what takes so long."""
    with Manager() as m:
        d = daemon(m, start=False)
        faults = Faults(d)
        with d:
            d.start()
            m.wait_for("READY", "1")
            for _ in range(4):
                d.call("SubmitMany", jobs=[{"handler": "echo", "delay_usec": 3600 * 10**6,
                                            "args": {"pad": "p" * 2000}}] * 100)
            d.process.terminate()
            assert d.wait_exit() == 0
            d.disconnect()
            at = len(m.read().heard)
            faults.begin("pread64 SLOW")
            d.start(ready=False)
            m.wait_for("READY", "1", start=at, seconds=30)
            assert len(m.all("EXTEND_TIMEOUT_USEC", at)) >= 3, m.heard[at:]
            assert any("reading the store" in s for _, s in m.all("STATUS", at))
            faults.end()


# --- STATUS ---

def test_status():
    """STATUS follows the figures, at most once a second, and is silent when nothing changes."""
    with Manager() as m, daemon(m) as d:
        m.wait_for("READY", "1")
        ids = [d.submit("sleep", {"seconds": 60}, priority=5) for _ in range(2)]
        ids += [d.submit("echo", {}) for _ in range(3)]
        m.wait_status("2 of 2 workers busy; jobs: 3 queued, 2 running, 0 done")
        for id in ids[:2]:
            d.call("Cancel", id=id)
        m.wait_status("0 of 2 workers busy; jobs: 0 queued, 0 running, 5 done")
        start = len(m.heard)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            d.run("echo", {}, durability="memory")
            m.read()
        times = [t for t, _ in m.all("STATUS", start)]
        assert 2 <= len(times) <= 4, times
        assert all(b - a > 0.7 for a, b in zip(times, times[1:])), times
        m.listen(1.2)
        start = len(m.heard)
        m.listen(2.5)
        assert len(m.heard) == start, m.heard[start:]


def test_status_of_a_store_that_fails():
    """STATUS says that the store fails, and why, until it works again."""
    with Manager() as m:
        d = daemon(m, start=False)
        faults = Faults(d)
        with d:
            d.start()
            m.wait_for("READY", "1")
            faults.begin("fdatasync EIO")
            with refused("StoreFailed"):
                d.submit("echo", {})
            at = m.wait_status("the store fails: .*brood.db: .*I/O error")
            faults.end()
            m.wait("STATUS without it", lambda s: "fails" not in s.get("STATUS", "fails"),
                   start=at)


def wakes(pid):
    """How often the daemon's loop went to sleep."""
    with open("/proc/%d/task/%d/status" % (pid, pid), encoding="ascii") as f:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))


@alone
def test_nothing_without_a_manager():
    """Without NOTIFY_SOCKET there is no timer: an idle daemon sleeps. With one too, but for the
    watchdog."""
    with Manager() as m:
        for env in {"WATCHDOG_USEC": "100000"}, m.env:
            with Daemon(env=env) as d:
                d.disconnect()
                time.sleep(1.5)  # the end of what the start has begun
                before = wakes(d.pid)
                time.sleep(2)
                assert wakes(d.pid) == before


def test_environment_of_children():
    """Nothing that is started by the daemon can speak for it."""
    with Manager(watchdog=30) as m, daemon(m) as d:
        for pid in d.tree():
            with open("/proc/%d/environ" % pid, "rb") as f:
                text = f.read()
            assert b"NOTIFY_SOCKET" not in text and b"WATCHDOG_" not in text, command_line(pid)


def test_wrong_addresses():
    """A NOTIFY_SOCKET that is none is said, and the daemon runs."""
    for name in "nonsense", "@", "/" + "x" * 200:
        with Daemon(env={"NOTIFY_SOCKET": name}) as d:
            d.wait_log("NOTIFY_SOCKET=.*expected an absolute path", 1)
    with Daemon(env={"NOTIFY_SOCKET": "/nobody/listens", "WATCHDOG_USEC": "100000"}) as d:
        d.wait_log("the service manager does not listen: No such file", 5)
        d.wait_log("is ready", 1)
        time.sleep(0.5)
        assert d.log().count("does not listen") == 1


def test_a_manager_that_does_not_read():
    """A service manager that hangs makes nothing hang; what it has to know it hears later."""
    with Manager(watchdog=0.05) as m:
        filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            while True:
                filler.sendto(b"FILLED=1", "\0" + m.name[1:])
        except BlockingIOError:
            filler.close()
        with daemon(m) as d:
            d.wait_log("the service manager does not listen: its socket is full")
            for _ in range(20):
                assert d.run("echo", {})["state"] == "succeeded"
            d.call("Reload")
            m.wait_for("READY", "1")
            m.wait_for("WATCHDOG", "1")


# --- reloads ---

def test_reload():
    """RELOADING=1 with the time, READY=1 when it has taken."""
    with Manager() as m, daemon(m) as d:
        start = m.wait_for("READY", "1") + 1
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        d.write_pool("more", pool("celsius", "celsius.so", min_workers=1))
        d.call("Reload")
        after = time.clock_gettime(time.CLOCK_MONOTONIC)
        at = m.wait_for("RELOADING", "1", start=start)
        assert before <= int(m.heard[at][1]["MONOTONIC_USEC"]) / 1e6 <= after
        assert m.heard[at][1]["STATUS"].startswith("Reloading: ")
        done = m.wait_for("READY", "1", start=at)
        assert done > at and m.heard[done][1]["STATUS"].startswith("Running: ")
        m.wait_status("2 of 2 pools serve", start=done)
        assert len(m.all("READY", start)) == len(m.all("RELOADING", start)) == 1


def test_reload_that_is_refused():
    """READY=1 comes after a refused reload too; STATUS says what was wrong until the next one."""
    with Manager() as m, daemon(m) as d:
        at = m.wait_for("READY", "1") + 1
        cases = [
            (pool("echo", nonsense=1), "bad.pool:4: unknown key 'Nonsense'"),
            (pool("kelvin", "celsius.so"), "bad.pool:2: .*kelvin"),  # only loading tells
        ]
        for text, words in cases:
            d.write_pool("bad", text)
            with refused("ConfigInvalid"):
                d.call("Reload")
            at = m.wait_for("RELOADING", "1", start=at)
            at = m.wait_for("READY", "1", start=at)
            status = m.heard[at][1]["STATUS"]
            assert re.search("reload refused: /.*/config/pools/" + words, status), status
        d.run("echo", {})
        m.wait_status("1 done.*reload refused: ", start=at)
        os.unlink(d.path("config/pools/bad.pool"))
        d.signal(signal.SIGHUP)
        at = m.wait_for("RELOADING", "1", start=at)
        assert "refused" not in m.heard[at][1]["STATUS"]
        at = m.wait_for("READY", "1", start=at)
        assert "refused" not in m.heard[at][1]["STATUS"]


def test_reload_before_ready():
    """While the daemon starts a reload is no reload for the service manager, and makes it not
    ready."""
    with Manager() as m:
        d = daemon(m, start=False)
        with d:
            late_pool(d)
            d.start(ready=False)
            d.await_socket()
            d.call("Reload")
            d.write_pool("bad", pool("echo", nonsense=1))
            with refused("ConfigInvalid"):
                d.call("Reload")
            m.listen(0.3)
            assert not m.all("READY") and not m.all("RELOADING")
            d.write("go", "")
            at = m.wait_for("READY", "1")
            assert "reload refused" in m.heard[at][1]["STATUS"]


# --- the end ---

def check_extensions(m, at, began, stop_timeout):
    """Each is for a moment, and none for longer than StopTimeout= and what ends by force."""
    extensions = m.all("EXTEND_TIMEOUT_USEC", at)
    for t, value in extensions:
        assert int(value) <= 10e6 and t + int(value) / 1e6 <= began + stop_timeout + 10.5
        assert t <= began + stop_timeout + 0.5, "after StopTimeout= there is nothing to wait for"
    return [t for t, _ in extensions]


def test_stop():
    """STOPPING=1 with why and what runs; more time each second, until StopTimeout=."""
    with Manager() as m:
        d = daemon(m, {"diag": diag(kill_after="100ms")}, conf="[Daemon]\nStopTimeout=3s\n")
        with d:
            at = m.wait_for("READY", "1") + 1
            id = d.submit("sleep", {"seconds": 60})
            d.worker_of(id)
            began = time.monotonic()
            d.signal(signal.SIGTERM)
            at = m.wait_for("STOPPING", "1", start=at)
            status = m.heard[at][1]["STATUS"]
            assert re.search(r"^Stopping \(SIGTERM\): .*1 of 2 workers busy; .*1 running", status)
            m.listen(3)
            assert d.wait_exit() == 0
            assert time.monotonic() - began >= 2.9
            times = check_extensions(m, at, began, 3)
            assert 3 <= len(times) <= 5 and times[0] - began < 0.5, times
            assert all(0.7 < b - a < slow(1.8) for a, b in zip(times, times[1:])), times
            assert len(m.all("STOPPING")) == 1 and not m.all("READY", at)
            d.prove_clean()


def test_drain():
    """While jobs run out STATUS says so and more time is asked for, not beyond StopTimeout=; when
    they have no more."""
    with Manager() as m:
        with daemon(m, conf="[Daemon]\nStopTimeout=2s\n") as d:
            at = m.wait_for("READY", "1") + 1
            id = d.submit("sleep", {"seconds": 60})
            d.worker_of(id)
            began = time.monotonic()
            with d.connect() as c:
                c.send("Drain")
                at = m.wait_status("^Draining: .*1 running", start=at)
                m.listen(4)
                times = check_extensions(m, at - 1, began, 2)
                assert len(times) >= 2, times
                d.call("Resume")
                at = m.wait_status("^Running: ", start=at)
                assert not m.all("READY", at) and not m.all("STOPPING", at)
            d.call("Cancel", id=id)
            d.await_state(id, "cancelled")
            at = len(m.read().heard)
            d.call("Drain")
            m.listen(1.5)
            assert not m.all("EXTEND_TIMEOUT_USEC", at), "nothing runs"


def test_no_more_time_for_what_hangs():
    """A storage thread that hangs gets no more time to drain."""
    with Manager(watchdog=INTERVAL) as m:
        d = watched(m, start=False)
        faults = Faults(d)
        with d:
            d.start()
            m.wait_for("WATCHDOG")
            faults.begin("fdatasync HANG")
            with d.connect() as c, d.connect() as drainer:
                c.send("Submit", {"job": {"handler": "echo"}})
                until(lambda: faults.count() > 0, "it hangs")
                drainer.send("Drain")
                m.wait_for("EXTEND_TIMEOUT_USEC")
                d.wait_log("watchdog: the storage thread")
                at = len(m.read().heard)
                m.listen(2.5)
                assert not m.all("EXTEND_TIMEOUT_USEC", at)
                faults.end()
                c.receive()


# --- a start that fails ---

def failing_start(change, conf=None):
    """A daemon that does not start; returns what was said of it."""
    with Manager() as m:
        d = daemon(m, start=False)
        try:
            change(d)
            d.start(ready=False)
            assert d.wait_exit() == 1
            m.read()
            assert not m.all("READY")
            return m.heard
        finally:
            d.end()


def last_errno(heard):
    _, message = next((t, m) for t, m in heard if "ERRNO" in m)
    return int(message["ERRNO"]), message["STATUS"]


def test_errno():
    """A start that fails for a reason with an errno says it, and the reason in words."""
    with Daemon() as other:
        def lock(d):
            d.args += ["--state-directory=" + other.path("state")]

        def socket_taken(d):
            d.args += ["--socket=" + other.socket_path]

        def state_below_a_file(d):
            d.write("file", "")
            d.args += ["--state-directory=" + d.path("file", "state")]

        def store_of_nonsense(d):
            d.write("state/brood.db", "this is no database " * 100)

        def store_is_a_directory(d):
            os.mkdir(d.path("state", "brood.db"))

        for change, number, words in [
                (lock, errno.EBUSY, "lock is held by another daemon.*pid %d" % other.pid),
                (socket_taken, errno.EADDRINUSE, "brood.sock: another daemon listens"),
                (state_below_a_file, errno.ENOTDIR, "file/state can not be made: Not a directory"),
                (store_of_nonsense, errno.EBADMSG, "brood.db: file is not a database"),
                (store_is_a_directory, errno.EISDIR, "brood.db: ")]:
            got, status = last_errno(failing_start(change))
            assert got == number, (change.__name__, got, status)
            assert re.search(words, status), status


def test_config_that_can_not_be_used():
    """A start that fails because of the config says where it is wrong: what reading it shows, and
    what only loading it does."""
    for text, words in [(pool("echo", nonsense=1), "bad.pool:4: unknown key"),
                        (pool("kelvin", "celsius.so"), "bad.pool:2: .*kelvin")]:
        heard = failing_start(lambda d, text=text: d.write_pool("bad", text))
        status = [m["STATUS"] for _, m in heard if "STATUS" in m][-1]
        assert re.search("^/.*" + words, status), heard
        assert not any("ERRNO" in m for _, m in heard)


# --- signs of life ---

def pings(m, since=0):
    return [t for t, _ in m.all("WATCHDOG") if t > since]


def check_alive(m, seconds):
    """For so long there are signs of life, none too late and not more of them than there should
    be."""
    begin = time.monotonic()
    m.listen(seconds)
    times = pings(m, begin)
    marks = [begin, *times, time.monotonic()]
    gaps = [b - a for a, b in zip(marks, marks[1:])]
    assert max(gaps) < 1.2 * INTERVAL, gaps  # this machine has more to do
    assert len(times) <= seconds / (INTERVAL / 2) + 1, gaps


def check_silent(m, seconds):
    start = time.monotonic()
    m.listen(seconds)
    assert not pings(m, start + 0.05), [t - start for t in pings(m, start)]


def test_watchdog():
    """Signs of life at half of the interval, not more often under load, and none that was not asked
    for."""
    with Manager(watchdog=INTERVAL) as m, watched(m) as d:
        m.wait_for("READY", "1")
        check_alive(m, 2.5 * INTERVAL)
        end = time.monotonic() + 2.5 * INTERVAL
        start = time.monotonic()
        while time.monotonic() < end:
            d.run("echo", {}, durability="memory")
            m.read()
        times = pings(m, start)
        assert 4 <= len(times) <= 6, [t - start for t in times]
        assert all(b - a > INTERVAL / 2 - 0.2 for a, b in zip(times, times[1:])), times
    with Manager() as m, watched(m) as d:
        m.wait_for("READY", "1")
        m.env["WATCHDOG_PID"] = "1"
        m.listen(1)
        assert not pings(m)
    with Manager(watchdog=0.1) as m:
        m.env["WATCHDOG_PID"] = "1"  # it is another process that is to give them
        with watched(m) as d:
            m.wait_for("READY", "1")
            m.listen(0.5)
            assert not pings(m)


def test_watchdog_loop():
    """A loop that does not turn gives no sign of life, and says so when it turns again."""
    with Manager(watchdog=INTERVAL) as m, watched(m) as d:
        m.wait_for("WATCHDOG")
        d.signal(signal.SIGSTOP)
        check_silent(m, 2 * INTERVAL)
        d.signal(signal.SIGCONT)
        check_alive(m, 1.5 * INTERVAL)
        d.wait_log("watchdog: the loop stood still for [0-9]+ ms", 1)


def test_watchdog_storage():
    """A storage thread that hangs is no life; a store that fails is not its end."""
    with Manager(watchdog=INTERVAL) as m:
        d = watched(m, start=False)
        faults = Faults(d)
        with d:
            d.start()
            m.wait_for("WATCHDOG")
            faults.begin("fdatasync EIO")
            with refused("StoreFailed"):
                d.submit("echo", {})
            check_alive(m, 2.5 * INTERVAL)
            assert "the store fails" in m.status()
            faults.end()
            until(lambda: d.wait_log("the store works again", 5), "it works again")
            with d.connect() as c:
                faults.begin("fdatasync HANG")
                begin = time.monotonic()
                c.send("Submit", {"job": {"handler": "echo"}})
                m.listen(INTERVAL * 1.1)
                check_silent(m, 1.5 * INTERVAL)
                assert pings(m)[-1] < begin + INTERVAL * 1.1
                d.wait_log(r"watchdog: the storage thread has not answered for \d", 1)
                assert d.run("echo", {}, durability="memory")["state"] == "succeeded"
                faults.end()
                c.receive()
            m.wait_for("WATCHDOG", start=len(m.read().heard), seconds=2)
            check_alive(m, 1.5 * INTERVAL)
            assert d.log().count("watchdog: the storage thread") == 1


def test_watchdog_pool():
    """A probe goes through the pool, and nobody counts it; a pool whose only worker is busy is no
    life."""
    with Manager(watchdog=INTERVAL) as m:
        with watched(m, {"diag": diag(handlers="echo sleep", min_workers=1), **EXEC},
                     "diag") as d:
            m.wait_for("WATCHDOG")
            check_alive(m, 2.5 * INTERVAL)
            assert d.pool_status()["done"] == 0, d.pool_status()
            until(lambda: d.workers("diag")[0]["jobs_done"] >= 3, "probes have been run")
            until(lambda: d.call("List")["jobs"] == [], "none is kept")
            id = d.submit("sleep", {"seconds": 60})
            d.worker_of(id)
            m.listen(1.7 * INTERVAL)
            check_silent(m, INTERVAL)
            d.wait_log(r"watchdog: a probe has not come back from pool diag \(Watchdog.*\) for", 1)
            assert d.run("exec", {"argv": ["/bin/true"]})["state"] == "succeeded"
            at = len(m.read().heard)
            d.call("Cancel", id=id)
            m.wait_for("WATCHDOG", start=at, seconds=2)
            d.wait_log("watchdog: that is over", 1)
            check_alive(m, 1.5 * INTERVAL)
            assert d.pool_status()["done"] == 1
            assert "jobs: 0 queued, 0 running, 2 done" in m.status(), m.status()


def test_watchdog_pool_exec():
    """Through a pool of commands goes /bin/true."""
    with Manager(watchdog=INTERVAL) as m, watched(m, EXEC, "exec") as d:
        m.wait_for("WATCHDOG")
        check_alive(m, 2.5 * INTERVAL)
        until(lambda: sum(w["jobs_done"] for w in d.workers()) >= 3, "probes have been run")
        assert d.pool_status("exec")["done"] == 0 and d.pool_status("exec")["deaths"] == 0


def test_watchdog_excuses():
    """A pool that is paused, scaled to nothing or full, and a daemon that drains or stops, are
    alive without a probe."""
    with Manager(watchdog=INTERVAL) as m:
        pools = {"diag": diag(handlers="sleep echo", min_workers=1, max_queued=2)}
        with watched(m, pools, "diag") as d:
            m.wait_for("WATCHDOG")
            d.call("PausePool", pool="diag")
            check_alive(m, 2.5 * INTERVAL)
            d.call("ResumePool", pool="diag")
            d.call("ScalePool", pool="diag", min_workers=0, max_workers=1)
            check_alive(m, 2.5 * INTERVAL)
            d.call("ScalePool", pool="diag", min_workers=1, max_workers=1)
            check_alive(m, INTERVAL)
            ids = []

            def fill():
                """Both or none: unless just now the probe has a place."""
                job = {"handler": "sleep", "args": {"seconds": 60}}
                try:
                    ids.extend(d.call("SubmitMany", jobs=[job, job])["ids"])
                except VarlinkError:
                    pass
                return len(ids) == 2
            until(fill, "two jobs in the queue")
            d.worker_of(ids[0])
            check_alive(m, 2.5 * INTERVAL)
            d.wait_log("watchdog: pool diag can take no probe: the queue is full", 1)
            d.call("Cancel", id=ids.pop())
            m.listen(INTERVAL / 2)  # a probe is in the queue again
            with d.connect() as c:
                c.send("Drain")
                check_alive(m, 2.5 * INTERVAL)
                d.call("Cancel", id=ids.pop())
                c.receive()
            assert d.status()["jobs"]["queued"] == 0, "the probe was called back"


def test_drain_calls_a_probe_back():
    """A probe that hangs does not hold a daemon that is to drain or to stop."""
    for signalled in False, True:
        with Manager(watchdog=4) as m:
            pools = {"diag": diag(min_workers=1, kill_after="100ms")}
            with watched(m, pools, "diag") as d:
                m.wait_for("WATCHDOG")
                until(lambda: d.pool_status()["busy"] == 0, "the first one has ended")
                os.kill(d.pids()[0], signal.SIGSTOP)
                until(lambda: d.pool_status()["busy"] == 1, "the next one is under way")
                began = time.monotonic()
                if signalled:
                    d.stop()
                else:
                    d.call("Drain")
                assert time.monotonic() - began < slow(1.5)


def test_watchdog_pool_in_the_config():
    """WatchdogPool= names a pool that is there, and a reload changes it."""
    with Manager(watchdog=INTERVAL) as m, watched(m, start=False) as d:
        d.write("config/brood.conf", "[Daemon]\n\nWatchdogPool=diag\n")
        d.start()
        m.wait_for("WATCHDOG")
        os.mkdir(d.path("config/brood.conf.d"))
        d.write("config/brood.conf.d/x.conf", "[Daemon]\nWatchdogPool=nonsense\n")
        with refused("ConfigInvalid") as e:
            d.call("Reload")
        assert e["file"].endswith("brood.conf.d/x.conf") and e["line"] == 2, e
        assert "nonsense" in e["message"] and "no such pool" in e["message"], e
        id = [d.submit("sleep", {"seconds": 60}) for _ in range(2)][0]
        d.worker_of(id)
        m.listen(1.7 * INTERVAL)
        check_silent(m, 0.5 * INTERVAL)
        d.write("config/brood.conf.d/x.conf", "[Daemon]\nWatchdogPool=\n")
        at = len(m.read().heard)
        d.call("Reload")
        m.wait_for("WATCHDOG", start=at, seconds=2)
        check_alive(m, 1.5 * INTERVAL)
        d.signal(signal.SIGTERM)
        d.wait_log("stopping: SIGTERM")
        d.signal(signal.SIGTERM)
        assert d.wait_exit() == 0
        d.prove_clean()

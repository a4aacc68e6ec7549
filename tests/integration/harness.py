# SPDX-License-Identifier: MIT
"""The real daemon in a directory of its own, and the proof that nothing is left of it.

    with Daemon({"diag": pool(min_workers=2)}) as d:
        job = d.run("echo", {"x": 1})

A test ends with stop(): SIGTERM, exit status 0, and then no process, socket or file is left. The
test process is a child subreaper, so nothing that the daemon started can escape from it. Waits are
for events or conditions, and each of them is bounded.
"""

import contextlib
import ctypes
import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from varlink import Closed, Connection, VarlinkError, load_interface, refused

__all__ = ["Closed", "Connection", "DIAG", "Daemon", "EXEC", "HERE", "Helpers", "SANITIZED",
           "Skip", "VarlinkError", "Watch", "alive", "alone", "build", "children", "command_line",
           "commands", "descendants", "diag", "fd_count", "libexec", "limit", "listener_at",
           "parent_of", "pool", "refused", "rss", "slow", "source", "unless", "until", "wait_gone"]

HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_CHILD_SUBREAPER = 36


class Skip(Exception):
    """This test cannot run here; the reason says why."""


def source(*parts):
    """A path in the source tree."""
    return os.path.normpath(os.path.join(HERE, "..", "..", *parts))


def build(*parts):
    """A path in the build tree."""
    return os.path.join(os.path.abspath(os.environ.get("BROOD_BUILD", source("build"))), *parts)


def libexec():
    """The directory of brood-forkserver in the build tree."""
    return next((build(*parts) for parts in (["daemon"], ["daemon", "child"])
                 if os.path.exists(build(*parts, "brood-forkserver"))), build("daemon"))


def is_sanitized():
    try:
        with open(build("meson-info", "intro-buildoptions.json"), encoding="utf-8") as f:
            options = {option["name"]: option["value"] for option in json.load(f)}
    except OSError:
        return False
    return options.get("b_sanitize") not in (None, "none", [])


SANITIZED = is_sanitized()


def slow(seconds):
    """A time that the daemon has to keep, longer where it is built with sanitizers, and where more
    wants to run than there are CPUs."""
    crowd = max(1, os.getloadavg()[0] / os.cpu_count())
    return seconds * crowd * (4 if SANITIZED else 1)


def limit(seconds):
    """Decorates a test that may take longer than the usual minute."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def alone(function):
    """Decorates a test that measures times: no other runs beside it."""
    function.alone = True
    return function


def unless(condition, why):
    """Skips the test unless the condition holds."""
    if not condition:
        raise Skip(why)


def become_subreaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def until(condition, what, seconds=10):
    """Waits until the condition is true (its value is returned)."""
    end = time.monotonic() + slow(seconds)
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "not within %s s: %s" % (seconds, what)
        time.sleep(0.002)


# --- processes ---

def read_stat(pid):
    """The fields of /proc/PID/stat from the state on, or None."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as f:
            return f.read().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return None


def alive(pid):
    stat = read_stat(pid)
    return stat is not None and stat[0] not in (b"Z", b"X")


def parent_of(pid):
    stat = read_stat(pid)
    return int(stat[1]) if stat else None


def children(pid):
    found = []
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as f:
            found += [int(word) for word in f.read().split()]
    return found


def descendants(pid):
    found, todo = [], children(pid)
    while todo:
        child = todo.pop()
        if child not in found:
            found.append(child)
            todo += children(child)
    return found


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip() or "?"
    except OSError:
        return "gone"


def rss(pid):
    """Resident memory in bytes."""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M).group(1)) * 1024


def fd_count(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class Watch:
    """The deaths of processes, by their pidfds."""

    def __init__(self, pids):
        self.fds = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self.fds[os.pidfd_open(pid)] = pid

    def wait(self, seconds):
        """Waits until all are dead. Returns the pids of those that are not."""
        poll = select.poll()
        left = dict(self.fds)
        for fd in left:
            poll.register(fd, select.POLLIN)
        end = time.monotonic() + seconds
        while left:
            ready = poll.poll(max(0, end - time.monotonic()) * 1000)
            for fd, _ in ready:
                poll.unregister(fd)
                del left[fd]
            if not ready:
                break
        return list(left.values())

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = {}


def wait_gone(pids, seconds=10):
    """Waits until none of the processes is alive."""
    watch = Watch(pids)
    left = watch.wait(slow(seconds))
    watch.close()
    assert not left, "still alive: %s" % ["%d (%s)" % (p, command_line(p)) for p in left]


def reap():
    """Reaps what has come to us and is dead. Returns the pids."""
    reaped = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            reaped.append(pid)
    return reaped


# --- configuration ---

def pool(handlers=None, module=None, process="", settings="", **keys):
    """The text of a pool file. Keys are written like min_workers=2."""
    lines = ["[Pool]"]
    if handlers:
        lines.append("Handlers=" + handlers)
    if module is None and "command" not in keys and "builtin" not in keys:
        module = "diag.so"
    if module:
        lines.append("Module=" + module)
    for key, value in keys.items():
        name = "".join(part.capitalize() for part in key.split("_"))
        lines.append("%s=%s" % (name, value))
    if process:
        lines += ["[Process]", process]
    if settings:
        lines += ["[Settings]", settings]
    return "\n".join(lines) + "\n"


def diag(**keys):
    """A pool of the diag module: two workers, no spare, quick to retry and to kill."""
    given = {"min_workers": 2, "spare_workers": 0, "kill_after": "200ms", "backoff": "10ms"}
    given.update(keys)
    return pool(**given)


def commands(**keys):
    given = {"builtin": "exec", "min_workers": 2, "spare_workers": 0, "kill_after": "400ms"}
    given.update(keys)
    return pool(**given)


DIAG = {"diag": diag()}
EXEC = {"exec": commands()}

# As a service manager hands sockets over: they are the descriptors from 3 on.
HAND_OVER = """
import os, sys
given = [int(fd) for fd in sys.argv[1].split(",")]
for i, fd in enumerate(given):
    os.dup2(fd, 100 + i, inheritable=False)
for i, fd in enumerate(given):
    os.close(fd)
for i in range(len(given)):
    os.dup2(100 + i, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)))
if sys.argv[2]:
    os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.execv(sys.argv[3], sys.argv[3:])
"""

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")


class Daemon:
    """A broodd of its own."""

    running = []  # those that are not ended yet; the runner looks at it

    def __init__(self, pools=None, conf="", args=(), env=None, start=True, ready=True,
                 log_level="debug"):
        self.directory = tempfile.mkdtemp(prefix="brood-test-")
        for name in ("config", "config/pools", "state", "run"):
            os.mkdir(self.path(name))
        self.socket_path = self.path("run/brood.sock")
        self.write("config/brood.conf", conf)
        for name, text in (DIAG if pools is None else pools).items():
            self.write_pool(name, text)
        self.args, self.env = list(args), dict(env or {})
        self.log_level = log_level
        self.interface = load_interface(source("lib"), "io.brood")
        self.lines, self.heard = [], threading.Condition()
        self.process = None
        self._client = None
        self.ended = False
        Daemon.running.append(self)
        if start:
            try:
                self.start(ready=ready)
            except BaseException:
                self.end()
                raise

    # files

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def write_pool(self, name, text):
        return self.write("config/pools/%s.pool" % name, text)

    # the process

    def command(self):
        return [build("daemon", "broodd"), "--config=" + self.path("config"),
                "--socket=" + self.socket_path, "--state-directory=" + self.path("state"),
                "--runtime-directory=" + self.path("run"), "--log-level=" + self.log_level,
                *self.args]

    def environment(self):
        env = dict(os.environ)
        for name in ("LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET",
                     "STATE_DIRECTORY"):
            env.pop(name, None)
        # what a sanitizer finds goes to files, and fails the test; see check_sanitizers()
        env["ASAN_OPTIONS"] = ":".join(filter(None, [
            env.get("ASAN_OPTIONS", ""), "log_path=" + self.path("sanitizer")]))
        env["UBSAN_OPTIONS"] = ":".join(filter(None, [
            env.get("UBSAN_OPTIONS", ""), "log_path=" + self.path("sanitizer")]))
        env.update({
            "BROOD_MODULE_PATH": build("lib", "modules") + ":" + build("tests", "integration"),
            "BROOD_LIBEXEC": libexec(),
            "BROOD_TEST": self.directory,
        })
        env.update(self.env)
        return env

    def start(self, ready=True, listen_on=None, command=None):
        """Starts it. `ready`: waits until all pools have their workers. `listen_on`: a socket
        to hand over by LISTEN_FDS, or {name: socket}, for LISTEN_FDNAMES, too."""
        argv, fds = command or self.command(), ()
        if listen_on is not None:
            named = listen_on if isinstance(listen_on, dict) else {"": listen_on}
            fds = tuple(s.fileno() for s in named.values())
            argv = [sys.executable, "-c", HAND_OVER, ",".join(map(str, fds)), ":".join(named),
                    *argv]
        self.process = subprocess.Popen(argv, env=self.environment(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        pass_fds=fds, start_new_session=True)
        self.reader = threading.Thread(target=self._read_log, args=(self.process.stderr,),
                                       daemon=True)
        self.reader.start()
        self._client = None
        if not ready:
            return self
        self.await_socket()
        self.await_workers()
        return self

    @property
    def pid(self):
        return self.process.pid

    def _read_log(self, pipe):
        for line in iter(pipe.readline, b""):
            with self.heard:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.heard.notify_all()
        pipe.close()
        with self.heard:
            self.heard.notify_all()

    def log(self):
        with self.heard:
            return "\n".join(self.lines)

    def wait_log(self, pattern, seconds=10, start=0):
        """Waits for a line of the log that matches; returns the match."""
        end = time.monotonic() + slow(seconds)
        with self.heard:
            at = start
            while True:
                for line in self.lines[at:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                at = len(self.lines)
                left = end - time.monotonic()
                assert left > 0, "no line of the log matches %r" % pattern
                self.heard.wait(left)

    def await_socket(self, seconds=10):
        """Waits until it takes connections."""
        end = time.monotonic() + slow(seconds)
        while True:
            try:
                Connection(self.socket_path).close()
                return
            except OSError:
                assert self.process.poll() is None, "the daemon ended: %s" % self.process.returncode
                assert time.monotonic() < end, "no socket at %s" % self.socket_path
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.005)

    def await_workers(self, seconds=10):
        """Waits until no pool has a worker that is starting, and none lacks one."""
        def settled():
            try:
                pools = self.call("Status")["pools"]
            except (Closed, OSError):
                raise AssertionError("the daemon ended: %s" % self.wait_exit(5)) from None
            return all(p["starting"] == 0 and p["idle"] + p["busy"] > 0 for p in pools)
        until(settled, "all workers ready", seconds)

    def wait_exit(self, seconds=20):
        """Waits for its end by itself; returns the status (negative: the signal)."""
        status = self.process.wait(slow(seconds))
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            if not self.ended:
                self.stop()
        else:
            self.end()

    def stop(self, status=0, seconds=20):
        """SIGTERM, the exit status, and the proof that nothing is left."""
        assert self.process.poll() is None, "ended before: %s" % self.process.returncode
        self.process.terminate()
        try:
            got = self.wait_exit(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("does not stop; below it: %s" % [
                command_line(p) for p in descendants(self.pid)]) from None
        if got != status:
            self.check_sanitizers()
            raise AssertionError("exit status %d" % got)
        self.prove_clean()

    def prove_clean(self, seconds=0):
        """No process below the test, nothing in the runtime directory, no sanitizer's report."""
        self.disconnect()
        left = [p for p in self.marked() if alive(p)]
        if left and seconds:
            watch = Watch(left)
            left = watch.wait(slow(seconds))
            watch.close()
        names = ["%d %s" % (p, command_line(p)) for p in left]
        assert not left, "processes left: %s" % names
        reap_orphans()
        files = sorted(os.listdir(self.path("run")))
        assert not files, "left in the runtime directory: %s" % files
        files = [f for f in os.listdir(self.path("state")) if f not in ("lock", "brood.db")]
        assert not files, "left in the state directory: %s" % files
        self.reader.join(slow(5))
        assert not self.reader.is_alive(), "somebody still holds the daemon's stderr"
        self.check_sanitizers()
        self.end()

    def check_sanitizers(self):
        for name in glob.glob(self.path("sanitizer*")):
            with open(name, encoding="utf-8", errors="replace") as f:
                report = f.read()
            # what the look for leaks says of a process that is killed under it is no report
            if report.strip() and "Unable to get registers" not in report[:100]:
                raise AssertionError("a sanitizer's report:\n" + report)
        found = SANITIZER.search(self.log())
        assert not found, "a sanitizer's report in the log: " + found.group(0)

    def marked(self):
        """The processes that came to us or are ours, but are none of the test's own."""
        own = {d.process.pid for d in Daemon.running if d.process and d is not self}
        found = []
        for child in children(os.getpid()):
            if child not in own and child not in Helpers.pids:
                found += [child, *descendants(child)]
        return found

    def disconnect(self):
        if self._client:
            self._client.close()
            self._client = None

    def end(self):
        """Whatever it takes: kills it and all that is left of it, and removes the directory."""
        if self.ended:
            return
        self.ended = True
        self.disconnect()
        if self.process:
            below = descendants(self.pid) if self.process.poll() is None else []
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pid in [*below, *self.marked()]:
                with contextlib.suppress(ProcessLookupError):
                    if alive(pid) and os.getpid() in ancestors(pid):
                        os.kill(pid, signal.SIGKILL)
            reap_orphans()
            self.reader.join(5)
        if self in Daemon.running:
            Daemon.running.remove(self)
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self):
        """SIGKILL to the daemon alone, and waits for it."""
        self.process.kill()
        self.process.wait()

    # talking to it

    def connect(self, limit=20):
        return Connection(self.socket_path, self.interface, slow(limit))

    @property
    def client(self):
        if self._client is None:
            self._client = self.connect()
        return self._client

    def call(self, method, **parameters):
        return self.client.call(method, **parameters)

    def submit(self, handler, args=None, **spec):
        """Submits a job; returns its id."""
        return self.call("Submit", job=job_spec(handler, args, spec))["id"]

    def run(self, handler, args=None, **spec):
        """Submits a job and waits for its end; returns the job."""
        return self.call("Submit", job=job_spec(handler, args, spec), wait=True)["job"]

    def wait(self, id, seconds=20):
        return self.call("Wait", id=id, timeout_usec=int(slow(seconds) * 1e6))["job"]

    def get(self, id):
        return self.call("Get", id=id)["job"]

    def status(self):
        return self.call("Status")

    def pool_status(self, name="diag"):
        return next(p for p in self.status()["pools"] if p["name"] == name)

    def workers(self, pool=None):
        return self.call("ListWorkers", **({"pool": pool} if pool else {}))["workers"]

    def pids(self, pool=None):
        return [w["pid"] for w in self.workers(pool)]

    def worker_of(self, id):
        """The worker that runs a job; waits until one does."""
        def find():
            return next((w for w in self.workers() if id in w["jobs"]), None)
        return until(find, "a worker that runs %s" % id)

    def await_state(self, id, state, seconds=10):
        return until(lambda: self.get(id)["state"] == state and self.get(id),
                     "%s %s" % (id, state), seconds)

    def fork_servers(self):
        """The pids of the fork servers: what the daemon has started itself."""
        return [p for p in children(self.pid) if "forkserver" in command_line(p)]

    def tree(self):
        """Everything below the daemon."""
        return descendants(self.pid)

    @contextlib.contextmanager
    def steady_descriptors(self):
        """What is done inside leaves the daemon with as many descriptors as it had."""
        self.call("Status")
        before = fd_count(self.pid)
        yield
        until(lambda: fd_count(self.pid) <= before, "no more than %d descriptors" % before, 5)


def job_spec(handler, args, spec):
    job = {"handler": handler}
    if args is not None:
        job["args"] = args
    job.update(spec)
    return job


def ancestors(pid):
    found = []
    while pid and pid != 1:
        pid = parent_of(pid)
        found.append(pid)
    return found


def reap_orphans():
    """Reaps the zombies that came to us, but not the children that subprocess looks after."""
    own = {d.process.pid for d in Daemon.running if d.process} | Helpers.pids
    for child in children(os.getpid()):
        if child not in own and not alive(child):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)


class Helpers:
    """Processes that a test starts itself."""

    pids = set()

    @classmethod
    @contextlib.contextmanager
    def process(cls, *args, **kwargs):
        """A subprocess.Popen that is ended with the block."""
        process = subprocess.Popen(*args, **kwargs)
        cls.pids.add(process.pid)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
            cls.pids.discard(process.pid)


def listener_at(path):
    """A listening socket at a path."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(16)
    return s

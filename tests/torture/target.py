# SPDX-License-Identifier: MIT
"""The daemon under torture: its config, its processes, and the shots at them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time

from varlink import Closed, Connection, VarlinkError

PR_SET_CHILD_SUBREAPER = 36

# What runs the jobs. `forked` has short runs, so that some are written ahead; all of them retry
# at once, and none is suspected for the workers that we kill.
POOLS = {
    "forked": "Module=%(module)s\nHandlers=tally\nMinWorkers=2\nSpareWorkers=1\n",
    "spawned": "Module=%(module)s\nHandlers=score\nStartMethod=spawn\nMinWorkers=2\n"
               "SpareWorkers=1\n",
    "exec": "Builtin=exec\nMinWorkers=2\nSpareWorkers=0\nMaxAttempts=100\n",
}
COMMON = "Backoff=10ms\nBackoffMax=100ms\nKillAfter=500ms\nPoisonDeaths=0\n"
SETTINGS = "[Settings]\ndirectory=%(tallies)s\n"
CONF = "[Daemon]\nStopTimeout=5s\n[Queue]\nKeepFinished=1d\nKeepFinishedMax=10000000\n"
SEMAPHORES = {"narrow": 1, "wide": 3}


class Fault(Exception):
    """Something that must not be; what, in words."""


def become_subreaper():
    """Whatever the daemon starts, and however it leaves it, falls to this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir("/proc/%d/task" % pid):
            with contextlib.suppress(OSError), \
                    open("/proc/%d/task/%s/children" % (pid, task), encoding="ascii") as f:
                found += [int(word) for word in f.read().split()]
    return found


def descendants(pid):
    found = children(pid)
    for child in found:
        found += [c for c in children(child) if c not in found]
    return found


def name_of(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return "gone"


def is_zombie(pid):
    try:
        with open("/proc/%d/stat" % pid, "rb") as f:
            return f.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True


class Programs:
    """Where broodd and what belongs to it are: a build tree, or an installation's bin/."""

    def __init__(self, folder, module=None):
        self.folder = os.path.abspath(folder)
        self.is_tree = os.path.exists(os.path.join(self.folder, "daemon", "broodd"))
        self.broodd = self.find("daemon", "broodd")
        self.broodctl = self.find("daemon", "ctl", "broodctl")
        self.module = os.path.abspath(
            module or os.path.join(self.folder, "tests", "torture", "torture.so"))
        for file in self.broodd, self.module:
            if not os.path.exists(file):
                raise Fault("there is no %s: see --bin and --module" % file)

    def find(self, *parts):
        return os.path.join(self.folder, *(parts if self.is_tree else parts[-1:]))

    def environment(self, directory):
        env = dict(os.environ)
        for name in ("LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "STATE_DIRECTORY"):
            env.pop(name, None)
        for name in "ASAN_OPTIONS", "UBSAN_OPTIONS":  # what a sanitizer finds goes to files
            env[name] = ":".join(filter(None, [
                env.get(name), "log_path=" + os.path.join(directory, "sanitizer")]))
        if self.is_tree:
            env["BROOD_MODULE_PATH"] = os.path.join(self.folder, "lib", "modules")
            env["BROOD_LIBEXEC"] = os.path.join(self.folder, "daemon", "child")
        return env


class Target:
    """One daemon after the other, in the same directories."""

    def __init__(self, programs, directory, say):
        self.programs, self.directory, self.say = programs, directory, say
        self.socket = self.path("run", "sock")
        self.tallies = self.path("tallies")
        self.process = None
        self.starts, self.is_up = 0, False
        self.longest_start = 0
        self.env = programs.environment(directory)
        self.write_config()
        self.has_semaphores = self.takes_semaphores()

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    # --- its config ---

    def write_config(self):
        for name in ("config", "config/pools", "config/brood.conf.d", "state", "run", "tallies"):
            os.mkdir(self.path(name))
        names = {"module": self.programs.module, "tallies": self.tallies}
        self.write("config/brood.conf", CONF)
        for name, text in POOLS.items():
            text = "[Pool]\n" + text % names + COMMON
            if name != "exec":
                text += SETTINGS % names
            self.write("config/pools/%s.pool" % name, text)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def takes_semaphores(self):
        """Does this version know [Semaphores]? Then there are some."""
        name = "config/brood.conf.d/semaphores.conf"
        self.write(name, "[Semaphores]\n" + "".join(
            "%s=%d\n" % pair for pair in SEMAPHORES.items()))
        check = subprocess.run([self.programs.broodd, "--check-config",
                                "--config=" + self.path("config")], env=self.env,
                               capture_output=True, text=True, check=False)
        if check.returncode != 0:
            os.unlink(self.path(name))
        return check.returncode == 0

    # --- its life ---

    def start(self):
        argv = [self.programs.broodd, "--config=" + self.path("config"), "--socket=" + self.socket,
                "--state-directory=" + self.path("state"),
                "--runtime-directory=" + self.path("run"), "--log-level=notice"]
        with open(self.path("broodd.log"), "ab") as log:
            self.process = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        self.starts += 1
        self.is_up = False
        self.say("supervisor %d starts" % self.process.pid)

    def await_answer(self, seconds=60):
        """Waits until it answers. Returns Status."""
        began = time.monotonic()
        while True:
            self.check_alive()
            try:
                with Connection(self.socket, None, seconds) as c:
                    status = c.call("Status")
                break
            except (Closed, OSError, VarlinkError) as error:
                if time.monotonic() - began > seconds:
                    raise Fault("the supervisor does not answer within %d s of its start: %s"
                                % (seconds, error)) from None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.003)
        self.is_up = True
        self.longest_start = max(self.longest_start, time.monotonic() - began)
        return status

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            raise Fault("the supervisor ended by itself: %s"
                        % ("status %d" % status if status >= 0 else
                           "signal %s" % signal.Signals(-status).name))

    def kill(self):
        """SIGKILL to the supervisor alone."""
        self.check_alive()
        self.say("kills supervisor %d" % self.process.pid)
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM, and its end in good order."""
        self.check_alive()
        self.say("stops supervisor %d" % self.process.pid)
        self.process.terminate()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Fault("the supervisor does not stop within %d s" % seconds) from None
        if status != 0:
            raise Fault("the supervisor ended with status %d after SIGTERM" % status)

    def end(self):
        """Whatever it takes."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    # --- what is below it ---

    def fork_servers(self):
        return [p for p in children(self.process.pid) if not is_zombie(p)]

    def workers(self):
        return [w for p in self.fork_servers() for w in children(p)]

    def commands(self):
        return [c for w in self.workers() for c in children(w)]

    def shoot(self, kind, pick):
        """SIGKILL to one of a kind (worker, fork_server, command). Returns False if there is
        none. A daemon that starts takes its config for unusable, and ends, if a process dies that
        tries a module: nothing below it is shot at before it is up."""
        if not self.is_up:
            self.await_answer()
        victims = sorted(getattr(self, kind + "s")())
        if not victims:
            return False
        victim = victims[int(pick * len(victims))]
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(victim)
            try:
                if victim not in descendants(self.process.pid):
                    return False  # the number may be somebody else's by now
                self.say("kills %s %d (%s)" % (kind, victim, name_of(victim)))
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                return True
            finally:
                os.close(fd)
        return False

    def left_over(self, own, seconds=2):
        """The processes that are still there some time after its end, but for `own`."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            left = [p for p in descendants(os.getpid()) if p not in own and not is_zombie(p)]
            if not left or time.monotonic() > end:
                return ["%d (%s)" % (p, name_of(p)) for p in left]
            time.sleep(0.005)

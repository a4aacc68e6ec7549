# SPDX-License-Identifier: MIT
"""A booted systemd in a box (box.sh), as an object.

    with Box("name") as box:
        box.run("systemctl", "start", "x.service")

Whatever happens in the `with`, the box is ended with all that runs in it.
"""

import collections
import contextlib
import os
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "box.sh")
LIFETIME = 300

Done = collections.namedtuple("Done", "out err status")


class Failed(AssertionError):
    """A command did not end as it had to."""


def until(condition, what, seconds=10):
    """Waits until the condition is true; returns its value. `what` may be a function."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError("not within %s s: %s" % (seconds, what() if callable(what)
                                                          else what))
        time.sleep(0.02)


def script(*args, env=None, check=True):
    done = subprocess.run([SCRIPT, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=90,
                          env=dict(os.environ, **(env or {})))
    if check and done.returncode != 0:
        raise Failed("box.sh %s: status %d\n%s%s" % (" ".join(args), done.returncode,
                                                     done.stdout, done.stderr))
    return done


class Box:
    """files: a tar file of save(), with which it begins; v1: limits by v1 controllers."""

    def __init__(self, name, files=None, v1=False):
        self.name, self.files, self.v1 = name, files, v1
        self.pid = None

    def __enter__(self):
        self.boot()
        return self

    def __exit__(self, *_):
        self.end()

    def boot(self):
        env = {"BOX_FILES": self.files or "", "BOX_V1": "1" if self.v1 else ""}
        script("start", self.name, str(LIFETIME), env=env)
        self.pid = int(script("pid", self.name).stdout)

    def end(self):
        script("stop", self.name, "now")

    def save(self, path):
        script("save", self.name, path)

    # --- what is in it ---

    def path(self, path):
        """A file of the box as it is seen from outside."""
        return "/proc/%d/root/%s" % (self.pid, path.lstrip("/"))

    def read(self, path):
        with open(self.path(path), encoding="utf-8", errors="replace") as f:
            return f.read()

    def write(self, path, text, mode=0o644):
        """Writes a file; a name without leading folders needs them to be there."""
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(path), mode)

    def copy(self, source, path, mode=0o644):
        with open(source, "rb") as f:
            data = f.read()
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "wb") as f:
            f.write(data)
        os.chmod(self.path(path), mode)

    def exists(self, path):
        return os.path.lexists(self.path(path))

    # --- commands ---

    def command(self, argv, user=None):
        if user:
            argv = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env",
                    "HOME=/home/" + user, "USER=" + user, *argv]
        return [SCRIPT, "run", self.name, *argv]

    def run(self, *argv, user=None, input=None, status=0, seconds=30):
        """Runs a command; `status` is what it has to end with (None: anything)."""
        try:
            done = subprocess.run(self.command(argv, user), input=input,
                                  stdin=None if input is not None else subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, errors="replace", timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise Failed("%s: not done within %d s" % (" ".join(argv), seconds)) from late
        if status is not None and done.returncode != status:
            raise Failed("%s: status %d, not %d\n%s%s" % (" ".join(argv), done.returncode, status,
                                                         done.stdout, done.stderr))
        return Done(done.stdout, done.stderr, done.returncode)

    def begin(self, *argv, user=None, **kwargs):
        """Starts a command; the caller waits for it (a box's end ends it in any case)."""
        given = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     text=True)
        given.update(kwargs)
        return subprocess.Popen(self.command(argv, user), **given)

    # --- control groups ---

    def group(self, path):
        """A control group of the box as it is seen from outside: there its pids are ours."""
        if path.startswith("/sys/fs/cgroup"):
            raise ValueError(path)
        mount = subprocess.run(["findmnt", "-nrt", "cgroup2", "-o", "TARGET"], check=True,
                               stdout=subprocess.PIPE, text=True).stdout.split()[0]
        return os.path.join(mount, "box-" + self.name, path.lstrip("/"))

    def groups(self, path):
        """{path below it: [pid outside]} of a control group and all below it."""
        top = self.group(path)
        found = {}
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(OSError), open(os.path.join(folder, "cgroup.procs"),
                                                    encoding="ascii") as f:
                found[os.path.relpath(folder, top)] = [int(pid) for pid in f.read().split()]
        return found

    def pids(self, path):
        """All processes in a control group and below it; none if it is not there."""
        return sorted(pid for pids in self.groups(path).values() for pid in pids)


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip() or "?"
    except OSError:
        return "gone"


def kill(pid, signal_number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)

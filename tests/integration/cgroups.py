# SPDX-License-Identifier: MIT
"""A cgroup subtree of a test's own, and a daemon that lives in it.

    with Subtree() as tree, tree.daemon(EXEC) as d:
        assert tree.pids("supervisor") == [d.pid]

The subtree is real: below the root of the mounted version 2 hierarchy, which takes root. Whatever
happens, it is killed and removed at the end; what a test that was itself killed has left, the next
one removes.
"""

import contextlib
import glob
import os
import re
import shutil
import tempfile
import time

from harness import Daemon, Skip, alive, until

PREFIX = "brood-test-"


def mounted():
    """Where the version 2 hierarchy is mounted, or None."""
    with open("/proc/self/mountinfo", encoding="ascii") as f:
        for line in f:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 ") and before.split()[3] == "/":
                return before.split()[4]
    return None


def read(*parts):
    with open(os.path.join(*parts), encoding="ascii") as f:
        return f.read()


def write(text, *parts):
    with open(os.path.join(*parts), "w", encoding="ascii") as f:
        f.write(text)


def remove(path):
    """Kills and removes a group with all below it."""
    if not os.path.isdir(path):
        return
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            write("1", path, "cgroup.kill")
        for folder, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if not os.path.isdir(path):
            return
        time.sleep(0.005)
    raise AssertionError("%s can not be removed" % path)


def remove_old(top):
    for path in glob.glob(os.path.join(top, PREFIX + "*")):
        pid = re.match(PREFIX + r"(\d+)-", os.path.basename(path))
        if pid and not alive(int(pid.group(1))):
            remove(path)


class Tree:
    """Groups by their path below the top."""

    def __init__(self, path):
        self.path = path

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def groups(self):
        """All that are there, the top not counted."""
        return sorted(os.path.relpath(folder, self.path)
                      for folder, _, _ in os.walk(self.path) if folder != self.path)

    def pids(self, group="."):
        try:
            return [int(p) for p in read(self.at(group, "cgroup.procs")).split()]
        except (FileNotFoundError, OSError):
            return []

    def all_pids(self):
        return [p for g in [".", *self.groups()] for p in self.pids(g)]

    def await_pid(self, group):
        """The one process of a group; waits until there is one."""
        return until(lambda: self.pids(group), "a process in " + group)[0]

    def await_gone(self, *groups):
        for g in groups:
            until(lambda g=g: not os.path.exists(self.at(g)), "%s is removed" % g)

    def enter(self, pid, group):
        write(str(pid), self.at(group), "cgroup.procs")

    def environment(self):
        return {}

    def command(self, daemon, wrap=()):
        return daemon.command()

    def start(self, daemon, wrap=(), **how):
        return daemon.start(command=self.command(daemon, wrap), **how)

    @contextlib.contextmanager
    def daemon(self, *args, wrap=(), **kwargs):
        """A daemon in it. `wrap`: what runs it, as setpriv(1) does."""
        kwargs.setdefault("env", {}).update(self.environment())
        d = Daemon(*args, start=False, **kwargs)
        with d:
            self.start(d, wrap)
            yield d


class Subtree(Tree):
    def __init__(self, mark=True):
        top = mounted()
        if os.geteuid() != 0 or not top or not os.access(os.path.join(top, "cgroup.procs"),
                                                         os.W_OK):
            raise Skip("needs root and a cgroup2 that is mounted and can be written")
        remove_old(top)
        super().__init__(tempfile.mkdtemp(prefix="%s%d-" % (PREFIX, os.getpid()), dir=top))
        os.chmod(self.path, 0o755)
        if mark:
            os.setxattr(self.path, "user.delegate", b"1")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            left = self.groups(), self.all_pids()
            remove(self.path)
            assert left == ([], []), "left in the subtree: %s, processes %s" % left
        else:
            remove(self.path)

    def command(self, daemon, wrap=()):
        """Its shell enters, then becomes it."""
        return ["/bin/sh", "-c", 'echo 0 >%s/cgroup.procs && exec "$@"' % self.path, "sh",
                *wrap, *daemon.command()]


class MadeUp(Tree):
    """Plain directories that stand in for a delegated cgroup with all controllers."""

    def __init__(self, controllers="cpuset cpu io memory pids"):
        super().__init__(tempfile.mkdtemp(prefix="brood-madeup-"))
        write(controllers + "\n", self.path, "cgroup.controllers")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def environment(self):
        return {"BROOD_CGROUP_ROOT": self.path}

    def read(self, *parts):
        return read(self.path, *parts).strip()

    def write(self, text, *parts):
        write(text, self.path, *parts)

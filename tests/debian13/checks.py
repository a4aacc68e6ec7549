# SPDX-License-Identifier: MIT
"""That the root is what its tests take it for: a function check_…(root) fails by raising."""

import contextlib
import fcntl
import os

# One interpreter can have a GIL of its own since this one.
OWN_GIL = (3, 12)
TELL = """
import platform, sys, sysconfig
print(platform.freedesktop_os_release()["VERSION_ID"])
print("%d.%d" % sys.version_info[:2])
print(sysconfig.get_config_var("VERSION"))
"""


def judge(words):
    """What is wrong with a root that has said this: its Debian, the version of its python3, and
    those of the headers and of the library that a program is linked with."""
    if len(words) != 4:
        return "not 4 words: %r" % words
    if words[0] != "13":
        return "Debian %s, not 13" % words[0]
    for what, version in zip(("python3", "its headers", "python3-embed.pc"), words[1:]):
        if tuple(int(part) for part in version.split(".")[:2]) < OWN_GIL:
            return "%s: %s; a GIL for each interpreter needs 3.12" % (what, version)
    return None


def check_a_gil_for_each_interpreter(root):
    """Debian 13, and a Python that is 3.12 or later."""
    status, out = root.run("sh", "-c", 'python3 -c "$1" && pkg-config --modversion python3-embed',
                           "sh", TELL)
    wrong = judge(out.split())
    assert status == 0 and not wrong, wrong or out


def check_only_the_build_tree_is_written(root):
    """The root and the source are read-only; what is in /tmp is gone with the command."""
    status, out = root.run("sh", "-c", "touch /build/here && rm /build/here && touch /tmp/here; "
                                       "test -e /src/meson.build && ! touch /src/here /here")
    assert status == 0 and out.count("Read-only file system") == 2, out
    status, out = root.run("test", "-e", "/tmp/here")
    assert status == 1, out


def check_nothing_is_left(root):
    """No process that a command has left behind, and no mount."""
    seconds = "%d" % (10**7 + os.getpid())
    before = mounts()
    status, out = root.run("sh", "-c", "setsid sleep %s >/dev/null 2>&1 & "
                                       "until grep -qs ^sleep /proc/$!/cmdline; do :; done"
                             % seconds)
    assert status == 0, out
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and seconds in command_line(pid)]
    assert not left, "left: %s" % left
    assert mounts() == before, sorted(mounts() - before)


def check_time_is_bounded(root):
    """A command that does not end is ended."""
    status, out = root.run("sleep", "1000", seconds=1)
    assert status == 137, (status, out)


def check_it_stays_while_it_is_used(root):
    """Who would make it anew waits until no command runs in it."""
    lock = os.path.join(os.environ.get("BROOD_TEST_CACHE", "/var/cache/brood-tests"), "lock")
    with root.begin("sh", "-c", "echo here; sleep 60") as running:
        assert running.stdout.readline() == "here\n"
        with open(lock, encoding="ascii") as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise AssertionError("nobody has the lock")
        running.kill()


def mounts():
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return {line for line in f if "brood" in line}


def command_line(pid):
    with contextlib.suppress(OSError), open("/proc/%s/cmdline" % pid, encoding="utf-8",
                                            errors="replace") as f:
        return f.read().split("\0")
    return []


CHECKS = [function for name, function in list(globals().items()) if name.startswith("check_")]

# SPDX-License-Identifier: MIT
"""A journald for tests: its sockets, in a mount namespace of the test's own.

    with Journald() as journald, LoggingDaemon(journald, {...}) as d:
        journald.wait(MESSAGE_ID=ids["READY"])

It takes entries of the native protocol (systemd.io, "Native Journal Protocol") at
/run/systemd/journal/socket, and lines at …/stdout, where the daemon's stderr is connected to.
"""

import array
import contextlib
import ctypes
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

from harness import Daemon, Helpers, Skip, slow, source, unless, until

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
FOLDER = "/run/systemd/journal"

# Becomes the daemon, with its stderr connected to the journal, and says so, or lies.
CONNECT = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("%s/stdout")
os.dup2(s.fileno(), 2)
at = os.fstat(2)
os.environ["JOURNAL_STREAM"] = sys.argv[1] or "%%d:%%d" %% (at.st_dev, at.st_ino)
os.execv(sys.argv[2], sys.argv[2:])
""" % FOLDER


def message_ids():
    """{"READY": "8fa7…", …}: those of the header."""
    with open(source("daemon", "ops", "message_ids.h"), encoding="utf-8") as f:
        return dict(re.findall(r'^#define MESSAGE_(\w+)\s+"(\w+)"$', f.read(), re.M))


def enter_namespace():
    """A mount namespace with an empty /run; before there is a second thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise Skip("no mount namespace: %s" % os.strerror(ctypes.get_errno()))
    for call in ((b"none", b"/", None, MS_REC | MS_PRIVATE, None),
                 (b"tmpfs", b"/run", b"tmpfs", 0, None)):
        if libc.mount(call[0], call[1], call[2], ctypes.c_ulong(call[3]), call[4]) != 0:
            raise Skip("no mounts of its own: %s" % os.strerror(ctypes.get_errno()))
    os.makedirs(FOLDER)


def parse(data):
    """The fields of an entry, {name: bytes}."""
    fields = {}
    while data:
        line, newline, rest = data.partition(b"\n")
        assert newline, data
        name, equals, value = line.partition(b"=")
        if not equals:
            size = struct.unpack_from("<Q", rest)[0]
            value, rest = rest[8:8 + size], rest[8 + size:]
            assert len(value) == size and rest[:1] == b"\n", (name, size)
            rest = rest[1:]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name), name
        assert name not in fields, name
        fields[name.decode()] = value
        data = rest
    return fields


class Journald:
    """`listening`: it takes entries; else only its socket for lines is there."""

    def __init__(self, listening=True):
        enter_namespace()
        self.entries, self.lines = [], []  # [{name: bytes}], [bytes]
        self.heard = threading.Condition()
        self.may_read = threading.Event()
        self.may_read.set()
        self.streams = socket.socket(socket.AF_UNIX)
        self.streams.bind(FOLDER + "/stdout")
        self.streams.listen()
        threading.Thread(target=self._take_streams, daemon=True).start()
        self.socket = None
        if listening:
            self.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.may_read.set()

    def listen(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(FOLDER + "/socket")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(FOLDER + "/socket")
        os.chmod(FOLDER + "/socket", 0o666)
        threading.Thread(target=self._take_entries, args=(self.socket,), daemon=True).start()

    @staticmethod
    def _is_there(ancillary):
        """Is the sender still a process, of which could be found out what unit it is of?"""
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                with contextlib.suppress(OSError):
                    return bool(os.readlink("/proc/%d/exe" % struct.unpack("3i", payload)[0]))
        return False

    def _take_entries(self, at):
        while True:
            data, ancillary, flags, _ = at.recvmsg(1 << 20, 1024)
            there = self._is_there(ancillary)
            self.may_read.wait()
            assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
            entry = None
            for level, kind, payload in ancillary:
                if kind == socket.SCM_CREDENTIALS:
                    pid, uid, _ = struct.unpack("3i", payload)
                elif kind == socket.SCM_RIGHTS:  # too large for a datagram: a memfd
                    fd = array.array("i", payload)[0]
                    data = os.pread(fd, 1 << 30, 0)
                    os.close(fd)
            entry = parse(data)
            entry["_PID"], entry["_UID"] = b"%d" % pid, b"%d" % uid
            entry["there"] = there
            with self.heard:
                self.entries.append(entry)
                self.heard.notify_all()

    def _take_streams(self):
        while True:
            stream, _ = self.streams.accept()
            threading.Thread(target=self._take_lines, args=(stream,), daemon=True).start()

    def _take_lines(self, stream):
        with stream.makefile("rb") as f:
            for line in f:
                with self.heard:
                    self.lines.append(line.rstrip(b"\n"))
                    self.heard.notify_all()

    def hide(self):
        """Who has not yet found it does not."""
        os.unlink(FOLDER + "/socket")

    def hang(self):
        """It reads nothing more but one entry."""
        self.may_read.clear()

    def go_on(self):
        self.may_read.set()

    def find(self, start=0, **fields):
        """The entries, from the start-th on, that have these fields (a value None: not)."""
        wanted = {name: value if value is None or isinstance(value, bytes) else
                  str(value).encode() for name, value in fields.items()}
        with self.heard:
            return [e for e in self.entries[start:]
                    if all(e.get(name) == value for name, value in wanted.items())]

    def wait(self, seconds=10, n=1, start=0, **fields):
        """Waits for n of them; returns the n-th."""
        end = time.monotonic() + slow(seconds)
        with self.heard:
            while True:
                found = self.find(start, **fields)
                if len(found) >= n:
                    return found[n - 1]
                left = end - time.monotonic()
                assert left > 0, "%d entries with %r, not %d, of these:\n%s" % (
                    len(found), fields, n, "\n".join(map(str, self.entries[-40:])))
                self.heard.wait(left)

    def wait_line(self, pattern, seconds=10):
        """Waits for a line of a stream that matches."""
        end = time.monotonic() + slow(seconds)
        with self.heard:
            while True:
                for line in self.lines:
                    if re.search(pattern, line):
                        return line
                left = end - time.monotonic()
                assert left > 0, "no line %r in %r" % (pattern, self.lines[-40:])
                self.heard.wait(left)

    def messages(self, **fields):
        return [e["MESSAGE"] for e in self.find(**fields)]


class RealJournald:
    """systemd's own, in the same place; it keeps what it is told in /run, which is ours."""

    PROGRAM = "/lib/systemd/systemd-journald"
    CONFIG = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=\nRateLimitBurst=0\n"

    def __init__(self):
        unless(os.path.exists(self.PROGRAM) and shutil.which("journalctl"), "no journald here")
        unless(os.path.exists("/etc/machine-id") and os.path.getsize("/etc/machine-id") > 1,
               "no /etc/machine-id")
        enter_namespace()
        os.makedirs("/run/systemd/journald.conf.d")
        with open("/run/systemd/journald.conf.d/test.conf", "w", encoding="ascii") as f:
            f.write(self.CONFIG)
        self.process = subprocess.Popen([self.PROGRAM], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        Helpers.pids.add(self.process.pid)
        until(lambda: os.path.exists(FOLDER + "/stdout"), "journald listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        Helpers.pids.discard(self.process.pid)

    def read(self, *matches):
        """The entries that match, oldest first."""
        text = subprocess.run(["journalctl", "-D", "/run/log/journal", "-o", "json", "--no-pager",
                               "-q", *matches], stdout=subprocess.PIPE, check=False).stdout
        return [json.loads(line) for line in text.splitlines()]


class LoggingDaemon(Daemon):
    """A daemon whose stderr is connected to the journal. `stream`: what JOURNAL_STREAM says in
    place of the truth."""

    def __init__(self, journald, *args, stream="", **keys):
        self.journald, self.stream = journald, stream
        super().__init__(*args, **keys)

    def command(self):
        return [sys.executable, "-c", CONNECT, self.stream, *super().command()]

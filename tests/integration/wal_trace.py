# SPDX-License-Identifier: MIT
"""What broodd's system calls say of its durability, by strace.

Trace: attached to a daemon for the time of a block; afterwards the calls in the order in which
they were made. strace stops a thread at each entry and each exit until it has noted it, so the
order of its lines is the order of the things themselves: a call whose entry stands behind the exit
of an fdatasync was made after it.

promises(): each thing that the daemon has told somebody, and what had to be on disk before.
broken(): those that were told too early. What is on disk is read from the pages that were
written to the log: they are parsed as SQLite's b-tree leaves, down to the rows of the table `job`.
"""

import contextlib
import json
import re
import select
import signal
import subprocess
import time

from harness import Helpers, Skip, slow

CALLS = ("fdatasync,fsync,sync_file_range,pwrite64,pwritev,pwritev2,write,writev,sendmsg,sendto,"
         "sendmmsg")
SCHEDULED, BLOCKED, QUEUED, RUNNING, SUCCEEDED = range(5)


class Call:
    """One system call: its name, file, bytes written, and the lines of its begin and end."""

    def __init__(self, name, text, begin):
        self.name, self.begin, self.end, self.result = name, begin, None, None
        match = re.match(r"\d+<((?:\\x[0-9a-f]{2}|[^>\\]|(?<=-)>)*)>", text)
        self.file = unescape(match.group(1)).decode(errors="replace") if match else ""
        self.rest = text[match.end():] if match else text
        self._data = None

    @property
    def data(self):
        if self._data is None:
            self._data = b"".join(unescape(part) for part in re.findall(r'"([^"]*)"', self.rest))
        return self._data

    def is_socket(self):
        return self.file.startswith(("UNIX", "socket"))


def unescape(text):
    return re.sub(rb"\\x(..)", lambda m: bytes.fromhex(m.group(1).decode()), text.encode())


class Trace:
    """Use it as a context manager; then `calls`."""

    def __init__(self, daemon):
        self.pid, self.path = daemon.pid, daemon.path("strace.%d" % time.monotonic_ns())
        self.calls = []

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.process = self.stack.enter_context(Helpers.process(
            ["strace", "-f", "-ttt", "-xx", "-yy", "-s", "1000000", "-e", "trace=" + CALLS,
             "-o", self.path, "-p", str(self.pid)], stderr=subprocess.PIPE))
        try:
            self.await_attached()
        except BaseException:
            self.stack.close()
            raise
        return self

    def await_attached(self):
        text, end = b"", time.monotonic() + slow(10)
        while b" attached" not in text:
            assert select.select([self.process.stderr], [], [], end - time.monotonic())[0], text
            some = self.process.stderr.read1(4096)
            text += some
            if not some:
                raise Skip("strace cannot attach: %s" % text.decode(errors="replace").strip())

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(slow(10))
        self.stack.close()
        if kind is None:
            with open(self.path, encoding="ascii") as f:
                self.calls = parse(f)


LINE = re.compile(r"(\d+) +[\d.]+ (?:(\w+)\((.*?)( <unfinished \.\.\.>|\) += (-?\d+|\?).*)"
                  r"|<\.\.\. (\w+) resumed>.*?\) += (-?\d+|\?).*)$")


def parse(lines):
    """The calls, in the order of their beginnings."""
    calls, under_way = [], {}
    for number, line in enumerate(lines):
        match = LINE.match(line.rstrip("\n"))
        if not match:
            continue  # a signal, the end of a thread
        thread, name, text, rest, result, resumed, resumed_result = match.groups()
        if name:
            call = Call(name, text, number)
            calls.append(call)
            if "unfinished" in rest:
                under_way[thread] = call
            else:
                call.end, call.result = number, result
        elif thread in under_way and under_way[thread].name == resumed:
            call = under_way.pop(thread)
            call.end, call.result = number, resumed_result
    return calls


# --- SQLite's file format, as far as it is needed (sqlite.org/fileformat2.html) ---

def varint(page, at):
    value = 0
    for i in range(9):
        byte = page[at + i]
        if i == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7f
        if byte < 0x80:
            return value, at + i + 1
    raise AssertionError


INT_SIZES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}


def column(page, kind, at):
    """A column's value, and where the next one is; None for what is of no interest."""
    if kind in INT_SIZES:
        size = INT_SIZES[kind]
        value = {0: None, 8: 0, 9: 1}.get(kind, int.from_bytes(page[at:at + size], "big",
                                                               signed=True))
        return value, at + size
    if kind == 7:
        return None, at + 8
    size = (kind - 12 - kind % 2) // 2
    return page[at:at + size].decode(errors="replace") if kind % 2 else None, at + size


def rows(page, columns):
    """The rows of a leaf of a table: each the first of its columns, by name."""
    if page[0] != 0x0d:
        return
    for i in range(int.from_bytes(page[3:5], "big")):
        at = int.from_bytes(page[8 + 2 * i:10 + 2 * i], "big")
        try:
            _, at = varint(page, at)      # the size of the payload
            rowid, at = varint(page, at)
            size, kinds_at = varint(page, at)
            end, at, row = at + size, at + size, {"rowid": rowid}
            for name in columns:
                if kinds_at >= end:
                    break
                kind, kinds_at = varint(page, kinds_at)
                row[name], at = column(page, kind, at)
        except IndexError:
            continue  # goes on in another page, but by then we have what we need
        yield row


def columns_of_job(database):
    """The names of the first columns, up to the one that is needed last."""
    try:
        import sqlite3
    except ImportError as error:
        raise Skip("this Python has no sqlite3") from error
    link = sqlite3.connect("file:%s?mode=ro" % database, uri=True)
    names = [row[1] for row in link.execute("PRAGMA table_info(job)")]
    link.close()
    return names[:max(names.index(n) for n in ("id", "state", "attempt")) + 1]


# --- what was promised, and what was kept ---

class Log:
    """The commits of brood.db-wal: from which line on which row was on disk."""

    def __init__(self, calls, columns):
        self.writes = [c for c in calls if c.name.startswith("pwrite")
                       and c.file.endswith("brood.db-wal")]
        self.syncs = [c for c in calls if c.name in ("fdatasync", "fsync")
                      and c.file.endswith("brood.db-wal") and c.result == "0"]
        self.rows = []  # (the line at which it was written, the row)
        for write in self.writes:
            if len(write.data) >= 512 and write.end is not None:
                self.rows += [(write.end, row) for row in rows(write.data, columns)]

    def safe_from(self, condition):
        """The line from which on a row that fulfils the condition was on disk: the end of the
        first fdatasync that was begun after it had been written. None: never."""
        written = next((line for line, row in self.rows if condition(row)), None)
        if written is None:
            return None
        return next((s.end for s in self.syncs if s.begin > written), None)


class Promise:
    """Something that was told to somebody, by one call, and the row that had to be on disk."""

    def __init__(self, what, call, condition):
        self.what, self.call, self.condition = what, call, condition

    def is_kept(self, log):
        safe = log.safe_from(self.condition)
        return safe is not None and safe < self.call.begin


def messages(call):
    """The JSON messages in what one call wrote to a socket."""
    for text in call.data.split(b"\0"):
        with contextlib.suppress(ValueError):
            message = json.loads(text)
            if isinstance(message, dict):
                yield message


def has_row(id, attempt=0, state=None):
    return lambda row: (row.get("id") == id and (row.get("attempt") or 0) >= attempt
                        and (state is None or row.get("state") == state))


def promises(calls, ids):
    """All that was told of these jobs."""
    found = []
    for call in calls:
        if not call.is_socket():
            continue
        for message in messages(call):
            parameters = message.get("parameters") or {}
            job = parameters.get("job") or {}
            if message.get("method") == "io.brood.Worker.Run":
                id, attempt = parameters["id"], parameters["attempt"]
                found.append(Promise("Run of %s, attempt %d" % (id, attempt), call,
                                     has_row(id, attempt, RUNNING)))
            elif job.get("state") == "succeeded":
                found.append(Promise("the end of %s" % job["id"], call,
                                     has_row(job["id"], 1, SUCCEEDED)))
            else:
                told = [parameters.get("id"), job.get("id"), *(parameters.get("ids") or ())]
                found += [Promise("reply with %s" % id, call, has_row(id)) for id in told if id]
    return [p for p in found if any(id in p.what for id in ids)]


def broken(calls, ids, columns):
    """What was told too early, in words."""
    log = Log(calls, columns)
    return [p.what for p in promises(calls, ids) if not p.is_kept(log)]

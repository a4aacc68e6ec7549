#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our Varlink against the one of Go, both ways round, by org.varlink.certification.

    test_certification.py BROOD-CERTIFICATION VARLINK-GO-CERTIFICATION

A wrong value on the way, put there by a proxy, has to be noticed by whoever gets it.
"""

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

OURS, GOS = sys.argv[1:3]
LIMIT = 20


def connect(path, process):
    """Connects to a server that is coming up."""
    end = time.monotonic() + LIMIT
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            if process.poll() is not None:
                raise AssertionError("the server ended: %d" % process.returncode)
            if time.monotonic() > end:
                raise
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)


@contextlib.contextmanager
def server(command, path):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connect(path, process).close()
        yield
    finally:
        process.terminate()
        status = process.wait(LIMIT)
    if command[0] == OURS:
        assert status == 0, "our server ended with %d" % status


@contextlib.contextmanager
def proxy(path, to, old, new, direction):
    """Passes one connection through, with one text changed on the way ("up": to the server)."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    changed = []

    def pump(source, sink, change):
        data = b""
        while True:
            more = source.recv(65536)
            data += more
            whole, nul, data = data.rpartition(b"\0")
            if change and old in whole:
                whole = whole.replace(old, new, 1)
                changed.append(1)
            with contextlib.suppress(OSError):
                sink.sendall(whole + nul)
                if not more:
                    sink.shutdown(socket.SHUT_WR)
            if not more:
                return

    def run():
        if not select.select([listener], [], [], LIMIT)[0]:
            return
        with listener.accept()[0] as client, socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(to)
            up = threading.Thread(target=pump, args=(client, upstream, direction == "up"))
            up.start()
            pump(upstream, client, direction == "down")
            client.shutdown(socket.SHUT_RDWR)
            up.join()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    listener.close()
    assert changed, "nothing was changed on the way"


def run_client(command):
    """Runs a client. Returns whether it reached the end, and what it said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=LIMIT, text=True)
    # Go's client exits with 0 whatever happens, so look at what it says
    reached = re.search("^End(: 'true')?$", done.stdout, re.M)
    return done.returncode == 0 and bool(reached), done.stdout


def pairs(directory):
    """(name, server command, its path, client command for a path)"""
    ours, gos = os.path.join(directory, "ours"), os.path.join(directory, "gos")
    yield ("Go's client, our server", [OURS, "--server", ours], ours,
           lambda path: [GOS, "-varlink", "unix:" + path, "-client"])
    yield ("our client, Go's server", [GOS, "-varlink", "unix:" + gos], gos,
           lambda path: [OURS, "--client", path])
    yield ("our client, our server", [OURS, "--server", ours], ours,
           lambda path: [OURS, "--client", path])


WRONG = [
    (b'"ping"', b'"pong"', "down"),
    (b'"ping"', b'"pong"', "up"),
    (b'"enum":"two"', b'"enum":"one"', "up"),
    (b'"first":1', b'"first":2', "up"),
    (b'"more":true', b'"more":false', "up"),
    (b"Reply number 9", b"Reply number 8", "up"),
]


def main():
    failed = 0

    def report(what, good, text):
        nonlocal failed
        failed += not good
        print("%s: %s" % (what, "ok" if good else "FAIL\n" + text))

    with tempfile.TemporaryDirectory() as directory:
        between = os.path.join(directory, "between")
        for name, command, path, client in pairs(directory):
            with server(command, path):
                report("%s: all the way to End" % name, *run_client(client(path)))
                for old, new, direction in WRONG:
                    if command[0] == GOS and old.startswith(b"Reply"):
                        continue  # Go's server does not look at the oneway call
                    with proxy(between, path, old, new, direction):
                        reached, text = run_client(client(between))
                    os.unlink(between)
                    report("%s: %s instead of %s on the way %s is noticed"
                           % (name, new.decode(), old.decode(), direction), not reached, text)
    return 1 if failed else 0


sys.exit(main())

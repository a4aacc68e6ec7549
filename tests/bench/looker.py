# SPDX-License-Identifier: MIT
"""looker.py SOCKET METRICS WATCHERS COMMAND...: people who look at a daemon.

WATCHERS calls of Watch for pools and workers, whose replies are read; each second a scrape of the
Unix socket METRICS by HTTP, and a run of COMMAND. Prints "begun" when all of it has been done once;
at the end of its stdin it prints "scrapes commands replies", and ends."""
import json
import selectors
import socket
import subprocess
import sys
import time

WATCH = {"method": "io.brood.Watch", "more": True, "parameters": {"kinds": ["pool", "worker"]}}
EVERY = 1.0


def watcher(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(json.dumps(WATCH).encode() + b"\0")
    return s


def scrape(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(path)
        s.sendall(b"GET /metrics HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n")
        got = b""
        while data := s.recv(1 << 16):
            got += data
    assert b" 200 " in got.split(b"\r\n")[0] and got.endswith(b"# EOF\n"), got[:100]


def main():
    path, metrics, watchers, command = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    poll = selectors.DefaultSelector()
    poll.register(sys.stdin, selectors.EVENT_READ)
    for _ in range(watchers):
        poll.register(watcher(path), selectors.EVENT_READ)
    scrapes = commands = replies = 0
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            due += EVERY
            scrape(metrics)
            scrapes += 1
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
                           timeout=20)
            commands += 1
            if scrapes == 1:
                print("begun", flush=True)
        for key, _ in poll.select(max(0, due - time.monotonic())):
            if key.fileobj is sys.stdin:
                print(scrapes, commands, replies, flush=True)
                return
            data = key.fileobj.recv(1 << 16)
            if not data:
                sys.exit("the daemon has dropped a watcher")
            replies += data.count(b"\0")


main()

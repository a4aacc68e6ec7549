# SPDX-License-Identifier: MIT
"""The figures of a daemon, read back from their text."""

import http.client
import re
import socket
import subprocess

from harness import build, slow

__all__ = ["CTL", "Client", "Scrape", "ctl", "families", "figure", "figures", "scrape", "text_of"]

CTL = build("daemon", "ctl", "broodctl")
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"(?:,|$)')


def ctl(d, *args, status=0, env=None, seconds=60):
    """broodctl's output; fails if it ends with another status."""
    done = subprocess.run([CTL, "--socket=" + d.socket_path, *args], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=slow(seconds),
                          env={**d.environment(), "LC_ALL": "C.UTF-8", **(env or {})}, check=False)
    assert status is None or done.returncode == status, (args, done)
    return done.stdout


def labels_of(text):
    found = LABEL.findall(text or "")
    assert "".join('%s="%s",' % pair for pair in found).rstrip(",") == (text or ""), text
    return frozenset(found)


def figures(text):
    """{(name, {(label, value)}): number} of all samples; there are no two of one series."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        series = match[1], labels_of(match[2])
        assert series not in found, line
        found[series] = float(match[3])
    return found


def families(text):
    """{name: type}; each family stands in one piece, with its help before it."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def figure(got, name, **labels):
    """One sample; 0 if there is no such series, so that one can ask for what is yet to come."""
    return got.get((name, frozenset(labels.items())), 0)


def text_of(d, format="prometheus"):
    return d.call("Metrics", format=format)["text"]


class Scrape:
    """An answer by HTTP."""

    def __init__(self, answer):
        self.status, self.reason, self.body = answer.status, answer.reason, answer.read().decode()
        self.type = answer.getheader("Content-Type")
        self.size = answer.getheader("Content-Length")


class Client(http.client.HTTPConnection):
    """HTTP to an address, or to the path of a socket."""

    def __init__(self, at, limit):
        super().__init__("localhost", timeout=limit)
        self.at = at

    def connect(self):
        if isinstance(self.at, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.at)
        else:
            self.sock = socket.create_connection(self.at, self.timeout)


def scrape(at, path="/metrics", method="GET", body=None, limit=20, **headers):
    """at: a path, or (address, port)."""
    client = Client(at, slow(limit))
    try:
        client.request(method, path, body, headers)
        return Scrape(client.getresponse())
    finally:
        client.close()

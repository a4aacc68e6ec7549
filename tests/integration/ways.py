#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ways in which a worker can break the protocol, in one table, and the worker that does it.

    ways.py WAY HANDLER

serves one handler, and breaks the protocol in that way: at once, at Prepare, or at each Run. Of the
honest ways ("honest-…") no one breaks it: they fail as a worker may.

A row: when it happens, what the worker does, how the daemon tells of it (a pattern for the words of
an attempt or, at the start, of the log; None: by the timeout of the job alone), and which check of
try-worker fails with what words.
"""

import json
import os
import sys
from collections import namedtuple

import worker

Way = namedtuple("Way", "when act daemon check words")
NONSENSE = "broke the protocol"
RESULT = {"result": {"fine": True}}
GOOD = json.dumps({"parameters": RESULT}).encode() + b"\0"


def says(*messages):
    """Writes these bytes."""
    return lambda w, connection: connection.sendall(b"".join(messages))


def answers(parameters, **more):
    return says(json.dumps({"parameters": parameters, **more}).encode() + b"\0")


def nested(levels):
    return b'{"parameters":{"result":{"a":' + b"[" * levels + b"]" * levels + b"}}}\0"


def endless(_, connection):
    connection.sendall(b'{"parameters":{"result":{"x":"')
    while True:
        connection.sendall(b"x" * 65536)


def cut(_, connection):
    connection.sendall(GOOD[:-9])
    os._exit(0)


def close(w, connection):
    w.loop.unregister(connection)
    connection.close()


def elsewhere(w, _):
    w.connections[-1].sendall(GOOD)


WAYS = {
    # at once, or at Prepare
    "exit": Way("birth", lambda w, c: os._exit(7), "status 7", "ready", "status 7"),
    "greeting": Way("birth", says(GOOD), NONSENSE, "ready", "'result' is"),
    "prepare-silence": Way("prepare", lambda w, c: None, "not ready in time", "ready", "no answer"),
    "prepare-error": Way("prepare", answers({"message": "no"},
                                            error="io.brood.Worker.HandlerFailed"),
                         NONSENSE, "ready", "answered io.brood.Worker.HandlerFailed"),
    "prepare-nothing": Way("prepare", answers({}), NONSENSE, "ready", "'handlers' is missing"),
    "prepare-text": Way("prepare", answers({"handlers": "all"}), NONSENSE, "ready",
                        "'handlers' is"),
    "prepare-fewer": Way("prepare", answers({"handlers": ["strange"]}), "does not offer handler",
                         "handlers", "does not name"),
    "prepare-continues": Way("prepare", lambda w, c: w.reply(c, {"handlers": [w.handler]},
                                                             continues=True),
                             NONSENSE, "ready", "continues"),
    "unasked": Way("prepared", says(GOOD), NONSENSE, "quiet", "nobody asked"),
    # at a run
    "silence": Way("run", lambda w, c: None, None, "run", "no answer"),
    "no-nul": Way("run", says(GOOD[:-1]), None, "run", "does not end: [0-9]+ bytes, and no NUL"),
    "elsewhere": Way("run", elsewhere, None, "run", "on the control connection"),
    "no-json": Way("run", says(b"{this is no JSON}\0"), NONSENSE, "run", "not a JSON object"),
    "empty": Way("run", says(b"\0"), NONSENSE, "run", "not a JSON object"),
    "no-object": Way("run", says(b"[1]\0"), NONSENSE, "run", "not a JSON object"),
    "rest": Way("run", says(GOOD[:-1] + b" and more\0"), NONSENSE, "run", "not a JSON object"),
    "no-utf8": Way("run", says(b'{"parameters":{"result":{"x":"\xff"}}}\0'), NONSENSE, "run",
                   "not a JSON object"),
    "nul-escape": Way("run", says(b'{"parameters":{"result":{"x":"\\u0000"}}}\0'), NONSENSE, "run",
                      "not a JSON object"),
    "nan": Way("run", says(b'{"parameters":{"result":{"x":NaN}}}\0'), NONSENSE, "run",
               "not a JSON object"),
    "big-integer": Way("run", says(b'{"parameters":{"result":{"x":9223372036854775808}}}\0'),
                       NONSENSE, "run", "'result' is .*too large"),
    "key-twice": Way("run", says(b'{"parameters":{"result":{"x":1,"x":2}}}\0'), NONSENSE, "run",
                     "not a JSON object|there twice"),
    "deep": Way("run", says(nested(3000)), NONSENSE, "run", "2048 levels"),
    "result-text": Way("run", answers({"result": "fine"}), NONSENSE, "run", "'result' is"),
    "wrong-call": Way("run", answers({"handlers": ["x"]}), NONSENSE, "run", "'handlers' is"),
    "stranger": Way("run", answers({**RESULT, "speed": 7}), NONSENSE, "run", "'speed' is"),
    "strange-error": Way("run", answers({"message": "x"}, error="com.example.Oops"), NONSENSE,
                         "run", "com.example.Oops is none of"),
    "bare-error": Way("run", answers({}, error="io.brood.Worker.HandlerFailed"), NONSENSE, "run",
                      "'message' is"),
    "error-continues": Way("run", answers({"message": "x"}, continues=True,
                                          error="io.brood.Worker.HandlerFailed"),
                           NONSENSE, "run", "continue"),
    "call": Way("run", says(b'{"method":"io.brood.Submit","parameters":{}}\0'), NONSENSE, "run",
                "'method' is"),
    "twice": Way("run", says(GOOD, GOOD), NONSENSE, "once", "nobody asked"),
    "progress-text": Way("more", answers({"progress": "half"}, continues=True), NONSENSE, "more",
                         "'progress' is"),
    "output-stream": Way("more", answers({"output": {"stream": "log", "data": "x"}},
                                         continues=True),
                         NONSENSE, "more", "'output.stream' is"),
    "too-long": Way("run", endless, NONSENSE, "run", "more than 16777216 bytes"),
    "cut": Way("run", cut, "died|ended", "run", "status 0"),
    "close": Way("run", close, "died|killed", "run", "closed the connection, and lives on"),
}

HONEST = {
    "honest-error": Way("run", lambda w, c: w.reply(c, {"message": "honest"}, "HandlerFailed"),
                        "^honest$", None, None),
    "honest-arguments": Way("run", lambda w, c: w.reply(c, {"message": "honest"}, "BadArguments"),
                            "^honest$", None, None),
    "honest-exit": Way("run", lambda w, c: os._exit(3), "ended with status 3 by itself", "run",
                       "status 3"),
}


class Breaker(worker.Worker):
    """A worker with one handler, and one way."""

    def __init__(self, listener, way, handler):
        super().__init__(listener)
        self.way, self.handler = way, handler
        self.connections = []

    def at(self, when, connection):
        """Does it, if it is time. Was it?"""
        if self.way.when == when:
            self.way.act(self, connection)
        return self.way.when == when

    def begin(self):
        for _ in range(2):
            connection, _ = self.listener.accept()
            self.connections.append(connection)
            self.buffers[connection] = b""
            self.loop.register(connection, worker.selectors.EVENT_READ)
        self.loop.unregister(self.listener)
        self.at("birth", self.connections[0])

    def read(self, connection):
        try:
            super().read(connection)
        except BrokenPipeError:
            sys.exit(0)

    def prepare(self, connection, handlers, **_):
        if not self.at("prepare", connection):
            self.reply(connection, {"handlers": [self.handler]})
            self.at("prepared", connection)

    def run(self, connection, id, attempt, handler, args, **_):
        if handler != self.handler:
            self.reply(connection, {"handler": handler}, "NoSuchHandler")
        elif not self.at("run", connection):
            if self.more:
                self.at("more", connection)
            self.reply(connection, RESULT)


def main():
    way = {**WAYS, **HONEST}[sys.argv[1]]
    breaker = Breaker(worker.socket.socket(fileno=3), way, sys.argv[2])
    breaker.begin()
    breaker.serve()


if __name__ == "__main__":
    main()

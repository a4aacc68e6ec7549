#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A worker for Command= with plain sockets: io.brood.Worker on the socket of LISTEN_FDS.

    worker.py [MODE]

Handlers: add {"a", "b"} → {"sum", "pid"}; nap {"seconds"}, which a Cancel wakes; boom, which dies;
settings, which returns what came with Prepare; say {"pieces"}, which sends each of them as output.
A MODE makes it bad: "mute" never answers Prepare, "exit" exits at once, "garbage" answers a Run
with nonsense, "liar" answers with a wrong type, "flood" with a message that does not end, "few"
does not offer `nap`.
"""

import json
import os
import selectors
import signal
import socket
import sys
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else ""
HANDLERS = ["add", "nap", "boom", "settings", "say"]


class Worker:
    def __init__(self, listener):
        self.listener = listener
        self.loop = selectors.DefaultSelector()
        self.loop.register(listener, selectors.EVENT_READ)
        self.buffers = {}
        self.naps = []  # [(end, connection, id, attempt)]
        self.settings = None
        self.leaving = False
        self.more = False  # may the call that is read be answered more than once?

    def serve(self):
        while not (self.leaving and not self.naps):
            wait = max(0, min(n[0] for n in self.naps) - time.monotonic()) if self.naps else None
            for key, _ in self.loop.select(wait):
                if key.fileobj is self.listener:
                    connection, _ = self.listener.accept()
                    self.buffers[connection] = b""
                    self.loop.register(connection, selectors.EVENT_READ)
                else:
                    self.read(key.fileobj)
            for nap in [n for n in self.naps if n[0] <= time.monotonic()]:
                self.naps.remove(nap)
                self.reply(nap[1], {"result": {"slept": True}})

    def read(self, connection):
        data = connection.recv(65536)
        if not data:
            sys.exit(0)  # the supervisor has gone, or wants us to
        *messages, rest = (self.buffers[connection] + data).split(b"\0")
        self.buffers[connection] = rest
        for message in messages:
            call = json.loads(message)
            self.more = call.get("more", False)
            method = getattr(self, call["method"].rpartition(".")[2].lower())
            method(connection, **(call.get("parameters") or {}))

    def reply(self, connection, parameters, error=None, continues=False):
        message = {"parameters": parameters}
        if continues:
            message["continues"] = True
        if error:
            message["error"] = "io.brood.Worker." + error
        connection.sendall(json.dumps(message).encode() + b"\0")

    def prepare(self, connection, handlers, settings=None, **rest):
        self.settings = {"settings": settings, **rest}
        if MODE == "mute":
            return
        offered = [h for h in HANDLERS if h != "nap"] if MODE == "few" else HANDLERS
        self.reply(connection, {"handlers": [h for h in offered if h in handlers]})

    def run(self, connection, id, attempt, handler, args, **_):
        if MODE == "garbage":
            connection.sendall(b"\xff{this is no JSON\0")
        elif MODE == "liar":
            connection.sendall(b'{"parameters":{"result":"no object"}}\0')
        elif MODE == "flood":
            connection.sendall(b'{"parameters":{"result":{"x":"')
            while True:
                connection.sendall(b"x" * 65536)
        elif handler == "add":
            if not all(isinstance(args.get(k), (int, float)) for k in "ab"):
                self.reply(connection, {"message": "a and b have to be numbers"}, "BadArguments")
                return
            self.reply(connection, {"result": {"sum": args["a"] + args["b"], "pid": os.getpid()}})
        elif handler == "nap":
            self.naps.append((time.monotonic() + args["seconds"], connection, id, attempt))
        elif handler == "boom":
            print("boom goes the worker", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        elif handler == "settings":
            self.reply(connection, {"result": self.settings})
        elif handler == "say":
            for piece in args["pieces"]:
                self.reply(connection, {"output": piece}, continues=True)
            self.reply(connection, {"result": {"said": len(args["pieces"])}})
        else:
            self.reply(connection, {"handler": handler}, "NoSuchHandler")

    def cancel(self, connection, id, attempt, reason):
        for nap in [n for n in self.naps if n[2] == id and n[3] == attempt]:
            self.naps.remove(nap)
            self.reply(nap[1], {"message": "cancelled: " + reason, "retry": True}, "HandlerFailed")
        self.reply(connection, {})

    def leave(self, connection):
        self.reply(connection, {})
        self.leaving = True


def main():
    if MODE == "exit":
        sys.exit(7)
    if int(os.environ.get("LISTEN_PID", 0)) != os.getpid() or os.environ["LISTEN_FDS"] != "1":
        sys.exit("no socket: LISTEN_PID=%s LISTEN_FDS=%s" % (
            os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")))
    if os.environ.get("LISTEN_FDNAMES") != "varlink":
        sys.exit("LISTEN_FDNAMES is %s" % os.environ.get("LISTEN_FDNAMES"))
    Worker(socket.socket(fileno=3)).serve()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""worker.py with worse manners.

    unruly.py [DIRECTORY]

`drag` {} hears no Cancel: at SIGTERM it answers, and the worker exits 100 ms later. `shut`
{"file": "…"} waits for the file; then the worker closes its slot, and lives on, deaf to SIGTERM;
from its second attempt on it succeeds at once. Each drag leaves a file with its id in DIRECTORY.
"""

import os
import signal
import socket
import sys
import time

import worker

worker.HANDLERS += ["drag", "shut"]


class Unruly(worker.Worker):
    def run(self, connection, id, attempt, handler, args, **rest):
        if handler == "drag":
            self.drag(connection, id)
        elif handler == "shut":
            self.shut(connection, attempt, args["file"])
        else:
            super().run(connection, id, attempt, handler, args, **rest)

    def drag(self, connection, id):
        def ends(*_):
            self.reply(connection, {"result": {"dragged": True}})
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                time.sleep(0.01)
            os._exit(0)

        signal.signal(signal.SIGTERM, ends)
        with open(os.path.join(sys.argv[1], id), "w", encoding="ascii"):
            pass
        time.sleep(60)

    def shut(self, connection, attempt, file):
        if attempt > 1:
            self.reply(connection, {"result": {"pid": os.getpid()}})
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while not os.path.exists(file):
            time.sleep(0.005)
        connection.close()
        time.sleep(60)


if __name__ == "__main__":
    Unruly(socket.socket(fileno=3)).serve()

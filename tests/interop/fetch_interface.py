#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks the certification service of Go for its interface file, and writes it.

    fetch_interface.py VARLINK-GO-CERTIFICATION OUTPUT
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

LIMIT = 20
CALL = {"method": "org.varlink.service.GetInterfaceDescription",
        "parameters": {"interface": "org.varlink.certification"}}


def ask(path, process):
    """The reply's parameters, once the server is there."""
    end = time.monotonic() + LIMIT
    while True:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(LIMIT)
            try:
                s.connect(path)
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.01)
                continue
            s.sendall(json.dumps(CALL).encode() + b"\0")
            text = b""
            while not text.endswith(b"\0"):
                more = s.recv(65536)
                assert more, "the server closed the connection"
                text += more
            return json.loads(text[:-1])["parameters"]


def main():
    go, output = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "s")
        process = subprocess.Popen([go, "-varlink", "unix:" + path], stdout=subprocess.DEVNULL)
        try:
            description = ask(path, process)["description"]
        finally:
            process.terminate()
            process.wait(LIMIT)
    with open(output, "w", encoding="utf-8") as f:
        f.write(description.rstrip("\n") + "\n")


main()

# SPDX-License-Identifier: MIT
"""A blocking connection to the daemon, and one that reads while it can not write."""

from __future__ import annotations

import select
import socket
from collections import deque
from typing import Any, Deque, Dict

from . import _wire
from ._errors import ConnectionLost, Unreachable


class Connection:
    """One socket. Replies come in the order of the calls. For one thread at a time."""

    def __init__(self, path: str) -> None:
        """Connects. Raises Unreachable."""
        self.path = path
        self.arrived: Deque[bytes] = deque()
        self.splitter = _wire.Splitter()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # "@name" is an abstract one
            self.socket.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError as error:
            self.socket.close()
            raise Unreachable("cannot reach broodd at %s: %s" % (path, error.strerror)) from None

    def close(self) -> None:
        self.socket.close()

    def lost(self) -> ConnectionLost:
        return ConnectionLost("broodd at %s went away" % self.path)

    def is_lost(self) -> bool:
        """Has the daemon closed it? Does not wait."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise self.lost() from None

    def fill(self) -> None:
        """Reads once."""
        try:
            data = self.socket.recv(_wire.READ_SIZE)
        except ConnectionResetError:
            data = b""
        if not data:
            raise self.lost()
        self.arrived.extend(self.splitter.feed(data))

    def receive(self) -> Dict[str, Any]:
        """The next message; waits for it."""
        while not self.arrived:
            self.fill()
        return _wire.read(self.arrived.popleft())


class Pipe(Connection):
    """Many calls ahead. The daemon stops reading while its replies are not read, so whoever only
    writes may wait for ever: this one reads while it can not write."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.unsent: Deque[bytes] = deque()
        self.socket.setblocking(False)

    def send(self, data: bytes) -> None:
        """Leaves with the next turn()."""
        self.unsent.append(data)

    def flush(self) -> None:
        """Writes what the socket takes."""
        data = b"".join(self.unsent)
        self.unsent.clear()
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            raise self.lost() from None
        if sent < len(data):
            self.unsent.append(data[sent:])

    def turn(self) -> None:
        """Writes, waits until something can be read or written, and reads."""
        if self.unsent:
            self.flush()
        poll = select.poll()
        poll.register(self.socket, select.POLLIN | (select.POLLOUT if self.unsent else 0))
        for _, ready in poll.poll():
            if ready & ~select.POLLOUT:
                self.fill()

    def receive(self) -> Dict[str, Any]:
        while not self.arrived:
            self.turn()
        return _wire.read(self.arrived.popleft())

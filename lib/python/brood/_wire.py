# SPDX-License-Identifier: MIT
"""Varlink (https://varlink.org): a message is a JSON object and a NUL byte."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional

from ._errors import ProtocolError, call_error

READ_SIZE = 256 * 1024

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder()


def default_socket() -> str:
    """$BROOD_SOCKET; else the user's own daemon, if it is there; else the system's."""
    named = os.environ.get("BROOD_SOCKET")
    if named:
        return named
    if os.getuid() != 0:
        runtime = os.environ.get("XDG_RUNTIME_DIR") or "/run/user/%d" % os.getuid()
        own = os.path.join(runtime, "brood", "brood.sock")
        if os.path.exists(own):
            return own
    return "/run/brood/brood.sock"


def text(value: Dict[str, Any]) -> bytes:
    """Raises TypeError or ValueError for what is not JSON."""
    return _encode(value).encode()


def write(message: Dict[str, Any]) -> bytes:
    """Raises as text() does."""
    return text(message) + b"\0"


def call(method: str, parameters: Dict[str, Any], more: bool = False) -> bytes:
    """A call of a method of io.brood, or of any other by its full name."""
    message: Dict[str, Any] = {"method": method if "." in method else "io.brood." + method,
                               "parameters": parameters}
    if more:
        message["more"] = True
    return write(message)


def decode(text: str) -> Any:
    """Raises ValueError. The common case, without spaces round it, first: it is the quicker one."""
    try:
        value, end = _decode.raw_decode(text)
        if end == len(text):
            return value
    except ValueError:
        pass
    return _decode.decode(text)


def read(text: bytes) -> Dict[str, Any]:
    """A message without its NUL."""
    try:
        message = decode(text.decode())
    except ValueError:
        raise ProtocolError("not a message: %.200r" % text) from None
    if not isinstance(message, dict):
        raise ProtocolError("not a message: %.200r" % text)
    return message


def parameters_of(reply: Dict[str, Any]) -> Dict[str, Any]:
    """Raises the error that the reply is."""
    parameters: Dict[str, Any] = reply.get("parameters") or {}
    if reply.get("error"):
        raise call_error(reply["error"], parameters)
    return parameters


class Splitter:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self.pieces: List[bytes] = []

    def feed(self, data: bytes) -> List[bytes]:
        """The messages that are complete now, without their NULs."""
        first, *messages = data.split(b"\0")
        self.pieces.append(first)
        if not messages:
            return messages
        whole = b"".join(self.pieces)
        self.pieces = [messages.pop()]
        return [whole, *messages]


def without_none(**parameters: Any) -> Dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def text_of_interface(name: str) -> Optional[str]:
    """An interface file that lies beside this one."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".varlink")
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return None

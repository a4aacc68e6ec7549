# SPDX-License-Identifier: MIT
"""Varlink in Python, written apart from the C one so that the two check each other.

Interface: parses an interface file and says where a value does not fit it.
Connection: a client's side of a socket; every reply of a known interface is checked.
"""

import array
import contextlib
import json
import os
import re
import socket
import time


class Closed(Exception):
    """The service closed the connection."""


class VarlinkError(Exception):
    """An error reply. `name` is without "io.brood."."""

    def __init__(self, name, parameters):
        super().__init__("%s %s" % (name, json.dumps(parameters)))
        self.full_name = name
        self.name = name[len("io.brood."):] if name.startswith("io.brood.") else name
        self.parameters = parameters


class Interface:
    """An interface file. Types are ("bool"|"int"|"float"|"string"|"object"), ("enum", values),
    ("struct", {field: type}), ("array", type), ("map", type), ("maybe", type), ("name", name)."""

    TOKEN = re.compile(r"\s*(?:#[^\n]*\s*)*([A-Za-z][A-Za-z0-9_.-]*|->|[(),:?]|\[\]|\[string\])")

    def __init__(self, text):
        self.types, self.methods, self.errors = {}, {}, {}
        self.tokens = self.TOKEN.findall(text)
        self.at = 0
        assert self.take() == "interface"
        self.name = self.take()
        while self.at < len(self.tokens):
            kind, name = self.take(), self.take()
            if kind == "method":
                into = self.type()
                assert self.take() == "->"
                self.methods[name] = (into, self.type())
            else:
                {"type": self.types, "error": self.errors}[kind][name] = self.type()

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def peek(self):
        return self.tokens[self.at]

    def type(self):
        token = self.take()
        if token == "?":
            return ("maybe", self.type())
        if token == "[]":
            return ("array", self.type())
        if token == "[string]":
            return ("map", self.type())
        if token in ("bool", "int", "float", "string", "object"):
            return (token,)
        if token != "(":
            return ("name", token)
        fields = {}
        while self.peek() != ")":
            name = self.take()
            fields[name] = None
            if self.peek() == ":":
                self.take()
                fields[name] = self.type()
            if self.peek() == ",":
                self.take()
        self.take()
        if fields and None in fields.values():
            return ("enum", list(fields))
        return ("struct", fields)

    def check(self, kind, value, where):
        """Raises AssertionError if the value does not fit the type."""
        what = kind[0]
        plain = {"bool": bool, "int": int, "float": (int, float), "string": str, "object": dict}
        if what in plain:
            good = isinstance(value, plain[what]) and (what == "bool") == isinstance(value, bool)
            assert good, "%s: %r is not %s" % (where, value, what)
        elif what == "maybe":
            if value is not None:
                self.check(kind[1], value, where)
        elif what == "name":
            self.check(self.types[kind[1]], value, where)
        elif what == "enum":
            assert value in kind[1], "%s: %r is none of %s" % (where, value, kind[1])
        elif what == "array":
            assert isinstance(value, list), "%s: %r is no array" % (where, value)
            for i, element in enumerate(value):
                self.check(kind[1], element, "%s[%d]" % (where, i))
        elif what == "map":
            assert isinstance(value, dict), "%s: %r is no map" % (where, value)
            for key, element in value.items():
                self.check(kind[1], element, "%s.%s" % (where, key))
        else:
            assert isinstance(value, dict), "%s: %r is no struct" % (where, value)
            unknown = set(value) - set(kind[1])
            assert not unknown, "%s has unknown fields %s" % (where, unknown)
            for name, field in kind[1].items():
                if name not in value:
                    assert field[0] == "maybe", "%s lacks %s" % (where, name)
                else:
                    self.check(field, value[name], "%s.%s" % (where, name))


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), "duplicate keys: %s" % keys
    return dict(pairs)


def no_constant(text):
    raise AssertionError("%s is not JSON" % text)


def load_interface(folder, name):
    with open(os.path.join(folder, name + ".varlink"), encoding="utf-8") as f:
        return Interface(f.read())


class Connection:
    """A client's connection, to a path or over a socket that is connected already. Every wait ends
    after `limit` seconds."""

    def __init__(self, path, interface=None, limit=20):
        connected = isinstance(path, socket.socket)
        self.socket = path if connected else socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(limit)
        self.interface = interface
        self.limit = limit
        self.buffer = b""
        self.calls = []  # methods whose replies are still to come
        if connected:
            return
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data, fds=()):
        """Bytes as they are; the descriptors go with the first of them."""
        if fds:
            sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                                 array.array("i", fds))])
            data = data[sent:]
        self.socket.sendall(data)

    def send(self, method, parameters=None, more=False, oneway=False, fds=()):
        message = {"method": method if "." in method else "io.brood." + method}
        if parameters is not None:
            message["parameters"] = parameters
        if more:
            message["more"] = True
        if oneway:
            message["oneway"] = True
        else:
            self.calls.append(message["method"])
        self.send_raw(json.dumps(message).encode() + b"\0", fds)

    def receive_raw(self, limit=None):
        """The next message, without its NUL."""
        end = time.monotonic() + (self.limit if limit is None else limit)
        pieces = [self.buffer]
        while b"\0" not in pieces[-1]:
            left = end - time.monotonic()
            self.socket.settimeout(max(left, 0.001))
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            except OSError:
                self.buffer = b"".join(pieces)
                raise
            if not data:
                self.buffer = b"".join(pieces)
                raise Closed("after %d unread bytes" % len(self.buffer))
            pieces.append(data)
        self.socket.settimeout(self.limit)
        message, _, self.buffer = b"".join(pieces).partition(b"\0")
        return message

    def receive_message(self, limit=None):
        """The next reply as a dict, checked."""
        text = self.receive_raw(limit)
        message = json.loads(text.decode(), object_pairs_hook=no_duplicates,
                             parse_constant=no_constant)
        assert set(message) <= {"parameters", "error", "continues"}, message
        method = self.calls[0] if self.calls else None
        if not message.get("continues") and self.calls:
            self.calls.pop(0)
        self.check(method, message)
        return message

    def check(self, method, message):
        if not self.interface:
            return
        parameters = message.get("parameters") or {}
        error = message.get("error", "")
        prefix = self.interface.name + "."
        if error.startswith(prefix):
            assert not message.get("continues")
            kind = self.interface.errors[error[len(prefix):]]
            self.interface.check(kind, parameters, error)
        elif not error and method and method.startswith(prefix):
            kind = self.interface.methods[method[len(prefix):]][1]
            self.interface.check(kind, parameters, method)

    def receive(self, limit=None):
        """The parameters of the next reply; raises VarlinkError."""
        message = self.receive_message(limit)
        if "error" in message:
            raise VarlinkError(message["error"], message.get("parameters") or {})
        return message.get("parameters") or {}

    def call(self, method, **parameters):
        self.send(method, parameters)
        return self.receive()

    def more(self, method, **parameters):
        """Calls with `more`; yields the parameters of each reply."""
        self.send(method, parameters, more=True)
        while True:
            message = self.receive_message()
            if "error" in message:
                raise VarlinkError(message["error"], message.get("parameters") or {})
            yield message.get("parameters") or {}
            if not message.get("continues"):
                return

    def is_closed(self, limit=None):
        """Waits until the service closes the connection, whatever it sends before."""
        end = time.monotonic() + (self.limit if limit is None else limit)
        try:
            while True:
                self.socket.settimeout(max(end - time.monotonic(), 0.001))
                if not self.socket.recv(1 << 18):
                    return True
        except socket.timeout:
            return False
        except OSError:
            return True


@contextlib.contextmanager
def refused(name):
    """Expects an error reply with this name; gives a dict with its parameters afterwards."""
    parameters = {}
    try:
        yield parameters
    except VarlinkError as error:
        assert error.name == name, "expected %s, got %s" % (name, error)
        parameters.update(error.parameters)
    else:
        raise AssertionError("expected the error %s" % name)

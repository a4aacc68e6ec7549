# SPDX-License-Identifier: MIT
"""The worker's side of io.brood.Worker.

The listening socket has connections waiting in it: one for each slot, and the control connection
last. The main thread reads the first slot and runs handlers; a thread for each other connection
does the same for it. The control connection has to be heard in the middle of a handler, and so does
its end, which says that the supervisor is gone: then this process is gone, too.

An answer is written before the next run begins: what the supervisor has not seen answered when a
worker dies, it takes for what the worker was at.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import signal
import socket
import sys
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from .. import _wire
from . import Cancelled, Job, _piece, _settings
from ._handlers import (HANDLERS, SETUP, SUSPECT, Failure, Handler, encode, failure_of, flush,
                        insist, look_closer, result_text)
from ._loops import Loops

WORKER = "io.brood.Worker."
SERVICE = "org.varlink.service."
READ_SIZE = 256 * 1024
MAX_EARLY = 512  # a worker has 128 slots at the most, and some cancels come too late
ENVELOPE = 256  # round a result there are fewer bytes
FIRST_FD = 3

decode = json.JSONDecoder().decode


# --- answers ---

def failure_text(failure: Failure) -> bytes:
    if failure.bad:
        return error_text(WORKER + "BadArguments", {"message": failure.message})
    parameters: Dict[str, Any] = {"message": failure.message, "retry": failure.retry}
    if failure.kind:
        parameters["kind"] = failure.kind
    if failure.details:
        parameters["details"] = failure.details
    return error_text(WORKER + "HandlerFailed", parameters)


def error_text(name: str, parameters: Dict[str, Any]) -> bytes:
    text = encode({"error": name, "parameters": parameters}).encode(errors="replace")
    if SUSPECT.search(text):
        try:
            look_closer(text)
        except ValueError:
            words = str(parameters.get("message", "")).replace("\0", "\ufffd")
            kept = {"message": words, "retry": bool(parameters.get("retry", True))}
            text = encode({"error": name, "parameters": kept}).encode(errors="replace")
    return text


# --- connections ---

class Voice:
    """To whom a run says how far it is. A thread of its that outlives it is not heard."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.over = False  # under the connection's lock

    def progress(self, fraction: float) -> None:
        self.connection.say(self, {"progress": fraction})

    def output(self, stream: str, data: Union[str, bytes]) -> None:
        self.connection.say(self, {"output": _piece(stream, data)})

    def end(self) -> None:
        with self.connection.lock:
            self.over = True


class Connection:
    """One socket of the supervisor, served by one thread."""

    def __init__(self, server: Server, sock: socket.socket, is_main: bool) -> None:
        self.server = server
        self.socket = sock
        self.is_main = is_main
        self.unsent: List[bytes] = []
        self.lock = threading.Lock()
        self.sending = False

    def serve(self) -> None:
        """Until the other side closes it, or the worker leaves."""
        splitter = _wire.Splitter()
        while not self.server.leaving:
            try:
                data = self.socket.recv(READ_SIZE)
            except ConnectionResetError:
                return
            if not data:
                return
            for text in splitter.feed(data):
                if self.server.leaving:
                    break  # unanswered, and so not begun: the supervisor takes it back
                try:
                    message = decode(text.decode())
                except RecursionError:  # only arguments can be like that
                    self.reply(failure_text(Failure("the arguments are nested too deep for Python",
                                                    False, bad=True)))
                    continue
                self.on_message(message)
            self.flush()

    @property
    def is_alone(self) -> bool:
        """Is it the only slot?"""
        return self.is_main and len(self.server.connections) <= 2

    def reply(self, text: bytes) -> None:
        """Leaves with flush()."""
        self.unsent.append(text)

    def flush(self) -> None:
        if self.unsent:
            data = b"\0".join(self.unsent) + b"\0"
            self.unsent.clear()
            self.send(data)

    def send(self, data: bytes, voice: Optional[Voice] = None) -> None:
        try:
            with self.lock:
                if voice is None or not voice.over:
                    self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)  # nobody is there any more

    def say(self, voice: Voice, parameters: Dict[str, Any]) -> None:
        """What a run says before its answer. An interrupt would cut the message: it waits."""
        text = encode({"parameters": parameters, "continues": True}).encode() + b"\0"
        if threading.get_ident() != self.server.main:
            self.send(text, voice)
            return
        self.sending = True
        try:
            self.send(text, voice)
        finally:
            self.sending = False

    # --- calls ---

    def on_message(self, message: Dict[str, Any]) -> None:
        method = message["method"]
        parameters = message.get("parameters") or {}
        if method == "io.brood.Worker.Run":
            self.run(parameters, bool(message.get("more")))
        else:
            answer = self.server.answer(method, parameters)
            if not message.get("oneway"):
                self.reply(answer)
            if self.server.leaving:
                self.flush()  # before this process may be over
                self.server.wake_slots()

    def run(self, parameters: Dict[str, Any], more: bool) -> None:
        handler = self.server.offered.get(parameters["handler"])
        if handler is None:
            self.reply(error_text(WORKER + "NoSuchHandler", {"handler": parameters["handler"]}))
            return
        self.flush()
        voice = Voice(self)
        job = Job(parameters["id"], parameters["attempt"], parameters["handler"],
                  parameters["args"], parameters.get("timeout_usec"), voice if more else None)
        answer = self.carry_out(handler, job)
        if os.getpid() != self.server.pid:
            sys.stderr.write("brood.worker: a fork of the worker has returned from its handler\n")
            os._exit(1)
        voice.end()
        flush(sys.stdout)
        self.reply(answer)

    def carry_out(self, handler: Handler, job: Job) -> bytes:
        """Runs it. Returns the answer."""
        server = self.server
        server.enter(job)
        try:
            try:
                if handler.is_async:
                    result = server.loops.run(handler, job, not self.is_alone)
                elif self.is_main and handler.interrupt:
                    result = server.run_interruptible(handler, job, self)
                else:
                    result = handler(job)
            finally:
                server.leave(job)
            text = result_text(result)
        except (Cancelled, Exception) as error:
            return failure_text(failure_of(error, job))
        limit = server.max_message - ENVELOPE
        if len(text) > limit:
            return failure_text(Failure("the result has %d bytes, %d are allowed "
                                        "(MaxMessageSize=)" % (len(text), limit), False, "result"))
        return b'{"parameters":{"result":' + text + b"}}"


# --- the worker ---

class Server:
    def __init__(self, max_message: int) -> None:
        self.max_message = max_message
        self.main = threading.get_ident()
        self.pid = os.getpid()
        self.offered: Dict[str, Handler] = {}
        self.prepared = False
        self.leaving = False
        self.connections: List[Connection] = []
        self.lock = threading.Lock()  # where a run that begins meets its cancel
        self.current: Dict[Tuple[str, int], Job] = {}
        self.early: Dict[Tuple[str, int], str] = {}  # cancels that have come before their runs
        self.interruptible: Optional[Tuple[Job, Connection]] = None
        self.loops = Loops()

    # --- jobs ---

    def enter(self, job: Job) -> None:
        with self.lock:
            self.current[job.id, job.attempt] = job
            reason = self.early.pop((job.id, job.attempt), None)
        if reason:
            job._cancel(reason)

    def leave(self, job: Job) -> None:
        self.current.pop((job.id, job.attempt), None)

    def run_interruptible(self, handler: Handler, job: Job, connection: Connection) -> Any:
        """In the main thread, whose sleep a signal ends; see on_signal()."""
        try:
            self.interruptible = (job, connection)
            job._hook = self.interrupt_main
            job.check()
            return handler(job)
        finally:
            self.interruptible = None

    def interrupt_main(self, job: Job) -> None:
        """By a thread of its own: that of the control connection has others to hear."""
        with contextlib.suppress(RuntimeError):  # no more threads: KillAfter= ends the worker
            threading.Thread(target=insist, args=(lambda: self.signal_main(job),),
                             daemon=True).start()

    def signal_main(self, job: Job) -> bool:
        running = self.interruptible
        if running is None or running[0] is not job or job._raised:
            return False
        signal.pthread_kill(self.main, signal.SIGURG)
        return True

    def on_signal(self, *_: Any) -> None:
        """SIGURG, in the main thread. What is being sent is sent; then progress() or output(),
        which are safe points, raise."""
        if self.interruptible and not self.interruptible[1].sending:
            self.interruptible[0].check()

    # --- calls ---

    def answer(self, method: str, parameters: Dict[str, Any]) -> bytes:
        """To any call but Run."""
        interface, _, name = method.rpartition(".")
        methods: Dict[str, Dict[str, Callable[..., bytes]]] = {
            WORKER: {"Prepare": self.prepare, "Cancel": self.cancel, "Leave": self.go},
            SERVICE: {"GetInfo": self.get_info, "GetInterfaceDescription": self.get_interface}}
        if interface + "." not in methods:
            return error_text(SERVICE + "InterfaceNotFound", {"interface": interface})
        if name not in methods[interface + "."]:
            return error_text(SERVICE + "MethodNotFound", {"method": method})
        try:
            return methods[interface + "."][name](**parameters)
        except TypeError as error:
            fault = re.search(r"'(\w+)'", str(error))
            return error_text(SERVICE + "InvalidParameter",
                              {"parameter": fault.group(1) if fault else "?"})

    def prepare(self, pool: str, worker: str, generation: int, handlers: List[str],
                settings: Optional[Dict[str, Any]] = None, **_: Any) -> bytes:
        _settings.clear()
        _settings.update(settings or {})
        if not self.prepared:
            for function in SETUP:
                function(dict(_settings))
        self.prepared = True
        wanted = handlers or list(HANDLERS)  # who asks for none wants to know them all
        self.offered = {name: HANDLERS[name] for name in wanted if name in HANDLERS}
        gc.collect()
        gc.freeze()  # what has been imported is not looked through again
        return encode({"parameters": {"handlers": list(self.offered)}}).encode()

    def cancel(self, id: str, attempt: int, reason: str, **_: Any) -> bytes:
        with self.lock:
            job = self.current.get((id, attempt))
            if job is None:
                self.early[id, attempt] = reason
                if len(self.early) > MAX_EARLY:
                    del self.early[next(iter(self.early))]
        if job is not None:
            job._cancel(reason)
        return b'{"parameters":{}}'

    def go(self, **_: Any) -> bytes:
        self.leaving = True
        return b'{"parameters":{}}'

    def wake_slots(self) -> None:
        """Who waits for a run there has waited long enough."""
        for connection in self.connections[:-1]:
            try:
                connection.socket.shutdown(socket.SHUT_RD)
            except OSError:
                pass

    def get_info(self) -> bytes:
        return encode({"parameters": {
            "vendor": "brood", "product": "Python worker", "version": "1", "url": "",
            "interfaces": [SERVICE[:-1], WORKER[:-1]]}}).encode()

    def get_interface(self, interface: str) -> bytes:
        text = _wire.text_of_interface(interface) if interface == WORKER[:-1] else \
            SERVICE_TEXT if interface == SERVICE[:-1] else None
        if text is None:
            return error_text(SERVICE + "InterfaceNotFound", {"interface": interface})
        return encode({"parameters": {"description": text}}).encode()

    # --- connections ---

    def attend(self, connection: Connection) -> None:
        """A thread of its own for a connection; its end is the supervisor's."""
        try:
            connection.serve()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        if not self.leaving:
            os._exit(0)

    def run_supervised(self, sockets: List[socket.socket]) -> None:
        self.connections = [Connection(self, s, i == 0) for i, s in enumerate(sockets)]
        signal.signal(signal.SIGURG, self.on_signal)
        slots = [threading.Thread(target=self.attend, args=(c,), daemon=True)
                 for c in self.connections[1:]]
        for thread in slots:
            thread.start()
        self.connections[0].serve()
        for thread in slots[:-1] if self.leaving else ():
            thread.join()

    def run_alone(self, first: socket.socket, listener: socket.socket) -> None:
        """Somebody tries it by hand: one connection after the other."""
        listener.setblocking(True)
        while not self.leaving:
            self.connections = [Connection(self, first, True)]
            self.connections[0].serve()
            first.close()
            if not self.leaving:
                first, _ = listener.accept()


SERVICE_TEXT = """\
# The Varlink Service Interface is provided by every varlink service. It describes the service and
# the interfaces it implements.
interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
"""


# --- the socket ---

def take_listener() -> socket.socket:
    """The socket that was passed as systemd passes them (sd_listen_fds(3))."""
    environment = {name: os.environ.pop(name, "") for name in
                   ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    names = environment["LISTEN_FDNAMES"].split(":")
    if environment["LISTEN_PID"] != str(os.getpid()) or not environment["LISTEN_FDS"].isdigit() \
            or environment["LISTEN_FDS"] == "0":
        sys.exit("brood.worker: this is a worker, which broodd starts (Command= of a pool file); "
                 "to try it: broodctl try-worker %s" % " ".join(["python3", *sys.argv]))
    fd = FIRST_FD + (names.index("varlink") if "varlink" in names else 0)
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def accept_all(listener: socket.socket) -> List[socket.socket]:
    """The connections that are waiting; waits for the first."""
    sockets = [listener.accept()[0]]
    listener.setblocking(False)
    try:
        while True:
            sockets.append(listener.accept()[0])
    except BlockingIOError:
        pass
    for s in sockets:
        s.setblocking(True)
    return sockets


served = False


def main(max_message: int) -> None:
    global served
    if served:
        return
    served = True
    listener = take_listener()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    server = Server(max_message)
    sockets = accept_all(listener)
    if len(sockets) == 1:
        server.run_alone(sockets[0], listener)
        return
    listener.close()
    server.run_supervised(sockets)

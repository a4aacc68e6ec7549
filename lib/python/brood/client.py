# SPDX-License-Identifier: MIT
"""The client that blocks."""

from __future__ import annotations

import threading
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Type, Union
from types import TracebackType

from . import _map, _wire
from ._connection import Connection
from ._errors import ConnectionLost
from ._records import Change, Job, Output, Reason, Status, Ticket, Worker, fill
from ._spec import Seconds, Spec, spec_of, usec

def _result_of(job: Dict[str, Any]) -> Dict[str, Any]:
    return (job.get("result") or {}) if job["state"] == "succeeded" else Job.of(job).get()


def _is_output(piece: Output) -> bool:
    return bool(piece.data)  # the last one says only that it was the last


#: Idle connections that are kept.
MAX_IDLE = 4


class Client:
    """Connections to one daemon.

    Any number of threads may use it at once: each call has a connection to itself while it lasts,
    and so has each iterator. A child that was forked has to make a client of its own.

    A call whose connection is lost is repeated once, on a new one, where that can do no harm: it
    only asks, or it submits (ids are made here, and the same id is the same job). Else, and if the
    second one is lost too, it raises ConnectionLost. Every call may raise Unreachable and
    CallError.
    """

    def __init__(self, socket: Optional[str] = None) -> None:
        """Connects to the daemon at this path ("@name": an abstract socket). None: $BROOD_SOCKET;
        without it the user's own daemon, if its socket is there; else the system's. Raises
        Unreachable."""
        self.path = socket or _wire.default_socket()
        self._lock = threading.Lock()
        self._idle: List[Connection] = [Connection(self.path)]
        self._closed = False

    def close(self) -> None:
        """Closes the idle connections. What is under way goes on to its end."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    # --- connections ---

    def _take(self, new: bool = False) -> Connection:
        if self._closed:
            raise ValueError("the client is closed")
        while not new:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if not connection.is_lost():
                return connection
            connection.close()
        return Connection(self.path)

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _exchange(self, data: bytes, new: bool) -> Dict[str, Any]:
        connection = self._take(new)
        try:
            connection.send(data)
            reply = connection.receive()
        except BaseException:  # its reply may still come: nobody else can use it
            connection.close()
            raise
        self._give_back(connection)
        return reply

    def _call(self, method: str, repeat: bool = True, **parameters: Any) -> Dict[str, Any]:
        data = _wire.call(method, _wire.without_none(**parameters))
        try:
            reply = self._exchange(data, False)
        except ConnectionLost:
            if not repeat:
                raise
            reply = self._exchange(data, True)
        return _wire.parameters_of(reply)

    def _stream(self, method: str, **parameters: Any) -> Iterator[Dict[str, Any]]:
        """The replies of a call with `more`. The call is sent at once."""
        connection = self._take()
        try:
            connection.send(_wire.call(method, _wire.without_none(**parameters), more=True))
        except BaseException:
            connection.close()
            raise
        return self._replies(connection)

    def _replies(self, connection: Connection) -> Iterator[Dict[str, Any]]:
        try:
            continues = True
            while continues:
                reply = connection.receive()
                continues = bool(reply.get("continues"))
                if not continues:
                    self._give_back(connection)
                yield _wire.parameters_of(reply)
        except GeneratorExit:
            connection.close()
            raise
        except ConnectionLost:
            connection.close()
            raise

    def call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """Any method, by its name in io.brood or its full name: call("PausePool", pool="celsius").
        Never repeated. Returns the reply's parameters."""
        return self._call(method, False, **parameters)

    # --- submitting ---

    def submit(self, handler: Union[str, Spec], args: Any = None, **options: Any) -> Ticket:
        """Submits a job: a handler, its arguments (see Spec.args) and any of the other fields of
        Spec by name; or a Spec. When it returns, the job is as durable as it asked to be. Returns
        its id."""
        spec = spec_of(handler, args, options)
        return Ticket.of(self._call("Submit", not spec.attached, job=spec.message()))

    def submit_many(self, specs: Iterable[Spec]) -> List[str]:
        """Submits all of them or, where it raises an error, none. Returns the ids in order."""
        messages = [spec.message() for spec in specs]
        repeat = not any(m.get("attached") for m in messages)
        ids: List[str] = self._call("SubmitMany", repeat, jobs=messages)["ids"]
        return ids

    def run(self, handler: Union[str, Spec], args: Any = None, *,
            wait_timeout: Optional[Seconds] = None, **options: Any) -> Dict[str, Any]:
        """Submits a job as submit() does, waits for its end and returns its result. Raises
        JobFailed, and WaitTimeout if it has not ended so many seconds later (it goes on)."""
        spec = spec_of(handler, args, options)
        if wait_timeout is not None:
            return self.wait(self.submit(spec), wait_timeout).get()
        reply = self._call("Submit", not spec.attached, job=spec.message(), wait=True)
        return Job.of(reply["job"]).get()

    def map(self, handler: str, items: Iterable[Any], *, window: int = 256, ordered: bool = True,
            **options: Any) -> Iterator[Dict[str, Any]]:
        """A job of this handler for each item, with the item as its arguments (see Spec.args);
        yields the results, in the order of the items or, not `ordered`, as the jobs end. No more
        than `window` jobs are in flight, and items are taken as there is room. Raises JobFailed in
        the place of a job that failed; the others go on."""
        return map(_result_of, self._map(handler, items, window, ordered, options))

    def map_jobs(self, handler: str, items: Iterable[Any], *, window: int = 256,
                 ordered: bool = True, **options: Any) -> Iterator[Job]:
        """The same, but yields the records of the jobs, of those that failed, too."""
        return map(Job.of, self._map(handler, items, window, ordered, options))

    def _map(self, handler: str, items: Iterable[Any], window: int, ordered: bool,
             options: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
        if window < 1:
            raise ValueError("a window has to be at least 1")
        go_through = _map.in_order if ordered else _map.as_they_end
        return go_through(self.path, _map.texts(handler, items, options), window)

    # --- waiting ---

    def wait(self, id: str, timeout: Optional[Seconds] = None) -> Job:
        """The job, once it has ended, in whatever state. Raises WaitTimeout after so many
        seconds."""
        limit = None if timeout is None else usec(timeout)
        return Job.of(self._call("Wait", id=id, timeout_usec=limit)["job"])

    def wait_many(self, ids: Sequence[str], *, ordered: bool = False) -> Iterator[Job]:
        """Each of these jobs as it ends, or in the order given."""
        if not ids:
            return iter(())
        replies = self._stream("WaitMany", ids=list(ids), ordered=ordered)
        return (Job.of(reply["job"]) for reply in replies)

    def follow(self, id: str) -> Iterator[Output]:
        """What a job writes, as it is written, until it ends."""
        return filter(_is_output, map(Output.of, self._stream("Follow", id=id)))

    def watch(self, pool: Optional[str] = None,
              kinds: Optional[Sequence[str]] = None) -> Iterator[Change]:
        """Every change from now on, of this pool and of these kinds ("job", "worker", "pool"), or
        of all. Does not end by itself; close() it."""
        replies = self._stream("Watch", pool=pool, kinds=None if kinds is None else list(kinds))
        return (fill(Change, reply) for reply in replies)

    # --- asking and changing ---

    def get(self, id: str) -> Job:
        return Job.of(self._call("Get", id=id)["job"])

    def list(self, *, state: Optional[str] = None, pool: Optional[str] = None,
             handler: Optional[str] = None, tag: Optional[str] = None,
             before: Optional[str] = None, limit: Optional[int] = None) -> List[Job]:
        """Jobs that match every filter given, newest first, without arguments and results.
        `before`: the id after which to go on; `limit`: so many at the most."""
        reply = self._call("List", state=state, pool=pool, handler=handler, tag=tag, before=before,
                           limit=limit)
        return [Job.of(job) for job in reply["jobs"]]

    def cancel(self, id: str, *, force: bool = False) -> str:
        """Ends a job that has not ended; `force` does not ask it first. Returns the state it has
        now: wait() for its end. Raises WrongState if it has ended."""
        return str(self._call("Cancel", False, id=id, force=force)["state"])

    def retry(self, id: str) -> str:
        """Puts a job that did not succeed back in the queue. Returns its state now."""
        return str(self._call("Retry", False, id=id)["state"])

    def why(self, id: str) -> Reason:
        """What the job waits for."""
        return fill(Reason, self._call("Why", id=id))

    def status(self) -> Status:
        return Status.of(self._call("Status"))

    def workers(self, pool: Optional[str] = None) -> List[Worker]:
        """The live workers, of one pool or of all."""
        return [fill(Worker, w) for w in self._call("ListWorkers", pool=pool)["workers"]]


def connect(socket: Optional[str] = None) -> Client:
    """The same as Client(socket)."""
    return Client(socket)

# SPDX-License-Identifier: MIT
"""The client for asyncio.

    import asyncio, brood.aio

    async def main():
        async with brood.aio.Client() as client:
            print(await client.run("celsius", {"fahrenheit": 110}))

    asyncio.run(main())

Any number of calls may be in flight. Calls that are answered at once share one connection; calls
that wait (run, wait) take a connection that has none, up to `connections` of them, and then stand
behind another one: the daemon answers on each connection in order, so that such a call hears of its
end when the one before it has ended, too. What it waits for runs meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from types import TracebackType
from typing import (Any, AsyncGenerator, AsyncIterator, Deque, Dict, Iterable, List, Optional,
                    Sequence, Set, Type, Union, cast)

from . import _wire
from ._errors import ConnectionLost, Unreachable
from ._records import Change, Job, Output, Reason, Status, Ticket, Worker, fill
from ._spec import Seconds, Spec, spec_of, usec

__all__ = ["Client", "connect"]

#: Calls that may be unanswered on one connection; the daemon takes 1024.
MAX_CALLS = 1000
#: Replies of one stream that nobody has taken, until its connection is not read any more.
MAX_UNTAKEN = 256


class _Stream:
    """The replies of a call with `more`."""

    def __init__(self) -> None:
        self.replies: Deque[Dict[str, Any]] = deque()
        self.changed = asyncio.Event()
        self.error: Optional[Exception] = None


class _Connection(asyncio.Protocol):
    """One socket, calls ahead, replies in their order."""

    transport: asyncio.Transport

    def __init__(self, path: str) -> None:
        self.path = path
        self.loop = asyncio.get_running_loop()
        self.calls: Deque[Union["asyncio.Future[Dict[str, Any]]", _Stream]] = deque()
        self.unsent: List[bytes] = []
        self.splitter = _wire.Splitter()
        self.writable = asyncio.Event()
        self.writable.set()
        self.closed = False

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, error: Optional[Exception]) -> None:
        self.closed = True
        self.writable.set()
        lost = ConnectionLost("broodd at %s went away" % self.path)
        for call in self.calls:
            self.fail(call, lost)
        self.calls.clear()

    def data_received(self, data: bytes) -> None:
        for text in self.splitter.feed(data):
            try:
                self.take(_wire.read(text))
            except Exception as error:
                for call in self.calls:
                    self.fail(call, error)
                self.calls.clear()
                self.transport.abort()
                return

    # replies

    @staticmethod
    def fail(call: Union["asyncio.Future[Dict[str, Any]]", _Stream], error: Exception) -> None:
        if isinstance(call, _Stream):
            call.error = error
            call.changed.set()
        elif not call.done():
            call.set_exception(error)

    def take(self, reply: Dict[str, Any]) -> None:
        call = self.calls[0] if reply.get("continues") else self.calls.popleft()
        if isinstance(call, _Stream):
            call.replies.append(reply)
            call.changed.set()
            if len(call.replies) >= MAX_UNTAKEN:
                self.transport.pause_reading()
        elif not call.done():  # else whoever called has been cancelled
            call.set_result(reply)

    # calls

    def send(self, data: bytes) -> None:
        """What is sent in one turn of the loop leaves together."""
        if not self.unsent:
            self.loop.call_soon(self.flush)
        self.unsent.append(data)

    def flush(self) -> None:
        if not self.closed:
            self.transport.write(b"".join(self.unsent))
        self.unsent.clear()

    async def call(self, data: bytes) -> Dict[str, Any]:
        future: "asyncio.Future[Dict[str, Any]]" = self.loop.create_future()
        self.calls.append(future)
        self.send(data)
        if not self.writable.is_set():
            await self.writable.wait()
        return await future

    def close(self) -> None:
        self.closed = True
        self.transport.abort()


class Client:
    """Connections to one daemon, for the event loop in which they are used first.

    A call whose connection is lost is repeated once, on a new one, where that can do no harm: it
    only asks, or it submits (ids are made here, and the same id is the same job). Else, and if the
    second one is lost too, it raises ConnectionLost. Every call may raise Unreachable and
    CallError. A task that is cancelled while it waits leaves its job alone.
    """

    def __init__(self, socket: Optional[str] = None, *, connections: int = 16) -> None:
        """Connects when it is used first. `socket`: as of brood.Client. `connections`: at the most
        so many for calls that wait."""
        if connections < 1:
            raise ValueError("connections has to be at least 1")
        self.path = socket or _wire.default_socket()
        self.connections = connections
        self._quick: List[_Connection] = []
        self._patient: List[_Connection] = []
        self._streams: Set[_Connection] = set()
        self._making: Optional[asyncio.Lock] = None  # of the loop in which it is used

    async def close(self) -> None:
        """Closes all connections; calls that are in flight raise ConnectionLost."""
        for connection in (*self._quick, *self._patient, *self._streams):
            connection.close()
        self._quick, self._patient = [], []
        self._streams.clear()
        await asyncio.sleep(0)  # so that the sockets are closed when it returns

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        await self.close()

    # --- connections ---

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        path = "\0" + self.path[1:] if self.path.startswith("@") else self.path
        try:
            _, connection = await loop.create_unix_connection(
                lambda: _Connection(self.path), path)
        except OSError as error:
            raise Unreachable("cannot reach broodd at %s: %s" % (self.path, error.strerror)) \
                from None
        return connection

    async def _pick(self, pool: List[_Connection], most: int) -> _Connection:
        """One without calls, a new one, or the one with the fewest."""
        while True:
            pool[:] = [c for c in pool if not c.closed]
            best = min(pool, key=lambda c: len(c.calls), default=None)
            if best and (not best.calls or len(pool) >= most) and len(best.calls) < MAX_CALLS:
                return best
            if best and len(pool) >= most:
                await asyncio.wait([f for c in pool for f in list(c.calls)[:1]
                                    if isinstance(f, asyncio.Future)],
                                   return_when=asyncio.FIRST_COMPLETED)
                continue
            self._making = self._making or asyncio.Lock()
            async with self._making:
                if len(pool) < most:
                    pool.append(await self._connect())
                    return pool[-1]

    async def _exchange(self, data: bytes, patient: bool) -> Dict[str, Any]:
        if patient:
            connection = await self._pick(self._patient, self.connections)
        else:
            connection = await self._pick(self._quick, 1)
        return await connection.call(data)

    async def _call(self, method: str, repeat: bool = True, patient: bool = False,
                    **parameters: Any) -> Dict[str, Any]:
        data = _wire.call(method, _wire.without_none(**parameters))
        try:
            reply = await self._exchange(data, patient)
        except ConnectionLost:
            if not repeat:
                raise
            reply = await self._exchange(data, patient)
        return _wire.parameters_of(reply)

    async def _stream(self, method: str, **parameters: Any) -> AsyncGenerator[Dict[str, Any], None]:
        connection, stream = await self._connect(), _Stream()
        self._streams.add(connection)
        try:
            connection.calls.append(stream)
            connection.send(_wire.call(method, _wire.without_none(**parameters), more=True))
            continues = True
            while continues:
                while not stream.replies:
                    if stream.error:
                        raise stream.error
                    stream.changed.clear()
                    await stream.changed.wait()
                reply = stream.replies.popleft()
                if not stream.replies and not connection.closed:
                    connection.transport.resume_reading()
                continues = bool(reply.get("continues"))
                yield _wire.parameters_of(reply)
        finally:
            self._streams.discard(connection)
            connection.close()

    async def call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """Any method, by its name in io.brood or its full name. Never repeated. Returns the reply's
        parameters. A method that takes long (Drain) holds quick ones behind it."""
        return await self._call(method, False, **parameters)

    # --- submitting ---

    async def submit(self, handler: Union[str, Spec], args: Any = None, **options: Any) -> Ticket:
        """As Client.submit(). What is `attached` is cancelled when this client closes."""
        spec = spec_of(handler, args, options)
        return Ticket.of(await self._call("Submit", not spec.attached, job=spec.message()))

    async def submit_many(self, specs: Iterable[Spec]) -> List[str]:
        """Submits all of them or, where it raises an error, none. Returns the ids in order."""
        messages = [spec.message() for spec in specs]
        repeat = not any(m.get("attached") for m in messages)
        reply = await self._call("SubmitMany", repeat, jobs=messages)
        return cast(List[str], reply["ids"])

    async def _run(self, spec: Spec) -> Job:
        reply = await self._call("Submit", not spec.attached, True, job=spec.message(), wait=True)
        return Job.of(reply["job"])

    async def run(self, handler: Union[str, Spec], args: Any = None, *,
                  wait_timeout: Optional[Seconds] = None, **options: Any) -> Dict[str, Any]:
        """Submits a job, waits for its end and returns its result. Raises JobFailed, and
        WaitTimeout if it has not ended so many seconds later (it goes on)."""
        spec = spec_of(handler, args, options)
        if wait_timeout is not None:
            return (await self.wait(await self.submit(spec), wait_timeout)).get()
        return (await self._run(spec)).get()

    async def map(self, handler: str, items: Iterable[Any], *, window: int = 256,
                  ordered: bool = True, **options: Any) -> AsyncIterator[Dict[str, Any]]:
        """As Client.map()."""
        async for job in self.map_jobs(handler, items, window=window, ordered=ordered, **options):
            yield job.get()

    async def map_jobs(self, handler: str, items: Iterable[Any], *, window: int = 256,
                       ordered: bool = True, **options: Any) -> AsyncIterator[Job]:
        """As Client.map_jobs()."""
        if window < 1:
            raise ValueError("a window has to be at least 1")
        specs = (Spec(handler, item, **options) for item in items)
        running: Deque["asyncio.Task[Job]"] = deque()
        try:
            while True:
                for spec in itertools.islice(specs, window - len(running)):
                    running.append(asyncio.create_task(self._run(spec)))
                if not running:
                    return
                if ordered:
                    await asyncio.wait([running[0]])
                else:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    running = deque(sorted(running, key=lambda task: not task.done()))
                while running and running[0].done():
                    yield running.popleft().result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    # --- waiting ---

    async def wait(self, id: str, timeout: Optional[Seconds] = None) -> Job:
        """The job, once it has ended, in whatever state. Raises WaitTimeout after so many
        seconds."""
        limit = None if timeout is None else usec(timeout)
        return Job.of((await self._call("Wait", True, True, id=id, timeout_usec=limit))["job"])

    async def wait_many(self, ids: Sequence[str], *, ordered: bool = False) -> AsyncIterator[Job]:
        """Each of these jobs as it ends, or in the order given."""
        if not ids:
            return
        async for reply in self._stream("WaitMany", ids=list(ids), ordered=ordered):
            yield Job.of(reply["job"])

    async def follow(self, id: str) -> AsyncIterator[Output]:
        """What a job writes, as it is written, until it ends."""
        async for reply in self._stream("Follow", id=id):
            piece = Output.of(reply)
            if piece.data:  # the last one says only that it was the last
                yield piece

    async def watch(self, pool: Optional[str] = None,
                    kinds: Optional[Sequence[str]] = None) -> AsyncIterator[Change]:
        """Every change from when the first one is asked for on. Does not end by itself."""
        async for reply in self._stream("Watch", pool=pool,
                                        kinds=None if kinds is None else list(kinds)):
            yield fill(Change, reply)

    # --- asking and changing ---

    async def get(self, id: str) -> Job:
        return Job.of((await self._call("Get", id=id))["job"])

    async def list(self, *, state: Optional[str] = None, pool: Optional[str] = None,
                   handler: Optional[str] = None, tag: Optional[str] = None,
                   before: Optional[str] = None, limit: Optional[int] = None) -> List[Job]:
        """As Client.list()."""
        reply = await self._call("List", state=state, pool=pool, handler=handler, tag=tag,
                                 before=before, limit=limit)
        return [Job.of(job) for job in reply["jobs"]]

    async def cancel(self, id: str, *, force: bool = False) -> str:
        """As Client.cancel()."""
        return str((await self._call("Cancel", False, id=id, force=force))["state"])

    async def retry(self, id: str) -> str:
        """As Client.retry()."""
        return str((await self._call("Retry", False, id=id))["state"])

    async def why(self, id: str) -> Reason:
        """What the job waits for."""
        return fill(Reason, await self._call("Why", id=id))

    async def status(self) -> Status:
        return Status.of(await self._call("Status"))

    async def workers(self, pool: Optional[str] = None) -> List[Worker]:
        """The live workers, of one pool or of all."""
        reply = await self._call("ListWorkers", pool=pool)
        return [fill(Worker, w) for w in reply["workers"]]


async def connect(socket: Optional[str] = None) -> Client:
    """A client that has connected. Raises Unreachable."""
    client = Client(socket)
    client._quick.append(await client._connect())
    return client

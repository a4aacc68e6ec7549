# SPDX-License-Identifier: MIT
"""Handlers in Python: a handler is a decorated function.

    from brood.worker import handler, serve

    @handler
    def resize(path, width=100):
        ...
        return {"bytes": 4711}

    serve()

and in a pool file `Command=/usr/bin/python3 resize.py`, or without the call of serve()
`Command=/usr/bin/python3 -m brood.worker resize.py`.

The members of the job's arguments are the function's keyword arguments; a function whose only
parameter is called `job` gets the Job instead, and one that has a keyword-only parameter `job` gets
it beside them. What does not fit the signature is answered BadArguments, which is not tried again.

What it returns is the result: a dict of what JSON can say; None is {}, and another value x is
{"value": x}. An exception fails the attempt, which is tried again as the pool says; Retry and
NoRetry say themselves whether. Its message and traceback are kept as the job's result. sys.exit()
ends the worker.

Handlers run in the main thread, one at a time. An `async def` is run by asyncio, in one loop for as
long as the worker lives; the loop only turns while a handler runs.

A job that is cancelled or runs out of time raises Cancelled where its handler is, as Ctrl-C raises
KeyboardInterrupt: also out of a sleep or a read. `@handler(interrupt=False)` hears of it at safe
points alone: progress(), output(), check(); or looks at Job.cancelled. Who does not hear is ended
with the worker, KillAfter= later.
"""

from __future__ import annotations

import threading
import time
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, Optional, Protocol, TypeVar, Union, overload

__all__ = ["BadArguments", "Cancelled", "Job", "NoRetry", "Retry", "handler", "prepare", "serve",
           "settings"]

F = TypeVar("F", bound=Callable[..., Any])

_settings: Dict[str, Any] = {}

#: The pool's [Settings], all of them text; empty until the worker is prepared.
settings: Mapping[str, Any] = MappingProxyType(_settings)

_making_event = threading.Lock()


class Cancelled(BaseException):
    """The job is to end; `reason` is "cancel", "timeout" or "shutdown". No Exception, so that a
    handler that catches those does not go on by mistake."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class _Failure(Exception):
    """`details` is a dict that is kept as the result of the failed job."""

    retry = True

    def __init__(self, message: str = "", details: Optional[Dict[str, Any]] = None) -> None:
        self.details = details
        super().__init__(message)


class Retry(_Failure):
    """The attempt failed; another one may succeed."""


class NoRetry(_Failure):
    """The attempt failed, and so would all others."""

    retry = False


class BadArguments(ValueError):
    """The arguments are wrong: the job fails, and is not tried again."""


class _Listener(Protocol):
    """To whom a job says how far it is."""

    def progress(self, fraction: float) -> None: ...

    def output(self, stream: str, data: Union[str, bytes]) -> None: ...


class Job:
    """What a handler can know of its job, and say meanwhile. It is over with its handler.

    id, attempt     of the job, and which attempt this is (from 1)
    handler, args   its name, and the arguments (a dict)
    """

    __slots__ = ("id", "attempt", "handler", "args", "reason", "_deadline", "_say", "_event",
                 "_hook", "_raised")

    def __init__(self, id: str, attempt: int, handler: str, args: Dict[str, Any],
                 timeout_usec: Optional[int] = None,
                 say: Optional[_Listener] = None) -> None:
        self.id, self.attempt, self.handler, self.args = id, attempt, handler, args
        #: Why it is to end: "cancel", "timeout", "shutdown"; None: it is not.
        self.reason: Optional[str] = None
        self._deadline = None if timeout_usec is None else time.monotonic() + timeout_usec / 1e6
        self._say = say
        self._event: Optional[threading.Event] = None
        self._hook: Optional[Callable[[Job], None]] = None
        self._raised = False

    @property
    def cancelled(self) -> bool:
        """Is it to end?"""
        return self.reason is not None

    @property
    def cancel_event(self) -> threading.Event:
        """Set when the job is to end; to wait for instead of sleeping."""
        with _making_event:  # a handler may have threads, and all wait for the same one
            if self._event is None:
                self._event = threading.Event()
        if self.cancelled:
            self._event.set()
        return self._event

    def check(self) -> None:
        """A safe point: raises Cancelled, once, if the job is to end."""
        if self.reason is not None and not self._raised:
            self._raised = True
            raise Cancelled(self.reason)

    def time_left(self) -> Optional[float]:
        """Seconds until its timeout, less than 0 after it; None: it has none."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def progress(self, fraction: float) -> None:
        """How far it is, between 0 and 1. A safe point."""
        if not 0 <= fraction <= 1:
            raise ValueError("progress is between 0 and 1, not %r" % fraction)
        if self._say:
            self._say.progress(float(fraction))
        self.check()

    def output(self, data: Union[str, bytes], stream: str = "stdout") -> None:
        """For those who follow the job (broodctl follow); `stream` may be "stderr". A safe
        point."""
        if stream not in ("stdout", "stderr"):
            raise ValueError("no such stream: %r" % stream)
        if self._say and data:
            self._say.output(stream, data)
        self.check()

    def write(self, text: str) -> int:
        """output(), so that a job is a file: print("…", file=job)."""
        self.output(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def _cancel(self, reason: str) -> None:
        """By the thread that hears the supervisor."""
        self.reason = reason
        event, hook = self._event, self._hook
        if event is not None:
            event.set()
        if hook is not None:
            hook(self)


def _piece(stream: str, data: Union[str, bytes]) -> Dict[str, str]:
    try:
        text = data if isinstance(data, str) else data.decode()
        text.encode()
        if "\0" not in text:
            return {"stream": stream, "data": text}
    except UnicodeError:
        pass
    from base64 import b64encode
    raw = data if isinstance(data, bytes) else data.encode(errors="surrogateescape")
    return {"stream": stream, "data_base64": b64encode(raw).decode()}


@overload
def handler(function: F, *, name: Optional[str] = None, interrupt: bool = True) -> F: ...


@overload
def handler(function: Optional[str] = None, *, name: Optional[str] = None,
            interrupt: bool = True) -> Callable[[F], F]: ...


def handler(function: Any = None, *, name: Optional[str] = None, interrupt: bool = True) -> Any:
    """Makes a function a handler, under its own name or the one given: `@handler`,
    `@handler("name")`, `@handler(interrupt=False)`. The function stays what it was."""
    from ._handlers import register

    if callable(function):
        return register(function, name or function.__name__, interrupt)
    return lambda f: register(f, name or function or f.__name__, interrupt)


def prepare(function: F) -> F:
    """Has a function called once, with the pool's settings (a dict), before the worker is ready: to
    open what handlers use. If it raises, the worker does not start."""
    from ._handlers import SETUP

    SETUP.append(function)
    return function


def serve(*, max_message: int = 16 << 20) -> None:
    """Serves the handlers of this process until the supervisor lets it go. `max_message`: bytes
    that a result may have, as MaxMessageSize= says. Exits with words where nobody has started it as
    a worker."""
    from ._serve import main

    main(max_message)

# SPDX-License-Identifier: MIT
"""Handlers: how they are called, and what their results and exceptions say. Used by workers of
Command= (_serve.py) and by python.so (_embedded.py) alike."""

from __future__ import annotations

import json
import re
import sys
import time
from types import FunctionType
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from . import BadArguments, Cancelled, Job, _Failure

CO_VAR, CO_COROUTINE = 0x0c, 0x80  # inspect.CO_VARARGS | CO_VARKEYWORDS, CO_COROUTINE

encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

KINDS = {"timeout": ("the handler timed out", "timeout"),
         "cancel": ("the handler was cancelled", "cancelled"),
         "shutdown": ("the handler ended because the worker leaves", None)}


class Handler:
    """A function, and how it is called."""

    def __init__(self, function: Callable[..., Any], interrupt: bool) -> None:
        self.function = function
        self.interrupt = interrupt
        if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
            code = function.__code__  # inspect would take longer than all the rest
            n, keywords, flags = code.co_argcount, code.co_kwonlyargcount, code.co_flags
            plain, only = code.co_varnames[:n], code.co_varnames[n:n + keywords]
            self.is_async = bool(flags & CO_COROUTINE)
            self.wants_job = plain == ("job",) and not only and not flags & CO_VAR
        else:
            import inspect
            parameters = inspect.signature(function).parameters.values()
            only = tuple(p.name for p in parameters if p.kind == p.KEYWORD_ONLY)
            self.is_async = inspect.iscoroutinefunction(function)
            self.wants_job = not only and [p.name for p in parameters] == ["job"]
        self.job_too = "job" in only

    def __call__(self, job: Job) -> Any:
        """Calls it; of an `async def` returns the coroutine."""
        if self.wants_job:
            return self.function(job)
        args = job.args
        if self.job_too:
            args = dict(args, job=job)
        try:
            return self.function(**args)
        except TypeError:
            self.check(args)
            raise

    def check(self, args: Dict[str, Any]) -> None:
        """Was it the arguments? Then the function has not begun."""
        import inspect
        try:
            inspect.signature(self.function).bind(**args)
        except TypeError as error:
            raise BadArguments(str(error)) from None


HANDLERS: Dict[str, Handler] = {}
SETUP: List[Callable[[Dict[str, Any]], Any]] = []


def register(function: Callable[..., Any], name: str, interrupt: bool) -> Callable[..., Any]:
    if not isinstance(name, str) or not name.isprintable() or name.split() != [name]:
        raise ValueError("the name of a handler is a word, not %r" % (name,))
    if name in HANDLERS:
        raise ValueError("there are two handlers of the name %s" % name)
    HANDLERS[name] = Handler(function, interrupt)
    return function


# --- how they are interrupted ---

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.25  # s


def insist(signal: Callable[[], bool]) -> None:
    """Signals the handler's thread for as long as that says True: the handler has not heard it. The
    interpreter does not hear a signal that comes when it has looked for some and is not in the
    system call yet, and so would not wake up from that."""
    pause = FIRST_PAUSE
    while signal():
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


# --- what they return ---

# A number of 64 bits has 19 digits at the most, and no string has a NUL in it.
SUSPECT = re.compile(rb"[0-9]{19}|\\u0000")


def look_closer(text: bytes) -> None:
    """Raises ValueError for what is JSON and yet no message."""
    def integer(digits: str) -> int:
        value = int(digits)
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError("the integer %s has more than 64 bits" % digits)
        return value

    def walk(value: Any) -> None:
        if isinstance(value, str):
            if "\0" in value:
                raise ValueError("a string with a NUL in it")
        elif isinstance(value, dict):
            for key, element in value.items():
                walk(key)
                walk(element)
        elif isinstance(value, list):
            for element in value:
                walk(element)

    walk(json.loads(text, parse_int=integer))


class NoResult(Exception):
    """What was returned can not be said."""


def result_text(result: Any) -> bytes:
    """Raises NoResult."""
    if result is None:
        return b"{}"
    if not isinstance(result, dict):
        result = {"value": result}
    try:
        text = encode(result).encode()
        if SUSPECT.search(text):
            look_closer(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise NoResult("the handler's result is no message: %s" % error) from None
    return text


# --- what they say ---

def flush(*streams: Any) -> None:
    """A handler may have closed or replaced them."""
    for stream in streams:
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


# --- what they raise ---

MAX_WORDS, MAX_TRACEBACK, MAX_DETAILS = 4096, 65536, 1 << 20  # characters that are told

class Failure(NamedTuple):
    """Of an attempt. `bad`: the arguments were wrong."""
    message: str
    retry: bool = True
    kind: Optional[str] = None
    details: Optional[Dict[str, Any]] = None
    bad: bool = False


def words_of(error: BaseException) -> str:
    try:
        return cut(str(error), MAX_WORDS)
    except Exception as another:
        return "(what it says can not be had: %s)" % type(another).__name__


def cut(text: str, most: int) -> str:
    """What is in its middle is the least interesting."""
    if len(text) <= most:
        return text
    return "%s\n[... %d characters ...]\n%s" % (text[:most // 2], len(text) - most,
                                                text[-most // 2:])


def failure_of(error: BaseException, job: Job) -> Failure:
    """What an exception that left a handler says."""
    if isinstance(error, Cancelled) and job.reason is None:
        return Failure("the handler raised Cancelled, and nobody had asked for its end")
    if isinstance(error, Cancelled):
        words, kind = KINDS.get(error.reason, KINDS["cancel"])
        return Failure(words, True, kind)
    if isinstance(error, BadArguments):
        return Failure(words_of(error), False, None, None, True)
    if isinstance(error, NoResult):
        return Failure(words_of(error), False, "result")
    if isinstance(error, _Failure):
        return Failure(words_of(error), error.retry, None, details_of(error.details))
    return failure_of_bug(error)


def details_of(details: Any) -> Optional[Dict[str, Any]]:
    if details is None or details == {}:
        return None
    try:
        if len(encode(details)) <= MAX_DETAILS:
            return details if isinstance(details, dict) else {"details": details}
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return {"details": cut(repr(details), MAX_TRACEBACK)}
    except Exception:
        return None


def failure_of_bug(error: BaseException) -> Failure:
    """Its traceback begins with the handler, and goes to the log, too."""
    name = type(error).__name__
    inner = error.__traceback__
    while inner and inner.tb_frame.f_globals.get("__package__") == __package__:
        inner = inner.tb_next  # not where we called it
    import traceback
    text = cut("".join(traceback.format_exception(type(error), error, inner)), 2 * MAX_TRACEBACK)
    try:
        sys.stderr.write(text)
    except (AttributeError, OSError, ValueError):  # a handler may have closed or replaced it
        pass
    words = words_of(error)
    return Failure("%s: %s" % (name, words) if words else name, True, None,
                   {"exception": name, "traceback": cut(text, MAX_TRACEBACK)})

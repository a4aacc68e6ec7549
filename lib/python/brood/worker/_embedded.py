# SPDX-License-Identifier: MIT
"""The inside of python.so: what it calls in each of its interpreters.

A slot is a thread of the worker; where slots are interpreters, this module is there once for each.
The built-in module _brood is python.so itself. Nothing here runs but with the interpreter's lock,
so what a thread reads of another's job is whole.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import signal
import sys
import threading
import traceback
from typing import Any, Dict, List, NoReturn, Optional, Tuple, Union

import _brood  # type: ignore[import]  # python.so itself

from . import Cancelled, Job, _settings
from ._handlers import (HANDLERS, SETUP, Failure, Handler, encode, failure_of, flush,
                        insist, result_text)
from ._load import load
from ._loops import Loops

scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # decode(), without spaces
HERE = os.path.dirname(__file__)
current: Dict[int, Job] = {}  # the job of each slot
loops: Dict[int, Loops] = {}  # empty: all of them share one
shared = Loops()
by_signal = False  # the handler of slot 0 is interrupted by one

# The text of a result, or of a failure: message, details or None; shall it be tried again; was it
# the arguments?
Answer = Union[bytes, Tuple[bytes, Optional[bytes], bool, bool]]


# --- before jobs ---

def offer(names: str) -> List[str]:
    """Imports what Import= says. Returns the names of the handlers."""
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    for name in names.split():
        load(name)
    if not HANDLERS:
        raise ValueError("Import=%s has no handler: a function with the decorator "
                         "brood.worker.handler" % names)
    return list(HANDLERS)


def freeze() -> None:
    """What is there now is not looked through by the collector again, which would write to memory
    that forks share."""
    flush(sys.stdout, sys.stderr)  # what is unsaid would be said by every fork
    gc.collect()
    gc.freeze()


def why(error: BaseException) -> str:
    """An exception of an import in one line: where in the user's file, what, and where deeper."""
    what = traceback.format_exception_only(type(error), error)[-1].strip().splitlines()[0]
    if isinstance(error, SyntaxError):
        return "%s:%s: %s" % (error.filename, error.lineno, what)
    places = ["%s:%s" % (f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)
              if "importlib" not in f.filename and not f.filename.startswith(HERE)]
    if not places:
        return what
    return "%s: %s" % (places[0], what) + (" (in %s)" % places[-1] if places[1:] else "")


def prepare(settings: Dict[str, str], slots: List[int], own_loops: bool, signals: bool) -> None:
    """In the worker, for slots of this interpreter. `own_loops`: they do not share one; `signals`:
    the handler of slot 0 can be interrupted by one."""
    global by_signal
    by_signal = signals
    for slot in slots if own_loops else ():
        loops[slot] = Loops()
    _settings.clear()
    _settings.update(settings)
    if signals:
        signal.signal(signal.SIGURG, on_signal)
    for function in SETUP:
        function(dict(settings))
    freeze()


# --- jobs ---

class Run:
    """To whom a job says how far it is, and what interrupts it. A thread of its that outlives it is
    not heard."""

    __slots__ = ("slot", "run")

    def __init__(self, slot: int, run: int) -> None:
        self.slot, self.run = slot, run

    def progress(self, fraction: float) -> None:
        _brood.progress(self.slot, self.run, fraction)

    def output(self, stream: str, data: Union[str, bytes]) -> None:
        if isinstance(data, str):
            data = data.encode(errors="surrogateescape")
        _brood.output(self.slot, self.run, 1 if stream == "stdout" else 2, data)

    def interrupt(self, job: Job) -> None:
        """By the thread that calls cancel(): a signal, where there can be one, ends a sleep, too;
        else the exception comes with the next step of the slot's thread. Neither, if the job is not
        in its handler any more."""
        if by_signal and self.slot == 0:
            insist(lambda: not job._raised and _brood.signal(self.slot, job))
        else:
            _brood.throw(self.slot, job, THROWN[job.reason or "cancel"])


def run(slot: int, number: int, handler: Handler, name: str, id: str, attempt: int, text: str,
        usec_left: Optional[int]) -> Answer:
    """`number`: of this run in its slot."""
    try:
        args = scan(text, 0)[0]
    except RecursionError:
        return fail(Failure("the arguments are nested too deep for Python", False, bad=True))
    this = Run(slot, number)
    job = Job(id, attempt, name, args, usec_left, this)
    current[slot] = job
    reason = _brood.cancelled(slot)
    if reason:  # else cancel() may have come between these lines
        job.reason = reason
    try:
        if handler.is_async:
            result = loops.get(slot, shared).run(handler, job, not loops)
        elif handler.interrupt:
            job._hook = this.interrupt  # and then call() looks whether it has come before
            result = _brood.call(slot, handler, job)
        else:
            result = handler(job)
        return result_text(result)
    except (Cancelled, Exception) as error:
        return fail(failure_of(error, job))
    except BaseException as error:
        end(error)
    finally:
        current.pop(slot, None)
        flush(sys.stdout)


def fail(failure: Failure) -> Answer:
    message = failure.message.replace("\0", "\ufffd").encode(errors="replace")
    details = failure.details and encode(failure.details).encode(errors="replace")
    return message, details or None, failure.retry, failure.bad


def end(error: BaseException) -> NoReturn:
    """sys.exit() and its like end the worker."""
    status = error.code if isinstance(error, SystemExit) else 1
    if status is None or isinstance(status, int):
        status = status or 0
    else:
        print(status, file=sys.stderr)
        status = 1
    if not isinstance(error, SystemExit):
        traceback.print_exception(type(error), error, error.__traceback__)
    flush(sys.stdout, sys.stderr)
    os._exit(status & 0xff)


# --- the end of a job is asked for ---

class Thrown(Cancelled):
    """Cancelled, as a thread can be made to raise it: without arguments."""

    why = "cancel"

    def __init__(self) -> None:
        super().__init__(self.why)


THROWN = {why: type("Cancelled", (Thrown,), {"why": why}) for why in ("cancel", "timeout",
                                                                      "shutdown")}


def cancel(slot: int, reason: str) -> None:
    """By a thread that waited for the lock to say this."""
    job = current.get(slot)
    if job is not None and job.reason is None:
        job._cancel(reason)


def on_signal(*_: Any) -> None:
    """SIGURG, in the main thread, that of slot 0."""
    job = current.get(0)
    if job is not None and _brood.is_open(0):
        job.check()


# --- the end ---

def leave() -> None:
    """What Python does at its end, but for taking its memory apart."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    flush(sys.stdout, sys.stderr)

# SPDX-License-Identifier: MIT
"""What all cases share: a table of them, lines to print, and words for what a call returns."""
import json
import multiprocessing
import os
import queue
import time

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def say(text, *values):
    """One line, in one write: children print to the same pipe."""
    os.write(1, (text % values + "\n").encode())


def text_of(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def yes(value):
    return "yes" if value else "no"


WORDS = [
    ((queue.Empty, queue.Full, multiprocessing.TimeoutError), "timed out"),
    (multiprocessing.BufferTooShort, "too long"),
    (EOFError, "end of file"),
    (StopIteration, "at the end"),
    (BrokenPipeError, "broken pipe"),
    ((ValueError, AssertionError), "refused"),
]


def word(call, *arguments, **named):
    """How a call ends, in a word."""
    try:
        return "timed out" if call(*arguments, **named) is False else "ok"
    except Exception as e:
        for kinds, name in WORDS:
            if isinstance(e, kinds):
                return name
        if "during message" in str(e):
            return "cut off"
        return "refused" if isinstance(e, OSError) and not e.errno else repr(e)


def child(target, *arguments, **named):
    p = multiprocessing.Process(target=target, args=arguments, **named)
    p.start()
    return p


def child_by(method, target, *arguments, **named):
    p = multiprocessing.get_context(method).Process(target=target, args=arguments, **named)
    p.start()
    return p


def ended(p):
    """Joins it."""
    p.join()
    say("%s", exit_of(p))


def exit_of(p):
    return "runs" if p.exitcode is None else "exit code %d" % p.exitcode


def ends_within(p, seconds):
    """Whether a child ends within this time; if not, it is killed."""
    p.join(seconds)
    over = p.exitcode is not None
    if not over:
        p.kill()
        p.join()
    return over


nap = time.sleep


def for_ever():
    time.sleep(60)

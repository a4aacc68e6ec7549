# SPDX-License-Identifier: MIT
"""Handlers for the tests of brood.worker: python3 -m brood.worker handlers.py"""

import asyncio
import os
import subprocess
import sys
import time

from brood.worker import Cancelled, NoRetry, Retry, handler, prepare, settings

prepared = {}


@prepare
def remember(given):
    prepared.update(given)


@handler
def echo(job):
    return job.args


@handler
def add(a, b=1):
    return {"sum": a + b, "pid": os.getpid()}


@handler("settings")
def show_settings():
    assert dict(settings) == prepared
    return dict(settings)


@handler
def fail(message, retry=None):
    if retry is None:
        raise RuntimeError(message)
    raise (Retry if retry else NoRetry)(message, {"kept": True})


@handler
def flaky(until, *, job):
    """Succeeds at its attempt `until`."""
    if job.attempt < until:
        raise Retry("not yet")
    return {"attempt": job.attempt}


@handler
def nap(seconds):
    time.sleep(seconds)
    return {"slept": True}


@handler
async def anap(seconds):
    await asyncio.sleep(seconds)
    return {"slept": True}


@handler(interrupt=False)
def deaf(seconds):
    time.sleep(seconds)


@handler
def stubborn(job):
    """Says how it was ended."""
    try:
        time.sleep(50)
    except Cancelled as c:
        return {"reason": c.reason}


@handler
def steps(n, *, job):
    for i in range(n):
        job.progress(i / n)
    job.progress(1)


@handler
def say(pieces, gate, *, job):
    while not os.path.exists(gate):
        time.sleep(0.005)
    for text in pieces:
        job.output(text)
    job.output(b"\xff\0", "stderr")


@handler
def die(how):
    print("last words", file=sys.stderr)
    if how == "abort":
        os.abort()
    os._exit(int(how))


@handler
def child(file):
    """Leaves a process behind and dies."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open(file + ".new", "w", encoding="ascii") as f:
        f.write(str(process.pid))
    os.rename(file + ".new", file)
    time.sleep(1000)


@handler
def big(size):
    return {"text": "x" * size}

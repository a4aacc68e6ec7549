# SPDX-License-Identifier: MIT
"""The handlers of diag.so in Python, for the table of models: what a job is promised does not
depend on who runs it."""

import signal
import sys
import time

from brood.worker import BadArguments, NoRetry, Retry, handler, settings


def number(seconds):
    if not isinstance(seconds, (int, float)) or not 0 <= seconds <= 1e9:
        raise BadArguments("'seconds' has to be a number from 0 to 1e9")


@handler
def echo(job):
    return job.args


@handler
def sleep(seconds, *, job):
    number(seconds)
    job.cancel_event.wait(seconds)
    job.check()
    return {"seconds": seconds}


@handler(interrupt=False)
def spin(seconds):
    number(seconds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return {"seconds": seconds}


@handler
def crash(**args):
    name = args.get("signal", "SEGV")
    sys.stderr.write("diag: crash by %s\n" % name)
    if settings.get("Alone") == "yes":  # nobody but a sanitizer listens to the signal
        signal.signal(signal.Signals["SIG" + name], signal.SIG_DFL)
    signal.raise_signal(signal.Signals["SIG" + name])


@handler
def fail(message="diag: fail", retry=True, details=None):
    raise (Retry if retry else NoRetry)(message, details)


@handler
def progress(steps, *, job):
    for i in range(1, steps + 1):
        job.progress(i / steps)
    return {"steps": steps}


@handler
def output(stdout, stderr, *, job, times=1):
    for _ in range(times):
        job.output(stdout)
        job.output(stderr, "stderr")
    return {"times": times}

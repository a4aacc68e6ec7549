# SPDX-License-Identifier: MIT
"""Jobs for broodd, and handlers in Python.

    import brood
    with brood.Client() as client:
        print(client.run("celsius", {"fahrenheit": 110}))

`brood.Client` blocks, `brood.aio.Client` has the same methods for asyncio, and `brood.worker` makes
handlers of functions.

What goes in has Python's units: times in seconds, as int, float or timedelta. What comes out has
the names and the units of the interface (io.brood(7)): `…_usec` are whole microseconds, times since
the Unix epoch.
"""

from ._errors import (AccessDenied, BroodError, CallError, ConfigInvalid, ConnectionLost, Draining,
                      InvalidParameter, JobFailed, MethodNotImplemented, NoSuchHandler, NoSuchJob,
                      NoSuchPool, NoSuchSemaphore, ProtocolError, QueueFull, QuotaExceeded,
                      StoreFailed, TooLarge, Unreachable, WaitTimeout, WrongState)
from ._records import Attempt, Change, Job, Output, Pool, Reason, Status, Ticket, Worker
from ._spec import Spec, new_id
from .client import Client, connect

__all__ = ["AccessDenied", "Attempt", "BroodError", "CallError", "Change", "Client",
           "ConfigInvalid", "ConnectionLost", "Draining", "InvalidParameter", "Job", "JobFailed",
           "MethodNotImplemented", "NoSuchHandler", "NoSuchJob", "NoSuchPool", "NoSuchSemaphore",
           "Output", "Pool", "ProtocolError", "QueueFull", "QuotaExceeded", "Reason", "Spec",
           "Status", "StoreFailed", "Ticket", "TooLarge", "Unreachable", "WaitTimeout", "Worker",
           "WrongState", "connect", "new_id"]

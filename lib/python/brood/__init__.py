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

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._errors import (AccessDenied, BroodError, CallError, ConfigInvalid, ConnectionLost,
                          Draining, InspectFailed, InvalidParameter, JobFailed,
                          MethodNotImplemented, NoSuchHandler, NoSuchJob, NoSuchPool,
                          NoSuchSemaphore, NoSuchWorker, ProtocolError, QueueFull, QuotaExceeded,
                          StoreFailed, TooLarge, Unreachable, WaitTimeout, WrongState)
    from ._records import (Attempt, Change, DaemonWarning, Death, Job, Output, Pool, Reason,
                           Status, Ticket, Worker)
    from ._spec import Spec, new_id
    from .client import Client, connect

__all__ = ["AccessDenied", "Attempt", "BroodError", "CallError", "Change", "Client",
           "ConfigInvalid", "ConnectionLost", "DaemonWarning", "Death", "Draining", "InspectFailed",
           "InvalidParameter", "Job", "JobFailed", "MethodNotImplemented", "NoSuchHandler",
           "NoSuchJob", "NoSuchPool", "NoSuchSemaphore", "NoSuchWorker", "Output", "Pool",
           "ProtocolError", "QueueFull", "QuotaExceeded", "Reason", "Spec", "Status", "StoreFailed",
           "Ticket", "TooLarge", "Unreachable", "WaitTimeout", "Worker", "WrongState", "connect",
           "new_id"]

# Where each is from. A worker needs none of them, and is ready sooner without.
_HOMES = {
    "_errors": "AccessDenied BroodError CallError ConfigInvalid ConnectionLost Draining "
               "InspectFailed InvalidParameter JobFailed MethodNotImplemented NoSuchHandler "
               "NoSuchJob NoSuchPool NoSuchSemaphore NoSuchWorker ProtocolError QueueFull "
               "QuotaExceeded StoreFailed TooLarge Unreachable WaitTimeout WrongState",
    "_records": "Attempt Change DaemonWarning Death Job Output Pool Reason Status Ticket Worker",
    "_spec": "Spec new_id",
    "client": "Client connect",
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names.split():
            from importlib import import_module
            value = getattr(import_module("." + home, __name__), name)
            globals()[name] = value
            return value
    raise AttributeError("module %r has no attribute %r" % (__name__, name))

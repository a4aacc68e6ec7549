# SPDX-License-Identifier: MIT
"""What can go wrong. All of it is a BroodError; an error reply of the daemon is a CallError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Type

if TYPE_CHECKING:
    from ._records import Job


class BroodError(Exception):
    """Any failure of this package."""


class Unreachable(BroodError, ConnectionError):
    """There is no daemon at the socket, or this user may not connect to it. Nothing was sent."""


class ConnectionLost(BroodError, ConnectionError):
    """The daemon went away with the call unanswered: it may have been carried out, or not."""


class ProtocolError(BroodError):
    """What listens at the socket does not speak as broodd does."""


class JobFailed(BroodError):
    """A job ended in another state than `succeeded`.

    `job` is its record: `job.state`, `job.error` (the words of its last attempt) and `job.result`
    (the details that its handler gave).
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        super().__init__("job %s %s%s" % (job.id, job.state, ": " + job.error if job.error else ""))


class CallError(BroodError):
    """The daemon answered with an error: its full `name`, and `parameters`."""

    def __init__(self, name: str, parameters: Dict[str, Any]) -> None:
        self.name = name
        self.parameters = parameters
        words = ", ".join("%s=%r" % item for item in parameters.items())
        super().__init__("%s%s" % (name.rpartition(".")[2], ": " + words if words else ""))


class NoSuchJob(CallError, LookupError):
    """There is no job of this `id`, or it is another user's."""

    @property
    def id(self) -> str:
        return str(self.parameters["id"])


class NoSuchHandler(CallError, LookupError):
    """No pool serves `handler`."""

    @property
    def handler(self) -> str:
        return str(self.parameters["handler"])


class NoSuchPool(CallError, LookupError):
    """There is no `pool` of this name."""

    @property
    def pool(self) -> str:
        return str(self.parameters["pool"])


class NoSuchSemaphore(CallError, LookupError):
    """The config has no `semaphore` of this name."""

    @property
    def semaphore(self) -> str:
        return str(self.parameters["semaphore"])


class NoSuchWorker(CallError, LookupError):
    """There is no `worker` of this name, and no job of this id runs."""

    @property
    def worker(self) -> str:
        return str(self.parameters["worker"])


class InspectFailed(CallError):
    """The kernel does not tell of `worker`: `message` says why."""

    @property
    def worker(self) -> str:
        return str(self.parameters["worker"])

    @property
    def message(self) -> str:
        return str(self.parameters["message"])


class WrongState(CallError):
    """The job `id` is in a `state` in which this can not be done."""

    @property
    def id(self) -> str:
        return str(self.parameters["id"])

    @property
    def state(self) -> str:
        return str(self.parameters["state"])


class QueueFull(CallError):
    """No more than `limit` jobs are taken."""

    @property
    def limit(self) -> int:
        return int(self.parameters["limit"])


class QuotaExceeded(CallError):
    """This user's `quota` (its name in [Access]) has a `limit`, which is reached."""

    @property
    def quota(self) -> str:
        return str(self.parameters["quota"])

    @property
    def limit(self) -> int:
        return int(self.parameters["limit"])


class TooLarge(CallError):
    """The arguments, or the message, have more than `limit_bytes`."""

    @property
    def limit_bytes(self) -> int:
        return int(self.parameters["limit_bytes"])


class AccessDenied(CallError, PermissionError):
    """This user may not do that."""


class Draining(CallError):
    """The daemon takes no jobs at present."""


class WaitTimeout(CallError, TimeoutError):
    """The time was up before the job `id` had ended; it is in `state`, and goes on."""

    @property
    def id(self) -> str:
        return str(self.parameters["id"])

    @property
    def state(self) -> str:
        return str(self.parameters["state"])


class ConfigInvalid(CallError):
    """The config was not taken: `file`, `line` (0: the whole file) and `message` say why."""

    @property
    def file(self) -> str:
        return str(self.parameters["file"])

    @property
    def line(self) -> int:
        return int(self.parameters["line"])

    @property
    def message(self) -> str:
        return str(self.parameters["message"])


class StoreFailed(CallError):
    """The job could not be written: `message` says why (the disk is full, …)."""

    @property
    def message(self) -> str:
        return str(self.parameters["message"])


class InvalidParameter(CallError, ValueError):
    """`parameter` is missing, unknown, out of range or of a wrong type."""

    @property
    def parameter(self) -> str:
        return str(self.parameters["parameter"])


class MethodNotImplemented(CallError, NotImplementedError):
    """This daemon does not have `method` yet."""

    @property
    def method(self) -> str:
        return str(self.parameters["method"])


ERRORS: Dict[str, Type[CallError]] = {"io.brood." + kind.__name__: kind for kind in (
    NoSuchJob, NoSuchHandler, NoSuchPool, NoSuchSemaphore, WrongState, QueueFull, QuotaExceeded,
    TooLarge, AccessDenied, Draining, WaitTimeout, ConfigInvalid, StoreFailed,
    NoSuchWorker, InspectFailed)}
ERRORS.update({"org.varlink.service." + kind.__name__: kind for kind in (
    InvalidParameter, MethodNotImplemented)})


def call_error(name: str, parameters: Dict[str, Any]) -> CallError:
    """The exception for an error reply."""
    return ERRORS.get(name, CallError)(name, parameters)

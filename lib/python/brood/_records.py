# SPDX-License-Identifier: MIT
"""The records that the daemon answers with: the types of io.brood, as frozen dataclasses.

Fields have the interface's names and units. What is absent or null is None. Fields that a newer
daemon adds are left out; `Job.raw` has all of them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, TypeVar

from ._errors import JobFailed

R = TypeVar("R")

#: The states in which a job has ended.
ENDED = frozenset(("succeeded", "failed", "quarantined", "cancelled", "expired"))


def fill(kind: Type[R], values: Mapping[str, Any], **more: Any) -> R:
    """A record of the fields that are known."""
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]
    given = {k: v for k, v in values.items() if k in known and v is not None}
    given.update(more)
    return kind(**given)


class Ticket(str):
    """The id of a job that was submitted: a str, with what the daemon said beside it."""

    state: str = "queued"
    duplicate: bool = False  #: it is another Submit's job: the same id, or the same unique key

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Ticket:
        ticket = cls(reply["id"])
        ticket.state = reply["state"]
        ticket.duplicate = reply["duplicate"]
        return ticket


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended: the death certificate."""

    number: int
    started_usec: int
    worker: Optional[str] = None
    pid: Optional[int] = None
    ended_usec: Optional[int] = None
    outcome: Optional[str] = None
    error: Optional[str] = None
    exit_status: Optional[int] = None
    signal: Optional[str] = None
    core_dumped: Optional[bool] = None
    oom_killed: Optional[bool] = None
    cpu_usec: Optional[int] = None
    peak_memory_bytes: Optional[int] = None
    stderr_tail: Optional[str] = None


@dataclass(frozen=True)
class Job:
    """A job as it is at one moment; `list` leaves out arguments and results."""

    id: str
    spec: Dict[str, Any]
    pool: str
    state: str
    submitted_usec: int
    uid: int
    gid: int
    reason: Optional[str] = None
    started_usec: Optional[int] = None
    ended_usec: Optional[int] = None
    attempts: Tuple[Attempt, ...] = ()
    progress: Optional[float] = None
    result: Optional[Dict[str, Any]] = None
    raw: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, values: Dict[str, Any]) -> Job:
        attempts = tuple(fill(Attempt, a) for a in values.get("attempts") or ())
        return fill(cls, values, attempts=attempts, raw=values)

    @property
    def handler(self) -> str:
        return str(self.spec["handler"])

    @property
    def args(self) -> Dict[str, Any]:
        return dict(self.spec.get("args") or {})

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def error(self) -> Optional[str]:
        """The words of the last attempt that has some; of a job that had none: the reason."""
        for attempt in reversed(self.attempts):
            if attempt.error is not None:
                return attempt.error
        return self.reason

    def get(self) -> Dict[str, Any]:
        """The result of a job that succeeded. Raises JobFailed for any other."""
        if self.state != "succeeded":
            raise JobFailed(self)
        return self.result or {}


@dataclass(frozen=True)
class Worker:
    """A live worker."""

    name: str
    pool: str
    pid: int
    generation: int
    state: str
    jobs: List[str]
    jobs_done: int
    started_usec: int
    memory_bytes: int
    cpu_usec: int


@dataclass(frozen=True)
class Pool:
    """A pool, and how many jobs and workers it has."""

    name: str
    handlers: List[str]
    start_method: str
    concurrency: str
    state: str
    workers: int
    idle: int
    busy: int
    starting: int
    spare: int
    queued: int
    scheduled: int
    blocked: int
    done: int
    deaths: int
    scaling: Optional[str] = None
    slots: Optional[int] = None
    min_workers: Optional[int] = None
    max_workers: Optional[int] = None
    recycled: Optional[int] = None
    about: Optional[str] = None


@dataclass(frozen=True)
class DaemonWarning:
    """Something that an operator should know of; `subject` names the pool, handler or limit."""

    kind: str
    message: str
    subject: Optional[str] = None


@dataclass(frozen=True)
class Death:
    """A worker that died and was not asked to."""

    time_usec: int
    worker: str
    pid: int
    cause: str
    message: str


@dataclass(frozen=True)
class Status:
    """The daemon at a glance. `jobs` counts them by state; `deaths` are the last ones, newest
    first; `scoreboard` is the path of a file that tells the same without the daemon."""

    version: str
    state: str
    started_usec: int
    pools: List[Pool]
    jobs: Dict[str, int]
    store_bytes: int
    memory_bytes: int
    warnings: Tuple[DaemonWarning, ...] = ()
    deaths: Tuple[Death, ...] = ()
    scoreboard: Optional[str] = None

    @classmethod
    def of(cls, values: Dict[str, Any]) -> Status:
        return fill(cls, values, pools=[fill(Pool, p) for p in values["pools"]],
                    warnings=tuple(fill(DaemonWarning, w) for w in values.get("warnings") or ()),
                    deaths=tuple(fill(Death, d) for d in values.get("deaths") or ()))


@dataclass(frozen=True)
class Reason:
    """What a job waits for; `ahead` counts the jobs of its pool that come first."""

    state: str
    reason: str
    ahead: Optional[int] = None


@dataclass(frozen=True)
class Output:
    """A piece of what a job wrote; `stream` is "stdout" or "stderr"."""

    stream: str
    data: bytes

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Output:
        coded = values.get("data_base64")
        data = base64.b64decode(coded) if coded else (values.get("data") or "").encode()
        return cls(values["stream"], data)

    @property
    def text(self) -> str:
        """What is no UTF-8 is replaced."""
        return self.data.decode(errors="replace")


@dataclass(frozen=True)
class Change:
    """One change: of the `kind` "job", "worker" or "pool", what has this `id` is now in `state`."""

    time_usec: int
    kind: str
    id: str
    state: str
    reason: Optional[str] = None

# SPDX-License-Identifier: MIT
"""What a client asks for: the type Spec of io.brood, with Python's units."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

Seconds = Union[int, float, timedelta]


def usec(span: Seconds) -> int:
    """Whole microseconds."""
    if isinstance(span, timedelta):
        return span // timedelta(microseconds=1)
    return round(span * 1_000_000)


def arguments(args: Any) -> Dict[str, Any]:
    """The object that the arguments are."""
    return dict(args) if isinstance(args, Mapping) else {"value": args}


_random: List[bytes] = []  # eight bytes each; a fork has none of its parent's
os.register_at_fork(after_in_child=_random.clear)


def _random_bytes() -> bytes:
    try:
        return _random.pop()
    except IndexError:
        drawn = os.urandom(8 * 128)
        _random.extend(drawn[i:i + 8] for i in range(8, len(drawn), 8))
        return drawn[:8]


def new_id() -> str:
    """A UUIDv7 (RFC 9562): milliseconds since the epoch, 12 bits of a fraction, 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    random = int.from_bytes(_random_bytes(), "big") >> 2
    number = milliseconds << 80 | 7 << 76 | rest * 4096 // 1_000_000 << 64 | 2 << 62 | random
    text = "%032x" % number
    return "%s-%s-%s-%s-%s" % (text[:8], text[8:12], text[12:16], text[16:20], text[20:])


@dataclass
class Spec:
    """A job to be submitted. Only `handler` is needed.

    args            an object (dict); a value x of another type is sent as {"value": x}
    id              made by the client (new_id()), so that a Submit can be repeated
    priority        higher runs first; -1000 to 1000
    run_at          not before this time: a datetime (without a zone: local), or an epoch time
    delay           not before so many seconds have passed; at most one of the two
    max_attempts    attempts at the most
    timeout         seconds that one attempt may take
    ttl             give up if it has not started so many seconds after it was submitted
    keep            keep record and result so many seconds after its end
    unique_key      an unended job of the same user, handler and key is returned instead
    after           ids of jobs that must have succeeded first
    semaphores      their names; a unit of each is held while the job runs
    tags            words to find it by
    durability      "fsync" or "memory"; None: as the daemon's config says
    attached        cancel it when the connection that submitted it closes
    """

    handler: str
    args: Any = None
    id: Optional[str] = None
    priority: Optional[int] = None
    run_at: Union[datetime, int, float, None] = None
    delay: Optional[Seconds] = None
    max_attempts: Optional[int] = None
    timeout: Optional[Seconds] = None
    ttl: Optional[Seconds] = None
    keep: Optional[Seconds] = None
    unique_key: Optional[str] = None
    after: Iterable[str] = ()
    semaphores: Iterable[str] = ()
    tags: Iterable[str] = ()
    durability: Optional[str] = None
    attached: bool = False

    def message(self) -> Dict[str, Any]:
        """As it travels. Gives it an id if it has none."""
        if self.id is None:
            self.id = new_id()
        said: Dict[str, Any] = {"handler": self.handler, "id": self.id}
        if self.args is not None:
            said["args"] = arguments(self.args)
        for name in ("priority", "max_attempts", "unique_key", "durability"):
            if getattr(self, name) is not None:
                said[name] = getattr(self, name)
        for name in ("delay", "timeout", "ttl", "keep"):
            if getattr(self, name) is not None:
                said[name + "_usec"] = usec(getattr(self, name))
        for name in ("after", "semaphores", "tags"):
            if getattr(self, name):
                said[name] = list(getattr(self, name))
        if self.run_at is not None:
            at = self.run_at
            said["run_at_usec"] = usec(at.timestamp() if isinstance(at, datetime) else at)
        if self.attached:
            said["attached"] = True
        return said


def spec_of(handler: Union[str, Spec], args: Any, options: Dict[str, Any]) -> Spec:
    """What submit() and run() are given: a Spec, or a handler with arguments and options."""
    if not isinstance(handler, Spec):
        return Spec(handler, args, **options)
    if args is not None or options:
        raise TypeError("a Spec says it all: nothing may stand beside it")
    return handler

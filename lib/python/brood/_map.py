# SPDX-License-Identifier: MIT
"""A job for each of many, with a bounded number in flight.

Ids are made here, so that what is unanswered when a connection is lost is submitted again, and
returns the job that is there already.
"""

from __future__ import annotations

import itertools
import select
from collections import deque
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional, Tuple

from . import _wire
from ._connection import Pipe
from ._errors import ConnectionLost
from ._spec import Spec, arguments, new_id

Message = Dict[str, Any]
Text = Tuple[str, bytes]  # a job's id, and the text that submits it

#: Calls that the daemon takes on one connection before it answers one: 1024.
MAX_WINDOW = 1000
BATCHES = 4

SUBMIT = b'{"method":"io.brood.Submit","parameters":{"job":%b,"wait":true}}\0'
SUBMIT_MANY = b'{"method":"io.brood.SubmitMany","parameters":{"jobs":[%b]}}\0'


def texts(handler: str, items: Iterable[Any], options: Dict[str, Any]) -> Iterator[Text]:
    """What is submitted for each item. What all have in common is written once."""
    base = Spec(handler, **options).message()
    base.pop("id", None)
    base.pop("args", None)
    head = _wire.text(base)[:-1] + b',"id":"'
    for item in items:
        args = _wire.text(item if isinstance(item, dict) else arguments(item))
        id = new_id()
        yield id, b'%b%b","args":%b}' % (head, id.encode(), args)


def in_order(path: str, specs: Iterator[Text], window: int) -> Iterator[Message]:
    """One connection; each call is a Submit that is answered when its job has ended. Yields the
    jobs as they travel. It submits when a quarter of the window is free: what comes together is
    written, synced and answered together all the way."""
    window = min(window, MAX_WINDOW)
    waiting: Deque[bytes] = deque()
    pipe = Pipe(path)
    answered = True  # since the connection was made
    try:
        while True:
            if len(waiting) <= window * 3 // 4:
                for _, text in itertools.islice(specs, window - len(waiting)):
                    waiting.append(SUBMIT % text)
                    pipe.send(waiting[-1])
            if not waiting:
                return
            try:
                pipe.turn()
            except ConnectionLost:
                if not answered:
                    raise
                pipe.close()
                pipe, answered = Pipe(path), False
                for call in waiting:
                    pipe.send(call)
            while pipe.arrived:
                reply = _wire.parameters_of(pipe.receive())
                waiting.popleft()
                answered = True
                yield reply["job"]
    finally:
        pipe.close()


class Batch:
    """SubmitMany and then WaitMany on a connection of its own, again and again."""

    def __init__(self, path: str) -> None:
        self.pipe = Pipe(path)
        self.left: Dict[str, bytes] = {}
        self.submitted = False
        self.answered = True

    def start(self, specs: Dict[str, bytes]) -> None:
        self.left = specs
        self.submitted = False
        self.pipe.send(SUBMIT_MANY % b",".join(specs.values()))

    def again(self) -> None:
        """The connection was lost."""
        if not self.answered:
            raise self.pipe.lost()
        self.pipe.close()
        self.pipe, self.answered = Pipe(self.pipe.path), False
        self.start(self.left)

    def turn(self) -> List[Message]:
        """Something can be read, or written. Returns the jobs that have ended."""
        try:
            self.pipe.turn()
        except ConnectionLost:
            self.again()
        ended = []
        while self.pipe.arrived:
            reply = _wire.parameters_of(self.pipe.receive())
            self.answered = True
            if not self.submitted:
                self.submitted = True
                self.pipe.send(_wire.call("WaitMany", {"ids": list(self.left)}, more=True))
            else:
                ended.append(reply["job"])
                del self.left[reply["job"]["id"]]
        return ended


def as_they_end(path: str, specs: Iterator[Text], window: int) -> Iterator[Message]:
    size = max(window // BATCHES, 1)
    batches: List[Batch] = []
    more = True

    def next_batch() -> Optional[Dict[str, bytes]]:
        return dict(itertools.islice(specs, size)) or None

    try:
        while more or any(b.left for b in batches):
            idle = [b for b in batches if not b.left]
            while more and (idle or len(batches) < min(BATCHES, window)):
                batch = next_batch()
                if batch is None:
                    more = False
                    break
                if not idle:
                    batches.append(Batch(path))
                    idle.append(batches[-1])
                idle.pop().start(batch)
            poll = select.poll()
            busy = {b.pipe.socket.fileno(): b for b in batches if b.left}
            for fd, b in busy.items():
                poll.register(fd, select.POLLIN | (select.POLLOUT if b.pipe.unsent else 0))
            for fd, _ in poll.poll() if busy else ():
                yield from busy[fd].turn()
    finally:
        for b in batches:
            b.pipe.close()

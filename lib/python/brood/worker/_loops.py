# SPDX-License-Identifier: MIT
"""The event loops that run `async def` handlers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Coroutine, Optional

from . import Cancelled, Job

if TYPE_CHECKING:  # what only some workers need is imported by them
    import asyncio

    from ._handlers import Handler


class Ended:
    """What ends a program, raised in a coroutine: a loop would end by it, and its thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def kept(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        return Ended(error)


class Loops:
    """One loop of the thread that runs the handlers; or, `shared`, one in a thread of its own for
    the handlers of all slots."""

    def __init__(self) -> None:
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self.lock = threading.Lock()

    def run(self, handler: Handler, job: Job, shared: bool) -> Any:
        import asyncio
        import concurrent.futures
        coroutine = kept(handler(job))
        try:
            if shared:
                loop = self.shared_loop()
                result = asyncio.run_coroutine_threadsafe(
                    self.cancellable(coroutine, job, loop), loop).result()
            else:
                loop = self.own_loop()
                result = loop.run_until_complete(self.cancellable(coroutine, job, loop))
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            raise Cancelled(job.reason or "cancel") from None
        if isinstance(result, Ended):
            raise result.error
        return result

    async def cancellable(self, coroutine: Coroutine[Any, Any, Any], job: Job,
                          loop: asyncio.AbstractEventLoop) -> Any:
        task = loop.create_task(coroutine)
        job._hook = lambda _: self.cancel_task(loop, task)
        if job.cancelled:
            task.cancel()
        return await task

    @staticmethod
    def cancel_task(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        loop.call_soon_threadsafe(task.cancel)

    def own_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio
        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        return self.loop

    def shared_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio
        with self.lock:
            if self.loop is None or self.loop.is_closed():
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=turn, args=(self.loop,), name="brood-loop",
                                 daemon=True).start()
            return self.loop


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Whoever stops it stops it for all: it goes on."""
    while not loop.is_closed():
        loop.run_forever()

# SPDX-License-Identifier: MIT
"""The event loops that run `async def` handlers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Coroutine, Optional

from . import Cancelled, Job

if TYPE_CHECKING:  # what only some workers need is imported by them
    import asyncio

    from ._handlers import Handler


class Loops:
    """One loop of the thread that runs the handlers; or, `shared`, one in a thread of its own for
    the handlers of all slots."""

    def __init__(self) -> None:
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self.lock = threading.Lock()

    def run(self, handler: Handler, job: Job, shared: bool) -> Any:
        import asyncio
        import concurrent.futures
        coroutine = handler(job)
        try:
            if not shared:
                loop = self.loop = self.loop or asyncio.new_event_loop()
                asyncio.set_event_loop(loop)
                return loop.run_until_complete(self.cancellable(coroutine, job, loop))
            loop = self.shared_loop()
            return asyncio.run_coroutine_threadsafe(self.cancellable(coroutine, job, loop),
                                                    loop).result()
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            raise Cancelled(job.reason or "cancel") from None

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

    def shared_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio
        with self.lock:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever, name="brood-loop",
                                 daemon=True).start()
            return self.loop

# SPDX-License-Identifier: MIT
"""The handlers that `broodctl bench models` measures: one that calculates, one that waits, one that
crashes. Each is there twice, the second time for an event loop."""

from __future__ import annotations

import signal
import time
from typing import Dict

from . import handler


def calculate(rounds: int) -> Dict[str, int]:
    """A fixed amount of work: each round needs the one before."""
    x = 1
    for _ in range(rounds):
        x = x * 69069 + 1 & 0xFFFFFFFF
    return {"value": x}


def fall() -> None:
    signal.raise_signal(signal.SIGSEGV)


@handler
def burn(rounds: int) -> Dict[str, int]:
    return calculate(rounds)


@handler
def sleep(seconds: float) -> Dict[str, float]:
    time.sleep(seconds)
    return {"seconds": seconds}


@handler
def crash() -> None:
    fall()


@handler
async def burn_async(rounds: int) -> Dict[str, int]:
    return calculate(rounds)


@handler
async def sleep_async(seconds: float) -> Dict[str, float]:
    import asyncio  # the others are not to carry it
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


@handler
async def crash_async() -> None:
    fall()

# SPDX-License-Identifier: MIT
"""The scoreboard, read apart from the C reader: daemon/ops/board_layout.h in other words."""

import ctypes
import mmap
import os

__all__ = ["Board", "OUTCOMES", "STATES", "quantile"]

STATES = ["scheduled", "blocked", "queued", "running", "succeeded", "failed", "quarantined",
          "cancelled", "expired"]
OUTCOMES = ["succeeded", "error", "command_failed", "timeout", "cancelled", "worker_died",
            "shutdown", "supervisor_died"]
WORKER_STATES = ["starting", "spare", "idle", "busy", "leaving"]
U64, U32, U16, U8, Text = (ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint16, ctypes.c_uint8,
                           ctypes.c_char)
STEPS, POWERS = 4, 40
BUCKETS = STEPS * (POWERS - 1)
HEAD_SIZE, MAX_POOLS, MAX_HANDLERS, MAX_SLOTS = 8192, 1024, 4096, 16384


class Histogram(ctypes.Structure):
    _fields_ = [("buckets", U64 * BUCKETS), ("sum", U64)]


class Head(ctypes.Structure):
    _fields_ = [("magic", Text * 24), ("version", U32), ("seq", U32), ("pid", U32),
                ("n_pools", U32), ("n_handlers", U32), ("n_slots", U32), ("n_left_out", U64),
                ("program", Text * 32), ("socket", Text * 256), ("state", Text * 16),
                ("offset", U64), ("started", U64), ("turn_began", U64), ("written", U64),
                ("jobs", U64 * 9), ("clients", U64), ("store_bytes", U64), ("store_failing", U64),
                ("commits", Histogram), ("turns", Histogram)]


class Pool(ctypes.Structure):
    _fields_ = [("seq", U32), ("min_workers", U32), ("max_workers", U32), ("spares", U32),
                ("name", Text * 64), ("state", Text * 16), ("why", Text * 256), ("jobs", U64 * 9),
                ("done", U64), ("deaths", U64 * 9)]


class Handler(ctypes.Structure):
    _fields_ = [("seq", U32), ("pool", U32), ("name", Text * 64), ("resting_until", U64),
                ("submitted", U64), ("ended", U64 * 9), ("attempts", U64 * 8),
                ("waiting", Histogram), ("running", Histogram)]


class Slot(ctypes.Structure):
    _fields_ = [("seq", U32), ("pid", ctypes.c_int32), ("in_use", U32), ("pool", U32),
                ("seat", U32), ("generation", U32), ("slot", U16), ("line", U16), ("state", U8),
                ("has_job", U8), ("handler", U16), ("started", U64), ("done", U64), ("since", U64),
                ("job", U8 * 16), ("attempt", U32), ("uid", U32)]


def stride(kind):
    """Records begin at multiples of a cache line."""
    return (ctypes.sizeof(kind) + 63) // 64 * 64


def quantile(histogram, share):
    """As lib/base/histogram.c has it: the middle of the bucket in which that value is."""
    wanted, seen, low = max(1, int(share * sum(histogram.buckets) + 0.5)), 0, 0
    for i, n in enumerate(histogram.buckets):
        bound = i + 1
        if i + 1 >= STEPS:
            bound = (STEPS + (i + 1) % STEPS) << ((i + 1) // STEPS - 1)
        seen += n
        if seen >= wanted:
            return low + (bound - low) // 2
        low = bound
    return low


class Board:
    """A copy of a file, each record of which is a whole one."""

    def __init__(self, path):
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            self.map = mmap.mmap(f.fileno(), size, prot=mmap.PROT_READ)
        with self.map:
            self.head = self.record(0, Head)
            at = HEAD_SIZE
            self.pools = self.records(at, Pool, self.head.n_pools)
            at += MAX_POOLS * stride(Pool)
            handlers = self.records(at, Handler, self.head.n_handlers)
            self.handlers = {h.name.decode(): h for h in handlers if h.name}
            at += MAX_HANDLERS * stride(Handler)
            self.slots = [s for s in self.records(at, Slot, self.head.n_slots) if s.in_use]

    def records(self, at, kind, n):
        return [self.record(at + i * stride(kind), kind) for i in range(n)]

    def record(self, at, kind):
        for _ in range(100000):
            copy = kind.from_buffer_copy(self.map, at)
            again = U32.from_buffer_copy(self.map, at + kind.seq.offset).value
            if copy.seq == again and not again & 1:
                return copy
        raise AssertionError("a record that is always being written")

    def state_of(self, slot):
        return WORKER_STATES[slot.state]

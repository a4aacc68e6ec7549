/* SPDX-License-Identifier: MIT */
#pragma once

/* What a pool and one of its workers say to each other, on a stream socket and in a page of memory.
 * Both ends come from one build.
 *
 * To the worker: a Hello, then Chunks. Back: results, in the order of the tasks. The worker
 * collects results in the page and sends what is there when it is much, old, or all: so a worker
 * that is killed has not lost what it had finished, and the page says whether it had begun the
 * next. */

#include <stdint.h>

enum { WIRE_PAGE = 64 * 1024, WIRE_NAME = 64 };

/* A function: by name, or, in a fork, by its address. */
typedef struct WireFunction {
        uint64_t address;
        char name[WIRE_NAME]; /* empty: by address */
} WireFunction;

typedef struct WireHello {
        WireFunction initializer; /* neither: none */
        uint64_t size;            /* of its input, which follows */
} WireHello;

typedef struct WireChunk {
        WireFunction function;
        uint64_t n; /* tasks follow: the size of each (8 bytes), and its bytes */
} WireChunk;

enum { WIRE_READY = 100, WIRE_NOT_READY }; /* the answers to Hello, beside the states of results */

typedef struct WireResult {
        uint32_t state; /* BroodTaskState, or WIRE_… */
        uint32_t reserved;
        uint64_t size;  /* of its bytes, or of its message, which follow */
} WireResult;

/* Bytes of results are numbered from the birth of the worker. Those from `base` on stand in the
 * buffer, and have not been sent, or only just. */
typedef struct WirePage {
        uint64_t begun;  /* tasks */
        uint64_t base;   /* all before it were sent */
        uint64_t filled; /* all before it are there */
        char buffer[WIRE_PAGE];
} WirePage;

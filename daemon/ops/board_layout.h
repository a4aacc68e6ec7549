/* SPDX-License-Identifier: MIT */
#pragma once

/* The scoreboard: a file in the runtime directory that broodd maps and writes, and others map and
 * read, without a word to broodd. So it can be read when broodd is stopped or stuck.
 *
 * It has four parts: one head, and lists of pools, handlers and slots. Each record has a sequence
 * number, which is odd while it is written; a reader that finds it odd, or changed after it has
 * copied the record, copies again. A record of a list that is not in use has an empty name, or no
 * pid. Slots are always as they are; the rest is up to BOARD_PERIOD old while broodd is at work.
 *
 * Times are broodd's own (base/clock.h: clock_steady()), in microseconds since the epoch; 0: none.
 * Texts end with NUL. Integers have the machine's order: the file never leaves it. */

#include <stdint.h>

#include "base/histogram.h"

#define BOARD_FILE  "scoreboard"
#define BOARD_MAGIC "brood scoreboard"

enum {
        BOARD_VERSION = 1, /* another one: nothing of it can be read */
        BOARD_MAX_POOLS = 1024,
        BOARD_MAX_HANDLERS = 4096,
        BOARD_MAX_SLOTS = 16384,
        BOARD_STATES = 9,  /* of a job, in the order of the interface; each list has an assert */
        BOARD_OUTCOMES = 8,
        BOARD_DEATHS = 9,  /* causes: pool/obituary.h */
};

#define BOARD_PERIOD (20 * USEC_PER_MSEC)

typedef struct BoardHead {
        char magic[24];
        uint32_t version;
        uint32_t seq;
        uint32_t pid;        /* of broodd */
        uint32_t n_pools, n_handlers, n_slots; /* records behind these were never in use */
        uint64_t n_left_out; /* slots for which there was no room just now */
        char program[32];    /* version of brood */
        char socket[256];
        char state[16];      /* starting, running, …, as in Status */
        uint64_t offset;     /* what to add to CLOCK_MONOTONIC to have broodd's time */
        uint64_t started;
        uint64_t turn_began; /* a turn of the loop is under way since then; 0: it waits */
        uint64_t written;    /* the head and all but the slots */
        uint64_t jobs[BOARD_STATES];
        uint64_t clients;
        uint64_t store_bytes, store_failing; /* failing: 1 */
        Histogram commits, turns;
} BoardHead;

typedef struct BoardPool {
        uint32_t seq;
        uint32_t min_workers, max_workers, spares;
        char name[64];
        char state[16]; /* running, paused, draining or failed */
        char why[256];  /* its workers do not start; "": they do */
        uint64_t jobs[BOARD_STATES];
        uint64_t done;
        uint64_t deaths[BOARD_DEATHS];
        char room[8]; /* up to a whole number of cache lines, here and below */
} BoardPool;

typedef struct BoardHandler {
        uint32_t seq;
        uint32_t pool; /* its place in the list of pools; UINT32_MAX: nobody serves it */
        char name[64];
        uint64_t resting_until; /* its breaker is open; 0: it is not */
        uint64_t submitted, ended[BOARD_STATES], attempts[BOARD_OUTCOMES];
        Histogram waiting, running;
        char room[16];
} BoardHandler;

/* In the order in which a worker goes through them; busy and idle are one state to its pool. */
typedef enum BoardState {
        BOARD_STARTING,
        BOARD_SPARE,
        BOARD_IDLE,
        BOARD_BUSY,
        BOARD_LEAVING,
} BoardState;

/* One slot of a worker; those of one worker have the same pool, seat and generation. Its name is
 * that of its pool, a dot and the seat. */
typedef struct BoardSlot {
        uint32_t seq;
        int32_t pid;      /* 0: not yet born */
        uint32_t in_use;  /* 1, or 0 and nothing else means anything */
        uint32_t pool;    /* its place in the list of pools */
        uint32_t seat, generation;
        uint16_t slot;    /* of the worker, from 0 */
        uint16_t line;    /* runs that it was given: the one below and those written ahead */
        uint8_t state;    /* BoardState: of the worker, but busy or idle by itself */
        uint8_t has_job;
        uint16_t handler; /* the place in the list of handlers; UINT16_MAX: not known */
        uint64_t started; /* the worker */
        uint64_t done;    /* jobs, by the worker */
        uint64_t since;   /* the job was begun */
        uint8_t job[16];  /* its id */
        uint32_t attempt, uid;
        char room[48];
} BoardSlot;

_Static_assert(sizeof(BoardSlot) == 128, "two cache lines");
_Static_assert(sizeof(BoardPool) % 64 == 0 && sizeof(BoardHandler) % 64 == 0, "whole ones");

typedef struct BoardLayout {
        union {
                BoardHead head;
                char head_page[8192];
        };
        BoardPool pools[BOARD_MAX_POOLS];
        BoardHandler handlers[BOARD_MAX_HANDLERS];
        BoardSlot slots[BOARD_MAX_SLOTS];
} BoardLayout;

_Static_assert(sizeof(BoardHead) <= 8192, "it has a place of its own");

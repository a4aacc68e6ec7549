/* SPDX-License-Identifier: MIT */
#pragma once

/* One slot of a worker: the connection on which it is given runs, in order, and answers them.
 *
 * Only the first run of the line has begun; those behind it were written ahead, while the handler's
 * runs are short, and can be recalled (see worker/slot_page.h). A job and a slot join in
 * slot_give() and part when it is answered, recalled or buried. */

#include "core/core.h"
#include "core/ladder.h"
#include "varlink/event.h"
#include "varlink/stream.h"
#include "worker/slot_page.h"

enum { SLOT_MAX_RUNS = 128 };

struct Worker;

typedef struct SlotRun {
        Job *job;         /* NULL: recalled; its answer is still to come */
        uint32_t attempt; /* of the first in line: which one it is */
        bool force;       /* its cancel is by force, when its turn or its time comes */
} SlotRun;

/* A piece of what a job writes. */
typedef struct JobOutput {
        bool err;    /* to stderr, else to stdout */
        bool base64; /* not text: base 64 of it */
        Slice text;  /* as it stands in JSON, between quotes */
} JobOutput;

typedef struct Slot {
        struct Worker *worker;
        List idle; /* Pool.idle or, of a worker with several slots, Worker.free */
        Link link;
        VarlinkStream in;
        Buffer out;
        SlotPage *page;        /* NULL: a command, which has none */
        SlotRun runs[SLOT_MAX_RUNS]; /* a ring */
        unsigned first, count;
        uint32_t answered;     /* runs that had begun and were answered */
        bool closed;           /* recalled: nothing is given until all is answered */
        bool followed;         /* the worker was told to send output */
        usec_t since;          /* when the first run began */
        usec_t slowest;        /* of the handlers in line */
        Ladder ladder;         /* of the first run */
        bool timed_out;        /* why it is on the ladder: its timeout, else a cancel */
        bool pulled;           /* it has pulled down its worker: that was sent a signal for it */
        struct event timer;    /* timeout or next rung */
        bool armed;            /* it is set, for the first run */
        struct BoardSlot *shown; /* on the scoreboard; NULL: there is no room */
        struct event slow;     /* SlowAfter= of the first run */
        bool slow_armed;
} Slot;

/* Empty, to be initialised or freed. */
void slot_clear(Slot *slot, struct Worker *worker);
int slot_init(Slot *slot, struct Worker *worker, int fd, SlotPage *page);
void slot_fini(Slot *slot);

/* Enters it into, or takes it out of, its pool's list of idle slots. */
void slot_note_idle(Slot *slot);

/* How many more runs it can take that last so long (0: nobody knows), of a handler that workers of
 * its pool know since this epoch; 0: none. */
unsigned slot_room(const Slot *slot, usec_t run_usec, unsigned since);

/* Writes the run; the job begins, or stands in line. Returns 0, or -errno with the job
 * untouched (-ENOMEM: the connection is of no use any more). */
int slot_give(Slot *slot, Job *job, usec_t now);

/* Has the worker really begun it? It may have been given the run and not looked at it yet. */
bool slot_has_begun(const Slot *slot, const Job *job);

/* Takes back what has not begun. */
void slot_recall(Slot *slot, usec_t now);

/* Somebody wants the end of a job on this slot. */
void slot_cancel(Slot *slot, Job *job, bool force, usec_t now);

/* Does anybody follow the job's output? NULL: no job. */
bool slot_is_followed(const Slot *slot, const Job *job);

/* Followers of a job on this slot have come or gone. */
void slot_look_followed(Slot *slot);

/* The worker is dead: what had begun ends, with a certificate; the rest goes back to the queue. */
void slot_bury(Slot *slot, usec_t now);

/* The first run of the line is answered: the next one begins, or the slot is idle. */
void slot_advance(Slot *slot, usec_t now);

/* The worker says something: answers, or what is said before them. Returns 0, or -errno to end the
 * connection. */
int slot_hear(Slot *slot, const char *bytes, size_t n);

static inline SlotRun *slot_run(Slot *slot, unsigned i)
{
        return &slot->runs[(slot->first + i) % SLOT_MAX_RUNS];
}

static inline Job *slot_job(const Slot *slot, unsigned i)
{
        return slot->runs[(slot->first + i) % SLOT_MAX_RUNS].job;
}

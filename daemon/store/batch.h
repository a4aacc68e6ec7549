/* SPDX-License-Identifier: MIT */
#pragma once

/* What one transaction is to make durable: requests of core, copied so far as the loop may change
 * them while the storage thread writes. What a job was submitted with, and its attempts, nobody
 * touches while its request is under way: those are read where they are. */

#include "core/core.h"

typedef struct StoreItem {
        Job *job;
        JobRequest request;
        bool claim;      /* ADMIT: its first attempt may begin */
        JobState state;  /* that the row is to show */
        CorePool *pool;
        const JobHistory *history;
        const char *reason;
        uint16_t given;
        bool first_end;   /* SETTLE: no earlier end can have left a result */
        bool result_shed; /* SETTLE: the store has the result, and it stays */
        uint32_t attempt, budget;
        usec_t order, ready_at, ended, now;
        bool load_args;  /* CLAIM: they are needed now */
        char *args;      /* what was loaded */
        size_t args_len;
        unsigned first_edge, n_edges; /* ADMIT: of the jobs that must succeed first */
} StoreItem;

/* "This job after that one". */
typedef struct StoreEdge {
        uint64_t waiting; /* seq */
        Uuid blocker;
        usec_t now;
        bool said_once; /* by a job in memory, which will not say it again */
} StoreEdge;

typedef struct StoreBatch {
        StoreItem *items;
        unsigned n, capacity;
        StoreEdge *edges; /* that are new */
        unsigned n_edges, cap_edges;
        StoreEdge *met;   /* that are met: the job has succeeded */
        unsigned n_met, cap_met;
        uint64_t large;   /* payloads above this do not stand in the row */
        bool probe;       /* write something, to see whether it can be done again */
} StoreBatch;

void batch_fini(StoreBatch *b);
/* Empties it; what was loaded and not taken is freed. */
void batch_clear(StoreBatch *b);

/* Adds the request of a job. Returns 0, or -ENOMEM with nothing added. */
int batch_add(StoreBatch *b, Job *job, usec_t now);

/* Adds what core_next_mark() gave. Returns 0 or -ENOMEM. */
int batch_add_mark(StoreBatch *b, Job *job);

/* Of a job that has succeeded in memory: the store knows those that wait for it. */
int batch_add_met(StoreBatch *b, const Job *job, usec_t now);
/* What would not be said again goes from a batch that failed to the next. Returns 0 or -ENOMEM. */
int batch_keep_met(StoreBatch *b, const StoreBatch *failed);

/* SPDX-License-Identifier: MIT */
#pragma once

/* The parts of map: jobs in flight, how they are handed in, and how their ends are heard.
 *
 * A job is made from a line and waits; goes out in a SubmitMany (one at a time, so that what is
 * refused can be sent again in order); and when that is answered is asked for with WaitMany, in a
 * lane: a connection of its own. In order there is one lane, and calls queue up in it. Unordered,
 * a slow job would hold back the replies to every later call, so there are several lanes, and one
 * that still has jobs when it gets new ones is opened anew and asks for all of them at once. */

#include "base/hashtable.h"
#include "base/list.h"
#include "base/uuid.h"
#include "ctl/call.h"
#include "ctl/lines.h"
#include "ctl/progress.h"
#include "ctl/sink.h"

enum {
        MAP_LANES = 4,
        MAP_WINDOW = 256,           /* jobs in flight, unless --window says otherwise */
        MAP_BATCH_BYTES = 1 << 20,  /* of the arguments in one SubmitMany, where several fit */
        MAP_WAITING_BYTES = 8 << 20, /* of arguments not yet handed in */
        MAP_OUTPUT_BYTES = 1 << 20, /* unwritten; then no more jobs are handed in */
};

typedef struct MapJob {
        List list;     /* in `waiting`, `submitting` or a lane */
        HashLink link; /* in `jobs`, by id */
        Uuid id;
        uint64_t index, line; /* from 0, from 1 */
        struct MapLane *lane; /* where its end is waited for, or NULL */
        char *args;           /* NULL once it is handed in */
        size_t args_len;
} MapJob;

typedef struct MapLane {
        Ctl ctl;   /* with a client of its own; NULL: not open */
        List jobs;
        unsigned n_jobs;
} MapLane;

typedef struct Map {
        Ctl *ctl; /* for SubmitMany */
        const char *handler;
        bool ordered, json;
        unsigned window;

        Lines lines;
        VarlinkScan scan; /* for lines */
        uint64_t next_index;
        int stop;    /* a status, once no more lines are to be read; 0: go on */
        bool failed; /* a job failed */

        HashTable jobs;
        List waiting, submitting;
        unsigned n_jobs, n_waiting, n_submitting;
        size_t waiting_bytes;
        unsigned batch;  /* jobs in the next SubmitMany at the most */
        usec_t retry_at; /* the queue was full: try again then; 0: now. Monotonic */
        usec_t delay;    /* before the next try */

        MapLane lanes[MAP_LANES];
        unsigned n_lanes;
        Sink sink;
        Progress progress;
} Map;

/* --- map/job.c --- */

/* Makes a job from a line. Returns a status: STATUS_USAGE if the line is not JSON. */
int map_job_new(Map *m, Slice line);
void map_job_free(Map *m, MapJob *job);
MapJob *map_job_find(const Map *m, const Uuid *id);

/* --- map/submit.c --- */

/* Hands in a batch, if there is one and nothing is in the way. Returns a status. */
int map_submit(Map *m, usec_t now);
/* Reads the answer, if it is there. Returns a status. */
int map_submitted(Map *m, usec_t now);

/* --- map/wait.c --- */

/* Asks for the ends of the jobs in the list, which is emptied. Returns a status. */
int map_wait(Map *m, List *jobs);
/* Takes what a lane has received. Returns a status. */
int map_lane_read(Map *m, MapLane *lane);
/* Cancels all that is handed in, as well as that goes. */
void map_cancel(Map *m);

/* --- map/print.c --- */

/* A job has ended: `job` is the text of a Job. */
void map_print(Map *m, const MapJob *which, Slice job);
/* say(), round the progress bar. */
void map_say(Map *m, const char *format, ...) PRINTF(2, 3);

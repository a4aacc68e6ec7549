/* SPDX-License-Identifier: MIT */
#pragma once

/* The worker's side of a job: what stands behind the public BroodJob. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "brood/handler.h"
#include "varlink/scan.h"
#include "worker/slot_page.h"

typedef enum CancelReason {
        CANCEL_NONE,
        CANCEL_CANCEL, /* these three in the order of the interface file */
        CANCEL_TIMEOUT,
        CANCEL_SHUTDOWN,
} CancelReason;

enum { JOB_FDS = 3, JOB_STREAMS = 2, JOB_PIECE = 64 * 1024 };

/* How a job tells something while it runs: set by whoever runs it. */
typedef struct JobReport {
        int (*progress)(void *context, double fraction);
        int (*output)(void *context, int stream, Slice bytes); /* JOB_PIECE and 3 at the most */
        void *context;
} JobReport;

/* Where else goes what a job writes, whether it is followed or not: set by the program round the
 * worker. */
typedef struct JobLog {
        void (*output)(void *context, const BroodJob *job, int stream, Slice bytes);
        void (*end)(void *context, const BroodJob *job); /* the handler has returned */
        void *context;
} JobLog;

/* The beginning of a UTF-8 character whose rest is still to be written. */
typedef struct JobCut {
        char bytes[3];
        uint8_t n;
} JobCut;

struct BroodJob {
        char id[UUID_TEXT + 1];
        int attempt;
        usec_t deadline; /* monotonic; USEC_INFINITY: none */
        Slice args;
        json_t *parsed; /* of args; NULL until asked for */
        int fds[JOB_FDS]; /* an attached command's own; -1: none */
        _Atomic int cancelled; /* CancelReason; written by the watching thread */
        int cancel_fd;         /* an eventfd; -1 until asked for */
        pthread_mutex_t *lock; /* guards cancel_fd against the watching thread */
        const JobReport *report;
        const JobLog *log;     /* NULL: nowhere */
        const char *handler;   /* these two are told to it */
        const char *worker;
        unsigned slot;
        const SlotPage *page; /* says whether output is wanted; NULL: it always is */
        JobCut cut[JOB_STREAMS];
        Buffer piece; /* of output */

        bool failed, answered;
        Buffer result;  /* JSON text of an object */
        char *message;  /* of a failure */
        const char *kind; /* of a failure: "command", "cancelled", …; NULL: none */
        bool bad_args, retry;
        json_t *details;
        VarlinkScan *scan; /* to check results with */
        size_t max_result; /* bytes */
};

/* The handler has returned: what is cut goes out as it is. */
void job_end_output(BroodJob *job);

/* Fails with a kind of its own. Always returns 1. */
int job_fail_kind(BroodJob *job, const char *kind, int retry, json_t *details, const char *format,
                  ...) PRINTF(5, 6);

/* The watching thread: somebody asks for the end. */
void job_cancel(BroodJob *job, CancelReason reason);

/* The reason in words for a message: "was cancelled", "timed out", "shutdown". */
const char *cancel_reason_words(CancelReason reason);

/* Frees what the job holds; the buffers' memory stays for the next one. */
void job_clear(BroodJob *job);

/* SPDX-License-Identifier: MIT */
#pragma once

/* The state of a worker, shared by its two threads; see serve.c. */

#include <pthread.h>
#include <stdatomic.h>

#include "varlink/service.h"
#include "worker/job.h"
#include "worker/serve.h"

/* A handler and how long it took lately. */
typedef struct HandlerSpeed {
        const BroodHandler *handler;
        usec_t usec;
} HandlerSpeed;

/* A cancel that came before its run was read. */
typedef struct EarlyCancel {
        char id[UUID_TEXT + 1];
        int attempt;
        CancelReason reason;
} EarlyCancel;

typedef struct Worker {
        int slot, control, sentinel;
        SlotPage *page;
        const BroodModule *module;
        size_t max_message;
        char name[80]; /* from Prepare */

        /* main thread */
        VarlinkService service;
        VarlinkInterface *interface;
        VarlinkServer server; /* its `out` under out_lock */
        HandlerSpeed *handlers;
        unsigned n_handlers;
        VarlinkCall *call; /* the run that is being answered */
        BroodJob job;
        VarlinkScan result_scan;
        int fds[JOB_FDS]; /* came with the message that is being read */
        unsigned n_fds;
        bool broken; /* this worker ends: what is unanswered stays so */

        pthread_mutex_t out_lock;
        usec_t unsent_since; /* under out_lock for writing; 0: nothing waits */

        pthread_mutex_t job_lock;
        BroodJob *current; /* under job_lock */
        EarlyCancel early[32];
        unsigned n_early;

        /* watching thread */
        pthread_t watcher;
        int stop_fd; /* an eventfd: the main thread is done */
        _Atomic bool leaving;
} Worker;

/* Sends the answers that are ready. Any thread. Returns 0 or -errno. */
int worker_flush(Worker *w);

/* Starts and joins the watching thread. */
int watch_start(Worker *w);
void watch_stop(Worker *w);

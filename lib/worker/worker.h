/* SPDX-License-Identifier: MIT */
#pragma once

/* The state of a worker: what all its slots share, and the slots, each with a connection and a job
 * of its own.
 *
 * A slot is served by one thread. The watching thread (watch.c) looks into all of them, under their
 * locks. */

#include <pthread.h>
#include <stdatomic.h>

#include "varlink/service.h"
#include "worker/async.h"
#include "worker/early.h"
#include "worker/job.h"
#include "worker/serve.h"

/* A handler and how long it took lately. */
typedef struct HandlerSpeed {
        const BroodHandler *handler;
        usec_t usec;
} HandlerSpeed;

typedef struct WorkerSlot {
        struct Worker *worker;
        unsigned number;
        int fd;
        SlotPage *page;

        /* its thread */
        pthread_t thread;  /* all but the first, whose is the main one */
        VarlinkService service;
        VarlinkServer server; /* its `out` under out_lock */
        HandlerSpeed *speeds; /* of the worker's handlers */
        VarlinkCall *call; /* the run that is being answered */
        BroodJob job;
        JobReport report;  /* of the job */
        VarlinkScan result_scan;
        char *bytes;       /* read, READ_SIZE */
        int fds[JOB_FDS]; /* came with the message that is being read */
        unsigned n_fds;

        AsyncSlot async;

        pthread_mutex_t out_lock;
        _Atomic unsigned held; /* answers that wait; under out_lock for writing */
        _Atomic usec_t unsent_since; /* under out_lock for writing; 0: nothing waits */

        pthread_mutex_t job_lock;
        BroodJob *current; /* under job_lock; and so is this */
        uint64_t early_seen; /* see early_take() */
} WorkerSlot;

typedef struct Worker {
        pid_t pid;
        int control, sentinel;
        const BroodModule *module;
        size_t max_message;
        char name[80]; /* from Prepare; and so are the handlers */
        const BroodHandler **handlers;
        unsigned n_handlers;
        VarlinkInterface *interface;
        _Atomic bool broken; /* this worker ends: what is unanswered stays so */
        _Atomic int error;   /* a connection failed: -errno */
        EarlyCancels early;

        /* watching thread */
        pthread_t watcher;
        int stop_fd; /* an eventfd: the slots are done */
        _Atomic bool leaving;

        const AsyncLoop *loop; /* of the main thread; NULL: each slot has a thread */
        int wake_fd;           /* an eventfd: a job was cancelled */
        AsyncEvent *wake_event;

        unsigned n_threads; /* beside the main one */
        unsigned n_slots;
        WorkerSlot slots[];
} Worker;

/* Prepares a slot, and gives up what it holds. Init returns 0 or negative. */
int worker_slot_init(WorkerSlot *slot, Worker *worker, unsigned number,
                     const WorkerOptions *options);
void worker_slot_fini(WorkerSlot *slot);

/* Serves it up to its end. */
void worker_slot_serve(WorkerSlot *slot);

/* Reads what is there, and works on it, without waiting. Returns 1 to go on, 0 at the end, or
 * -errno. */
int worker_slot_turn(WorkerSlot *slot);

/* Ends a fork that returns from a handler: it would read and answer what is its parent's. */
void worker_end_if_forked(const WorkerSlot *slot);

/* The handler is done with the job: it is answered. */
void worker_slot_finish(WorkerSlot *slot, HandlerSpeed *speed, usec_t began);

/* Sends the answers that are ready. Any thread. Returns 0 or -errno. */
int worker_slot_flush(WorkerSlot *slot);

/* No slot gets another run: those that wait for one end. Any thread. */
void worker_end_slots(Worker *w);

/* Prepare has been answered: the threads of the other slots begin. Returns 0 or -errno. */
int worker_start_threads(Worker *w);

/* Starts and joins the watching thread. */
int watch_start(Worker *w);
void watch_stop(Worker *w);

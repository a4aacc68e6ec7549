/* SPDX-License-Identifier: MIT */
#pragma once

/* A Waiter links one call to one job. Of wait.c and wait_many.c alone. */

#include "api/client.h"

typedef struct WaitGroup WaitGroup; /* the waiters of one SubmitMany or WaitMany */

typedef enum WaiterKind {
        WAITER_SUBMIT,      /* Submit: the admission */
        WAITER_SUBMIT_WAIT, /* Submit with wait, or with more: the end */
        WAITER_WAIT,        /* Wait */
        WAITER_CANCEL,      /* Cancel: that it ends, or will, is durable */
        WAITER_RETRY,       /* Retry: that it goes on is durable */
        WAITER_BATCH,       /* one of SubmitMany */
        WAITER_MANY,        /* one of WaitMany */
} WaiterKind;

typedef struct Waiter {
        List in_job;   /* JobCalls.waiters */
        WaiterKind kind;
        bool duplicate;
        bool done;     /* MANY: its job has ended, its reply is to come */
        bool fetches;  /* only the payload is missing */
        Job *job;      /* NULL: over */
        VarlinkCall *call;
        struct event *timer;  /* WAIT with a timeout */
        WaitGroup *group;  /* BATCH, MANY */
} Waiter;

/* --- wait.c --- */

/* Links it to the job; false: no memory. */
bool waiter_attach(Waiter *w, Job *job);
void waiter_detach(Waiter *w);

/* Is all there that a reply with the job carries? Else it is asked for; EVENT_FETCHED brings it, or
 * tells that it can not be had. */
bool wait_has_payload(const VarlinkCall *call, Job *job);

void wait_reply_job(VarlinkCall *call, const Job *job, bool continues);
void wait_no_memory(VarlinkCall *call);

/* Ends the call: the payload was asked for, and could not be had. Neither a reply without it nor
 * asking again and again would be right. */
void wait_unreadable(Waiter *w);

/* --- wait_many.c --- */

void wait_group_free(WaitGroup *g);
bool wait_group_shows_others(const WaitGroup *g, uint32_t uid);

/* What has become of the job of one of SubmitMany, or WaitMany. The group may be gone after it. */
void wait_batch_event(Waiter *w, unsigned events);
void wait_many_event(Waiter *w, unsigned events);

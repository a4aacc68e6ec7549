/* SPDX-License-Identifier: MIT */

#include "pool/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "base/entropy.h"
#include "base/fd.h"
#include "core/ties.h"
#include "pool/fields.h"
#include "pool/handler_log.h"
#include "pool/obituary.h"
#include "pool/pools.h"
#include "pool/show.h"
#include "pool/slow.h"
#include "varlink/json.h"
#include "varlink/message.h"

/* Short runs are written ahead up to so much work. */
enum { AHEAD_USEC = 1000 };

/* An answer that was held back is here in so much time, or the worker does not hear. */
enum { HELD_USEC = 100000 };

static Pools *pools_of(const Slot *slot)
{
        return slot->worker->pool->pools;
}

/* How long an attempt may take; 0: for ever. */
static usec_t timeout_of(const Job *job)
{
        return job_number(job, JOB_HAS_TIMEOUT, job->pool->policy.timeout);
}

/* --- output --- */

bool slot_is_followed(const Slot *slot, const Job *job)
{
        const Pools *pools = pools_of(slot);

        return pools->n_followers && job && pools->followed(job);
}

/* The worker may be further down the line than we know: it sends output of all runs if one of them
 * is followed. */
void slot_look_followed(Slot *slot)
{
        bool any = false;

        for (unsigned i = 0; i < slot->count && !any; i++)
                any = slot_is_followed(slot, slot_job(slot, i));
        if (slot->page && any != slot->followed)
                slot_page_follow(slot->page, any);
        slot->followed = any;
}

/* --- the line of runs --- */

static void arm(Slot *slot, usec_t when, usec_t now)
{
        usec_t left = when > now ? when - now : 0;
        struct timeval t = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };

        slot->armed = when != USEC_INFINITY;
        if (slot->armed)
                (void)event_add(&slot->timer, &t);
        else
                (void)event_del(&slot->timer);
}

void slot_note_idle(Slot *slot)
{
        bool idle = slot->worker->state == WORKER_ACTIVE && slot->count == 0 && !slot->closed &&
                    slot->link.fd >= 0;

        list_remove(&slot->idle);
        if (idle && slot->worker->n_slots > 1)
                list_prepend(&slot->worker->free, &slot->idle);
        else if (idle)
                list_prepend(&slot->worker->pool->idle, &slot->idle);
}

/* The first run of the line begins. */
static void begin(Slot *slot, usec_t now)
{
        Worker *w = slot->worker;
        Job *job = slot_job(slot, 0);
        AttemptBegin b = { w->seat, w->generation, w->pid };

        slot->since = now;
        slot->ladder = (Ladder)LADDER_INIT;
        slot->timed_out = slot->pulled = false;
        if (!job) {
                show_slot(slot);
                return;
        }
        worker_new_words(w, job->uid);
        if (core_begin(pools_of(slot)->core, job, &b, now) < 0) {
                const LogFields fields = worker_fields(w, NULL);

                log_event(&fields, LEVEL_ERROR, "worker=%s: no memory to note an attempt of job=%s",
                          w->name, uuid_text(&job->id).text);
                abort(); /* it runs, and nobody could say so */
        }
        slot_run(slot, 0)->attempt = job->attempt;
        if (timeout_of(job))
                arm(slot, usec_add(now, timeout_of(job)), now);
        if (w->pool->settings->slow_after)
                slow_arm(slot);
        worker_note_state(w, NULL);
        show_slot(slot);
        if (job->cancel_asked)
                slot_cancel(slot, job, slot_run(slot, 0)->force, now);
}

/* Where a job and its slot part. Returns the job; NULL if it had been recalled. */
static Job *part(Slot *slot)
{
        Job *job = slot_job(slot, 0);

        slot->first = (slot->first + 1) % SLOT_MAX_RUNS;
        if (--slot->count == 0)
                slot->worker->n_busy--;
        if (slot->slow_armed)
                slow_disarm(slot);
        if (slot->armed)
                arm(slot, USEC_INFINITY, 0);
        return job;
}

void slot_advance(Slot *slot, usec_t now)
{
        (void)part(slot);
        if (slot->followed)
                slot_look_followed(slot);
        if (slot->count) {
                begin(slot, now);
                return;
        }
        slot->slowest = 0;
        slot->worker->idle_since = now;
        slot->ladder = (Ladder)LADDER_INIT;
        if (slot->closed) {
                slot_page_open(slot->page, slot->answered);
                slot->closed = false;
        }
        slot_note_idle(slot);
        worker_note_state(slot->worker, NULL);
        show_slot(slot);
}

unsigned slot_room(const Slot *slot, usec_t run_usec, unsigned since)
{
        usec_t usec = MAX(slot->slowest, run_usec);
        unsigned window = 1;

        if (slot->closed || slot->link.fd < 0 || ladder_climbing(&slot->ladder) ||
            slot->worker->epoch < since)
                return 0;
        if (slot->page && run_usec && !slot->worker->pool->settings->builtin)
                window = (unsigned)MAX(MIN(AHEAD_USEC / usec, (usec_t)SLOT_MAX_RUNS), 1u);
        return window > slot->count ? window - slot->count : 0;
}

static void write_run(Slot *slot, const Job *job)
{
        Buffer *b = &slot->out;

        varlink_write_call(b, "io.brood.Worker.Run", VARLINK_MORE);
        emit_key(b, "id");
        emit_uuid(b, &job->id);
        emit_int_member(b, "attempt", (int64_t)job->attempt + 1);
        emit_string_member(b, "handler", slice_of(job->handler->name));
        emit_raw_member(b, "args", job_args(job).len ? job_args(job) : SLICE("{}"));
        if (timeout_of(job))
                emit_int_member(b, "timeout_usec", (int64_t)timeout_of(job));
        varlink_write_end(b, 0);
}

/* An attached command gets copies: the job may have to be given to another worker. */
static int pass_fds(Slot *slot, const Job *job)
{
        int copies[3] = { -1, -1, -1 };

        if (!job->ties || job->ties->fds[0] < 0)
                return 0;
        for (int i = 0; i < 3; i++) {
                copies[i] = fcntl(job->ties->fds[i], F_DUPFD_CLOEXEC, 3);
                if (copies[i] < 0) {
                        int r = -errno;

                        while (i--)
                                fd_close(copies[i]);
                        return r;
                }
        }
        link_pass_fds(&slot->link, copies);
        return 0;
}

int slot_give(Slot *slot, Job *job, usec_t now)
{
        int r = pass_fds(slot, job);

        ASSERT(slot->count < SLOT_MAX_RUNS && !slot->closed);
        if (r < 0)
                return r;
        write_run(slot, job);
        if (slot->out.failed) /* a message may be cut: the connection is of no use any more */
                return -ENOMEM;
        link_touch(&slot->link);
        job->slot = slot;
        *slot_run(slot, slot->count++) = (SlotRun){ .job = job };
        slot->slowest = MAX(slot->slowest, job->handler->run_usec);
        if (slot_is_followed(slot, job))
                slot_look_followed(slot);
        if (slot->count == 1) {
                slot->worker->n_busy++;
                list_remove(&slot->idle);
                begin(slot, now);
        }
        return 0;
}

/* --- taking back --- */

/* How many of the line have begun and are not answered. */
static unsigned begun(const Slot *slot, uint32_t counted)
{
        uint32_t n = counted - slot->answered;

        return n <= slot->count ? n : 1; /* a worker that scribbles on its page gains nothing */
}

bool slot_has_begun(const Slot *slot, const Job *job)
{
        return !slot->page || slot_job(slot, 0) != job ||
               begun(slot, slot_page_begun(slot->page)) > 0;
}

void slot_recall(Slot *slot, usec_t now)
{
        unsigned n;

        if (slot->closed || slot->count < 2 || !slot->page)
                return;
        slot->closed = true;
        n = MAX(begun(slot, slot_page_close(slot->page)), 1u);
        if (slot_job(slot,
                     slot->count - 1)) /* what is answered already must not wait for the rest */
                worker_poke(slot->worker, slot_job(slot, slot->count - 1));
        for (unsigned i = n; i < slot->count; i++) {
                SlotRun *run = slot_run(slot, i);
                Job *job = run->job;

                run->job = NULL;
                if (job)
                        core_unclaim(pools_of(slot)->core, job, now);
        }
        if (slot->followed)
                slot_look_followed(slot);
        pools_of(slot)->dirty = true;
}

/* --- ending --- */

static void act(Slot *slot, Rung rung)
{
        Job *job = slot_job(slot, 0);
        const char *why = slot->timed_out ? "timeout" : "cancel";
        WorkerEnd end = slot->timed_out ? END_TIMEOUT : END_CANCEL;

        if (rung == RUNG_ASK) {
                worker_ask_cancel(slot->worker, job, job->attempt, why);
                return;
        }
        if (rung != RUNG_TERM && rung != RUNG_KILL)
                return;
        slot->pulled = true;
        if (rung == RUNG_TERM) { /* it gets no other job: the signal may work late */
                worker_leave(slot->worker, end, false, clock_steady());
                worker_signal(slot->worker, SIGTERM);
        } else {
                worker_kill(slot->worker, end, "%s", why); /* whose, is not for everybody */
        }
}

static void start_ending(Slot *slot, bool force, usec_t now)
{
        usec_t kill_after = slot->worker->pool->settings->kill_after;
        Rung rung = ladder_start(&slot->ladder, force, kill_after, now);

        slot_recall(slot, now); /* they must not fall with it */
        arm(slot, slot->ladder.next, now);
        act(slot, rung);
}

/* Until when the first run may go on; a cancel that was not heard does not change that. */
static usec_t hard_timeout(const Slot *slot)
{
        const Job *job = slot->count ? slot_job(slot, 0) : NULL;

        return job && timeout_of(job) ? usec_add(slot->since, timeout_of(job)) : USEC_INFINITY;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        Slot *slot = context;
        usec_t now = clock_steady(), due = hard_timeout(slot);
        bool shares = slot->worker->n_slots > 1 && !slot->timed_out;

        slot->armed = false;
        if (!slot->count)
                return;
        if (!ladder_climbing(&slot->ladder)) {
                slot->timed_out = true;
                start_ending(slot, false, now);
                return;
        }
        if (slot_run(slot, 0)->force) {
                start_ending(slot, true, now);
                return;
        }
        if (shares && now >= due) { /* it was only asked so far */
                slot->timed_out = true;
                slot->ladder.next = now;
                shares = false;
        }
        act(slot, ladder_climb(&slot->ladder, shares, slot->worker->pool->settings->kill_after,
                               now));
        arm(slot, shares ? MIN(slot->ladder.next, due) : slot->ladder.next, now);
}

/* Has the worker begun the next run? Of the first one only the answer is still to come then. */
static bool is_over(const Slot *slot)
{
        return slot->page && begun(slot, slot_page_begun(slot->page)) > 1;
}

/* By force, but for one that is over: its end would be another's. */
static void cancel_first(Slot *slot, bool force, usec_t now)
{
        bool over;

        slot_recall(slot, now); /* what has not begun does not begin meanwhile */
        over = is_over(slot);
        start_ending(slot, force && !over, now);
        if (!force || !over)
                return;
        slot_run(slot, 0)->force = true;
        slot->ladder.next = usec_add(now, HELD_USEC);
        arm(slot, slot->ladder.next, now);
}

void slot_cancel(Slot *slot, Job *job, bool force, usec_t now)
{
        if (slot_job(slot, 0) == job) {
                cancel_first(slot, force, now);
                return;
        }
        for (unsigned i = 1; force && i < slot->count; i++)
                if (slot_job(slot, i) == job)
                        slot_run(slot, i)->force = true;
        slot_recall(slot, now); /* back in the queue, it finds that it is cancelled; or, if it has
                                   just begun, it is ended when its turn comes */
}

/* --- the connection --- */

static int on_bytes(Link *link, const char *bytes, size_t n)
{
        return slot_hear(CONTAINER_OF(link, Slot, link), bytes, n);
}

static void on_ended(Link *link, int error)
{
        Slot *slot = CONTAINER_OF(link, Slot, link);

        if (error == -EPIPE || error == -ECONNRESET)
                link_drain(link); /* it could not be written to: its answers may be there */
        worker_slot_ended(slot->worker, slot, error);
}

void slot_clear(Slot *slot, struct Worker *worker)
{
        slot->worker = worker;
        slot->link.fd = -1;
        slot->ladder = (Ladder)LADDER_INIT;
        list_init(&slot->idle);
        evtimer_assign(&slot->timer, worker->pool->pools->turn->base, on_timer, slot);
        slow_init(slot, worker->pool->pools->turn->base);
}

int slot_init(Slot *slot, struct Worker *worker, int fd, SlotPage *page)
{
        static const LinkOps ops = { .feed = on_bytes, .ended = on_ended };
        Pools *pools = worker->pool->pools;
        int r;

        slot->page = page;
        varlink_stream_init(&slot->in, pools->settings->max_message_size);
        r = link_init(&slot->link, pools->turn, fd, &slot->out, &ops, false);
        return r;
}

void slot_fini(Slot *slot)
{
        (void)event_del(&slot->timer);
        slow_disarm(slot);
        list_remove(&slot->idle);
        link_fini(&slot->link);
        varlink_stream_fini(&slot->in);
        buffer_fini(&slot->out);
}

/* --- the end of its worker --- */

/* Only the run for whose sake its worker was ended is told so; to the others it was a death. */
static Outcome outcome_of(const Slot *slot, bool first)
{
        Outcome o = obituary_outcome(slot->worker);

        return o == OUTCOME_SHUTDOWN || (first && slot->pulled)
                       ? o
                       : OUTCOME_WORKER_DIED;
}

/* What becomes of one run of a dead worker. */
static void bury(Slot *slot, Job *job, bool had_begun, Outcome outcome, usec_t now)
{
        Core *core = pools_of(slot)->core;
        AttemptBegin b = { slot->worker->seat, slot->worker->generation, slot->worker->pid };
        AttemptEnd end = { .outcome = outcome, .may_retry = true, .untouched = !had_begun,
                           .bystander = obituary_bystander(slot->worker, slot) };
        uint32_t broken;

        if (had_begun && job->state == JOB_QUEUED && core_begin(core, job, &b, now) < 0)
                abort(); /* it ran, and nobody could say so */
        if (job->state == JOB_QUEUED) {
                core_unclaim(core, job, now);
                return;
        }
        end.certificate = obituary_certificate(slot->worker, slot, job);
        broken = job->handler->breaker.broken;
        (void)core_settle(core, job, job->attempt, &end, now, entropy_u64());
        handler_log(job->handler, broken, &job->id, now);
}

/* Runs of several users may have begun where answers were kept back: whose words they are, nobody
 * can tell, and so nobody is shown them. */
static void forget_mixed_words(Slot *slot, unsigned n_begun)
{
        for (unsigned i = 0; i < n_begun && i < slot->count; i++) {
                const Job *job = slot_job(slot, i);

                if (job && job->uid != slot->worker->words_uid)
                        slot->worker->tail_written = 0;
        }
}

void slot_bury(Slot *slot, usec_t now)
{
        unsigned n = slot->page ? begun(slot, slot_page_begun(slot->page)) : 1;

        forget_mixed_words(slot, n);
        for (bool first = true; slot->count; first = false) {
                Job *job = part(slot);

                if (job)
                        bury(slot, job, n > 0, outcome_of(slot, first), now);
                n -= n > 0;
        }
}

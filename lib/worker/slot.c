/* SPDX-License-Identifier: MIT */

/* One slot. Its thread reads runs from the slot's connection and runs handlers; results gather in
 * the connection's buffer and leave when the input is drained, or before something that may take
 * long: a handler not known to be quick; or when there are 8 of them, or 100 µs after the first was
 * ready, so that a client works on some while we work on others. The buffer is shared with the
 * watching thread, under a lock, so that it can send what a stuck handler has left there, and so is
 * the current job, so that it can be cancelled. */

#include "worker/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "io.brood.Worker.h"
#include "varlink/json.h"

/* Round a result there are fewer bytes than ENVELOPE. */
enum {
        ENVELOPE = 256,
        READ_SIZE = 64 * 1024,
        HOLD_USEC = 100,
        QUICK_USEC = 20,
        MAX_KEPT = 64 * 1024,
        MAX_HELD = 8,
        MAX_WORDS = 16 * 1024,
        MAX_ESCAPED_WORDS = 6 * MAX_WORDS
};

/* --- sending --- */

static usec_t unsent_since(const WorkerSlot *s)
{
        return atomic_load_explicit(&s->unsent_since, memory_order_relaxed);
}

int worker_slot_flush(WorkerSlot *s)
{
        int r = 0;

        pthread_mutex_lock(&s->out_lock);
        if (s->server.out.failed) {
                r = -ENOMEM;
        } else if (buffer_len(&s->server.out)) {
                ssize_t n;

                do {
                        n = fd_send(s->fd, buffer_bytes(&s->server.out),
                                    buffer_len(&s->server.out), NULL, 0, 0);
                        if (n > 0)
                                buffer_consume(&s->server.out, (size_t)n);
                } while (n > 0 && buffer_len(&s->server.out));
                r = n < 0 ? (int)n : 0;
                buffer_clear(&s->server.out, MAX_KEPT);
        }
        s->held = 0;
        atomic_store_explicit(&s->unsent_since, 0, memory_order_relaxed);
        pthread_mutex_unlock(&s->out_lock);
        return r;
}

static int report_progress(void *context, double fraction)
{
        WorkerSlot *s = context;

        if (!s->call->more)
                return 0;
        pthread_mutex_lock(&s->out_lock);
        emit_key(varlink_reply_begin(s->call), "progress");
        emit_float(&s->server.out, fraction);
        varlink_reply_end(s->call, true);
        pthread_mutex_unlock(&s->out_lock);
        return worker_slot_flush(s);
}

static int report_output(void *context, int stream, Slice bytes)
{
        WorkerSlot *s = context;
        Buffer *b;

        if (!s->call->more)
                return 0;
        pthread_mutex_lock(&s->out_lock);
        b = varlink_reply_begin(s->call);
        emit_key(b, "output");
        emit_open(b, '{');
        emit_string_member(b, "stream", stream == 1 ? SLICE("stdout") : SLICE("stderr"));
        emit_bytes_member(b, "data", bytes);
        emit_close(b, '}');
        varlink_reply_end(s->call, true);
        pthread_mutex_unlock(&s->out_lock);
        return worker_slot_flush(s);
}

/* What it says of its failure, cut where that is very long. */
static Slice failure_words(const BroodJob *job)
{
        Slice text = slice_of(job->message ? job->message : "the handler failed");

        if (!json_is_text(text))
                return SLICE("the handler failed (its words are not UTF-8)");
        if (text.len > MAX_WORDS)
                text.len = utf8_cut(text.data, MAX_WORDS);
        return text;
}

static void write_failure(WorkerSlot *s, BroodJob *job)
{
        Slice text = failure_words(job);
        char *details = job->details ? json_dumps(job->details, JSON_COMPACT) : NULL;
        Buffer *b;

        if (job->bad_args) {
                emit_string_member(varlink_error_begin(s->call, "io.brood.Worker.BadArguments"),
                                   "message", text);
        } else {
                b = varlink_error_begin(s->call, "io.brood.Worker.HandlerFailed");
                emit_string_member(b, "message", text);
                if (job->kind)
                        emit_string_member(b, "kind", slice_of(job->kind));
                emit_bool_member(b, "retry", job->retry);
                if (details && details[0] == '{' &&
                    strlen(details) < job->max_result - MIN(job->max_result, MAX_ESCAPED_WORDS))
                        emit_raw_member(b, "details", slice_of(details));
        }
        varlink_reply_end(s->call, false);
        free(details);
}

static void write_result(WorkerSlot *s, BroodJob *job)
{
        Buffer *b = varlink_reply_begin(s->call);

        emit_raw_member(b, "result", job->answered ? buffer_slice(&job->result) : SLICE("{}"));
        varlink_reply_end(s->call, false);
}

static void write_answer(WorkerSlot *s, BroodJob *job)
{
        pthread_mutex_lock(&s->out_lock);
        if (job->result.failed && !job->failed)
                (void)job_fail_kind(job, "result", 1, NULL, "no memory for the result");
        s->held++;
        if (job->failed)
                write_failure(s, job);
        else
                write_result(s, job);
        if (!unsent_since(s))
                atomic_store_explicit(&s->unsent_since, clock_monotonic(), memory_order_relaxed);
        pthread_mutex_unlock(&s->out_lock);
}

/* --- running --- */

/* What can not be gone on with is the end of the worker. */
static void give_up_unless(WorkerSlot *s, bool good)
{
        if (good)
                return;
        s->worker->broken = true;
        worker_end_slots(s->worker);
}

static HandlerSpeed *find_handler(WorkerSlot *s, Slice name)
{
        for (unsigned i = 0; i < s->worker->n_handlers; i++)
                if (slice_is(name, s->speeds[i].handler->name))
                        return &s->speeds[i];
        return NULL;
}

/* Makes the job the current one. Its cancel may have come before it. */
static void enter(WorkerSlot *s, BroodJob *job)
{
        CancelReason reason;

        pthread_mutex_lock(&s->job_lock);
        s->current = job;
        reason = early_take(&s->worker->early, job->id, job->attempt, &s->early_seen);
        if (reason != CANCEL_NONE)
                job_cancel(job, reason);
        pthread_mutex_unlock(&s->job_lock);
}

static void leave(WorkerSlot *s)
{
        pthread_mutex_lock(&s->job_lock);
        s->current = NULL;
        pthread_mutex_unlock(&s->job_lock);
}

static void fill_job(WorkerSlot *s, BroodJob *job, const char *handler, const VarlinkScan *scan,
                     const VarlinkNode *in, usec_t now)
{
        const VarlinkNode *id = varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_ID);
        const VarlinkNode *timeout = varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_TIMEOUT_USEC);
        size_t n = MIN((size_t)id->length, sizeof(job->id) - 1), max = s->worker->max_message;

        memcpy(job->id, varlink_slice(scan, id).data, n);
        job->id[n] = '\0';
        job->attempt = (int)varlink_int(scan,
                                        varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_ATTEMPT));
        job->args = varlink_slice(scan, varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_ARGS));
        job->deadline = timeout->present ? usec_add(now, (usec_t)varlink_int(scan, timeout))
                                         : USEC_INFINITY;
        atomic_store_explicit(&job->cancelled, CANCEL_NONE, memory_order_relaxed);
        job->failed = job->answered = job->bad_args = job->retry = false;
        job->kind = NULL;
        job->handler = handler;
        job->scan = &s->result_scan;
        job->max_result = max - MIN(max, (size_t)ENVELOPE);
        for (int i = 0; i < JOB_FDS; i++)
                job->fds[i] = i < (int)s->n_fds ? s->fds[i] : -1;
        s->n_fds = 0;
}

static void note_speed(HandlerSpeed *h, usec_t took)
{
        /* Slow at once, quick again slowly: sending too early costs little, too late a lot. */
        h->usec = took > h->usec ? took : (h->usec * 7 + took) / 8;
}

static void answer_error(WorkerSlot *s, VarlinkCall *call, const char *error, const char *member,
                         Slice v)
{
        Buffer *b;

        pthread_mutex_lock(&s->out_lock);
        b = varlink_error_begin(call, error);
        emit_key(b, member);
        emit_string(b, v);
        varlink_reply_end(call, false);
        pthread_mutex_unlock(&s->out_lock);
}

/* Descriptors that came for a run which does not happen. */
static void close_fds(WorkerSlot *s)
{
        while (s->n_fds)
                fd_close(s->fds[--s->n_fds]);
}

static void answer_recalled(WorkerSlot *s, VarlinkCall *call)
{
        Buffer *b;

        close_fds(s);
        pthread_mutex_lock(&s->out_lock);
        b = varlink_error_begin(call, "io.brood.Worker.HandlerFailed");
        emit_string_member(b, "message", SLICE("recalled before it began"));
        emit_string_member(b, "kind", SLICE("recalled"));
        emit_bool_member(b, "retry", true);
        varlink_reply_end(call, false);
        pthread_mutex_unlock(&s->out_lock);
}

void worker_end_if_forked(const WorkerSlot *s)
{
        if (getpid() == s->worker->pid)
                return;
        fprintf(stderr, "<4>a fork of worker %s has returned from its handler\n", s->worker->name);
        (void)fflush(stderr);
        _exit(1);
}

void worker_slot_finish(WorkerSlot *s, HandlerSpeed *speed, usec_t began)
{
        BroodJob *job = &s->job;
        usec_t took;

        worker_end_if_forked(s);
        job_end_output(job);
        leave(s);
        took = clock_monotonic() - began;
        note_speed(speed, took);
        slot_page_end(s->page, took);
        write_answer(s, job);
        job_clear(job);
        s->call = NULL;
}

static void run(WorkerSlot *s, VarlinkCall *call, const VarlinkScan *scan, const VarlinkNode *in)
{
        Slice name = varlink_slice(scan, varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_HANDLER));
        HandlerSpeed *h = find_handler(s, name);
        BroodJob *job = &s->job;
        usec_t start;

        if (!h) {
                close_fds(s);
                answer_error(s, call, "io.brood.Worker.NoSuchHandler", "handler", name);
                return;
        }
        if (unsent_since(s) &&
            (h->usec > QUICK_USEC || s->held >= MAX_HELD ||
             clock_monotonic() - unsent_since(s) > HOLD_USEC))
                give_up_unless(s, worker_slot_flush(s) == 0);
        if (!slot_page_begin(s->page)) {
                answer_recalled(s, call);
                return;
        }
        s->call = call;
        start = clock_monotonic();
        fill_job(s, job, h->handler->name, scan, in, start);
        enter(s, job);
        if (s->worker->loop) {
                async_start(s, h);
                return;
        }
        if (h->handler->run(job) != 0 && !job->failed)
                (void)job_fail_kind(job, NULL, 1, NULL, "the handler failed without saying why");
        worker_slot_finish(s, h, start);
}

/* Each slot learns for itself how long they take. */
static int make_speeds(WorkerSlot *s)
{
        const Worker *w = s->worker;

        s->speeds = calloc(MAX(w->n_handlers, 1u), sizeof(*s->speeds));
        for (unsigned i = 0; s->speeds && i < w->n_handlers; i++)
                s->speeds[i] = (HandlerSpeed){ w->handlers[i], UINT32_MAX };
        return s->speeds ? 0 : -ENOMEM;
}

static int offer_handlers(Worker *w, const VarlinkScan *scan, const VarlinkNode *list)
{
        const BroodHandler *all = w->module->handlers;
        unsigned n = 0;
        int r = 0;

        while (all[n].name)
                n++;
        w->handlers = calloc(MAX(n, 1u), sizeof(*w->handlers));
        if (!w->handlers)
                return -ENOMEM;
        for (uint32_t at = list->child; at; at = varlink_node(scan, at)->next)
                for (unsigned i = 0; i < n && w->n_handlers < n; i++)
                        if (slice_is(varlink_slice(scan, varlink_node(scan, at)), all[i].name))
                                w->handlers[w->n_handlers++] = &all[i];
        for (unsigned i = 0; r == 0 && i < w->n_slots; i++)
                r = make_speeds(&w->slots[i]);
        return r;
}

static int init_module(Worker *w, const VarlinkScan *scan, const VarlinkNode *settings)
{
        json_t *object;
        int r = 0;

        if (!w->module->worker_init)
                return 0;
        object = settings->present
                         ? json_loadb(varlink_slice(scan, settings).data, settings->length, 0, NULL)
                         : json_object();
        if (!object || w->module->worker_init(object) != 0)
                r = -EINVAL;
        json_decref(object);
        return r;
}

static int get_ready(Worker *w, const VarlinkScan *scan, const VarlinkNode *in)
{
        int r = w->handlers ? -EPROTO : 0;

        if (r == 0)
                r = offer_handlers(w, scan,
                                   varlink_field(scan, in, IO_BROOD_WORKER_PREPARE_IN_HANDLERS));
        if (r == 0)
                r = init_module(w, scan,
                                varlink_field(scan, in, IO_BROOD_WORKER_PREPARE_IN_SETTINGS));
        if (r < 0)
                fprintf(stderr, "<3>module %s: %s\n", w->module->name,
                        brood_refusal() ? brood_refusal() : "worker_init refused to start");
        if (r == 0)
                r = worker_start_threads(w);
        return r;
}

static void prepare(WorkerSlot *s, VarlinkCall *call, const VarlinkScan *scan,
                    const VarlinkNode *in)
{
        Worker *w = s->worker;
        Slice name = varlink_slice(
                scan, varlink_field(scan, in, IO_BROOD_WORKER_PREPARE_IN_WORKER));
        Buffer *b;

        (void)snprintf(w->name, sizeof(w->name), "%.*s", (int)name.len, name.data);
        give_up_unless(s, get_ready(w, scan, in) == 0);
        if (w->broken)
                return;
        pthread_mutex_lock(&s->out_lock);
        b = varlink_reply_begin(call);
        emit_key(b, "handlers");
        emit_open(b, '[');
        for (unsigned i = 0; i < w->n_handlers; i++)
                emit_string(b, slice_of(w->handlers[i]->name));
        emit_close(b, ']');
        varlink_reply_end(call, false);
        pthread_mutex_unlock(&s->out_lock);
}

static void on_slot_call(VarlinkServer *server, VarlinkCall *call, const VarlinkMessage *m,
                         const VarlinkScan *scan)
{
        WorkerSlot *s = CONTAINER_OF(server, WorkerSlot, server);
        Worker *w = s->worker;
        const VarlinkNode *in = varlink_node(scan, m->parameters);

        if (w->broken || atomic_load(&w->leaving)) {
                w->broken = true; /* unanswered, and so not begun: the supervisor takes it back */
                server->broken = true;
                return;
        }
        switch (m->method - m->interface->methods) {
        case IO_BROOD_WORKER_PREPARE:
                prepare(s, call, scan, in);
                break;
        case IO_BROOD_WORKER_RUN:
                run(s, call, scan, in);
                break;
        default:
                answer_error(s, call, "org.varlink.service.MethodNotImplemented", "method",
                             m->method->name);
        }
}

/* Reads once and works on what came. Returns 1 to go on, 0 at the end, or -errno. */
static int hear(WorkerSlot *s, int flags)
{
        size_t n_fds = JOB_FDS - s->n_fds;
        ssize_t n = fd_receive(s->fd, s->bytes, READ_SIZE, s->fds + s->n_fds, &n_fds, flags);
        int r;

        if (n == -EAGAIN)
                return 1;
        if (n <= 0)
                return (int)n;
        s->n_fds += (unsigned)n_fds;
        r = varlink_server_feed(&s->server, s->bytes, (size_t)n);
        if (r < 0 || s->worker->broken)
                return r < 0 ? r : worker_slot_flush(s);
        return 1;
}

int worker_slot_turn(WorkerSlot *s)
{
        int r = varlink_server_feed(&s->server, "", 0); /* what stood behind another run */

        if (r == 0)
                r = hear(s, MSG_DONTWAIT);
        if (r > 0 && worker_slot_flush(s) < 0)
                return -EPIPE;
        return r;
}

static int turn(WorkerSlot *s)
{
        int r = worker_slot_flush(s);

        return r < 0 ? r : hear(s, 0);
}

void worker_slot_serve(WorkerSlot *s)
{
        int r;

        do
                r = turn(s);
        while (r > 0);
        if (r < 0)
                atomic_store(&s->worker->error, r);
        worker_end_slots(s->worker); /* no slot goes on without the others */
}

/* --- life --- */

static void init_job(WorkerSlot *s, const WorkerOptions *options)
{
        BroodJob *job = &s->job;

        s->report = (JobReport){ report_progress, report_output, s };
        job->report = &s->report;
        job->page = s->page;
        job->log = options->logs ? options->logs[s->number] : NULL;
        job->worker = s->worker->name;
        job->slot = s->number;
        job->lock = &s->job_lock;
        job->cancel_fd = -1;
}

int worker_slot_init(WorkerSlot *s, Worker *w, unsigned number, const WorkerOptions *options)
{
        int r;

        s->worker = w;
        s->number = number;
        s->fd = options->slots[number];
        s->page = &options->pages[number];
        s->service = (VarlinkService){ .vendor = "brood", .product = "brood-worker",
                                       .version = BROOD_VERSION, .url = "",
                                       .too_large = "io.brood.Worker.BadArguments",
                                       .call = on_slot_call,
                                       .max_outstanding = w->loop ? 1 : 0 };
        pthread_mutex_init(&s->out_lock, NULL);
        pthread_mutex_init(&s->job_lock, NULL);
        init_job(s, options);
        s->bytes = malloc(READ_SIZE);
        if (!s->bytes)
                return -ENOMEM;
        r = varlink_service_init(&s->service);
        if (r < 0)
                return r;
        varlink_service_add(&s->service, w->interface);
        varlink_server_init(&s->server, &s->service, INT32_MAX); /* we believe our supervisor */
        return 0;
}

void worker_slot_fini(WorkerSlot *s)
{
        close_fds(s);
        if (s->server.service) {
                varlink_server_fini(&s->server);
                varlink_service_fini(&s->service);
        }
        varlink_scan_fini(&s->result_scan);
        buffer_fini(&s->job.result);
        buffer_fini(&s->job.piece);
        free(s->speeds);
        free(s->bytes);
}

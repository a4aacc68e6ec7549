/* SPDX-License-Identifier: MIT */

/* Two threads. The main one reads runs from the slot connection and runs handlers; results gather
 * in the connection's buffer and leave when the input is drained, or before something that may take
 * long: a handler not known to be quick, or 100 µs after the first of them was ready. The other one
 * (watch.c) sleeps on the control connection and the sentinel, because those must be heard in the
 * middle of a handler. They share the buffer, under a lock, so that the watcher can send what a
 * stuck handler has left there, and the current job, so that it can be cancelled. */

#include "worker/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "io.brood.Worker.h"
#include "varlink/json.h"
#include "worker/worker.h"

/* Round a result there are fewer bytes than ENVELOPE. */
enum {
        ENVELOPE = 256,
        READ_SIZE = 64 * 1024,
        HOLD_USEC = 100,
        QUICK_USEC = 20,
        MAX_KEPT = 64 * 1024
};

/* --- sending --- */

int worker_flush(Worker *w)
{
        int r = 0;

        pthread_mutex_lock(&w->out_lock);
        if (w->server.out.failed) {
                r = -ENOMEM;
        } else if (buffer_len(&w->server.out)) {
                ssize_t n;

                do {
                        n = fd_send(w->slot, buffer_bytes(&w->server.out),
                                    buffer_len(&w->server.out), NULL, 0, 0);
                        if (n > 0)
                                buffer_consume(&w->server.out, (size_t)n);
                } while (n > 0 && buffer_len(&w->server.out));
                r = n < 0 ? (int)n : 0;
                buffer_clear(&w->server.out, MAX_KEPT);
        }
        w->unsent_since = 0;
        pthread_mutex_unlock(&w->out_lock);
        return r;
}

static int report_progress(void *context, double fraction)
{
        Worker *w = context;

        if (!w->call->more)
                return 0;
        pthread_mutex_lock(&w->out_lock);
        emit_key(varlink_reply_begin(w->call), "progress");
        emit_float(&w->server.out, fraction);
        varlink_reply_end(w->call, true);
        pthread_mutex_unlock(&w->out_lock);
        return worker_flush(w);
}

static int report_output(void *context, int stream, Slice bytes)
{
        Worker *w = context;
        Buffer *b;

        if (!w->call->more)
                return 0;
        pthread_mutex_lock(&w->out_lock);
        b = varlink_reply_begin(w->call);
        emit_key(b, "output");
        emit_open(b, '{');
        emit_string_member(b, "stream", stream == 1 ? SLICE("stdout") : SLICE("stderr"));
        emit_bytes_member(b, "data", bytes);
        emit_close(b, '}');
        varlink_reply_end(w->call, true);
        pthread_mutex_unlock(&w->out_lock);
        return worker_flush(w);
}

static void write_failure(Worker *w, BroodJob *job)
{
        const char *message = job->message ? job->message : "the handler failed";
        Slice text = json_is_text(slice_of(message))
                             ? slice_of(message)
                             : SLICE("the handler failed (its words are not UTF-8)");
        char *details = job->details ? json_dumps(job->details, JSON_COMPACT) : NULL;
        Buffer *b;

        if (job->bad_args) {
                emit_string_member(varlink_error_begin(w->call, "io.brood.Worker.BadArguments"),
                                   "message", text);
        } else {
                b = varlink_error_begin(w->call, "io.brood.Worker.HandlerFailed");
                emit_string_member(b, "message", text);
                if (job->kind)
                        emit_string_member(b, "kind", slice_of(job->kind));
                emit_bool_member(b, "retry", job->retry);
                if (details && details[0] == '{')
                        emit_raw_member(b, "details", slice_of(details));
        }
        varlink_reply_end(w->call, false);
        free(details);
}

static void write_result(Worker *w, BroodJob *job)
{
        Buffer *b = varlink_reply_begin(w->call);

        emit_raw_member(b, "result", job->answered ? buffer_slice(&job->result) : SLICE("{}"));
        varlink_reply_end(w->call, false);
}

static void write_answer(Worker *w, BroodJob *job)
{
        pthread_mutex_lock(&w->out_lock);
        if (job->result.failed && !job->failed)
                (void)job_fail_kind(job, "result", 1, NULL, "no memory for the result");
        if (job->failed)
                write_failure(w, job);
        else
                write_result(w, job);
        if (!w->unsent_since)
                w->unsent_since = clock_monotonic();
        pthread_mutex_unlock(&w->out_lock);
}

/* --- running --- */

static HandlerSpeed *find_handler(Worker *w, Slice name)
{
        for (unsigned i = 0; i < w->n_handlers; i++)
                if (slice_is(name, w->handlers[i].handler->name))
                        return &w->handlers[i];
        return NULL;
}

/* Makes the job the current one, unless its cancel has come before it. */
static void enter(Worker *w, BroodJob *job)
{
        pthread_mutex_lock(&w->job_lock);
        w->current = job;
        for (unsigned i = 0; i < w->n_early; i++)
                if (w->early[i].attempt == job->attempt && strcmp(w->early[i].id, job->id) == 0)
                        job_cancel(job, w->early[i].reason);
        w->n_early = 0;
        pthread_mutex_unlock(&w->job_lock);
}

static void leave(Worker *w)
{
        pthread_mutex_lock(&w->job_lock);
        w->current = NULL;
        pthread_mutex_unlock(&w->job_lock);
}

static void fill_job(Worker *w, BroodJob *job, const char *handler, const VarlinkScan *scan,
                     const VarlinkNode *in, usec_t now)
{
        const VarlinkNode *id = varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_ID);
        const VarlinkNode *timeout = varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_TIMEOUT_USEC);
        size_t n = MIN((size_t)id->length, sizeof(job->id) - 1);

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
        job->scan = &w->result_scan;
        job->max_result = w->max_message - MIN(w->max_message, (size_t)ENVELOPE);
        for (int i = 0; i < JOB_FDS; i++)
                job->fds[i] = i < (int)w->n_fds ? w->fds[i] : -1;
        w->n_fds = 0;
}

static void note_speed(HandlerSpeed *h, usec_t took)
{
        /* Slow at once, quick again slowly: sending too early costs little, too late a lot. */
        h->usec = took > h->usec ? took : (h->usec * 7 + took) / 8;
}

static void answer_error(Worker *w, VarlinkCall *call, const char *error, const char *member,
                         Slice v)
{
        Buffer *b;

        pthread_mutex_lock(&w->out_lock);
        b = varlink_error_begin(call, error);
        emit_key(b, member);
        emit_string(b, v);
        varlink_reply_end(call, false);
        pthread_mutex_unlock(&w->out_lock);
}

/* Descriptors that came for a run which does not happen. */
static void close_fds(Worker *w)
{
        while (w->n_fds)
                fd_close(w->fds[--w->n_fds]);
}

static void answer_recalled(Worker *w, VarlinkCall *call)
{
        Buffer *b;

        close_fds(w);
        pthread_mutex_lock(&w->out_lock);
        b = varlink_error_begin(call, "io.brood.Worker.HandlerFailed");
        emit_string_member(b, "message", SLICE("recalled before it began"));
        emit_string_member(b, "kind", SLICE("recalled"));
        emit_bool_member(b, "retry", true);
        varlink_reply_end(call, false);
        pthread_mutex_unlock(&w->out_lock);
}

static void run(Worker *w, VarlinkCall *call, const VarlinkScan *scan, const VarlinkNode *in)
{
        Slice name = varlink_slice(scan, varlink_field(scan, in, IO_BROOD_WORKER_RUN_IN_HANDLER));
        HandlerSpeed *h = find_handler(w, name);
        BroodJob *job = &w->job;
        usec_t start, end;

        if (!h) {
                close_fds(w);
                answer_error(w, call, "io.brood.Worker.NoSuchHandler", "handler", name);
                return;
        }
        if (w->unsent_since &&
            (h->usec > QUICK_USEC || clock_monotonic() - w->unsent_since > HOLD_USEC))
                w->broken |= worker_flush(w) < 0;
        if (!slot_page_begin(w->page)) {
                answer_recalled(w, call);
                return;
        }
        w->call = call;
        start = clock_monotonic();
        fill_job(w, job, h->handler->name, scan, in, start);
        enter(w, job);
        if (h->handler->run(job) != 0 && !job->failed)
                (void)job_fail_kind(job, NULL, 1, NULL, "the handler failed without saying why");
        job_end_output(job);
        leave(w);
        end = clock_monotonic();
        note_speed(h, end - start);
        write_answer(w, job);
        job_clear(job);
        w->call = NULL;
}

static int offer_handlers(Worker *w, const VarlinkScan *scan, const VarlinkNode *list)
{
        const BroodHandler *all = w->module->handlers;
        unsigned n = 0;

        while (all[n].name)
                n++;
        w->handlers = calloc(MAX(n, 1u), sizeof(*w->handlers));
        if (!w->handlers)
                return -ENOMEM;
        for (uint32_t at = list->child; at; at = varlink_node(scan, at)->next)
                for (unsigned i = 0; i < n && w->n_handlers < n; i++)
                        if (slice_is(varlink_slice(scan, varlink_node(scan, at)), all[i].name))
                                w->handlers[w->n_handlers++] =
                                        (HandlerSpeed){ &all[i], UINT32_MAX };
        return 0;
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

static void prepare(Worker *w, VarlinkCall *call, const VarlinkScan *scan, const VarlinkNode *in)
{
        Slice name = varlink_slice(
                scan, varlink_field(scan, in, IO_BROOD_WORKER_PREPARE_IN_WORKER));
        Buffer *b;

        (void)snprintf(w->name, sizeof(w->name), "%.*s", (int)name.len, name.data);
        if (w->handlers ||
            offer_handlers(w, scan, varlink_field(scan, in, IO_BROOD_WORKER_PREPARE_IN_HANDLERS)) <
                    0 ||
            init_module(w, scan, varlink_field(scan, in, IO_BROOD_WORKER_PREPARE_IN_SETTINGS)) <
                    0) {
                fprintf(stderr, "<3>module %s: worker_init refused to start\n", w->module->name);
                w->broken = true;
                return;
        }
        pthread_mutex_lock(&w->out_lock);
        b = varlink_reply_begin(call);
        emit_key(b, "handlers");
        emit_open(b, '[');
        for (unsigned i = 0; i < w->n_handlers; i++)
                emit_string(b, slice_of(w->handlers[i].handler->name));
        emit_close(b, ']');
        varlink_reply_end(call, false);
        pthread_mutex_unlock(&w->out_lock);
}

static void on_slot_call(VarlinkServer *server, VarlinkCall *call, const VarlinkMessage *m,
                         const VarlinkScan *scan)
{
        Worker *w = CONTAINER_OF(server, Worker, server);
        const VarlinkNode *in = varlink_node(scan, m->parameters);

        if (w->broken || atomic_load(&w->leaving)) {
                w->broken = true; /* unanswered, and so not begun: the supervisor takes it back */
                server->broken = true;
                return;
        }
        switch (m->method - m->interface->methods) {
        case IO_BROOD_WORKER_PREPARE:
                prepare(w, call, scan, in);
                break;
        case IO_BROOD_WORKER_RUN:
                run(w, call, scan, in);
                break;
        default:
                answer_error(w, call, "org.varlink.service.MethodNotImplemented", "method",
                             m->method->name);
        }
}

/* Reads once and works on what came. Returns 1 to go on, 0 at the end, or -errno. */
static int turn(Worker *w, char *bytes)
{
        size_t n_fds = JOB_FDS - w->n_fds;
        ssize_t n;
        int r = worker_flush(w);

        if (r < 0)
                return r;
        n = fd_receive(w->slot, bytes, READ_SIZE, w->fds + w->n_fds, &n_fds, 0);
        if (n <= 0)
                return (int)n;
        w->n_fds += (unsigned)n_fds;
        r = varlink_server_feed(&w->server, bytes, (size_t)n);
        if (r < 0 || w->broken)
                return r < 0 ? r : worker_flush(w);
        return 1;
}

static int serve(Worker *w)
{
        AUTO(free) char *bytes = malloc(READ_SIZE);
        int r = bytes ? 1 : -ENOMEM;

        while (r > 0)
                r = turn(w, bytes);
        return r;
}

static void worker_fini(Worker *w)
{
        close_fds(w);
        varlink_server_fini(&w->server);
        varlink_service_fini(&w->service);
        varlink_interface_free(w->interface);
        varlink_scan_fini(&w->result_scan);
        buffer_fini(&w->job.result);
        buffer_fini(&w->job.piece);
        free(w->handlers);
}

int worker_serve(const WorkerOptions *options)
{
        JobReport report = { report_progress, report_output, NULL };
        Worker w = {
                .slot = options->slot,
                .control = options->control,
                .sentinel = options->sentinel,
                .page = options->page,
                .module = options->module,
                .max_message = options->max_message,
                .out_lock = PTHREAD_MUTEX_INITIALIZER,
                .job_lock = PTHREAD_MUTEX_INITIALIZER,
                .service = { .vendor = "brood", .product = "brood-worker", .version = BROOD_VERSION,
                             .url = "", .too_large = "io.brood.Worker.BadArguments",
                             .call = on_slot_call },
        };
        char error[128];
        int r;

        report.context = &w;
        w.job.report = &report;
        w.job.page = options->page;
        w.job.log = options->log;
        w.job.worker = w.name;
        w.job.lock = &w.job_lock;
        w.job.cancel_fd = -1;
        r = varlink_service_init(&w.service);
        if (r == 0)
                r = varlink_interface_new(&w.interface, SLICE(IO_BROOD_WORKER_TEXT), error,
                                          sizeof(error));
        if (r < 0)
                return 1;
        varlink_service_add(&w.service, w.interface);
        varlink_server_init(&w.server, &w.service, INT32_MAX); /* we believe our supervisor */
        r = watch_start(&w);
        if (r == 0) {
                r = serve(&w);
                watch_stop(&w);
        }
        if (r == 0 && w.module->fini)
                w.module->fini();
        worker_fini(&w);
        return r < 0 ? 1 : 0;
}

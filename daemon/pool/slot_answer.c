/* SPDX-License-Identifier: MIT */

/* What a worker says on a slot: progress, output and answers. */

#include "pool/slot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/entropy.h"
#include "io.brood.Worker.h"
#include "pool/fields.h"
#include "pool/handler_log.h"
#include "pool/pools.h"
#include "varlink/message.h"

/* The kind of what a worker says to a run that it has not begun, because the line was recalled
 * before. Of the first in line that is an attempt that costs nothing. */
#define RECALLED "recalled"

/* How long the first run in line took, smoothed. A worker that shares a page tells; of others it is
 * the time that they had, with waking and being heard in it. */
static void note_speed(Slot *slot, CoreHandler *handler, usec_t now)
{
        usec_t took = now - slot->since;
        uint16_t told;

        if (slot->page) {
                if (!slot_page_took(slot->page, slot->answered, &told))
                        return;
                took = told;
        }
        handler->run_usec = MAX((handler->run_usec * 7 + took) / 8, 1u);
}

static Slice failure_kind(const VarlinkScan *scan, const VarlinkNode *failure)
{
        return varlink_slice(
                scan, varlink_field(scan, failure, IO_BROOD_WORKER_ERROR_HANDLER_FAILED_KIND));
}

static Outcome failure_outcome(const Slot *slot, Slice kind)
{
        if (slice_is(kind, "timeout") || slot->timed_out)
                return OUTCOME_TIMEOUT;
        if (slice_is(kind, RECALLED))
                return OUTCOME_SHUTDOWN;
        if (slice_is(kind, "cancelled") || ladder_climbing(&slot->ladder))
                return OUTCOME_CANCELLED;
        return slice_is(kind, "command") ? OUTCOME_COMMAND_FAILED : OUTCOME_ERROR;
}

/* The attempt ended with an error: what kind, and what follows from it. */
static void read_failure(Slot *slot, const VarlinkScan *scan, const VarlinkReply *reply,
                         AttemptEnd *end)
{
        const VarlinkNode *root = varlink_node(scan, reply->parameters);
        const VarlinkNode *details,
                *message = varlink_field(scan, root, 0); /* first in each error */
        char *text = varlink_string(scan, message);

        end->certificate = certificate_new(text);
        free(text);
        if (slice_is(reply->member->name, "HandlerFailed")) {
                const VarlinkNode *retry = varlink_field(
                        scan, root, IO_BROOD_WORKER_ERROR_HANDLER_FAILED_RETRY);

                end->may_retry = !retry->present || varlink_bool(scan, retry);
                end->outcome = failure_outcome(slot, failure_kind(scan, root));
                details = varlink_field(scan, root, IO_BROOD_WORKER_ERROR_HANDLER_FAILED_DETAILS);
                end->result = varlink_slice(scan, details);
                end->untouched = slot->closed && slice_is(failure_kind(scan, root), RECALLED);
        } else {
                end->outcome = OUTCOME_ERROR;
        }
}

/* A piece of the status of a command goes into its certificate. */
static void read_command_status(Certificate *c, Slice details)
{
        static const char status[] = "\"exit_status\":";
        const char *found = details.len
                                    ? memmem(details.data, details.len, status, sizeof(status) - 1)
                                    : NULL;

        if (c && found && found[sizeof(status) - 1] >= '0' && found[sizeof(status) - 1] <= '9')
                c->exit_status = (int)strtol(found + sizeof(status) - 1, NULL, 10);
}

/* Our exec says so at the end; and what a command has written is quoted there, its quotes escaped.
 */
static bool tells_of_oom(Slice details)
{
        static const char mark[] = ",\"oom_killed\":true}";
        size_t n = sizeof(mark) - 1;

        return details.len > n && memcmp(details.data + details.len - n, mark, n) == 0;
}

static void settle(Slot *slot, Job *job, uint32_t number, AttemptEnd *end, usec_t now)
{
        Pools *pools = slot->worker->pool->pools;
        const CoreHandler *handler = job->handler;
        uint32_t broken = handler->breaker.broken;

        if (end->outcome == OUTCOME_COMMAND_FAILED)
                read_command_status(end->certificate, end->result);
        if (end->outcome == OUTCOME_COMMAND_FAILED && end->certificate)
                end->certificate->oom_killed = tells_of_oom(end->result);
        if (core_settle(pools->core, job, number, end, now,
                        end->outcome == OUTCOME_SUCCEEDED ? 0 : entropy_u64()) == CORE_E_STALE) {
                LogFields fields = job_fields(job, NULL);

                fields.worker = slot->worker->name;
                fields.attempt = number;
                log_event(&fields, LEVEL_WARNING,
                          "worker=%s: its answer to attempt %u of job=%s came too late",
                          slot->worker->name, number, uuid_text(&job->id).text);
        }
        handler_log(handler, broken, &job->id, now);
        pools->dirty = true;
}

static bool is_base64(const VarlinkScan *scan, const VarlinkNode *node)
{
        AUTO(buffer_fini) Buffer bytes = BUFFER_INIT;
        AUTO(free) char *text = varlink_string(scan, node);

        return text && base64_decode(&bytes, slice_of(text)) == 0;
}

static void take_output(Slot *slot, const Job *job, const VarlinkScan *scan,
                        const VarlinkNode *piece)
{
        enum { STREAM, DATA, DATA_BASE64 }; /* as in the interface file */
        const VarlinkNode *data = varlink_field(scan, piece, DATA);
        JobOutput o = { .err = varlink_field(scan, piece, STREAM)->child == 1,
                        .base64 = !data->present };

        if (o.base64)
                data = varlink_field(scan, piece, DATA_BASE64);
        o.text = varlink_slice(scan, data);
        if (!o.text.len || !slot_is_followed(slot, job))
                return;
        if (!o.base64 || is_base64(scan, data)) {
                slot->worker->pool->pools->output(job, &o);
        } else {
                const LogFields fields = worker_fields(slot->worker, NULL);

                log_event(&fields, LEVEL_WARNING, "worker=%s: output of job=%s is not base 64",
                          slot->worker->name, uuid_text(&job->id).text);
        }
}

/* What a run says before its answer. */
static int take_progress(Slot *slot, const VarlinkScan *scan, const VarlinkReply *reply)
{
        const VarlinkNode *out = varlink_node(scan, reply->parameters);
        const VarlinkNode *progress = varlink_field(scan, out, IO_BROOD_WORKER_RUN_OUT_PROGRESS);
        const VarlinkNode *output = varlink_field(scan, out, IO_BROOD_WORKER_RUN_OUT_OUTPUT);
        Job *job = slot_job(slot, 0);

        if (!job || reply->error.len)
                return -EPROTO;
        if (progress->present)
                core_progress(slot->worker->pool->pools->core, job, varlink_float(scan, progress));
        if (output->present)
                take_output(slot, job, scan, output);
        return 0;
}

/* The answer to the first run of the line. */
static int take_answer(Slot *slot, const VarlinkScan *scan, const VarlinkReply *reply, usec_t now)
{
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED };
        CoreHandler *handler;
        uint32_t number = slot_run(slot, 0)->attempt;
        Job *job;

        if (reply->error.len && !reply->member)
                return -EPROTO;
        worker_end_words(slot->worker);
        job = slot_job(slot, 0);
        if (!job) { /* recalled: this is only the end of it */
                slot_advance(slot, now);
                slot->worker->pool->pools->dirty = true;
                if (slot->count == 0)
                        worker_slot_idle(slot->worker, now);
                return 0;
        }
        handler = job->handler;
        if (reply->member)
                read_failure(slot, scan, reply, &end);
        else
                end.result = varlink_slice(
                        scan, varlink_field(scan, varlink_node(scan, reply->parameters),
                                            IO_BROOD_WORKER_RUN_OUT_RESULT));
        if (!end.untouched &&
            (!reply->member || !slice_is(reply->member->name, "NoSuchHandler"))) {
                note_speed(slot, handler, now);
                slot->answered++; /* those did not count as begun */
        }
        if (wear_is_due(&slot->worker->wear, ++slot->worker->jobs_done, now))
                pool_touch(slot->worker->pool);
        slot_advance(slot, now);
        settle(slot, job, number, &end, now);
        if (slot->count == 0)
                worker_slot_idle(slot->worker, now);
        return 0;
}

static int take_reply(Slot *slot, Slice text, usec_t now)
{
        Pools *pools = slot->worker->pool->pools;
        const VarlinkInterface *interface = pools->interface;
        Worker *w = slot->worker;
        VarlinkReply reply;
        int which = w->prepared ? IO_BROOD_WORKER_RUN : IO_BROOD_WORKER_PREPARE;
        int r = varlink_reply_scan(&pools->scan, text, interface, &interface->methods[which],
                                   &reply);

        if (r != 0)
                return -EPROTO;
        if (!w->prepared) {
                if (reply.error.len || reply.continues || slot != w->slots)
                        return -EPROTO;
                worker_prepared(w, &pools->scan,
                                varlink_field(&pools->scan,
                                              varlink_node(&pools->scan, reply.parameters),
                                              IO_BROOD_WORKER_PREPARE_OUT_HANDLERS),
                                now);
                return 0;
        }
        if (!slot->count)
                return -EPROTO;
        return reply.continues ? take_progress(slot, &pools->scan, &reply)
                               : take_answer(slot, &pools->scan, &reply, now);
}

int slot_hear(Slot *slot, const char *bytes, size_t n)
{
        usec_t now = clock_steady();
        Slice text = { NULL, 0 };
        int r = varlink_stream_feed(&slot->in, bytes, n), k;

        while (r == 0 && (k = varlink_stream_next(&slot->in, &text)) != 0) {
                r = k < 0 ? -EMSGSIZE : take_reply(slot, text, now);
                if (r == -EPROTO) {
                        const LogFields fields = worker_fields(slot->worker, NULL);

                        log_event(&fields, LEVEL_WARNING,
                                  "worker=%s pid=%d says what is no answer: %.200s",
                                  slot->worker->name, slot->worker->pid, text.data);
                }
        }
        k = varlink_stream_keep(&slot->in);
        return r < 0 ? r : k;
}

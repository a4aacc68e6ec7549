/* SPDX-License-Identifier: MIT */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/map/map.h"
#include "ctl/spec.h"
#include "ctl/words.h"

#define DELAY_MIN (50 * USEC_PER_MSEC)
#define DELAY_MAX (1 * USEC_PER_SEC)

/* A batch worth its message: a good part of the window, or all that there is to be had. */
static bool worth_it(const Map *m)
{
        if (m->n_jobs < m->window && m->waiting_bytes < MAP_WAITING_BYTES)
                return true; /* the input is slow, or at its end */
        return m->n_waiting >= MIN(m->batch, MAX(m->window / 8, 1u)) ||
               m->n_waiting == m->n_jobs || m->waiting_bytes >= MAP_BATCH_BYTES;
}

static void write_job(Map *m, Buffer *b, const MapJob *job)
{
        emit_open(b, '{');
        spec_write(b, m->ctl->options, m->handler, (Slice){ job->args, job->args_len });
        emit_key(b, "id");
        emit_uuid(b, &job->id);
        emit_close(b, '}');
}

int map_submit(Map *m, usec_t now)
{
        size_t bytes = 0;
        Buffer *b;

        if (!m->n_waiting || m->n_submitting || now < m->retry_at || !worth_it(m) ||
            buffer_len(&m->sink.out) > MAP_OUTPUT_BYTES)
                return STATUS_DONE;
        b = call_begin(m->ctl, "SubmitMany", 0);
        emit_key(b, "jobs");
        emit_open(b, '[');
        while (!list_empty(&m->waiting) && m->n_submitting < m->batch) {
                MapJob *job = LIST_FIRST(&m->waiting, MapJob, list);

                if (bytes && bytes + job->args_len > MAP_BATCH_BYTES)
                        break;
                write_job(m, b, job);
                bytes += job->args_len;
                list_remove(&job->list);
                list_append(&m->submitting, &job->list);
                m->n_waiting--;
                m->n_submitting++;
        }
        emit_close(b, ']');
        m->waiting_bytes -= bytes;
        return call_send(m->ctl);
}

/* Puts the batch back to where it came from. */
static void take_back(Map *m)
{
        MapJob *job;

        LIST_FOREACH(&m->submitting, job, list)
                m->waiting_bytes += job->args_len;
        list_splice(&m->submitting, &m->waiting);
        list_splice(&m->waiting, &m->submitting);
        m->n_waiting += m->n_submitting;
        m->n_submitting = 0;
}

static void drop_waiting(Map *m)
{
        MapJob *job, *following;

        LIST_FOREACH_SAFE(&m->waiting, job, following, list)
                map_job_free(m, job);
        m->n_waiting = 0;
        m->waiting_bytes = 0;
}

/* No more jobs than are in flight; their ends are still waited for. */
static void refuse(Map *m, const Reply *reply)
{
        Buffer words = BUFFER_INIT;
        const MapJob *first = LIST_FIRST(&m->submitting, MapJob, list);

        words_append_error(&words, "map", reply->error, reply->parameters);
        map_say(m, "map: from line %llu on: %.*s", (unsigned long long)first->line,
                (int)buffer_len(&words), words.data ? buffer_bytes(&words) : "");
        buffer_fini(&words);
        m->stop = STATUS_REFUSED;
        take_back(m);
        drop_waiting(m);
}

/* Is it a quota that is used up by jobs, which end? One of connections ends this one. */
static bool quota_may_ease(const Reply *reply)
{
        const char *quota = json_string_value(json_object_get(reply->parameters, "quota"));

        return strcmp(reply->error, "io.brood.QuotaExceeded") == 0 && quota &&
               strcmp(quota, "connections") != 0;
}

/* All of a batch was refused. Half of it may do; the queue, if it is full, needs time. */
static void refused(Map *m, const Reply *reply, usec_t now)
{
        bool full = strcmp(reply->error, "io.brood.QueueFull") == 0 || quota_may_ease(reply);
        bool fault = strcmp(reply->error, "io.brood.TooLarge") == 0 ||
                     strcmp(reply->error, "org.varlink.service.InvalidParameter") == 0;

        if (!full && !(fault && m->n_submitting > 1)) {
                refuse(m, reply);
                return;
        }
        if (m->n_submitting == 1) {
                m->delay = MIN(MAX(m->delay * 2, DELAY_MIN), DELAY_MAX);
                m->retry_at = now + m->delay;
        }
        m->batch = MAX(m->n_submitting / 2, 1u);
        take_back(m);
}

static int accepted(Map *m)
{
        MapJob *job;

        LIST_FOREACH(&m->submitting, job, list) {
                free(job->args);
                job->args = NULL;
        }
        m->batch = MIN(MAX(m->batch, m->n_submitting) * 2, m->window);
        m->n_submitting = 0;
        m->delay = 0;
        return map_wait(m, &m->submitting);
}

int map_submitted(Map *m, usec_t now)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = call_receive(m->ctl, 0, &reply);

        if (status || !reply.text)
                return status;
        if (!m->n_submitting)
                return STATUS_DONE;
        if (!reply.error)
                return accepted(m);
        refused(m, &reply, now);
        return STATUS_DONE;
}

/* SPDX-License-Identifier: MIT */

#include "store/attempt_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "varlink/json.h"

static void write_certificate(Buffer *b, const Certificate *c)
{
        if (c->error)
                emit_string_member(b, "error", slice_of(c->error));
        if (c->exit_status >= 0)
                emit_int_member(b, "exit_status", c->exit_status);
        if (c->signal[0])
                emit_string_member(b, "signal", slice_of(c->signal));
        if (c->died) {
                emit_bool_member(b, "core_dumped", c->core_dumped);
                emit_int_member(b, "cpu_usec", (int64_t)c->cpu_usec);
                emit_int_member(b, "peak_memory_bytes", (int64_t)c->peak_memory_bytes);
        }
        if (c->oom_killed)
                emit_bool_member(b, "oom_killed", true);
        if (c->stderr_tail)
                emit_string_member(b, "stderr_tail", slice_of(c->stderr_tail));
}

/* One that the daemon did not live to see begin has no worker. */
static void write_worker(Buffer *b, const Attempt *a)
{
        emit_key(b, "worker");
        buffer_append_char(b, '"');
        buffer_append_string(b, a->pool->name);
        buffer_append_literal(b, ".");
        emit_digits(b, a->seat);
        buffer_append_char(b, '"');
        emit_int_member(b, "pid", a->pid);
}

void attempt_write(Buffer *b, const Attempt *a)
{
        emit_open(b, '{');
        emit_int_member(b, "number", a->number);
        if (a->pid)
                write_worker(b, a);
        emit_int_member(b, "started_usec", (int64_t)a->started);
        if (a->outcome != OUTCOME_NONE) {
                emit_int_member(b, "ended_usec", (int64_t)a->ended);
                emit_string_member(b, "outcome", slice_of(outcome_name(a->outcome)));
        }
        if (a->certificate)
                write_certificate(b, a->certificate);
        emit_close(b, '}');
}

/* --- reading --- */

static json_int_t int_of(const json_t *object, const char *name)
{
        return json_integer_value(json_object_get(object, name));
}

static char *copy_of(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text ? strdup(text) : NULL;
}

/* "pool.seat" */
static bool read_worker(Core *core, const json_t *object, Attempt *a)
{
        char *name = copy_of(object, "worker"), *dot = name ? strrchr(name, '.') : NULL;

        if (dot) {
                *dot = '\0';
                a->pool = core_pool(core, name);
                a->seat = (uint32_t)strtoul(dot + 1, NULL, 10);
                a->pid = (int32_t)int_of(object, "pid");
        }
        free(name);
        return a->pool != NULL;
}

static bool has_certificate(const json_t *object)
{
        return json_object_get(object, "error") || json_object_get(object, "exit_status") ||
               json_object_get(object, "signal") || json_object_get(object, "cpu_usec") ||
               json_object_get(object, "stderr_tail");
}

static bool read_certificate(const json_t *object, Attempt *a)
{
        const char *signal = json_string_value(json_object_get(object, "signal"));
        const json_t *status = json_object_get(object, "exit_status");
        Certificate *c;

        if (!has_certificate(object))
                return true;
        c = certificate_new(json_string_value(json_object_get(object, "error")));
        if (!c)
                return false;
        c->exit_status = status ? (int)json_integer_value(status) : -1;
        if (signal)
                (void)snprintf(c->signal, sizeof(c->signal), "%s", signal);
        c->died = json_object_get(object, "core_dumped") != NULL;
        c->core_dumped = json_is_true(json_object_get(object, "core_dumped"));
        c->oom_killed = json_is_true(json_object_get(object, "oom_killed"));
        c->cpu_usec = (uint64_t)int_of(object, "cpu_usec");
        c->peak_memory_bytes = (uint64_t)int_of(object, "peak_memory_bytes");
        c->stderr_tail = copy_of(object, "stderr_tail");
        a->certificate = c;
        return true;
}

static bool read_attempt(Core *core, Job *job, const json_t *object)
{
        const char *outcome = json_string_value(json_object_get(object, "outcome"));
        Attempt *a = outcome ? job_add_attempt(job) : NULL;

        if (!a)
                return false;
        a->number = (uint32_t)int_of(object, "number");
        a->started = (usec_t)int_of(object, "started_usec");
        a->ended = (usec_t)int_of(object, "ended_usec");
        a->outcome = outcome_of_name(outcome);
        a->pool = job->pool;
        return a->outcome != OUTCOME_NONE && read_worker(core, object, a) &&
               read_certificate(object, a);
}

bool attempts_read(Core *core, Job *job, Slice array)
{
        json_t *all = json_loadb(array.data, array.len, 0, NULL), *one;
        bool good = json_is_array(all);
        size_t i;

        json_array_foreach(all, i, one)
                good = good && read_attempt(core, job, one);
        json_decref(all);
        return good;
}

/* SPDX-License-Identifier: MIT */

#include "ctl/job.h"

#include <stdarg.h>
#include <string.h>

#include "ctl/print.h"
#include "ctl/raw.h"

const char *get_string(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text ? text : "";
}

int64_t get_int(const json_t *object, const char *name)
{
        return json_integer_value(json_object_get(object, name));
}

bool job_succeeded(const json_t *job)
{
        return strcmp(get_string(job, "state"), "succeeded") == 0;
}

const json_t *job_last_attempt(const json_t *job)
{
        const json_t *attempts = json_object_get(job, "attempts");
        size_t n = json_array_size(attempts);

        return n ? json_array_get(attempts, n - 1) : NULL;
}

static const char *outcome_words(const char *outcome)
{
        static const struct {
                const char *outcome, *words;
        } table[] = {
                { "error", "error" },
                { "command_failed", "command failed" },
                { "timeout", "timed out" },
                { "cancelled", "cancelled" },
                { "worker_died", "worker died" },
                { "shutdown", "ended by the daemon's stop" },
                { "supervisor_died", "the daemon died" },
        };

        for (size_t i = 0; i < ELEMENTS(table); i++)
                if (strcmp(table[i].outcome, outcome) == 0)
                        return table[i].words;
        return outcome;
}

/* Appends ", " or ": " and the words that say more. */
static void append_detail(Buffer *b, bool *first, const char *format, ...) PRINTF(3, 4);

static void append_detail(Buffer *b, bool *first, const char *format, ...)
{
        char text[128];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        buffer_append_string(b, *first ? ": " : ", ");
        buffer_append_string(b, text);
        *first = false;
}

void attempt_append_end(Buffer *b, const json_t *attempt)
{
        const char *outcome = get_string(attempt, "outcome"), *error = get_string(attempt, "error");
        const char *signal = get_string(attempt, "signal");
        bool first = true;

        buffer_append_string(b, outcome_words(*outcome ? outcome : "running"));
        if (*error) {
                buffer_append_string(b, ": ");
                buffer_append_string(b, error);
                first = false;
        }
        if (*signal && !strstr(error, signal))
                append_detail(b, &first, "killed by %s%s",
                              strncmp(signal, "SIG", 3) == 0 ? "" : "SIG", signal);
        if (get_int(attempt, "exit_status") && !*error)
                append_detail(b, &first, "exit status %lld",
                              (long long)get_int(attempt, "exit_status"));
        if (json_is_true(json_object_get(attempt, "core_dumped")))
                append_detail(b, &first, "dumped core");
        if (json_is_true(json_object_get(attempt, "oom_killed")))
                append_detail(b, &first, "for lack of memory");
}

void job_append_reason(Buffer *b, const json_t *job)
{
        const json_t *last = job_last_attempt(job);
        const char *reason = get_string(job, "reason"), *state = get_string(job, "state");
        const char *outcome = get_string(last, "outcome"), *error = get_string(last, "error");

        buffer_append_string(b, state);
        if (*reason)
                buffer_printf(b, ": %s", reason);
        else if (strcmp(outcome, "error") == 0 && *error)
                buffer_printf(b, ": %s", error);
        else if (*outcome && strcmp(outcome, "succeeded") != 0 && strcmp(outcome, state) != 0) {
                buffer_append_string(b, ": ");
                attempt_append_end(b, last);
        }
}

void job_say_reason(const json_t *job)
{
        Buffer b = BUFFER_INIT;

        buffer_printf(&b, "job %s ", get_string(job, "id"));
        job_append_reason(&b, job);
        say("%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}

void job_print_result(const Reply *r)
{
        Slice result = raw_member(raw_member(r->raw, "job"), "result");
        Buffer b = BUFFER_INIT;

        raw_compact(&b, raw_present(result) ? result : SLICE("null"));
        buffer_append_char(&b, '\n');
        print_buffer(&b);
        buffer_fini(&b);
        print_flush();
}

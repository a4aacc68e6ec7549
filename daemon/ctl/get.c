/* SPDX-License-Identifier: MIT */

/* get ID: one job, for people. */

#include "ctl/get.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/pager.h"
#include "ctl/print.h"
#include "ctl/raw.h"
#include "ctl/sheet.h"
#include "ctl/verbs.h"

static void list_line(Buffer *b, const char *label, const json_t *list)
{
        Buffer words = BUFFER_INIT;
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                buffer_printf(&words, "%s%s", i ? " " : "",
                              json_string_value(item) ? json_string_value(item) : "?");
        if (buffer_len(&words))
                sheet_line(b, label, "%.*s", (int)buffer_len(&words), buffer_bytes(&words));
        buffer_fini(&words);
}

static void append_head(Buffer *b, const json_t *job)
{
        const char *state = get_string(job, "state");
        Colour colour = colour_of_state(state);

        buffer_printf(b, "%s%s%s job %s\n", colour_on(colour), print_utf8() ? "●" : "*",
                      colour_off(colour), get_string(job, "id"));
        sheet_line(b, "Handler", "%s (pool %s)",
                   get_string(json_object_get(job, "spec"), "handler"), get_string(job, "pool"));
        buffer_printf(b, "%*s: %s%s%s", SHEET_LABEL, "State", colour_on(colour), state,
                      colour_off(colour));
        if (*get_string(job, "reason")) {
                buffer_append_string(b, ": ");
                append_shown(b, slice_of(get_string(job, "reason")), false);
        }
        buffer_append_char(b, '\n');
}

static void append_spec(Buffer *b, const json_t *spec)
{
        int64_t priority = get_int(spec, "priority");

        if (priority)
                sheet_line(b, "Priority", "%lld", (long long)priority);
        if (get_int(spec, "timeout_usec"))
                sheet_line(b, "Timeout", "%s", span_text(get_usec(spec, "timeout_usec")).text);
        if (*get_string(spec, "unique_key"))
                sheet_line(b, "Unique key", "%s", get_string(spec, "unique_key"));
        if (*get_string(spec, "durability"))
                sheet_line(b, "Durability", "%s", get_string(spec, "durability"));
        list_line(b, "After", json_object_get(spec, "after"));
        list_line(b, "Semaphores", json_object_get(spec, "semaphores"));
        list_line(b, "Tags", json_object_get(spec, "tags"));
}

static void append_times(Buffer *b, const json_t *job)
{
        const json_t *spec = json_object_get(job, "spec"), *progress;

        sheet_time(b, "Submitted", job, "submitted_usec");
        if (!get_int(job, "started_usec"))
                sheet_time(b, "Not before", spec, "run_at_usec");
        sheet_time(b, "Started", job, "started_usec");
        sheet_time(b, "Ended", job, "ended_usec");
        sheet_line(b, "User", "%lld (group %lld)", (long long)get_int(job, "uid"),
                   (long long)get_int(job, "gid"));
        progress = json_object_get(job, "progress");
        if (json_is_number(progress))
                sheet_line(b, "Progress", "%.0f%%", json_number_value(progress) * 100);
}

/* "attempt 1: worker noop.1 pid 4711, 1.2s, worker died: killed by SIGKILL" */
static void append_attempt(Buffer *b, const json_t *attempt)
{
        usec_t started = get_usec(attempt, "started_usec"), ended = get_usec(attempt, "ended_usec");
        const char *worker = get_string(attempt, "worker");
        Buffer end = BUFFER_INIT;

        buffer_printf(b, "  attempt %lld: ", (long long)get_int(attempt, "number"));
        if (*worker)
                buffer_printf(b, "worker %s pid %lld, ", worker,
                              (long long)get_int(attempt, "pid"));
        if (started)
                buffer_printf(b, "%s, ",
                              age_text(started, ended ? ended : clock_read(CLOCK_REALTIME)).text);
        attempt_append_end(&end, attempt);
        append_shown(b, buffer_slice(&end), false);
        buffer_fini(&end);
        if (get_int(attempt, "cpu_usec"))
                buffer_printf(b, ", cpu %s", span_text(get_usec(attempt, "cpu_usec")).text);
        if (get_int(attempt, "peak_memory_bytes"))
                buffer_printf(b, ", memory %s",
                              size_text((uint64_t)get_int(attempt, "peak_memory_bytes")).text);
        buffer_append_char(b, '\n');
}

/* The last lines that the worker wrote, each behind a bar. */
static void append_stderr(Buffer *b, const char *tail)
{
        while (*tail) {
                size_t n = strcspn(tail, "\n");

                buffer_append_string(b, "    | ");
                append_shown(b, (Slice){ tail, n }, false);
                buffer_append_char(b, '\n');
                tail += n + (tail[n] == '\n');
        }
}

static void append_attempts(Buffer *b, const json_t *attempts)
{
        json_t *attempt;
        size_t i;

        if (json_array_size(attempts))
                buffer_append_char(b, '\n');
        json_array_foreach(attempts, i, attempt)
        {
                append_attempt(b, attempt);
                append_stderr(b, get_string(attempt, "stderr_tail"));
        }
}

/* JSON text cannot hold raw control characters but line breaks, and those are made anew; DEL and
 * those of ISO 6429 it can. */
static void append_json(Buffer *b, const char *label, Slice text)
{
        Buffer pretty = BUFFER_INIT;

        if (!raw_present(text))
                return;
        buffer_printf(b, "\n  %s ", label);
        raw_pretty(&pretty, text, 2);
        append_shown(b, buffer_slice(&pretty), true);
        buffer_append_char(b, '\n');
        buffer_fini(&pretty);
}

void get_append(Buffer *b, const Reply *reply)
{
        const json_t *job = json_object_get(reply->parameters, "job");
        Slice raw = raw_member(reply->raw, "job");

        append_head(b, job);
        append_spec(b, json_object_get(job, "spec"));
        append_times(b, job);
        append_attempts(b, json_object_get(job, "attempts"));
        append_json(b, "args", raw_member(raw_member(raw, "spec"), "args"));
        append_json(b, "result", raw_member(raw, "result"));
}

int verb_get(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = ctl_check_ids(ctl, 0);
        Buffer b = BUFFER_INIT;

        if (status == STATUS_DONE)
                status = call_simple(ctl, "Get", "id", ctl_word(ctl, 0), &reply);
        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        get_append(&b, &reply);
        pager_open(ctl->options);
        print_buffer(&b);
        buffer_fini(&b);
        return STATUS_DONE;
}

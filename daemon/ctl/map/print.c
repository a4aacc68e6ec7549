/* SPDX-License-Identifier: MIT */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/map/map.h"
#include "ctl/print.h"
#include "ctl/raw.h"

void map_say(Map *m, const char *format, ...)
{
        AUTO(free) char *text = NULL;
        va_list ap;

        progress_clear(&m->progress);
        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        say("%s", text ? text : "out of memory");
}

static void append_reason(Buffer *b, Slice text)
{
        json_t *job = json_loadb(text.data, text.len, 0, NULL);

        job_append_reason(b, job);
        json_decref(job);
}

static void print_json(Map *m, const MapJob *which, Slice state, Slice result, Slice reason)
{
        Buffer *b = &m->sink.out;

        buffer_append_literal(b, "{\"index\":");
        buffer_printf(b, "%llu", (unsigned long long)which->index);
        emit_key(b, "id");
        emit_uuid(b, &which->id);
        emit_raw_member(b, "state", state);
        if (reason.data) {
                emit_string_member(b, "error", reason);
        } else {
                emit_key(b, "result");
                raw_compact(b, result);
        }
        buffer_append_literal(b, "}\n");
}

static void print_plain(Map *m, const MapJob *which, Slice result, Slice reason)
{
        if (reason.data) {
                map_say(m, "line %llu: %.*s", (unsigned long long)which->line, (int)reason.len,
                        reason.data);
                result = SLICE("null");
        }
        if (reason.data && !m->ordered)
                return;
        raw_compact(&m->sink.out, result);
        buffer_append_char(&m->sink.out, '\n');
}

void map_print(Map *m, const MapJob *which, Slice job)
{
        static const char *const names[] = { "state", "result" };
        Slice values[ELEMENTS(names)], reason = { NULL, 0 };
        Buffer words = BUFFER_INIT;

        raw_members(job, names, values, ELEMENTS(names));
        if (!slice_is(values[0], "\"succeeded\"")) {
                append_reason(&words, job);
                reason = buffer_slice(&words);
                m->failed = true;
                m->progress.failed++;
        }
        if (!raw_present(values[1]))
                values[1] = SLICE("null");
        if (m->json)
                print_json(m, which, values[0], values[1], reason);
        else
                print_plain(m, which, values[1], reason);
        buffer_fini(&words);
        m->progress.done++;
}

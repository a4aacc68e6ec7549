/* SPDX-License-Identifier: MIT */

/* inspect WORKER|ID: what a worker is, has and does, for people. */

#include "ctl/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/pager.h"
#include "ctl/sheet.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

static void heading(Buffer *b, const char *words)
{
        buffer_printf(b, "\n  %s%s%s\n", colour_on(BOLD), words, colour_off(BOLD));
}

static ShortText size_of(const json_t *object, const char *name)
{
        return size_text((uint64_t)get_int(object, name));
}

/* --- the worker and its jobs --- */

static void append_head(Buffer *b, const json_t *report)
{
        const char *state = get_string(report, "state");
        Colour colour = colour_of_state(state);

        buffer_printf(b, "%s%s%s worker ", colour_on(colour), print_utf8() ? "●" : "*",
                      colour_off(colour));
        append_shown(b, slice_of(get_string(report, "worker")), false);
        buffer_printf(b, "\n%*s: %s%s%s, generation %lld, %lld jobs done\n", SHEET_LABEL, "State",
                      colour_on(colour), state, colour_off(colour),
                      (long long)get_int(report, "generation"),
                      (long long)get_int(report, "jobs_done"));
        sheet_time(b, "Started", report, "started_usec");
}

static void append_jobs(Buffer *b, const json_t *jobs)
{
        usec_t now = clock_read(CLOCK_REALTIME);
        json_t *job;
        size_t i;

        json_array_foreach(jobs, i, job)
        {
                const json_t *progress = json_object_get(job, "progress");
                char done[32] = "";

                if (json_is_number(progress))
                        (void)snprintf(done, sizeof(done), ", %.0f%% done",
                                       json_number_value(progress) * 100);
                sheet_line(b, i ? "" : "Job", "%s %s, attempt %lld of uid %lld, for %s%s",
                           get_string(job, "id"), get_string(job, "handler"),
                           (long long)get_int(job, "attempt"), (long long)get_int(job, "uid"),
                           age_text(get_usec(job, "since_usec"), now).text, done);
        }
}

/* --- attributes --- */

/* "games (5)" */
static void append_named(Buffer *b, const json_t *one)
{
        const char *name = get_string(one, "name");

        if (*name)
                buffer_printf(b, "%s (%lld)", name, (long long)get_int(one, "id"));
        else
                buffer_printf(b, "%lld", (long long)get_int(one, "id"));
}

/* The effective one, and the others where they are others. */
static void append_ids(Buffer *b, const char *label, const json_t *ids)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        const json_t *effective = json_object_get(ids, "effective");
        static const char *const others[] = { "real", "saved" };

        if (!effective)
                return;
        append_named(&words, effective);
        for (size_t i = 0; i < ELEMENTS(others); i++) {
                const json_t *other = json_object_get(ids, others[i]);

                if (json_equal(other, effective))
                        continue;
                buffer_printf(&words, ", %s ", others[i]);
                append_named(&words, other);
        }
        buffer_append_char(&words, '\0');
        sheet_line(b, label, "%s", buffer_bytes(&words));
}

static void append_groups(Buffer *b, const json_t *groups)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        json_t *group;
        size_t i;

        json_array_foreach(groups, i, group)
        {
                buffer_append_string(&words, i ? ", " : "");
                append_named(&words, group);
        }
        buffer_append_char(&words, '\0');
        if (json_array_size(groups))
                sheet_line(b, "Groups", "%s", buffer_bytes(&words));
}

static void append_command(Buffer *b, const json_t *words)
{
        AUTO(buffer_fini) Buffer line = BUFFER_INIT;
        json_t *word;
        size_t i;

        json_array_foreach(words, i, word)
                buffer_printf(&line, "%s%s", i ? " " : "",
                              json_string_value(word) ? json_string_value(word) : "?");
        buffer_append_char(&line, '\0');
        if (json_array_size(words))
                sheet_line(b, "Command", "%s", buffer_bytes(&line));
}

static void append_process(Buffer *b, const json_t *p)
{
        const char *terminal = get_string(p, "controlling_terminal");
        const char *wchan = get_string(p, "wchan"), *counter = get_string(p, "program_counter");

        sheet_line(b, "Process", "%lld, parent %lld, process group %lld, session %lld",
                   (long long)get_int(p, "pid"), (long long)get_int(p, "parent"),
                   (long long)get_int(p, "process_group"), (long long)get_int(p, "session"));
        sheet_line(b, "Terminal", "%s", *terminal ? terminal : "none");
        append_command(b, json_object_get(p, "command"));
        append_ids(b, "User", json_object_get(p, "user"));
        append_ids(b, "Group", json_object_get(p, "group"));
        append_groups(b, json_object_get(p, "groups"));
        if (*get_string(p, "cwd"))
                sheet_line(b, "Directory", "%s, root %s", get_string(p, "cwd"),
                           get_string(p, "root"));
        sheet_line(b, "Umask", "%s", get_string(p, "umask"));
        sheet_line(b, "Nice", "%lld", (long long)get_int(p, "nice"));
        sheet_line(b, "Threads", "%lld", (long long)get_int(p, "threads"));
        sheet_line(b, "CPU", "%s, %s%s%s%s%s", span_text(get_usec(p, "cpu_usec")).text,
                   get_string(p, "state"), *wchan ? " in " : "", wchan,
                   *counter ? ", program counter " : "", counter);
}

static void append_limit(Buffer *b, const json_t *value)
{
        if (json_is_integer(value))
                buffer_printf(b, "%lld", (long long)json_integer_value(value));
        else
                buffer_append_literal(b, "infinity");
}

/* Those that are one. */
static void append_limits(Buffer *b, const json_t *limits)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        const char *name;
        json_t *limit;

        json_object_foreach((json_t *)limits, name, limit)
        {
                const json_t *soft = json_object_get(limit, "soft");

                if (!json_is_integer(soft))
                        continue;
                buffer_printf(&words, "%s%s=", buffer_len(&words) ? " " : "", name);
                append_limit(&words, soft);
                if (!json_equal(soft, json_object_get(limit, "hard"))) {
                        buffer_append_char(&words, ':');
                        append_limit(&words, json_object_get(limit, "hard"));
                }
        }
        buffer_append_char(&words, '\0');
        sheet_line(b, "Limits", "%s", buffer_bytes(&words));
}

/* --- memory --- */

static void append_memory(Buffer *b, const json_t *memory)
{
        static const char *const kinds[] = { "code", "data", "heap", "stack", "shared", "other" };
        const json_t *total = json_object_get(memory, "total");

        if (!total)
                return;
        heading(b, "memory");
        for (size_t i = 0; i < ELEMENTS(kinds); i++) {
                const json_t *one = json_object_get(memory, kinds[i]);

                buffer_printf(b, "%*s  ", SHEET_LABEL, kinds[i]);
                sheet_bar(b, (double)get_int(one, "rss_bytes"),
                          (double)get_int(total, "rss_bytes"));
                buffer_printf(b, "  %s resident of %s, %s private\n",
                              size_of(one, "rss_bytes").text, size_of(one, "size_bytes").text,
                              size_of(one, "private_bytes").text);
        }
        sheet_line(b, "total", "%s resident, %s private, %s by shares (PSS); %s at the most",
                   size_of(total, "rss_bytes").text, size_of(total, "private_bytes").text,
                   size_of(total, "pss_bytes").text, size_of(memory, "peak_rss_bytes").text);
}

static void append_cgroup(Buffer *b, const json_t *group)
{
        const json_t *limit = json_object_get(group, "memory_max_bytes");

        if (!group)
                return;
        heading(b, "cgroup");
        sheet_line(b, "Path", "%s", get_string(group, "path"));
        if (json_object_get(group, "memory_bytes"))
                sheet_line(b, "Memory", "%s, %s at the most, limit %s; killed for it: %lld",
                           size_of(group, "memory_bytes").text,
                           size_of(group, "memory_peak_bytes").text,
                           json_is_integer(limit) ? size_of(group, "memory_max_bytes").text
                                                  : "infinity",
                           (long long)get_int(group, "oom_kills"));
        if (json_object_get(group, "tasks"))
                sheet_line(b, "Tasks", "%lld", (long long)get_int(group, "tasks"));
        if (json_object_get(group, "cpu_usec"))
                sheet_line(b, "CPU", "%s", span_text(get_usec(group, "cpu_usec")).text);
}

/* --- descriptors and locks --- */

static void append_kinds(Buffer *b, const json_t *descriptors)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        const char *kind;
        json_t *n;

        json_object_foreach(json_object_get(descriptors, "kinds"), kind, n)
                buffer_printf(&words, "%s%lld %s", buffer_len(&words) ? ", " : "",
                              (long long)json_integer_value(n), kind);
        buffer_append_char(&words, '\0');
        sheet_line(b, "open", "%lld: %s", (long long)get_int(descriptors, "total"),
                   buffer_bytes(&words));
}

/* " [unix stream, connected, /run/…]" */
static void append_socket(Buffer *b, const json_t *d)
{
        static const char *const keys[] = { "protocol", "state", "path", "local", "remote" };
        const char *before = " [";

        for (size_t i = 0; i < ELEMENTS(keys); i++) {
                const char *text = get_string(d, keys[i]);

                if (!*text)
                        continue;
                buffer_append_string(b, before);
                append_shown(b, slice_of(text), false);
                before = ", ";
        }
        if (*before == ',')
                buffer_append_char(b, ']');
}

static void append_descriptors(Buffer *b, const json_t *descriptors)
{
        json_t *d;
        size_t i;

        if (!descriptors)
                return;
        heading(b, "descriptors");
        append_kinds(b, descriptors);
        json_array_foreach(json_object_get(descriptors, "list"), i, d)
        {
                buffer_printf(b, "%*lld  %-9s ", SHEET_LABEL, (long long)get_int(d, "fd"),
                              get_string(d, "kind"));
                append_shown(b, slice_of(get_string(d, "target")), false);
                append_socket(b, d);
                buffer_append_char(b, '\n');
        }
        if (get_int(descriptors, "left_out"))
                sheet_line(b, "more", "%lld", (long long)get_int(descriptors, "left_out"));
}

static void append_locks(Buffer *b, const json_t *locks)
{
        json_t *lock;
        size_t i;

        if (!json_array_size(locks))
                return;
        heading(b, "locks");
        json_array_foreach(locks, i, lock)
        {
                const char *path = get_string(lock, "path");

                buffer_printf(b, "%*s  %s ", SHEET_LABEL, get_string(lock, "type"),
                              get_string(lock, "access"));
                append_shown(b, slice_of(*path ? path : get_string(lock, "file")), false);
                buffer_printf(b, ", taken by pid %lld\n", (long long)get_int(lock, "taken_by"));
        }
}

/* --- the stack, and what is missing --- */

static void append_stack(Buffer *b, const json_t *stack)
{
        const char *error = get_string(stack, "error"), *text = get_string(stack, "text");

        if (!stack)
                return;
        heading(b, "stack");
        if (*error)
                sheet_line(b, "error", "%s", error);
        while (*text) {
                size_t n = strcspn(text, "\n");

                buffer_append_literal(b, "    ");
                append_shown(b, (Slice){ text, n }, false);
                buffer_append_char(b, '\n');
                text += n + (text[n] == '\n');
        }
}

static void append_denied(Buffer *b, const json_t *denied)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        json_t *what;
        size_t i;

        if (!denied)
                return;
        json_array_foreach(json_object_get(denied, "what"), i, what)
                buffer_printf(&words, "%s%s", i ? ", " : "",
                              json_string_value(what) ? json_string_value(what) : "?");
        buffer_append_char(&words, '\0');
        heading(b, "denied");
        sheet_line(b, "not shown", "%s", buffer_bytes(&words));
        sheet_line(b, "needs", "%s", get_string(denied, "needs"));
}

void inspect_append(Buffer *b, const json_t *report)
{
        append_head(b, report);
        append_jobs(b, json_object_get(report, "jobs"));
        append_process(b, json_object_get(report, "process"));
        append_limits(b, json_object_get(report, "limits"));
        append_memory(b, json_object_get(report, "memory"));
        append_cgroup(b, json_object_get(report, "cgroup"));
        append_descriptors(b, json_object_get(report, "descriptors"));
        append_locks(b, json_object_get(report, "locks"));
        append_stack(b, json_object_get(report, "stack"));
        append_denied(b, json_object_get(report, "denied"));
}

int verb_inspect(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        AUTO(buffer_fini) Buffer sheet = BUFFER_INIT;
        Buffer *b = call_begin(ctl, "Inspect", 0);
        int status;

        emit_string_member(b, "worker", slice_of(ctl_word(ctl, 0)));
        if (option_given(ctl->options, OPTION_STACK))
                emit_bool_member(b, "stack", true);
        status = call_finish(ctl, &reply);
        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        pager_open(ctl->options);
        inspect_append(&sheet, json_object_get(reply.parameters, "report"));
        print_buffer(&sheet);
        return STATUS_DONE;
}

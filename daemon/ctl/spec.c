/* SPDX-License-Identifier: MIT */

#include "ctl/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/print.h"
#include "ctl/raw.h"
#include "varlink/json.h"

/* Reads to the end. Returns 0 or -errno. */
static int read_all(int fd, Buffer *to)
{
        for (;;) {
                char *room = buffer_reserve(to, 65536);
                ssize_t n;

                if (!room)
                        return -ENOMEM;
                n = read(fd, room, 65536);
                if (n == 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        to->end += (size_t)n;
        }
}

static int read_source(const char *word, Buffer *to)
{
        AUTO(fd_close) int opened = -1;
        int fd = STDIN_FILENO, r;

        if (word[0] == '@') {
                fd = opened = open(word + 1, O_RDONLY | O_CLOEXEC);
                if (fd < 0) {
                        say("cannot open %s: %s", word + 1, strerror(errno));
                        return STATUS_USAGE;
                }
        }
        r = read_all(fd, to);
        if (r == 0)
                return STATUS_DONE;
        say("cannot read %s: %s", word[0] == '@' ? word + 1 : "stdin", strerror(-r));
        return STATUS_USAGE;
}

static const char *kind_of(const json_t *value)
{
        switch (json_typeof(value)) {
        case JSON_ARRAY:
                return "an array";
        case JSON_STRING:
                return "a string";
        case JSON_NULL:
                return "null";
        case JSON_TRUE:
        case JSON_FALSE:
                return "a boolean";
        default:
                return "a number";
        }
}

static int check_object(const Ctl *ctl, const char *where, Slice text)
{
        json_error_t error;
        json_t *value = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
                                   &error);
        int status = STATUS_DONE;

        if (!value)
                status = ctl_usage(ctl, "%s: not JSON: line %d, column %d: %s", where, error.line,
                                   error.column, error.text);
        else if (!json_is_object(value))
                status = ctl_usage(ctl, "%s: the arguments are a JSON object, like {\"value\": 1}, "
                                        "not %s", where, kind_of(value));
        json_decref(value);
        return status;
}

int spec_read_args(const Ctl *ctl, const char *word, Buffer *to)
{
        bool elsewhere = word && (word[0] == '@' || strcmp(word, "-") == 0);
        Buffer text = BUFFER_INIT;
        int status = STATUS_DONE;

        if (elsewhere)
                status = read_source(word, &text);
        else
                buffer_append_string(&text, word ? word : "{}");
        if (status == STATUS_DONE)
                status = text.failed ? ctl_no_memory()
                                     : check_object(ctl,
                                                    !elsewhere       ? "arguments"
                                                    : word[0] == '@' ? word + 1
                                                                     : "stdin",
                                                    buffer_slice(&text));
        if (status == STATUS_DONE)
                raw_compact(to, buffer_slice(&text));
        buffer_fini(&text);
        return status;
}

int spec_check(const Ctl *ctl)
{
        if (option_given(ctl->options, OPTION_DELAY) && option_given(ctl->options, OPTION_AT))
                return ctl_usage(ctl, "--delay and --at exclude each other");
        return STATUS_DONE;
}

static void write_text(Buffer *b, const Options *o, OptionId id, const char *name)
{
        if (option_given(o, id))
                emit_string_member(b, name, slice_of(o->values[id].text));
}

static void write_number(Buffer *b, const Options *o, OptionId id, const char *name)
{
        if (option_given(o, id))
                emit_int_member(b, name, o->values[id].number);
}

static void write_list(Buffer *b, const Options *o, OptionId id, const char *name)
{
        const OptionValue *v = &o->values[id];

        if (!v->n_list)
                return;
        emit_key(b, name);
        emit_open(b, '[');
        for (unsigned i = 0; i < v->n_list; i++)
                emit_string(b, slice_of(v->list[i]));
        emit_close(b, ']');
}

void spec_write(Buffer *b, const Options *o, const char *handler, Slice args)
{
        emit_string_member(b, "handler", slice_of(handler));
        emit_raw_member(b, "args", args);
        write_text(b, o, OPTION_ID, "id");
        write_number(b, o, OPTION_PRIORITY, "priority");
        write_number(b, o, OPTION_AT, "run_at_usec");
        write_number(b, o, OPTION_DELAY, "delay_usec");
        write_number(b, o, OPTION_MAX_ATTEMPTS, "max_attempts");
        write_number(b, o, OPTION_TIMEOUT, "timeout_usec");
        write_number(b, o, OPTION_TTL, "ttl_usec");
        write_text(b, o, OPTION_UNIQUE, "unique_key");
        write_list(b, o, OPTION_AFTER, "after");
        write_list(b, o, OPTION_SEMAPHORE, "semaphores");
        write_list(b, o, OPTION_TAG, "tags");
        write_text(b, o, OPTION_DURABILITY, "durability");
}

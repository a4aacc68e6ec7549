/* SPDX-License-Identifier: MIT */

/* What is sent. All that a program gives is checked here, so that nothing but whole messages of
 * valid JSON ever reach the daemon; whether they make sense, the daemon says. */

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/uuid.h"
#include "client/inside.h"
#include "varlink/json.h"

int client_check_text(BroodClient *c, const char *what, const char *text)
{
        if (!text)
                return client_fail(c, -EINVAL, "%s: not given", what);
        if (!json_is_text(slice_of(text)))
                return client_fail(c, -EINVAL, "%s: not UTF-8", what);
        return 0;
}

int client_write_text(BroodClient *c, Buffer *b, const char *name, const char *value)
{
        int r = value ? client_check_text(c, name, value) : 0;

        if (value && r == 0)
                emit_string_member(b, name, slice_of(value));
        return r;
}

int client_write_id(BroodClient *c, Buffer *b, const char *id)
{
        return id ? client_write_text(c, b, "id", id) : client_check_text(c, "id", id);
}

int client_write_ids(BroodClient *c, Buffer *b, const BroodId *ids, size_t n, bool ordered)
{
        Uuid id;

        emit_key(b, "ids");
        emit_open(b, '[');
        for (size_t i = 0; i < n; i++) {
                if (!uuid_parse((Slice){ ids[i].text, strnlen(ids[i].text, sizeof(*ids)) }, &id))
                        return client_fail(c, -EINVAL, "ids[%zu]: not an id", i);
                emit_uuid(b, &id);
        }
        emit_close(b, ']');
        if (ordered)
                emit_bool_member(b, "ordered", true);
        return 0;
}

/* --- objects --- */

/* Where the fault is; the scanner, being quick, does not say. */
static int explain(BroodClient *c, const char *what, const char *text)
{
        json_error_t error;
        json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        bool object = json_is_object(value);

        json_decref(value);
        if (object)
                return client_fail(c, -EINVAL, "%s: nested too deeply", what);
        if (value)
                return client_fail(c, -EINVAL, "%s: not a JSON object", what);
        return client_fail(c, -EINVAL, "%s: line %d, column %d: %s", what, error.line, error.column,
                           error.text);
}

int client_write_object(BroodClient *c, Buffer *b, const char *what, const char *text, bool inner)
{
        const char *first, *last;
        int r = varlink_scan_object(&c->scan, slice_of(text));

        if (r < 0)
                return client_fail_errno(c, r);
        if (r)
                return explain(c, what, text);
        first = strchr(text, '{');
        last = strrchr(text, '}');
        if (inner)
                buffer_append(b, first + 1, (size_t)(last - first) - 1);
        else
                emit_raw_member(b, what, (Slice){ first, (size_t)(last - first) + 1 });
        return 0;
}

/* --- Spec --- */

static int write_texts(BroodClient *c, Buffer *b, const char *name, const char *const *texts,
                       unsigned n)
{
        int r = 0;

        if (!n)
                return 0;
        emit_key(b, name);
        emit_open(b, '[');
        for (unsigned i = 0; i < n && r == 0; i++) {
                r = client_check_text(c, name, texts[i]);
                if (r == 0)
                        emit_string(b, slice_of(texts[i]));
        }
        emit_close(b, ']');
        return r;
}

static void write_number(Buffer *b, const char *name, int64_t value)
{
        if (value)
                emit_int_member(b, name, value == BROOD_ZERO ? 0 : value);
}

static void write_numbers(Buffer *b, const BroodSpec *spec)
{
        write_number(b, "priority", spec->priority);
        write_number(b, "run_at_usec", spec->run_at_usec);
        write_number(b, "delay_usec", spec->delay_usec);
        write_number(b, "max_attempts", spec->max_attempts);
        write_number(b, "timeout_usec", spec->timeout_usec);
        write_number(b, "ttl_usec", spec->ttl_usec);
        write_number(b, "keep_usec", spec->keep_usec);
}

static int write_lists(BroodClient *c, Buffer *b, const BroodSpec *spec)
{
        int r = write_texts(c, b, "after", spec->after, spec->n_after);

        if (r == 0)
                r = write_texts(c, b, "semaphores", spec->semaphores, spec->n_semaphores);
        return r < 0 ? r : write_texts(c, b, "tags", spec->tags, spec->n_tags);
}

int client_choose_id(BroodClient *c, const BroodSpec *spec, BroodId *id)
{
        Uuid given;

        if (!spec->id) {
                brood_client_make_id(id);
                return 0;
        }
        *id = (BroodId){ "" };
        if (!uuid_parse(slice_of(spec->id), &given))
                return client_fail(c, -EINVAL, "id: not an id: \"%.*s\"", 40, spec->id);
        uuid_write(&given, id->text);
        return 0;
}

/* What cannot be said in the interface; a version to come may know what the reserved mean. */
static int check_spec(BroodClient *c, const BroodSpec *spec)
{
        for (size_t i = 0; i < ELEMENTS(spec->reserved); i++)
                if (spec->reserved[i])
                        return client_fail(c, -EINVAL, "reserved: not zero");
        if ((unsigned)spec->durability > BROOD_DURABILITY_MEMORY)
                return client_fail(c, -EINVAL, "durability: there is no %d", spec->durability);
        if (spec->descriptors && !spec->attached)
                return client_fail(c, -EINVAL, "descriptors: only for a job that is attached");
        return client_check_text(c, "handler", spec->handler);
}

int client_write_spec(BroodClient *c, Buffer *b, const BroodSpec *spec, const BroodId *id)
{
        static const char *const durabilities[] = { NULL, "fsync", "memory" };
        int r = check_spec(c, spec);

        if (r < 0)
                return r;
        emit_open(b, '{');
        emit_string_member(b, "handler", slice_of(spec->handler));
        r = spec->args ? client_write_object(c, b, "args", spec->args, false) : 0;
        emit_key(b, "id");
        emit_escaped(b, (Slice){ id->text, UUID_TEXT });
        write_numbers(b, spec);
        if (r == 0)
                r = client_write_text(c, b, "unique_key", spec->unique_key);
        if (r == 0)
                r = write_lists(c, b, spec);
        if (durabilities[spec->durability])
                emit_string_member(b, "durability", slice_of(durabilities[spec->durability]));
        if (spec->attached)
                emit_bool_member(b, "attached", true);
        emit_close(b, '}');
        return r;
}

int client_write_watch(BroodClient *c, Buffer *b, const char *pool, unsigned kinds)
{
        static const char *const names[] = { "job", "worker", "pool" };

        if (kinds >> ELEMENTS(names))
                return client_fail(c, -EINVAL, "kinds: there is no 0x%x", kinds);
        if (kinds) {
                emit_key(b, "kinds");
                emit_open(b, '[');
                for (unsigned i = 0; i < ELEMENTS(names); i++)
                        if (kinds & 1u << i)
                                emit_string(b, slice_of(names[i]));
                emit_close(b, ']');
        }
        return client_write_text(c, b, "pool", pool);
}

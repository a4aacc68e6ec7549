/* SPDX-License-Identifier: MIT */

#include "ctl/trial_checks.h"

#include <jansson.h>
#include <string.h>

#include "base/cleanup.h"
#include "io.brood.Worker.h"

enum { BIG = 1024 * 1024 };

#define UTF8_WORDS "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \\u00df \\\" \\\\ \\n \\u0001"

/* --- birth --- */

static bool check_start(Trial *t)
{
        return trial_start(t);
}

/* Keeps the handler that is to be run, the one asked for, else the first, and all names. */
static void keep_offer(Trial *t, const VarlinkReply *reply)
{
        const VarlinkNode *list = varlink_field(&t->scan, varlink_node(&t->scan, reply->parameters),
                                                IO_BROOD_WORKER_PREPARE_OUT_HANDLERS);

        for (uint32_t at = list->child; at; at = varlink_node(&t->scan, at)->next) {
                AUTO(free) char *name = varlink_string(&t->scan, varlink_node(&t->scan, at));

                buffer_printf(&t->names, "%s%s", buffer_len(&t->names) ? ", " : "",
                              name ? name : "");
                if (name && !t->offered && (!t->handler || strcmp(name, t->handler) == 0))
                        t->offered = MOVE_PTR(name);
        }
}

static bool check_ready(Trial *t)
{
        usec_t begin = clock_monotonic();
        VarlinkReply reply;

        if (!trial_prepare(t, &reply))
                return false;
        keep_offer(t, &reply);
        return trial_right(t, "after %llu ms",
                           (unsigned long long)((clock_monotonic() - begin) / USEC_PER_MSEC));
}

static bool check_handlers(Trial *t)
{
        if (t->offered)
                return trial_right(t, "%.*s", (int)buffer_len(&t->names),
                                   buffer_bytes(&t->names));
        if (t->handler)
                return trial_wrong(t, "Prepare's reply does not name '%s'", t->handler);
        return trial_wrong(t, "Prepare's reply names none where none is asked for: say one with "
                              "--handler=");
}

static bool check_quiet(Trial *t)
{
        return trial_is_quiet(t);
}

/* --- runs --- */

/* The answer to a run, when it is the end of it. */
static bool right_answer(Trial *t, const VarlinkReply *reply)
{
        const VarlinkNode *root = varlink_node(&t->scan, reply->parameters);
        AUTO(free) char *message = NULL;
        Slice name;

        if (!reply->error.len) {
                if (!varlink_field(&t->scan, root, IO_BROOD_WORKER_RUN_OUT_RESULT)->present)
                        return trial_wrong(t, "the last reply has no result");
                return trial_right(t, "%s", "");
        }
        name = reply->member->name;
        if (slice_is(name, "NoSuchHandler"))
                return trial_wrong(t, "it has offered '%s', and does not know it", t->offered);
        message = varlink_string(&t->scan, varlink_field(&t->scan, root, 0));
        return trial_right(t, "%.*s: %s", (int)name.len, name.data, message ? message : "");
}

/* One run from beginning to end. */
static bool run(Trial *t, const char *args, unsigned flags)
{
        unsigned before;
        VarlinkReply reply;

        trial_write_run(t, t->offered, args, flags);
        return trial_send(t, t->slot) && trial_answer(t, flags & VARLINK_MORE, &before, &reply) &&
               right_answer(t, &reply);
}

static bool check_run(Trial *t)
{
        return run(t, t->args, 0);
}

static bool check_more(Trial *t)
{
        unsigned before;
        VarlinkReply reply;

        trial_write_run(t, t->offered, t->args, VARLINK_MORE);
        if (!trial_send(t, t->slot) || !trial_answer(t, true, &before, &reply) ||
            !right_answer(t, &reply))
                return false;
        return trial_right(t, "%u before the answer", before);
}

static bool knows_no(Trial *t, const char *handler)
{
        VarlinkReply reply;
        unsigned before;
        Slice named;

        if (!trial_answer(t, true, &before, &reply))
                return false;
        if (!reply.error.len || !slice_is(reply.member->name, "NoSuchHandler"))
                return trial_wrong(t, "a run of '%s', which it has not offered, is answered %.*s",
                                   handler, reply.error.len ? (int)reply.error.len : 8,
                                   reply.error.len ? reply.error.data : "a result");
        named = varlink_slice(&t->scan, varlink_field(&t->scan, varlink_node(&t->scan,
                                                                            reply.parameters), 0));
        return slice_is(named, handler) ||
               trial_wrong(t, "NoSuchHandler names '%.*s' where '%s' was to be run",
                           (int)named.len, named.data, handler);
}

static bool check_unknown(Trial *t)
{
        trial_write_run(t, "try-nothing", "{}", VARLINK_MORE);
        return trial_send(t, t->slot) && knows_no(t, "try-nothing") && trial_right(t, "%s", "");
}

static bool check_ahead(Trial *t)
{
        VarlinkReply reply;
        unsigned before;

        for (int i = 0; i < 2; i++)
                trial_write_run(t, t->offered, t->args, VARLINK_MORE);
        if (!trial_send(t, t->slot))
                return false;
        for (int i = 0; i < 2; i++)
                if (!trial_answer(t, true, &before, &reply) || !right_answer(t, &reply))
                        return false;
        return trial_is_quiet(t);
}

static bool check_order(Trial *t)
{
        static const char *const names[] = { "try-a", "try-b", "try-c", "try-d" };

        for (size_t i = 0; i < ELEMENTS(names); i++)
                trial_write_run(t, names[i], "{}", VARLINK_MORE);
        if (!trial_send(t, t->slot))
                return false;
        for (size_t i = 0; i < ELEMENTS(names); i++)
                if (!knows_no(t, names[i]))
                        return false;
        return trial_is_quiet(t);
}

/* A message in two writes. */
static bool check_pieces(Trial *t)
{
        AUTO(buffer_fini) Buffer rest = BUFFER_INIT;
        Buffer *out = varlink_client_out(t->slot);
        VarlinkReply reply;
        unsigned before;
        size_t half;

        trial_write_run(t, t->offered, t->args, VARLINK_MORE);
        half = buffer_len(out) / 2;
        buffer_append(&rest, buffer_bytes(out) + half, buffer_len(out) - half);
        out->end -= buffer_len(out) - half;
        if (!trial_send(t, t->slot) || !trial_is_quiet(t))
                return false;
        buffer_append_slice(out, buffer_slice(&rest));
        return trial_send(t, t->slot) && trial_answer(t, true, &before, &reply) &&
               right_answer(t, &reply);
}

/* Adds a member to the arguments. To be freed; NULL: no memory. */
static char *args_with(const Trial *t, const char *text, size_t n)
{
        json_t *args = json_loads(t->args, 0, NULL);
        char *dump = NULL;

        if (args && json_object_set_new(args, "try_worker", json_stringn(text, n)) == 0)
                dump = json_dumps(args, JSON_COMPACT);
        json_decref(args);
        return dump;
}

/* A handler that gives back what it gets gives it back as it was. */
static bool came_back(Trial *t, const VarlinkReply *reply, const char *text, size_t n)
{
        const VarlinkNode *result = varlink_field(&t->scan, varlink_node(&t->scan,
                                                                        reply->parameters),
                                                  IO_BROOD_WORKER_RUN_OUT_RESULT);
        Slice bytes = reply->error.len ? SLICE("{}") : varlink_slice(&t->scan, result);
        json_t *object = json_loadb(bytes.data, bytes.len, 0, NULL);
        const json_t *got = json_object_get(object, "try_worker");
        bool same = !json_is_string(got) || (json_string_length(got) == n &&
                                             memcmp(json_string_value(got), text, n) == 0);

        json_decref(object);
        return same || trial_wrong(t, "what it gives back is not what it got");
}

static bool run_with(Trial *t, const char *text, size_t n)
{
        AUTO(free) char *args = args_with(t, text, n);
        VarlinkReply reply;
        unsigned before;

        if (!args)
                return trial_wrong(t, "out of memory");
        trial_write_run(t, t->offered, args, VARLINK_MORE);
        return trial_send(t, t->slot) && trial_answer(t, true, &before, &reply) &&
               right_answer(t, &reply) && came_back(t, &reply, text, n);
}

static bool check_big(Trial *t)
{
        AUTO(free) char *text = malloc(BIG);

        if (!text)
                return trial_wrong(t, "out of memory");
        memset(text, 'x', BIG);
        return run_with(t, text, BIG);
}

static bool check_utf8(Trial *t)
{
        json_t *words = json_loads("\"" UTF8_WORDS "\"", JSON_DECODE_ANY, NULL);
        bool good = words && run_with(t, json_string_value(words), json_string_length(words));

        json_decref(words);
        return good;
}

/* --- the control connection --- */

static bool cancel_is_answered(Trial *t, bool other)
{
        VarlinkReply reply;

        trial_write_cancel(t, other);
        if (!trial_send(t, t->control) ||
            !trial_receive(t, t->control, IO_BROOD_WORKER_CANCEL, &reply))
                return false;
        return !reply.error.len || trial_wrong(t, "Cancel is answered %.*s", (int)reply.error.len,
                                               reply.error.data);
}

/* In the middle of a run; that it runs on to its end is its right. */
static bool check_cancel(Trial *t)
{
        VarlinkReply reply;
        unsigned before;

        if (!cancel_is_answered(t, true))
                return false;
        trial_write_run(t, t->offered, t->args, VARLINK_MORE);
        if (!trial_send(t, t->slot) || !cancel_is_answered(t, false) ||
            !trial_answer(t, true, &before, &reply))
                return false;
        return right_answer(t, &reply);
}

static bool described(Trial *t, const char *text)
{
        VarlinkInterface *interface;
        char error[128];

        if (varlink_interface_new(&interface, slice_of(text), error, sizeof(error)) < 0)
                return trial_wrong(t, "its interface description: %s", error);
        for (unsigned i = 0; i < t->interface->n_methods; i++) {
                bool found = false;

                for (unsigned k = 0; k < interface->n_methods && !found; k++)
                        found = slice_equal(interface->methods[k].name,
                                            t->interface->methods[i].name);
                if (!found) {
                        varlink_interface_free(interface);
                        return trial_wrong(t, "its interface description has no method %.*s",
                                           (int)t->interface->methods[i].name.len,
                                           t->interface->methods[i].name.data);
                }
        }
        varlink_interface_free(interface);
        return true;
}

/* The parameters of the reply to a call of org.varlink.service; NULL with words. */
static json_t *ask_service(Trial *t, const char *method, json_t *parameters)
{
        AUTO(free) char *error = NULL;
        json_t *reply = NULL;
        int r;

        if (varlink_client_write(t->control, method, parameters, 0) < 0 ||
            !trial_send(t, t->control))
                return NULL;
        r = varlink_client_reply(t->control, t->timeout, &reply, &error, NULL);
        if (r == 1 && !error)
                return reply;
        (void)trial_wrong(t, "%s is answered %s", method,
                          r == 1  ? error
                          : r == 0 ? "by nothing"
                                   : "by what is no reply, or by the end of the connection");
        if (r == 1)
                json_decref(reply);
        return NULL;
}

static bool serves_worker(Trial *t, const json_t *info)
{
        const json_t *name;
        size_t i;

        json_array_foreach(json_object_get(info, "interfaces"), i, name)
                if (json_is_string(name) &&
                    strcmp(json_string_value(name), "io.brood.Worker") == 0)
                        return true;
        return trial_wrong(t, "GetInfo does not name io.brood.Worker among its interfaces");
}

static bool check_introspection(Trial *t)
{
        json_t *info = ask_service(t, "org.varlink.service.GetInfo", NULL), *description;
        const char *text;
        bool good = info && serves_worker(t, info);

        json_decref(info);
        if (!good)
                return false;
        description = ask_service(t, "org.varlink.service.GetInterfaceDescription",
                                  json_pack("{ss}", "interface", "io.brood.Worker"));
        text = json_string_value(json_object_get(description, "description"));
        good = description && (text ? described(t, text)
                                    : trial_wrong(t, "its interface description is no text"));
        json_decref(description);
        return good && trial_right(t, "%s", "");
}

/* --- ends --- */

static bool exits_well(Trial *t, const char *after)
{
        ExitVerdict verdict;
        char words[96];

        if (!trial_exits(t, &verdict))
                return trial_wrong(t, "it lives on after %s", after);
        exit_verdict_words(&verdict, words, sizeof(words));
        return exit_verdict_status(&verdict) == 0 ? trial_right(t, "%s", "")
                                                  : trial_wrong(t, "it %s", words);
}

static bool check_leave(Trial *t)
{
        Buffer *b = varlink_client_out(t->control);
        VarlinkReply reply;

        varlink_write_call(b, "io.brood.Worker.Leave", 0);
        varlink_write_end(b, 0);
        if (!trial_send(t, t->control) ||
            !trial_receive(t, t->control, IO_BROOD_WORKER_LEAVE, &reply))
                return false;
        if (reply.error.len)
                return trial_wrong(t, "Leave is answered %.*s", (int)reply.error.len,
                                   reply.error.data);
        return exits_well(t, "Leave");
}

static bool check_nothing_left(Trial *t)
{
        unsigned n = trial_end(t);

        return n == 0 ? trial_right(t, "%s", "")
                      : trial_wrong(t, "%u process%s that it had started", n, n == 1 ? "" : "es");
}

static bool ends_alone(Trial *t)
{
        ExitVerdict verdict;

        trial_hang_up(t);
        return trial_exits(t, &verdict) ? trial_right(t, "%s", "")
                                        : trial_wrong(t, "it lives on without its supervisor");
}

static bool check_orphan(Trial *t)
{
        return ends_alone(t);
}

static bool check_orphan_at_work(Trial *t)
{
        trial_write_run(t, t->offered, t->args, VARLINK_MORE);
        return trial_send(t, t->slot) && ends_alone(t);
}

static const TrialCheck checks[] = {
        { "start", "the program can be started", NEEDS_NOTHING, check_start },
        { "ready", "Prepare is answered in time", NEEDS_NOTHING, check_ready },
        { "handlers", "Prepare's reply names its handlers", NEEDS_READY, check_handlers },
        { "quiet", "it says nothing that was not asked for", NEEDS_READY, check_quiet },
        { "run", "a run is answered: a result that is an object, or an honest error", NEEDS_READY,
          check_run },
        { "once", "a run is answered once", NEEDS_RUN, check_quiet },
        { "more", "progress and output have their form, and come before the answer", NEEDS_RUN,
          check_more },
        { "unknown-handler", "a handler that it does not have: NoSuchHandler", NEEDS_RUN,
          check_unknown },
        { "ahead", "a second run may be written before the first is answered", NEEDS_RUN,
          check_ahead },
        { "order", "runs are answered in order", NEEDS_RUN, check_order },
        { "pieces", "a message may come in pieces", NEEDS_RUN, check_pieces },
        { "big", "arguments of 1 MiB", NEEDS_RUN, check_big },
        { "utf8", "arguments that are not ASCII", NEEDS_RUN, check_utf8 },
        { "cancel", "Cancel is answered in the middle of a run, and so is the run", NEEDS_RUN,
          check_cancel },
        { "introspection", "it says what it serves (org.varlink.service)", NEEDS_READY,
          check_introspection },
        { "leave", "Leave is answered, and ends it", NEEDS_READY, check_leave },
        { "nothing-left", "it leaves no process behind", NEEDS_NOTHING, check_nothing_left },
        { "orphan", "it exits when its connections close", NEEDS_READY, check_orphan },
        { "orphan-at-work", "even in the middle of a run", NEEDS_RUN, check_orphan_at_work },
};

const TrialCheck *trial_check(unsigned i)
{
        return i < ELEMENTS(checks) ? &checks[i] : NULL;
}

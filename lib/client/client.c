/* SPDX-License-Identifier: MIT */

/* The calls of brood/client.h, each one call of io.brood and its reply. What the caller gives as
 * JSON text is checked here, so that nothing but a whole message ever reaches the daemon. */

#pragma GCC visibility push(default)
#include "brood/client.h"
#pragma GCC visibility pop

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "varlink/client.h"
#include "varlink/json.h"
#include "varlink/message.h"

#define SYSTEM_SOCKET "/run/brood/brood.sock"

struct BroodClient {
        VarlinkClient *varlink;
        char *error; /* of the last call; NULL: none */
};

static void json_decref_cleanup(json_t **value)
{
        json_decref(*value);
}

/* --- errors --- */

static int fail(BroodClient *c, int error, const char *format, ...) PRINTF(3, 4);

/* Keeps the words; returns `error`. */
static int fail(BroodClient *c, int error, const char *format, ...)
{
        va_list ap;

        free(c->error);
        va_start(ap, format);
        if (vasprintf(&c->error, format, ap) < 0)
                c->error = NULL;
        va_end(ap);
        return error;
}

static int fail_errno(BroodClient *c, int error)
{
        return fail(c, error, "%s", strerror(-error));
}

static void forget_error(BroodClient *c)
{
        free(c->error);
        c->error = NULL;
}

const char *brood_client_error(const BroodClient *client)
{
        return client->error ? client->error : "";
}

/* "io.brood.NoSuchHandler: handler=celsius" */
static int fail_reply(BroodClient *c, const char *error, json_t *parameters)
{
        int timed_out = strcmp(error, "io.brood.WaitTimeout") == 0;
        Buffer words = BUFFER_INIT;
        const char *name;
        json_t *value;
        int r;

        json_object_foreach(parameters, name, value) {
                AUTO(free) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
                const char *shown = json_string_value(value);

                buffer_printf(&words, "%s%s=%s", buffer_len(&words) ? " " : ": ", name,
                              shown  ? shown
                              : text ? text
                                     : "?");
        }
        r = fail(c, timed_out ? -ETIMEDOUT : -EREMOTEIO, "%s%.*s", error,
                 (int)buffer_len(&words), words.data ? buffer_bytes(&words) : "");
        buffer_fini(&words);
        return r;
}

/* Why a job did not succeed: what its last attempt said, else what became of it. */
static int fail_job(BroodClient *c, const json_t *job)
{
        const json_t *attempts = json_object_get(job, "attempts");
        size_t n = json_array_size(attempts);
        const json_t *last = n ? json_array_get(attempts, n - 1) : NULL;
        const char *error = json_string_value(json_object_get(last, "error"));
        const char *outcome = json_string_value(json_object_get(last, "outcome"));
        const char *reason = json_string_value(json_object_get(job, "reason"));
        const char *state = json_string_value(json_object_get(job, "state"));

        if (error && *error)
                return fail(c, -EREMOTEIO, "%s", error);
        return fail(c, -EREMOTEIO, "the job is %s%s%s", state ? state : "in no known state",
                    reason || outcome ? ": " : "",
                    reason    ? reason
                    : outcome ? outcome
                              : "");
}

/* --- opening --- */

static char *find_socket(void)
{
        const char *named = getenv("BROOD_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
        AUTO(free) char *path = NULL;

        if (named && *named)
                return strdup(named);
        if (runtime && *runtime && geteuid() != 0) {
                if (asprintf(&path, "%s/brood/brood.sock", runtime) < 0)
                        path = NULL;
                if (path && access(path, F_OK) == 0)
                        return MOVE_PTR(path);
        }
        return strdup(SYSTEM_SOCKET);
}

DEFINE_CLEANUP(BroodClient, brood_client_close);

int brood_client_open(BroodClient **ret, const char *socket)
{
        AUTO(brood_client_close) BroodClient *c = calloc(1, sizeof(*c));
        AUTO(free) char *path = socket ? strdup(socket) : find_socket();
        int r;

        if (!c || !path)
                return -ENOMEM;
        r = varlink_client_new(&c->varlink, path);
        if (r < 0)
                return r;
        *ret = MOVE_PTR(c);
        return 0;
}

void brood_client_close(BroodClient *client)
{
        if (!client)
                return;
        varlink_client_free(client->varlink);
        free(client->error);
        free(client);
}

/* --- calls --- */

/* Appends the text of an object, or with `inner` only what is between its braces. */
static int append_object(BroodClient *c, Buffer *b, const char *what, const char *text, bool inner)
{
        json_error_t error;
        AUTO(json_decref) json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        const char *first, *last;

        if (!value)
                return fail(c, -EINVAL, "%s: line %d, column %d: %s", what, error.line,
                            error.column, error.text);
        if (!json_is_object(value))
                return fail(c, -EINVAL, "%s: not a JSON object", what);
        first = strchr(text, '{');
        last = strrchr(text, '}');
        buffer_append(b, first + inner, (size_t)(last - first) + 1 - 2 * inner);
        return 0;
}

static int check_text(BroodClient *c, const char *what, const char *text)
{
        if (text && json_is_text(slice_of(text)))
                return 0;
        return fail(c, -EINVAL, "%s: not UTF-8", what);
}

/* Writes "job":{…}. */
static int append_job(BroodClient *c, Buffer *b, const char *handler, const char *args)
{
        int r = check_text(c, "handler", handler);

        if (r < 0)
                return r;
        emit_key(b, "job");
        emit_open(b, '{');
        emit_string_member(b, "handler", slice_of(handler));
        if (args) {
                emit_key(b, "args");
                r = append_object(c, b, "args", args, false);
        }
        emit_close(b, '}');
        return r;
}

/* Calls, with the parameters in a buffer, and waits. */
static int call(BroodClient *c, const char *method, const Buffer *parameters, json_t **ret)
{
        AUTO(json_decref) json_t *reply = NULL;
        AUTO(free) char *error = NULL;
        Buffer *out = varlink_client_out(c->varlink);
        int r;

        if (parameters->failed)
                return fail_errno(c, -ENOMEM);
        varlink_write_call(out, method, 0);
        buffer_append_slice(out, buffer_slice(parameters));
        varlink_write_end(out, 0);
        r = varlink_client_flush(c->varlink);
        if (r == 0)
                r = varlink_client_reply(c->varlink, USEC_INFINITY, &reply, &error, NULL);
        if (r < 0)
                return fail_errno(c, r);
        if (error)
                return fail_reply(c, error, reply);
        *ret = MOVE_PTR(reply);
        return 0;
}

static int give_text(BroodClient *c, const json_t *value, char **ret)
{
        char *text = json_is_object(value) ? json_dumps(value, JSON_COMPACT) : strdup("{}");

        if (!text)
                return fail_errno(c, -ENOMEM);
        *ret = text;
        return 0;
}

/* The result in a reply with the end of a job. */
static int give_result(BroodClient *c, const json_t *reply, char **ret)
{
        const json_t *job = json_object_get(reply, "job");
        const char *state = json_string_value(json_object_get(job, "state"));

        if (!state || strcmp(state, "succeeded") != 0)
                return fail_job(c, job);
        return give_text(c, json_object_get(job, "result"), ret);
}

int brood_client_submit(BroodClient *client, const char *handler, const char *args, char **ret_id)
{
        AUTO(json_decref) json_t *reply = NULL;
        Buffer b = BUFFER_INIT;
        const char *id;
        int r;

        forget_error(client);
        r = append_job(client, &b, handler, args);
        if (r == 0)
                r = call(client, "io.brood.Submit", &b, &reply);
        buffer_fini(&b);
        if (r < 0)
                return r;
        id = json_string_value(json_object_get(reply, "id"));
        if (!id)
                return fail_errno(client, -EBADMSG);
        *ret_id = strdup(id);
        return *ret_id ? 0 : fail_errno(client, -ENOMEM);
}

int brood_client_wait(BroodClient *client, const char *id, int64_t timeout_usec, char **ret_result)
{
        AUTO(json_decref) json_t *reply = NULL;
        Buffer b = BUFFER_INIT;
        int r;

        forget_error(client);
        r = check_text(client, "id", id);
        if (r < 0)
                return r;
        emit_string_member(&b, "id", slice_of(id));
        if (timeout_usec >= 0)
                emit_int_member(&b, "timeout_usec", timeout_usec);
        r = call(client, "io.brood.Wait", &b, &reply);
        buffer_fini(&b);
        return r < 0 ? r : give_result(client, reply, ret_result);
}

int brood_client_run(BroodClient *client, const char *handler, const char *args, char **ret_result)
{
        AUTO(json_decref) json_t *reply = NULL;
        Buffer b = BUFFER_INIT;
        int r;

        forget_error(client);
        r = append_job(client, &b, handler, args);
        emit_bool_member(&b, "wait", true);
        if (r == 0)
                r = call(client, "io.brood.Submit", &b, &reply);
        buffer_fini(&b);
        return r < 0 ? r : give_result(client, reply, ret_result);
}

int brood_client_call(BroodClient *client, const char *method, const char *parameters,
                      char **ret_reply)
{
        AUTO(json_decref) json_t *reply = NULL;
        AUTO(free) char *name = NULL;
        Buffer b = BUFFER_INIT;
        int r;

        forget_error(client);
        if (!*method || method[strspn(method, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789.-")])
                return fail(client, -EINVAL, "method: not a name");
        if (asprintf(&name, "%s%s", strchr(method, '.') ? "" : "io.brood.", method) < 0) {
                name = NULL;
                return fail_errno(client, -ENOMEM);
        }
        r = parameters ? append_object(client, &b, "parameters", parameters, true) : 0;
        if (r == 0)
                r = call(client, name, &b, &reply);
        buffer_fini(&b);
        return r < 0 ? r : give_text(client, reply, ret_reply);
}

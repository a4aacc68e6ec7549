/* SPDX-License-Identifier: MIT */

/* Calls that are asked and answered at once. */

#include <errno.h>
#include <string.h>

#include "client/inside.h"
#include "io.brood.h"
#include "varlink/json.h"

static int read_text(const BroodReply *reply, void *to)
{
        char *text = strndup(reply->parameters, reply->size);

        if (!text)
                return client_fail_errno(reply->client, -ENOMEM);
        *(char **)to = text;
        return 0;
}

int brood_client_status(BroodClient *client, char **ret)
{
        Buffer none = BUFFER_INIT;
        ClientAsk ask = { .method = "io.brood.Status", .parameters = &none, .read = read_text,
                          .to = ret };

        return client_ask(client, &ask);
}

/* The whole name of a method. Returns 0, or -EINVAL with words. */
static int name_method(BroodClient *c, const char *method, char *to, size_t size)
{
        static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789.-";
        int n;

        if (!method || !*method || method[strspn(method, good)])
                return client_fail(c, -EINVAL, "method: not a name");
        n = snprintf(to, size, "%s%s", strchr(method, '.') ? "" : "io.brood.", method);
        return (size_t)n < size ? 0 : client_fail(c, -EINVAL, "method: too long a name");
}

static int write_call(BroodClient *c, Buffer *b, const char *method, const char *parameters,
                      char name[256])
{
        int r = name_method(c, method, name, 256);

        if (r == 0 && parameters)
                r = client_write_object(c, b, "parameters", parameters, true);
        return r;
}

int brood_client_call(BroodClient *client, const char *method, const char *parameters,
                      char **ret_reply)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        char name[256];
        ClientAsk ask = { .method = name, .parameters = &b, .read = read_text, .to = ret_reply,
                          .once = true };
        int r = client_usable(client, true);

        if (r == 0)
                r = write_call(client, &b, method, parameters, name);
        return r < 0 ? r : client_ask(client, &ask);
}

int brood_client_start(BroodClient *client, const char *method, const char *parameters, int more,
                       BroodReplied replied, void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        char name[256];
        int r = client_usable(client, false);

        if (r == 0)
                r = write_call(client, &b, method, parameters, name);
        return r < 0 ? r : client_start(client, name, more, &b, replied, context);
}

/* --- calls about one job --- */

static int ask_id(BroodClient *c, const char *method, const char *id, bool force, bool once,
                  ClientRead read, void *to)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        ClientAsk ask = { .method = method, .parameters = &b, .read = read, .to = to,
                          .once = once };
        int r = client_usable(c, true);

        if (r == 0)
                r = client_write_id(c, &b, id);
        if (force)
                emit_bool_member(&b, "force", true);
        return r < 0 ? r : client_ask(c, &ask);
}

static int read_record(const BroodReply *reply, void *to)
{
        return brood_reply_record(reply, to);
}

int brood_client_get(BroodClient *client, const char *id, BroodRecord **ret)
{
        return ask_id(client, "io.brood.Get", id, false, false, read_record, ret);
}

static int read_state(const BroodReply *reply, void *to)
{
        BroodState ignored;

        return brood_reply_state(reply, to ? to : &ignored);
}

int brood_client_cancel(BroodClient *client, const char *id, int force, BroodState *ret)
{
        return ask_id(client, "io.brood.Cancel", id, force, false, read_state, ret);
}

int brood_client_start_cancel(BroodClient *client, const char *id, int force, BroodReplied replied,
                              void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        int r = client_usable(client, false);

        if (r == 0)
                r = client_write_id(client, &b, id);
        if (force)
                emit_bool_member(&b, "force", true);
        return r < 0 ? r : client_start(client, "io.brood.Cancel", false, &b, replied, context);
}

int brood_client_retry(BroodClient *client, const char *id, BroodState *ret)
{
        return ask_id(client, "io.brood.Retry", id, false, true, read_state, ret);
}

typedef struct Why {
        char *reason;
        int64_t ahead;
} Why;

static int read_why(const BroodReply *reply, void *to)
{
        const VarlinkScan *scan = &reply->client->scan;
        const VarlinkNode *root, *reason, *ahead;
        Why *why = to;
        int r = client_scan(reply, SHAPE_WHY, &root);

        if (r < 0)
                return client_fail_errno(reply->client, r);
        reason = client_field(scan, root, IO_BROOD_WHY_OUT_REASON);
        ahead = client_field(scan, root, IO_BROOD_WHY_OUT_AHEAD);
        if (!reason)
                return client_fail_errno(reply->client, -EBADMSG);
        why->reason = varlink_string(scan, reason);
        why->ahead = ahead ? varlink_int(scan, ahead) : -1;
        return why->reason ? 0 : client_fail_errno(reply->client, -ENOMEM);
}

int brood_client_why(BroodClient *client, const char *id, char **ret_reason, int64_t *ret_ahead)
{
        Why why;
        int r = ask_id(client, "io.brood.Why", id, false, false, read_why, &why);

        if (r < 0)
                return r;
        *ret_reason = why.reason;
        if (ret_ahead)
                *ret_ahead = why.ahead;
        return 0;
}

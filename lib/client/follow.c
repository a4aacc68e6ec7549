/* SPDX-License-Identifier: MIT */

/* Calls that go on: what a job writes, what changes. */

#include "client/inside.h"
#include "varlink/json.h"

typedef struct Follower {
        BroodOutput output;
        BroodChanged changed;
        void *context;
        int stopped; /* what they returned */
} Follower;

static int on_output(int stream, const void *bytes, size_t size, void *context)
{
        Follower *f = context;

        f->stopped = f->output(stream, bytes, size, f->context);
        return f->stopped ? 1 : 0;
}

static int read_output(const BroodReply *reply, void *to)
{
        return brood_reply_output(reply, on_output, to);
}

int brood_client_follow(BroodClient *client, const char *id, BroodOutput output, void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Follower f = { .output = output, .context = context };
        ClientAsk ask = { .method = "io.brood.Follow", .parameters = &b, .read = read_output,
                          .to = &f, .more = true, .once = true };
        int r = client_usable(client, true);

        if (r == 0)
                r = client_write_id(client, &b, id);
        if (r == 0)
                r = client_ask_aside(client, &ask);
        return f.stopped ? f.stopped : r;
}

int brood_client_start_follow(BroodClient *client, const char *id, BroodReplied replied,
                              void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        int r = client_usable(client, false);

        if (r == 0)
                r = client_write_id(client, &b, id);
        return r < 0 ? r : client_start(client, "io.brood.Follow", true, &b, replied, context);
}

static int on_change(const BroodChange *change, void *context)
{
        Follower *f = context;

        f->stopped = f->changed(change, f->context);
        return f->stopped ? 1 : 0;
}

static int read_change(const BroodReply *reply, void *to)
{
        return brood_reply_changed(reply, on_change, to);
}

int brood_client_watch(BroodClient *client, const char *pool, unsigned kinds, BroodChanged changed,
                       void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Follower f = { .changed = changed, .context = context };
        ClientAsk ask = { .method = "io.brood.Watch", .parameters = &b, .read = read_change,
                          .to = &f, .more = true, .once = true };
        int r = client_usable(client, true);

        if (r == 0)
                r = client_write_watch(client, &b, pool, kinds);
        if (r == 0)
                r = client_ask_aside(client, &ask);
        return f.stopped ? f.stopped : r;
}

int brood_client_start_watch(BroodClient *client, const char *pool, unsigned kinds,
                             BroodReplied replied, void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        int r = client_usable(client, false);

        if (r == 0)
                r = client_write_watch(client, &b, pool, kinds);
        return r < 0 ? r : client_start(client, "io.brood.Watch", true, &b, replied, context);
}

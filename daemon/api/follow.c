/* SPDX-License-Identifier: MIT */

/* A Follower links one call to one job. What the worker sends is JSON text already and goes on as
 * it is, at once: so it is ahead of the job's end, which waits for the store.
 *
 * A follower that is slower than the job neither holds it up nor takes memory without end: above
 * MAX_BEHIND bytes of replies that it has not taken, pieces are left out for it, until it has taken
 * half of them; then it is told how many bytes it has missed. That is more than CLIENT_SOFT_LIMIT,
 * because a command can write faster than any follower reads: with 1 MiB, `broodctl follow` lost
 * most of a mere 5 MB that came at once. */

#include "api/follow.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/calls.h"
#include "api/client.h"
#include "base/cleanup.h"
#include "io.brood.h"
#include "varlink/json.h"
#include "varlink/token.h"

enum { MAX_BEHIND = 8 * 1024 * 1024 };

typedef struct Follower {
        List in_job; /* JobCalls.followers */
        Job *job;
        VarlinkCall *call;
        uint64_t left_out; /* bytes, since it last got some */
} Follower;

bool follow_any(const Job *job)
{
        return job->calls && !list_empty(&((JobCalls *)job->calls)->followers);
}

/* Followers of the job have come or gone: its worker sends output, or does so no more. */
static void tell_slot(const Job *job)
{
        if (job->slot)
                slot_look_followed(job->slot);
}

static bool follower_new(const Request *r, Job *job)
{
        JobCalls *calls = calls_of(r->api->core, job);
        Follower *f = calls ? malloc(sizeof(*f)) : NULL;

        if (!f) {
                calls_release(job);
                return false;
        }
        *f = (Follower){ .job = job, .call = r->call };
        list_append(&calls->followers, &f->in_job);
        r->api->pools->n_followers++;
        r->call->owner = f;
        r->call->owner_kind = CALL_FOLLOW;
        tell_slot(job);
        return true;
}

static void follower_free(Follower *f)
{
        Job *job = f->job;

        client_of(f->call)->api->pools->n_followers--;
        list_remove(&f->in_job);
        f->call->owner = NULL;
        free(f);
        tell_slot(job);
        calls_release(job);
}

void follow_gone(VarlinkCall *call)
{
        follower_free(call->owner);
}

bool follow_shows_others(const VarlinkCall *call, uint32_t uid)
{
        return ((const Follower *)call->owner)->job->uid != uid;
}

/* `text` stands in JSON as it is. */
static void reply(VarlinkCall *call, bool err, const char *name, Slice text, bool continues)
{
        Buffer *b = varlink_reply_begin(call);

        emit_string_member(b, "stream", err ? SLICE("stderr") : SLICE("stdout"));
        emit_key(b, name);
        emit_escaped(b, text);
        varlink_reply_end(call, continues);
}

static void reply_last(VarlinkCall *call)
{
        reply(call, false, "data", SLICE(""), false);
}

void follow_job(const Request *r)
{
        Job *job;

        if (!r->call->more) {
                api_error_empty(r->call, "org.varlink.service.ExpectedMore");
                return;
        }
        job = request_job(r, IO_BROOD_FOLLOW_IN_ID);
        if (!job)
                return;
        if (job_state_ended(job->state))
                reply_last(r->call);
        else if (!follower_new(r, job))
                api_error_string(r->call, "io.brood.StoreFailed", "message",
                                 SLICE("no memory to follow in"));
}

/* --- output --- */

/* How many bytes the piece stands for. */
static size_t size_of(const JobOutput *output)
{
        AUTO(free) char *bytes = malloc(output->text.len);
        size_t n = bytes ? varlink_unescape(output->text, bytes) : output->text.len;

        if (!bytes || !output->base64)
                return n;
        return n / 4 * 3 - (n && bytes[n - 1] == '=') - (n > 1 && bytes[n - 2] == '=');
}

static void tell_left_out(Follower *f)
{
        char note[64];

        if (!f->left_out)
                return;
        (void)snprintf(note, sizeof(note), "[brood: %llu bytes left out]\\n",
                       (unsigned long long)f->left_out);
        f->left_out = 0;
        reply(f->call, true, "data", slice_of(note), true);
}

static bool has_room(const Follower *f)
{
        return client_backlog(client_of(f->call)) <= (f->left_out ? MAX_BEHIND / 2 : MAX_BEHIND);
}

void follow_output(const Job *job, const JobOutput *output)
{
        const JobCalls *calls = job->calls;
        size_t size = 0;
        Follower *f;

        LIST_FOREACH(&calls->followers, f, in_job) {
                if (has_room(f)) {
                        tell_left_out(f);
                        reply(f->call, output->err, output->base64 ? "data_base64" : "data",
                              output->text, true);
                } else {
                        size = size ? size : size_of(output);
                        f->left_out += size;
                }
        }
}

void follow_ended(Job *job)
{
        JobCalls *calls = job->calls;
        Follower *f;

        calls->held++;
        while ((f = LIST_FIRST(&calls->followers, Follower, in_job))) {
                VarlinkCall *call = f->call;

                tell_left_out(f);
                follower_free(f);
                reply_last(call);
        }
        calls->held--;
        calls_release(job);
}

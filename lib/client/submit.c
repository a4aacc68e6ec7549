/* SPDX-License-Identifier: MIT */

/* Handing in jobs, one by one and many.
 *
 * Every job gets its id here. That is what makes a submit safe to repeat, so ids are given to the
 * caller before anything is sent. */

#include <errno.h>
#include <string.h>

#include "client/inside.h"
#include "io.brood.h"
#include "varlink/json.h"

/* Of a message to SubmitMany: small beside MaxMessageSize=, large beside the cost of a message. */
enum { MANY_BYTES = 512 * 1024, MANY_JOBS = 4096 };

static int write_submit(BroodClient *c, Buffer *b, const BroodSpec *spec, bool wait, BroodId *id)
{
        int r = client_choose_id(c, spec, id);

        emit_key(b, "job");
        if (r == 0)
                r = client_write_spec(c, b, spec, id);
        if (wait)
                emit_bool_member(b, "wait", true);
        return r;
}

/* They go with a message that is sent at once. */
static int refuse_descriptors(BroodClient *c, const BroodSpec *spec)
{
        if (!spec->descriptors)
                return 0;
        return client_fail(c, -EINVAL, "descriptors: not with this function");
}

int brood_client_start_submit(BroodClient *client, const BroodSpec *spec, BroodId *ret_id, int wait,
                              BroodReplied replied, void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        BroodId id = { "" };
        int r = client_usable(client, false);

        if (r == 0)
                r = refuse_descriptors(client, spec);
        if (r == 0)
                r = write_submit(client, &b, spec, wait, &id);
        if (ret_id)
                *ret_id = id;
        return r < 0 ? r : client_start(client, "io.brood.Submit", false, &b, replied, context);
}

static int read_submitted(const BroodReply *reply, void *to)
{
        return brood_reply_submitted(reply, to);
}

static int read_record(const BroodReply *reply, void *to)
{
        return brood_reply_record(reply, to);
}

static int ask_submit(BroodClient *c, const BroodSpec *spec, bool wait, BroodId *id,
                      ClientRead read, void *to)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        ClientAsk ask = { .method = "io.brood.Submit", .parameters = &b, .read = read, .to = to,
                          .fds = spec->descriptors, .once = spec->attached, .timed = wait,
                          .until = USEC_INFINITY };
        int r = client_usable(c, true);

        *id = (BroodId){ "" };
        if (r == 0)
                r = write_submit(c, &b, spec, wait, id);
        return r < 0 ? r : client_ask(c, &ask);
}

int brood_client_submit_spec(BroodClient *client, const BroodSpec *spec, BroodSubmitted *ret)
{
        BroodSubmitted answer;
        int r;

        r = ask_submit(client, spec, false, &ret->id, read_submitted, &answer);
        if (r == 0)
                *ret = answer;
        return r;
}

int brood_client_submit(BroodClient *client, const char *handler, const char *args, char **ret_id)
{
        BroodSpec spec = { .handler = handler, .args = args };
        BroodSubmitted answer;
        int r = brood_client_submit_spec(client, &spec, &answer);

        if (r < 0)
                return r;
        *ret_id = strdup(answer.id.text);
        return *ret_id ? 0 : client_fail_errno(client, -ENOMEM);
}

int brood_client_run_spec(BroodClient *client, const BroodSpec *spec, BroodRecord **ret)
{
        BroodId id;

        return ask_submit(client, spec, true, &id, read_record, ret);
}

int brood_client_run(BroodClient *client, const char *handler, const char *args, char **ret_result)
{
        BroodSpec spec = { .handler = handler, .args = args };
        BroodRecord *record;
        int r = brood_client_run_spec(client, &spec, &record);

        return r < 0 ? r : client_take_result(client, record, ret_result);
}

/* --- many --- */

/* Says which of the jobs the error is about. */
static int name_job(BroodClient *c, size_t i, int error)
{
        AUTO(free) char *words = strdup(brood_client_error(c));

        return client_fail(c, error, "jobs[%zu].%s", i, words ? words : "?");
}

/* All get their ids before anything is sent. */
static int choose_ids(BroodClient *c, const BroodSpec *specs, size_t n, BroodId *ids)
{
        int r = 0, first = 0;

        for (size_t i = 0; i < n; i++) {
                r = client_choose_id(c, &specs[i], &ids[i]);
                if (r == 0)
                        r = refuse_descriptors(c, &specs[i]);
                if (r < 0 && first == 0)
                        first = name_job(c, i, r);
        }
        return first;
}

/* Writes jobs until the message is full. Returns how many, or -errno. */
static int64_t write_many(BroodClient *c, Buffer *b, const BroodSpec *specs, size_t n, size_t bytes,
                          BroodId *ids)
{
        size_t i = 0;

        emit_key(b, "jobs");
        emit_open(b, '[');
        while (i < n && (i == 0 || buffer_len(b) < bytes)) {
                int r = client_write_spec(c, b, &specs[i], &ids[i]);

                if (r < 0)
                        return name_job(c, i, r);
                i++;
        }
        emit_close(b, ']');
        return (int64_t)i;
}

typedef struct Accepted {
        BroodId *ids;
        size_t n;
} Accepted;

/* The id of a job that was there already by its unique_key is another. */
static int read_accepted(const BroodReply *reply, void *to)
{
        const VarlinkScan *scan = &reply->client->scan;
        const VarlinkNode *root, *ids;
        Accepted *a = to;
        size_t i = 0;
        int r = client_scan(reply, SHAPE_SUBMIT_MANY, &root);

        if (r < 0)
                return client_fail_errno(reply->client, r);
        ids = client_field(scan, root, IO_BROOD_SUBMIT_MANY_OUT_IDS);
        for (uint32_t at = ids ? ids->child : 0; at && i < a->n; i++) {
                const VarlinkNode *id = varlink_node(scan, at);

                if (!client_text(scan, id->present ? id : NULL, a->ids[i].text, sizeof(*a->ids)))
                        return client_fail_errno(reply->client, -EBADMSG);
                at = id->next;
        }
        return i == a->n ? 0 : client_fail_errno(reply->client, -EBADMSG);
}

static bool too_large(BroodClient *c, int r)
{
        return r == -EREMOTEIO && strcmp(brood_client_error_name(c), "io.brood.TooLarge") == 0;
}

/* One message of jobs. Returns how many were accepted, or -errno. Where the daemon allows smaller
 * ones only, they get smaller; as it may have closed the connection behind its refusal, a loss
 * right after one says nothing new. */
static int64_t submit_chunk(BroodClient *c, const BroodSpec *specs, size_t n, size_t *bytes,
                            BroodId *ids)
{
        bool refused = false;

        for (;;) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                int64_t written = write_many(c, &b, specs, MIN(n, MANY_JOBS), *bytes, ids);
                Accepted accepted = { ids, (size_t)written };
                ClientAsk ask = { .method = "io.brood.SubmitMany", .parameters = &b,
                                  .read = read_accepted, .to = &accepted };
                int r;

                if (written < 0)
                        return written;
                for (size_t i = 0; i < (size_t)written; i++)
                        ask.once |= specs[i].attached;
                r = client_ask(c, &ask);
                if (r == 0)
                        return written;
                if (refused && !ask.once && c->path && (r == -ECONNRESET || r == -EPIPE)) {
                        refused = false;
                        continue;
                }
                refused = too_large(c, r) && written > 1;
                if (!refused)
                        return r;
                *bytes = MIN(*bytes, buffer_len(&b)) / 2;
        }
}

int brood_client_submit_many(BroodClient *client, const BroodSpec *specs, size_t n, BroodId *ids,
                             size_t *ret_accepted)
{
        size_t done = 0, bytes = MANY_BYTES;
        int r = client_usable(client, true);

        if (r == 0)
                r = choose_ids(client, specs, n, ids);
        while (r == 0 && done < n) {
                int64_t k = submit_chunk(client, specs + done, n - done, &bytes, ids + done);

                if (k < 0)
                        r = (int)k;
                else
                        done += (size_t)k;
        }
        if (ret_accepted)
                *ret_accepted = done;
        return r;
}

int brood_client_start_submit_many(BroodClient *client, const BroodSpec *specs, size_t n,
                                   BroodId *ids, BroodReplied replied, void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        int64_t written;
        int r = client_usable(client, false);

        if (r == 0)
                r = choose_ids(client, specs, n, ids);
        if (r < 0)
                return r;
        written = write_many(client, &b, specs, n, SIZE_MAX, ids);
        if (written < 0)
                return (int)written;
        return client_start(client, "io.brood.SubmitMany", false, &b, replied, context);
}

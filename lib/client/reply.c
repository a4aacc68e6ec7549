/* SPDX-License-Identifier: MIT */

/* What is in a reply. The functions that wait read with these as programs with a loop do. */

#include <errno.h>

#include "base/base64.h"
#include "base/clock.h"
#include "client/inside.h"
#include "io.brood.h"

int brood_reply_check(const BroodReply *reply)
{
        if (reply->error)
                return client_fail_reply(reply->client, reply);
        if (reply->result)
                return client_fail_errno(reply->client, reply->result);
        return 0;
}

static int scan_reply(const BroodReply *reply, ClientShape shape, const VarlinkNode **ret)
{
        int r = brood_reply_check(reply);

        if (r == 0) {
                r = client_scan(reply, shape, ret);
                if (r < 0)
                        (void)client_fail_errno(reply->client, r);
        }
        return r;
}

int brood_reply_submitted(const BroodReply *reply, BroodSubmitted *ret)
{
        const VarlinkScan *scan = &reply->client->scan;
        const VarlinkNode *root, *duplicate;
        BroodSubmitted s;
        int r = scan_reply(reply, SHAPE_SUBMIT, &root);

        if (r < 0)
                return r;
        if (!client_text(scan, client_field(scan, root, IO_BROOD_SUBMIT_OUT_ID), s.id.text,
                         sizeof(s.id.text)))
                return client_fail_errno(reply->client, -EBADMSG);
        duplicate = client_field(scan, root, IO_BROOD_SUBMIT_OUT_DUPLICATE);
        s.duplicate = duplicate && varlink_bool(scan, duplicate);
        s.state = client_state(scan, client_field(scan, root, IO_BROOD_SUBMIT_OUT_STATE));
        *ret = s;
        return 0;
}

/* The reply to Submit has room for all that the others have: `job`. */
int brood_reply_record(const BroodReply *reply, BroodRecord **ret)
{
        const VarlinkScan *scan = &reply->client->scan;
        const VarlinkNode *root, *job;
        int r = scan_reply(reply, SHAPE_SUBMIT, &root);

        if (r < 0)
                return r;
        job = client_field(scan, root, IO_BROOD_SUBMIT_OUT_JOB);
        r = job ? client_record(scan, job, ret) : -EBADMSG;
        return r < 0 ? client_fail_errno(reply->client, r) : 0;
}

int brood_reply_state(const BroodReply *reply, BroodState *ret)
{
        const VarlinkScan *scan = &reply->client->scan;
        const VarlinkNode *root, *state;
        int r = scan_reply(reply, SHAPE_STATE, &root);

        if (r < 0)
                return r;
        state = client_field(scan, root, 0);
        if (!state)
                return client_fail_errno(reply->client, -EBADMSG);
        *ret = client_state(scan, state);
        return 0;
}

static int read_piece(const VarlinkScan *scan, const VarlinkNode *root, Buffer *b)
{
        const VarlinkNode *data = client_field(scan, root, IO_BROOD_FOLLOW_OUT_DATA);
        const VarlinkNode *coded = client_field(scan, root, IO_BROOD_FOLLOW_OUT_DATA_BASE64);
        const VarlinkNode *node = data ? data : coded;
        AUTO(free) char *text = node ? varlink_string(scan, node) : NULL;

        if (!node)
                return -EBADMSG;
        if (!text)
                return -ENOMEM;
        if (data)
                buffer_append_string(b, text);
        else if (base64_decode(b, slice_of(text)) < 0)
                return -EBADMSG;
        return b->failed ? -ENOMEM : 0;
}

int brood_reply_output(const BroodReply *reply, BroodOutput output, void *context)
{
        const VarlinkScan *scan = &reply->client->scan;
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        const VarlinkNode *root, *stream;
        bool is_stderr;
        int r = scan_reply(reply, SHAPE_FOLLOW, &root);

        if (r < 0)
                return r;
        stream = client_field(scan, root, IO_BROOD_FOLLOW_OUT_STREAM);
        r = stream ? read_piece(scan, root, &b) : -EBADMSG;
        if (r < 0)
                return client_fail_errno(reply->client, r);
        if (!buffer_len(&b))
                return 0;
        is_stderr = slice_is(varlink_slice(scan, stream), "stderr");
        return output(is_stderr ? 2 : 1, buffer_bytes(&b), buffer_len(&b), context);
}

int brood_reply_changed(const BroodReply *reply, BroodChanged changed, void *context)
{
        const VarlinkScan *scan = &reply->client->scan;
        AUTO(free) char *kind = NULL, *id = NULL, *state = NULL, *reason = NULL;
        const VarlinkNode *root, *nodes[5];
        BroodChange change;
        int r = scan_reply(reply, SHAPE_WATCH, &root);

        if (r < 0)
                return r;
        for (unsigned i = 0; i < ELEMENTS(nodes); i++) {
                nodes[i] = client_field(scan, root, i);
                if (!nodes[i] && i != IO_BROOD_WATCH_OUT_REASON)
                        return client_fail_errno(reply->client, -EBADMSG);
        }
        kind = varlink_string(scan, nodes[IO_BROOD_WATCH_OUT_KIND]);
        id = varlink_string(scan, nodes[IO_BROOD_WATCH_OUT_ID]);
        state = varlink_string(scan, nodes[IO_BROOD_WATCH_OUT_STATE]);
        if (nodes[IO_BROOD_WATCH_OUT_REASON])
                reason = varlink_string(scan, nodes[IO_BROOD_WATCH_OUT_REASON]);
        if (!kind || !id || !state)
                return client_fail_errno(reply->client, -ENOMEM);
        change = (BroodChange){ varlink_int(scan, nodes[IO_BROOD_WATCH_OUT_TIME_USEC]), kind, id,
                                state, reason };
        return changed(&change, context);
}

/* SPDX-License-Identifier: MIT */

/* A job as the daemon tells of it, in one piece of memory: the struct, the text as it came, and
 * behind it the strings without their quotes and escapes, which are never longer than the text. */

#include <errno.h>
#include <string.h>

#include "client/inside.h"
#include "io.brood.h"

typedef struct Filling {
        const VarlinkScan *scan;
        char *to;
} Filling;

static const char *put(Filling *f, const VarlinkNode *node)
{
        Slice text;
        char *at = f->to;

        if (!node)
                return NULL;
        text = varlink_slice(f->scan, node);
        if (node->escaped)
                text.len = varlink_unescape(text, at);
        else
                memcpy(at, text.data, text.len);
        at[text.len] = '\0';
        f->to += text.len + 1;
        return at;
}

static int64_t number(const Filling *f, const VarlinkNode *node)
{
        return node ? varlink_int(f->scan, node) : 0;
}

static void fill_attempts(Filling *f, const VarlinkNode *attempts, BroodRecord *record)
{
        const VarlinkNode *last = NULL;

        for (uint32_t at = attempts ? attempts->child : 0; at; at = last->next) {
                last = varlink_node(f->scan, at);
                record->n_attempts++;
        }
        record->error = put(f, client_field(f->scan, last, IO_BROOD_ATTEMPT_ERROR));
        record->outcome = put(f, client_field(f->scan, last, IO_BROOD_ATTEMPT_OUTCOME));
}

static void fill(Filling *f, const VarlinkNode *job, BroodRecord *record)
{
        const VarlinkScan *s = f->scan;
        const VarlinkNode *spec = client_field(s, job, IO_BROOD_JOB_SPEC);
        const VarlinkNode *progress = client_field(s, job, IO_BROOD_JOB_PROGRESS);

        record->json = put(f, job);
        record->id = put(f, client_field(s, job, IO_BROOD_JOB_ID));
        record->handler = put(f, client_field(s, spec, IO_BROOD_SPEC_HANDLER));
        record->args = put(f, client_field(s, spec, IO_BROOD_SPEC_ARGS));
        record->pool = put(f, client_field(s, job, IO_BROOD_JOB_POOL));
        record->state = client_state(s, client_field(s, job, IO_BROOD_JOB_STATE));
        record->reason = put(f, client_field(s, job, IO_BROOD_JOB_REASON));
        record->result = put(f, client_field(s, job, IO_BROOD_JOB_RESULT));
        record->submitted_usec = number(f, client_field(s, job, IO_BROOD_JOB_SUBMITTED_USEC));
        record->started_usec = number(f, client_field(s, job, IO_BROOD_JOB_STARTED_USEC));
        record->ended_usec = number(f, client_field(s, job, IO_BROOD_JOB_ENDED_USEC));
        record->progress = progress ? varlink_float(s, progress) : -1;
        record->uid = (uint32_t)number(f, client_field(s, job, IO_BROOD_JOB_UID));
        record->gid = (uint32_t)number(f, client_field(s, job, IO_BROOD_JOB_GID));
        fill_attempts(f, client_field(s, job, IO_BROOD_JOB_ATTEMPTS), record);
}

int client_record(const VarlinkScan *scan, const VarlinkNode *node, BroodRecord **ret)
{
        BroodRecord *record;
        Filling f = { .scan = scan };

        if (!client_field(scan, node, IO_BROOD_JOB_ID) ||
            !client_field(scan, node, IO_BROOD_JOB_STATE))
                return -EBADMSG;
        /* each string gives up two quotes for its terminator, objects their place in json's copy */
        record = calloc(1, sizeof(*record) + 2 * ((size_t)node->length + 1) + 16);
        if (!record)
                return -ENOMEM;
        f.to = (char *)(record + 1);
        fill(&f, node, record);
        *ret = record;
        return 0;
}

void brood_record_free(BroodRecord *record)
{
        free(record);
}

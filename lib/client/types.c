/* SPDX-License-Identifier: MIT */

/* What is received is read by the types of the interface file, in one pass and in place. Members
 * that a newer daemon has added are passed over; what has to be there is asked for by name. */

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "client/inside.h"
#include "io.brood.h"

static VarlinkInterface *interface;
static pthread_once_t parsing = PTHREAD_ONCE_INIT;

static void parse(void)
{
        char error[128];

        if (varlink_interface_new(&interface, SLICE(IO_BROOD_TEXT), error, sizeof(error)) < 0)
                interface = NULL; /* no memory: every reply says so */
}

__attribute__((destructor)) static void forget(void)
{
        varlink_interface_free(interface);
        interface = NULL;
}

static const unsigned methods[] = {
        [SHAPE_SUBMIT] = IO_BROOD_SUBMIT,
        [SHAPE_SUBMIT_MANY] = IO_BROOD_SUBMIT_MANY,
        [SHAPE_LIST] = IO_BROOD_LIST,
        [SHAPE_STATE] = IO_BROOD_CANCEL,
        [SHAPE_WHY] = IO_BROOD_WHY,
        [SHAPE_FOLLOW] = IO_BROOD_FOLLOW,
        [SHAPE_WATCH] = IO_BROOD_WATCH,
};

int client_scan(const BroodReply *reply, ClientShape shape, const VarlinkNode **ret)
{
        VarlinkScan *scan = &reply->client->scan;
        uint32_t index;
        int r;

        (void)pthread_once(&parsing, parse);
        if (!interface)
                return -ENOMEM;
        r = varlink_scan(scan, (Slice){ reply->parameters, reply->size },
                         interface->methods[methods[shape]].out, &index);
        if (r < 0)
                return r;
        if (r && r != VARLINK_E_PARAMETER)
                return -EBADMSG;
        *ret = varlink_node(scan, index);
        return 0;
}

const VarlinkNode *client_field(const VarlinkScan *scan, const VarlinkNode *node, unsigned field)
{
        const VarlinkNode *found;

        if (!node || !node->child)
                return NULL;
        found = varlink_field(scan, node, field);
        return found->present ? found : NULL;
}

static const char *const states[] = {
        [BROOD_UNKNOWN] = "unknown",     [BROOD_SCHEDULED] = "scheduled",
        [BROOD_BLOCKED] = "blocked",     [BROOD_QUEUED] = "queued",
        [BROOD_RUNNING] = "running",     [BROOD_SUCCEEDED] = "succeeded",
        [BROOD_FAILED] = "failed",       [BROOD_QUARANTINED] = "quarantined",
        [BROOD_CANCELLED] = "cancelled", [BROOD_EXPIRED] = "expired",
};

const char *brood_state_name(BroodState state)
{
        return (unsigned)state < ELEMENTS(states) ? states[state] : states[BROOD_UNKNOWN];
}

int brood_state_ended(BroodState state)
{
        return state >= BROOD_SUCCEEDED && state <= BROOD_EXPIRED;
}

BroodState client_state(const VarlinkScan *scan, const VarlinkNode *node)
{
        if (node)
                for (unsigned i = 1; i < ELEMENTS(states); i++)
                        if (slice_is(varlink_slice(scan, node), states[i]))
                                return (BroodState)i;
        return BROOD_UNKNOWN;
}

bool client_text(const VarlinkScan *scan, const VarlinkNode *node, char *to, size_t size)
{
        Slice s;

        if (!node || node->length >= size)
                return false;
        s = varlink_slice(scan, node);
        if (node->escaped)
                s.len = varlink_unescape(s, to);
        else
                memcpy(to, s.data, s.len);
        to[s.len] = '\0';
        return true;
}

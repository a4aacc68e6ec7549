/* SPDX-License-Identifier: MIT */

#include "api/pending.h"

#include <stdlib.h>

#include "api/api.h"

typedef struct Pending {
        List link;
        VarlinkCall *call;
} Pending;

bool pending_add(VarlinkCall *call, List *list)
{
        Pending *p;

        if (call->oneway) {
                varlink_reply_empty(call); /* nobody waits */
                return false;
        }
        p = malloc(sizeof(*p));
        if (!p) {
                api_error_string(call, "io.brood.StoreFailed", "message",
                                 SLICE("no memory to wait in"));
                return false;
        }
        p->call = call;
        call->owner = p;
        call->owner_kind = CALL_PENDING;
        list_append(list, &p->link);
        return true;
}

VarlinkCall *pending_take(List *list)
{
        Pending *p = LIST_FIRST(list, Pending, link);
        VarlinkCall *call = p ? p->call : NULL;

        if (!p)
                return NULL;
        list_remove(&p->link);
        free(p);
        call->owner = NULL;
        return call;
}

void pending_gone(VarlinkCall *call)
{
        Pending *p = call->owner;

        list_remove(&p->link);
        free(p);
        call->owner = NULL;
}

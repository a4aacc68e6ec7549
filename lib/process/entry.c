/* SPDX-License-Identifier: MIT */

/* Targets by name. They are entered by constructors, before main() and in one thread; a program
 * that enters more while it runs sees to that itself. */

#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "process/child.h"

typedef struct Entry {
        struct Entry *next;
        const char *name;
        BroodTarget target;
} Entry;

static Entry *entries;

void brood_process_register(const char *name, BroodTarget target)
{
        Entry *e = malloc(sizeof(*e));

        if (!e)
                return; /* who asks for it hears that it is not there */
        *e = (Entry){ entries, name, target };
        entries = e;
}

BroodTarget entry_find(const char *name)
{
        for (const Entry *e = entries; name && e; e = e->next)
                if (strcmp(e->name, name) == 0)
                        return e->target;
        return NULL;
}

/* SPDX-License-Identifier: MIT */

/* Functions by name. */

#include <stdlib.h>
#include <string.h>

#include "pool/inside.h"

typedef struct Function {
        struct Function *next;
        const char *name;
        BroodFunction function;
} Function;

static Function *functions;

void brood_function_register(const char *name, BroodFunction function)
{
        Function *f = malloc(sizeof(*f));

        if (!f || strlen(name) >= WIRE_NAME) {
                free(f);
                return; /* who asks for it hears that it is not there */
        }
        *f = (Function){ functions, name, function };
        functions = f;
}

BroodFunction function_find(const char *name)
{
        for (const Function *f = functions; f; f = f->next)
                if (strcmp(f->name, name) == 0)
                        return f->function;
        return NULL;
}

bool function_write(WireFunction *to, BroodFunction function, BroodStartMethod method)
{
        *to = (WireFunction){ 0 };
        if (method == BROOD_FORK) {
                to->address = (uint64_t)(uintptr_t)function;
                return true;
        }
        for (const Function *f = functions; f; f = f->next)
                if (f->function == function) {
                        memcpy(to->name, f->name, strlen(f->name) + 1);
                        return true;
                }
        return false;
}

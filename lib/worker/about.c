/* SPDX-License-Identifier: MIT */

#pragma GCC visibility push(default)
#include "brood/handler.h"
#pragma GCC visibility pop

#include "worker/about.h"

#include <stdarg.h>
#include <stdio.h>

static const char *model = "process";
static unsigned n_slots = 1;
static char refusal[1024];

void module_told(const char *concurrency, unsigned slots)
{
        model = concurrency ? concurrency : "process";
        n_slots = slots;
}

const char *brood_worker_concurrency(void)
{
        return model;
}

unsigned brood_worker_slots(void)
{
        return n_slots;
}

const char *brood_refusal(void)
{
        return *refusal ? refusal : NULL;
}

int brood_refuse(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(refusal, sizeof(refusal), format, args);
        va_end(args);
        return 1;
}

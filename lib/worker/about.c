/* SPDX-License-Identifier: MIT */

#pragma GCC visibility push(default)
#include "brood/handler.h"
#pragma GCC visibility pop

#include "worker/about.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/utf8.h"

static const char *model = "process";
static unsigned n_slots = 1;
static char refusal[900]; /* with what is said round it, within a message */

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
        char words[sizeof(refusal) + 4];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(words, sizeof(words), format, args);
        va_end(args);
        words[utf8_cut(words, MIN(strlen(words), sizeof(refusal) - 1))] = '\0';
        memcpy(refusal, words, strlen(words) + 1);
        return 1;
}

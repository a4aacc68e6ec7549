/* SPDX-License-Identifier: MIT */

/* A module as it was compiled with the first version of brood/handler.h: module ABI 1, whose
 * handlers have no start function. Such modules are still taken. */

#include <stdint.h>

typedef struct BroodJob BroodJob;

int brood_job_result(BroodJob *job, const char *text, unsigned long size);

typedef struct OldHandler {
        const char *name;
        int (*run)(BroodJob *job);
        const char *summary;
} OldHandler;

typedef struct OldModule {
        uint32_t abi, size, flags;
        const char *name;
        const OldHandler *handlers;
        int (*init)(const void *settings), (*worker_init)(const void *settings);
        void (*fini)(void);
} OldModule;

static int first(BroodJob *job)
{
        return brood_job_result(job, "{\"n\":1}", 7);
}

static int second(BroodJob *job)
{
        return brood_job_result(job, "{\"n\":2}", 7);
}

static const OldHandler handlers[] = {
        { "elder", first, "the first" },
        { "elder2", second, "the second" },
        { 0 },
};

__attribute__((visibility("default"))) extern const OldModule brood_module;
const OldModule brood_module = { .abi = 1, .size = sizeof(OldModule), .flags = 1, .name = "elder",
                                 .handlers = handlers };

/* SPDX-License-Identifier: MIT */

/* A module whose handler writes, in each way that there is:
 *
 *     talk {"output": "…", "errors": "…", "print": "…", "mutter": "…", "die": true}
 *
 * `output` and `errors` by brood_job_output(), the others to stdout and stderr; → {"pid": P},
 * or the worker ends. */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "brood/handler.h"

static const char *text_of(BroodJob *job, const char *name, size_t *ret_size)
{
        const json_t *value = json_object_get(brood_job_args(job), name);

        *ret_size = json_is_string(value) ? json_string_length(value) : 0;
        return *ret_size ? json_string_value(value) : "";
}

static int talk(BroodJob *job)
{
        size_t n;
        const char *text = text_of(job, "output", &n);

        (void)brood_job_output(job, 1, text, n);
        text = text_of(job, "errors", &n);
        (void)brood_job_output(job, 2, text, n);
        text = text_of(job, "print", &n);
        (void)fwrite(text, 1, n, stdout);
        (void)fflush(stdout);
        text = text_of(job, "mutter", &n);
        (void)fwrite(text, 1, n, stderr);
        if (json_is_true(json_object_get(brood_job_args(job), "die")))
                (void)raise(SIGKILL);
        return brood_job_result_json(job, json_pack("{s:i}", "pid", (int)getpid()));
}

static const BroodHandler handlers[] = {
        { .name = "talk", .run = talk, .summary = "writes" },
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .name = "talker",
        .handlers = handlers,
};

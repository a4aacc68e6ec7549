/* SPDX-License-Identifier: MIT */

/* A handler that waits without a thread: a thousand naps in ten workers with Slots=100, which have
 * one thread each for them.
 *
 *     [Pool]
 *     Module=/path/to/nap.so
 *     Handlers=nap
 *     Concurrency=async
 *     Slots=100 */

#include <brood/async.h>

static void awake(BroodJob *job, void *context)
{
        (void)context;
        brood_job_result_json(job, json_pack("{s:b}", "slept", 1));
        brood_job_complete(job);
}

static void woken(BroodJob *job, void *context)
{
        (void)context;
        brood_job_fail(job, 1, NULL, "was woken");
        brood_job_complete(job);
}

static int nap(BroodJob *job)
{
        double seconds = json_number_value(json_object_get(brood_job_args(job), "seconds"));

        if (seconds < 0 || brood_async_after(job, (int64_t)(seconds * 1e6), awake, NULL) < 0)
                return brood_job_bad_args(job, "'seconds' has to be a number");
        return brood_async_on_cancel(job, woken, NULL);
}

static const BroodHandler handlers[] = { { .name = "nap", .start = nap }, { 0 } };

const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI, .size = sizeof(BroodModule),
        .name = "nap", .handlers = handlers,
};

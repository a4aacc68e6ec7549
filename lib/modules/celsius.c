/* SPDX-License-Identifier: MIT */

/* Degrees Fahrenheit to Celsius, the example of the notes that brood grew from (they divide by 9.5
 * where 9 is meant; what they print is right).
 *
 *     {"fahrenheit": 110} → {"celsius": 43.333…, "text": "110.000000 F is 43.333333 C (pid 4711)"}
 */

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "brood/handler.h"

static double celsius(double fahrenheit)
{
        return (fahrenheit - 32) * 5.0 / 9.0;
}

static int run(BroodJob *job)
{
        const json_t *value = json_object_get(brood_job_args(job), "fahrenheit");
        double f, c;
        char text[128];

        if (!json_is_number(value))
                return brood_job_bad_args(job, "'fahrenheit' has to be a number");
        f = json_number_value(value);
        c = celsius(f);
        if (!isfinite(c))
                return brood_job_bad_args(job, "'fahrenheit' is too large");
        (void)snprintf(text, sizeof(text), "%f F is %f C (pid %d)", f, c, (int)getpid());
        return brood_job_result_json(job, json_pack("{s:f, s:s}", "celsius", c, "text", text));
}

static const BroodHandler handlers[] = {
        { .name = "celsius", .run = run, .summary = "degrees Fahrenheit to Celsius" },
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .flags = BROOD_THREAD_SAFE | BROOD_FORK_SAFE,
        .name = "celsius",
        .handlers = handlers,
};

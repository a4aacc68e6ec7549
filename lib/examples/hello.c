/* SPDX-License-Identifier: MIT */

/* hello: a handler that greets who is named in its job: cc -shared -fPIC hello.c -o hello.so */

#include <brood/handler.h>

static int hello(BroodJob *job)
{
        const char *name = json_string_value(json_object_get(brood_job_args(job), "name"));

        if (!name)
                return brood_job_bad_args(job, "'name' has to be a string");
        return brood_job_result_json(job, json_pack("{s:s, s:s}", "hello", name,
                                                    "job", brood_job_id(job)));
}

static const BroodHandler handlers[] = {
        { .name = "hello", .run = hello, .summary = "greets {\"name\": …}" }, { 0 }
};

const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI, .size = sizeof(BroodModule), .flags = BROOD_FORK_SAFE,
        .name = "hello", .handlers = handlers,
};

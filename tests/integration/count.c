/* SPDX-License-Identifier: MIT */

/* A handler that leaves a mark of each execution, so that a test can count them:
 *
 *     {"directory": "/…", "seconds": 0.002} → {}
 *
 * appends one byte to the file of the job's id in the directory, then waits. `refuse` in [Settings]
 * makes the module or its workers fail to start: "init" or "worker". */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brood/handler.h"

static int mark(const char *directory, const char *id)
{
        char path[512];
        int fd, r;

        if (snprintf(path, sizeof(path), "%s/%s", directory, id) >= (int)sizeof(path))
                return -1;
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0)
                return -1;
        r = write(fd, "x", 1) == 1 ? 0 : -1;
        close(fd);
        return r;
}

static int count(BroodJob *job)
{
        const json_t *args = brood_job_args(job);
        const char *directory = json_string_value(json_object_get(args, "directory"));
        double seconds = json_number_value(json_object_get(args, "seconds"));
        struct timespec t = { .tv_sec = (time_t)seconds };

        if (!directory || seconds < 0 || seconds > 60)
                return brood_job_bad_args(job, "'directory' and 'seconds' are needed");
        if (mark(directory, brood_job_id(job)) < 0)
                return brood_job_fail(job, 1, NULL, "cannot mark in %s", directory);
        t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
        while (nanosleep(&t, &t) < 0)
                ;
        return 0;
}

static int refuses(const json_t *settings, const char *what)
{
        const char *wanted = json_string_value(json_object_get(settings, "refuse"));

        return wanted && strcmp(wanted, what) == 0;
}

static int init(const json_t *settings)
{
        return refuses(settings, "init");
}

static int worker_init(const json_t *settings)
{
        return refuses(settings, "worker");
}

static const BroodHandler handlers[] = {
        { .name = "count", .run = count, .summary = "marks that it ran, and waits" },
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .flags = BROOD_FORK_SAFE,
        .name = "count",
        .handlers = handlers,
        .init = init,
        .worker_init = worker_init,
};

/* SPDX-License-Identifier: MIT */

/* Handlers that count their executions themselves, so that nobody has to be believed:
 *
 *     {"n": N, "ms": M, …} → {"square": N·N, "attempt": A}
 *
 * At its beginning and at its end each execution appends one line to the file of its worker,
 * worker.PID in the `directory` of [Settings]:
 *
 *     b ID ATTEMPT USEC       began, at this time since the epoch
 *     e ID ATTEMPT USEC       ends well: what is left to do is to answer
 *
 * One write() a line, without a buffer, on a descriptor with O_APPEND: whoever is killed, whenever,
 * leaves whole lines, and each of them is true. Further arguments, all of them optional:
 *
 *     "crash": K     the first K attempts kill their worker
 *     "fail": K      the first K attempts fail
 *     "until": FILE  it waits until the file is there, or it is cancelled
 *     "swell": N     the result has a "text" of N bytes
 *
 * Handlers `tally` and `score` are the same, for two pools. */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brood/handler.h"

enum { MAX_MS = 60000, MAX_SWELL = 1 << 24 };

static char path[PATH_MAX];
static int file = -1; /* of this worker */

static long long now_usec(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int tell(const BroodJob *job, char what)
{
        char line[128];
        int n = snprintf(line, sizeof(line), "%c %s %d %lld\n", what, brood_job_id(job),
                         brood_job_attempt(job), now_usec());

        return write(file, line, (size_t)n) == n ? 0 : -1;
}

static json_int_t number(BroodJob *job, const char *name)
{
        return json_integer_value(json_object_get(brood_job_args(job), name));
}

static void pause_until(long long end)
{
        long long left = end - now_usec();
        struct timespec t = { left / 1000000, left % 1000000 * 1000 };

        if (left > 0)
                (void)nanosleep(&t, NULL);
}

/* Waits as the arguments say; returns true if it was cancelled meanwhile. */
static int is_cancelled_while_it_waits(BroodJob *job)
{
        const char *until = json_string_value(json_object_get(brood_job_args(job), "until"));
        long long end = now_usec() + (until ? MAX_MS : number(job, "ms")) * 1000;

        while (now_usec() < end && !(until && access(until, F_OK) == 0)) {
                long long step = now_usec() + 2000;

                if (brood_job_cancelled(job))
                        return 1;
                pause_until(step < end ? step : end);
        }
        return 0;
}

static json_t *text(json_int_t size)
{
        char *bytes = malloc((size_t)size);
        json_t *value = NULL;

        if (bytes) {
                memset(bytes, 'x', (size_t)size);
                value = json_stringn(bytes, (size_t)size);
        }
        free(bytes);
        return value;
}

static int answer(BroodJob *job)
{
        json_int_t n = number(job, "n"), swell = number(job, "swell");
        json_t *result = json_pack("{s:I, s:i}", "square", n * n, "attempt",
                                   brood_job_attempt(job));

        if (swell > 0)
                (void)json_object_set_new(result, "text", text(swell));
        return brood_job_result_json(job, result);
}

static int tally(BroodJob *job)
{
        int attempt = brood_job_attempt(job);

        if (number(job, "ms") < 0 || number(job, "ms") > MAX_MS || number(job, "swell") > MAX_SWELL)
                return brood_job_bad_args(job, "'ms' or 'swell' is too much");
        if (tell(job, 'b') < 0)
                return brood_job_fail(job, 0, NULL, "cannot write to %s", path);
        if (attempt <= number(job, "crash"))
                (void)kill(getpid(), SIGKILL);
        if (is_cancelled_while_it_waits(job))
                return brood_job_fail(job, 1, NULL, "was asked to end");
        if (attempt <= number(job, "fail"))
                return brood_job_fail(job, 1, NULL, "attempt %d was to fail", attempt);
        if (tell(job, 'e') < 0)
                return brood_job_fail(job, 0, NULL, "cannot write to %s", path);
        return answer(job);
}

static int worker_init(const json_t *settings)
{
        const char *directory = json_string_value(json_object_get(settings, "directory"));

        if (!directory)
                return -1;
        (void)snprintf(path, sizeof(path), "%s/worker.%d", directory, (int)getpid());
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        return file < 0;
}

static const BroodHandler handlers[] = {
        { .name = "tally", .run = tally, .summary = "squares a number, and counts that it did" },
        { .name = "score", .run = tally, .summary = "the same, for another pool" },
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .flags = BROOD_FORK_SAFE,
        .name = "torture",
        .handlers = handlers,
        .worker_init = worker_init,
};

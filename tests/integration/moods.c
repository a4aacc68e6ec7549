/* SPDX-License-Identifier: MIT */

/* A module that can be made to misbehave. [Settings]: `hang=FILE` makes its init wait while FILE is
 * there, `refuse=yes` makes it fail; `mood` is any text. Its handlers:
 *
 *     whisper {"text": "…"}   writes the text to stderr → {}; ends its worker with `die`
 *     swell   {"bytes": N}    → {"text": "xxx…"} with N of them
 *     fumble  {"file": "…"}   first waits for the file and fails; the next attempt → {"pid": P}
 *     doze    {"seconds": N}  waits, a quick run without it → {}; fails when it is cancelled
 *     mood                    → {"mood": "…", "pid": P}, the mood that init has seen */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brood/handler.h"

enum { LONGEST_WAIT = 12000 }; /* steps of 5 ms */

static char mood[64];

static void wait_while(const char *path, int there)
{
        const struct timespec step = { .tv_nsec = 5000000 };

        for (int i = 0; i < LONGEST_WAIT && (access(path, F_OK) == 0) == there; i++)
                (void)nanosleep(&step, NULL);
}

static int whisper(BroodJob *job)
{
        const char *text = json_string_value(json_object_get(brood_job_args(job), "text"));

        fprintf(stderr, "%s\n", text ? text : "");
        if (json_is_true(json_object_get(brood_job_args(job), "die")))
                _exit(1);
        return 0;
}

static int swell(BroodJob *job)
{
        json_int_t n = json_integer_value(json_object_get(brood_job_args(job), "bytes"));
        char *text;
        int r;

        if (n < 0 || n > 1 << 28)
                return brood_job_bad_args(job, "'bytes' has to be a number from 0 to 2^28");
        text = malloc((size_t)n + 16);
        if (!text)
                return brood_job_fail(job, 1, NULL, "no memory");
        memcpy(text, "{\"text\":\"", 9);
        memset(text + 9, 'x', (size_t)n);
        memcpy(text + 9 + n, "\"}", 2);
        r = brood_job_result(job, text, (size_t)n + 11);
        free(text);
        return r;
}

static int fumble(BroodJob *job)
{
        const char *file = json_string_value(json_object_get(brood_job_args(job), "file"));

        if (!file)
                return brood_job_bad_args(job, "'file' is needed");
        if (brood_job_attempt(job) > 1)
                return brood_job_result_json(job, json_pack("{s:i}", "pid", (int)getpid()));
        wait_while(file, 0);
        return brood_job_fail(job, 1, NULL, "fumbled");
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int doze(BroodJob *job)
{
        double seconds = json_number_value(json_object_get(brood_job_args(job), "seconds"));
        double end = seconds > 0 ? now() + seconds : 0;

        while (end > 0 && now() < end) {
                const struct timespec step = { .tv_nsec = seconds < 0.005 ? 20000 : 2000000 };

                if (brood_job_cancelled(job))
                        return brood_job_fail(job, 1, NULL, "was woken");
                (void)nanosleep(&step, NULL);
        }
        return 0;
}

static int tell_mood(BroodJob *job)
{
        return brood_job_result_json(job, json_pack("{s:s, s:i}", "mood", mood, "pid",
                                                    (int)getpid()));
}

static int init(const json_t *settings)
{
        const char *hang = json_string_value(json_object_get(settings, "hang"));
        const char *text = json_string_value(json_object_get(settings, "mood"));

        (void)snprintf(mood, sizeof(mood), "%s", text ? text : "");
        if (json_object_get(settings, "refuse"))
                return 1;
        if (hang && access(hang, F_OK) == 0) {
                fprintf(stderr, "moods: init waits\n");
                wait_while(hang, 1);
        }
        return 0;
}

static const BroodHandler handlers[] = {
        { .name = "whisper", .run = whisper, .summary = "writes to stderr" },
        { .name = "swell", .run = swell, .summary = "has a result of `bytes`" },
        { .name = "fumble", .run = fumble, .summary = "fails once, when `file` is there" },
        { .name = "doze", .run = doze, .summary = "waits `seconds`; can be cancelled" },
        { .name = "mood", .run = tell_mood, .summary = "tells the mood of its pool" },
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .flags = BROOD_FORK_SAFE,
        .name = "moods",
        .handlers = handlers,
        .init = init,
};

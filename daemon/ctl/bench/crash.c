/* SPDX-License-Identifier: MIT */

#include "ctl/bench/crash.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "ctl/job.h"

enum { LOOK_USEC = 1000, MAX_JOBS = 128, ID_SIZE = 37, SLEEP_SECONDS = 600 };

/* Hands in a job; *id (ID_SIZE) becomes its id. */
static bool submit(BenchDaemon *d, const char *handler, json_t *args, char *id)
{
        json_t *reply, *parameters = json_pack("{s:{s:s, s:o, s:i, s:s}}", "job", "handler",
                                               handler, "args", args, "max_attempts", 1,
                                               "durability", "memory");

        if (!bench_daemon_call(d, "Submit", parameters, &reply))
                return false;
        (void)snprintf(id, ID_SIZE, "%s", get_string(reply, "id"));
        json_decref(reply);
        return true;
}

/* A call about one job. */
static bool call_job(BenchDaemon *d, const char *method, const char *id, json_t **ret)
{
        return bench_daemon_call(d, method, json_pack("{s:s}", "id", id), ret);
}

static bool await_running(BenchDaemon *d, const char *id)
{
        usec_t end = usec_add(clock_monotonic(), BENCH_PATIENCE_SECONDS * USEC_PER_SEC);

        for (;;) {
                json_t *reply;
                bool runs;

                if (!call_job(d, "Get", id, &reply))
                        return false;
                runs = strcmp(get_string(json_object_get(reply, "job"), "state"), "running") == 0;
                json_decref(reply);
                if (runs)
                        return true;
                if (clock_monotonic() > end)
                        return bench_daemon_wrong(d, "a job does not run, and a slot is free");
                (void)usleep(LOOK_USEC);
        }
}

/* Its end, and whether that was the death of its worker. */
static bool await_end(BenchDaemon *d, const char *id, unsigned *hit)
{
        const json_t *attempt;
        json_t *reply;

        if (!call_job(d, "Wait", id, &reply))
                return false;
        attempt = job_last_attempt(json_object_get(reply, "job"));
        *hit += strcmp(get_string(attempt, "outcome"), "worker_died") == 0;
        json_decref(reply);
        return true;
}

bool bench_crash(BenchDaemon *d, const char *sleep, const char *suffix, unsigned slots,
                 unsigned *ret_hit)
{
        char ids[MAX_JOBS][ID_SIZE], crash[32];
        unsigned hit = 0, others = slots - 1;
        json_t *reply;

        ASSERT(slots >= 1 && slots <= MAX_JOBS);
        (void)snprintf(crash, sizeof(crash), "crash%s", suffix);
        for (unsigned i = 0; i < others; i++)
                if (!submit(d, sleep, json_pack("{s:i}", "seconds", SLEEP_SECONDS), ids[i]))
                        return false;
        for (unsigned i = 0; i < others; i++)
                if (!await_running(d, ids[i]))
                        return false;
        if (!submit(d, crash, json_object(), ids[others]) || !await_end(d, ids[others], &hit))
                return false;
        for (unsigned i = 0; i < others; i++) { /* of those that it has ended it is refused */
                if (call_job(d, "Cancel", ids[i], &reply))
                        json_decref(reply);
                if (!await_end(d, ids[i], &hit))
                        return false;
        }
        *ret_hit = hit;
        return true;
}

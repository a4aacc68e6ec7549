/* SPDX-License-Identifier: MIT */

/* Handlers for trials and tests: each does one thing that handlers do, good or bad. */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brood/async.h"

static int echo(BroodJob *job)
{
        size_t size;
        const char *bytes = brood_job_args_bytes(job, &size);

        return brood_job_result(job, bytes, size);
}

/* The number `seconds` of the arguments, or a negative one after the job failed. */
static double seconds(BroodJob *job)
{
        const json_t *value = json_object_get(brood_job_args(job), "seconds");

        if (!json_is_number(value) || json_number_value(value) < 0 ||
            json_number_value(value) > 1e9) {
                (void)brood_job_bad_args(job, "'seconds' has to be a number from 0 to 1e9");
                return -1;
        }
        return json_number_value(value);
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int sleep_run(BroodJob *job)
{
        double wanted = seconds(job), end = now() + wanted;
        struct pollfd p = { .events = POLLIN };

        if (wanted < 0)
                return 1;
        p.fd = brood_job_cancel_fd(job);
        while (now() < end && !brood_job_cancelled(job)) {
                double left = end - now();
                struct timespec t = { .tv_sec = (time_t)left };

                if (left <= 0)
                        break;
                t.tv_nsec = (long)((left - (double)t.tv_sec) * 1e9);
                (void)ppoll(&p, 1, &t, NULL);
        }
        if (brood_job_cancelled(job))
                return brood_job_fail(job, 1, NULL, "was woken: somebody asked for the end");
        return brood_job_result_json(job, json_pack("{s:f}", "seconds", wanted));
}

/* Never looks whether it was cancelled: what ends it is the ladder. */
static int spin(BroodJob *job)
{
        double wanted = seconds(job), end = now() + wanted;
        volatile unsigned long turns = 0;

        if (wanted < 0)
                return 1;
        while (now() < end)
                turns++;
        return brood_job_result_json(job, json_pack("{s:f}", "seconds", wanted));
}

/* A fixed amount of work, whatever the clock says: how long it takes tells how fast that was. */
static int burn(BroodJob *job)
{
        const json_t *rounds = json_object_get(brood_job_args(job), "rounds");
        json_int_t wanted = json_integer_value(rounds);
        uint64_t x = 88172645463325252ULL; /* each round needs the one before */

        if (!json_is_integer(rounds) || wanted < 0)
                return brood_job_bad_args(job, "'rounds' has to be a whole number from 0");
        for (json_int_t i = 0; i < wanted; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
        }
        return brood_job_result_json(job, json_pack("{s:I}", "value", (json_int_t)(x >> 1)));
}

static int signal_of(const char *name)
{
        if (strncmp(name, "SIG", 3) == 0)
                name += 3;
        for (int s = 1; s < NSIG; s++) {
                const char *known = sigabbrev_np(s);

                if (known && strcmp(known, name) == 0)
                        return s;
        }
        return 0;
}

static int crash(BroodJob *job)
{
        const char *name = json_string_value(json_object_get(brood_job_args(job), "signal"));
        int number = name ? signal_of(name) : SIGSEGV;
        struct sigaction now_there;
        sigset_t one;

        if (!number)
                return brood_job_bad_args(job,
                                          "'signal' has to be the name of a signal, like SEGV");
        fprintf(stderr, "diag: crash by %s\n", name ? name : "SEGV");
        (void)sigaction(number, NULL, &now_there);
        if (!(now_there.sa_flags & (int)SA_RESETHAND)) /* the worker's notes it, and ends it */
                (void)signal(number, SIG_DFL);
        sigemptyset(&one);
        sigaddset(&one, number);
        (void)pthread_sigmask(SIG_UNBLOCK, &one, NULL);
        (void)raise(number);
        return brood_job_fail(job, 0, NULL, "signal %s did not end the worker", name);
}

static int exit_run(BroodJob *job)
{
        const json_t *status = json_object_get(brood_job_args(job), "status");

        if (status && !json_is_integer(status))
                return brood_job_bad_args(job, "'status' has to be a whole number");
        fprintf(stderr, "diag: exit\n");
        _exit((int)json_integer_value(status));
}

static int fail(BroodJob *job)
{
        const json_t *args = brood_job_args(job), *retry = json_object_get(args, "retry");
        const char *message = json_string_value(json_object_get(args, "message"));

        return brood_job_fail(job, retry ? json_is_true(retry) : 1,
                              json_deep_copy(json_object_get(args, "details")), "%s",
                              message ? message : "diag: fail");
}

static int leak(BroodJob *job)
{
        json_int_t bytes = json_integer_value(json_object_get(brood_job_args(job), "bytes"));
        static void *volatile last; /* only the last one can still be reached */
        void *p;

        if (bytes < 1 || bytes > (json_int_t)1 << 40)
                return brood_job_bad_args(job, "'bytes' has to be a number from 1 to 2^40");
        p = malloc((size_t)bytes);
        if (!p)
                return brood_job_fail(job, 1, NULL, "no memory for %lld bytes", (long long)bytes);
        memset(p, 1, (size_t)bytes);
        last = p;
        return brood_job_result_json(job,
                                     json_pack("{s:I, s:b}", "bytes", bytes, "kept", last != NULL));
}

/* `steps` reports of progress, `seconds` in all; not part of any contract. */
static int progress(BroodJob *job)
{
        json_int_t steps = json_integer_value(json_object_get(brood_job_args(job), "steps"));

        if (steps < 1 || steps > 1000000)
                return brood_job_bad_args(job, "'steps' has to be a number from 1 to 1000000");
        for (json_int_t i = 1; i <= steps && !brood_job_cancelled(job); i++)
                (void)brood_job_progress(job, (double)i / (double)steps);
        return brood_job_result_json(job, json_pack("{s:I}", "steps", steps));
}

/* `stdout` and `stderr`, `times` over; not part of any contract. */
static int output(BroodJob *job)
{
        const json_t *args = brood_job_args(job), *times = json_object_get(args, "times");
        const json_t *text[] = { json_object_get(args, "stdout"), json_object_get(args, "stderr") };
        json_int_t n = times ? json_integer_value(times) : 1;

        if (n < 1 || n > 1000000)
                return brood_job_bad_args(job, "'times' has to be a number from 1 to 1000000");
        for (json_int_t i = 0; i < n && !brood_job_cancelled(job); i++)
                for (int s = 0; s < 2; s++)
                        (void)brood_job_output(job, s + 1, json_string_value(text[s]),
                                               json_string_length(text[s]));
        return brood_job_result_json(job, json_pack("{s:I}", "times", n));
}

/* --- for Concurrency=async --- */

/* What is done at once needs no waiting. */
static int start_and_end(BroodJob *job, int (*run)(BroodJob *job))
{
        (void)run(job);
        brood_job_complete(job);
        return 0;
}

#define AT_ONCE(run)                                                                               \
        static int run##_start(BroodJob *job)                                                      \
        {                                                                                          \
                return start_and_end(job, run);                                                    \
        }
AT_ONCE(echo)
AT_ONCE(spin)
AT_ONCE(burn)
AT_ONCE(crash)
AT_ONCE(exit_run)
AT_ONCE(fail)
AT_ONCE(leak)
AT_ONCE(progress)
AT_ONCE(output)

static void slept(BroodJob *job, void *context)
{
        (void)brood_job_result_json(job, json_pack("{s:f}", "seconds", seconds(job)));
        brood_job_complete(job);
}

static void woken(BroodJob *job, void *context)
{
        (void)brood_job_fail(job, 1, NULL, "was woken: somebody asked for the end");
        brood_job_complete(job);
}

static int sleep_start(BroodJob *job)
{
        double wanted = seconds(job);
        int r;

        if (wanted < 0)
                return 1;
        r = brood_async_after(job, (int64_t)(wanted * 1e6), slept, NULL);
        if (r == 0)
                r = brood_async_on_cancel(job, woken, NULL);
        return r < 0 ? brood_job_fail(job, 1, NULL, "can not wait: %s", strerror(-r)) : 0;
}

#define HANDLER(handler, function, words)                                                          \
        { .name = handler, .run = function, .summary = words, .start = function##_start }

static const BroodHandler handlers[] = {
        HANDLER("echo", echo, "returns its arguments"),
        { .name = "sleep",
          .run = sleep_run,
          .summary = "waits `seconds`; can be cancelled",
          .start = sleep_start },
        HANDLER("spin", spin, "is busy for `seconds`; hears nothing"),
        HANDLER("burn", burn, "calculates `rounds` rounds; hears nothing"),
        HANDLER("crash", crash, "ends its worker by `signal`"),
        HANDLER("exit", exit_run, "ends its worker with `status`"),
        HANDLER("fail", fail, "fails with `message`, `retry` or not"),
        HANDLER("leak", leak, "takes `bytes` and never gives them back"),
        HANDLER("progress", progress, "reports progress `steps` times"),
        HANDLER("output", output, "writes `stdout`, `stderr`, `times` over"),
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .flags = BROOD_THREAD_SAFE | BROOD_FORK_SAFE,
        .name = "diag",
        .handlers = handlers,
};

/* SPDX-License-Identifier: MIT */

/* Handlers for Concurrency=async, each of which waits in another way:
 *
 *     child   {"argv": […]}: starts a program, and ends with its wait status; a cancel ends it by
 *             SIGTERM
 *     pipe    {"text": "…"}: reads from a pipe what another callback writes to it
 *     base    {"crash": false}: waits with an event of its own on the loop, and may crash in it
 *     twice   completes in its start function, after it has asked for a callback
 *     deaf    does not ask to hear of cancels; waits for `seconds`
 *     stuck   {"seconds": N}: crashes in a callback after that time
 *     forks   and returns in the child, too; then waits
 *     plain   has only a run function; the only one that has */

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "brood/async.h"

extern char **environ;

static int64_t usec_of(BroodJob *job)
{
        return (int64_t)(json_number_value(json_object_get(brood_job_args(job), "seconds")) * 1e6);
}

static int can_not(BroodJob *job, const char *what, int error)
{
        return brood_job_fail(job, 0, NULL, "can not %s: %s", what, strerror(error));
}

/* --- child --- */

static void child_ended(BroodJob *job, pid_t pid, int status, void *context)
{
        bool ours = pid == *(pid_t *)context;
        json_t *result = json_pack("{s:i, s:b}", "status", status, "ours", ours);

        free(context);
        if (brood_job_cancelled(job)) {
                json_decref(result);
                (void)brood_job_fail(job, 1, NULL, "cancelled: its child ended with %d", status);
        } else {
                (void)brood_job_result_json(job, result);
        }
        brood_job_complete(job);
}

static void end_child(BroodJob *job, void *context)
{
        (void)kill(*(pid_t *)context, SIGTERM);
}

static int child(BroodJob *job)
{
        const json_t *list = json_object_get(brood_job_args(job), "argv");
        char *argv[8] = { NULL };
        pid_t *pid = malloc(sizeof(*pid));
        int r;

        for (size_t i = 0; i < json_array_size(list) && i < 7; i++)
                argv[i] = (char *)json_string_value(json_array_get(list, i));
        r = argv[0] ? posix_spawn(pid, argv[0], NULL, NULL, argv, environ) : EINVAL;
        if (r == 0)
                r = -brood_async_child(job, *pid, child_ended, pid);
        if (r == 0)
                return brood_async_on_cancel(job, end_child, pid);
        free(pid);
        return can_not(job, "start a child", r);
}

/* --- pipe --- */

typedef struct Pipe {
        int ends[2];
} Pipe;

static void write_to(BroodJob *job, void *context)
{
        const char *text = json_string_value(json_object_get(brood_job_args(job), "text"));
        Pipe *p = context;

        if (write(p->ends[1], text, strlen(text)) < 0)
                abort();
}

static void read_from(BroodJob *job, void *context)
{
        Pipe *p = context;
        char bytes[256];
        ssize_t n = read(p->ends[0], bytes, sizeof(bytes));

        (void)brood_job_result_json(job, json_pack("{s:s%}", "read", bytes, (size_t)n));
        close(p->ends[0]);
        close(p->ends[1]);
        free(p);
        brood_job_complete(job);
}

static int pipe_start(BroodJob *job)
{
        Pipe *p = malloc(sizeof(*p));

        if (pipe2(p->ends, O_CLOEXEC) < 0)
                abort();
        if (brood_async_fd(job, p->ends[0], BROOD_ASYNC_READ, read_from, p) < 0 ||
            brood_async_after(job, 20000, write_to, p) < 0)
                abort();
        return 0;
}

/* --- base --- */

static void on_own_event(evutil_socket_t fd, short what, void *context)
{
        BroodJob *job = context;

        if (json_is_true(json_object_get(brood_job_args(job), "crash")))
                abort();
        (void)brood_job_result(job, "{\"own\":true}", 12);
        brood_job_complete(job);
}

static int base(BroodJob *job)
{
        struct timeval t = { 0, 20000 };

        return event_base_once(brood_async_base(), -1, EV_TIMEOUT, on_own_event, job, &t);
}

/* --- the others --- */

static void never(BroodJob *job, void *context)
{
        abort();
}

static int twice(BroodJob *job)
{
        if (brood_async_after(job, 1000, never, NULL) < 0 ||
            brood_async_on_cancel(job, never, NULL) < 0)
                abort();
        (void)brood_job_result(job, "{\"at\":\"once\"}", 13);
        brood_job_complete(job);
        brood_job_complete(job);
        return 0;
}

static void done(BroodJob *job, void *context)
{
        brood_job_complete(job);
}

static int deaf(BroodJob *job)
{
        return brood_async_after(job, usec_of(job), done, NULL);
}

static int stuck(BroodJob *job)
{
        return brood_async_after(job, usec_of(job), never, NULL);
}

static int forks(BroodJob *job)
{
        pid_t pid = fork();

        if (pid < 0)
                return can_not(job, "fork", errno);
        return brood_async_after(job, pid ? 50000 : 60000000, done, NULL);
}

static int plain(BroodJob *job)
{
        return brood_async_base() || brood_async_after(job, 1, done, NULL) != -ENOTSUP
                       ? brood_job_fail(job, 0, NULL, "there is a loop")
                       : 0;
}

static const BroodHandler handlers[] = {
        { .name = "child", .start = child },
        { .name = "pipe", .start = pipe_start },
        { .name = "base", .start = base },
        { .name = "twice", .start = twice },
        { .name = "deaf", .start = deaf },
        { .name = "stuck", .start = stuck },
        { .name = "forks", .start = forks },
        { .name = "plain", .run = plain },
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .name = "loops",
        .handlers = handlers,
};

/* SPDX-License-Identifier: MIT */

/* A module that takes the place of its fork server and lies to the supervisor. [Settings]:
 *
 *     lie=stranger   process `pid` is given as the worker that is asked for
 *     lie=twice      a child is, and a second time
 *     lie=ready      is ready twice
 *     lie=unborn     tells of the end of a worker that was not born
 *     lie=unlock     lets go of each lock that it has a descriptor for, and is honest otherwise */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "brood/handler.h"
#include "process/forker.h"

static const char *lie = "";
static pid_t stranger;

static void say(ForkerEventKind kind, const ForkerRequest *q, pid_t pid)
{
        union {
                ForkerEvent event;
                char bytes[sizeof(ForkerEvent) + 8];
        } message = { .event = { .kind = kind, .seat = q->seat, .generation = q->generation,
                                 .pid = pid } };
        int pidfd = kind == FORKER_BIRTH ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        size_t n = sizeof(ForkerEvent);

        if (kind == FORKER_READY) {
                memcpy(message.event.text, "lie\n", 4);
                n += 4;
        }
        (void)fd_send(FORKER_FD_CHANNEL, &message, n, &pidfd, pidfd >= 0, 0);
        if (pidfd >= 0)
                (void)close(pidfd);
}

static pid_t make_child(void)
{
        pid_t pid = fork();

        if (pid == 0) {
                (void)alarm(20);
                (void)pause();
                _exit(0);
        }
        return pid;
}

static void answer(const ForkerRequest *q)
{
        if (strcmp(lie, "stranger") == 0) {
                say(FORKER_BIRTH, q, stranger);
        } else if (strcmp(lie, "twice") == 0) {
                pid_t child = make_child();

                say(FORKER_BIRTH, q, child);
                say(FORKER_BIRTH, q, child);
        } else if (strcmp(lie, "ready") == 0) {
                say(FORKER_READY, q, 0);
        } else {
                say(FORKER_EXIT, q, 0);
        }
}

/* Says how many there were. */
static int unlock(void)
{
        char path[64], text[256];
        int n = 0;

        for (int fd = 0; fd < 64; fd++)
                if (flock(fd, LOCK_UN) == 0) {
                        ssize_t k;

                        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                        k = readlink(path, text, sizeof(text) - 1);
                        text[k > 0 ? k : 0] = '\0';
                        n += k > 5 && strcmp(text + k - 5, "/lock") == 0 && write(fd, "0", 1) < 0;
                }
        dprintf(STDERR_FILENO, "<6>unlocked: %d\n", n);
        return 0;
}

static int init(const json_t *settings)
{
        static const ForkerRequest none;
        const char *pid = json_string_value(json_object_get(settings, "pid"));
        int fds[8];

        lie = json_string_value(json_object_get(settings, "lie"));
        stranger = pid ? (pid_t)strtol(pid, NULL, 10) : 0;
        if (!lie)
                return 1;
        if (strcmp(lie, "unlock") == 0)
                return unlock();
        say(FORKER_READY, &none, 0);
        for (;;) {
                ForkerRequest q;
                size_t n = 8;

                if (fd_receive(FORKER_FD_CHANNEL, &q, sizeof(q), fds, &n, 0) != sizeof(q))
                        _exit(0);
                for (size_t i = 0; i < n; i++)
                        (void)close(fds[i]);
                answer(&q);
        }
}

static int run_lie(BroodJob *job)
{
        return brood_job_fail(job, 0, NULL, "there is no worker");
}

static const BroodHandler handlers[] = {
        { .name = "lie", .run = run_lie, .summary = "never runs" },
        { 0 },
};

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .flags = BROOD_FORK_SAFE,
        .name = "liar",
        .handlers = handlers,
        .init = init,
};

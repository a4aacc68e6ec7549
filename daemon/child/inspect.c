/* SPDX-License-Identifier: MIT */

/* brood-inspect: looks into one process, and prints what it has found as one JSON object.
 *
 *     brood-inspect PID [--stack | --only-stack] [--pidfd=N]
 *
 * A program of its own, since a look into a process may wait: for its memory map, while the
 * process changes it, for a file server, for a debugger's work. With --pidfd the process is proven
 * to be the one that the caller means, before and after.
 *
 * Exit status: 0 with the object on stdout; 1 with words on stdout that say why there is none. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"
#include "child/inspect.h"

#define NEEDS                                                                                      \
        "the same user and a process that is dumpable, or CAP_SYS_PTRACE and "                     \
        "CAP_DAC_READ_SEARCH (drop-ins/inspect.conf in the documentation of broodd)"

typedef struct Question {
        uint64_t pid, pidfd;
        bool stack, only_stack, has_pidfd;
} Question;

static int failed(const char *words)
{
        printf("%s\n", words);
        return 1;
}

static bool parse(int argc, char **argv, Question *q)
{
        if (argc < 2 || parse_u64(argv[1], &q->pid) < 0 || q->pid == 0 || q->pid > INT_MAX)
                return false;
        for (int i = 2; i < argc; i++) {
                if (strcmp(argv[i], "--stack") == 0)
                        q->stack = true;
                else if (strcmp(argv[i], "--only-stack") == 0)
                        q->stack = q->only_stack = true;
                else if (strncmp(argv[i], "--pidfd=", 8) == 0 &&
                         parse_u64(argv[i] + 8, &q->pidfd) == 0 && q->pidfd <= INT_MAX)
                        q->has_pidfd = true;
                else
                        return false;
        }
        return true;
}

static bool is_over(const Question *q)
{
        struct pollfd p = { .fd = (int)q->pidfd, .events = POLLIN };

        return q->has_pidfd && poll(&p, 1, 0) != 0;
}

static json_t *denied(const Target *t)
{
        if (!json_array_size(t->denied))
                return NULL;
        return json_pack("{s:O,s:s}", "what", t->denied, "needs", NEEDS);
}

/* Locks are told at descriptors or, where we may not look there, by pid. */
static void put_open(json_t *o, Target *t)
{
        json_t *locks = json_array(), *descriptors = inspect_descriptors(t, locks);

        if (!descriptors) {
                json_decref(locks);
                locks = inspect_locks(t);
        }
        json_put(o, "descriptors", descriptors);
        json_put(o, "locks", locks);
}

/* The stack comes last: the process is stopped for it. */
static json_t *gather(Target *t, const Question *q)
{
        json_t *o = json_object();

        if (!q->only_stack) {
                json_put(o, "process", inspect_attributes(t));
                json_put(o, "limits", inspect_limits(t));
                json_put(o, "memory", inspect_memory(t));
                put_open(o, t);
                json_put(o, "cgroup", inspect_cgroup(t));
        }
        if (q->stack)
                json_put(o, "stack", inspect_stack(t));
        json_put(o, "denied", denied(t));
        return o;
}

static int print(const json_t *report)
{
        char *text = json_dumps(report, JSON_COMPACT);
        int r = text ? fd_write_all(1, text, strlen(text)) : -ENOMEM;

        free(text);
        return r < 0 ? 1 : 0;
}

static int inspect(const Question *q)
{
        Target t = { .pid = (pid_t)q->pid, .proc = -1 };
        char path[32];
        json_t *report;
        int status;

        (void)snprintf(path, sizeof(path), "/proc/%d", (int)t.pid);
        t.proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (t.proc < 0 || is_over(q))
                return failed("it has ended");
        if (inspect_become(&t) < 0)
                return failed("its user can not be taken on");
        t.denied = json_array();
        report = gather(&t, q);
        status = is_over(q) ? failed("it has ended meanwhile") : print(report);
        json_decref(report);
        json_decref(t.denied);
        fd_close(t.proc);
        return status;
}

int main(int argc, char **argv)
{
        Question q = { 0 };

        if (!parse(argc, argv, &q)) {
                fprintf(stderr, "usage: brood-inspect PID [--stack | --only-stack] [--pidfd=N]\n");
                return 2;
        }
        return inspect(&q);
}

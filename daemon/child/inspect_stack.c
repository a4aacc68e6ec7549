/* SPDX-License-Identifier: MIT */

/* The stacks of all threads, by eu-stack (elfutils): it stops the process, walks its stacks, and
 * lets it go on; when it is killed, the kernel lets it go on. Its debug information may be large
 * and slow to read, so it has a deadline, and what it has said by then counts. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "child/inspect.h"
#include "process/start.h"

#define PROGRAM "/usr/bin/eu-stack"

enum { DEADLINE_MS = 3000, MOST_TEXT = 96 * 1024 };

typedef struct Look {
        pid_t pid;
        int out;
} Look;

/* It searches no network for debug information: there is no DEBUGINFOD_URLS. */
static int start(const Target *t, Look *look)
{
        char pid[16];
        char *argv[] = { (char[]){ "eu-stack" }, (char[]){ "-p" }, pid, NULL };
        char *environment[] = { (char[]){ "LC_ALL=C.UTF-8" }, NULL };
        AUTO(fd_close) int theirs = -1;
        int ends[2], r;
        ProcessStart s = { .path = PROGRAM,
                           .argv = argv,
                           .environment = environment,
                           .in = -1,
                           .die_with_parent = true };

        (void)snprintf(pid, sizeof(pid), "%d", (int)t->pid);
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        s.out = s.err = theirs = ends[1];
        r = process_start(&s, &look->pid, NULL);
        if (r < 0)
                fd_close(ends[0]);
        else
                look->out = ends[0];
        return r;
}

/* Until its end, the deadline, or enough. Returns whether it has ended by itself. */
static bool read_out(const Look *look, Buffer *text)
{
        usec_t end = clock_monotonic() + DEADLINE_MS * USEC_PER_MSEC, now;
        struct pollfd p = { .fd = look->out, .events = POLLIN };

        while ((now = clock_monotonic()) < end && buffer_len(text) < MOST_TEXT) {
                char *at = buffer_reserve(text, 4096);
                ssize_t n;

                if (!at)
                        return false;
                if (poll(&p, 1, (int)((end - now) / USEC_PER_MSEC) + 1) <= 0)
                        continue;
                n = read(look->out, at, 4096);
                if (n <= 0)
                        return true;
                text->end += (size_t)n;
        }
        return false;
}

/* --- frames --- */

/* "#0  0x00007f… name", of the thread of the last "TID n:" */
static json_t *frame(const char *line)
{
        char address[32], name[256] = "";

        if (sscanf(line, "#%*d %31s", address) != 1)
                return NULL;
        (void)sscanf(line, "#%*d %*31s%*1[ ]%255[^\n]", name);
        return name[0] ? json_pack("{s:s,s:o}", "address", address, "name", json_of_text(name))
                       : json_pack("{s:s}", "address", address);
}

/* One of which nothing could be read is left out. */
static void add_thread(json_t *list, int tid, json_t *frames)
{
        if (json_array_size(frames))
                (void)json_array_append_new(list,
                                            json_pack("{s:i,s:O}", "tid", tid, "frames", frames));
        json_decref(frames);
}

static json_t *threads(const char *text)
{
        json_t *list = json_array(), *frames = json_array();
        int tid = 0, next;

        for (const char *line = *text ? text : NULL; line; line = line_next(line)) {
                json_t *one = frame(line);

                if (one)
                        (void)json_array_append_new(frames, one);
                if (sscanf(line, "TID %d:", &next) != 1)
                        continue;
                add_thread(list, tid, frames);
                frames = json_array();
                tid = next;
        }
        add_thread(list, tid, frames);
        return list;
}

/* --- the whole --- */

static json_t *failure(const char *why)
{
        return json_pack("{s:s}", "error", why);
}

static json_t *cannot_start(int r)
{
        if (r == -ENOENT)
                return failure(PROGRAM " is not there: the package elfutils has it");
        return json_pack("{s:o}", "error",
                         json_sprintf(PROGRAM " can not be started: %s", strerror(-r)));
}

/* It has its own words for what went wrong, and those about rights come with what would be right.
 */
static const char *trouble(const Buffer *text, bool ended, int status)
{
        const char *words = buffer_bytes(text);

        if (!ended)
                return "this is not all: eu-stack was not done within 3 s, or had too much to say";
        if (strstr(words, "Operation not permitted") || strstr(words, "Permission denied"))
                return "the stack can not be read: this needs ptrace(2) on a dumpable process of "
                       "the same user, with kernel.yama.ptrace_scope=0, or CAP_SYS_PTRACE; in the "
                       "system service, drop-ins/inspect.conf";
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NULL : "eu-stack failed";
}

static json_t *report(const Buffer *text, bool ended, int status)
{
        const char *why = trouble(text, ended, status);
        json_t *o = json_object(), *list = threads(buffer_bytes(text));

        if (why && !(WIFEXITED(status) && WEXITSTATUS(status) == 1 && json_array_size(list)))
                json_put(o, "error", json_string(why)); /* 1: some frames could not be read */
        json_put(o, "text", json_of_lines(buffer_bytes(text)));
        json_put(o, "threads", list);
        return o;
}

json_t *inspect_stack(Target *t)
{
        AUTO(buffer_fini) Buffer text = BUFFER_INIT;
        Look look;
        int status = 0, r = start(t, &look);
        bool ended;

        if (r < 0)
                return cannot_start(r);
        ended = read_out(&look, &text);
        fd_close(look.out);
        if (!ended)
                (void)kill(look.pid, SIGKILL);
        (void)waitpid(look.pid, &status, 0);
        buffer_append_char(&text, '\0');
        return text.failed ? failure("no memory") : report(&text, ended, status);
}

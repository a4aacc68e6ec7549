/* SPDX-License-Identifier: MIT */
#pragma once

/* Processes for the tests of lib/ipc: children that end by themselves with 0 if all was well there,
 * or are killed. */

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <brood/connection.h>

#include "base/clock.h"

#include "unit.h"

enum { A_WHILE = 50000, LONG = 20000000 }; /* µs: time for nothing to happen; for all to happen */

typedef void (*Body)(void *context);

/* A claim in a child; cmocka's would go on in the parent's frames. */
#define CLAIM(claim)                                                                               \
        do {                                                                                       \
                if (!(claim)) {                                                                    \
                        fprintf(stderr, "%s:%d: in a child: %s\n", __FILE__, __LINE__, #claim);    \
                        _exit(1);                                                                  \
                }                                                                                  \
        } while (0)

static inline pid_t child(Body body, void *context)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                alarm(60); /* it never stays */
                body(context);
                _exit(0);
        }
        return pid;
}

static inline void must_end_well(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static inline void must_be_killed(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
}

static inline void kill_child(pid_t pid)
{
        assert_int_equal(kill(pid, SIGKILL), 0);
        must_be_killed(pid);
}

static inline void die(void)
{
        (void)kill(getpid(), SIGKILL);
        for (;;)
                pause();
}

static inline void in_child(Body body, void *context)
{
        must_end_well(child(body, context));
}

static inline unsigned count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline int duplicate(int fd)
{
        int other = dup(fd);

        assert_true(other >= 0);
        return other;
}

/* Between a parent and a child: a byte says that something is so. */
typedef struct Bell {
        int ends[2];
} Bell;

static inline Bell bell(void)
{
        Bell b;

        assert_int_equal(pipe(b.ends), 0);
        return b;
}

static inline void ring(const Bell *b)
{
        if (write(b->ends[1], "!", 1) != 1)
                abort();
}

static inline void hear(const Bell *b)
{
        char c;

        if (read(b->ends[0], &c, 1) != 1)
                abort();
}

static inline void bell_free(Bell *b)
{
        close(b->ends[0]);
        close(b->ends[1]);
}

/* A descriptor through a connection, as a process would that was there before the object. */
static inline void send_fd(BroodConnection *c, int fd)
{
        assert_int_equal(brood_send_fds(c, &fd, 1, NULL, 0), 0);
}

static inline int receive_fd(BroodConnection *c)
{
        void *bytes = NULL;
        unsigned n = 1;
        size_t size;
        int fd = -1;

        CLAIM(brood_receive_fds(c, &fd, &n, &bytes, &size) == 0);
        free(bytes);
        CLAIM(n == 1);
        return fd;
}

/* Memory that a test and its children see, of zeros; for as long as the test. */
static inline void *common(size_t size)
{
        void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        assert_true(at != MAP_FAILED);
        return at;
}

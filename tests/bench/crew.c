/* SPDX-License-Identifier: MIT */

#include "crew.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum { CREW_MAX = 64, CREW_SECONDS = 240 };

static int ready_pipe[2]; /* each process writes one byte when it is ready */
static int start_pipe[2]; /* its end of file is the start */

uint64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void crew_wait(void)
{
        char byte = 0;

        close(start_pipe[1]);
        if (write(ready_pipe[1], &byte, 1) != 1)
                die("the start");
        close(ready_pipe[1]); /* if another one fails, its end of file must be seen */
        if (read(start_pipe[0], &byte, 1) != 0)
                die("the start");
}

static void start(const CrewTask *task, long jobs, uint64_t *ended)
{
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid)
                return;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready_pipe[0]);
        task->run(task, jobs);
        *ended = now_ns();
        _exit(0);
}

static void wait_until_ready(unsigned processes)
{
        char byte;

        close(ready_pipe[1]);
        errno = 0;
        for (unsigned i = 0; i < processes; i++)
                if (read(ready_pipe[0], &byte, 1) != 1)
                        die("a process of the crew failed");
        close(ready_pipe[0]);
        close(start_pipe[0]);
}

static void wait_for_end(unsigned processes)
{
        int status;

        for (unsigned i = 0; i < processes; i++)
                if (wait(&status) < 0 || status != 0) {
                        errno = 0;
                        die("a process of the crew failed");
                }
}

double crew_run(unsigned processes, long jobs, const CrewTask *task)
{
        uint64_t *ended, begin, end = 0;

        ended = mmap(NULL, CREW_MAX * sizeof(*ended), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (processes < 1 || processes > CREW_MAX || ended == MAP_FAILED || pipe(ready_pipe) < 0 ||
            pipe(start_pipe) < 0)
                die("a crew of %u", processes);
        for (unsigned i = 0; i < processes; i++)
                start(task, jobs / processes + (i < (unsigned long)jobs % processes), &ended[i]);
        wait_until_ready(processes);
        (void)alarm(CREW_SECONDS);
        begin = now_ns();
        close(start_pipe[1]);
        wait_for_end(processes);
        (void)alarm(0);
        for (unsigned i = 0; i < processes; i++)
                end = ended[i] > end ? ended[i] : end;
        (void)munmap(ended, CREW_MAX * sizeof(*ended));
        return (double)(end - begin) / 1e9;
}

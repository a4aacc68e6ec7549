/* SPDX-License-Identifier: MIT */

#include "pinger.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "wire.h"

#define PING "{\"method\":\"org.varlink.service.GetInfo\"}"

enum {
        TICK_NS = 1000 * 1000,
        MAX_MOMENTS = 1 << 20, /* of a phase: 17 minutes */
};

typedef struct Moments {
        atomic_uint n;
        uint32_t us[MAX_MOMENTS];
} Moments;

struct Pinger {
        pid_t pid;           /* written by the parent */
        atomic_uint wanted;  /* phase; written by the parent */
        atomic_uint current; /* of the call that is under way; written by the child */
        Moments phases[PINGER_PHASES];
};

static void keep(Moments *m, uint64_t ns)
{
        unsigned n = atomic_load(&m->n);

        if (n == MAX_MOMENTS)
                return;
        m->us[n] = (uint32_t)(ns / 1000);
        atomic_store(&m->n, n + 1);
}

static void sleep_until(uint64_t ns)
{
        struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

__attribute__((noreturn)) static void ping(Pinger *p, Wire *w)
{
        for (;;) {
                unsigned phase = atomic_load(&p->wanted);
                uint64_t begin = now_ns(), end;
                size_t size;

                atomic_store(&p->current, phase);
                if (phase) {
                        (void)wire_call(w, PING, &size);
                        end = now_ns();
                        for (uint64_t due = begin; due < end; due += TICK_NS)
                                keep(&p->phases[phase], end - due);
                }
                sleep_until(begin + TICK_NS);
        }
}

Pinger *pinger_start(const char *socket)
{
        Pinger *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                         0);
        pid_t pid;

        if (p == MAP_FAILED)
                die("mmap");
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                ping(p, wire_open(socket));
        }
        p->pid = pid;
        return p;
}

void pinger_phase(Pinger *p, unsigned phase)
{
        atomic_store(&p->wanted, phase);
}

/* Until the last call that was made in a phase is answered. */
static void wait_for_idle(Pinger *p)
{
        struct timespec tick = { .tv_nsec = TICK_NS };

        errno = 0;
        while (atomic_load(&p->current) != 0) {
                if (waitpid(p->pid, NULL, WNOHANG) != 0)
                        die("the pinger failed");
                (void)nanosleep(&tick, NULL);
        }
}

static int compare(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

void pinger_print(Pinger *p, unsigned phase, const char *name)
{
        Moments *m = &p->phases[phase];
        unsigned n;

        wait_for_idle(p);
        n = atomic_load(&m->n);
        if (n) {
                qsort(m->us, n, sizeof(*m->us), compare);
                printf("%s/pause-p99 %u us\n", name, m->us[(uint64_t)n * 99 / 100]);
                printf("%s/pause-max %u us\n", name, m->us[n - 1]);
        }
        atomic_store(&m->n, 0);
}

void pinger_stop(Pinger *p)
{
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, NULL, 0);
        (void)munmap(p, sizeof(*p));
}

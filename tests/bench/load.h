/* SPDX-License-Identifier: MIT */
#pragma once

/* Peer client: drives a job queue with P producer and W worker processes and counts completions in
 * shared memory. A peer supplies the two callbacks; nothing here knows a protocol. */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The job every peer carries: exactly 100 bytes of JSON. */
#define JOB                                                                                        \
        "{\"method\":\"Submit\",\"parameters\":{\"handler\":\"noop\",\"args\":{\"n\":110.0},"      \
        "\"priority\":5,\"tags\":[\"abcdd\"]}}"
_Static_assert(sizeof JOB - 1 == 100, "job must be 100 bytes");

static inline uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn)) static inline void die(const char *what)
{
        fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
        exit(1);
}

static int cmp_u64(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

/* Print p50, p99 and max of n samples (ns) in microseconds. */
__attribute__((unused)) static void print_latency(uint64_t *v, long n)
{
        qsort(v, (size_t)n, sizeof *v, cmp_u64);
        printf("p50 %.2f us\n", (double)v[n / 2] / 1e3);
        printf("p99 %.2f us\n", (double)v[n * 99 / 100] / 1e3);
        printf("max %.2f us\n", (double)v[n - 1] / 1e3);
}

struct load_shared {
        atomic_long done, ready;
        long target;
        int efd;
        uint64_t t_end;
};
static struct load_shared *load_S;

/* Called by whichever side sees jobs complete. */
__attribute__((unused)) static void load_done(long n)
{
        long before = atomic_fetch_add(&load_S->done, n);
        if (before < load_S->target && before + n >= load_S->target) {
                uint64_t one = 1;
                load_S->t_end = now_ns();
                if (write(load_S->efd, &one, sizeof one) != sizeof one)
                        die("eventfd");
        }
}

static int load_gun[2];
/* A child calls this once it is connected; it returns when the clock starts. */
__attribute__((unused)) static void load_ready(void)
{
        char c;
        close(load_gun[1]);
        atomic_fetch_add(&load_S->ready, 1);
        while (read(load_gun[0], &c, 1) < 0 && errno == EINTR)
                ;
        close(load_gun[0]);
}

typedef void load_fn(int id, long n);

/* Run N jobs through producers and workers; returns seconds from start to last completion. */
__attribute__((unused)) static double load_run(int P, int W, long N, load_fn *produce,
                                               load_fn *work)
{
        pid_t kid[256];
        int nkid = 0;
        load_S = mmap(NULL, sizeof *load_S, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        if (load_S == MAP_FAILED || pipe(load_gun) < 0 || P + W > 256)
                die("load_run");
        load_S->target = N;
        load_S->efd = eventfd(0, 0);
        for (int i = 0; i < W + P; i++) {
                pid_t p = fork();
                if (p < 0)
                        die("fork");
                if (p == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        if (i < W)
                                work(i, N);
                        else
                                produce(i - W, N / P + (i - W < N % P));
                        _exit(0);
                }
                kid[nkid++] = p;
        }
        while (atomic_load(&load_S->ready) < W + P) {
                pid_t p = waitpid(-1, NULL, WNOHANG);
                if (p > 0)
                        die("a client died early");
                usleep(500);
        }
        uint64_t t0 = now_ns(), v;
        close(load_gun[0]);
        close(load_gun[1]);
        alarm(240);
        if (read(load_S->efd, &v, sizeof v) != sizeof v)
                die("eventfd");
        alarm(0);
        for (int i = 0; i < nkid; i++)
                kill(kid[i], SIGKILL);
        for (int i = 0; i < nkid; i++)
                waitpid(kid[i], NULL, 0);
        return (double)(load_S->t_end - t0) / 1e9;
}

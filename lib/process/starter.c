/* SPDX-License-Identifier: MIT */

/* PR_SET_PDEATHSIG tells a child that the thread which started it has ended, and not that the
 * process has. Another program can not watch a sentinel, so it is started by a thread that ends
 * with the process only. */

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "process/child.h"

enum { STACK = 256 * 1024 };

typedef struct Errand {
        const ProcessStart *start;
        pid_t pid;
        int result;
        bool done;
} Errand;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static Errand *errand; /* NULL: none waits */
static bool lives;

static void lock(void)
{
        (void)pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
        (void)pthread_mutex_unlock(&mutex);
}

/* There is one thread in a fork. */
static void in_child(void)
{
        lives = false;
        errand = NULL;
        changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
        unlock();
}

static void watch_forks(void)
{
        (void)pthread_atfork(lock, unlock, in_child);
}

static void *run_errands(void *unused)
{
        lock();
        for (;;) {
                Errand *e = errand;

                if (!e) {
                        (void)pthread_cond_wait(&changed, &mutex);
                        continue;
                }
                unlock(); /* where vfork() is a fork(), handlers take it */
                e->result = process_start(e->start, &e->pid, NULL);
                lock();
                errand = NULL;
                e->done = true;
                (void)pthread_cond_broadcast(&changed);
        }
        return unused;
}

/* The program's signals are not for this thread. */
static int start_thread(void)
{
        pthread_attr_t attributes;
        sigset_t all, before;
        pthread_t thread;
        int r;

        (void)pthread_attr_init(&attributes);
        (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attributes, STACK);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&thread, &attributes, run_errands, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attributes);
        lives = r == 0;
        return -r;
}

int starter_start(const ProcessStart *start, pid_t *ret_pid)
{
        Errand mine = { .start = start };
        int r = 0;

        (void)pthread_once(&once, watch_forks);
        lock();
        if (!lives)
                r = start_thread();
        while (r == 0 && errand)
                (void)pthread_cond_wait(&changed, &mutex);
        if (r == 0) {
                errand = &mine;
                (void)pthread_cond_broadcast(&changed);
                while (!mine.done)
                        (void)pthread_cond_wait(&changed, &mutex);
                (void)pthread_cond_broadcast(&changed);
        }
        unlock();
        if (r < 0 || mine.result < 0)
                return r < 0 ? r : mine.result;
        *ret_pid = mine.pid;
        return 0;
}

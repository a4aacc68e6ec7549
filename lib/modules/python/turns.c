/* SPDX-License-Identifier: MIT */

/* Turns at the one lock that interpreters share before CPython 3.12.
 *
 * There a thread that waits for the lock asks the running byte code to give it up, but only that of
 * its own interpreter: one that computes would keep all others waiting until it is done. So each
 * interpreter has a thread that wants the lock now and then, while more than one slot has a job. */

#include "python.h"

#if PY_VERSION_HEX < 0x030c0000

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { TURN_NSEC = 5000000 }; /* as long as a turn of a thread in Python */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t several = PTHREAD_COND_INITIALIZER;
static _Atomic unsigned busy; /* slots that have a job */

static void wait_for_several(void)
{
        if (atomic_load(&busy) > 1)
                return;
        pthread_mutex_lock(&mutex);
        while (atomic_load(&busy) < 2)
                pthread_cond_wait(&several, &mutex);
        pthread_mutex_unlock(&mutex);
}

static void *take_turns(void *context)
{
        const Interpreter *in = context;
        PyThreadState *mine = PyThreadState_New(in->state);
        const struct timespec turn = { .tv_nsec = TURN_NSEC };

        while (mine) {
                wait_for_several();
                (void)nanosleep(&turn, NULL);
                PyEval_RestoreThread(mine);
                (void)PyEval_SaveThread();
        }
        return NULL;
}

int turns_start(const Interpreter *in)
{
        pthread_t thread;

        if (pthread_create(&thread, NULL, take_turns, (void *)in))
                return brood_refuse("no thread for an interpreter");
        (void)pthread_detach(thread);
        return 0;
}

void turns_enter(void)
{
        if (!python.others || atomic_fetch_add(&busy, 1) != 1)
                return;
        pthread_mutex_lock(&mutex);
        pthread_cond_broadcast(&several);
        pthread_mutex_unlock(&mutex);
}

void turns_leave(void)
{
        if (python.others)
                (void)atomic_fetch_sub(&busy, 1);
}

#else /* each has a lock of its own */

int turns_start(const Interpreter *in)
{
        return 0;
}

void turns_enter(void)
{
}

void turns_leave(void)
{
}

#endif

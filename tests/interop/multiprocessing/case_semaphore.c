/* SPDX-License-Identifier: MIT */

/* Semaphores and locks. */

#include "cases.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <brood/semaphore.h>

static BroodSemaphore *semaphore(unsigned value)
{
        BroodSemaphore *s;

        MUST(brood_semaphore_new(&s, value, false));
        return s;
}

static BroodSemaphore *new_lock(void)
{
        BroodSemaphore *s;

        MUST(brood_lock_new(&s));
        return s;
}

static BroodSemaphore *new_rlock(void)
{
        BroodSemaphore *s;

        MUST(brood_recursive_lock_new(&s));
        return s;
}

static void say_acquire(BroodSemaphore *s, double timeout)
{
        say("%s", word(brood_semaphore_acquire(s, usec(timeout))));
}

static void say_release(BroodSemaphore *s)
{
        say("%s", word(brood_semaphore_release(s)));
}

static void say_value(BroodSemaphore *s)
{
        say("%d", brood_semaphore_value(s));
}

static int acquire_forever(BroodChild *self)
{
        return brood_semaphore_acquire(self->context, -1);
}

CASE(semaphore_counts)
{
        BroodSemaphore *s = semaphore(2);

        for (int i = 0; i < 3; i++)
                say_acquire(s, 0);
        MUST(brood_semaphore_release(s));
        say_acquire(s, 0);
        brood_semaphore_free(s);
}

CASE(semaphore_value)
{
        BroodSemaphore *s = semaphore(3);

        say_value(s);
        MUST(brood_semaphore_acquire(s, -1));
        MUST(brood_semaphore_acquire(s, -1));
        say_value(s);
        MUST(brood_semaphore_release(s));
        say_value(s);
        brood_semaphore_free(s);
}

CASE(semaphore_of_nothing)
{
        BroodSemaphore *s = semaphore(0);

        say_acquire(s, 0);
        MUST(brood_semaphore_release(s));
        say_acquire(s, 0);
        brood_semaphore_free(s);
}

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

CASE(semaphore_timeout)
{
        BroodSemaphore *s = semaphore(0);
        double begin = now();

        say_acquire(s, 0.3);
        say("not too early: %s", yes(now() - begin > 0.29));
        brood_semaphore_free(s);
}

CASE(semaphore_grows)
{
        BroodSemaphore *s = semaphore(1);

        MUST(brood_semaphore_release(s));
        MUST(brood_semaphore_release(s));
        say_value(s);
        for (int i = 0; i < 4; i++)
                say_acquire(s, 0);
        brood_semaphore_free(s);
}

CASE(semaphore_bounded)
{
        BroodSemaphore *s;

        MUST(brood_semaphore_new(&s, 2, true));
        say_release(s);
        MUST(brood_semaphore_acquire(s, -1));
        say_release(s);
        say_release(s);
        say_value(s);
        brood_semaphore_free(s);
}

static int say_that_it_acquires(BroodChild *self)
{
        say_acquire(self->context, 20);
        return 0;
}

CASE(semaphore_wakes)
{
        BroodSemaphore *s = semaphore(0);
        BroodProcess *p = child(say_that_it_acquires, s);

        nap(0.2);
        say("release");
        MUST(brood_semaphore_release(s));
        ended(p);
        brood_semaphore_free(s);
}

CASE(semaphore_wakes_as_many)
{
        BroodSemaphore *s = semaphore(0);
        BroodProcess *p[5];
        int woken = 0;

        for (int i = 0; i < 5; i++)
                p[i] = child(acquire_forever, s);
        nap(0.1);
        for (int i = 0; i < 5; i++)
                MUST(brood_semaphore_release(s));
        for (int i = 0; i < 5; i++)
                woken += ends_within(p[i], 20);
        say("%d", woken);
        brood_semaphore_free(s);
}

typedef struct Held {
        BroodSemaphore *s;
        BroodConnection *opener;
        double seconds;
} Held;

/* Acquires, says so, and holds it for a while. */
static int hold(BroodChild *self)
{
        Held *h = self->context;

        MUST(brood_semaphore_acquire(h->s, -1));
        MUST(brood_send(h->opener, "", 0));
        nap(h->seconds);
        return brood_semaphore_release(h->s);
}

/* A child that holds it now. */
static BroodProcess *holder(BroodSemaphore *s, double seconds)
{
        Held h = { .s = s, .seconds = seconds };
        BroodConnection *gate;
        BroodProcess *p;

        MUST(brood_pipe(&gate, &h.opener, false));
        p = child_with(hold, &h, 1, h.opener);
        MUST((int)brood_receive_into(gate, (char[1]){ 0 }, 1, NULL));
        brood_connection_free(gate);
        brood_connection_free(h.opener);
        return p;
}

CASE(semaphore_of_two_processes)
{
        BroodSemaphore *s = semaphore(2);
        BroodProcess *p = holder(s, 0.2);

        say_value(s);
        ended(p);
        say_value(s);
        brood_semaphore_free(s);
}

CASE(semaphore_too_large)
{
        BroodSemaphore *s;

        say("%s", word(brood_semaphore_new(&s, 40000, false)));
}

CASE(semaphore_waiter_killed)
{
        BroodSemaphore *s = semaphore(0);
        BroodProcess *p = child(acquire_forever, s);

        nap(0.2);
        MUST(brood_process_kill(p));
        ended(p);
        MUST(brood_semaphore_release(s));
        say_acquire(s, 20);
        brood_semaphore_free(s);
}

CASE(lock_is_not_recursive)
{
        BroodSemaphore *lock = new_lock();

        say_acquire(lock, 0);
        say_acquire(lock, 0);
        say_acquire(lock, 0.05);
        brood_semaphore_free(lock);
}

CASE(lock_released_too_often)
{
        BroodSemaphore *lock = new_lock();

        say_release(lock);
        MUST(brood_semaphore_acquire(lock, -1));
        say_release(lock);
        say_release(lock);
        brood_semaphore_free(lock);
}

typedef struct Counter {
        BroodSemaphore *lock;
        BroodConnection *got, *put;
} Counter;

static int add(BroodChild *self)
{
        Counter *c = self->context;

        for (int i = 0; i < 300; i++) {
                int n = 0;

                MUST(brood_semaphore_acquire(c->lock, -1));
                MUST((int)brood_receive_into(c->got, &n, sizeof(n), NULL));
                n++;
                MUST(brood_send(c->put, &n, sizeof(n)));
                MUST(brood_semaphore_release(c->lock));
        }
        return 0;
}

CASE(lock_excludes)
{
        Counter c = { .lock = new_lock() };
        BroodProcess *p[4];
        int n = 0;

        MUST(brood_pipe(&c.got, &c.put, true));
        MUST(brood_send(c.put, &n, sizeof(n)));
        for (int i = 0; i < 4; i++)
                p[i] = child_with(add, &c, 2, c.got, c.put);
        for (int i = 0; i < 4; i++)
                ended(p[i]);
        (void)brood_receive_into(c.got, &n, sizeof(n), NULL);
        say("%d", n);
        brood_semaphore_free(c.lock);
}

static int say_that_it_releases(BroodChild *self)
{
        say_release(self->context);
        return 0;
}

CASE(lock_released_by_another_process)
{
        BroodSemaphore *lock = new_lock();

        MUST(brood_semaphore_acquire(lock, -1));
        ended(child(say_that_it_releases, lock));
        say_acquire(lock, 0);
        brood_semaphore_free(lock);
}

static void in_thread(void *(*run)(void *), void *context)
{
        pthread_t thread;

        MUST(-pthread_create(&thread, NULL, run, context));
        MUST(-pthread_join(thread, NULL));
}

static void *thread_releases(void *lock)
{
        say_release(lock);
        return NULL;
}

CASE(lock_released_by_another_thread)
{
        BroodSemaphore *lock = new_lock();

        MUST(brood_semaphore_acquire(lock, -1));
        in_thread(thread_releases, lock);
        say_acquire(lock, 0);
        brood_semaphore_free(lock);
}

static int try_lock(BroodChild *self)
{
        BroodSemaphore *lock;
        int r;

        MUST(brood_semaphore_open(&lock, self->fds[0]));
        r = brood_semaphore_acquire(lock, 0);
        say("%s", word(r));
        if (r == 0)
                MUST(brood_semaphore_release(lock));
        brood_semaphore_free(lock);
        return 0;
}
BROOD_ENTRY(try_lock)

CASE(lock_by_start_method)
{
        static const BroodStartMethod methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };

        for (unsigned i = 0; i < LENGTH(methods); i++) {
                BroodSemaphore *lock = new_lock();
                int fd = brood_semaphore_fd(lock);

                MUST(brood_semaphore_acquire(lock, -1));
                ended(child_by(methods[i], "try_lock", NULL, &fd, 1));
                MUST(brood_semaphore_release(lock));
                ended(child_by(methods[i], "try_lock", NULL, &fd, 1));
                brood_semaphore_free(lock);
        }
}

CASE(lock_of_a_killed_process)
{
        BroodSemaphore *lock = new_lock();
        BroodProcess *p = holder(lock, 60);

        MUST(brood_process_kill(p));
        ended(p);
        say_acquire(lock, 0.5);
        brood_semaphore_free(lock);
}

CASE(lock_of_an_ended_process)
{
        BroodSemaphore *lock = new_lock();

        ended(child(acquire_forever, lock));
        say_acquire(lock, 0.5);
        brood_semaphore_free(lock);
}

CASE(rlock_is_recursive)
{
        BroodSemaphore *lock = new_rlock();

        for (int i = 0; i < 3; i++)
                say_acquire(lock, 0);
        for (int i = 0; i < 4; i++)
                say_release(lock);
        brood_semaphore_free(lock);
}

static int say_acquire_and_release(BroodChild *self)
{
        say_acquire(self->context, 0);
        (void)brood_semaphore_release(self->context);
        return 0;
}

CASE(rlock_is_free_after_the_last)
{
        BroodSemaphore *lock = new_rlock();

        MUST(brood_semaphore_acquire(lock, -1));
        MUST(brood_semaphore_acquire(lock, -1));
        for (int i = 0; i < 3; i++) {
                ended(child(say_acquire_and_release, lock));
                (void)brood_semaphore_release(lock);
        }
        brood_semaphore_free(lock);
}

CASE(rlock_of_another_process)
{
        BroodSemaphore *lock = new_rlock();

        MUST(brood_semaphore_acquire(lock, -1));
        ended(child(say_that_it_releases, lock));
        say_release(lock);
        brood_semaphore_free(lock);
}

static void *thread_tries(void *lock)
{
        say_acquire(lock, 0);
        say_release(lock);
        return NULL;
}

CASE(rlock_of_another_thread)
{
        BroodSemaphore *lock = new_rlock();

        MUST(brood_semaphore_acquire(lock, -1));
        in_thread(thread_tries, lock);
        say_release(lock);
        brood_semaphore_free(lock);
}

CASE(rlock_released_unheld)
{
        BroodSemaphore *lock = new_rlock();

        say_release(lock);
        brood_semaphore_free(lock);
}

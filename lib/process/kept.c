/* SPDX-License-Identifier: MIT */

#include "process/kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int *kept;
static size_t n_kept, capacity;

static void lock(void)
{
        (void)pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
        (void)pthread_mutex_unlock(&mutex);
}

static void watch_forks(void)
{
        (void)pthread_atfork(lock, unlock, unlock);
}

void kept_add(int fd)
{
        (void)pthread_once(&once, watch_forks);
        lock();
        if (n_kept == capacity) {
                size_t more = MAX(capacity * 2, (size_t)16);
                int *grown = realloc(kept, more * sizeof(*grown));

                if (grown) {
                        kept = grown;
                        capacity = more;
                }
        }
        if (n_kept < capacity)
                kept[n_kept++] = fd;
        unlock();
}

void kept_remove(int fd)
{
        lock();
        for (size_t i = 0; i < n_kept; i++)
                if (kept[i] == fd) {
                        kept[i] = kept[--n_kept];
                        break;
                }
        unlock();
}

static int by_number(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

static void close_from_to(unsigned first, unsigned last)
{
        if (first <= last)
                (void)syscall(SYS_close_range, first, last, 0);
}

void kept_close_others(const int *fds, size_t n)
{
        AUTO(free) int *all = malloc((n + n_kept + 1) * sizeof(*all));
        unsigned next = STDERR_FILENO + 1;

        if (!all)
                return; /* then it has more than it should */
        if (n)
                memcpy(all, fds, n * sizeof(*fds));
        if (n_kept)
                memcpy(all + n, kept, n_kept * sizeof(*kept));
        n += n_kept;
        qsort(all, n, sizeof(*all), by_number);
        for (size_t i = 0; i < n; i++) {
                if (all[i] < (int)next)
                        continue;
                close_from_to(next, (unsigned)all[i] - 1);
                next = (unsigned)all[i] + 1;
        }
        close_from_to(next, ~0u);
}

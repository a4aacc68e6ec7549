/* SPDX-License-Identifier: MIT */

/* Two numbers that are the same whenever nobody is in the lock, but for who died in it. */

#include <errno.h>
#include <unistd.h>

#include <brood/semaphore.h>
#include <brood/shared.h>

#include "scene.h"

enum { WORKERS = 4 };

static BroodValue *value;
static unsigned deaths;

static void begin(void)
{
        CLAIM(brood_value_new(&value, sizeof(uint64_t), 2) == 0);
        deaths = 0;
}

static void lock(uint32_t *seed)
{
        volatile uint64_t *a = brood_value_at(value, 0), *b = brood_value_at(value, 1);
        int r;

        do
                r = brood_value_lock(value, dice(seed) % 8 ? -1 : (int64_t)dice(seed) % 300);
        while (r == -ETIMEDOUT);
        CLAIM(r == 0 || r == BROOD_OWNER_DIED);
        if (r == BROOD_OWNER_DIED)
                *b = *a;
        CLAIM(*a == *b);
}

static void work(unsigned seat, uint32_t seed)
{
        if (dice(&seed) % 2)
                CLAIM(brood_value_open(&value, dup(brood_value_fd(value))) == 0);
        while (!stopped()) {
                volatile uint64_t *a = brood_value_at(value, 0), *b = brood_value_at(value, 1);
                bool twice = dice(&seed) % 4 == 0;

                lock(&seed);
                if (twice)
                        CLAIM(brood_value_lock(value, 0) == 0);
                *a = *a + 1;
                if (dice(&seed) % 16 == 0)
                        (void)usleep(dice(&seed) % 100);
                stage->seats[seat].turns++;
                *b = *b + 1;
                if (twice)
                        CLAIM(brood_value_unlock(value) == 0);
                CLAIM(brood_value_unlock(value) == 0);
        }
        brood_value_free(value);
}

static void mourn(unsigned seat)
{
        deaths++;
}

static void end(void)
{
        uint64_t sum = 0, a;
        uint32_t seed = 1;

        lock(&seed);
        CLAIM(brood_value_unlock(value) == 0);
        CLAIM(brood_value_unlock(value) == -EPERM);
        for (unsigned i = 0; i < WORKERS; i++)
                sum += stage->seats[i].turns;
        a = *(uint64_t *)brood_value_at(value, 0);
        CLAIM(a >= sum && a <= sum + deaths); /* who died between the two lines */
        brood_value_free(value);
}

const Scene value_scene = { "value", WORKERS, begin, work, mourn, NULL, end };

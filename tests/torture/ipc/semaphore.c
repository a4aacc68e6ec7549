/* SPDX-License-Identifier: MIT */

/* Never more are inside than there are units; a death inside is told once. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <brood/semaphore.h>

#include "scene.h"

enum { UNITS = 2, WORKERS = 4 };

static BroodSemaphore *semaphore;
static uint64_t *told;                        /* shared */
static unsigned died_inside, died_on_the_way, died_taking;

static void begin(void)
{
        CLAIM(brood_semaphore_new(&semaphore, UNITS, 1) == 0);
        told = scene_memory(4096);
        died_inside = died_on_the_way = died_taking = 0;
}

static unsigned count_inside(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < WORKERS; i++)
                n += __atomic_load_n(&stage->seats[i].phase, __ATOMIC_SEQ_CST) == INSIDE &&
                     !__atomic_load_n(&stage->seats[i].dying, __ATOMIC_SEQ_CST);
        return n;
}

static void work(unsigned seat, uint32_t seed)
{
        if (dice(&seed) % 2)
                CLAIM(brood_semaphore_open(&semaphore, dup(brood_semaphore_fd(semaphore))) == 0);
        while (!stopped()) {
                int64_t timeout = dice(&seed) % 8 ? -1 : (int64_t)dice(&seed) % 500;
                int r;

                set_phase(seat, TAKING);
                r = brood_semaphore_acquire(semaphore, timeout);
                if (r == -ETIMEDOUT)
                        continue;
                CLAIM(r == 0 || r == BROOD_OWNER_DIED);
                if (r == BROOD_OWNER_DIED)
                        __atomic_add_fetch(told, 1, __ATOMIC_SEQ_CST);
                set_phase(seat, INSIDE);
                CLAIM(count_inside() <= UNITS);
                if (dice(&seed) % 16 == 0)
                        (void)usleep(dice(&seed) % 100);
                set_phase(seat, GIVING);
                CLAIM(brood_semaphore_release(semaphore) == 0);
                stage->seats[seat].turns++;
        }
        brood_semaphore_free(semaphore);
}

static void mourn(unsigned seat)
{
        uint32_t phase = stage->seats[seat].phase;

        died_inside += phase == INSIDE;
        died_taking += phase == TAKING;
        died_on_the_way += phase == TAKING || phase == GIVING;
}

static void end(void)
{
        uint64_t n = *told;

        for (int i = 0; i < UNITS; i++) {
                int r = brood_semaphore_acquire(semaphore, LONG);

                CLAIM(r == 0 || r == BROOD_OWNER_DIED);
                n += r == BROOD_OWNER_DIED;
        }
        CLAIM(brood_semaphore_acquire(semaphore, 0) == -ETIMEDOUT);
        for (int i = 0; i < UNITS; i++)
                CLAIM(brood_semaphore_release(semaphore) == 0);
        CLAIM(brood_semaphore_release(semaphore) == -EPERM);
        CLAIM(brood_semaphore_value(semaphore) == UNITS);
        /* who is killed in acquire may have been told, and not have written it down */
        CLAIM(n <= died_inside + died_on_the_way);
        CLAIM(n + died_taking >= died_inside);
        brood_semaphore_free(semaphore);
}

const Scene semaphore_scene = { "semaphore", WORKERS, begin, work, mourn, NULL, end };

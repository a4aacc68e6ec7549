/* SPDX-License-Identifier: MIT */
#pragma once

/* What processes that are killed do in the meantime, and what has to be true of it afterwards.
 *
 * Several workers use one object; a parent kills one at a random moment, again and again, and puts
 * another in its seat. At the end of a round the workers are told to stop, all of them have to end
 * by themselves, and the scene judges what is left. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEATS = 8, KILLS_A_ROUND = 25, SECOND = 1000000, LONG = 20 * SECOND };

/* What a worker was about when it was killed. */
typedef enum Phase { IDLE, TAKING, INSIDE, GIVING } Phase;

/* Seen by all processes of a round. */
typedef struct Seat {
        uint32_t phase;
        uint32_t dying; /* the parent is about to kill it */
        uint64_t turns;
} Seat;

typedef struct Stage {
        Seat seats[SEATS];
        uint32_t stop;
} Stage;

extern Stage *stage;

typedef struct Scene {
        const char *name;
        unsigned workers;
        void (*begin)(void);
        void (*work)(unsigned seat, uint32_t seed); /* in a worker, until stage->stop */
        void (*mourn)(unsigned seat);               /* it is dead; may be NULL */
        void (*last)(unsigned seat);                /* it has ended by itself; may be NULL */
        void (*end)(void);                          /* judges, and frees */
} Scene;

extern const Scene semaphore_scene, value_scene, queue_scene, heap_scene;

/* Has rounds of its own; returns how many it has killed. */
unsigned connection_round(uint32_t *seed);

/* Memory for all processes of a round, of zeros; the same at each call with the same size. */
void *scene_memory(size_t size);

uint32_t dice(uint32_t *seed);

/* Waits for the end of a worker that should be ending by itself with 0. */
void must_end(int pid, const char *who);

void kill_and_reap(int pid);

extern char where[128]; /* for the words of a failure: scene, seed, round */

#define CLAIM(claim)                                                                               \
        do {                                                                                       \
                if (!(claim)) {                                                                    \
                        fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, where,      \
                                #claim);                                                           \
                        _exit(1);                                                                  \
                }                                                                                  \
        } while (0)

static inline bool stopped(void)
{
        return __atomic_load_n(&stage->stop, __ATOMIC_ACQUIRE);
}

static inline void set_phase(unsigned seat, Phase phase)
{
        __atomic_store_n(&stage->seats[seat].phase, (uint32_t)phase, __ATOMIC_SEQ_CST);
}

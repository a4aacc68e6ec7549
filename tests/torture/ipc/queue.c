/* SPDX-License-Identifier: MIT */

/* Every element is got once, in the order of its producer, or lost with a consumer that was killed
 * in get. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <brood/queue.h>

#include "scene.h"

enum { PRODUCERS = 2, CONSUMERS = 3, LIVES = KILLS_A_ROUND + PRODUCERS };

enum { MOST = 1 << 15, LARGE = 3000 }; /* elements of a life, bytes of an element */

typedef struct Item {
        uint32_t life, number, size, sum;
        unsigned char bytes[LARGE];
} Item;

enum { ITEM_HEAD = 16 };

/* Shared. A life is one of a producer, of which a seat has several. */
typedef struct Ledger {
        uint32_t lives;
        uint32_t put[LIVES];
        uint8_t got[LIVES][MOST];
} Ledger;

static BroodQueue *queue;
static Ledger *ledger;
static unsigned died_getting;

static void begin(void)
{
        CLAIM(brood_queue_new(&queue, 16, 1 << 14) == 0);
        ledger = scene_memory(sizeof(*ledger));
        died_getting = 0;
}

static uint32_t sum_of(const Item *item)
{
        uint32_t sum = item->life * 31 + item->number;

        for (uint32_t i = 0; i < item->size; i++)
                sum = sum * 31 + item->bytes[i];
        return sum;
}

static void produce(unsigned seat, uint32_t seed)
{
        uint32_t life = __atomic_fetch_add(&ledger->lives, 1, __ATOMIC_SEQ_CST);
        static Item item;

        CLAIM(life < LIVES);
        while (!stopped()) {
                uint32_t number = ledger->put[life];
                int r;

                if (number == MOST - 1) {
                        (void)usleep(1000);
                        stage->seats[seat].turns++;
                        continue;
                }
                item.life = life;
                item.number = number;
                item.size = dice(&seed) % (dice(&seed) % 8 ? 64 : LARGE);
                memset(item.bytes, (int)dice(&seed), item.size);
                item.sum = sum_of(&item);
                r = brood_queue_put(queue, &item, ITEM_HEAD + item.size,
                                    dice(&seed) % 4 ? 100000 : 0);
                CLAIM(r == 0 || r == -ETIMEDOUT);
                if (r == 0)
                        __atomic_store_n(&ledger->put[life], number + 1, __ATOMIC_SEQ_CST);
                stage->seats[seat].turns++;
        }
}

static void consume(unsigned seat, uint32_t seed)
{
        uint32_t next[LIVES] = { 0 };
        static Item item;

        for (;;) {
                size_t size = 0;
                int r;

                set_phase(seat, TAKING);
                r = brood_queue_get_into(queue, &item, sizeof(item), &size,
                                         dice(&seed) % 4 ? 100000 : 0);
                if (r == -ETIMEDOUT)
                        continue;
                if (r == -EPIPE)
                        break;
                CLAIM(r == 0 && size == ITEM_HEAD + item.size && item.sum == sum_of(&item));
                CLAIM(item.life < LIVES && item.number < MOST);
                CLAIM(item.number >= next[item.life]);
                next[item.life] = item.number + 1;
                CLAIM(__atomic_fetch_add(&ledger->got[item.life][item.number], 1,
                                         __ATOMIC_SEQ_CST) == 0);
                set_phase(seat, INSIDE);
                CLAIM(brood_queue_done(queue) == 0);
                stage->seats[seat].turns++;
        }
}

static void work(unsigned seat, uint32_t seed)
{
        if (dice(&seed) % 2)
                CLAIM(brood_queue_open(&queue, dup(brood_queue_fd(queue))) == 0);
        if (seat < PRODUCERS)
                produce(seat, seed);
        else
                consume(seat, seed);
        brood_queue_free(queue);
}

static void mourn(unsigned seat)
{
        died_getting += seat >= PRODUCERS && stage->seats[seat].phase == TAKING;
}

/* The seats of the producers come first. */
static void last(unsigned seat)
{
        if (seat == PRODUCERS - 1)
                brood_queue_close(queue);
}

static void end(void)
{
        unsigned lost = 0;

        CLAIM(brood_queue_join(queue, LONG) == 0);
        CLAIM(brood_queue_size(queue) == 0);
        CLAIM(brood_queue_done(queue) == -EPERM);
        for (uint32_t life = 0; life < LIVES; life++) {
                uint32_t put = ledger->put[life]; /* and perhaps one more */

                for (uint32_t i = 0; i < MOST; i++) {
                        lost += i < put && !ledger->got[life][i];
                        CLAIM(i <= put || !ledger->got[life][i]);
                }
        }
        CLAIM(lost <= died_getting);
        brood_queue_free(queue);
}

const Scene queue_scene = { "queue", PRODUCERS + CONSUMERS, begin, work, mourn, last, end };

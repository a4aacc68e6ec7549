/* SPDX-License-Identifier: MIT */

#include "ops/board_read.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/macros.h"

enum { MAX_TRIES = 10000 };

int board_view_open(BoardView *v, int fd)
{
        struct stat st;
        void *map;

        v->map = NULL;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(BoardLayout))
                return -EBADMSG;
        map = mmap(NULL, sizeof(BoardLayout), PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        v->map = map;
        if (memcmp(v->map->head.magic, BOARD_MAGIC, sizeof(BOARD_MAGIC)) == 0 &&
            v->map->head.version == BOARD_VERSION)
                return 0;
        board_view_close(v);
        return -EBADMSG;
}

void board_view_close(BoardView *v)
{
        if (v->map)
                (void)munmap((void *)v->map, sizeof(BoardLayout));
        v->map = NULL;
}

static uint32_t load(const uint32_t *at)
{
        return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

/* A copy between two looks at the same even number. */
static bool copy(void *to, const void *record, const uint32_t *seq, size_t size)
{
        for (int i = 0; i < MAX_TRIES; i++) {
                uint32_t before = load(seq);

                memcpy(to, record, size);
                atomic_thread_fence(memory_order_acquire);
                if (!(before & 1) && load(seq) == before)
                        return true;
        }
        return false;
}

#define END_TEXT(text) ((text)[sizeof(text) - 1] = '\0')

bool board_read_head(const BoardView *v, BoardHead *ret)
{
        const BoardHead *h = &v->map->head;
        bool good = copy(ret, h, &h->seq, sizeof(*ret));

        END_TEXT(ret->program);
        END_TEXT(ret->socket);
        END_TEXT(ret->state);
        return good;
}

bool board_read_pool(const BoardView *v, uint32_t i, BoardPool *ret)
{
        const BoardPool *p = &v->map->pools[i];
        bool good = copy(ret, p, &p->seq, sizeof(*ret));

        END_TEXT(ret->name);
        END_TEXT(ret->state);
        END_TEXT(ret->why);
        return good && ret->name[0];
}

bool board_read_handler(const BoardView *v, uint32_t i, BoardHandler *ret)
{
        const BoardHandler *h = &v->map->handlers[i];
        bool good = copy(ret, h, &h->seq, sizeof(*ret));

        END_TEXT(ret->name);
        return good && ret->name[0];
}

bool board_read_slot(const BoardView *v, uint32_t i, BoardSlot *ret)
{
        const BoardSlot *s = &v->map->slots[i];

        return copy(ret, s, &s->seq, sizeof(*ret)) && ret->in_use;
}

uint32_t board_pools(const BoardView *v)
{
        return MIN(load(&v->map->head.n_pools), (uint32_t)BOARD_MAX_POOLS);
}

uint32_t board_handlers(const BoardView *v)
{
        return MIN(load(&v->map->head.n_handlers), (uint32_t)BOARD_MAX_HANDLERS);
}

uint32_t board_slots(const BoardView *v)
{
        return MIN(load(&v->map->head.n_slots), (uint32_t)BOARD_MAX_SLOTS);
}

const char *board_state_name(uint8_t state)
{
        static const char *const names[] = { "starting", "spare", "idle", "busy", "leaving" };

        return state < ELEMENTS(names) ? names[state] : "unknown";
}

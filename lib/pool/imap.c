/* SPDX-License-Identifier: MIT */

/* Results one by one. Inputs are asked for as results are: a few chunks ahead of them, each a batch
 * with its own copy of them. */

#include <brood/pool.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "pool/inside.h"

enum { AHEAD = 3 /* chunks for each worker */ };

struct BroodImap {
        BroodPool *pool;
        BroodFunction function;
        BroodNext next;
        void *context;
        size_t chunk;
        bool ordered;
        int end;        /* what `next` said last, if it was not 1 */
        bool ended;     /* it has no more */
        size_t asked;   /* inputs so far */
        unsigned ahead; /* batches */
        List batches;   /* in their order */
        pthread_cond_t changed; /* one of them has ended */
};

int brood_pool_imap(BroodPool *pool, BroodFunction function, BroodNext next, void *context,
                    size_t chunk, int ordered, BroodImap **ret)
{
        WireFunction name;
        BroodImap *m;

        if (!function || !function_write(&name, function, pool->method))
                return -ENOENT;
        if (!pool_is_ours(pool))
                return -ECHILD;
        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        *m = (BroodImap){ .pool = pool, .function = function, .next = next, .context = context,
                          .chunk = MAX(chunk, (size_t)1), .ordered = ordered };
        list_init(&m->batches);
        cond_init(&m->changed);
        pool_lock(pool);
        if (!pool->closing) {
                pool->users++;
                pool->imaps++;
                *ret = MOVE_PTR(m);
        }
        pool_unlock(pool);
        if (!m)
                return 0;
        (void)pthread_cond_destroy(&m->changed);
        free(m);
        return -ESHUTDOWN;
}

/* There are no more inputs: the pool may end when the tasks have. */
static void end_inputs(BroodImap *m, int r)
{
        m->ended = true;
        m->end = r;
        pool_lock(m->pool);
        m->pool->imaps--;
        if (m->pool->closing)
                foreman_wake(m->pool);
        pool_unlock(m->pool);
}

/* --- inputs --- */

/* One allocation: the table, then the bytes. */
typedef struct Gathered {
        Buffer bytes;
        size_t n;
        size_t *sizes;
} Gathered;

static void gathered_clear(Gathered *g)
{
        buffer_fini(&g->bytes);
        free(g->sizes);
}

DEFINE_FINI(Gathered, gathered_clear);

static int gather(BroodImap *m, Gathered *g)
{
        g->sizes = calloc(m->chunk, sizeof(*g->sizes));
        if (!g->sizes)
                return -ENOMEM;
        while (g->n < m->chunk && !m->ended) {
                BroodBytes one = { 0 };
                int r = m->next(m->context, &one);

                if (r != 1) {
                        end_inputs(m, r > 0 ? -EINVAL : r);
                        break;
                }
                buffer_append(&g->bytes, one.data, one.size);
                g->sizes[g->n++] = one.size;
        }
        return g->bytes.failed ? -ENOMEM : 0;
}

static BroodBytes *table_of(const Gathered *g)
{
        BroodBytes *table = malloc(g->n * sizeof(*table) + buffer_len(&g->bytes));
        char *at = (char *)(table + g->n);

        if (!table)
                return NULL;
        if (buffer_len(&g->bytes))
                memcpy(at, buffer_bytes(&g->bytes), buffer_len(&g->bytes));
        for (size_t i = 0; i < g->n; i++) {
                table[i] = (BroodBytes){ at, g->sizes[i] };
                at += g->sizes[i];
        }
        return table;
}

static int start_batch(BroodImap *m, BroodBytes *table, size_t n)
{
        Batch *b;
        int r = -ENOMEM;

        pool_lock(m->pool);
        b = m->pool->terminating ? NULL : batch_new(m->pool, m->function, table, n);
        if (m->pool->terminating)
                r = -ESHUTDOWN;
        if (b) {
                b->ended = &m->changed;
                b->first = m->asked;
                r = batch_start(b, n);
        }
        if (r == 0) {
                b->owned = (BroodBytes){ table, 0 };
                list_append(&m->batches, &b->link);
                m->asked += n;
                m->ahead++;
        } else {
                batch_release(b);
                free(table);
        }
        pool_unlock(m->pool);
        return r;
}

/* What can not be handed on is the end: there are no gaps. */
static void fill(BroodImap *m)
{
        while (!m->ended && m->ahead < AHEAD * m->pool->size) {
                AUTO(gathered_clear) Gathered g = { .bytes = BUFFER_INIT };
                BroodBytes *table;
                int r = gather(m, &g);

                if (r == 0 && !g.n)
                        break;
                table = r == 0 ? table_of(&g) : NULL;
                r = table ? start_batch(m, table, g.n) : -ENOMEM;
                if (r < 0)
                        end_inputs(m, r);
        }
}

/* --- results --- */

/* A batch that has ended, and has results to give; in order: only the first. NULL: none yet. */
static Batch *ready(BroodImap *m)
{
        Batch *b;

        LIST_FOREACH(&m->batches, b, link) {
                if (!b->left)
                        return b;
                if (m->ordered)
                        break;
        }
        return NULL;
}

static Batch *wait_for_one(BroodImap *m, int64_t timeout_usec)
{
        usec_t until = clock_until(timeout_usec);
        Batch *b;

        while (!(b = ready(m)))
                if (!pool_wait(m->pool, &m->changed, until))
                        return ready(m);
        return b;
}

int brood_imap_next(BroodImap *m, int64_t timeout_usec, BroodResult *ret, size_t *ret_index)
{
        Batch *b;

        if (!pool_is_ours(m->pool))
                return -ECHILD;
        if (pool_is_foreman(m->pool))
                return -EDEADLK;
        fill(m);
        if (list_empty(&m->batches))
                return m->end;
        pool_lock(m->pool);
        b = wait_for_one(m, timeout_usec);
        if (b) {
                if (ret_index)
                        *ret_index = b->first + b->told;
                *ret = b->results[b->told];
                b->results[b->told++] = (BroodResult){ 0 };
                if (b->told == b->n) {
                        list_remove(&b->link);
                        batch_release(b);
                        m->ahead--;
                }
        }
        pool_unlock(m->pool);
        return b ? 1 : -ETIMEDOUT;
}

static bool is_of(const BroodImap *m, const Batch *batch)
{
        const Batch *b;

        LIST_FOREACH(&m->batches, b, link)
                if (b == batch)
                        return true;
        return false;
}

void brood_imap_free(BroodImap *m)
{
        BroodPool *pool;
        Chunk *c, *next;
        Batch *b;

        if (!m)
                return;
        pool = m->pool;
        if (!pool_is_ours(pool))
                return; /* nobody knows what it looks like */
        if (!m->ended)
                end_inputs(m, 0);
        pool_lock(pool);
        LIST_FOREACH_SAFE(&pool->chunks, c, next, link) {
                if (!is_of(m, c->batch))
                        continue;
                list_remove(&c->link);
                for (size_t i = 0; i < c->n; i++)
                        batch_note(c->batch, c->first + i,
                                   &(BroodResult){ .state = BROOD_TASK_CANCELLED });
                free(c);
        }
        while ((b = LIST_FIRST(&m->batches, Batch, link))) {
                list_remove(&b->link);
                b->ended = NULL;
                batch_release(b);
        }
        pool_release(pool);
        (void)pthread_cond_destroy(&m->changed);
        free(m);
}

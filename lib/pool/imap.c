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
};

int brood_pool_imap(BroodPool *pool, BroodFunction function, BroodNext next, void *context,
                    size_t chunk, int ordered, BroodImap **ret)
{
        BroodImap *m = calloc(1, sizeof(*m));

        if (!m)
                return -ENOMEM;
        *m = (BroodImap){ .pool = pool, .function = function, .next = next, .context = context,
                          .chunk = MAX(chunk, (size_t)1), .ordered = ordered };
        list_init(&m->batches);
        *ret = m;
        return 0;
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
                        m->ended = true;
                        m->end = r;
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

        (void)pthread_mutex_lock(&m->pool->mutex);
        b = m->pool->closing ? NULL : batch_new(m->pool, m->function, table, n);
        if (m->pool->closing)
                r = -ESHUTDOWN;
        if (b) {
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
        (void)pthread_mutex_unlock(&m->pool->mutex);
        return r;
}

static int fill(BroodImap *m)
{
        while (!m->ended && m->ahead < AHEAD * m->pool->size) {
                AUTO(gathered_clear) Gathered g = { .bytes = BUFFER_INIT };
                BroodBytes *table;
                int r = gather(m, &g);

                if (r < 0)
                        return r;
                if (!g.n)
                        break;
                table = table_of(&g);
                r = table ? start_batch(m, table, g.n) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        return 0;
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
        usec_t until = usec_add(clock_monotonic(), (usec_t)MAX(timeout_usec, 0));
        struct timespec t = { (time_t)(until / USEC_PER_SEC), (long)(until % USEC_PER_SEC) * 1000 };
        Batch *b;

        while (!(b = ready(m))) {
                int r = timeout_usec < 0
                                ? pthread_cond_wait(&m->pool->ended, &m->pool->mutex)
                                : pthread_cond_timedwait(&m->pool->ended, &m->pool->mutex, &t);

                if (r == ETIMEDOUT)
                        return ready(m);
        }
        return b;
}

int brood_imap_next(BroodImap *m, int64_t timeout_usec, BroodResult *ret, size_t *ret_index)
{
        Batch *b;
        int r = fill(m);

        if (list_empty(&m->batches))
                return r < 0 ? r : m->end;
        (void)pthread_mutex_lock(&m->pool->mutex);
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
        (void)pthread_mutex_unlock(&m->pool->mutex);
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
        (void)pthread_mutex_lock(&pool->mutex);
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
                batch_release(b);
        }
        (void)pthread_mutex_unlock(&pool->mutex);
        free(m);
}

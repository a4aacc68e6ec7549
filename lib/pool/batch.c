/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "pool/inside.h"

void cond_init(pthread_cond_t *cond)
{
        pthread_condattr_t steady;

        (void)pthread_condattr_init(&steady);
        (void)pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
        (void)pthread_cond_init(cond, &steady);
        (void)pthread_condattr_destroy(&steady);
}

Batch *batch_new(BroodPool *pool, BroodFunction function, const BroodBytes *inputs, size_t n)
{
        Batch *b = calloc(1, sizeof(*b));

        if (!b)
                return NULL;
        b->pool = pool;
        b->inputs = inputs;
        b->n = b->left = n;
        b->users = 1;
        list_init(&b->link);
        b->results = calloc(MAX(n, (size_t)1), sizeof(*b->results));
        if (!b->results || !function_write(&b->function, function, pool->method)) {
                free(b->results);
                free(b);
                return NULL;
        }
        cond_init(&b->own);
        b->ended = &b->own;
        return b;
}

void batch_release(Batch *b)
{
        if (!b || --b->users)
                return;
        list_remove(&b->link);
        brood_results_free(b->results, b->n);
        (void)pthread_cond_destroy(&b->own);
        free((void *)b->owned.data);
        free(b);
}

static Chunk *new_chunk(Batch *b, size_t first, size_t n)
{
        Chunk *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        list_init(&c->link);
        c->batch = b;
        c->first = first;
        c->n = n;
        return c;
}

static void drop(List *chunks)
{
        Chunk *c;

        while ((c = LIST_FIRST(chunks, Chunk, link))) {
                list_remove(&c->link);
                free(c);
        }
}

int batch_start(Batch *b, size_t chunk)
{
        List chunks = LIST_INIT(chunks);

        for (size_t first = 0; first < b->n; first += chunk) {
                Chunk *c = new_chunk(b, first, MIN(chunk, b->n - first));

                if (!c) {
                        drop(&chunks);
                        return -ENOMEM;
                }
                list_append(&chunks, &c->link);
        }
        if (b->n)
                b->users++; /* the foreman, until all have ended */
        list_splice(&b->pool->chunks, &chunks);
        foreman_feed(b->pool);
        return 0;
}

/* The callee has no lock to fear. */
static void call_back(Batch *b)
{
        BroodResult result = b->results[0];

        b->results[0] = (BroodResult){ 0 };
        pool_unlock(b->pool);
        b->callback(&result, b->context);
        pool_lock(b->pool);
}

void batch_note(Batch *b, size_t task, const BroodResult *result)
{
        b->results[task] = *result;
        b->failed += result->state != BROOD_TASK_OK;
        if (b->left == 1 && b->callback)
                call_back(b); /* it is over when that is */
        if (--b->left)
                return;
        if (b->ended)
                (void)pthread_cond_broadcast(b->ended);
        batch_release(b);
}

void chunk_return(BroodPool *pool, Chunk *c)
{
        list_prepend(&pool->chunks, &c->link);
}

void chunks_end(List *chunks, BroodTaskState state, const char *why)
{
        Chunk *c;

        while ((c = LIST_FIRST(chunks, Chunk, link))) {
                list_remove(&c->link);
                for (size_t i = 0; i < c->n; i++)
                        batch_note(c->batch, c->first + i,
                                   &(BroodResult){ .state = state, .message = strdup(why) });
                free(c);
        }
}

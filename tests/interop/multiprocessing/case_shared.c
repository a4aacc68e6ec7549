/* SPDX-License-Identifier: MIT */

/* Shared memory. */

#include "cases.h"

#include <string.h>

#include <brood/shared.h>

static BroodValue *ints(size_t n)
{
        BroodValue *v;

        MUST(brood_value_new(&v, sizeof(int), n));
        return v;
}

static int *int_at(BroodValue *v, size_t i)
{
        return brood_value_at(v, i);
}

static int set_42(BroodChild *self)
{
        *int_at(self->context, 0) = 42;
        return 0;
}

CASE(value_is_shared)
{
        BroodValue *v = ints(1);

        say("%d", *int_at(v, 0));
        ended(child(set_42, v));
        say("%d", *int_at(v, 0));
        brood_value_free(v);
}

static int copied = 1;

static int set_both(BroodChild *self)
{
        *int_at(self->context, 0) = copied = 2;
        return 0;
}

CASE(value_and_copy)
{
        BroodValue *v = ints(1);

        *int_at(v, 0) = 1;
        ended(child(set_both, v));
        say("shared %d, copied %d", *int_at(v, 0), copied);
        brood_value_free(v);
}

static int add(BroodChild *self)
{
        for (int i = 0; i < 500; i++) {
                MUST(brood_value_lock(self->context, -1));
                ++*(volatile int *)int_at(self->context, 0);
                MUST(brood_value_unlock(self->context));
        }
        return 0;
}

CASE(value_lock)
{
        BroodValue *v = ints(1);
        BroodProcess *p[4];

        for (int i = 0; i < 4; i++)
                p[i] = child(add, v);
        for (int i = 0; i < 4; i++)
                ended(p[i]);
        say("%d", *int_at(v, 0));
        brood_value_free(v);
}

static int try_lock(BroodChild *self)
{
        say("%s", word(brood_value_lock(self->context, 0)));
        return 0;
}

CASE(value_lock_is_recursive)
{
        BroodValue *v = ints(1);
        int first, second;

        first = brood_value_lock(v, -1);
        second = brood_value_lock(v, -1);
        say("%s %s", word(first), word(second));
        ended(child(try_lock, v));
        first = brood_value_unlock(v);
        second = brood_value_unlock(v);
        say("%s %s", word(first), word(second));
        say("%s", word(brood_value_unlock(v)));
        brood_value_free(v);
}

static int lock_a_while(BroodChild *self)
{
        say("%s", word(brood_value_lock(self->context, usec(0.05))));
        return 0;
}

CASE(value_lock_timeout)
{
        BroodValue *v = ints(1);

        MUST(brood_value_lock(v, -1));
        ended(child(lock_a_while, v));
        brood_value_free(v);
}

typedef struct Holder {
        BroodValue *v;
        BroodConnection *told;
} Holder;

static int hold(BroodChild *self)
{
        Holder *h = self->context;

        MUST(brood_value_lock(h->v, -1));
        MUST(brood_send(h->told, "", 0));
        return for_ever(self);
}

CASE(value_locked_by_a_dead_process)
{
        Holder h = { .v = ints(1) };
        BroodConnection *got;
        BroodProcess *p;

        MUST(brood_pipe(&got, &h.told, false));
        p = child_with(hold, &h, 1, h.told);
        MUST((int)brood_receive_into(got, (char[1]){ 0 }, 1, NULL));
        MUST(brood_process_kill(p));
        ended(p);
        say("%s", word(brood_value_lock(h.v, usec(0.5))));
        brood_value_free(h.v);
}

static int double_it(BroodChild *self)
{
        BroodValue *v;

        MUST(brood_value_open(&v, self->fds[0]));
        *int_at(v, 0) *= 2;
        brood_value_free(v);
        return 0;
}
BROOD_ENTRY(double_it)

CASE(value_by_start_method)
{
        static const BroodStartMethod methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };

        for (unsigned i = 0; i < LENGTH(methods); i++) {
                BroodValue *v = ints(1);
                int fd = brood_value_fd(v);

                *int_at(v, 0) = 1;
                ended(child_by(methods[i], "double_it", NULL, &fd, 1));
                say("%d", *int_at(v, 0));
                brood_value_free(v);
        }
}

static int square(BroodChild *self)
{
        for (size_t i = 0; i < brood_value_length(self->context); i++) {
                double *x = brood_value_at(self->context, i);

                *x *= *x;
        }
        return 0;
}

CASE(array_is_shared)
{
        BroodValue *v;
        double *x;

        MUST(brood_value_new(&v, sizeof(double), 3));
        x = brood_value_at(v, 0);
        memcpy(x, (double[]){ 0.5, 1.5, 2.5 }, 3 * sizeof(*x));
        ended(child(square, v));
        say("%.4f %.4f %.4f", x[0], x[1], x[2]);
        brood_value_free(v);
}

CASE(array_length)
{
        BroodValue *v = ints(10);
        int sum = 0;

        say("%zu", brood_value_length(v));
        for (size_t i = 0; i < 10; i++)
                sum += *int_at(v, i);
        say("%s", yes(sum == 0));
        say("%s", brood_value_at(v, 10) ? "there is something behind it" : "beyond its end");
        brood_value_free(v);
}

typedef struct Part {
        BroodValue *v;
        size_t first;
} Part;

static int increment(BroodChild *self)
{
        Part *part = self->context;

        for (size_t i = part->first; i < 1000; i += 4)
                ++*int_at(part->v, i);
        return 0;
}

CASE(array_of_elements)
{
        Part part = { .v = ints(1000) };
        BroodProcess *p[4];
        int sum = 0;

        for (int i = 0; i < 1000; i++)
                *int_at(part.v, (size_t)i) = i;
        for (; part.first < 4; part.first++)
                p[part.first] = child(increment, &part);
        for (int i = 0; i < 4; i++)
                brood_process_free(p[i]);
        for (size_t i = 0; i < 1000; i++)
                sum += *int_at(part.v, i);
        say("%d", sum);
        brood_value_free(part.v);
}

static int fill(BroodChild *self)
{
        memcpy((char *)brood_shared_data(self->context) + 99990, "hello", 5);
        return 0;
}

CASE(raw_memory)
{
        BroodShared *m;
        char *data;

        MUST(brood_shared_new(&m, 100000));
        data = brood_shared_data(m);
        say("%zu bytes, of zeros: %s", brood_shared_size(m),
            yes(data[0] == 0 && memcmp(data, data + 1, 99999) == 0));
        ended(child(fill, m));
        say("%.5s", data + 99990);
        brood_shared_free(m);
}

static bool apart(const uint64_t *blocks, const size_t *sizes, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                for (unsigned j = 0; j < n; j++)
                        if (i != j && blocks[i] <= blocks[j] && blocks[j] < blocks[i] + sizes[i])
                                return false;
        return true;
}

CASE(heap_blocks)
{
        static const size_t sizes[] = { 1, 100, 1000, 5000 };
        uint64_t blocks[LENGTH(sizes)], again;
        BroodHeap *h;

        MUST(brood_heap_new(&h, 1 << 16));
        for (unsigned i = 0; i < LENGTH(sizes); i++) {
                MUST(brood_heap_alloc(h, sizes[i], &blocks[i]));
                memset(brood_heap_at(h, blocks[i]), (int)i, sizes[i]);
        }
        say("apart: %s", yes(apart(blocks, sizes, LENGTH(sizes))));
        say("large enough: %s", yes(*(char *)brood_heap_at(h, blocks[3]) == 3));
        MUST(brood_heap_release(h, blocks[1]));
        MUST(brood_heap_alloc(h, 100, &again));
        say("used again: %s", yes(again == blocks[1]));
        brood_heap_free(h);
}

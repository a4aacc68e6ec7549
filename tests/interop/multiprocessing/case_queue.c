/* SPDX-License-Identifier: MIT */

/* Queues. Those that Python's cases leave without bounds have room for a mebibyte here. */

#include "cases.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <brood/queue.h>

static BroodQueue *queue(size_t max)
{
        BroodQueue *q;

        MUST(brood_queue_new(&q, max, 0));
        return q;
}

static int put(BroodQueue *q, int n, double timeout)
{
        return brood_queue_put(q, &n, sizeof(n), timeout < 0 ? -1 : usec(timeout));
}

static int put_text(BroodQueue *q, const char *text)
{
        return brood_queue_put(q, text, strlen(text), -1);
}

/* The number, or what went wrong, which is negative. */
static int get(BroodQueue *q, double timeout)
{
        int n = -1, r;

        r = brood_queue_get_into(q, &n, sizeof(n), NULL, timeout < 0 ? -1 : usec(timeout));
        return r < 0 ? r : n;
}

static void say_text(BroodQueue *q, double timeout)
{
        void *text;
        size_t size;
        int r = brood_queue_get(q, &text, &size, timeout < 0 ? -1 : usec(timeout));

        say("%s", r < 0 ? word(r) : (char *)text);
        if (r == 0)
                free(text);
}

/* As Python has it, where a closed queue is a ValueError. */
static const char *word_of(int r)
{
        return r == -EPIPE ? "refused" : word(r >= 0 ? 0 : r);
}

/* Context of all children here. */
typedef struct Queues {
        BroodQueue *q, *back;
        int number;
} Queues;

static int put_thousand(BroodChild *self)
{
        for (int i = 0; i < 1000; i++)
                MUST(put(self->context, i, -1));
        return 0;
}

CASE(queue_order)
{
        BroodQueue *q = queue(0);
        BroodProcess *p = child(put_thousand, q);
        bool good = true;

        for (int i = 0; i < 1000; i++)
                good = get(q, -1) == i && good;
        say("in order: %s", yes(good));
        ended(p);
}

CASE(queue_full)
{
        BroodQueue *q = queue(2);
        int first, second;

        first = put(q, 1, -1);
        second = put(q, 2, -1);
        say("%s %s", word(first), word(second));
        say("%s", word(put(q, 3, 0)));
        say("%s", word(put(q, 3, 0.05)));
        say("%d", get(q, -1));
        say("%s", word(put(q, 3, 5)));
        first = get(q, -1);
        second = get(q, -1);
        say("%d %d", first, second);
}

CASE(queue_empty)
{
        BroodQueue *q = queue(0);

        say("%s", word(get(q, 0)));
        say("%s", word(get(q, 0.05)));
        MUST(put(q, 1, -1));
        say("%d", get(q, 5));
        say("%s", word(get(q, 0)));
}

CASE(queue_size)
{
        BroodQueue *q = queue(0);

        say("%zu", brood_queue_size(q));
        for (int i = 0; i < 3; i++)
                MUST(put(q, i, -1));
        say("%zu", brood_queue_size(q));
        MUST(get(q, -1));
        say("%zu", brood_queue_size(q));
}

CASE(queue_values)
{
        static const char *const texts[] = {
                "{\"a\":[1,2.5,true,null],\"b\":{\"c\":\"ü€\"}}", "[]", "\"text\"", "42", "null",
        };
        BroodQueue *q = queue(0);

        for (unsigned i = 0; i < LENGTH(texts); i++) {
                json_t *value = json_loads(texts[i], JSON_DECODE_ANY, NULL), *back;
                char *text;

                MUST(brood_queue_put_json(q, value, -1));
                MUST(brood_queue_get_json(q, &back, -1));
                text = json_dumps(back, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
                say("%s", text);
                free(text);
                json_decref(value);
                json_decref(back);
        }
}

enum { LARGE = 300000, LARGER = 500000 };

static int put_large(BroodChild *self)
{
        char *element = malloc(LARGE);

        for (int i = 0; i < 20; i++) {
                memset(element, 'A' + i, LARGE);
                MUST(brood_queue_put(self->context, element, LARGE, -1));
        }
        free(element);
        return 0;
}

CASE(queue_large_elements)
{
        BroodQueue *q = queue(0);
        BroodProcess *p = child(put_large, q);

        for (int i = 0; i < 20; i++) {
                void *element;
                size_t size;
                char *e;

                MUST(brood_queue_get(q, &element, &size, -1));
                e = element;
                say("%zu %c %s", size, e[0], yes(memcmp(e, e + 1, size - 1) == 0));
                free(element);
        }
        ended(p);
}

CASE(queue_too_large_element)
{
        BroodQueue *q = queue(0);
        char *element = calloc(1, 2 << 20);

        say("%s", word(brood_queue_put(q, element, 2 << 20, -1)));
        free(element);
}

static int put_late(BroodChild *self)
{
        nap(0.2);
        return put_text(self->context, "late");
}

CASE(queue_get_wakes)
{
        BroodQueue *q = queue(0);
        BroodProcess *p = child(put_late, q);

        say_text(q, 20);
        ended(p);
}

static int get_one(BroodChild *self)
{
        void *element;
        int r = brood_queue_get(self->context, &element, &(size_t){ 0 }, -1);

        if (r == 0)
                free(element);
        return r;
}

static int get_late(BroodChild *self)
{
        nap(0.2);
        return get_one(self);
}

CASE(queue_put_wakes)
{
        BroodQueue *q = queue(1);
        BroodProcess *p;

        MUST(put_text(q, "first"));
        p = child(get_late, q);
        say("%s", word(brood_queue_put(q, "second", 6, usec(20))));
        ended(p);
        say_text(q, -1);
}

static int put_pairs(BroodChild *self)
{
        Queues *c = self->context;

        for (int i = 0; i < 200; i++)
                MUST(put(c->q, c->number * 1000 + i, -1));
        return 0;
}

CASE(queue_many_producers)
{
        Queues c = { .q = queue(10) };
        int last[3] = { -1, -1, -1 };
        BroodProcess *p[3];
        bool in_order = true;

        for (int i = 0; i < 3; i++) {
                c.number = i;
                p[i] = child(put_pairs, &c);
        }
        for (int k = 0; k < 600; k++) {
                int pair = get(c.q, -1), number = pair / 1000, i = pair % 1000;

                in_order = in_order && i == last[number] + 1;
                last[number] = i;
        }
        say("each in order: %s, the last %d %d %d", yes(in_order), last[0], last[1], last[2]);
        say("%zu", brood_queue_size(c.q));
        for (int i = 0; i < 3; i++)
                ended(p[i]);
}

static int sum_up(BroodChild *self)
{
        Queues *c = self->context;
        int n, total = 0;

        while ((n = get(c->q, -1)) != 9999)
                total += n;
        return put(c->back, total, -1);
}

CASE(queue_many_consumers)
{
        Queues c = { .q = queue(10), .back = queue(0) };
        BroodProcess *p[3];
        int total = 0;

        for (int i = 0; i < 3; i++)
                p[i] = child(sum_up, &c);
        for (int i = 0; i < 500; i++)
                MUST(put(c.q, i, -1));
        for (int i = 0; i < 3; i++)
                MUST(put(c.q, 9999, -1));
        for (int i = 0; i < 3; i++)
                total += get(c.back, -1);
        say("%d", total);
        for (int i = 0; i < 3; i++)
                ended(p[i]);
}

static int put_hello(BroodChild *self)
{
        BroodQueue *q;

        MUST(brood_queue_open(&q, self->fds[0]));
        MUST(put_text(q, "hello"));
        brood_queue_free(q);
        return 0;
}
BROOD_ENTRY(put_hello)

CASE(queue_by_start_method)
{
        static const BroodStartMethod methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };
        BroodQueue *q = queue(0);
        int fd = brood_queue_fd(q);

        for (unsigned i = 0; i < LENGTH(methods); i++) {
                ended(child_by(methods[i], "put_hello", NULL, &fd, 1));
                say_text(q, -1);
        }
}

static int answer(BroodChild *self)
{
        Queues *c = self->context;
        int n;

        while ((n = get(c->q, -1)) < 500)
                MUST(put(c->back, n + 1, -1));
        return 0;
}

CASE(queue_there_and_back)
{
        Queues c = { .q = queue(1), .back = queue(1) };
        BroodProcess *p = child(answer, &c);
        int n = 0;

        while (n < 500) {
                MUST(put(c.q, n, -1));
                n = get(c.back, -1);
        }
        MUST(put(c.q, n, -1));
        say("%d", n);
        ended(p);
}

/* --- its end --- */

CASE(queue_put_after_close)
{
        BroodQueue *q = queue(0);

        brood_queue_close(q);
        say("%s", word_of(put(q, 1, -1)));
}

CASE(queue_get_after_close)
{
        BroodQueue *q = queue(0);

        MUST(put(q, 1, -1));
        brood_queue_close(q);
        say("%s", word_of(get(q, 5)));
        say("%s", word_of(get(q, 5)));
}

static int close_it(BroodChild *self)
{
        brood_queue_close(self->context);
        return 0;
}

CASE(queue_closed_by_another)
{
        BroodQueue *q = queue(0);

        ended(child(close_it, q));
        say("%s", word_of(put(q, 1, -1)));
}

/* --- deaths --- */

CASE(queue_getter_terminated)
{
        BroodProcess *p = child(get_one, queue(0));

        nap(0.3);
        MUST(brood_process_terminate(p));
        ended(p);
}

CASE(queue_after_a_terminated_getter)
{
        BroodQueue *q = queue(0);
        BroodProcess *p = child(get_one, q);

        nap(0.3);
        MUST(brood_process_terminate(p));
        MUST(brood_process_join(p, -1));
        MUST(put_text(q, "hello"));
        say("%s", word_of(brood_queue_get_into(q, (char[8]){ 0 }, 8, NULL, usec(1))));
}

static int put_two(BroodChild *self)
{
        return put(self->context, 2, -1);
}

CASE(queue_putter_killed_while_full)
{
        BroodQueue *q = queue(1);
        BroodProcess *p;

        MUST(put(q, 1, -1));
        p = child(put_two, q);
        nap(0.2);
        MUST(brood_process_kill(p));
        ended(p);
        say("%d", get(q, -1));
        say("%s", word(put(q, 3, 5)));
        say("%d", get(q, -1));
}

static int put_larger(BroodChild *self)
{
        char *element = calloc(1, LARGER);

        MUST(brood_queue_put(self->context, element, LARGER, -1));
        free(element);
        return 0;
}

static int put_larger_and_die(BroodChild *self)
{
        put_larger(self);
        return raise(SIGKILL);
}

CASE(queue_element_of_a_killed_process)
{
        BroodQueue *q = queue(0);

        ended(child(put_larger_and_die, q));
        say("%s", ends_within(child(get_one, q), 1) ? "it is there" : "nothing comes");
}

CASE(queue_of_a_process_that_ends)
{
        say("it has ended: %s", yes(ends_within(child(put_larger, queue(0)), 1)));
}

/* --- done --- */

static int work(BroodChild *self)
{
        for (int i = 0; i < 3; i++) {
                MUST(get(self->context, -1));
                nap(0.1);
                say("done");
                MUST(brood_queue_done(self->context));
        }
        return 0;
}

CASE(joinable_waits)
{
        BroodQueue *q = queue(0);
        BroodProcess *p = child(work, q);

        for (int i = 0; i < 3; i++)
                MUST(put(q, i, -1));
        MUST(brood_queue_join(q, -1));
        say("joined");
        ended(p);
}

CASE(joinable_of_nothing)
{
        MUST(brood_queue_join(queue(0), -1));
        say("joined");
}

CASE(joinable_done_too_often)
{
        BroodQueue *q = queue(0);

        say("%s", word(brood_queue_done(q)));
        MUST(put(q, 1, -1));
        MUST(get(q, -1));
        say("%s", word(brood_queue_done(q)));
        say("%s", word(brood_queue_done(q)));
}

static int join_it(BroodChild *self)
{
        return brood_queue_join(self->context, -1);
}

CASE(joinable_got_is_not_done)
{
        BroodQueue *q = queue(0);
        BroodProcess *p;

        MUST(put(q, 1, -1));
        p = child(join_it, q);
        MUST(get(q, -1));
        (void)brood_process_join(p, usec(0.2));
        say("joined: %s", yes(!brood_process_is_alive(p)));
        MUST(brood_queue_done(q));
        ended(p);
}

typedef struct Consumer {
        BroodQueue *q;
        BroodConnection *told;
} Consumer;

static int get_and_stay(BroodChild *self)
{
        Consumer *c = self->context;

        MUST(get(c->q, -1));
        MUST(brood_send(c->told, "", 0));
        return for_ever(self);
}

CASE(joinable_of_a_dead_consumer)
{
        Consumer c = { .q = queue(0) };
        BroodConnection *got;
        BroodProcess *p;

        MUST(brood_pipe(&got, &c.told, false));
        p = child_with(get_and_stay, &c, 1, c.told);
        MUST(put(c.q, 1, -1));
        MUST((int)brood_receive_into(got, (char[1]){ 0 }, 1, NULL));
        MUST(brood_process_kill(p));
        ended(p);
        say("joined: %s", yes(ends_within(child(join_it, c.q), 1)));
}

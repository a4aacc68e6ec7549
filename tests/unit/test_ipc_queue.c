/* SPDX-License-Identifier: MIT */

/* Queues between threads and processes that come and die. */

#include <brood/queue.h>

#include <pthread.h>

#include "ipc_rig.h"

static BroodQueue *make(size_t elements, size_t bytes)
{
        BroodQueue *q;

        assert_int_equal(brood_queue_new(&q, elements, bytes), 0);
        return q;
}

static void put(BroodQueue *q, const char *text)
{
        assert_int_equal(brood_queue_put(q, text, strlen(text), 0), 0);
}

static void expect(BroodQueue *q, const char *text)
{
        size_t size = 0;
        void *bytes;

        assert_int_equal(brood_queue_get(q, &bytes, &size, 0), 0);
        assert_int_equal(size, strlen(text));
        assert_string_equal(bytes, text); /* with the 0 byte behind it */
        free(bytes);
}

static int get_nothing(BroodQueue *q, int64_t timeout)
{
        size_t size = 0;
        void *bytes = NULL;
        int r = brood_queue_get(q, &bytes, &size, timeout);

        assert_null(bytes);
        return r;
}

/* --- order and bounds --- */

static void gives_in_the_order_of_the_puts(void **state)
{
        BroodQueue *q = make(0, 0);
        char text[16];

        for (int i = 0; i < 1000; i++) {
                (void)snprintf(text, sizeof(text), "%d", i);
                put(q, text);
        }
        assert_int_equal(brood_queue_size(q), 1000);
        for (int i = 0; i < 1000; i++) {
                (void)snprintf(text, sizeof(text), "%d", i);
                expect(q, text);
        }
        assert_int_equal(brood_queue_size(q), 0);
        assert_int_equal(get_nothing(q, 0), -ETIMEDOUT);
        brood_queue_free(q);
        brood_queue_free(NULL);
}

static void elements_of_all_sizes_go_around_the_ring(void **state)
{
        const size_t room = 1024;
        BroodQueue *q = make(0, room);
        char bytes[1024], found[1024];
        size_t size = 0;

        for (size_t i = 0; i < 5000; i++) {
                size_t n = i * 7 % (room - 8 + 1);

                for (size_t k = 0; k < n; k++)
                        bytes[k] = (char)(i + k);
                assert_int_equal(brood_queue_put(q, n ? bytes : NULL, n, 0), 0);
                assert_int_equal(brood_queue_get_into(q, n ? found : NULL, n, &size, 0), 0);
                assert_int_equal(size, n);
                assert_memory_equal(found, bytes, n);
        }
        brood_queue_free(q);
}

static void is_full_at_its_elements(void **state)
{
        BroodQueue *q = make(2, 0);

        put(q, "a");
        put(q, "b");
        assert_int_equal(brood_queue_put(q, "c", 1, 0), -ETIMEDOUT);
        assert_int_equal(brood_queue_put(q, "c", 1, A_WHILE), -ETIMEDOUT);
        expect(q, "a");
        put(q, "c");
        expect(q, "b");
        expect(q, "c");
        brood_queue_free(q);
}

static void is_full_at_its_bytes(void **state)
{
        BroodQueue *q = make(0, 61); /* 64 */
        char bytes[64] = { 0 };

        assert_int_equal(brood_queue_put(q, bytes, 57, -1), -EMSGSIZE);
        assert_int_equal(brood_queue_put(q, bytes, SIZE_MAX, -1), -EMSGSIZE);
        assert_int_equal(brood_queue_put(q, bytes, SIZE_MAX - 9, -1), -EMSGSIZE);
        assert_int_equal(brood_queue_put(q, bytes, 56, 0), 0);
        assert_int_equal(brood_queue_put(q, bytes, 0, 0), -ETIMEDOUT);
        assert_int_equal(brood_queue_get_into(q, bytes, sizeof(bytes), NULL, 0), 0);
        for (int i = 0; i < 8; i++)
                assert_int_equal(brood_queue_put(q, bytes, 0, 0), 0);
        assert_int_equal(brood_queue_put(q, bytes, 0, 0), -ETIMEDOUT);
        assert_int_equal(brood_queue_size(q), 8);
        brood_queue_free(q);
        assert_int_equal(brood_queue_new(&q, 0, SIZE_MAX), -EINVAL);
}

static void eight_mebibytes_are_one_element(void **state)
{
        const size_t size = 8 << 20;
        BroodQueue *q = make(0, size + 8);
        char *bytes = malloc(size);
        size_t found_size = 0;
        void *found;

        for (size_t i = 0; i < size; i++)
                bytes[i] = (char)(i * 31 >> 7);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(brood_queue_put(q, bytes, size, 0), 0);
                assert_int_equal(brood_queue_get(q, &found, &found_size, 0), 0);
                assert_int_equal(found_size, size);
                assert_memory_equal(found, bytes, size);
                free(found);
        }
        free(bytes);
        brood_queue_free(q);
}

static void what_has_no_room_stays(void **state)
{
        BroodQueue *q = make(0, 0);
        size_t size = 0;
        char to[4];

        put(q, "hello");
        assert_int_equal(brood_queue_get_into(q, to, sizeof(to), &size, 0), -EMSGSIZE);
        assert_int_equal(size, 5);
        assert_int_equal(brood_queue_size(q), 1);
        expect(q, "hello");
        brood_queue_free(q);
}

static void is_json_too(void **state)
{
        json_t *value = json_pack("{s:[i,n,s%]}", "a", 1, "nul\0 within", (size_t)11), *found;
        BroodQueue *q = make(0, 0);

        assert_int_equal(brood_queue_put_json(q, value, 0), 0);
        assert_int_equal(brood_queue_get_json(q, &found, 0), 0);
        assert_true(json_equal(found, value));
        json_decref(found);
        json_decref(value);
        assert_int_equal(brood_queue_put_json(q, json_true(), 0), 0);
        assert_int_equal(brood_queue_get_json(q, &found, 0), 0);
        assert_true(json_is_true(found));
        assert_int_equal(brood_queue_put_json(q, NULL, 0), -EINVAL);
        put(q, "{no json");
        assert_int_equal(brood_queue_get_json(q, &found, 0), -EPROTO);
        assert_int_equal(brood_queue_get_json(q, &found, 0), -ETIMEDOUT);
        brood_queue_free(q);
}

static void waits_as_long_as_it_should(void **state)
{
        static const int64_t waits[] = { 1, 30000, 250000 };
        BroodQueue *q = make(1, 0);

        for (size_t i = 0; i < ELEMENTS(waits); i++) {
                usec_t began = clock_monotonic(), took;

                assert_int_equal(get_nothing(q, waits[i]), -ETIMEDOUT);
                took = clock_monotonic() - began;
                assert_true(took >= (usec_t)waits[i] && took < (usec_t)waits[i] + LONG);
        }
        brood_queue_free(q);
}

/* --- close --- */

static void a_closed_one_is_drained(void **state)
{
        BroodQueue *q = make(0, 0);

        put(q, "a");
        put(q, "b");
        brood_queue_close(q);
        brood_queue_close(q);
        assert_int_equal(brood_queue_put(q, "c", 1, -1), -EPIPE);
        expect(q, "a");
        expect(q, "b");
        assert_int_equal(get_nothing(q, -1), -EPIPE);
        brood_queue_free(q);
}

static void *close_later(void *context)
{
        usleep(A_WHILE);
        brood_queue_close(context);
        return NULL;
}

static void a_close_ends_every_wait(void **state)
{
        BroodQueue *empty = make(0, 0), *full = make(1, 0);
        pthread_t thread;

        put(full, "a");
        assert_int_equal(pthread_create(&thread, NULL, close_later, empty), 0);
        assert_int_equal(get_nothing(empty, LONG), -EPIPE);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(pthread_create(&thread, NULL, close_later, full), 0);
        assert_int_equal(brood_queue_put(full, "b", 1, LONG), -EPIPE);
        assert_int_equal(pthread_join(thread, NULL), 0);
        brood_queue_free(empty);
        brood_queue_free(full);
}

static void close_it(void *context)
{
        brood_queue_close(context);
}

static void it_is_closed_for_all(void **state)
{
        BroodQueue *q = make(0, 0);

        in_child(close_it, q);
        assert_int_equal(brood_queue_put(q, "a", 1, -1), -EPIPE);
        brood_queue_free(q);
}

/* --- join --- */

static void all_that_was_got_has_to_be_done(void **state)
{
        BroodQueue *q = make(0, 0);

        assert_int_equal(brood_queue_join(q, 0), 0);
        assert_int_equal(brood_queue_done(q), -EPERM);
        put(q, "a");
        put(q, "b");
        assert_int_equal(brood_queue_join(q, 0), -ETIMEDOUT);
        expect(q, "a");
        expect(q, "b");
        assert_int_equal(brood_queue_join(q, A_WHILE), -ETIMEDOUT);
        assert_int_equal(brood_queue_done(q), 0);
        assert_int_equal(brood_queue_join(q, 0), -ETIMEDOUT);
        assert_int_equal(brood_queue_done(q), 0);
        assert_int_equal(brood_queue_done(q), -EPERM);
        assert_int_equal(brood_queue_join(q, -1), 0);
        brood_queue_free(q);
}

static void *done_later(void *context)
{
        usleep(A_WHILE);
        assert_int_equal(brood_queue_done(context), 0);
        return NULL;
}

static void say_done(void *context)
{
        CLAIM(brood_queue_done(context) == 0);
}

static void a_join_ends_when_another_is_done(void **state)
{
        BroodQueue *q = make(0, 0);
        pthread_t thread;

        put(q, "a");
        expect(q, "a");
        assert_int_equal(pthread_create(&thread, NULL, done_later, q), 0);
        assert_int_equal(brood_queue_join(q, LONG), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        put(q, "b");
        expect(q, "b");
        in_child(say_done, q); /* for us */
        assert_int_equal(brood_queue_join(q, 0), 0);
        brood_queue_free(q);
}

static void get_one(void *context)
{
        char to[16];

        CLAIM(brood_queue_get_into(context, to, sizeof(to), NULL, LONG) == 0);
}

static void get_one_and_die(void *context)
{
        get_one(context);
        die();
}

static void get_one_and_forget_it(void *context)
{
        get_one(context);
        brood_queue_free(context);
}

static void what_the_dead_had_counts_as_done(void **state)
{
        static const Body ends[] = { get_one, get_one_and_forget_it };
        BroodQueue *q = make(0, 0);

        put(q, "a");
        must_be_killed(child(get_one_and_die, q));
        assert_int_equal(brood_queue_join(q, LONG), 0);
        assert_int_equal(brood_queue_done(q), -EPERM);
        for (size_t i = 0; i < ELEMENTS(ends); i++) {
                put(q, "b");
                in_child(ends[i], q);
                assert_int_equal(brood_queue_join(q, LONG), 0);
        }
        brood_queue_free(q);
}

/* --- processes --- */

static void open_and_echo(void *context)
{
        BroodConnection *c = context;
        unsigned fds = count_fds();
        size_t size = 0;
        BroodQueue *q;
        void *bytes;

        CLAIM(brood_queue_open(&q, receive_fd(c)) == 0);
        CLAIM(brood_queue_get(q, &bytes, &size, LONG) == 0);
        CLAIM(size == 4 && memcmp(bytes, "ping", 4) == 0);
        CLAIM(brood_queue_done(q) == 0);
        free(bytes);
        CLAIM(brood_queue_put(q, "pong", 4, LONG) == 0);
        brood_queue_free(q);
        CLAIM(count_fds() == fds);
}

static void is_handed_on_as_a_descriptor(void **state)
{
        unsigned fds = count_fds();
        BroodConnection *ours, *theirs;
        BroodQueue *q;
        pid_t pid;

        assert_int_equal(brood_pipe(&ours, &theirs, 1), 0);
        pid = child(open_and_echo, theirs);
        q = make(3, 0);
        send_fd(ours, brood_queue_fd(q));
        put(q, "ping");
        must_end_well(pid);
        expect(q, "pong");
        brood_queue_free(q);
        brood_connection_free(ours);
        brood_connection_free(theirs);
        assert_int_equal(count_fds(), fds);
}

/* An element of a producer: who, and its how manieth. */
typedef struct Item {
        uint32_t producer, number;
} Item;

enum { PRODUCERS = 3, CONSUMERS = 3, ITEMS = 3000 };

typedef struct Market {
        BroodQueue *q;
        unsigned producer;
        uint8_t *seen; /* shared: PRODUCERS × ITEMS */
} Market;

static void produce(void *context)
{
        Market *market = context;

        for (uint32_t i = 0; i < ITEMS; i++) {
                Item item = { market->producer, i };

                CLAIM(brood_queue_put(market->q, &item, sizeof(item), LONG) == 0);
        }
}

static void consume(void *context)
{
        Market *market = context;
        uint32_t next[PRODUCERS] = { 0 };
        Item item;
        int r;

        while ((r = brood_queue_get_into(market->q, &item, sizeof(item), NULL, LONG)) == 0) {
                CLAIM(item.producer < PRODUCERS && item.number < ITEMS);
                CLAIM(item.number >= next[item.producer]); /* in the order of its puts */
                next[item.producer] = item.number + 1;
                CLAIM(!__atomic_fetch_add(&market->seen[item.producer * ITEMS + item.number], 1,
                                          __ATOMIC_SEQ_CST));
                CLAIM(brood_queue_done(market->q) == 0);
        }
        CLAIM(r == -EPIPE);
}

static void many_put_and_many_get_each_element_once(void **state)
{
        Market market = { make(10, 0), 0, common(PRODUCERS * ITEMS) };
        pid_t producers[PRODUCERS], consumers[CONSUMERS];

        for (unsigned i = 0; i < CONSUMERS; i++)
                consumers[i] = child(consume, &market);
        for (unsigned i = 0; i < PRODUCERS; i++) {
                market.producer = i;
                producers[i] = child(produce, &market);
        }
        for (unsigned i = 0; i < PRODUCERS; i++)
                must_end_well(producers[i]);
        assert_int_equal(brood_queue_join(market.q, LONG), 0);
        brood_queue_close(market.q);
        for (unsigned i = 0; i < CONSUMERS; i++)
                must_end_well(consumers[i]);
        for (size_t i = 0; i < PRODUCERS * ITEMS; i++)
                assert_int_equal(market.seen[i], 1);
        munmap(market.seen, PRODUCERS * ITEMS);
        brood_queue_free(market.q);
}

static void wait_for_one(void *context)
{
        get_one(context);
}

static void a_killed_getter_holds_up_nobody(void **state)
{
        BroodQueue *q = make(0, 0);
        pid_t dead = child(wait_for_one, q), other;

        usleep(A_WHILE);
        other = child(wait_for_one, q);
        kill_child(dead);
        put(q, "a");
        must_end_well(other);
        assert_int_equal(brood_queue_size(q), 0);
        brood_queue_free(q);
}

static void use_it(void *context)
{
        char to[8];

        CLAIM(brood_queue_put(context, "abc", 3, LONG) == 0);
        CLAIM(brood_queue_get_into(context, to, sizeof(to), NULL, LONG) == 0);
        CLAIM(brood_queue_done(context) == 0);
}

typedef struct Busy {
        BroodQueue *q;
        bool stop;
} Busy;

static void *use_it_all_the_time(void *context)
{
        Busy *busy = context;

        while (!__atomic_load_n(&busy->stop, __ATOMIC_RELAXED))
                use_it(busy->q);
        return NULL;
}

static void a_fork_amid_an_operation_of_another_thread_works(void **state)
{
        Busy busy = { make(0, 0), false };
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, use_it_all_the_time, &busy), 0);
        for (int i = 0; i < 50; i++)
                in_child(use_it, busy.q);
        __atomic_store_n(&busy.stop, true, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(brood_queue_join(busy.q, LONG), 0);
        assert_int_equal(brood_queue_size(busy.q), 0);
        brood_queue_free(busy.q);
}

/* --- what is opened --- */

/* The words that follow the table of members, as queue.c has them: the memory of a queue that
 * somebody has written over must not take along who opens it. */
static void what_is_no_queue_is_refused(void **state)
{
        unsigned fds = count_fds();
        BroodQueue *q = make(0, 0), *other = NULL;
        int fd = duplicate(brood_queue_fd(q));
        size_t size = (size_t)lseek(fd, 0, SEEK_END);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        unsigned refused = 0;

        assert_true(memory != MAP_FAILED);
        assert_int_equal(brood_queue_open(&other, memfd_create("other", 0)), -EBADMSG);
        assert_int_equal(brood_queue_open(&other, -1), -EBADF);
        for (size_t at = 0; at < 4096; at += 8) { /* each word of its head, but the lock and those
                                                     that wait */
                uint64_t saved, wild = 0xfffffffffffffff1;

                if (at >= 8 && at < 64)
                        continue;
                memcpy(&saved, memory + at, 8);
                memcpy(memory + at, &wild, 8);
                if (brood_queue_open(&other, dup(fd)) == -EBADMSG) {
                        refused++;
                } else {
                        char to[8];

                        (void)brood_queue_get_into(other, to, sizeof(to), NULL, 0);
                        (void)brood_queue_put(other, to, sizeof(to), 0);
                        (void)brood_queue_get_into(other, to, sizeof(to), NULL, 0);
                        brood_queue_free(other);
                }
                memcpy(memory + at, &saved, 8);
        }
        assert_true(refused >= 4);
        munmap(memory, size);
        close(fd);
        brood_queue_free(q);
        assert_int_equal(count_fds(), fds);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gives_in_the_order_of_the_puts),
                cmocka_unit_test(elements_of_all_sizes_go_around_the_ring),
                cmocka_unit_test(is_full_at_its_elements),
                cmocka_unit_test(is_full_at_its_bytes),
                cmocka_unit_test(eight_mebibytes_are_one_element),
                cmocka_unit_test(what_has_no_room_stays),
                cmocka_unit_test(is_json_too),
                cmocka_unit_test(waits_as_long_as_it_should),
                cmocka_unit_test(a_closed_one_is_drained),
                cmocka_unit_test(a_close_ends_every_wait),
                cmocka_unit_test(it_is_closed_for_all),
                cmocka_unit_test(all_that_was_got_has_to_be_done),
                cmocka_unit_test(a_join_ends_when_another_is_done),
                cmocka_unit_test(what_the_dead_had_counts_as_done),
                cmocka_unit_test(is_handed_on_as_a_descriptor),
                cmocka_unit_test(many_put_and_many_get_each_element_once),
                cmocka_unit_test(a_killed_getter_holds_up_nobody),
                cmocka_unit_test(a_fork_amid_an_operation_of_another_thread_works),
                cmocka_unit_test(what_is_no_queue_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

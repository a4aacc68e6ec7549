/* SPDX-License-Identifier: MIT */

/* Blocks of shared memory. What lies before a block, and between blocks, is known here (16 bytes:
 * a size, and where the block before it is): tests write over it, and stop in the middle of it. */

#include <brood/semaphore.h>
#include <brood/shared.h>

#include <pthread.h>

#include "ipc_rig.h"

static BroodHeap *make(size_t size)
{
        BroodHeap *h;

        assert_int_equal(brood_heap_new(&h, size), 0);
        return h;
}

static uint64_t take(BroodHeap *h, size_t size)
{
        uint64_t block = 0;

        assert_int_equal(brood_heap_alloc(h, size, &block), 0);
        assert_true(block > 0 && block % 16 == 0);
        assert_non_null(brood_heap_at(h, block));
        return block;
}

static void expect_all_free(BroodHeap *h, size_t size)
{
        uint64_t block;

        assert_int_equal(brood_heap_used(h), 0);
        block = take(h, size - 16); /* in one piece */
        assert_int_equal(brood_heap_release(h, block), 0);
}

static void blocks_are_zeros_and_apart(void **state)
{
        static const size_t sizes[] = { 0, 1, 15, 16, 17, 100, 4096, 10000 };
        BroodHeap *h = make(1 << 16);
        uint64_t blocks[ELEMENTS(sizes)];

        for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                        unsigned char *at;

                        blocks[i] = take(h, sizes[i]);
                        at = brood_heap_at(h, blocks[i]);
                        assert_int_equal((uintptr_t)at % 16, 0);
                        for (size_t k = 0; k < sizes[i]; k++)
                                assert_int_equal(at[k], 0);
                        memset(at, (int)i + 1, sizes[i]);
                }
                for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                        unsigned char *at = brood_heap_at(h, blocks[i]);

                        for (size_t k = 0; k < sizes[i]; k++)
                                assert_int_equal(at[k], i + 1);
                        assert_int_equal(brood_heap_release(h, blocks[i]), 0);
                }
                expect_all_free(h, 1 << 16);
        }
        brood_heap_free(h);
        brood_heap_free(NULL);
}

static void a_heap_has_its_size_and_no_more(void **state)
{
        BroodHeap *h = NULL;
        uint64_t block = 0;

        assert_int_equal(brood_heap_new(&h, 0), -EINVAL);
        assert_int_equal(brood_heap_new(&h, SIZE_MAX), -ENOMEM);
        assert_null(h);
        h = make(1);
        (void)take(h, 16);
        assert_int_equal(brood_heap_alloc(h, 0, &block), -ENOMEM);
        brood_heap_free(h);
        h = make(4096);
        assert_int_equal(brood_heap_alloc(h, 4081, &block), -ENOMEM);
        assert_int_equal(brood_heap_alloc(h, SIZE_MAX, &block), -ENOMEM);
        assert_int_equal(brood_heap_alloc(h, SIZE_MAX - 40, &block), -ENOMEM);
        assert_int_equal(block, 0);
        block = take(h, 4080);
        assert_int_equal(brood_heap_used(h), 4096);
        assert_int_equal(brood_heap_alloc(h, 0, &block), -ENOMEM);
        assert_int_equal(brood_heap_release(h, block), 0);
        for (int i = 0; i < 128; i++)
                (void)take(h, 16);
        assert_int_equal(brood_heap_alloc(h, 0, &block), -ENOMEM);
        brood_heap_free(h);
}

static void neighbours_become_one_in_any_order(void **state)
{
        static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                         { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
        BroodHeap *h = make(3 * 1024);

        for (size_t i = 0; i < ELEMENTS(orders); i++) {
                uint64_t blocks[3];

                for (int k = 0; k < 3; k++)
                        blocks[k] = take(h, 1008);
                for (int k = 0; k < 3; k++)
                        assert_int_equal(brood_heap_release(h, blocks[orders[i][k]]), 0);
                expect_all_free(h, 3 * 1024);
        }
        brood_heap_free(h);
}

static void what_is_no_block_is_not_freed(void **state)
{
        BroodHeap *h = make(8192);
        uint64_t block = take(h, 1000), other = take(h, 100);
        uint64_t *at = brood_heap_at(h, block);

        for (size_t i = 0; i < 1000 / 8; i++)
                at[i] = 33; /* what a head might look like */
        for (uint64_t wild = 1; wild < block + 9000; wild++)
                if (wild != block && wild != other) {
                        assert_int_equal(brood_heap_release(h, wild), -EINVAL);
                        assert_null(brood_heap_at(h, wild));
                }
        assert_int_equal(brood_heap_release(h, UINT64_MAX), -EINVAL);
        assert_int_equal(brood_heap_release(h, UINT64_MAX - 15), -EINVAL);
        assert_int_equal(brood_heap_release(h, 0), 0);
        assert_null(brood_heap_at(h, 0));
        assert_int_equal(brood_heap_release(h, block), 0);
        assert_int_equal(brood_heap_release(h, block), -EINVAL); /* twice */
        assert_null(brood_heap_at(h, block));
        assert_int_equal(brood_heap_release(h, other), 0);
        expect_all_free(h, 8192);
        brood_heap_free(h);
}

static uint32_t dice(uint32_t *seed)
{
        *seed = *seed * 1664525 + 1013904223;
        return *seed >> 8;
}

/* Blocks that a process has, each filled with its own sign. */
typedef struct Hand {
        BroodHeap *h;
        uint64_t blocks[64];
        size_t sizes[64];
} Hand;

static void play(Hand *hand, uint32_t seed, int turns)
{
        for (int i = 0; i < turns; i++) {
                unsigned k = dice(&seed) % 64;
                unsigned char *at;

                if (!hand->blocks[k]) {
                        size_t size = dice(&seed) % (dice(&seed) % 8 ? 200 : 5000);
                        int r = brood_heap_alloc(hand->h, size, &hand->blocks[k]);

                        CLAIM(r == 0 || r == -ENOMEM);
                        if (r < 0)
                                continue;
                        hand->sizes[k] = size;
                        at = brood_heap_at(hand->h, hand->blocks[k]);
                        for (size_t b = 0; b < size; b++)
                                CLAIM(at[b] == 0);
                        memset(at, (int)k + 1, size);
                        continue;
                }
                at = brood_heap_at(hand->h, hand->blocks[k]);
                CLAIM(at);
                for (size_t b = 0; b < hand->sizes[k]; b++)
                        CLAIM(at[b] == k + 1);
                CLAIM(brood_heap_release(hand->h, hand->blocks[k]) == 0);
                hand->blocks[k] = 0;
        }
}

static void give_all_back(Hand *hand)
{
        for (unsigned k = 0; k < 64; k++) {
                CLAIM(brood_heap_release(hand->h, hand->blocks[k]) == 0);
                hand->blocks[k] = 0;
        }
}

static void play_for_a_while(void *context)
{
        Hand hand = { .h = context };

        play(&hand, (uint32_t)getpid(), 5000);
        give_all_back(&hand);
}

static void *play_in_a_thread(void *context)
{
        play_for_a_while(context);
        return NULL;
}

static void processes_and_threads_share_it(void **state)
{
        BroodHeap *h = make(1 << 17);
        pthread_t thread;
        pid_t pids[3];

        assert_int_equal(pthread_create(&thread, NULL, play_in_a_thread, h), 0);
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                pids[i] = child(play_for_a_while, h);
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                must_end_well(pids[i]);
        assert_int_equal(pthread_join(thread, NULL), 0);
        expect_all_free(h, 1 << 17);
        brood_heap_free(h);
}

static void open_and_take(void *context)
{
        BroodConnection *c = context;
        unsigned fds = count_fds();
        uint64_t block;
        BroodHeap *h;
        void *bytes;
        size_t size = 0;

        CLAIM(brood_heap_open(&h, receive_fd(c)) == 0);
        CLAIM(brood_receive(c, &bytes, &size) == 0 && size == sizeof(block));
        memcpy(&block, bytes, sizeof(block));
        free(bytes);
        CLAIM(strcmp(brood_heap_at(h, block), "from the parent") == 0);
        CLAIM(brood_heap_release(h, block) == 0);
        CLAIM(brood_heap_alloc(h, 100, &block) == 0);
        (void)snprintf(brood_heap_at(h, block), 100, "from the child");
        CLAIM(brood_send(c, &block, sizeof(block)) == 0);
        brood_heap_free(h);
        CLAIM(count_fds() == fds);
}

static void an_offset_means_the_same_to_all(void **state)
{
        BroodConnection *ours, *theirs;
        uint64_t block;
        size_t size = 0;
        BroodHeap *h;
        void *bytes;
        pid_t pid;

        assert_int_equal(brood_pipe(&ours, &theirs, 1), 0);
        pid = child(open_and_take, theirs);
        h = make(1 << 12);
        block = take(h, 100);
        (void)snprintf(brood_heap_at(h, block), 100, "from the parent");
        send_fd(ours, brood_heap_fd(h));
        assert_int_equal(brood_send(ours, &block, sizeof(block)), 0);
        must_end_well(pid);
        assert_int_equal(brood_receive(ours, &bytes, &size), 0);
        memcpy(&block, bytes, sizeof(block));
        free(bytes);
        assert_string_equal(brood_heap_at(h, block), "from the child");
        assert_int_equal(brood_heap_release(h, block), 0);
        expect_all_free(h, 1 << 12);
        brood_heap_free(h);
        brood_connection_free(ours);
        brood_connection_free(theirs);
}

static void what_is_no_heap_is_refused(void **state)
{
        unsigned fds = count_fds();
        BroodSemaphore *semaphore;
        BroodHeap *h = NULL;

        assert_int_equal(brood_lock_new(&semaphore), 0);
        assert_int_equal(brood_heap_open(&h, duplicate(brood_semaphore_fd(semaphore))), -EBADMSG);
        assert_int_equal(brood_heap_open(&h, -1), -EBADF);
        assert_null(h);
        brood_semaphore_free(semaphore);
        assert_int_equal(count_fds(), fds);
}

/* Whatever its words say, who opens it and uses it goes on. */
static void a_heap_that_lies_is_refused_or_harmless(void **state)
{
        static const uint64_t wilds[] = { 0, 1, 0x1000, 1ULL << 40, 0xfffffffffffffff0 };
        unsigned fds = count_fds(), refused = 0;
        BroodHeap *h = make(4096), *other = NULL;
        int fd = duplicate(brood_heap_fd(h));
        size_t size = (size_t)lseek(fd, 0, SEEK_END);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        char *as_it_was = malloc(size);

        assert_true(memory != MAP_FAILED);
        (void)take(h, 100);
        memcpy(as_it_was, memory, size);
        for (size_t at = 64; at < size; at += 8) /* each word behind the lock */
                for (size_t i = 0; i < ELEMENTS(wilds); i++) {
                        uint64_t block = 0;

                        memcpy(memory + at, &wilds[i], 8);
                        if (brood_heap_open(&other, duplicate(fd)) == -EBADMSG) {
                                refused++;
                        } else {
                                (void)brood_heap_alloc(other, 200, &block);
                                (void)brood_heap_release(other, block);
                                for (uint64_t wild = 16; wild < size; wild += 16)
                                        (void)brood_heap_release(other, wild);
                                brood_heap_free(other);
                        }
                        memcpy(memory + 64, as_it_was + 64, size - 64);
                }
        assert_true(refused >= 2);
        free(as_it_was);
        munmap(memory, size);
        close(fd);
        brood_heap_free(h);
        assert_int_equal(count_fds(), fds);
}

/* --- what somebody has written over --- */

static void a_write_beyond_a_block_is_noticed(void **state)
{
        for (int what = 0; what < 4; what++) {
                BroodHeap *h = make(8192);
                uint64_t block = take(h, 96), next = take(h, 96), last = take(h, 96);
                uint64_t *end = (uint64_t *)brood_heap_at(h, block) + 96 / 8;

                if (what == 0)
                        memset(end, 'x', 16); /* the head of the next */
                else if (what == 1)
                        end[0] = 0;
                else if (what == 2)
                        end[1] = UINT64_MAX & ~15ULL; /* who is before it: can be told */
                else
                        end[0] = 1 << 20 | 1;
                assert_int_equal(brood_heap_release(h, next), what == 2 ? 0 : -EBADMSG);
                assert_int_equal(brood_heap_alloc(h, 1, &block), what == 2 ? 0 : -EBADMSG);
                assert_int_equal(brood_heap_release(h, last), what == 2 ? 0 : -EBADMSG);
                brood_heap_free(h);
        }
}

static void a_write_to_a_freed_block_is_mended(void **state)
{
        for (int what = 0; what < 3; what++) {
                BroodHeap *h = make(8192);
                uint64_t blocks[6], *freed;

                for (int i = 0; i < 6; i++)
                        blocks[i] = take(h, 96);
                for (int i = 0; i < 6; i += 2) {
                        freed = brood_heap_at(h, blocks[i]);
                        assert_int_equal(brood_heap_release(h, blocks[i]), 0);
                }
                memset(freed, what == 0 ? 'x' : 0xf0, 32); /* its links */
                if (what == 2) {
                        assert_int_equal(brood_heap_release(h, blocks[5]), 0); /* its neighbour */
                        blocks[5] = 0;
                }
                for (int i = 0; i < 6; i += 2)
                        blocks[i] = take(h, 96);
                for (int i = 0; i < 6; i++)
                        assert_int_equal(brood_heap_release(h, blocks[i]), 0);
                expect_all_free(h, 8192);
                brood_heap_free(h);
        }
}

/* --- deaths --- */

static void play_until_killed(void *context)
{
        Hand hand = { .h = context };

        for (uint32_t seed = (uint32_t)getpid();; seed++)
                play(&hand, seed, 100);
}

static void a_kill_at_any_moment_leaves_it_whole(void **state)
{
        BroodHeap *h = make(1 << 20);
        uint32_t seed = 7;

        for (int i = 0; i < 40; i++) {
                pid_t pid = child(play_until_killed, h);
                size_t before = brood_heap_used(h);

                usleep(dice(&seed) % 2000);
                kill_child(pid);
                in_child(play_for_a_while, h);
                /* what the dead one had is lost, and nothing else: 64 blocks at the most */
                assert_true(brood_heap_used(h) <= before + 65 * 5040);
                if (brood_heap_used(h) > 1 << 19) {
                        brood_heap_free(h);
                        h = make(1 << 20);
                }
        }
        brood_heap_free(h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(blocks_are_zeros_and_apart),
                cmocka_unit_test(a_heap_has_its_size_and_no_more),
                cmocka_unit_test(neighbours_become_one_in_any_order),
                cmocka_unit_test(what_is_no_block_is_not_freed),
                cmocka_unit_test(processes_and_threads_share_it),
                cmocka_unit_test(an_offset_means_the_same_to_all),
                cmocka_unit_test(what_is_no_heap_is_refused),
                cmocka_unit_test(a_heap_that_lies_is_refused_or_harmless),
                cmocka_unit_test(a_write_beyond_a_block_is_noticed),
                cmocka_unit_test(a_write_to_a_freed_block_is_mended),
                cmocka_unit_test(a_kill_at_any_moment_leaves_it_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

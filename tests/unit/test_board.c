/* SPDX-License-Identifier: MIT */

/* The scoreboard, written and read. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ops/board.h"
#include "ops/board_read.h"

#include "unit.h"

typedef struct World {
        char path[64];
        int directory;
        Board board;
        BoardView view;
} World;

static int set_up(void **state)
{
        World *w = calloc(1, sizeof(*w));
        AUTO(fd_close) int fd = -1;

        assert_non_null(w);
        (void)snprintf(w->path, sizeof(w->path), "/tmp/brood-board-XXXXXX");
        assert_non_null(mkdtemp(w->path));
        w->directory = open(w->path, O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(board_open(&w->board, w->directory, "/run/it"), 0);
        fd = openat(w->directory, BOARD_FILE, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(board_view_open(&w->view, fd), 0);
        *state = w;
        return 0;
}

static int tear_down(void **state)
{
        World *w = *state;

        board_view_close(&w->view);
        board_close(&w->board);
        assert_int_equal(rmdir(w->path), 0); /* it has left nothing */
        (void)close(w->directory);
        free(w);
        return 0;
}

static void a_reader_sees_whose_it_is(void **state)
{
        World *w = *state;
        struct stat st;
        BoardHead h;

        assert_true(board_read_head(&w->view, &h));
        assert_int_equal(h.pid, getpid());
        assert_string_equal(h.socket, "/run/it");
        assert_string_equal(h.program, BROOD_VERSION);
        assert_int_equal(fstatat(w->directory, BOARD_FILE, &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_true(st.st_blocks * 512 < 128 * 1024); /* what is not in use costs nothing */
}

static void slots_are_taken_and_given_back(void **state)
{
        World *w = *state;
        BoardSlot *a = board_take_slot(&w->board), *b = board_take_slot(&w->board), copy;

        a->in_use = b->in_use = 1;
        b->seat = 7;
        assert_int_equal(board_slots(&w->view), 2);
        assert_true(board_read_slot(&w->view, 1, &copy));
        assert_int_equal(copy.seat, 7);
        board_give_slot(&w->board, b);
        assert_false(board_read_slot(&w->view, 1, &copy));
        assert_ptr_equal(board_take_slot(&w->board), b);
        assert_int_equal(board_slots(&w->view), 2);
}

static void more_slots_than_there_is_room_for_are_counted(void **state)
{
        World *w = *state;
        BoardSlot *last = NULL;
        BoardHead h;

        for (int i = 0; i < BOARD_MAX_SLOTS; i++)
                assert_non_null(last = board_take_slot(&w->board));
        assert_null(board_take_slot(&w->board));
        assert_true(board_read_head(&w->view, &h));
        assert_int_equal(h.n_left_out, 1);
        board_give_slot(&w->board, NULL);
        board_give_slot(&w->board, last);
        assert_ptr_equal(board_take_slot(&w->board), last);
}

static void a_record_that_stays_half_written_is_not_believed(void **state)
{
        World *w = *state;
        BoardSlot *slot = board_take_slot(&w->board), copy;

        slot->in_use = 1;
        board_begin(&slot->seq);
        assert_false(board_read_slot(&w->view, 0, &copy));
        board_end(&slot->seq);
        assert_true(board_read_slot(&w->view, 0, &copy));
}

static _Atomic bool over;

/* Writes records whose numbers are all the same. */
static void *scribble(void *context)
{
        BoardSlot *slot = context;

        for (uint32_t i = 1; !over; i++) {
                board_begin(&slot->seq);
                slot->generation = slot->seat = slot->attempt = i;
                slot->done = slot->since = i;
                board_end(&slot->seq);
        }
        return NULL;
}

static void copies_are_never_of_two_moments(void **state)
{
        World *w = *state;
        BoardSlot *slot = board_take_slot(&w->board), copy;
        pthread_t writer;
        uint32_t seen = 0;

        slot->in_use = 1;
        over = false;
        assert_int_equal(pthread_create(&writer, NULL, scribble, slot), 0);
        for (int i = 0; i < 200000; i++) {
                if (!board_read_slot(&w->view, 0, &copy))
                        continue;
                seen++;
                assert_true(copy.generation == copy.seat && copy.seat == copy.attempt &&
                            copy.attempt == copy.done && copy.done == copy.since);
        }
        over = true;
        assert_int_equal(pthread_join(writer, NULL), 0);
        assert_true(seen > 0);
}

static void a_file_that_is_shortened_does_not_end_its_writer(void **state)
{
        World *w = *state;
        BoardSlot *slot;

        board_close(&w->board); /* the runner takes the signal when a test begins */
        assert_int_equal(board_open(&w->board, w->directory, "/run/it"), 0);
        assert_int_equal(ftruncate(w->board.fd, 0), 0);
        assert_false(board_is_lost(&w->board));
        slot = board_take_slot(&w->board);
        assert_non_null(slot);
        board_begin(&slot->seq);
        slot->done = 5;
        board_end(&slot->seq);
        assert_int_equal(slot->done, 5);
        assert_int_equal(faccessat(w->directory, BOARD_FILE, F_OK, 0), 0);
        assert_true(board_is_lost(&w->board));
        assert_false(board_is_lost(&w->board));
        assert_int_equal(faccessat(w->directory, BOARD_FILE, F_OK, 0), -1);
}

static void what_is_no_scoreboard_is_refused(void **state)
{
        World *w = *state;
        BoardView v;
        int fd = openat(w->directory, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        assert_int_equal(board_view_open(&v, fd), -EBADMSG);
        assert_int_equal(ftruncate(fd, sizeof(BoardLayout)), 0);
        assert_int_equal(board_view_open(&v, fd), -EBADMSG);
        assert_int_equal(board_view_open(&v, w->directory), -EBADMSG);
        (void)close(fd);
        (void)unlinkat(w->directory, "x", 0);
}

static void without_a_place_for_the_file_it_is_written_all_the_same(void **state)
{
        Board b;

        assert_int_equal(board_open(&b, -1, "/run/it"), -EBADF);
        assert_non_null(b.map);
        assert_non_null(board_take_slot(&b));
        board_close(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_reader_sees_whose_it_is, set_up, tear_down),
                cmocka_unit_test_setup_teardown(slots_are_taken_and_given_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(more_slots_than_there_is_room_for_are_counted,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_record_that_stays_half_written_is_not_believed,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(copies_are_never_of_two_moments, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_file_that_is_shortened_does_not_end_its_writer,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_is_no_scoreboard_is_refused, set_up,
                                                tear_down),
                cmocka_unit_test(without_a_place_for_the_file_it_is_written_all_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

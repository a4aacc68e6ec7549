/* SPDX-License-Identifier: MIT */

/* The figures of `top`: from scoreboards that are written here. */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/entropy.h"
#include "ctl/top/model.h"
#include "ctl/top/table.h"
#include "ops/board.h"

#include "unit.h"

#define SEC USEC_PER_SEC
#define START (1000000 * SEC)

typedef struct World {
        Board board;
        BoardAt at;
        TopHistory history;
        TopModel model;
} World;

static int set_up(void **state)
{
        World *w = calloc(1, sizeof(*w));
        BoardHead *h;

        assert_non_null(w);
        assert_int_equal(board_open(&w->board, -1, "/run/it"), -EBADF); /* only memory */
        w->at.view.map = w->board.map;
        h = &w->board.map->head;
        h->started = START;
        w->at.now = START;
        *state = w;
        return 0;
}

static int tear_down(void **state)
{
        World *w = *state;

        top_model_fini(&w->model);
        top_history_fini(&w->history);
        board_close(&w->board);
        free(w);
        return 0;
}

static BoardPool *add_pool(World *w, const char *name)
{
        BoardPool *p = &w->board.map->pools[w->board.map->head.n_pools++];

        (void)snprintf(p->name, sizeof(p->name), "%s", name);
        (void)snprintf(p->state, sizeof(p->state), "running");
        return p;
}

static BoardHandler *add_handler(World *w, const char *name, uint32_t pool)
{
        BoardHandler *h = &w->board.map->handlers[w->board.map->head.n_handlers++];

        (void)snprintf(h->name, sizeof(h->name), "%s", name);
        h->pool = pool;
        return h;
}

static BoardSlot *add_slot(World *w, uint32_t pool, uint32_t seat, uint16_t slot, BoardState state)
{
        BoardSlot *s = board_take_slot(&w->board);

        assert_non_null(s);
        s->in_use = 1;
        s->pool = pool;
        s->seat = seat;
        s->slot = slot;
        s->state = (uint8_t)state;
        s->generation = 1;
        s->handler = UINT16_MAX;
        s->started = START;
        return s;
}

static void give_job(BoardSlot *s, uint8_t id, uint16_t handler, usec_t since)
{
        s->state = BOARD_BUSY;
        s->has_job = 1;
        s->job[15] = id;
        s->handler = handler;
        s->since = since;
        s->attempt = 1;
}

/* Looks at the scoreboard so much later. */
static void look(World *w, usec_t later)
{
        TopSample *s;

        w->at.now += later;
        (void)board_read_head(&w->at.view, &w->at.head);
        assert_int_equal(top_sample_take(&w->at, &s), 0);
        top_model_fini(&w->model);
        top_history_add(&w->history, s);
        assert_int_equal(top_model_make(&w->model, s, top_history_base(&w->history)), 0);
}

static bool near(double a, double b)
{
        return a > b - 0.001 && a < b + 0.001;
}

/* --- lately, and since the start --- */

static void the_first_look_is_of_all_since_the_start(void **state)
{
        World *w = *state;
        BoardHandler *h;

        add_pool(w, "images")->done = 50;
        h = add_handler(w, "scale", 0);
        h->submitted = 100;
        h->ended[4] = 40; /* succeeded */
        h->ended[5] = 8;  /* failed */
        h->ended[6] = 2;  /* quarantined */
        histogram_add(&h->running, 1000);
        look(w, 10 * SEC);
        assert_true(w->model.since_start);
        assert_int_equal(w->model.span, 10 * SEC);
        assert_true(near(w->model.submit_rate, 10));
        assert_true(near(w->model.done_rate, 5));
        assert_true(near(w->model.fail_rate, 1));
        assert_true(near(w->model.pools[0].done_rate, 5));
        assert_int_equal(w->model.handlers[0].succeeded, 40);
        assert_int_equal(w->model.handlers[0].failed, 10);
        assert_in_range(w->model.handlers[0].run.p50, 875, 1125);
}

static void later_ones_are_of_what_happened_between(void **state)
{
        World *w = *state;
        BoardHandler *h = add_handler(w, "scale", 0);
        BoardPool *p = add_pool(w, "images");

        h->submitted = 1000000;
        p->done = 1000000;
        histogram_add(&h->waiting, 50 * SEC);
        look(w, SEC);
        h->submitted += 30;
        p->done += 20;
        histogram_add(&h->waiting, 2000);
        look(w, 2 * SEC);
        assert_false(w->model.since_start);
        assert_int_equal(w->model.span, 2 * SEC);
        assert_true(near(w->model.submit_rate, 15));
        assert_true(near(w->model.pools[0].done_rate, 10));
        assert_in_range(w->model.handlers[0].wait.p99, 1750, 2250);
        assert_in_range(w->model.pools[0].wait.p99, 1750, 2250);
        assert_int_equal(w->model.pools[0].done, 1000020);
}

static void where_nothing_happened_there_is_no_time(void **state)
{
        World *w = *state;
        BoardHandler *h = add_handler(w, "scale", 0);

        add_pool(w, "images");
        histogram_add(&h->running, 1000);
        look(w, SEC);
        look(w, SEC);
        assert_int_equal(w->model.handlers[0].run.p50, TOP_NO_TIME);
        assert_int_equal(w->model.pools[0].run.p99, TOP_NO_TIME);
        assert_int_equal(w->model.turn.p99, TOP_NO_TIME);
        assert_true(near(w->model.submit_rate, 0));
        assert_string_equal(top_span(TOP_NO_TIME).text, "-");
}

static void a_pool_has_the_times_of_all_its_handlers(void **state)
{
        World *w = *state;
        BoardHandler *fast = add_handler(w, "fast", 1), *slow = add_handler(w, "slow", 1);
        BoardHandler *other = add_handler(w, "other", 0);

        add_pool(w, "a");
        add_pool(w, "b");
        for (int i = 0; i < 90; i++)
                histogram_add(&fast->running, 1000);
        for (int i = 0; i < 10; i++)
                histogram_add(&slow->running, SEC);
        histogram_add(&other->running, 1);
        look(w, SEC);
        assert_in_range(w->model.pools[1].run.p50, 875, 1125);
        assert_in_range(w->model.pools[1].run.p95, SEC - SEC / 8, SEC + SEC / 8);
        assert_int_equal(w->model.pools[0].run.p99, 1);
}

static void what_counts_anew_is_compared_with_nothing(void **state)
{
        World *w = *state;
        BoardHandler *h = add_handler(w, "scale", 0);
        BoardPool *p = add_pool(w, "images");

        h->submitted = p->done = 1000;
        histogram_add(&h->running, SEC);
        look(w, SEC);
        memset(h, 0, sizeof(*h));
        (void)snprintf(h->name, sizeof(h->name), "scale");
        (void)snprintf(p->name, sizeof(p->name), "others");
        h->submitted = 4;
        p->done = 6;
        histogram_add(&h->running, 1000);
        look(w, 2 * SEC);
        assert_true(near(w->model.submit_rate, 2));
        assert_true(near(w->model.pools[0].done_rate, 3));
        assert_in_range(w->model.handlers[0].run.p99, 875, 1125);
}

/* --- samples that are kept --- */

static void lately_is_ten_seconds_however_often_one_looks(void **state)
{
        static const usec_t intervals[] = { SEC / 50, SEC / 3, SEC, 3 * SEC, 10 * SEC };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTS(intervals); i++) {
                usec_t start = w->at.now;

                while (w->at.now < start + 40 * SEC) {
                        look(w, intervals[i]);
                        assert_true(w->history.n_older < TOP_KEPT);
                }
                assert_in_range(w->model.span, TOP_WINDOW, TOP_WINDOW + MAX(SEC, intervals[i]));
        }
        look(w, 60 * SEC);
        assert_int_equal(w->model.span, 60 * SEC);
}

static void another_daemon_begins_anew(void **state)
{
        World *w = *state;

        look(w, SEC);
        look(w, SEC);
        assert_false(w->model.since_start);
        w->board.map->head.started = w->at.now;
        look(w, SEC);
        assert_true(w->model.since_start);
        assert_int_equal(w->model.span, SEC);
}

/* --- workers and jobs --- */

static void workers_and_jobs_are_made_of_slots(void **state)
{
        World *w = *state;
        const TopWorker *busy, *idle;

        add_pool(w, "images");
        add_handler(w, "scale", 0);
        add_slot(w, 0, 1, 0, BOARD_IDLE);
        give_job(add_slot(w, 0, 0, 0, BOARD_IDLE), 1, 0, START + SEC);
        add_slot(w, 0, 0, 1, BOARD_IDLE);
        give_job(add_slot(w, 0, 0, 2, BOARD_IDLE), 2, UINT16_MAX, START + 3 * SEC);
        add_slot(w, 0, 2, 0, BOARD_STARTING);
        add_slot(w, 0, 3, 0, BOARD_SPARE);
        look(w, 5 * SEC);
        assert_int_equal(w->model.n_workers, 4);
        assert_int_equal(w->model.n_jobs, 2);
        busy = &w->model.workers[0];
        idle = &w->model.workers[1];
        assert_string_equal(busy->name, "images.0");
        assert_string_equal(busy->state, "busy");
        assert_int_equal(busy->slots, 3);
        assert_int_equal(busy->jobs, 2);
        assert_int_equal(busy->busy, 4 * SEC); /* the one that runs longest */
        assert_string_equal(busy->handler, "scale");
        assert_int_equal(idle->busy, TOP_NO_TIME);
        assert_int_equal(idle->age, 5 * SEC);
        assert_string_equal(w->model.jobs[1].handler, "");
        assert_int_equal(w->model.jobs[1].age, 2 * SEC);
        assert_int_equal(w->model.pools[0].busy, 2);
        assert_int_equal(w->model.pools[0].slots, 4);
        assert_int_equal(w->model.pools[0].starting, 1);
        assert_int_equal(w->model.pools[0].spare, 1);
}

static void records_that_are_not_in_use_are_not_shown(void **state)
{
        World *w = *state;

        add_pool(w, "a")->name[0] = '\0';
        add_pool(w, "b");
        add_handler(w, "h", 0)->name[0] = '\0';
        add_slot(w, 1, 0, 0, BOARD_IDLE)->in_use = 0;
        look(w, SEC);
        assert_int_equal(w->model.n_pools, 1);
        assert_string_equal(w->model.pools[0].name, "b");
        assert_int_equal(w->model.n_handlers, 0);
        assert_int_equal(w->model.n_workers, 0);
}

static void show_all(const TopModel *m)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        TopCell cell;
        unsigned n;

        top_append_head(&b, m);
        for (TopView v = 0; v < TOP_N_VIEWS; v++)
                for (uint32_t i = 0; i < top_n_rows(m, v); i++)
                        for (unsigned c = 0; c < (top_columns(v, &n), n); c++)
                                top_cell(&top_columns(v, &n)[c], top_row(m, v, i), &cell);
}

static void nonsense_on_the_scoreboard_does_no_harm(void **state)
{
        World *w = *state;
        BoardLayout *map = w->board.map;
        enum { N = 40 };

        for (int turn = 0; turn < 50; turn++) {
                entropy_fill(&map->head, sizeof(map->head));
                entropy_fill(map->pools, N * sizeof(*map->pools));
                entropy_fill(map->handlers, N * sizeof(*map->handlers));
                entropy_fill(map->slots, N * sizeof(*map->slots));
                map->head.n_pools = map->head.n_handlers = map->head.n_slots = N;
                map->head.seq &= ~1U;
                for (int i = 0; i < N; i++) {
                        map->pools[i].seq &= ~1U;
                        map->handlers[i].seq &= ~1U;
                        map->handlers[i].pool %= N;
                        map->slots[i].seq &= ~1U;
                        map->slots[i].pool %= 3; /* some of one worker */
                        map->slots[i].seat = map->slots[i].generation = 1;
                        map->slots[i].handler %= 2 * N;
                        map->slots[i].pid = 0;
                }
                look(w, SEC);
                show_all(&w->model);
                assert_int_equal(w->model.n_workers, 3);
                assert_true(w->model.n_jobs <= N);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
                TEST(the_first_look_is_of_all_since_the_start),
                TEST(later_ones_are_of_what_happened_between),
                TEST(where_nothing_happened_there_is_no_time),
                TEST(a_pool_has_the_times_of_all_its_handlers),
                TEST(what_counts_anew_is_compared_with_nothing),
                TEST(lately_is_ten_seconds_however_often_one_looks),
                TEST(another_daemon_begins_anew),
                TEST(workers_and_jobs_are_made_of_slots),
                TEST(records_that_are_not_in_use_are_not_shown),
                TEST(nonsense_on_the_scoreboard_does_no_harm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

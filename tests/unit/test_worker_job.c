/* SPDX-License-Identifier: MIT */

/* What handlers can do with a job, over one made by hand. */

#include "worker/job.h"

#include <math.h>
#include <poll.h>
#include <unistd.h>

#include "base/fd.h"
#include "unit.h"
#include "varlink/json.h"

/* What the job reported: the last of it, and all output of each stream. */
typedef struct Heard {
        double fraction;
        int stream, calls;
        size_t size;       /* of the last piece */
        size_t largest;
        bool all_text;     /* each piece by itself */
        Buffer all[JOB_STREAMS];
        int answer;        /* to be passed on */
} Heard;

typedef struct Bench {
        BroodJob job;
        pthread_mutex_t lock;
        VarlinkScan scan;
        JobReport report;
        Heard heard;
} Bench;

static int hear_progress(void *context, double fraction)
{
        Heard *h = context;

        h->fraction = fraction;
        h->calls++;
        return 0;
}

static int hear_output(void *context, int stream, Slice bytes)
{
        Heard *h = context;

        h->stream = stream;
        h->calls++;
        h->size = bytes.len;
        h->largest = MAX(h->largest, bytes.len);
        h->all_text &= json_is_text(bytes);
        buffer_append_slice(&h->all[stream - 1], bytes);
        return h->answer;
}

static void bench_init(Bench *b, const char *args)
{
        *b = (Bench){ .lock = PTHREAD_MUTEX_INITIALIZER,
                      .report = { hear_progress, hear_output, NULL },
                      .heard = { .all_text = true },
                      .job = { .attempt = 3,
                               .deadline = USEC_INFINITY,
                               .args = slice_of(args),
                               .cancel_fd = -1,
                               .fds = { -1, -1, -1 },
                               .result = BUFFER_INIT,
                               .max_result = 1000 } };
        b->report.context = &b->heard;
        b->job.lock = &b->lock;
        b->job.report = &b->report;
        b->job.scan = &b->scan;
        memcpy(b->job.id, "0192f0c1-2345-7678-9abc-def012345678", UUID_TEXT);
}

static void bench_fini(Bench *b)
{
        job_clear(&b->job);
        buffer_fini(&b->job.result);
        buffer_fini(&b->job.piece);
        for (int i = 0; i < JOB_STREAMS; i++)
                buffer_fini(&b->heard.all[i]);
        varlink_scan_fini(&b->scan);
}

DEFINE_FINI(Bench, bench_fini);

static void a_job_knows_its_name_number_and_arguments(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;
        const json_t *args;
        size_t size;

        bench_init(&b, "{\"n\":7}");
        assert_string_equal(brood_job_id(&b.job), "0192f0c1-2345-7678-9abc-def012345678");
        assert_int_equal(brood_job_attempt(&b.job), 3);
        assert_memory_equal(brood_job_args_bytes(&b.job, &size), "{\"n\":7}", 7);
        assert_int_equal(size, 7);
        args = brood_job_args(&b.job);
        assert_int_equal(json_integer_value(json_object_get(args, "n")), 7);
        assert_ptr_equal(brood_job_args(&b.job), args); /* parsed once */
}

static void time_left_counts_down_below_nothing(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;

        bench_init(&b, "{}");
        assert_true(brood_job_time_left(&b.job) == INT64_MAX);
        b.job.deadline = clock_monotonic() + 100 * USEC_PER_SEC;
        assert_in_range(brood_job_time_left(&b.job), 50 * USEC_PER_SEC, 100 * USEC_PER_SEC);
        b.job.deadline = clock_monotonic() - USEC_PER_SEC;
        assert_true(brood_job_time_left(&b.job) <= -(int64_t)USEC_PER_SEC);
}

static void a_result_has_to_be_an_object(void **state UNUSED)
{
        static const struct {
                const char *text;
                bool good;
        } cases[] = { { "{}", true },    { " {\"a\":[1]} ", true },
                      { "", false },     { "[]", false },
                      { "1", false },    { "{", false },
                      { "{}{}", false }, { "{\"a\":\"\xff\"}", false } };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(bench_fini) Bench b;

                bench_init(&b, "{}");
                CHECK((brood_job_result(&b.job, cases[i].text, strlen(cases[i].text)) == 0) ==
                              cases[i].good,
                      cases[i].text);
                CHECK(b.job.failed != cases[i].good && b.job.answered == cases[i].good,
                      cases[i].text);
                if (cases[i].good)
                        assert_text(&b.job.result, cases[i].text);
                else
                        assert_string_equal(b.job.kind, "result");
        }
}

static void a_result_may_be_given_as_a_value(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;

        bench_init(&b, "{}");
        assert_int_equal(brood_job_result_json(&b.job, json_pack("{s:i}", "a", 1)), 0);
        assert_text(&b.job.result, "{\"a\":1}");
        assert_int_equal(brood_job_result(&b.job, "{}", 2), 0); /* the last one counts */
        assert_text(&b.job.result, "{}");
        assert_false(b.job.failed);
        assert_int_not_equal(brood_job_result_json(&b.job, json_array()), 0);
        assert_true(b.job.failed);
        assert_int_not_equal(brood_job_result_json(&b.job, NULL), 0);
}

static void a_result_over_the_limit_fails_the_job(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;

        bench_init(&b, "{}");
        b.job.max_result = 7;
        assert_int_equal(brood_job_result(&b.job, "{\"a\":1}", 7), 0);
        assert_int_not_equal(brood_job_result(&b.job, "{\"a\":12}", 8), 0);
        assert_true(b.job.failed && !b.job.retry);
        b.job.failed = false;
        assert_int_equal(brood_job_result_json(&b.job, json_pack("{s:i}", "a", 1)), 0);
        assert_int_not_equal(brood_job_result_json(&b.job, json_pack("{s:i}", "a", 12)), 0);
        assert_true(b.job.failed);
        assert_non_null(strstr(b.job.message, "8 bytes"));
}

static void a_failure_says_what_and_whether_to_try_again(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;
        json_t *details = json_pack("{s:i}", "line", 7);

        bench_init(&b, "{}");
        assert_int_equal(brood_job_fail(&b.job, 1, details, "no %s on %d", "ink", 3), 1);
        assert_string_equal(b.job.message, "no ink on 3");
        assert_true(b.job.failed && b.job.retry && !b.job.bad_args);
        assert_ptr_equal(b.job.details, details);
        assert_null(b.job.kind);
        assert_int_equal(brood_job_fail(&b.job, 0, NULL, "for good"), 1); /* the last words count */
        assert_string_equal(b.job.message, "for good");
        assert_null(b.job.details);
        assert_false(b.job.retry);
}

static void wrong_arguments_are_never_tried_again(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;

        bench_init(&b, "{}");
        assert_int_equal(brood_job_bad_args(&b.job, "'%s' is missing", "n"), 1);
        assert_string_equal(b.job.message, "'n' is missing");
        assert_true(b.job.failed && b.job.bad_args && !b.job.retry);
}

static void a_cancel_is_seen_and_felt(void **state UNUSED)
{
        for (int early = 0; early < 2;
             early++) { /* before somebody asked for a descriptor, or after */
                AUTO(bench_fini) Bench b;
                struct pollfd p = { .events = POLLIN };

                bench_init(&b, "{}");
                assert_false(brood_job_cancelled(&b.job));
                if (early)
                        job_cancel(&b.job, CANCEL_TIMEOUT);
                p.fd = brood_job_cancel_fd(&b.job);
                assert_true(p.fd >= 0);
                assert_int_equal(brood_job_cancel_fd(&b.job), p.fd);
                assert_int_equal(poll(&p, 1, 0), early);
                if (!early)
                        job_cancel(&b.job, CANCEL_TIMEOUT);
                assert_true(brood_job_cancelled(&b.job));
                assert_int_equal(poll(&p, 1, 0), 1);
                assert_string_equal(
                        cancel_reason_words((CancelReason)atomic_load(&b.job.cancelled)),
                        "timed out");
        }
}

static void progress_and_output_reach_who_listens(void **state UNUSED)
{
        static const double wrong[] = { -0.1, 1.1, NAN, INFINITY };
        AUTO(bench_fini) Bench b;

        bench_init(&b, "{}");
        for (size_t i = 0; i < ELEMENTS(wrong); i++)
                assert_int_equal(brood_job_progress(&b.job, wrong[i]), -EINVAL);
        assert_int_equal(brood_job_output(&b.job, 0, "x", 1), -EINVAL);
        assert_int_equal(brood_job_output(&b.job, 3, "x", 1), -EINVAL);
        assert_int_equal(b.heard.calls, 0);
        assert_int_equal(brood_job_progress(&b.job, 0.5), 0);
        assert_true(b.heard.fraction == 0.5);
        b.heard.answer = -EPIPE;
        assert_int_equal(brood_job_output(&b.job, 2, "words", 4), -EPIPE);
        assert_int_equal(b.heard.stream, 2);
        assert_text(&b.heard.all[1], "word");
        assert_int_equal(b.heard.calls, 2);
}

static void output_that_nobody_follows_goes_nowhere(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;
        SlotPage page = { 0 };

        bench_init(&b, "{}");
        b.job.page = &page;
        b.heard.answer = -EPIPE;
        assert_int_equal(brood_job_output(&b.job, 1, "a\303", 2), 0);
        job_end_output(&b.job);
        assert_int_equal(brood_job_output(&b.job, 3, "a", 1), -EINVAL); /* a fault all the same */
        assert_int_equal(b.heard.calls, 0);
        b.heard.answer = 0;
        slot_page_follow(&page, true);
        assert_int_equal(brood_job_output(&b.job, 1, "b\303", 2), 0);
        assert_text(&b.heard.all[0], "b");
        slot_page_follow(&page, false); /* what was kept back goes with what follows on it */
        assert_int_equal(brood_job_output(&b.job, 1, "\244", 1), 0);
        slot_page_follow(&page, true);
        assert_int_equal(brood_job_output(&b.job, 1, "c", 1), 0);
        assert_text(&b.heard.all[0], "bc");
        assert_int_equal(brood_job_output(&b.job, 1, "\303", 1), 0);
        slot_page_follow(&page, false);
        job_end_output(&b.job);
        assert_text(&b.heard.all[0], "bc");
}

/* Whatever the pieces, bytes arrive as they are; and text as text. */
typedef struct Logged {
        Buffer text;
        unsigned ends;
} Logged;

static void log_output(void *context, const BroodJob *job, int stream, Slice bytes)
{
        Logged *l = context;

        buffer_printf(&l->text, "%d:", stream);
        buffer_append_slice(&l->text, bytes);
}

static void log_end(void *context, const BroodJob *job)
{
        ((Logged *)context)->ends++;
}

static void output_is_logged_whether_followed_or_not(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;
        SlotPage page = { 0 };
        Logged logged = { BUFFER_INIT, 0 };
        const JobLog log = { log_output, log_end, &logged };

        bench_init(&b, "{}");
        b.job.page = &page;
        b.job.log = &log;
        assert_int_equal(brood_job_output(&b.job, 1, "a\xc3", 2), 0);
        slot_page_follow(&page, true);
        b.heard.answer = -EPIPE; /* that who follows does not hear it is no reason */
        assert_int_equal(brood_job_output(&b.job, 2, "b\n", 2), -EPIPE);
        assert_int_equal(brood_job_output(&b.job, 3, "c", 1), -EINVAL);
        assert_int_equal(logged.ends, 0);
        job_end_output(&b.job);
        assert_int_equal(logged.ends, 1);
        assert_text(&logged.text, "1:a\xc3" "2:b\n");
        buffer_fini(&logged.text);
}

static void characters_are_put_together_again(void **state UNUSED)
{
        static const char text[] = "a\303\244\342\202\254\360\237\230\200z\303\237";

        for (size_t piece = 1; piece < sizeof(text); piece++) {
                AUTO(bench_fini) Bench b;

                bench_init(&b, "{}");
                for (size_t i = 0; i < sizeof(text) - 1; i += piece) {
                        size_t n = MIN(piece, sizeof(text) - 1 - i);

                        assert_int_equal(brood_job_output(&b.job, 1, text + i, n), 0);
                        assert_int_equal(brood_job_output(&b.job, 2, text + i, n), 0);
                }
                job_end_output(&b.job);
                assert_text(&b.heard.all[0], text);
                assert_text(&b.heard.all[1], text);
                assert_true(b.heard.all_text);
        }
}

static void what_is_no_text_arrives_too(void **state UNUSED)
{
        static const char *const ends[] = { "x\303", "\360\237\230", "\342\202", "\377",
                                            "\200",  "\365\200\200", "\300",    "\303\303" };

        for (size_t i = 0; i < ELEMENTS(ends); i++) {
                AUTO(bench_fini) Bench b;

                bench_init(&b, "{}");
                assert_int_equal(brood_job_output(&b.job, 1, ends[i], strlen(ends[i])), 0);
                job_end_output(&b.job);
                CHECK(slice_is(buffer_slice(&b.heard.all[0]), ends[i]), ends[i]);
                b.heard.calls = 0;
                job_end_output(&b.job); /* twice is once */
                assert_int_equal(b.heard.calls, 0);
        }
}

static void all_bytes_arrive_in_pieces_of_any_size(void **state UNUSED)
{
        enum { SIZE = 300000 };
        AUTO(free) char *bytes = malloc(SIZE);
        static const size_t sizes[] = { 1, 2, 3, 7, 250, 4096, JOB_PIECE, JOB_PIECE + 1, SIZE };

        assert_non_null(bytes);
        for (size_t i = 0; i < SIZE; i++)
                bytes[i] = (char)(i * 7 + i / 256 * 13);
        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                AUTO(bench_fini) Bench b;

                bench_init(&b, "{}");
                b.job.max_result = i % 2 ? 3840 : 16 * 1024 * 1024; /* the least that there is */
                for (size_t at = 0; at < SIZE; at += sizes[i])
                        assert_int_equal(brood_job_output(&b.job, 1, bytes + at,
                                                          MIN(sizes[i], SIZE - at)),
                                         0);
                job_end_output(&b.job);
                assert_int_equal(buffer_len(&b.heard.all[0]), SIZE);
                assert_memory_equal(buffer_bytes(&b.heard.all[0]), bytes, SIZE);
                assert_true(b.heard.largest <= JOB_PIECE + 3);
                assert_true(b.heard.largest <= b.job.max_result / 6 + 3);
        }
}

static void nothing_of_one_job_is_left_for_the_next(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;
        int cancel;

        bench_init(&b, "{}");
        (void)brood_job_args(&b.job);
        assert_int_equal(brood_job_result(&b.job, "{}", 2), 0);
        (void)brood_job_fail(&b.job, 1, json_object(), "x");
        cancel = brood_job_cancel_fd(&b.job);
        b.job.fds[1] = dup(1);
        assert_true(b.job.fds[1] >= 0);
        job_clear(&b.job);
        assert_null(b.job.parsed);
        assert_null(b.job.details);
        assert_null(b.job.message);
        assert_int_equal(b.job.cancel_fd, -1);
        assert_int_equal(b.job.fds[1], -1);
        assert_int_equal(close(cancel), -1); /* it is closed */
        assert_int_equal(buffer_len(&b.job.result), 0);
}

static void a_cut_character_is_not_left_for_the_next(void **state UNUSED)
{
        AUTO(bench_fini) Bench b;

        bench_init(&b, "{}");
        assert_int_equal(brood_job_output(&b.job, 1, "a\303", 2), 0);
        job_end_output(&b.job);
        job_clear(&b.job);
        assert_int_equal(brood_job_output(&b.job, 1, "b", 1), 0);
        assert_text(&b.heard.all[0], "a\303b");
        assert_int_equal(b.heard.size, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_job_knows_its_name_number_and_arguments),
                cmocka_unit_test(time_left_counts_down_below_nothing),
                cmocka_unit_test(a_result_has_to_be_an_object),
                cmocka_unit_test(a_result_may_be_given_as_a_value),
                cmocka_unit_test(a_result_over_the_limit_fails_the_job),
                cmocka_unit_test(a_failure_says_what_and_whether_to_try_again),
                cmocka_unit_test(wrong_arguments_are_never_tried_again),
                cmocka_unit_test(a_cancel_is_seen_and_felt),
                cmocka_unit_test(progress_and_output_reach_who_listens),
                cmocka_unit_test(output_that_nobody_follows_goes_nowhere),
                cmocka_unit_test(output_is_logged_whether_followed_or_not),
                cmocka_unit_test(characters_are_put_together_again),
                cmocka_unit_test(what_is_no_text_arrives_too),
                cmocka_unit_test(all_bytes_arrive_in_pieces_of_any_size),
                cmocka_unit_test(nothing_of_one_job_is_left_for_the_next),
                cmocka_unit_test(a_cut_character_is_not_left_for_the_next),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* The client library against a peer that does not behave. What the peer says is written before the
 * call is made, as it cannot tell; where the order matters, the peer is a thread. */

#include "brood/client.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "unit.h"

#define ID "018f6d00-0000-7000-8000-000000000001"
#define OTHER_ID "018f6d00-0000-7000-8000-000000000002"
#define SUBMITTED "{\"parameters\":{\"id\":\"" ID "\",\"state\":\"queued\",\"duplicate\":false}}"
#define JOB(id)                                                                                    \
        "{\"id\":\"" id "\",\"spec\":{\"handler\":\"h\"},\"pool\":\"p\",\"state\":\"succeeded\","  \
        "\"submitted_usec\":1,\"attempts\":[],\"result\":{\"x\":1},\"uid\":0,\"gid\":0}"
#define ENDED(id) "{\"parameters\":{\"job\":" JOB(id) "}}"
#define ENDED_MORE(id) "{\"parameters\":{\"job\":" JOB(id) "},\"continues\":true}"

typedef struct Pair {
        BroodClient *client;
        int peer;
} Pair;

static Pair pair_new(void)
{
        Pair p;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(brood_client_open_fd(&p.client, fds[0]), 0);
        p.peer = fds[1];
        return p;
}

static void pair_end(Pair *p)
{
        brood_client_close(p->client);
        p->peer = fd_close(p->peer);
}

/* With its NUL. */
static void say(const Pair *p, const char *message)
{
        assert_int_equal(fd_write_all(p->peer, message, strlen(message) + 1), 0);
}

static void say_no_more(const Pair *p)
{
        assert_int_equal(shutdown(p->peer, SHUT_WR), 0);
}

/* All that has come to the peer so far. */
static char *heard(const Pair *p)
{
        static char text[4096];
        ssize_t n = recv(p->peer, text, sizeof(text) - 1, MSG_DONTWAIT);

        text[MAX(n, 0)] = '\0';
        return text;
}

static int status(const Pair *p)
{
        char *text;
        int r = brood_client_status(p->client, &text);

        if (r == 0)
                free(text);
        return r;
}

static void what_is_no_reply_ends_the_connection(void **state UNUSED)
{
        static const char *const bad[] = {
                "hello", "", "[]", "1", "{\"parameters\":1}", "{\"parameters\":[]}",
                "{\"error\":1}", "{\"error\":{}}", "{\"continues\":\"yes\"}",
                "{\"parameters\":{}", "{\"parameters\":{}}}", "{\"parameters\":{\"a\":\"\xff\"}}",
                "{\"parameters\":{},\"parameters\":{}}", "{\"parameters\":{},\"surprise\":1}",
                "{\"parameters\":{},\"continues\":true}", /* nobody asked for more */
                "{\"error\":\"x.y\",\"continues\":true}",
        };

        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                Pair p = pair_new();

                say(&p, bad[i]);
                CHECK(status(&p) == -EBADMSG, bad[i]);
                CHECK(strstr(brood_client_error(p.client), "does not speak"), bad[i]);
                CHECK(status(&p) == -ENOTCONN, bad[i]);
                CHECK(brood_client_events(p.client) == 0, bad[i]);
                CHECK(brood_client_reconnect(p.client) == -ENOTSUP, bad[i]);
                pair_end(&p);
        }
}

static void a_reply_may_be_empty_and_come_in_pieces(void **state UNUSED)
{
        static const char *const good[] = { "{}", "{\"parameters\":null}", " {\"error\":null} ",
                                            "{\"continues\":false,\"parameters\":{}}" };
        Pair p = pair_new();
        char *text;

        for (size_t i = 0; i < ELEMENTS(good); i++) {
                say(&p, good[i]);
                CHECK(brood_client_status(p.client, &text) == 0, good[i]);
                CHECK(strcmp(text, "{}") == 0, good[i]);
                free(text);
        }
        pair_end(&p);
}

typedef struct Told {
        int n, result;
} Told;

static void on_told(const BroodReply *reply, void *context)
{
        Told *t = context;

        t->n++;
        t->result = reply->result;
        assert_int_equal(strlen(reply->parameters), reply->size);
}

static void bytes_may_come_one_by_one(void **state UNUSED)
{
        static const char message[] = SUBMITTED;
        Pair p = pair_new();
        Told told = { 0 };

        assert_int_equal(brood_client_start(p.client, "Status", NULL, 0, on_told, &told), 0);
        for (size_t i = 0; i < sizeof(message); i++) {
                assert_int_equal(told.n, 0);
                assert_int_equal(fd_write_all(p.peer, message + i, 1), 0);
                assert_int_equal(brood_client_process(p.client), i + 1 == sizeof(message));
        }
        assert_int_equal(told.n, 1);
        assert_int_equal(brood_client_pending(p.client), 0);
        pair_end(&p);
}

static void an_early_end_is_a_lost_connection(void **state UNUSED)
{
        static const char *const parts[] = { "", "{\"par", SUBMITTED };

        for (size_t i = 0; i < ELEMENTS(parts); i++) {
                Pair p = pair_new();
                BroodSubmitted answer;
                BroodSpec spec = { .handler = "h" };
                char id[40];

                assert_int_equal(fd_write_all(p.peer, parts[i], strlen(parts[i])), 0);
                say_no_more(&p);
                CHECK(brood_client_submit_spec(p.client, &spec, &answer) == -ECONNRESET, parts[i]);
                CHECK(strlen(answer.id.text) == 36, parts[i]); /* to be repeated */
                (void)snprintf(id, sizeof(id), "\"%s\"", answer.id.text);
                CHECK(strstr(heard(&p), id), parts[i]);
                pair_end(&p);
        }
}

static void nobody_is_there_and_no_signal_comes(void **state UNUSED)
{
        Pair p = pair_new();
        int r;

        p.peer = fd_close(p.peer);
        r = status(&p);
        assert_true(r == -EPIPE || r == -ECONNRESET);
        pair_end(&p);
}

/* A daemon that refuses a message closes the connection without reading the rest of it. */
static void the_last_words_are_heard(void **state UNUSED)
{
        Pair p = pair_new();
        char *args = malloc(4000000), *id;

        memset(args, ' ', 4000000);
        memcpy(args, "{\"a\":1", 6);
        memcpy(args + 4000000 - 2, "}", 2);
        say(&p, "{\"error\":\"io.brood.TooLarge\",\"parameters\":{\"limit_bytes\":4096}}");
        p.peer = fd_close(p.peer);
        assert_int_equal(brood_client_submit(p.client, "h", args, &id), -EREMOTEIO);
        assert_string_equal(brood_client_error_name(p.client), "io.brood.TooLarge");
        assert_string_equal(brood_client_error_parameters(p.client), "{\"limit_bytes\":4096}");
        assert_string_equal(brood_client_error(p.client), "io.brood.TooLarge: limit_bytes=4096");
        free(args);
        pair_end(&p);
}

static void errors_are_told_by_name(void **state UNUSED)
{
        Pair p = pair_new();

        say(&p, "{\"error\":\"io.brood.No\\u0053uch\","
                "\"parameters\":{\"a\":\"\\u00e4\",\"b\":[1]}}");
        assert_int_equal(status(&p), -EREMOTEIO);
        assert_string_equal(brood_client_error_name(p.client), "io.brood.NoSuch");
        assert_string_equal(brood_client_error_parameters(p.client),
                            "{\"a\":\"\\u00e4\",\"b\":[1]}");
        assert_string_equal(brood_client_error(p.client), "io.brood.NoSuch: a=\xc3\xa4 b=[1]");
        say(&p, "{\"parameters\":{\"b\":2},\"error\":\"io.brood.Draining\"}");
        assert_int_equal(status(&p), -EREMOTEIO);
        assert_string_equal(brood_client_error(p.client), "io.brood.Draining: b=2");
        say(&p, "{\"error\":\"io.brood.Draining\"}");
        assert_int_equal(status(&p), -EREMOTEIO);
        assert_string_equal(brood_client_error_parameters(p.client), "{}");
        say(&p, "{}");
        assert_int_equal(status(&p), 0);
        assert_string_equal(brood_client_error_name(p.client), "");
        pair_end(&p);
}

static void members_that_are_new_are_passed_over(void **state UNUSED)
{
        Pair p = pair_new();
        BroodSubmitted answer;
        BroodSpec spec = { .handler = "h" };
        BroodRecord *record;

        say(&p, "{\"parameters\":{\"news\":[{}],\"id\":\"" ID "\",\"state\":\"napping\","
                "\"duplicate\":true,\"later\":1}}");
        assert_int_equal(brood_client_submit_spec(p.client, &spec, &answer), 0);
        assert_string_equal(answer.id.text, ID);
        assert_true(answer.duplicate);
        assert_int_equal(answer.state, BROOD_UNKNOWN);
        say(&p, "{\"parameters\":{\"job\":{\"id\":\"" ID "\",\"state\":\"failed\",\"progress\":0.5,"
                "\"attempts\":[{\"outcome\":\"error\"},{\"outcome\":\"napped\",\"error\":\"so\\n\","
                "\"x\":1}],\"spec\":{\"handler\":\"a\\tb\",\"dreams\":{}},\"mood\":\"good\"}}}");
        assert_int_equal(brood_client_get(p.client, ID, &record), 0);
        assert_int_equal(record->state, BROOD_FAILED);
        assert_string_equal(record->handler, "a\tb");
        assert_string_equal(record->error, "so\n");
        assert_string_equal(record->outcome, "napped");
        assert_int_equal(record->n_attempts, 2);
        assert_true(record->progress == 0.5 && !record->pool && !record->args);
        brood_record_free(record);
        pair_end(&p);
}

static void what_has_to_be_there_is_missed(void **state UNUSED)
{
        static const char *const bad[] = {
                "{}", "{\"parameters\":{\"id\":1,\"state\":\"queued\",\"duplicate\":false}}",
                "{\"parameters\":{\"id\":\"" ID ID "\",\"state\":\"queued\"}}",
                "{\"parameters\":{\"job\":{}}}", "{\"parameters\":{\"job\":[]}}",
                "{\"parameters\":{\"job\":{\"id\":\"" ID "\"}}}",
                "{\"parameters\":{\"ids\":[1]}}", "{\"parameters\":{\"ids\":[]}}",
                "{\"parameters\":{\"ids\":{}}}", "{\"parameters\":{\"jobs\":[{}]}}",
                "{\"parameters\":{\"jobs\":[1,2]}}", "{\"parameters\":{\"state\":{}}}",
                "{\"parameters\":{\"reason\":{}}}",
        };
        BroodSpec spec = { .handler = "h" };
        BroodSubmitted answer;
        BroodRecord *record;
        BroodState job_state;
        BroodId id;
        Pair p = pair_new();
        char *text;

        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                say(&p, bad[i]);
                CHECK(brood_client_submit_spec(p.client, &spec, &answer) == -EBADMSG, bad[i]);
                say(&p, bad[i]);
                CHECK(brood_client_submit_many(p.client, &spec, 1, &id, NULL) == -EBADMSG, bad[i]);
                say(&p, bad[i]);
                CHECK(brood_client_get(p.client, ID, &record) == -EBADMSG, bad[i]);
                say(&p, bad[i]);
                CHECK(brood_client_list(p.client, NULL, NULL, NULL) == -EBADMSG, bad[i]);
                say(&p, bad[i]);
                CHECK(brood_client_why(p.client, ID, &text, NULL) == -EBADMSG, bad[i]);
                say(&p, bad[i]);
                CHECK(brood_client_cancel(p.client, ID, 0, &job_state) ==
                              (strstr(bad[i], "\"queued\"") ? 0 : -EBADMSG),
                      bad[i]);
                say(&p, "{}");
                CHECK(status(&p) == 0, bad[i]); /* its envelope was good: the connection is */
        }
        pair_end(&p);
}

static void nobody_waits_for_a_reply(void **state UNUSED)
{
        Pair p = pair_new();

        assert_int_equal(brood_client_process(p.client), 0);
        say(&p, "{}");
        assert_int_equal(brood_client_process(p.client), -EBADMSG);
        assert_int_equal(brood_client_process(p.client), -ENOTCONN);
        pair_end(&p);
}

static void *talk_for_ever(void *context)
{
        char chunk[8192];

        memset(chunk, 'x', sizeof(chunk));
        memcpy(chunk, "{\"parameters\":{\"a\":\"", 20);
        while (send(*(int *)context, chunk, sizeof(chunk), MSG_NOSIGNAL) > 0)
                memset(chunk, 'x', sizeof(chunk));
        return NULL;
}

static void a_reply_beyond_the_limit_is_refused(void **state UNUSED)
{
        Pair p = pair_new();
        pthread_t talker;

        brood_client_set_limit(p.client, 1000000);
        assert_int_equal(pthread_create(&talker, NULL, talk_for_ever, &p.peer), 0);
        assert_int_equal(status(&p), -EMSGSIZE);
        assert_non_null(strstr(brood_client_error(p.client), "1000000"));
        assert_int_equal(pthread_join(talker, NULL), 0); /* the socket was shut down */
        pair_end(&p);
}

static void a_late_reply_is_dropped(void **state UNUSED)
{
        Pair p = pair_new();
        char *text;

        brood_client_set_timeout(p.client, 20000);
        assert_int_equal(status(&p), -ETIMEDOUT);
        assert_string_equal(brood_client_error(p.client), "no answer in time");
        assert_int_equal(brood_client_pending(p.client), 1);
        say(&p, "{\"parameters\":{\"which\":1}}");
        say(&p, "{\"parameters\":{\"which\":2}}");
        assert_int_equal(brood_client_status(p.client, &text), 0);
        assert_string_equal(text, "{\"which\":2}");
        free(text);
        pair_end(&p);
}

static void a_wait_that_is_not_answered_ends_too(void **state UNUSED)
{
        Pair p = pair_new();
        BroodRecord *record;

        brood_client_set_timeout(p.client, 10000);
        assert_int_equal(brood_client_wait_record(p.client, ID, 10000, &record), -ETIMEDOUT);
        assert_non_null(strstr(heard(&p), "\"timeout_usec\":"));
        pair_end(&p);
}

static int stop_at(BroodRecord *record, size_t index, void *context)
{
        size_t *stop = context;

        brood_record_free(record);
        return index == *stop ? 7 : 0;
}

static void a_stream_that_is_stopped_lets_others_by(void **state UNUSED)
{
        BroodId ids[] = { { ID }, { OTHER_ID } };
        Pair p = pair_new();
        size_t stop = 1;
        char *text;

        say(&p, ENDED_MORE(OTHER_ID));
        assert_int_equal(brood_client_wait_many(p.client, ids, 2, 0, -1, stop_at, &stop), 7);
        say(&p, ENDED(ID));
        say(&p, "{\"parameters\":{\"which\":2}}");
        assert_int_equal(brood_client_status(p.client, &text), 0);
        assert_string_equal(text, "{\"which\":2}");
        free(text);
        stop = 2;
        say(&p, ENDED_MORE(ID));
        say(&p, ENDED_MORE(ID)); /* told of twice */
        assert_int_equal(brood_client_wait_many(p.client, ids, 2, 0, -1, stop_at, &stop), -EBADMSG);
        pair_end(&p);
}

static int collect(int stream, const void *bytes, size_t size, void *context)
{
        Buffer *b = context;

        buffer_printf(b, "%d:", stream);
        buffer_append(b, bytes, size);
        return 0;
}

static void pieces_are_bytes(void **state UNUSED)
{
        static const char *const bad[] = {
                "{\"parameters\":{\"stream\":\"stdout\"}}",
                "{\"parameters\":{\"data\":\"x\"}}",
                "{\"parameters\":{\"stream\":\"stdout\",\"data_base64\":\"?\"}}",
        };
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Pair p = pair_new();

        say(&p, "{\"parameters\":{\"stream\":\"stderr\",\"data\":\"a\\n\"},\"continues\":true}");
        say(&p, "{\"parameters\":{\"stream\":\"stdout\",\"data_base64\":\"AP8=\"},"
                "\"continues\":true}");
        say(&p, "{\"parameters\":{\"stream\":\"stdout\",\"data\":\"\"}}");
        assert_int_equal(brood_client_follow(p.client, ID, collect, &b), 0);
        assert_true(slice_equal(buffer_slice(&b), SLICE("2:a\n1:\0\xff")));
        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                say(&p, bad[i]);
                CHECK(brood_client_follow(p.client, ID, collect, &b) == -EBADMSG, bad[i]);
        }
        pair_end(&p);
}

static int change_seen(const BroodChange *change, void *context)
{
        assert_int_equal(change->time_usec, 5);
        assert_string_equal(change->kind, "worker");
        assert_true(!change->reason == !strcmp(change->id, "a"));
        return ++*(int *)context == 2 ? 9 : 0;
}

static void changes_are_told_of(void **state UNUSED)
{
        Pair p = pair_new();
        int n = 0;

        say(&p, "{\"parameters\":{\"time_usec\":5,\"kind\":\"worker\",\"id\":\"a\","
                "\"state\":\"idle\"},\"continues\":true}");
        say(&p, "{\"parameters\":{\"time_usec\":5,\"kind\":\"worker\",\"id\":\"b\",\"state\":\"x\","
                "\"reason\":\"r\"},\"continues\":true}");
        assert_int_equal(brood_client_watch(p.client, NULL, BROOD_WATCH_WORKERS, change_seen, &n),
                         9);
        assert_non_null(strstr(heard(&p), "\"kinds\":[\"worker\"]"));
        pair_end(&p);
}

static void what_waits_to_be_sent_is_bounded(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer replies = BUFFER_INIT;
        Pair p = pair_new();
        Told told = { 0 };
        int r = 0, n = 0;

        brood_client_set_limit(p.client, 100000);
        while (r == 0 && n < 100000) {
                r = brood_client_start(p.client, "Status", NULL, 0, on_told, &told);
                n += r == 0;
        }
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(brood_client_pending(p.client), n);
        assert_int_equal(brood_client_process(p.client), 0);
        assert_int_equal(brood_client_start(p.client, "Status", NULL, 0, on_told, &told), 0);
        brood_client_set_limit(p.client, 20); /* full: who waits makes room first */
        for (int i = 0; i <= n; i++)
                buffer_append(&replies, "{}", 3);
        assert_int_equal(fd_write_all(p.peer, buffer_bytes(&replies), buffer_len(&replies)), 0);
        brood_client_set_timeout(p.client, 20000);
        assert_int_equal(status(&p), -ETIMEDOUT);
        assert_int_equal(told.n, n + 1);
        assert_int_equal(told.result, 0);
        assert_int_equal(brood_client_start(p.client, "Status", NULL, 0, on_told, &told), 0);
        brood_client_close(p.client);
        p.client = NULL;
        assert_int_equal(told.n, n + 2); /* each is told how it ended */
        assert_int_equal(told.result, -ECANCELED);
        pair_end(&p);
}

static void on_close(const BroodReply *reply, void *context)
{
        brood_client_close(reply->client);
}

static void the_client_may_be_closed_under_a_call_that_waits(void **state UNUSED)
{
        Pair p = pair_new();
        Told told = { 0 };
        char *text;

        assert_int_equal(brood_client_start(p.client, "Status", NULL, 0, on_close, NULL), 0);
        assert_int_equal(brood_client_start(p.client, "Status", NULL, 0, on_told, &told), 0);
        say(&p, "{}");
        assert_int_equal(brood_client_status(p.client, &text), -ECANCELED);
        assert_int_equal(told.n, 1);
        assert_int_equal(told.result, -ECANCELED);
        p.peer = fd_close(p.peer);
}

enum { ANSWER = UNLESS_TSAN(100 * 1000, 10 * 1000) };

/* Answers each call, but takes no byte of the next before its answer is taken. */
static void *echo_stubbornly(void *context)
{
        int fd = *(int *)context;
        char *answer = malloc(ANSWER + 2);
        char c;

        memset(answer, ' ', ANSWER + 2);
        memcpy(answer, "{", 1);
        memcpy(answer + ANSWER, "}", 2);
        while (recv(fd, &c, 1, 0) == 1)
                if (c == '\0' && fd_write_all(fd, answer, ANSWER + 2) < 0)
                        break;
        free(answer);
        return NULL;
}

static void both_sides_may_be_full(void **state UNUSED)
{
        Pair p = pair_new();
        Told told = { 0 };
        pthread_t peer;

        for (int i = 0; i < 3000; i++)
                assert_int_equal(brood_client_start(p.client, "Status",
                                                    "{\"a\":\"...............\"}", 0, on_told,
                                                    &told),
                                 0);
        assert_int_equal(pthread_create(&peer, NULL, echo_stubbornly, &p.peer), 0);
        while (brood_client_pending(p.client)) {
                struct pollfd q = { .fd = brood_client_fd(p.client),
                                    .events = brood_client_events(p.client) };

                assert_int_equal(poll(&q, 1, 20000), 1);
                assert_true(brood_client_process(p.client) >= 0);
        }
        assert_int_equal(told.n, 3000);
        brood_client_close(p.client);
        p.client = NULL;
        assert_int_equal(pthread_join(peer, NULL), 0);
        pair_end(&p);
}

/* --- a daemon that drops the connection, and is there again --- */

typedef struct Dropper {
        int listener, drops, seen;
        char ids[8][37];
} Dropper;

static void *drop(void *context)
{
        Dropper *d = context;

        for (;;) {
                char text[4096] = "";
                AUTO(fd_close) int fd = accept(d->listener, NULL, NULL);
                const char *id;

                if (fd < 0 || recv(fd, text, sizeof(text) - 1, 0) <= 0)
                        return NULL;
                id = strstr(text, "\"id\":\"");
                if (id)
                        memcpy(d->ids[d->seen], id + 6, 36);
                if (d->seen++ < d->drops)
                        continue;
                (void)fd_write_all(fd, SUBMITTED, sizeof(SUBMITTED));
                return NULL;
        }
}

static void patience_repeats_with_the_same_id(void **state UNUSED)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        BroodSpec spec = { .handler = "h" };
        Dropper d = { .drops = 3 };
        BroodSubmitted answer;
        BroodClient *c;
        pthread_t peer;
        char name[64], *text;

        (void)snprintf(name, sizeof(name), "@brood-test-client-%d", (int)getpid());
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
        address.sun_path[0] = '\0';
        d.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(d.listener, (struct sockaddr *)&address,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                         0);
        assert_int_equal(listen(d.listener, 8), 0);
        assert_int_equal(pthread_create(&peer, NULL, drop, &d), 0);
        assert_int_equal(brood_client_open(&c, name), 0);
        assert_int_equal(brood_client_call(c, "Status", NULL, &text), -ECONNRESET); /* not again */
        brood_client_set_patience(c, 10 * 1000000);
        assert_int_equal(brood_client_submit_spec(c, &spec, &answer), 0);
        assert_int_equal(pthread_join(peer, NULL), 0);
        assert_int_equal(d.seen, 4);
        assert_int_equal(strlen(d.ids[1]), 36);
        assert_string_equal(d.ids[1], d.ids[2]);
        assert_string_equal(d.ids[1], d.ids[3]);
        fd_close(d.listener);
        brood_client_set_patience(c, 50000);
        assert_int_equal(brood_client_cancel(c, ID, 0, NULL), -ECONNREFUSED);
        brood_client_close(c);
}

static void ids_sort_as_they_were_made(void **state UNUSED)
{
        BroodId before = { "" }, id;

        for (int i = 0; i < 10000; i++) {
                brood_client_make_id(&id);
                assert_int_equal(strlen(id.text), 36);
                assert_true(strcmp(before.text, id.text) < 0);
                before = id;
        }
}

/* --- anything --- */

static int ignore_record(BroodRecord *record, size_t index, void *context)
{
        brood_record_free(record);
        return 0;
}

static void call_all(const Pair *p)
{
        BroodSpec spec = { .handler = "h" };
        BroodId ids[] = { { ID }, { OTHER_ID } };
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        BroodSubmitted answer;
        BroodRecord *record;
        BroodState job_state;
        int64_t ahead;
        char *text;

        brood_client_set_timeout(p->client, 0);
        (void)brood_client_submit_spec(p->client, &spec, &answer);
        if (brood_client_get(p->client, ID, &record) == 0)
                brood_record_free(record);
        (void)brood_client_list(p->client, NULL, ignore_record, NULL);
        (void)brood_client_wait_many(p->client, ids, 2, 1, 0, ignore_record, NULL);
        (void)brood_client_follow(p->client, ID, collect, &b);
        (void)brood_client_cancel(p->client, ID, 1, &job_state);
        if (brood_client_why(p->client, ID, &text, &ahead) == 0)
                free(text);
        if (brood_client_run(p->client, "h", NULL, &text) == 0)
                free(text);
}

/* Valid replies with a few bytes of them changed, for a call of each kind. */
static void changed_replies_do_no_harm(void **state UNUSED)
{
        static const char *const replies[] = {
                SUBMITTED, ENDED(ID), "{\"parameters\":{\"jobs\":[" JOB(ID) "," JOB(OTHER_ID) "]}}",
                ENDED_MORE(ID), ENDED(OTHER_ID),
                "{\"parameters\":{\"stream\":\"stdout\",\"data_base64\":\"AP8=\"}}",
                "{\"parameters\":{\"state\":\"queued\"}}",
                "{\"parameters\":{\"state\":\"queued\",\"reason\":\"\\u00e4\",\"ahead\":3}}",
                ENDED(ID),
        };
        static const char bytes[] = "{}[]\",:0e\\-\0\xff\xc3un";
        unsigned seed = 1;

        for (int round = 0; round < 3000; round++) {
                Pair p = pair_new();

                for (size_t i = 0; i < ELEMENTS(replies); i++) {
                        char text[1024];
                        size_t n = strlen(replies[i]) + 1;

                        memcpy(text, replies[i], n);
                        for (int k = 0; round && k < rand_r(&seed) % 3; k++)
                                text[(size_t)rand_r(&seed) % n] =
                                        bytes[(size_t)rand_r(&seed) % (sizeof(bytes) - 1)];
                        assert_int_equal(fd_write_all(p.peer, text, n), 0);
                }
                say_no_more(&p); /* so that nothing waits */
                call_all(&p);
                pair_end(&p);
        }
}

static void names_of_states(void **state UNUSED)
{
        assert_string_equal(brood_state_name(BROOD_EXPIRED), "expired");
        assert_string_equal(brood_state_name((BroodState)99), "unknown");
        assert_true(brood_state_ended(BROOD_CANCELLED) && !brood_state_ended(BROOD_RUNNING));
        assert_false(brood_state_ended(BROOD_UNKNOWN));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_no_reply_ends_the_connection),
                cmocka_unit_test(a_reply_may_be_empty_and_come_in_pieces),
                cmocka_unit_test(bytes_may_come_one_by_one),
                cmocka_unit_test(an_early_end_is_a_lost_connection),
                cmocka_unit_test(nobody_is_there_and_no_signal_comes),
                cmocka_unit_test(the_last_words_are_heard),
                cmocka_unit_test(errors_are_told_by_name),
                cmocka_unit_test(members_that_are_new_are_passed_over),
                cmocka_unit_test(what_has_to_be_there_is_missed),
                cmocka_unit_test(nobody_waits_for_a_reply),
                cmocka_unit_test(a_reply_beyond_the_limit_is_refused),
                cmocka_unit_test(a_late_reply_is_dropped),
                cmocka_unit_test(a_wait_that_is_not_answered_ends_too),
                cmocka_unit_test(a_stream_that_is_stopped_lets_others_by),
                cmocka_unit_test(pieces_are_bytes),
                cmocka_unit_test(changes_are_told_of),
                cmocka_unit_test(what_waits_to_be_sent_is_bounded),
                cmocka_unit_test(the_client_may_be_closed_under_a_call_that_waits),
                cmocka_unit_test(both_sides_may_be_full),
                cmocka_unit_test(patience_repeats_with_the_same_id),
                cmocka_unit_test(ids_sort_as_they_were_made),
                cmocka_unit_test(changed_replies_do_no_harm),
                cmocka_unit_test(names_of_states),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

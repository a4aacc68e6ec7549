/* SPDX-License-Identifier: MIT */

/* client SOCKET WHAT [ARGUMENT…]: libbrood's client against a daemon, for test_client_lib.py, which
 * reads what it prints. Ends with 1 and a line on stderr if something is not as it should be. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <brood/client.h>
#include <brood/handler.h> /* both can be included in one program */

#define SECOND 1000000

#define CHECK(claim)                                                                               \
        do {                                                                                       \
                if (!(claim)) {                                                                    \
                        fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #claim,    \
                                client ? brood_client_error(client) : "");                         \
                        exit(1);                                                                   \
                }                                                                                  \
        } while (0)

static BroodClient *client;
static const char *path;

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void open_client(void)
{
        CHECK(brood_client_open(&client, path) == 0);
        CHECK(brood_client_fd(client) >= 0 && brood_client_pending(client) == 0);
}

static void refused(int r, const char *name, const char *parameter)
{
        CHECK(r == -EREMOTEIO);
        CHECK(strcmp(brood_client_error_name(client), name) == 0);
        CHECK(strstr(brood_client_error_parameters(client), parameter));
        CHECK(strstr(brood_client_error(client), name));
}

/* --- each function once --- */

static void run_spec(void)
{
        const char *tags[] = { "red", "blue \"quoted\"" }, *semaphores[] = { "licence" };
        BroodSubmitted first, answer;
        BroodRecord *record;
        BroodState state;
        char *text;

        CHECK(brood_client_submit_spec(client, &(BroodSpec){ .handler = "echo" }, &first) == 0);
        const char *after[] = { first.id.text };
        BroodSpec spec = {
                .handler = "echo", .args = " {\"n\": 1.50, \"s\":\"\\u00e4\\n\"} ",
                .after = after, .n_after = 1, .semaphores = semaphores, .n_semaphores = 1,
                .tags = tags, .n_tags = 2, .priority = -7, .max_attempts = 3,
                .durability = BROOD_DURABILITY_MEMORY, .delay_usec = 1000,
                .timeout_usec = BROOD_ZERO, .ttl_usec = 60 * SECOND, .keep_usec = 30 * SECOND,
                .unique_key = "key", .attached = 1,
        };
        CHECK(brood_client_run_spec(client, &spec, &record) == 0);
        CHECK(record->state == BROOD_SUCCEEDED && brood_state_ended(record->state));
        CHECK(strcmp(record->handler, "echo") == 0 && strcmp(record->pool, "diag") == 0);
        CHECK(strcmp(record->result, "{\"n\": 1.50, \"s\":\"\\u00e4\\n\"}") == 0 ||
              strstr(record->result, "1.5"));
        CHECK(record->args && record->n_attempts == 1 && record->submitted_usec > 0);
        CHECK(record->ended_usec >= record->started_usec && record->uid == getuid());
        CHECK(strcmp(record->outcome, "succeeded") == 0 && !record->error);
        puts(record->json);
        brood_record_free(record);

        spec = (BroodSpec){ .handler = "sleep", .args = "{\"seconds\":50}", .unique_key = "k" };
        CHECK(brood_client_submit_spec(client, &spec, &first) == 0 && !first.duplicate);
        CHECK(brood_client_submit_spec(client, &spec, &answer) == 0 && answer.duplicate);
        CHECK(strcmp(first.id.text, answer.id.text) == 0);
        spec.unique_key = NULL;
        spec.id = first.id.text;
        CHECK(brood_client_submit_spec(client, &spec, &answer) == 0 && answer.duplicate);
        CHECK(answer.state == BROOD_RUNNING || answer.state == BROOD_QUEUED);
        CHECK(brood_client_cancel(client, first.id.text, 1, NULL) == 0);

        spec = (BroodSpec){ .handler = "echo", .delay_usec = 1000LL * SECOND };
        CHECK(brood_client_submit_spec(client, &spec, &first) == 0);
        CHECK(first.state == BROOD_SCHEDULED);
        CHECK(brood_client_get(client, first.id.text, &record) == 0);
        CHECK(record->state == BROOD_SCHEDULED && record->progress < 0 && !record->result);
        brood_record_free(record);
        CHECK(brood_client_why(client, first.id.text, &text, NULL) == 0 && *text);
        free(text);
        CHECK(brood_client_wait(client, first.id.text, 20000, &text) == -ETIMEDOUT);
        CHECK(strcmp(brood_client_error_name(client), "io.brood.WaitTimeout") == 0);
        CHECK(brood_client_cancel(client, first.id.text, 0, &state) == 0);
        CHECK(state == BROOD_CANCELLED);
        CHECK(brood_client_wait(client, first.id.text, -1, &text) == -EREMOTEIO);
        CHECK(strstr(brood_client_error(client), "cancelled"));
        CHECK(brood_client_retry(client, first.id.text, &state) == 0);
        CHECK(state != BROOD_CANCELLED && state != BROOD_UNKNOWN); /* it may have begun */
        refused(brood_client_retry(client, first.id.text, &state), "io.brood.WrongState",
                first.id.text);
        CHECK(brood_client_wait(client, first.id.text, -1, &text) == 0);
        free(text);
        refused(brood_client_cancel(client, first.id.text, 0, &state), "io.brood.WrongState",
                "succeeded");
}

static void run_errors(void)
{
        BroodSubmitted answer;
        BroodRecord *record;
        BroodSpec spec;
        BroodId id;
        char *text;

        refused(brood_client_run(client, "nobody", NULL, &text), "io.brood.NoSuchHandler",
                "nobody");
        CHECK(brood_client_run(client, "echo", "{\"a\":1}", &text) == 0);
        CHECK(!*brood_client_error(client) && !*brood_client_error_name(client));
        CHECK(strcmp(brood_client_error_parameters(client), "{}") == 0);
        free(text);
        brood_client_make_id(&id);
        refused(brood_client_get(client, id.text, &record), "io.brood.NoSuchJob", id.text);
        CHECK(brood_client_run(client, "echo", "[1]", &text) == -EINVAL);
        CHECK(strstr(brood_client_error(client), "args: not a JSON object"));
        CHECK(brood_client_run(client, "echo", "{\"a\":", &text) == -EINVAL);
        CHECK(strstr(brood_client_error(client), "args: line 1"));
        CHECK(brood_client_run(client, "\xff", NULL, &text) == -EINVAL);
        CHECK(brood_client_run(client, NULL, NULL, &text) == -EINVAL);
        CHECK(brood_client_get(client, NULL, &record) == -EINVAL);
        spec = (BroodSpec){ .handler = "echo", .id = "no-id" };
        CHECK(brood_client_submit_spec(client, &spec, &answer) == -EINVAL);
        spec = (BroodSpec){ .handler = "echo", .reserved = { 1 } };
        CHECK(brood_client_submit_spec(client, &spec, &answer) == -EINVAL);
        spec = (BroodSpec){ .handler = "echo", .priority = 5000 };
        refused(brood_client_submit_spec(client, &spec, &answer),
                "org.varlink.service.InvalidParameter", "job.priority");
        spec = (BroodSpec){ .handler = "fail", .max_attempts = 1,
                            .args = "{\"message\":\"no \\\"luck\\\"\",\"retry\":false}" };
        CHECK(brood_client_submit_spec(client, &spec, &answer) == 0);
        CHECK(brood_client_wait(client, answer.id.text, -1, &text) == -EREMOTEIO);
        CHECK(strstr(brood_client_error(client), "no \"luck\""));
        CHECK(!*brood_client_error_name(client));
        CHECK(brood_client_wait_record(client, answer.id.text, -1, &record) == 0);
        CHECK(record->state == BROOD_FAILED && strcmp(record->outcome, "error") == 0);
        brood_record_free(record);
        CHECK(brood_client_call(client, "Pause Pool", NULL, &text) == -EINVAL);
        CHECK(brood_client_call(client, "org.varlink.service.GetInfo", NULL, &text) == 0);
        CHECK(strstr(text, "broodd"));
        free(text);
        CHECK(brood_client_status(client, &text) == 0 && strstr(text, "\"pools\""));
        free(text);
}

/* --- many --- */

static BroodSpec *specs_of(size_t n, const char *handler, const char *args)
{
        BroodSpec *specs = calloc(n, sizeof(*specs));

        for (size_t i = 0; i < n; i++)
                specs[i] = (BroodSpec){ .handler = handler, .args = args,
                                        .durability = BROOD_DURABILITY_MEMORY };
        return specs;
}

static int count_end(BroodRecord *record, size_t index, void *context)
{
        size_t *n = context;

        CHECK(brood_state_ended(record->state));
        brood_record_free(record);
        n[0]++;
        n[1] += index;
        return 0;
}

static void run_many(size_t n)
{
        BroodSpec *specs = specs_of(n, "echo", "{\"x\":1}");
        BroodId *ids = calloc(n, sizeof(*ids)), *again = calloc(n, sizeof(*again));
        size_t accepted, sums[2] = { 0 };
        double start = now(), submitted;
        char *text;

        CHECK(brood_client_submit_many(client, specs, n, ids, &accepted) == 0 && accepted == n);
        submitted = now();
        CHECK(brood_client_wait_many(client, ids, n, 0, -1, count_end, sums) == 0);
        CHECK(sums[0] == n && sums[1] == n * (n - 1) / 2);
        printf("{\"submit\": %.3f, \"all\": %.3f}\n", submitted - start, now() - start);

        for (size_t i = 0; i < n; i++)
                specs[i].id = ids[i].text;
        CHECK(brood_client_submit_many(client, specs, n, again, &accepted) == 0 && accepted == n);
        CHECK(memcmp(ids, again, n * sizeof(*ids)) == 0);
        specs[n / 2].handler = "nobody";
        refused(brood_client_submit_many(client, specs, n, again, &accepted),
                "io.brood.NoSuchHandler", "nobody");
        CHECK(accepted <= n / 2);
        specs[n / 2].handler = "echo";
        specs[n / 2].args = "{";
        CHECK(brood_client_submit_many(client, specs, n, again, &accepted) == -EINVAL);
        CHECK(strstr(brood_client_error(client), ".args: line 1"));
        CHECK(brood_client_submit_many(client, specs, 0, again, &accepted) == 0 && accepted == 0);
        CHECK(brood_client_status(client, &text) == 0);
        free(text);
        free(specs);
        free(ids);
        free(again);
}

static int print_index(BroodRecord *record, size_t index, void *context)
{
        int *stop = context;

        printf("%zu %s\n", index, record->id);
        fflush(stdout);
        brood_record_free(record);
        return stop && --*stop == 0 ? 42 : 0;
}

/* The first sleeps longest; an id may be given twice, and in capitals. */
static void run_order(void)
{
        static const char *const args[] = { "{\"seconds\":0.8}", "{\"seconds\":0.4}",
                                            "{\"seconds\":0}" };
        BroodSubmitted answer;
        BroodId ids[4];
        int stop = 1;

        for (int ordered = 0; ordered < 2; ordered++) {
                for (int i = 0; i < 3; i++) {
                        BroodSpec spec = { .handler = "sleep", .args = args[i] };

                        CHECK(brood_client_submit_spec(client, &spec, &answer) == 0);
                        ids[i] = answer.id;
                }
                ids[3] = ids[2];
                for (char *p = ids[3].text; *p; p++)
                        *p = *p >= 'a' ? (char)(*p - 32) : *p;
                CHECK(brood_client_wait_many(client, ids, 4, ordered, -1, print_index, NULL) == 0);
                puts("-");
        }
        CHECK(brood_client_wait_many(client, ids, 3, 1, -1, print_index, &stop) == 42);
        CHECK(brood_client_submit_spec(client, &(BroodSpec){ .handler = "sleep",
                                       .args = "{\"seconds\":50}" }, &answer) == 0);
        ids[0] = answer.id;
        CHECK(brood_client_wait_many(client, ids, 2, 1, 50000, print_index, NULL) == -ETIMEDOUT);
        CHECK(brood_client_wait_many(client, ids, 2, 1, 50000, print_index, NULL) == -ETIMEDOUT);
        CHECK(brood_client_cancel(client, ids[0].text, 0, NULL) == 0);
        brood_client_make_id(&ids[1]);
        refused(brood_client_wait_many(client, ids, 2, 0, -1, print_index, NULL),
                "io.brood.NoSuchJob", ids[1].text);
        memcpy(ids[1].text, "?", 2);
        CHECK(brood_client_wait_many(client, ids, 2, 0, -1, print_index, NULL) == -EINVAL);
}

/* --- a loop with poll() --- */

typedef struct Load {
        size_t submitted, ended, to_end;
        BroodId *ids;
        int error;
} Load;

static void on_submitted(const BroodReply *reply, void *context)
{
        BroodSubmitted answer;
        Load *l = context;

        if (brood_reply_submitted(reply, &answer) < 0) {
                l->error = reply->result;
                return;
        }
        CHECK(strcmp(answer.id.text, l->ids[l->submitted].text) == 0);
        CHECK(!answer.duplicate);
        l->submitted++;
}

static void on_end(const BroodReply *reply, void *context)
{
        BroodRecord *record;
        Load *l = context;

        CHECK(brood_reply_record(reply, &record) == 0);
        CHECK(record->state == BROOD_SUCCEEDED);
        brood_record_free(record);
        l->ended++;
        if (!reply->continues)
                CHECK(l->ended == l->to_end);
}

static void on_good(const BroodReply *reply, void *context)
{
        CHECK(brood_reply_check(reply) == 0);
}

static int drive(BroodClient *c)
{
        int r = 0;

        while (r >= 0 && brood_client_pending(c)) {
                struct pollfd p = { .fd = brood_client_fd(c), .events = brood_client_events(c) };

                CHECK(poll(&p, 1, 60000) == 1);
                r = brood_client_process(c);
        }
        return r;
}

static void run_loop(size_t n)
{
        BroodSpec spec = { .handler = "echo", .args = "{\"x\":1}",
                           .durability = BROOD_DURABILITY_MEMORY };
        Load load = { .to_end = n, .ids = calloc(n, sizeof(*load.ids)) };
        double start = now(), submitted;
        BroodSpec *specs;

        for (size_t i = 0; i < n; i++)
                CHECK(brood_client_start_submit(client, &spec, &load.ids[i], 0, on_submitted,
                                                &load) == 0);
        CHECK(brood_client_pending(client) == n);
        CHECK(brood_client_events(client) == (POLLIN | POLLOUT));
        CHECK(drive(client) >= 0);
        CHECK(load.submitted == n && brood_client_events(client) == POLLIN);
        submitted = now();
        for (size_t i = 0; i < n; i += 100000)
                CHECK(brood_client_start_wait_many(client, load.ids + i,
                                                   n - i < 100000 ? n - i : 100000, 0, on_end,
                                                   &load) == 0);
        CHECK(drive(client) >= 0 && load.ended == n);
        printf("{\"submit\": %.3f, \"all\": %.3f}\n", submitted - start, now() - start);

        start = now();
        load.ended = 0;
        load.to_end = SIZE_MAX;
        for (size_t i = 0; i < n; i++)
                CHECK(brood_client_start_submit(client, &spec, NULL, 1, NULL, NULL) == 0);
        CHECK(drive(client) >= 0);
        printf("{\"run\": %.3f}\n", now() - start);
        specs = specs_of(100, "echo", NULL);
        CHECK(brood_client_start_submit_many(client, specs, 100, load.ids, on_good, NULL) == 0);
        CHECK(drive(client) >= 0);
        load.to_end = 100;
        CHECK(brood_client_start_wait_many(client, load.ids, 100, 1, on_end, &load) == 0);
        CHECK(drive(client) >= 0 && load.ended == 100);
        free(specs);
        free(load.ids);
}

/* What may be done in a BroodReplied, and what not. */
static void on_nested(const BroodReply *reply, void *context)
{
        int *step = context;
        char *text;

        if (*step == 0) {
                CHECK(brood_client_status(reply->client, &text) == -EDEADLK);
                CHECK(brood_client_process(reply->client) == -EDEADLK);
                CHECK(brood_client_start(reply->client, "Status", NULL, 0, on_nested, step) == 0);
                CHECK(brood_client_start(reply->client, "Status", NULL, 0, on_nested, step) == 0);
        } else if (*step == 1) {
                CHECK(reply->result == 0 && strstr(reply->parameters, "\"pools\""));
                brood_client_close(reply->client);
        } else {
                CHECK(reply->result == -ECANCELED);
                CHECK(brood_client_start(reply->client, "Status", NULL, 0, NULL, NULL) ==
                      -ESHUTDOWN);
        }
        ++*step;
}

static void run_nested(void)
{
        int step = 0;

        CHECK(brood_client_start(client, "Status", NULL, 0, on_nested, &step) == 0);
        CHECK(drive(client) == -ECANCELED && step == 3);
        client = NULL;
}

/* --- cancel, list --- */

static int count_listed(BroodRecord *record, size_t index, void *context)
{
        BroodId *last = context;
        BroodRecord *same;

        CHECK(!*last->text || strcmp(record->id, last->text) < 0); /* newest first */
        memcpy(last->text, record->id, sizeof(last->text));
        CHECK(!record->args);
        if (index % 400 == 0) {
                CHECK(brood_client_get(client, record->id, &same) == 0); /* the client is free */
                CHECK(same->args);
                brood_record_free(same);
        }
        printf("%s\n", record->id);
        brood_record_free(record);
        return 0;
}

static void run_list(const char *tag, size_t limit)
{
        BroodFilter filter = { .tag = tag, .limit = limit };
        BroodId last = { "" };
        int stop = 1;

        CHECK(brood_client_list(client, &filter, count_listed, &last) == 0);
        puts("-");
        filter = (BroodFilter){ .tag = tag, .before = last.text };
        BroodId after = { "" };
        CHECK(!*last.text || brood_client_list(client, &filter, count_listed, &after) == 0);
        puts("-");
        filter = (BroodFilter){ .state = BROOD_EXPIRED };
        CHECK(brood_client_list(client, &filter, print_index, NULL) == 0);
        filter = (BroodFilter){ .handler = "nobody", .pool = "diag" };
        CHECK(brood_client_list(client, &filter, print_index, NULL) == 0);
        CHECK(brood_client_list(client, NULL, print_index, &stop) == 42);
        filter = (BroodFilter){ .state = (BroodState)77 };
        CHECK(brood_client_list(client, &filter, print_index, NULL) == -EINVAL);
        filter = (BroodFilter){ .before = "nonsense" };
        CHECK(brood_client_list(client, &filter, print_index, NULL) == -EREMOTEIO);
}

/* --- follow, watch --- */

static int on_piece(int stream, const void *bytes, size_t size, void *context)
{
        BroodState state;

        CHECK(stream == 1 || stream == 2);
        if (context) {
                CHECK(brood_client_cancel(client, context, 1, &state) == 0);
                return 42;
        }
        fwrite(bytes, 1, size, stream == 1 ? stdout : stderr);
        fflush(stdout);
        return 0;
}

static void run_follow(char *id, const char *stop)
{
        int r = brood_client_follow(client, id, on_piece, stop ? id : NULL);
        BroodRecord *record;

        CHECK(r == (stop ? 42 : 0));
        CHECK(brood_client_wait_record(client, id, 10 * SECOND, &record) == 0);
        CHECK(!stop == (record->state == BROOD_SUCCEEDED));
        brood_record_free(record);
        refused(brood_client_follow(client, "018f0000-0000-7000-8000-000000000000", on_piece, NULL),
                "io.brood.NoSuchJob", "018f");
}

static int on_change(const BroodChange *change, void *context)
{
        unsigned *left = context;

        CHECK(change->time_usec > 0);
        printf("%s %s %s\n", change->kind, change->id, change->state);
        fflush(stdout);
        return --*left ? 0 : 42;
}

static void run_watch(unsigned n)
{
        CHECK(brood_client_watch(client, "diag", 8, on_change, &n) == -EINVAL);
        puts("watching");
        fflush(stdout);
        CHECK(brood_client_watch(client, "diag", BROOD_WATCH_JOBS, on_change, &n) == 42);
}

/* --- a daemon that is killed and comes back --- */

static void run_restart(size_t n)
{
        BroodSpec spec = { .handler = "echo", .args = "{}" };
        BroodId *ids = calloc(n, sizeof(*ids));
        size_t lost = 0, sums[2] = { 0 };
        int r;

        for (size_t i = 0; i < n; i++) {
                BroodSubmitted answer;

                spec.id = NULL;
                while ((r = brood_client_submit_spec(client, &spec, &answer)) < 0) {
                        CHECK(r == -ECONNRESET || r == -EPIPE || r == -ECONNREFUSED ||
                              r == -ENOENT);
                        lost++;
                        ids[i] = answer.id;
                        spec.id = ids[i].text; /* the same again */
                        poll(NULL, 0, 5);
                }
                ids[i] = answer.id;
                if (i % 50 == 0) {
                        printf("%zu\n", i);
                        fflush(stdout);
                }
        }
        brood_client_set_patience(client, 20 * SECOND);
        CHECK(brood_client_wait_many(client, ids, n, 0, 60 * SECOND, count_end, sums) == 0);
        CHECK(sums[0] == n);
        printf("lost %zu\n", lost);
        free(ids);
}

/* The same without a thought for it. */
static void run_patience(size_t n)
{
        BroodSpec *specs = specs_of(n, "sleep", "{\"seconds\":0.02}");
        BroodId *ids = calloc(n, sizeof(*ids));
        size_t accepted, sums[2] = { 0 };
        char *text;

        brood_client_set_patience(client, 20 * SECOND);
        for (size_t i = 0; i < n; i++)
                specs[i].durability = BROOD_DURABILITY_FSYNC;
        CHECK(brood_client_submit_many(client, specs, n, ids, &accepted) == 0);
        puts("submitted");
        fflush(stdout);
        CHECK(brood_client_wait_many(client, ids, n, 1, 60 * SECOND, count_end, sums) == 0);
        CHECK(sums[0] == n);
        CHECK(brood_client_run(client, "sleep", "{\"seconds\":0}", &text) == 0);
        free(text);
        puts("done");
        free(specs);
        free(ids);
}

/* A call that waits, started before the daemon is killed, is told of it. */
static void on_lost(const BroodReply *reply, void *context)
{
        int *result = context;

        CHECK(!reply->continues && reply->result < 0);
        *result = reply->result;
}

static void run_lost(void)
{
        BroodSpec spec = { .handler = "sleep", .args = "{\"seconds\":50}" };
        int results[2] = { 0 };

        CHECK(brood_client_start_submit(client, &spec, NULL, 1, on_lost, &results[0]) == 0);
        CHECK(brood_client_start(client, "Status", NULL, 0, on_lost, &results[1]) == 0);
        CHECK(brood_client_process(client) == 0);
        puts("started");
        fflush(stdout);
        CHECK(drive(client) == -ECONNRESET);
        CHECK(results[0] == -ECONNRESET && results[1] == -ECONNRESET);
        CHECK(brood_client_process(client) == -ENOTCONN && brood_client_events(client) == 0);
        CHECK(brood_client_start(client, "Status", NULL, 0, NULL, NULL) == -ENOTCONN);
        do { /* a connection that the old daemon did not take ends with it */
                while (brood_client_reconnect(client) < 0)
                        poll(NULL, 0, 5);
                CHECK(brood_client_start(client, "Status", NULL, 0, NULL, NULL) == 0);
        } while (drive(client) < 0);
}

/* --- a fork --- */

static void run_fork(void)
{
        BroodId mine[2], its[2] = { 0 };
        int fds[2], status;
        char *text;

        brood_client_make_id(&mine[0]);
        CHECK(pipe(fds) == 0);
        if (fork() == 0) {
                CHECK(brood_client_status(client, &text) == -ECHILD);
                CHECK(brood_client_start(client, "Status", NULL, 0, NULL, NULL) == -ECHILD);
                brood_client_close(client);
                brood_client_make_id(&its[0]);
                open_client();
                CHECK(brood_client_status(client, &text) == 0);
                free(text);
                brood_client_close(client);
                _exit(write(fds[1], its, sizeof(its[0])) != sizeof(its[0]));
        }
        brood_client_make_id(&mine[1]);
        CHECK(read(fds[0], its, sizeof(its[0])) == sizeof(its[0]));
        CHECK(wait(&status) > 0 && status == 0);
        CHECK(strcmp(mine[1].text + 19, its[0].text + 19) != 0); /* the random half */
        CHECK(brood_client_status(client, &text) == 0);
        free(text);
        close(fds[0]);
        close(fds[1]);
}

/* Descriptors go along, also behind calls that are still to be sent. */
static void run_stdio(void)
{
        BroodSpec spec = { .handler = "exec", .attached = 1, .max_attempts = 1,
                           .args = "{\"argv\":[\"/bin/sh\",\"-c\",\"cat; echo seen >&2\"]}" };
        int in[2], out[2], err[2];
        BroodSubmitted answer;
        BroodRecord *record;
        BroodId id;
        char text[64] = "";

        CHECK(pipe(in) == 0 && pipe(out) == 0 && pipe(err) == 0);
        const int fds[] = { in[0], out[1], err[1] };
        spec.descriptors = fds;
        CHECK(write(in[1], "through a pipe", 14) == 14 && close(in[1]) == 0);
        for (int i = 0; i < 3000; i++)
                CHECK(brood_client_start(client, "Status", NULL, 0, NULL, NULL) == 0);
        CHECK(brood_client_run_spec(client, &spec, &record) == 0);
        CHECK(record->state == BROOD_SUCCEEDED);
        brood_record_free(record);
        CHECK(read(out[0], text, sizeof(text)) == 14 && strcmp(text, "through a pipe") == 0);
        CHECK(read(err[0], text, sizeof(text)) == 5 && memcmp(text, "seen\n", 5) == 0);
        CHECK(brood_client_start_submit(client, &spec, NULL, 0, NULL, NULL) == -EINVAL);
        CHECK(brood_client_submit_many(client, &spec, 1, &id, NULL) == -EINVAL);
        spec.attached = 0;
        CHECK(brood_client_submit_spec(client, &spec, &answer) == -EINVAL);
        for (int i = 0; i < 2; i++) {
                close(out[i]);
                close(err[i]);
        }
        close(in[0]);
}

/* An attached job goes with its connection. */
static void run_attached(void)
{
        BroodSpec spec = { .handler = "sleep", .args = "{\"seconds\":50}", .attached = 1 };
        BroodSubmitted answer;
        BroodRecord *record;

        CHECK(brood_client_submit_spec(client, &spec, &answer) == 0);
        brood_client_close(client);
        open_client();
        CHECK(brood_client_wait_record(client, answer.id.text, 10 * SECOND, &record) == 0);
        CHECK(record->state == BROOD_CANCELLED);
        brood_record_free(record);
}

static void run_refused(void)
{
        BroodId id;
        char *text;

        refused(brood_client_call(client, "PausePool", "{\"pool\":\"diag\"}", &text),
                "io.brood.AccessDenied", "{}");
        brood_client_make_id(&id);
        CHECK(brood_client_cancel(client, id.text, 0, NULL) == -EREMOTEIO);
}

int main(int argc, char **argv)
{
        const char *what = argc > 2 ? argv[2] : "";
        size_t n = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
        int r;

        path = argc > 1 ? argv[1] : NULL;
        if (strcmp(what, "unreachable") == 0) {
                r = brood_client_open(&client, path);
                printf("%s\n", strerror(-r));
                return 0;
        }
        open_client();
        if (strcmp(what, "spec") == 0)
                run_spec();
        else if (strcmp(what, "errors") == 0)
                run_errors();
        else if (strcmp(what, "many") == 0)
                run_many(n);
        else if (strcmp(what, "order") == 0)
                run_order();
        else if (strcmp(what, "loop") == 0)
                run_loop(n);
        else if (strcmp(what, "nested") == 0)
                run_nested();
        else if (strcmp(what, "list") == 0)
                run_list(argv[4], n);
        else if (strcmp(what, "follow") == 0)
                run_follow(argv[3], argv[4]);
        else if (strcmp(what, "watch") == 0)
                run_watch((unsigned)n);
        else if (strcmp(what, "restart") == 0)
                run_restart(n);
        else if (strcmp(what, "patience") == 0)
                run_patience(n);
        else if (strcmp(what, "lost") == 0)
                run_lost();
        else if (strcmp(what, "fork") == 0)
                run_fork();
        else if (strcmp(what, "stdio") == 0)
                run_stdio();
        else if (strcmp(what, "attached") == 0)
                run_attached();
        else if (strcmp(what, "refused") == 0)
                run_refused();
        else
                return 2;
        brood_client_close(client);
        return 0;
}

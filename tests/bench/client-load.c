/* SPDX-License-Identifier: MIT */

/* client-load MODE SOCKET JOBS: what brood-load does, through libbrood's client, which makes ids,
 * checks arguments, and reads every reply: the difference is what a program pays for the library.
 *
 *     pipe     Submit with the result, 64 in flight     submit   without the result
 *     batch    submit_many                              many     submit_many, then wait_many
 *     sync     brood_client_run(), one at a time
 */

#include <brood/client.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN_FLIGHT = 64 };

static const BroodSpec spec = { .handler = "echo", .args = "{}",
                                .durability = BROOD_DURABILITY_MEMORY };
static size_t to_start, answered;

static void die(BroodClient *c, const char *what)
{
        fprintf(stderr, "client-load: %s: %s\n", what, c ? brood_client_error(c) : "");
        exit(1);
}

static void start(BroodClient *c, int wait);

static void on_submitted(const BroodReply *reply, void *context)
{
        BroodSubmitted answer;

        if (brood_reply_submitted(reply, &answer) < 0)
                die(reply->client, "submit");
        answered++;
        start(reply->client, 0);
}

static void on_end(const BroodReply *reply, void *context)
{
        BroodRecord *record;

        if (brood_reply_record(reply, &record) < 0 || record->state != BROOD_SUCCEEDED)
                die(reply->client, "run");
        brood_record_free(record);
        answered++;
        start(reply->client, 1);
}

static void start(BroodClient *c, int wait)
{
        if (to_start == 0)
                return;
        to_start--;
        if (brood_client_start_submit(c, &spec, NULL, wait, wait ? on_end : on_submitted, NULL) < 0)
                die(c, "start");
}

static void run_pipe(BroodClient *c, size_t n, int wait)
{
        to_start = n;
        for (int i = 0; i < IN_FLIGHT; i++)
                start(c, wait);
        while (answered < n) {
                struct pollfd p = { .fd = brood_client_fd(c), .events = brood_client_events(c) };

                if (poll(&p, 1, -1) < 0 || brood_client_process(c) < 0)
                        die(c, "process");
        }
}

static int on_record(BroodRecord *record, size_t index, void *context)
{
        answered++;
        brood_record_free(record);
        return 0;
}

static void run_many(BroodClient *c, size_t n, int wait)
{
        BroodSpec *specs = malloc(n * sizeof(*specs));
        BroodId *ids = malloc(n * sizeof(*ids));

        for (size_t i = 0; i < n; i++)
                specs[i] = spec;
        if (brood_client_submit_many(c, specs, n, ids, NULL) < 0)
                die(c, "submit_many");
        if (wait && brood_client_wait_many(c, ids, n, 0, -1, on_record, NULL) < 0)
                die(c, "wait_many");
        free(specs);
        free(ids);
}

static void run_sync(BroodClient *c, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                BroodRecord *record;

                if (brood_client_run_spec(c, &spec, &record) < 0)
                        die(c, "run_spec");
                brood_record_free(record);
        }
}

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
        const char *mode = argc == 4 ? argv[1] : "";
        size_t n = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
        BroodClient *c;
        double begin;

        if (n == 0 || !strstr(" pipe submit batch many sync ", mode)) {
                fputs("usage: client-load pipe|submit|batch|many|sync SOCKET JOBS\n", stderr);
                return 2;
        }
        if (brood_client_open(&c, argv[2]) < 0)
                die(NULL, "no daemon there");
        begin = now();
        if (strcmp(mode, "pipe") == 0 || strcmp(mode, "submit") == 0)
                run_pipe(c, n, *mode == 'p');
        else if (strcmp(mode, "sync") == 0)
                run_sync(c, n);
        else
                run_many(c, n, *mode == 'm');
        printf("rate %.0f jobs/s\n", (double)n / (now() - begin));
        brood_client_close(c);
        return 0;
}

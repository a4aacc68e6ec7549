/* SPDX-License-Identifier: MIT */

/* client_loop N: hands N jobs to broodd from a loop of its own, and prints each result as it comes.
 * What is polled here beside the daemon is nothing; a program has its own descriptors in the array.
 */

#include <brood/client.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

static void on_end(const BroodReply *reply, void *context)
{
        const char *what = context;
        BroodRecord *job;

        if (brood_reply_record(reply, &job) < 0) {
                fprintf(stderr, "%s: %s\n", what, brood_client_error(reply->client));
                failures++;
                return;
        }
        printf("%s %s\n", brood_state_name(job->state), job->result ? job->result : "");
        failures += job->state != BROOD_SUCCEEDED;
        brood_record_free(job);
}

int main(int argc, char **argv)
{
        long n = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
        BroodClient *c;
        char args[64];
        int r;

        if (brood_client_open(&c, NULL) < 0) {
                fprintf(stderr, "client_loop: broodd cannot be reached\n");
                return 1;
        }
        for (long i = 0; i < n; i++) {
                snprintf(args, sizeof(args), "{\"fahrenheit\": %ld}", 110 + 10 * i);
                brood_client_start_submit(c,
                                          &(BroodSpec){ .handler = "celsius", .args = args,
                                                        .durability = BROOD_DURABILITY_MEMORY },
                                          NULL, 1, on_end, "celsius");
        }
        for (r = 0; r >= 0 && brood_client_pending(c);) {
                struct pollfd p[] = {
                        { .fd = brood_client_fd(c), .events = brood_client_events(c) },
                };

                if (poll(p, 1, -1) > 0 && p[0].revents)
                        r = brood_client_process(c);
        }
        brood_client_close(c);
        return r < 0 || failures;
}

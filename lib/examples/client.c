/* SPDX-License-Identifier: MIT */

/* client N: hands N jobs to broodd, waits for each, and prints its result. */

#include <brood/client.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(BroodClient *client, const char *what)
{
        fprintf(stderr, "client: %s: %s\n", what, brood_client_error(client));
        brood_client_close(client);
        return 1;
}

int main(int argc, char **argv)
{
        long n = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
        char *ids[64], *result, args[64];
        BroodClient *c;

        if (n < 1 || n > 64)
                return 2;
        if (brood_client_open(&c, NULL) < 0) {
                fprintf(stderr, "client: broodd cannot be reached\n");
                return 1;
        }
        for (int i = 0; i < n; i++) {
                snprintf(args, sizeof(args), "{\"fahrenheit\": %d}", 110 + 10 * i);
                if (brood_client_submit(c, "celsius", args, &ids[i]) < 0)
                        return failed(c, "submit");
        }
        for (int i = 0; i < n; i++) {
                if (brood_client_wait(c, ids[i], -1, &result) < 0)
                        return failed(c, ids[i]);
                puts(result);
                free(result);
                free(ids[i]);
        }
        brood_client_close(c);
        return 0;
}

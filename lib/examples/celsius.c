/* SPDX-License-Identifier: MIT */

/* celsius N [fork|spawn|forkserver]: N children, each of which turns a temperature into the other
 * unit. Arguments reach a child as JSON, whichever way it is started. */

#include <brood/process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double five_ninths = 5.0 / 9.0;

static int celsius(BroodChild *child)
{
        double f = json_number_value(json_object_get(child->args, "fahrenheit"));

        printf("%f F is %f C (pid %d)\n", f, (f - 32) * five_ninths, getpid());
        return 0;
}
BROOD_ENTRY(celsius)

int main(int argc, char **argv)
{
        BroodProcess *children[64];
        BroodProcessSpec spec = { .target = "celsius", .method = BROOD_FORK };
        int n, failed = 0;

        brood_process_init(argc, argv); /* in a child by spawn, all ends here */
        n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
        if (n < 1 || n > 64)
                return 2;
        if (argc > 2 && strcmp(argv[2], "fork") != 0)
                spec.method = strcmp(argv[2], "spawn") == 0 ? BROOD_SPAWN : BROOD_FORKSERVER;
        for (int i = 0; i < n; i++) {
                spec.args = json_pack("{sf}", "fahrenheit", 100 + (i + 1) * 10.0);
                if (brood_process_start(&children[i], &spec) < 0)
                        return 1;
        }
        printf("Spawned %d processes from %d\n", n, getpid());
        for (int i = 0; i < n; i++)
                failed += brood_process_free(children[i]) != 0; /* waits for it */
        return failed ? 1 : 0;
}

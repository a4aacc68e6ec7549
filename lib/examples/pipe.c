/* SPDX-License-Identifier: MIT */

/* pipe: one process asks, another answers, until there is no more to ask: a pipe goes both ways,
 * and its end says that the other side has gone. */

#include <brood/connection.h>
#include <brood/process.h>
#include <errno.h>
#include <stdio.h>

/* Answers every number with its double. The end of a pipe is a descriptor like any other. */
static int doubles(BroodChild *child)
{
        BroodConnection *parent = NULL;
        json_t *number;
        int r = brood_connection_open(&parent, child->fds[0]);

        while (r == 0 && (r = brood_receive_json(parent, &number)) == 0) {
                json_int_t answer = 2 * json_integer_value(number);

                r = json_integer_set(number, answer) | brood_send_json(parent, number);
                json_decref(number);
        }
        brood_connection_free(parent);
        return r == -ECONNRESET ? 0 : 1; /* end of file: the parent has closed its end */
}
BROOD_ENTRY(doubles)

int main(int argc, char **argv)
{
        BroodProcessSpec spec = { .target = "doubles", .n_fds = 1 };
        BroodConnection *here, *there;
        BroodProcess *child;
        json_t *number;

        brood_process_init(argc, argv);
        number = json_integer(1);
        if (brood_pipe(&here, &there, 1) < 0)
                return 1;
        spec.fds = (int[]){ brood_connection_fd(there) };
        if (brood_process_start(&child, &spec) < 0)
                return 1;
        brood_connection_free(there); /* the child has it; else there would be no end of file */
        for (int i = 0; i < 4; i++) {
                int r = brood_send_json(here, number);

                json_decref(number);
                if (r < 0 || brood_receive_json(here, &number) < 0)
                        return 1;
                printf("doubled: %d\n", (int)json_integer_value(number));
        }
        json_decref(number);
        brood_connection_free(here);
        return brood_process_free(child);
}

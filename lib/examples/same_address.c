/* SPDX-License-Identifier: MIT */

/* same_address: after a fork, a variable is at the same address in both processes, and is not the
 * same memory: what one of them writes, the other never sees. */

#include <brood/connection.h>
#include <brood/process.h>
#include <stdio.h>

static int a; /* 0, as the child will find it */

static int look(BroodChild *child)
{
        BroodConnection *parent = child->context;
        void *message;
        size_t size;

        if (brood_receive(parent, &message, &size) < 0) /* the parent has written by now */
                return 1;
        printf("child:  %p has %d\n", (void *)&a, a);
        a = 2;
        return 0;
}

int main(void)
{
        BroodConnection *here, *there;
        BroodProcess *child;
        int fd, code;

        if (brood_pipe(&here, &there, 1) < 0)
                return 1;
        fd = brood_connection_fd(there); /* no descriptor is inherited but those that are named */
        if (brood_process_start(&child, &(BroodProcessSpec){ .method = BROOD_FORK,
                                        .function = look, .context = there,
                                        .fds = &fd, .n_fds = 1 }) < 0)
                return 1;
        a = 1;
        printf("parent: %p has %d\n", (void *)&a, a);
        fflush(stdout);
        code = brood_send(here, "go", 2) < 0 || brood_process_join(child, -1) < 0;
        printf("parent: %p still has %d\n", (void *)&a, a);
        brood_connection_free(here);
        brood_connection_free(there);
        return brood_process_free(child) || code;
}

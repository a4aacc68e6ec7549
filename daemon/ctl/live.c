/* SPDX-License-Identifier: MIT */

#include "ctl/live.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ctl/print.h"
#include "ctl/words.h"

/* Waits for the daemon. Returns a status; *ret_left: nobody reads stdout any more. */
static int wait_for_news(const Ctl *ctl, bool *ret_left)
{
        struct pollfd p[] = {
                { .fd = varlink_client_fd(ctl->client), .events = POLLIN },
                { .fd = STDOUT_FILENO }, /* an error is all that it is asked for */
        };

        *ret_left = false;
        while (poll(p, ELEMENTS(p), -1) < 0)
                if (errno != EINTR) {
                        say("%s: poll: %s", ctl->verb->name, strerror(errno));
                        return STATUS_FAILED;
                }
        *ret_left = p[1].revents & (POLLERR | POLLHUP);
        return STATUS_DONE;
}

int live_next(Ctl *ctl, Reply *ret)
{
        bool left = ferror(stdout);
        int status = STATUS_DONE;

        reply_fini(ret);
        if (!left)
                status = call_receive(ctl, 0, ret);
        while (status == STATUS_DONE && !ret->text && !left) {
                print_flush();
                status = wait_for_news(ctl, &left);
                if (status == STATUS_DONE && !left)
                        status = call_receive(ctl, 0, ret);
        }
        if (status || !ret->error)
                return status;
        words_say_error(ctl->verb->name, ret->error, ret->parameters);
        return STATUS_REFUSED;
}

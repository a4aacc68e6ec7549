/* SPDX-License-Identifier: MIT */

#include "child/worker_main.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/entropy.h"
#include "child/job_group.h"
#include "child/output_log.h"
#include "process/orphans.h"
#include "worker/serve.h"

static int can_not(const char *what, int r)
{
        fprintf(stderr, "<3>a worker can not %s: %s\n", what, strerror(-r));
        return 1;
}

/* Nothing of the fork server's is left: a worker may be looked into by its user, and dump core. But
 * not one that runs commands of many clients, all as that user: it has seen what all asked for. */
static void let_look_into(const Preparation *p)
{
#ifdef __SANITIZE_ADDRESS__ /* it looks for leaks with ptrace(2) */
        (void)prctl(PR_SET_DUMPABLE, 1);
#else
        (void)prctl(PR_SET_DUMPABLE, p->builtin == NULL);
#endif
}

int worker_main(const Preparation *p, const BroodModule *module, const WorkerFds *fds)
{
        SlotPage *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fds->page,
                              0);
        int mapped = page == MAP_FAILED ? -errno : 0, r;
        AUTO(output_log_free) OutputLog *log = NULL;
        WorkerOptions options = {
                .slot = fds->slot,
                .control = fds->control,
                .sentinel = fds->sentinel,
                .page = page,
                .module = module,
                .max_message = p->max_message,
        };

        let_look_into(p);
        if (fds->journal >= 0)
                log = output_log_new(p->pool, fds->journal); /* NULL: better no log than no job */
        options.log = log ? &log->hook : NULL;
        if (page == MAP_FAILED)
                return can_not("map its slots", mapped);
        r = orphans_adopt();
        if (r < 0)
                return can_not("become a subreaper", r);
        (void)signal(SIGPIPE, SIG_IGN); /* a command may close its stdin before it has read all */
        job_group_init(fds->group);
        entropy_forget();
        return worker_serve(&options);
}

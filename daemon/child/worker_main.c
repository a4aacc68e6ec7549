/* SPDX-License-Identifier: MIT */

#include "child/worker_main.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/entropy.h"
#include "child/job_group.h"
#include "child/output_log.h"
#include "process/orphans.h"
#include "worker/serve.h"

int worker_main(const Preparation *p, const BroodModule *module, const WorkerFds *fds)
{
        SlotPage *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fds->page,
                              0);
        AUTO(output_log_free) OutputLog *log = NULL;
        WorkerOptions options = {
                .slot = fds->slot,
                .control = fds->control,
                .sentinel = fds->sentinel,
                .page = page,
                .module = module,
                .max_message = p->max_message,
        };

        if (fds->journal >= 0)
                log = output_log_new(p->pool, fds->journal); /* NULL: better no log than no job */
        options.log = log ? &log->hook : NULL;
        if (page == MAP_FAILED || orphans_adopt() < 0) {
                perror("worker");
                return 1;
        }
        (void)signal(SIGPIPE, SIG_IGN); /* a command may close its stdin before it has read all */
        job_group_init(fds->group);
        entropy_forget();
        return worker_serve(&options);
}

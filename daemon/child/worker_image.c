/* SPDX-License-Identifier: MIT */

/* brood-worker: a worker that is a fresh image (StartMethod=spawn). It loads the module itself; its
 * descriptors are those of process/forker.h, and the attributes are those of the fork server that
 * started it. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/fd.h"
#include "child/module.h"
#include "child/worker_main.h"
#include "process/forker.h"

int main(void)
{
        WorkerFds fds = { .page = WORKER_FD_PAGE,
                          .group = WORKER_FD_GROUP,
                          .control = WORKER_FD_CONTROL,
                          .slot = WORKER_FD_SLOT,
                          .sentinel = WORKER_FD_SENTINEL,
                          .journal = -1 };
        const BroodModule *module;
        Preparation p;
        char error[1024];
        int status;

        for (int fd = WORKER_FD_PREPARATION; fd < WORKER_FD_PREPARATION + WORKER_FD_COUNT; fd++)
                if (fd_cloexec(fd, true) < 0) {
                        fprintf(stderr,
                                "brood-worker is started by brood-forkserver, not by hand\n");
                        return 2;
                }
        if (preparation_read(&p, WORKER_FD_PREPARATION) < 0) {
                fprintf(stderr, "<3>the preparation data can not be read\n");
                return 1;
        }
        if (p.journal == 1) {
                fds.journal = WORKER_FD_JOURNAL;
                (void)fd_cloexec(fds.journal, true);
        }
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (module_open(&p, &module, error, sizeof(error)) < 0 ||
            module_init(module, p.settings, error, sizeof(error)) < 0) {
                fprintf(stderr, "<3>%s\n", error);
                return 1;
        }
        status = worker_main(&p, module, &fds);
        preparation_fini(&p);
        return status;
}

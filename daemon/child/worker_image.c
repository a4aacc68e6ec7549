/* SPDX-License-Identifier: MIT */

/* brood-worker: a worker that is a fresh image (StartMethod=spawn). It loads the module itself; its
 * descriptors are those of process/forker.h, and the attributes are those of the fork server that
 * started it. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/fd.h"
#include "base/macros.h"
#include "child/module.h"
#include "child/worker_main.h"
#include "process/forker.h"

int main(void)
{
        WorkerFds fds = { .pages = WORKER_FD_PAGE,
                          .group = WORKER_FD_GROUP,
                          .control = WORKER_FD_CONTROL,
                          .sentinel = WORKER_FD_SENTINEL,
                          .journal = -1 };
        int slots[WORKER_MAX_SLOTS];
        const BroodModule *module;
        Preparation p;
        char error[1024];
        int status;

        for (int fd = WORKER_FD_PREPARATION; fd <= WORKER_FD_SLOT; fd++)
                if (fd_cloexec(fd, true) < 0) {
                        fprintf(stderr,
                                "brood-worker is started by brood-forkserver, not by hand\n");
                        return 2;
                }
        if (preparation_read(&p, WORKER_FD_PREPARATION) < 0 || !p.slots ||
            p.slots > ELEMENTS(slots)) {
                fprintf(stderr, "<3>the preparation data can not be read\n");
                return 1;
        }
        for (fds.n_slots = 0; fds.n_slots < p.slots; fds.n_slots++) {
                slots[fds.n_slots] = WORKER_FD_SLOT + (int)fds.n_slots;
                (void)fd_cloexec(slots[fds.n_slots], true);
        }
        fds.slots = slots;
        if (p.journal == 1) {
                fds.journal = WORKER_FD_SLOT + (int)fds.n_slots;
                (void)fd_cloexec(fds.journal, true);
        }
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (module_open(&p, &module, error, sizeof(error)) < 0 ||
            module_init(&p, module, error, sizeof(error)) < 0) {
                fprintf(stderr, "<3>%s\n", error);
                return 1;
        }
        status = worker_main(&p, module, &fds);
        preparation_fini(&p);
        return status;
}

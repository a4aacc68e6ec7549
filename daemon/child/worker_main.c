/* SPDX-License-Identifier: MIT */

#include "child/worker_main.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/entropy.h"
#include "child/job_group.h"
#include "child/output_log.h"
#include "process/forker.h"
#include "process/orphans.h"
#include "worker/async.h"
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

/* One for each slot; without memory: better no log than no job. */
typedef struct Logs {
        OutputLog *logs[WORKER_MAX_SLOTS];
        const JobLog *hooks[WORKER_MAX_SLOTS];
        unsigned n;
} Logs;

static void logs_fini(Logs *l)
{
        for (unsigned i = 0; i < l->n; i++)
                if (l->logs[i])
                        output_log_free(l->logs[i]);
}

DEFINE_FINI(Logs, logs_fini);

/* Each has a descriptor of its own. */
static void open_logs(Logs *l, const Preparation *p, const WorkerFds *fds)
{
        for (l->n = 0; fds->journal >= 0 && l->n < fds->n_slots; l->n++) {
                bool last = l->n + 1 == fds->n_slots;
                int fd = last ? fds->journal : fcntl(fds->journal, F_DUPFD_CLOEXEC, 3);

                l->logs[l->n] = output_log_new(p->pool, fd);
                l->hooks[l->n] = l->logs[l->n] ? &l->logs[l->n]->hook : NULL;
        }
}

/* Beside our program; NULL with why, if it can not be loaded. */
static const AsyncLoop *load_loop(const char **why)
{
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/brood-async.so"));
        const AsyncLoop *loop;
        char *slash;
        void *handle;

        *why = "/proc/self/exe can not be read";
        if (n < 0)
                return NULL;
        path[n] = '\0';
        slash = strrchr(path, '/');
        memcpy(slash, "/brood-async.so", sizeof("/brood-async.so")); /* the room was kept */
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        loop = handle ? dlsym(handle, ASYNC_LOOP) : NULL;
        *why = loop ? "it is of another build" : dlerror();
        return loop && loop->abi == ASYNC_LOOP_ABI ? loop : NULL;
}

/* Now, after the fork: fork servers are to be small. */
static bool find_loop(const Preparation *p, WorkerOptions *options)
{
        const char *why;

        if (!p->concurrency || strcmp(p->concurrency, "async") != 0)
                return true;
        options->loop = load_loop(&why);
        if (!options->loop)
                fprintf(stderr, "<3>a worker can not load its event loop: %s\n", why);
        return options->loop != NULL;
}

int worker_main(const Preparation *p, const BroodModule *module, const WorkerFds *fds)
{
        SlotPage *pages = mmap(NULL, fds->n_slots * sizeof(*pages), PROT_READ | PROT_WRITE,
                               MAP_SHARED, fds->pages, 0);
        int mapped = pages == MAP_FAILED ? -errno : 0, r;
        AUTO(logs_fini) Logs logs = { .n = 0 };
        WorkerOptions options = {
                .slots = fds->slots,
                .n_slots = fds->n_slots,
                .control = fds->control,
                .sentinel = fds->sentinel,
                .pages = pages,
                .module = module,
                .max_message = p->max_message,
        };

        let_look_into(p);
        open_logs(&logs, p, fds);
        options.logs = logs.n ? logs.hooks : NULL;
        if (pages == MAP_FAILED)
                return can_not("map its slots", mapped);
        r = orphans_adopt();
        if (r < 0)
                return can_not("become a subreaper", r);
        (void)signal(SIGPIPE, SIG_IGN); /* a command may close its stdin before it has read all */
        if (!find_loop(p, &options))
                return 1;
        job_group_init(fds->group);
        entropy_forget();
        return worker_serve(&options);
}

/* SPDX-License-Identifier: MIT */

/* The threads of a worker: one for each slot (slot.c), or one loop for all (async.c); and one
 * (watch.c) that sleeps on the control connection and the sentinel, because those must be heard in
 * the middle of a handler. The main thread is that of the first slot, on which the worker is
 * prepared; the others begin after it. */

#include "worker/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hashtable.h"
#include "io.brood.Worker.h"
#include "worker/crash.h"
#include "worker/worker.h"

void worker_end_slots(Worker *w)
{
        atomic_store(&w->leaving, true);
        for (unsigned i = 0; i < w->n_slots; i++)
                (void)shutdown(w->slots[i].fd, SHUT_RD); /* wakes who waits for a run */
}

static void *serve_slot(void *context)
{
        WorkerSlot *s = context;

        crash_thread_begin(s->page);
        worker_slot_serve(s);
        crash_thread_end();
        return NULL;
}

int worker_start_threads(Worker *w)
{
        while (!w->loop && w->n_threads + 1 < w->n_slots) {
                WorkerSlot *s = &w->slots[w->n_threads + 1];
                int e = pthread_create(&s->thread, NULL, serve_slot, s);

                if (e) {
                        fprintf(stderr, "<3>a worker can not have %u threads: %s\n", w->n_slots,
                                strerror(e));
                        return -e;
                }
                w->n_threads++;
        }
        return 0;
}

/* The first slot's in this thread, the others in theirs. */
static int serve_threads(Worker *w)
{
        int r = watch_start(w);

        if (r < 0)
                return r;
        worker_slot_serve(&w->slots[0]);
        for (unsigned i = 1; i <= w->n_threads; i++)
                pthread_join(w->slots[i].thread, NULL);
        watch_stop(w);
        return 0;
}

/* Returns 0 or negative. */
static int serve(Worker *w)
{
        int r;

        (void)hash_bytes("", 0); /* it draws its key, while there is one thread */
        if (w->n_slots > 1) {
                crash_install();
                crash_thread_begin(w->loop ? NULL : w->slots[0].page);
        }
        r = w->loop ? async_serve(w) : serve_threads(w);
        crash_thread_end();
        return r < 0 ? r : atomic_load(&w->error);
}

static void worker_free(Worker *w)
{
        for (unsigned i = 0; i < w->n_slots; i++)
                worker_slot_fini(&w->slots[i]);
        early_fini(&w->early);
        varlink_interface_free(w->interface);
        free(w->handlers);
        free(w);
}
DEFINE_CLEANUP(Worker, worker_free);

static int worker_new(Worker **ret, const WorkerOptions *options)
{
        AUTO(worker_free) Worker *w = calloc(1, sizeof(*w) +
                                                        options->n_slots * sizeof(WorkerSlot));
        char error[128];
        int r;

        if (!w)
                return -ENOMEM;
        w->pid = getpid();
        w->control = options->control;
        w->sentinel = options->sentinel;
        w->module = options->module;
        w->max_message = options->max_message;
        w->loop = options->loop;
        w->wake_fd = -1;
        r = early_init(&w->early, options->n_slots);
        if (r == 0)
                r = varlink_interface_new(&w->interface, SLICE(IO_BROOD_WORKER_TEXT), error,
                                          sizeof(error));
        while (r == 0 && w->n_slots < options->n_slots) {
                r = worker_slot_init(&w->slots[w->n_slots], w, w->n_slots, options);
                w->n_slots++;
        }
        if (r < 0)
                return r;
        *ret = MOVE_PTR(w);
        return 0;
}

int worker_serve(const WorkerOptions *options)
{
        AUTO(worker_free) Worker *w = NULL;
        int r = worker_new(&w, options);

        if (r < 0)
                return 1;
        r = serve(w);
        if (r == 0 && w->module->fini)
                w->module->fini();
        return r < 0 ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */

/* The watching thread: hears the control connection and the parent sentinel while the other
 * threads are in handlers. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "io.brood.Worker.h"
#include "process/orphans.h"
#include "worker/worker.h"

enum { STACK_SIZE = 128 * 1024 };

/* Service, connection and buffer of the control connection: the main thread has its own. */
typedef struct Control {
        VarlinkService service;
        VarlinkServer server;
        Worker *worker;
} Control;

/* Returns whether it is the slot's current one. */
static bool cancel_current(WorkerSlot *s, const char *id, int attempt, CancelReason reason)
{
        bool found;

        pthread_mutex_lock(&s->job_lock);
        found = s->current && s->current->attempt == attempt && strcmp(s->current->id, id) == 0;
        if (found) {
                job_cancel(s->current, reason);
                if (s->worker->module->ending)
                        s->worker->module->ending(s->current);
        }
        pthread_mutex_unlock(&s->job_lock);
        if (found)
                async_wake(s->worker);
        return found;
}

static void cancel_attempt(Worker *w, const char *id, int attempt, CancelReason reason)
{
        uint64_t none = 0;

        early_note(&w->early, id, attempt, reason);
        for (unsigned i = 0; i < w->n_slots; i++) {
                if (!cancel_current(&w->slots[i], id, attempt, reason))
                        continue;
                (void)early_take(&w->early, id, attempt, &none); /* it was not */
                return;
        }
}

static void cancel(Worker *w, const VarlinkScan *scan, const VarlinkNode *in)
{
        Slice text = varlink_slice(scan, varlink_field(scan, in, IO_BROOD_WORKER_CANCEL_IN_ID));
        int attempt = (int)varlink_int(scan,
                                       varlink_field(scan, in, IO_BROOD_WORKER_CANCEL_IN_ATTEMPT));
        CancelReason reason = CANCEL_CANCEL +
                              varlink_field(scan, in, IO_BROOD_WORKER_CANCEL_IN_REASON)->child;
        char id[UUID_TEXT + 1];

        if (attempt == 0)
                return; /* only to wake us */
        (void)snprintf(id, sizeof(id), "%.*s", (int)text.len, text.data);
        cancel_attempt(w, id, attempt, reason);
}

static void on_control_call(VarlinkServer *server, VarlinkCall *call, const VarlinkMessage *m,
                            const VarlinkScan *scan)
{
        Worker *w = CONTAINER_OF(server, Control, server)->worker;

        switch (m->method - m->interface->methods) {
        case IO_BROOD_WORKER_CANCEL:
                cancel(w, scan, varlink_node(scan, m->parameters));
                break;
        case IO_BROOD_WORKER_LEAVE:
                worker_end_slots(w);
                break;
        default:
                varlink_invalid_parameter(call, "method");
                return;
        }
        varlink_reply_empty(call);
}

/* Returns false when the connection has ended. */
static bool hear_control(Control *c)
{
        char bytes[4096];
        ssize_t n = recv(c->worker->control, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        if (n == 0 || varlink_server_feed(&c->server, bytes, (size_t)n) < 0)
                return false;
        if (buffer_len(&c->server.out))
                (void)fd_send(c->worker->control, buffer_bytes(&c->server.out),
                              buffer_len(&c->server.out), NULL, 0,
                              MSG_DONTWAIT); /* nobody is hurt if an empty reply is lost */
        buffer_clear(&c->server.out, 4096);
        for (unsigned i = 0; i < c->worker->n_slots; i++) /* a stuck handler may sit on others' */
                (void)worker_slot_flush(&c->worker->slots[i]);
        return true;
}

/* The supervisor is gone: this process ends, and everything below it. */
__attribute__((noreturn)) static void end_all(void)
{
        (void)orphans_kill(NULL, NULL);
        _exit(1);
}

static void *watch(void *context)
{
        Worker *w = context;
        Control c = { .worker = w,
                      .service = { .vendor = "brood", .product = "brood-worker",
                                   .version = BROOD_VERSION, .url = "",
                                   .too_large = "io.brood.Worker.BadArguments",
                                   .call = on_control_call } };
        struct pollfd p[3] = { { w->sentinel, POLLIN, 0 }, { w->control, POLLIN, 0 },
                               { w->stop_fd, POLLIN, 0 } };

        if (varlink_service_init(&c.service) < 0)
                end_all();
        varlink_service_add(&c.service, w->interface);
        varlink_server_init(&c.server, &c.service, 64 * 1024);
        for (;;) {
                if (poll(p, ELEMENTS(p), -1) < 0)
                        continue;
                if (p[0].revents)
                        end_all();
                if (p[2].revents)
                        break;
                if (p[1].revents && !hear_control(&c)) {
                        worker_end_slots(w); /* nobody can speak to us any more */
                        p[1].fd = -1;
                }
        }
        varlink_server_fini(&c.server);
        varlink_service_fini(&c.service);
        return NULL;
}

int watch_start(Worker *w)
{
        pthread_attr_t attributes;
        sigset_t all, before;
        int r;

        w->stop_fd = eventfd(0, EFD_CLOEXEC);
        if (w->stop_fd < 0)
                return -errno;
        pthread_attr_init(&attributes);
        (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
        sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the handlers' thread */
        r = pthread_create(&w->watcher, &attributes, watch, w);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        if (r)
                fd_close(w->stop_fd);
        return -r;
}

void watch_stop(Worker *w)
{
        (void)eventfd_write(w->stop_fd, 1);
        pthread_join(w->watcher, NULL);
        fd_close(w->stop_fd);
}

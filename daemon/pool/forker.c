/* SPDX-License-Identifier: MIT */

#include "pool/forker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "ops/log.h"
#include "ops/message_ids.h"
#include "pool/kinship.h"
#include "pool/pools.h"
#include "pool/preparation.h"
#include "process/forker.h"
#include "process/start.h"
#include "varlink/json.h"

extern char **environ;

DEFINE_CLEANUP(Forker, forker_free);
DEFINE_CLEANUP(char *, texts_free);

void forker_free(Forker *f)
{
        list_remove(&f->link);
        if (f->channel >= 0) {
                (void)event_del(&f->readable);
                (void)event_del(&f->start_timer);
        }
        fd_close_foreign(f->channel);
        fd_close(f->pidfd);
        group_end(&f->group, &f->pool->pools->cgroups);
        free(f->handlers);
        free(f);
}

static Worker *find_worker(Forker *f, const ForkerEvent *e)
{
        Worker *w;

        LIST_FOREACH(&f->pool->workers, w, in_pool)
                if (w->forker == f && w->seat == e->seat && w->generation == e->generation)
                        return w;
        return NULL;
}

/* The module runs in the fork server: whoever wrote it can have it say anything. */
static void disbelieve(Forker *f, const char *why)
{
        if (!f->given_up)
                forker_kill(f, why);
}

static void on_birth(Forker *f, const ForkerEvent *e, int *pidfd)
{
        Worker *w = find_worker(f, e);

        if (!w)
                return;
        if (w->pid)
                disbelieve(f, "it tells of a birth twice");
        else if (e->error)
                worker_not_born(w, e->error);
        else if (e->pid > 0 && kinship_holds(*pidfd, e->pid, f->pid))
                worker_born(w, e->pid, MOVE_FD(*pidfd));
        else
                disbelieve(f, "it gives a process for a worker that is none of its children");
}

static void on_exit_told(Forker *f, const ForkerEvent *e)
{
        Worker *w = find_worker(f, e);

        if (w && w->pid && w->pid == e->pid)
                worker_exited(w, &e->verdict, clock_steady());
        else if (w)
                disbelieve(f, "it tells of the end of a worker that was not born");
}

/* Names, a line each; and behind an empty line what the module says of itself. */
static void take_text(Forker *f, const char *text)
{
        char *end;

        f->handlers = strdup(text);
        end = f->handlers ? strstr(f->handlers, "\n\n") : NULL;
        if (end)
                *++end = '\0';
        f->about = end && json_is_text(slice_of(end + 1)) ? end + 1 : NULL;
}

static void on_event(Forker *f, const ForkerEvent *e, const char *text, int *pidfd)
{
        Pool *pool = f->pool;

        switch (e->kind) {
        case FORKER_READY:
                if (f->ready) {
                        disbelieve(f, "it is ready twice");
                        break;
                }
                f->ready = true;
                (void)event_del(&f->start_timer);
                take_text(f, text);
                pool_forker_ready(pool, f);
                break;
        case FORKER_FAILED:
                pool_forker_failed(pool, f,
                                   json_is_text(slice_of(text)) ? text
                                                                : "its words are not UTF-8");
                break;
        case FORKER_BIRTH:
                on_birth(f, e, pidfd);
                break;
        case FORKER_EXIT:
                on_exit_told(f, e);
                break;
        }
        *pidfd = fd_close_foreign(*pidfd); /* it may be anything */
        pool_touch(pool);
}

/* One message of the channel. Returns false when there is none. */
static bool read_event(Forker *f)
{
        static char message[sizeof(ForkerEvent) + FORKER_TEXT_MAX + 1];
        ForkerEvent *e = (ForkerEvent *)(void *)message;
        AUTO(fd_close) int pidfd = -1;
        size_t n_fds = 1;
        ssize_t n = fd_receive(f->channel, message, sizeof(message) - 1, &pidfd, &n_fds,
                               MSG_DONTWAIT);

        if (n_fds == 0 || n < 0)
                pidfd = -1;
        if (n < (ssize_t)sizeof(ForkerEvent)) {
                if (n != -EAGAIN && n != -EINTR)
                        (void)event_del(&f->readable); /* it has gone; SIGCHLD says how */
                return false;
        }
        message[n] = '\0';
        on_event(f, e, e->text, &pidfd);
        return true;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
        Forker *f = context;

        for (int i = 0; i < 64 && read_event(f); i++)
                ;
}

static const char *program_path(char *to, size_t size)
{
        const char *directory = getauxval(AT_SECURE) ? NULL : getenv("BROOD_LIBEXEC");

        (void)snprintf(to, size, "%s/brood-forkserver", directory ? directory : BROOD_LIBEXEC_DIR);
        return to;
}

static int start_process(Forker *f, const PoolSettings *settings, int channel, int preparation)
{
        AUTO(fd_close) int procs = group_open_procs(&f->group);
        Pools *pools = f->pool->pools;
        AUTO(texts_free) char **environment = NULL;
        char path[4096];
        char *argv[] = { path, NULL };
        const int fds[] = { channel, pools->sentinel.watch, preparation, pools->lock_fd,
                            procs };
        ProcessStart start = { .path = program_path(path, sizeof(path)),
                               .argv = argv,
                               .environment = environ,
                               .in = -1,
                               .out = STDERR_FILENO,
                               .err = STDERR_FILENO,
                               .fds = fds,
                               .n_fds = ELEMENTS(fds),
                               .new_session = true };
        int r = pool_forker_environment(settings, &environment);

        if (environment)
                start.environment = environment;
        if (r == 0)
                r = process_start(&start, &f->pid, &f->pidfd);
        if (r < 0)
                log_event(LOG_FIELDS(.pool = f->pool->core->name, .id = MESSAGE_FORK_SERVER_FAILED),
                          LEVEL_ERROR, "pool=%s: can not start %s: %s", f->pool->core->name, path,
                          strerror(-r));
        return r;
}

static void on_start_timeout(evutil_socket_t fd, short what, void *context);

static void arm_start_timer(Forker *f, usec_t timeout)
{
        struct timeval t = { (time_t)(timeout / USEC_PER_SEC),
                             (suseconds_t)(timeout % USEC_PER_SEC) };

        if (timeout != USEC_INFINITY)
                (void)evtimer_add(&f->start_timer, &t);
}

int forker_start(Pool *pool, const PoolSettings *settings, Forker **ret)
{
        AUTO(forker_free) Forker *f = calloc(1, sizeof(*f));
        AUTO(fd_close) int preparation = -1;
        AUTO(fd_close) int theirs = -1;
        Pools *pools = pool->pools;
        int ends[2], r;

        if (!f)
                return -ENOMEM;
        f->pool = pool;
        f->pidfd = f->channel = -1;
        list_init(&f->link);
        group_make_forker(&f->group, &pools->cgroups, &pool->group, ++pool->forkers_made);
        preparation = pool_preparation(settings, pools->settings, pools->nofile_soft);
        if (preparation < 0)
                return preparation;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        theirs = ends[1];
        if (event_assign(&f->readable, pools->turn->base, ends[0], EV_READ | EV_PERSIST,
                         on_readable, f) < 0 ||
            event_priority_set(&f->readable, 0) < 0 || event_add(&f->readable, NULL) < 0) {
                fd_close(ends[0]);
                return -ENOMEM;
        }
        f->channel = ends[0];
        evtimer_assign(&f->start_timer, pools->turn->base, on_start_timeout, f);
        r = start_process(f, settings, theirs, preparation);
        if (r < 0)
                return r;
        arm_start_timer(f, settings->start_timeout);
        list_append(&pool->forkers, &f->link);
        *ret = MOVE_PTR(f);
        return 0;
}

int forker_ask(Forker *f, unsigned seat, unsigned generation, const int *fds, unsigned n_fds)
{
        ForkerRequest request = { seat, generation };
        ssize_t n = fd_send(f->channel, &request, sizeof(request), fds, n_fds, MSG_DONTWAIT);

        return n < 0 ? (int)n : 0;
}

void forker_retire(Forker *f)
{
        f->retired = true;
        if (!f->ready) /* it has nothing below it, and may never hear us */
                (void)pidfd_signal(f->pidfd, SIGKILL);
        if (f->n_workers || f->channel < 0)
                return;
        (void)event_del(&f->readable);
        (void)event_del(&f->start_timer);
        /* It hears that, ends what is below it, and itself. */
        f->channel = fd_close_foreign(f->channel);
}

void forker_kill(Forker *f, const char *why)
{
        f->given_up = true;
        log_event(LOG_FIELDS(.pool = f->pool->core->name, .id = MESSAGE_FORK_SERVER_FAILED),
                  LEVEL_ERROR, "pool=%s: fork server pid=%d is killed: %s", f->pool->core->name,
                  (int)f->pid, why);
        (void)pidfd_signal(f->pidfd, SIGKILL); /* ESRCH: it is over already */
}

/* Not ready in time: it hangs in the module. */
static void on_start_timeout(evutil_socket_t fd, short what, void *context)
{
        forker_kill(context, "it was not ready within StartTimeout=");
}

/* Did the fork server reap it, and die before it could tell? Orphans are ours by now. */
static bool reaped_unseen(const Worker *w)
{
        siginfo_t info;

        return waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
               errno == ECHILD;
}

void forker_gone(Forker *f)
{
        const ExitVerdict unknown = { .status = -1 };
        Worker *w, *next;

        if (f->channel >= 0)
                while (read_event(f)) /* its last words */
                        ;
        LIST_FOREACH_SAFE(&f->pool->workers, w, next, in_pool) {
                if (w->forker != f)
                        continue;
                w->forker = NULL;
                if (w->pid == 0) {
                        worker_not_born(w, ECHILD);
                        continue;
                }
                worker_kill(w, END_FORKER, "pool %s, fork server pid %d", f->pool->core->name,
                            (int)f->pid);
                if (reaped_unseen(w))
                        worker_exited(w, &unknown, clock_steady());
        }
        pool_forker_gone(f->pool, f);
}

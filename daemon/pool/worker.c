/* SPDX-License-Identifier: MIT */

#include "pool/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "io.brood.Worker.h"
#include "ops/log.h"
#include "pool/forker.h"
#include "pool/obituary.h"
#include "pool/pools.h"
#include "pool/preparation.h"
#include "pool/show.h"
#include "pool/words.h"
#include "process/forker.h"
#include "process/start.h"
#include "varlink/json.h"
#include "varlink/message.h"

enum { CLOSE_GRACE = 1000000, /* µs from the end of a connection to SIGKILL */
       OUTPUT_CHUNK = 4096 };

DEFINE_CLEANUP(Worker, worker_free);

/* --- states, timers and signals --- */

const char *worker_state_name(const Worker *w)
{
        switch (w->state) {
        case WORKER_STARTING:
                return "starting";
        case WORKER_SPARE:
                return "spare";
        case WORKER_ACTIVE:
                return worker_busy(w) ? "busy" : "idle";
        default:
                return "leaving";
        }
}

static void tell_state(Worker *w, const char *reason)
{
        Pools *pools = w->pool->pools;
        const char *state = reason ? "dead" : worker_state_name(w);

        if (state == w->told)
                return;
        w->told = state;
        w->told_active = !reason && w->state == WORKER_ACTIVE;
        if (pools->worker_changed)
                pools->worker_changed(pools, w, state, reason);
}

void worker_note_state(Worker *w, const char *reason)
{
        if (!reason && w->state == WORKER_ACTIVE && w->told_active)
                w->pool->pools->restless = true;
        else
                tell_state(w, reason);
}

void worker_tell_state(Worker *w)
{
        if (w->state == WORKER_ACTIVE && w->told_active)
                tell_state(w, NULL);
}

static void set_state(Worker *w, WorkerState state)
{
        w->state = state;
        for (unsigned i = 0; i < w->n_slots; i++)
                slot_note_idle(&w->slots[i]);
        worker_note_state(w, NULL);
        show_worker(w);
        pool_touch(w->pool);
}

void worker_promote(Worker *w)
{
        ASSERT(w->state == WORKER_SPARE);
        w->idle_since = w->wear.since = clock_steady();
        set_state(w, WORKER_ACTIVE);
}

static void arm(Worker *w, usec_t left)
{
        struct timeval t = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };

        if (left == USEC_INFINITY)
                (void)event_del(&w->timer);
        else
                (void)event_add(&w->timer, &t);
}

void worker_signal(Worker *w, int signal)
{
        if (w->pidfd >= 0)
                (void)pidfd_signal(w->pidfd, signal); /* ESRCH: it is over already */
}

/* With all that it has started, where a cgroup holds that together. */
static void kill_now(Worker *w)
{
        worker_signal(w, SIGKILL);
        group_kill(&w->group.top);
}

void worker_kill(Worker *w, WorkerEnd why, const char *format, ...)
{
        va_list args;

        if (w->end == END_OUTSIDE || (why == END_FORKER && worker_was_asked(w))) {
                w->end = why;
                va_start(args, format);
                (void)vsnprintf(w->end_detail, sizeof(w->end_detail), format, args);
                va_end(args);
        }
        set_state(w, WORKER_DYING);
        kill_now(w);
}

/* --- the control connection --- */

static void call_leave(Worker *w)
{
        varlink_write_call(&w->control_out, "io.brood.Worker.Leave", 0);
        varlink_write_end(&w->control_out, 0);
        link_touch(&w->control);
}

void worker_ask_cancel(Worker *w, const Job *job, uint32_t attempt, const char *reason)
{
        Buffer *b = &w->control_out;

        if (w->control.fd < 0)
                return;
        varlink_write_call(b, "io.brood.Worker.Cancel", 0);
        emit_key(b, "id");
        emit_uuid(b, &job->id);
        emit_int_member(b, "attempt", attempt);
        emit_string_member(b, "reason", slice_of(reason));
        varlink_write_end(b, 0);
        link_touch(&w->control);
}

void worker_poke(Worker *w, const Job *job)
{
        worker_ask_cancel(w, job, 0, "shutdown"); /* attempts count from 1: it is nobody's end */
}

/* Its replies say nothing that we do not see otherwise. */
static int on_control_bytes(Link *link, const char *bytes, size_t n)
{
        return 0;
}

static void on_control_ended(Link *link, int error)
{
        link_fini(link); /* a worker that hears nothing: the ladder's next rung is a signal */
}

/* --- leaving --- */

static void take_rung(Worker *w, Rung rung)
{
        if (rung == RUNG_ASK && w->control.fd >= 0)
                call_leave(w);
        else if (rung == RUNG_TERM)
                worker_signal(w, SIGTERM);
        else if (rung == RUNG_KILL)
                worker_kill(w, w->end, "%s", "");
}

void worker_leave(Worker *w, WorkerEnd why, bool force, usec_t now)
{
        if (w->end == END_OUTSIDE)
                w->end = why;
        if (w->state == WORKER_DYING)
                return;
        if (force) {
                worker_kill(w, why, "%s", "");
                return;
        }
        if (w->state == WORKER_LEAVING)
                return;
        set_state(w, WORKER_LEAVING);
        for (unsigned i = 0; i < w->n_slots; i++)
                slot_recall(&w->slots[i], now);
        if (w->pid && !worker_busy(w))
                worker_slot_idle(w, now);
}

/* A worker that leaves and has nothing more to do is asked to go; being idle, it has no reason to
 * take long. */
void worker_slot_idle(Worker *w, usec_t now)
{
        if (w->state != WORKER_LEAVING || worker_busy(w) || ladder_climbing(&w->ladder))
                return;
        take_rung(w, ladder_start(&w->ladder, false, w->pool->settings->kill_after, now));
        arm(w, w->ladder.next - now);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        Worker *w = context;
        usec_t now = clock_steady();

        if (!w->pid && w->forker)
                forker_kill(w->forker, "it does not answer");
        if (w->state == WORKER_STARTING) {
                worker_kill(w, END_START, "StartTimeout=");
        } else if (w->state == WORKER_DYING) {
                kill_now(w);
        } else if (ladder_climbing(&w->ladder)) {
                take_rung(w, ladder_climb(&w->ladder, false, w->pool->settings->kill_after, now));
                arm(w, w->ladder.next == USEC_INFINITY ? USEC_INFINITY : w->ladder.next - now);
        }
}

/* --- its words --- */

static void remember(Worker *w, const char *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++)
                w->tail[w->tail_written++ % STDERR_TAIL] = bytes[i];
}

/* Returns how much there was; less than OUTPUT_CHUNK: that was all. */
static size_t read_output(Worker *w)
{
        char bytes[OUTPUT_CHUNK];
        ssize_t n = w->output < 0 ? -1 : read(w->output, bytes, sizeof(bytes));

        if (n > 0) {
                remember(w, bytes, (size_t)n);
                words_take(w, bytes, (size_t)n);
                return (size_t)n;
        }
        if (n == 0 && w->output >= 0) {
                (void)event_del(&w->output_ready);
                w->output = fd_close(w->output);
        }
        return 0;
}

void worker_read_output(Worker *w)
{
        for (int i = 0; i < 64 && read_output(w); i++)
                ;
}

/* What it wrote before an answer is in the pipe when the answer is in the socket. That costs a look
 * at the pipe only where the loop has said in this turn that there is something in it. */
void worker_end_words(Worker *w)
{
        if (w->output >= 0 && (w->output_ready.ev_evcallback.evcb_flags & EVLIST_ACTIVE))
                worker_read_output(w);
        if (w->n_busy > 1) /* a line may be another job's, and go on */
                return;
        words_end(w);
        w->between_jobs = true;
}

/* With others at work what is written is nobody's alone, unless all are of one user. */
void worker_new_words(Worker *w, uint32_t uid)
{
        bool alone = w->n_busy <= 1;

        if (uid != w->words_uid && alone)
                worker_read_output(w); /* what another's job wrote is still in the pipe */
        w->words_mixed = !alone && (w->words_mixed || uid != w->words_uid);
        w->between_jobs = false;
        if (!alone)
                return;
        w->words_uid = uid;
        w->tail_written = 0;
}

/* All that the pipe holds: the answer of the job that wrote it may be heard next. */
static void on_output(evutil_socket_t fd, short what, void *context)
{
        for (int i = 0; i < 16 && read_output(context) == OUTPUT_CHUNK; i++)
                ;
}

/* --- birth --- */

/* The worker, and a command that looks into it, may write what they like, but whoever could shorten
 * the file would end us: by SIGBUS, when we read. */
static SlotPage *new_pages(unsigned n, int *ret_fd)
{
        AUTO(fd_close) int fd = memfd_create("brood-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        void *pages;

        if (fd < 0 || ftruncate(fd, (off_t)(n * sizeof(SlotPage))) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return NULL;
        pages = mmap(NULL, n * sizeof(SlotPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (pages == MAP_FAILED)
                return NULL;
        *ret_fd = MOVE_FD(fd);
        return pages;
}

static int new_pair(int *ours, int *theirs)
{
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        *ours = ends[0];
        *theirs = ends[1];
        return 0;
}

/* The ends of a worker's connections: ours go to its links, theirs to the fork server. */
typedef struct Ends {
        int control, slots[WORKER_MAX_SLOTS];
        int their_control, their_slots[WORKER_MAX_SLOTS];
        int pages, listener, output; /* theirs */
        unsigned n;                  /* slots */
} Ends;

static void ends_init(Ends *e, unsigned n_slots)
{
        memset(e, 0xff, sizeof(*e)); /* -1 */
        e->n = n_slots;
}

static void ends_fini(Ends *e)
{
        for (unsigned i = 0; i < e->n; i++) {
                fd_close(e->slots[i]);
                fd_close(e->their_slots[i]);
        }
        fd_close(e->control);
        fd_close(e->their_control);
        fd_close(e->pages);
        fd_close(e->listener);
        fd_close(e->output);
}

static int connect_end(const struct sockaddr_un *to, int *ret)
{
        *ret = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return *ret < 0 || connect(*ret, (const struct sockaddr *)to, sizeof(*to)) < 0 ? -errno : 0;
}

DEFINE_FINI(Ends, ends_fini);

/* A socket in the runtime directory, gone again at once, with connections waiting in it: slots
 * first, then control. The path goes through the directory's descriptor, which keeps it short. */
static int listen_for(Worker *w, Ends *e)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int dir = w->pool->pools->runtime_dir, r = 0;
        char name[64];

        e->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)snprintf(name, sizeof(name), ".worker-%u-%u-%d", w->seat, w->generation, e->listener);
        (void)snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, name);
        if (e->listener < 0 || bind(e->listener, (struct sockaddr *)&a, sizeof(a)) < 0)
                return -errno;
        if (listen(e->listener, WORKER_MAX_SLOTS + 1) < 0)
                r = -errno;
        for (unsigned i = 0; r == 0 && i < e->n; i++)
                r = connect_end(&a, &e->slots[i]);
        if (r == 0)
                r = connect_end(&a, &e->control);
        (void)unlinkat(dir, name, 0);
        return r;
}

static int pair_up(Worker *w, Ends *e)
{
        int r = 0;

        w->pages = new_pages(e->n, &e->pages);
        if (!w->pages)
                return -errno;
        for (unsigned i = 0; r == 0 && i < e->n; i++)
                r = new_pair(&e->slots[i], &e->their_slots[i]);
        return r < 0 ? r : new_pair(&e->control, &e->their_control);
}

static int open_output(Worker *w, int *theirs)
{
        const Identity *who = &w->pool->settings->identity;
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        *theirs = ends[1];
        w->output = ends[0];
        if (who->uid != IDENTITY_OURS) /* so that it can open /dev/stderr by name */
                (void)fchown(ends[1], (uid_t)who->uid, (gid_t)-1); /* without the right: not so */
        (void)fd_nonblock(w->output, true);
        if (event_assign(&w->output_ready, w->pool->pools->turn->base, w->output,
                         EV_READ | EV_PERSIST, on_output, w) < 0)
                return -ENOMEM;
        return event_add(&w->output_ready, NULL) < 0 ? -ENOMEM : 0;
}

static int adopt_connections(Worker *w, Ends *e)
{
        static const LinkOps ops = { .feed = on_control_bytes, .ended = on_control_ended };
        int r = 0;

        for (unsigned i = 0; i < e->n; i++) {
                r = slot_init(&w->slots[i], w, e->slots[i], w->pages ? &w->pages[i] : NULL);
                if (r < 0)
                        return r;
                e->slots[i] = -1;
        }
        r = link_init(&w->control, w->pool->pools->turn, e->control, &w->control_out, &ops, false);
        if (r == 0)
                e->control = -1;
        return r;
}

/* See process/forker.h. */
static int ask(Worker *w, const Ends *e)
{
        int fds[3 + WORKER_MAX_SLOTS + 2] = { e->output };
        unsigned n = 1;

        if (e->listener >= 0) {
                fds[n++] = e->listener;
        } else {
                fds[n++] = e->pages;
                fds[n++] = e->their_control;
                for (unsigned i = 0; i < e->n; i++)
                        fds[n++] = e->their_slots[i];
        }
        if (w->group.leaf >= 0) {
                fds[n++] = w->group.leaf;
                fds[n++] = w->group.top.dir;
        }
        return forker_ask(w->forker, w->seat, w->generation, fds, n);
}

/* Makes the descriptors on both sides and sends theirs to the fork server. */
static int connect_and_ask(Worker *w)
{
        AUTO(ends_fini) Ends e;
        int r;

        ends_init(&e, w->n_slots);
        r = open_output(w, &e.output);
        if (r == 0)
                r = w->pool->settings->command ? listen_for(w, &e) : pair_up(w, &e);
        if (r == 0)
                r = adopt_connections(w, &e);
        return r < 0 ? r : ask(w, &e);
}

static void call_prepare(Worker *w)
{
        Pool *pool = w->pool;
        Buffer *b = &w->slots[0].out;
        json_t *settings = pool_free_settings(pool->settings);
        char *text = settings ? json_dumps(settings, JSON_COMPACT) : NULL;

        varlink_write_call(b, "io.brood.Worker.Prepare", 0);
        emit_string_member(b, "pool", slice_of(pool->core->name));
        emit_string_member(b, "worker", slice_of(w->name));
        emit_int_member(b, "generation", w->generation);
        emit_key(b, "handlers");
        emit_open(b, '[');
        for (char **h = pool->handlers; h && *h; h++)
                emit_string(b, slice_of(*h));
        emit_close(b, ']');
        emit_raw_member(b, "settings", text ? slice_of(text) : SLICE("{}"));
        varlink_write_end(b, 0);
        link_touch(&w->slots[0].link);
        free(text);
        json_decref(settings);
}

int worker_start(Pool *pool, unsigned seat, unsigned generation, Worker **ret)
{
        unsigned n_slots = (unsigned)pool->settings->slots;
        AUTO(worker_free) Worker *w = calloc(1, sizeof(*w) + n_slots * sizeof(Slot));
        int r;

        if (!w)
                return -ENOMEM;
        w->pool = pool;
        w->forker = pool->forker;
        w->seat = seat;
        w->generation = generation;
        w->epoch = pool->epoch;
        w->pidfd = w->output = w->control.fd = -1;
        w->group = (WorkerCgroup)WORKER_GROUP_NONE;
        w->ladder = (Ladder)LADDER_INIT;
        w->started = clock_steady();
        w->n_slots = n_slots;
        wear_init(&w->wear, pool->settings);
        list_init(&w->in_pool);
        list_init(&w->free);
        for (unsigned i = 0; i < n_slots; i++)
                slot_clear(&w->slots[i], w);
        evtimer_assign(&w->timer, pool->pools->turn->base, on_timer, w);
        (void)snprintf(w->name, sizeof(w->name), "%s.%u", pool->core->name, seat);
        group_make_worker(&w->group, &pool->pools->cgroups, &pool->group, seat, generation,
                          (uid_t)pool->settings->identity.uid, /* IDENTITY_OURS is -1, too */
                          (gid_t)pool->settings->identity.gid);
        r = connect_and_ask(w);
        if (r < 0)
                return r;
        call_prepare(w);
        arm(w, pool->settings->start_timeout);
        w->forker->n_workers++;
        list_append(&pool->workers, &w->in_pool);
        show_worker_came(w);
        worker_note_state(w, NULL);
        *ret = MOVE_PTR(w);
        return 0;
}

/* The kernel says that it is dead; how, the fork server says next. */
static void on_exited(evutil_socket_t fd, short what, void *context)
{
        Worker *w = context;

        (void)event_del(&w->exited);
        if (w->state != WORKER_LEAVING)
                set_state(w, WORKER_DYING);
}

/* Its answer to Prepare may be here before the word of its birth: it takes both. */
static void become_ready(Worker *w, usec_t now)
{
        if (w->state != WORKER_STARTING || !w->prepared || !w->pid)
                return;
        arm(w, USEC_INFINITY);
        worker_group_look(&w->group, w->name);
        set_state(w, WORKER_SPARE);
        log_event(LOG_FIELDS(.pool = w->pool->core->name, .worker = w->name), LEVEL_DEBUG,
                  "worker=%s pid=%d gen=%u ready", w->name, (int)w->pid, w->generation);
        pool_worker_ready(w->pool, w, now);
}

void worker_born(Worker *w, pid_t pid, int pidfd)
{
        w->pid = pid;
        w->pidfd = pidfd;
        show_worker(w);
        if (event_assign(&w->exited, w->pool->pools->turn->base, pidfd, EV_READ | EV_PERSIST,
                         on_exited, w) == 0) {
                (void)event_priority_set(&w->exited, 0);
                (void)event_add(&w->exited, NULL);
        }
        if (w->state == WORKER_DYING)
                worker_signal(w, SIGKILL); /* its end was wanted before it was born */
        else if (w->state == WORKER_LEAVING)
                worker_slot_idle(w, clock_steady());
        become_ready(w, clock_steady());
}

void worker_not_born(Worker *w, int error)
{
        log_event(LOG_FIELDS(.pool = w->pool->core->name, .worker = w->name), LEVEL_WARNING,
                  "worker=%s gen=%u could not be started: %s", w->name, w->generation,
                  strerror(error));
        (void)snprintf(w->end_detail, sizeof(w->end_detail), "%s", strerror(error));
        w->dead = true;
        pool_worker_over(w->pool, w, clock_steady());
}

/* Does it offer what is asked for? Returns the one that is missing, or NULL. */
static const char *missing_handler(const Worker *w, const VarlinkScan *scan,
                                   const VarlinkNode *offered)
{
        for (char **h = w->pool->handlers; h && *h; h++) {
                bool found = false;

                for (uint32_t at = offered->child; at && !found; at = varlink_node(scan, at)->next)
                        found = slice_is(varlink_slice(scan, varlink_node(scan, at)), *h);
                if (!found)
                        return *h;
        }
        return NULL;
}

void worker_prepared(Worker *w, const VarlinkScan *scan, const VarlinkNode *handlers, usec_t now)
{
        const char *missing = missing_handler(w, scan, handlers);

        if (missing) {
                worker_kill(w, END_START, "it does not offer handler '%s'", missing);
                return;
        }
        w->prepared = true;
        become_ready(w, now);
}

/* --- death --- */

void worker_slot_ended(Worker *w, Slot *slot, int error)
{
        link_fini(&slot->link);
        if (error == -EPROTO || error == -EMSGSIZE) {
                worker_kill(w, END_NONSENSE, "%s",
                            error == -EPROTO ? "not an answer" : "message too long");
                return;
        }
        if (w->state != WORKER_LEAVING || worker_busy(w))
                set_state(w, WORKER_DYING);
        if (!w->dead)
                arm(w, CLOSE_GRACE); /* a process that closes its slot and lives on */
}

void worker_exited(Worker *w, const ExitVerdict *verdict, usec_t now)
{
        w->verdict = *verdict;
        w->oom_killed = worker_group_judge(&w->group, &w->verdict);
        w->dead = true;
        for (unsigned i = 0; i < w->n_slots; i++)
                link_drain(&w->slots[i].link); /* a result may be there */
        worker_read_output(w);
        words_end(w);
        set_state(w, WORKER_DYING);
        pool_worker_over(w->pool, w, now);
}

void worker_free(Worker *w)
{
        if (!list_empty(&w->in_pool))
                show_worker_gone(w);
        list_remove(&w->in_pool);
        (void)event_del(&w->timer);
        if (w->pidfd >= 0)
                (void)event_del(&w->exited);
        if (w->output >= 0)
                (void)event_del(&w->output_ready);
        for (unsigned i = 0; i < w->n_slots; i++)
                slot_fini(&w->slots[i]);
        if (w->pages)
                (void)munmap(w->pages, w->n_slots * sizeof(SlotPage));
        link_fini(&w->control);
        buffer_fini(&w->control_out);
        worker_group_end(&w->group, &w->pool->pools->cgroups);
        fd_close(w->output);
        fd_close(w->pidfd);
        free(w);
}

/* SPDX-License-Identifier: MIT */

/* No process may live in a group whose controllers are given to groups below it (cgroups(7), "no
 * internal processes"): so the supervisor goes into a leaf first, and all others are born there.
 *
 * A name may come again (a pool that was removed and is back counts its generations from 1), while
 * the group that had it is still among the doomed: then that one is used again, and is not doomed
 * any more. */

#include "pool/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "ops/log.h"

const char *const cgroup_controller_names[N_CGROUP_CONTROLLERS] = { "memory", "pids", "cpu" };

enum {
        RETRY_MS = 50,
        MOST_TRIES = 200,     /* of a doomed group: 10 s */
        SWEEP_MS = 2000,      /* for the leftovers of an earlier run */
        CLOSE_MS = 500,       /* for what is left when we go */
};

/* For groups that are shared with the user of a worker. */
#define MOST_BELOW_WORKER    "100"
#define DEEPEST_BELOW_WORKER "8"

/* A group that could not be removed yet. */
typedef struct Doomed {
        List link;
        unsigned tries;
        char name[GROUP_NAME];
} Doomed;

DEFINE_CLEANUP(DIR, closedir);

static bool there_is_one(const Cgroups *c)
{
        return c->own.group >= 0;
}

/* --- those that do not go at once --- */

static const struct timeval retry_time = { 0, RETRY_MS * 1000 };

static int end_now(const Cgroups *c, const char *name)
{
        int r = cgroup_end(c->own.group, name, 0);

        return r == -ENOTEMPTY ? 0 : r; /* a plain directory that stands in for a cgroup */
}

static void retry(Cgroups *c, Doomed *d)
{
        int r = end_now(c, d->name);

        if (r < 0 && ++d->tries < MOST_TRIES)
                return;
        if (r < 0)
                log_warning("cgroup %s/%s can not be removed: %s; the next start tries again",
                            c->own.path, d->name, strerror(-r));
        list_remove(&d->link);
        free(d);
}

static void retry_all(Cgroups *c)
{
        Doomed *d, *next;

        LIST_FOREACH_SAFE(&c->doomed, d, next, link)
                retry(c, d);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        Cgroups *c = context;

        retry_all(c);
        if (!list_empty(&c->doomed))
                (void)evtimer_add(c->timer, &retry_time);
}

static void doom(Cgroups *c, const char *name)
{
        Doomed *d = calloc(1, sizeof(*d));

        if (!d)
                return; /* the next start sweeps */
        (void)snprintf(d->name, sizeof(d->name), "%s", name);
        list_append(&c->doomed, &d->link);
        if (!evtimer_pending(c->timer, NULL))
                (void)evtimer_add(c->timer, &retry_time);
}

/* The name is used again. Those above it were not to go without it, either. */
static void pardon(Cgroups *c, const char *name)
{
        Doomed *d, *next;

        LIST_FOREACH_SAFE(&c->doomed, d, next, link) {
                size_t n = strlen(d->name);

                if (strncmp(name, d->name, n) == 0 && (!name[n] || name[n] == '/')) {
                        list_remove(&d->link);
                        free(d);
                }
        }
}

/* --- groups --- */

PRINTF(3, 4) static int make(Cgroup *g, Cgroups *c, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(g->name, sizeof(g->name), format, args);
        va_end(args);
        g->dir = -1;
        if (!there_is_one(c))
                return -ENOENT;
        pardon(c, g->name);
        g->dir = cgroup_make(c->own.group, g->name);
        if (g->dir < 0)
                log_warning("cgroup %s/%s can not be made: %s", c->own.path, g->name,
                            strerror(-g->dir));
        return MIN(g->dir, 0);
}

/* Gives controllers to what is below the group ('+') or takes them back ('-'): all of them at once
 * or, where one of them cannot, each for itself. */
static void hand_down(int dir, char sign, bool which[N_CGROUP_CONTROLLERS])
{
        char all[64] = "", one[32];

        for (CgroupController i = 0; i < N_CGROUP_CONTROLLERS; i++)
                if (which[i]) {
                        size_t used = strlen(all);

                        (void)snprintf(all + used, sizeof(all) - used, "%s%c%s", used ? " " : "",
                                       sign, cgroup_controller_names[i]);
                }
        if (!all[0] || cgroup_write(dir, "cgroup.subtree_control", all) == 0)
                return;
        for (CgroupController i = 0; i < N_CGROUP_CONTROLLERS; i++) {
                (void)snprintf(one, sizeof(one), "%c%s", sign, cgroup_controller_names[i]);
                which[i] = which[i] && cgroup_write(dir, "cgroup.subtree_control", one) == 0;
        }
}

void group_make_pool(Cgroup *to, Cgroups *c, const char *pool)
{
        bool which[N_CGROUP_CONTROLLERS];

        if (make(to, c, DELEGATION_POOL "%s", pool) < 0)
                return;
        memcpy(which, c->has, sizeof(which));
        hand_down(to->dir, '+', which); /* the limits themselves hold on the pool as a whole */
}

void group_make_forker(Cgroup *to, Cgroups *c, const Cgroup *pool, unsigned n)
{
        *to = (Cgroup)GROUP_NONE;
        if (pool->dir >= 0)
                (void)make(to, c, "%s/forkserver-%u", pool->name, n);
}

/* The worker enters its leaf with the rights of its own user, from the fork server's. It may make
 * groups beside the leaf, and it is we who remove them: as many as that takes no time, and not
 * deeper than cgroup_remove() goes. */
static int share(const WorkerCgroup *g, const Cgroup *pool, gid_t gid)
{
        int r = cgroup_write(g->top.dir, "cgroup.max.descendants", MOST_BELOW_WORKER);

        if (r == 0)
                r = cgroup_write(g->top.dir, "cgroup.max.depth", DEEPEST_BELOW_WORKER);
        if (r == 0)
                r = cgroup_share_procs(pool->dir, gid);
        if (r == 0)
                r = cgroup_share_procs(g->leaf, gid);
        return r < 0 ? r : cgroup_share(g->top.dir, gid);
}

void group_make_worker(WorkerCgroup *to, Cgroups *c, const Cgroup *pool, unsigned seat,
                       unsigned generation, uid_t uid, gid_t gid)
{
        bool which[N_CGROUP_CONTROLLERS] = { [CGROUP_MEMORY] = c->has[CGROUP_MEMORY] };
        int r;

        *to = (WorkerCgroup)WORKER_GROUP_NONE;
        if (pool->dir < 0 || make(&to->top, c, "%s/%u.%u", pool->name, seat, generation) < 0)
                return;
        hand_down(to->top.dir, '+', which); /* it counts who was killed, and who was not */
        to->leaf = cgroup_make(to->top.dir, "worker");
        if (to->leaf < 0) {
                log_warning("cgroup %s/%s: no group for the worker itself: %s", c->own.path,
                            to->top.name, strerror(-to->leaf));
                worker_group_end(to, c);
                return;
        }
        r = uid == (uid_t)-1 ? 0 : share(to, pool, gid);
        if (r < 0)
                log_warning("cgroup %s/%s can not be shared with gid %u: %s", c->own.path,
                            to->top.name, gid, strerror(-r));
        if (cgroup_read(to->leaf, "memory.events", "oom_kill", &to->kills_before) < 0)
                to->kills_before = 0;
}

int group_open_procs(const Cgroup *g)
{
        return g->dir < 0 ? -1 : MAX(cgroup_open_procs(g->dir), -1);
}

void group_kill(const Cgroup *g)
{
        if (g->dir >= 0)
                (void)cgroup_kill(g->dir);
}

void group_end(Cgroup *g, Cgroups *c)
{
        if (g->dir < 0)
                return;
        g->dir = fd_close(g->dir);
        if (end_now(c, g->name) < 0)
                doom(c, g->name);
}

/* --- a worker's --- */

void worker_group_look(const WorkerCgroup *g, const char *name)
{
        uint64_t populated;

        if (g->leaf < 0)
                return;
        if (cgroup_read(g->leaf, "cgroup.events", "populated", &populated) == 0 && !populated)
                log_warning("worker=%s has not entered its cgroup %s", name, g->top.name);
}

bool worker_group_judge(const WorkerCgroup *g, ExitVerdict *v)
{
        uint64_t kills = 0, n;

        if (g->top.dir < 0)
                return false;
        if (cgroup_read(g->top.dir, "memory.peak", NULL, &n) == 0)
                v->peak_memory_bytes = n;
        if (cgroup_read(g->top.dir, "cpu.stat", "usage_usec", &n) == 0)
                v->cpu_usec = n;
        if (g->leaf < 0 || cgroup_read(g->leaf, "memory.events", "oom_kill", &kills) < 0)
                return false;
        return kills > g->kills_before && exit_verdict_signal(v) == SIGKILL;
}

void worker_group_end(WorkerCgroup *g, Cgroups *c)
{
        g->leaf = fd_close(g->leaf);
        group_end(&g->top, c);
}

/* --- the subtree as a whole --- */

void cgroups_init(Cgroups *c, struct event_base *base)
{
        *c = (Cgroups){ .own = { .group = -1 }, .base = base };
        list_init(&c->doomed);
}

/* Hidden ones are the service manager's (.control), and what has a stranger's name in a group that
 * nobody has marked may be a stranger's. */
static bool is_leftover(const Cgroups *c, const struct dirent *e)
{
        static const char ours[] = DELEGATION_POOL;

        return e->d_type == DT_DIR && e->d_name[0] != '.' &&
               strcmp(e->d_name, DELEGATION_SUPERVISOR) != 0 &&
               (c->own.whole || strncmp(e->d_name, ours, sizeof(ours) - 1) == 0);
}

/* First all are killed, then each is waited for. Returns how many were killed, -errno. */
static int for_leftovers(Cgroups *c, void (*act)(Cgroups *c, const char *name, usec_t deadline),
                         usec_t deadline)
{
        AUTO(closedir) DIR *directory = NULL;
        int fd = cgroup_open(c->own.group, "."), n = 0;
        struct dirent *e;

        directory = fd < 0 ? NULL : fdopendir(fd);
        if (!directory) {
                fd_close(fd);
                return fd < 0 ? fd : -errno;
        }
        while ((e = readdir(directory)))
                if (is_leftover(c, e)) {
                        act(c, e->d_name, deadline);
                        n++;
                }
        return n;
}

static void kill_leftover(Cgroups *c, const char *name, usec_t deadline UNUSED)
{
        AUTO(fd_close) int group = cgroup_open(c->own.group, name);

        if (group < 0)
                return;
        if (cgroup_populated(group))
                log_warning("cgroup %s/%s: what an earlier run has left in it is killed",
                            c->own.path, name);
        (void)cgroup_kill(group);
}

static void remove_leftover(Cgroups *c, const char *name, usec_t deadline)
{
        usec_t now = clock_steady();
        int patience = deadline > now ? (int)((deadline - now) / 1000) : 0;
        int r = cgroup_end(c->own.group, name, patience);

        if (r < 0 && r != -ENOTEMPTY)
                log_warning("cgroup %s/%s of an earlier run can not be removed: %s", c->own.path,
                            name, strerror(-r));
}

static void sweep(Cgroups *c)
{
        usec_t began = clock_steady();
        int n = for_leftovers(c, kill_leftover, 0);

        if (n > 0) {
                (void)for_leftovers(c, remove_leftover, began + SWEEP_MS * 1000);
                log_notice("cgroup %s: swept %d group%s of an earlier run in %llu ms",
                           c->own.path, n, PLURAL(n),
                           (unsigned long long)(clock_steady() - began) / 1000);
        }
}

static int enter(Cgroups *c)
{
        AUTO(fd_close) int leaf = cgroup_make(c->own.group, DELEGATION_SUPERVISOR);
        AUTO(fd_close) int procs = leaf < 0 ? leaf : cgroup_open_procs(leaf);
        int r = procs < 0 ? procs : cgroup_enter(procs);

        if (r < 0)
                (void)cgroup_remove(c->own.group, DELEGATION_SUPERVISOR);
        return r;
}

/* Where all are there, nothing is said of them. */
static void take_controllers(Cgroups *c)
{
        char missing[64] = "";

        for (CgroupController i = 0; i < N_CGROUP_CONTROLLERS; i++)
                c->has[i] = cgroup_lists(c->own.group, "cgroup.controllers",
                                         cgroup_controller_names[i]);
        hand_down(c->own.group, '+', c->has);
        for (CgroupController i = 0; i < N_CGROUP_CONTROLLERS; i++) {
                size_t used = strlen(missing);

                if (!c->has[i])
                        (void)snprintf(missing + used, sizeof(missing) - used, "%s%s",
                                       used ? ", " : "", cgroup_controller_names[i]);
        }
        if (missing[0])
                log_notice("cgroup %s has no controller of: %s; such limits are not applied",
                           c->own.path, missing);
}

static bool open_own(Cgroups *c, char *why, size_t size)
{
        int r;

        c->timer = evtimer_new(c->base, on_timer, c);
        if (!c->timer) {
                (void)snprintf(why, size, "no memory");
                return false;
        }
        if (delegation_find(&c->own, why, size) < 0)
                return false;
        sweep(c);
        r = enter(c);
        if (r < 0)
                (void)snprintf(why, size, "%s can not be entered: %s", c->own.path, strerror(-r));
        return r == 0;
}

void cgroups_open(Cgroups *c)
{
        char why[CGROUP_PATH + 128];

        if (!open_own(c, why, sizeof(why))) {
                log_notice("no delegated cgroup: %s; workers are watched without", why);
                c->own.group = fd_close(c->own.group);
                return;
        }
        log_info("cgroup %s is ours", c->own.path);
        take_controllers(c);
}

/* Out of the leaf again, which only works when nothing is handed down any more. */
static void leave(Cgroups *c)
{
        AUTO(fd_close) int procs = -1;

        hand_down(c->own.group, '-', c->has);
        procs = cgroup_open_procs(c->own.group);
        if (procs >= 0 && cgroup_enter(procs) == 0)
                (void)cgroup_remove(c->own.group, DELEGATION_SUPERVISOR); /* it is only empty */
}

void cgroups_close(Cgroups *c)
{
        Doomed *d, *next;

        for (int waited = 0; !list_empty(&c->doomed) && waited < CLOSE_MS; waited++) {
                retry_all(c);
                if (!list_empty(&c->doomed))
                        (void)poll(NULL, 0, 1);
        }
        LIST_FOREACH_SAFE(&c->doomed, d, next, link) {
                log_warning("cgroup %s/%s can not be removed; the next start tries again",
                            c->own.path, d->name);
                free(d);
        }
        list_init(&c->doomed);
        if (there_is_one(c))
                leave(c);
        c->own.group = fd_close(c->own.group);
        if (c->timer)
                event_free(c->timer);
        c->timer = NULL;
}

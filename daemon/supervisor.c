/* SPDX-License-Identifier: MIT */

#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "api/pending.h"
#include "api/watch.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "ops/closer.h"
#include "ops/log.h"
#include "process/orphans.h"
#include "reload.h"
#include "settings/rights.h"
#include "store/store.h"

/* How long a new daemon waits for the tree of the last one to be gone. */
enum { LOCK_WAIT_MS = 3000, LOCK_STEP_MS = 20 };

/* --- settling --- */

static bool deliver_events(Supervisor *s, usec_t now)
{
        bool any = false;
        unsigned events;
        Job *job;

        while ((job = core_next_event(&s->core, &events))) {
                any = true;
                if (job == s->announce.probe.job)
                        probe_event(s, events);
                else if (events & EVENT_ENDED)
                        ending_note(&s->ending, job, now);
                if (events & ~(unsigned)EVENT_CLAIMED) /* it was admitted before it runs */
                        api_job_event(&s->api, job, events & ~(unsigned)EVENT_CLAIMED, now);
                if (events & EVENT_CLAIMED)
                        pools_run(&s->pools, job, now);
        }
        return any;
}

static void answer_restarts(Supervisor *s)
{
        Pool *pool;

        LIST_FOREACH(&s->pools.pools, pool, link)
                if (!list_empty(&pool->restart_calls))
                        api_pool_changed(&s->api, pool);
}

static void on_pool_going(Pools *pools, Pool *pool)
{
        api_pool_gone(&CONTAINER_OF(pools, Supervisor, pools)->api, pool);
}

static void arm_core_timer(Supervisor *s, usec_t now)
{
        usec_t due = MAX(MIN(core_next_due(&s->core), ending_due(&s->ending)), 1u);
        usec_t left = due > now ? due - now : 0;
        struct timeval t = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };

        if (due == s->armed)
                return;
        s->armed = due;
        if (due == USEC_INFINITY)
                (void)evtimer_del(s->core_timer);
        else
                (void)evtimer_add(s->core_timer, &t);
}

static void supervisor_settle(Supervisor *s, usec_t now)
{
        bool again;

        turn_begin(&s->turn);
        core_tick(&s->core, now);
        do {
                again = s->dirty || s->api.dirty || s->pools.dirty;
                s->dirty = s->api.dirty = s->pools.dirty = false;
                reload_step(s);
                pools_settle(&s->pools, now); /* first: a claim may go with an admission */
                again |= store_work(s->store, now);
                again |= deliver_events(s, now);
                again |= lifecycle_step(s, now);
        } while (again);
        answer_restarts(s);
        ending_tell(&s->ending, false, now);
        watch_flush(&s->api);
        api_resume_reading(&s->api);
        announce_settled(s, now);
        arm_core_timer(s, now);
        if (log_is_waiting() && s->log_ready)
                (void)event_add(s->log_ready, NULL);
}

static void on_log_ready(evutil_socket_t fd, short what, void *context)
{
        log_flush();
}

static void on_core_timer(evutil_socket_t fd, short what, void *context)
{
        Supervisor *s = context;

        s->armed = 0; /* the loop settles after every turn */
}

static void on_stop_timer(evutil_socket_t fd, short what, void *context)
{
        log_warning("StopTimeout= is over: running jobs are ended");
        lifecycle_stop(context, "timeout", true, 0);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
        Supervisor *s = context;

        switch (number) {
        case SIGCHLD:
                pools_reap(&s->pools);
                break;
        case SIGHUP:
                supervisor_reload(s, NULL);
                break;
        default:
                lifecycle_stop(s, number == SIGTERM ? "SIGTERM" : "SIGINT", false, 0);
        }
}

/* --- what the api asks of the daemon as a whole --- */

void supervisor_reload(Supervisor *s, VarlinkCall *call)
{
        if (call && !pending_add(call, &s->next_reload_calls))
                return;
        s->reload_wanted = true;
        s->dirty = true;
}

static void api_reload(void *context, VarlinkCall *call)
{
        supervisor_reload(context, call);
}

static void api_drain(void *context, VarlinkCall *call)
{
        Supervisor *s = context;

        lifecycle_drain(s);
        (void)pending_add(call, &s->lifecycle.drain_calls);
        s->dirty = true;
}

static void api_resume(void *context, VarlinkCall *call)
{
        lifecycle_resume(context);
        varlink_reply_empty(call);
}

static const char *api_state(void *context)
{
        return lifecycle_state(context);
}

static const char *api_reload_refused(void *context)
{
        const Supervisor *s = context;

        return s->announce.refused[0] ? s->announce.refused : NULL;
}

/* --- the ground --- */

/* Logs why the daemon can not start, and tells who has started it. Returns `error`. */
static int fail(Supervisor *s, int error, const char *format, ...) PRINTF(3, 4);

static int fail(Supervisor *s, int error, const char *format, ...)
{
        char why[1024];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(why, sizeof(why), format, args);
        va_end(args);
        log_error("%s", why);
        announce_failed(s, -error, why);
        return error;
}

static int make_directory(const char *path, mode_t mode)
{
        char copy[4096];

        if (strlen(path) >= sizeof(copy))
                return -ENAMETOOLONG;
        (void)snprintf(copy, sizeof(copy), "%s", path);
        for (char *p = copy + 1; *p; p++) {
                if (*p != '/')
                        continue;
                *p = '\0';
                if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                        return -errno;
                *p = '/';
        }
        return mkdir(copy, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static int say_who_holds(Supervisor *s, int fd, const char *path)
{
        char text[64];
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return fail(s, -EBUSY,
                    "%s is held by another daemon or what it left (pid %s): one daemon per state "
                    "directory",
                    path, text[0] ? text : "unknown");
}

/* Two locks on one file, which know nothing of each other. The one of fcntl(2) is ours alone. The
 * one of flock(2) is held by the fork servers and workers, too, through a descriptor by which they
 * can only read: whoever gets it knows that the tree before it is gone. A worker that lets go of it
 * lets nobody in while we live. */
static bool take_locks(int own, int tree)
{
        struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

        return fcntl(own, F_OFD_SETLK, &whole) == 0 && flock(tree, LOCK_EX | LOCK_NB) == 0;
}

static int lock_state_directory(Supervisor *s)
{
        AUTO(fd_close) int own = -1;
        AUTO(fd_close) int tree = -1;
        char path[4096], pid[32];
        int n = make_directory(s->options.state_directory, 0700);

        if (n < 0)
                return fail(s, n, "%s can not be made: %s", s->options.state_directory,
                            strerror(-n));
        (void)snprintf(path, sizeof(path), "%s/lock", s->options.state_directory);
        own = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        tree = own < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (tree < 0)
                return fail(s, -errno, "%s: %s", path, strerror(errno));
        for (int waited = 0; !take_locks(own, tree); waited += LOCK_STEP_MS) {
                if (waited >= LOCK_WAIT_MS)
                        return say_who_holds(s, own, path);
                (void)poll(NULL, 0, LOCK_STEP_MS);
        }
        n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
        if (ftruncate(own, 0) < 0 || pwrite(own, pid, (size_t)n, 0) < 0)
                log_warning("%s: %s", path, strerror(errno)); /* it is only for people */
        s->own_lock = MOVE_FD(own);
        s->pools.lock_fd = MOVE_FD(tree);
        return 0;
}

static int open_runtime_directory(Supervisor *s)
{
        const char *path = s->options.runtime_directory;
        int r = make_directory(path, 0755);

        if (r == 0) {
                s->pools.runtime_dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
                r = s->pools.runtime_dir < 0 ? -errno : 0;
        }
        return r < 0 ? fail(s, r, "%s: %s", path, strerror(-r)) : 0;
}

static void raise_open_files(Supervisor *s)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        s->pools.nofile_soft = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* then there are fewer */
}

static int make_loop(Supervisor *s)
{
        static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
        struct event_config *config = event_config_new();

        s->base = config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0
                          ? event_base_new_with_config(config)
                          : NULL;
        if (config)
                event_config_free(config);
        if (!s->base || event_base_priority_init(s->base, 3) < 0 ||
            turn_init(&s->turn, s->base) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTS(numbers); i++) {
                s->signals[i] = evsignal_new(s->base, numbers[i], on_signal, s);
                if (!s->signals[i] || event_priority_set(s->signals[i], 0) < 0 ||
                    event_add(s->signals[i], NULL) < 0)
                        return -ENOMEM;
        }
        s->core_timer = evtimer_new(s->base, on_core_timer, s);
        s->stop_timer = evtimer_new(s->base, on_stop_timer, s);
        if (log_fd() >= 0)
                s->log_ready = event_new(s->base, log_fd(), EV_WRITE, on_log_ready, NULL);
        return s->core_timer && s->stop_timer ? 0 : -ENOMEM;
}

static int read_first_config(Supervisor *s, Settings **ret)
{
        SettingsError error = { 0 };
        int r = settings_read(ret, s->options.config, s->options.config_optional, &error);

        if (r == 0 && settings_check_rights(*ret, &error) < 0) {
                settings_free(*ret);
                r = -EINVAL;
        }
        if (r == -ENOMEM)
                return fail(s, r, "%s: no memory to read it", s->options.config);
        if (r < 0) {
                reload_log_error(&error, "");
                announce_reloaded(s, &error);
        }
        return r;
}

static int open_listener(Supervisor *s)
{
        char error[256] = "";
        int r = listener_open(&s->listener, s->options.socket, error, sizeof(error));

        return r < 0 ? fail(s, r, "%s", error[0] ? error : strerror(-r)) : 0;
}

/* The thread has something to say: the turn ends with settling, as every turn does. */
static void on_store(void *context)
{
        ((Supervisor *)context)->dirty = true;
}

static void on_store_busy(void *context)
{
        announce_busy(context);
}

static int open_store(Supervisor *s)
{
        const StoreHooks hooks = { on_store, on_store_busy, s };
        char error[512];
        usec_t began = clock_steady();
        int r;

        announce_busy(s); /* the database may have to be put in order first, in one long step */
        r = store_open(&s->store, s->options.state_directory, &s->core, s->base, &hooks, error,
                       sizeof(error));
        if (r < 0)
                return fail(s, r, "%s", error);
        if (s->core.last_seq)
                log_info("the store has %llu job%s, %llu to be done; read in %llu ms",
                         (unsigned long long)(s->core.open + s->core.kept),
                         PLURAL(s->core.open + s->core.kept), (unsigned long long)s->core.open,
                         (unsigned long long)(clock_steady() - began) / 1000);
        return 0;
}

static int set_up(Supervisor *s)
{
        const ApiLifecycle hooks = { .reload = api_reload,
                                     .drain = api_drain,
                                     .resume = api_resume,
                                     .state = api_state,
                                     .reload_refused = api_reload_refused,
                                     .state_directory = s->options.state_directory,
                                     .scoreboard = s->scoreboard.path,
                                     .turns = &s->scoreboard.turns,
                                     .context = s };
        CoreLimits none = { 0 };
        Settings *first;
        int r;

        (void)signal(SIGPIPE, SIG_IGN);
        list_init(&s->reload_calls);
        list_init(&s->next_reload_calls);
        lifecycle_init(&s->lifecycle);
        s->listener.fd = -1;
        s->own_lock = -1;
        core_init(&s->core, &none);
        if (orphans_adopt() < 0 || make_loop(s) < 0 || announce_loop(s) < 0 ||
            pools_init(&s->pools, &s->core, &s->turn) < 0)
                return -ENOMEM;
        s->pools.forker_decided = reload_decided;
        s->pools.pool_going = on_pool_going;
        raise_open_files(s);
        r = read_first_config(s, &first);
        if (r < 0)
                return r;
        r = lock_state_directory(s);
        if (r == 0)
                cgroups_open(&s->pools.cgroups); /* the tree before us is gone: it may sweep */
        if (r == 0)
                r = open_runtime_directory(s);
        if (r == 0)
                r = open_listener(s);
        if (r == 0)
                r = scoreboard_open(s);
        if (r == 0)
                r = open_store(s);
        if (r == 0)
                r = api_init(&s->api, &s->core, s->store, &s->pools, &s->turn, first, &hooks);
        if (r == 0)
                r = metrics_http_init(&s->metrics, &s->api, s->listener.metrics_fd);
        if (r < 0) {
                settings_free(first);
                return r;
        }
        s->api.draining = true;
        reload_try(s, first);
        return 0;
}

static void tear_down(Supervisor *s)
{
        listener_close(&s->listener);
        metrics_http_fini(&s->metrics);
        if (s->api.service.n_interfaces)
                api_fini(&s->api);
        if (s->pools.core)
                pools_fini(&s->pools);
        scoreboard_close(s);
        store_close(s->store);
        core_fini(&s->core);
        for (unsigned i = 0; i < s->n_old; i++)
                settings_free(s->old[i]);
        free(s->old);
        if (s->candidate)
                settings_free(s->candidate);
        if (s->settings)
                settings_free(s->settings);
        for (size_t i = 0; i < ELEMENTS(s->signals); i++)
                if (s->signals[i])
                        event_free(s->signals[i]);
        if (s->core_timer)
                event_free(s->core_timer);
        if (s->stop_timer)
                event_free(s->stop_timer);
        if (s->log_ready)
                event_free(s->log_ready);
        announce_fini(s);
        turn_fini(&s->turn);
        if (s->base)
                event_base_free(s->base);
        fd_close(s->pools.lock_fd);
        fd_close(s->own_lock);
        fd_close(s->pools.runtime_dir);
}

static void loop(Supervisor *s)
{
        while (s->lifecycle.phase != PHASE_OVER) {
                supervisor_settle(s, clock_steady());
                turn_flush(&s->turn);
                if (!s->listening && s->lifecycle.phase == PHASE_RUNNING)
                        s->dirty |= s->listening = listener_start(&s->listener, &s->api) == 0;
                if (s->dirty || s->api.dirty || s->pools.dirty || s->lifecycle.phase == PHASE_OVER)
                        continue;
                scoreboard_turn(s);
                if (event_base_loop(s->base, EVLOOP_ONCE) < 0)
                        log_error("the event loop failed: %s", strerror(errno));
        }
        turn_flush(&s->turn);
}

int supervisor_run(const SupervisorOptions *options)
{
        Supervisor *s = calloc(1, sizeof(*s));
        int r, status = 1;

        if (!s)
                return 1;
        s->options = *options;
        announce_init(s);
        r = closer_start();
        r = r < 0 ? r : set_up(s);
        if (r == 0) {
                loop(s);
                status = s->lifecycle.status;
                log_notice("stopped");
        } else if (!s->announce.failure[0]) {
                (void)fail(s, r, "the daemon can not start: %s", strerror(-r));
        }
        tear_down(s);
        log_close();
        free(s);
        return status;
}

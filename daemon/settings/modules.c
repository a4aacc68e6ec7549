/* SPDX-License-Identifier: MIT */

/* Modules are loaded by brood-forkserver, in a process of its own. */

#include "settings/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/capabilities.h"
#include "process/forker.h"

/* Who serves a handler, to find two that do. */
typedef struct Served {
        char *handler;
        const PoolSettings *pool;
} Served;

typedef struct Check {
        const Settings *settings;
        SettingsComplaint *tell;
        void *context;
        Served *served;
        size_t n_served;
        unsigned faults;
} Check;

static void complain(Check *check, const char *file, int line, const char *message)
{
        check->tell(check->context, file, line, message);
        check->faults++;
}

/* "--as=UID:GID:GROUP…" where the pool has another user and we may become it; else "". A module is
 * code: what is meant for a user is not run by root even to be looked at. */
static void write_as(const Identity *who, char *to, size_t size)
{
        uint64_t have = capabilities_effective();
        int n;

        *to = '\0';
        if (identity_is_ours(who) || !capabilities_have(have, CAP_SETUID) ||
            !capabilities_have(have, CAP_SETGID))
                return;
        n = snprintf(to, size, "--as=%u:%u",
                     who->uid == IDENTITY_OURS ? geteuid() : (unsigned)who->uid,
                     who->gid == IDENTITY_OURS ? getegid() : (unsigned)who->gid);
        for (char **g = who->groups; g && *g && (size_t)n + strlen(*g) + 1 < size; g++)
                n += snprintf(to + n, size - (size_t)n, ":%s", *g);
}

/* "--concurrency=MODEL:HANDLER…". */
static void write_model(const PoolSettings *pool, char *to, size_t size)
{
        size_t n = (size_t)snprintf(to, size, "--concurrency=%s",
                                    concurrency_name(pool->concurrency));

        for (char **h = pool->handlers; h && *h && n + strlen(*h) + 1 < size; h++)
                n += (size_t)snprintf(to + n, size - n, ":%s", *h);
}

static int add_texts(json_t *list, char *const *texts)
{
        for (; texts && *texts; texts++)
                if (json_array_append_new(list, json_string(*texts)) < 0)
                        return -ENOMEM;
        return 0;
}

/* What some modules need to say what they offer, for --stdin. Returns a descriptor or -errno. */
static int write_stdin(const PoolSettings *pool)
{
        AUTO(fd_close) int fd = memfd_create("settings", MFD_CLOEXEC);
        json_t *environment = json_array();
        json_t *all = json_pack("{s:o, s:o}", "settings", pool_free_settings(pool), "environment",
                                environment);
        int r = all ? 0 : -ENOMEM;

        if (fd < 0 && r == 0)
                r = -errno;
        if (r == 0)
                r = add_texts(environment, pool->environment);
        if (r == 0)
                r = add_texts(environment, pool->file_environment);
        if (r == 0 && (json_dumpfd(all, fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0))
                r = -ENOSPC;
        json_decref(all);
        return r < 0 ? r : MOVE_FD(fd);
}

static int run_forkserver(const char *module, const PoolSettings *pool, int out, int err,
                          pid_t *ret)
{
        const char *directory = secure_getenv("BROOD_LIBEXEC");
        char path[4096], as[1024], model[8192], *argv[8] = { path, (char *)"--check" };
        AUTO(fd_close) int in = write_stdin(pool);
        posix_spawn_file_actions_t actions;
        unsigned n = 2;
        int r;

        write_as(&pool->identity, as, sizeof(as));
        if (*as)
                argv[n++] = as;
        write_model(pool, model, sizeof(model));
        argv[n++] = model;
        argv[n++] = (char *)"--stdin";
        argv[n] = (char *)module;
        if (in < 0)
                return in;
        (void)snprintf(path, sizeof(path), "%s/brood-forkserver",
                       directory && *directory ? directory : BROOD_LIBEXEC_DIR);
        r = posix_spawn_file_actions_init(&actions);
        if (r)
                return -r;
        r = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
        if (r == 0)
                r = posix_spawn(ret, path, &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* The file's text up to `size`, without the last line break. */
static void read_file(int fd, char *to, size_t size)
{
        ssize_t n = pread(fd, to, size - 1, 0);

        to[n > 0 ? n : 0] = '\0';
        while (n > 0 && to[n - 1] == '\n')
                to[--n] = '\0';
}

/* Loads the module. Returns whether that worked; `names` are its handlers, one a line, or else what
 * was wrong with it. */
static bool load_module(const char *module, const PoolSettings *pool, char *names, size_t size)
{
        AUTO(fd_close) int out = memfd_create("names", MFD_CLOEXEC);
        AUTO(fd_close) int err = memfd_create("errors", MFD_CLOEXEC);
        int wait_status;
        pid_t pid;
        bool good;

        (void)snprintf(names, size, "the module cannot be checked");
        if (out < 0 || err < 0 || run_forkserver(module, pool, out, err, &pid) < 0)
                return false;
        while (waitpid(pid, &wait_status, 0) < 0)
                if (errno != EINTR)
                        return false;
        good = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
        read_file(good ? out : err, names, size);
        if (good && !*names) {
                (void)snprintf(names, size, "loading %s ends without a word", module);
                return false;
        }
        if (!good && !*names && WIFSIGNALED(wait_status))
                (void)snprintf(names, size, "loading %s ends in %s", module,
                               strsignal(WTERMSIG(wait_status)));
        else if (!good && !*names)
                (void)snprintf(names, size, "%s does not load", module);
        return good;
}

/* Notes that the pool serves it, or complains if another one does. */
static void serve(Check *check, const PoolSettings *pool, const char *handler)
{
        Served *more;
        char message[512];

        for (size_t i = 0; i < check->n_served; i++)
                if (strcmp(check->served[i].handler, handler) == 0) {
                        (void)snprintf(message, sizeof(message),
                                       "handler '%s' is served by pool '%s' already", handler,
                                       check->served[i].pool->name);
                        complain(check, pool->file,
                                 pool->handlers_line ? pool->handlers_line : pool->source_line,
                                 message);
                        return;
                }
        more = reallocarray(check->served, check->n_served + 1, sizeof(*more));
        if (!more) {
                complain(check, pool->file, pool->source_line, "no memory to check it");
                return;
        }
        check->served = more;
        more[check->n_served].pool = pool;
        more[check->n_served].handler = strdup(handler);
        if (more[check->n_served].handler)
                check->n_served++;
}

static bool has_line(const char *lines, const char *wanted)
{
        size_t n = strlen(wanted);

        while (*lines) {
                size_t m = strcspn(lines, "\n");

                if (m == n && memcmp(lines, wanted, n) == 0)
                        return true;
                lines += m + (lines[m] == '\n');
        }
        return false;
}

static void check_wanted(Check *check, const PoolSettings *pool, const char *offered)
{
        char message[1024];

        for (char **h = pool->handlers; *h; h++) {
                if (!pool->module || has_line(offered, *h)) {
                        serve(check, pool, *h);
                        continue;
                }
                (void)snprintf(message, sizeof(message), "module %s has no handler '%s'; it has:",
                               pool->module, *h);
                for (const char *p = offered; *p;) {
                        size_t n = strcspn(p, "\n"), used = strlen(message);

                        (void)snprintf(message + used, sizeof(message) - used, " %.*s", (int)n, p);
                        p += n + (p[n] == '\n');
                }
                complain(check, pool->file, pool->handlers_line, message);
        }
}

static void check_pool(Check *check, const PoolSettings *pool)
{
        char offered[FORKER_TEXT_MAX + 1] = "", path[4096];

        /* from outside: the libraries that it finds are ours */
        (void)snprintf(path, sizeof(path), "%s%s",
                       pool->root_directory ? pool->root_directory : "",
                       pool->module ? pool->module : "");
        if (pool->module && !load_module(path, pool, offered, sizeof(offered))) {
                complain(check, pool->file, settings_line_of(pool, offered), offered);
                return;
        }
        if (pool->handlers) {
                check_wanted(check, pool, offered);
                return;
        }
        for (char *p = offered; *p;) {
                size_t n = strcspn(p, "\n");
                bool last = !p[n];

                p[n] = '\0';
                serve(check, pool, p);
                p += last ? n : n + 1;
        }
}

unsigned settings_check_modules(const Settings *settings, SettingsComplaint *tell, void *context,
                                size_t *ret_handlers)
{
        Check check = { .settings = settings, .tell = tell, .context = context };

        for (unsigned i = 0; i < settings->n_pools; i++)
                check_pool(&check, &settings->pools[i]);
        *ret_handlers = check.n_served;
        for (size_t i = 0; i < check.n_served; i++)
                free(check.served[i].handler);
        free(check.served);
        return check.faults;
}

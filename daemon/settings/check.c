/* SPDX-License-Identifier: MIT */

#include "settings/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "process/forker.h"
#include "settings/environment_file.h"
#include "settings/fault.h"
#include "settings/table.h"
#include "settings/value.h"
#include "settings/words.h"

#define STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Where files are looked for: AT_FDCWD, or a directory that stands for /. */
static int open_within(int root, const char *path)
{
        const struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };

        if (root == AT_FDCWD)
                return open(path, O_PATH | O_CLOEXEC);
        return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static bool is_file(int root, const char *path, int access_mode)
{
        AUTO(fd_close) int fd = open_within(root, path);
        struct stat st;

        return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
               faccessat(fd, "", access_mode, AT_EMPTY_PATH) == 0;
}

/* Looks for a file in the directories of a path like $PATH. Returns 1 and the path, which is to be
 * freed, 0 if it is not there, or -ENOMEM. */
static int search(int root, const char *directories, const char *name, int access_mode, char **ret)
{
        while (*directories) {
                AUTO(free) char *path = NULL;
                size_t n = strcspn(directories, ":");

                if (n) { /* "" would be the working directory, whichever that is */
                        if (asprintf(&path, "%.*s/%s", (int)n, directories, name) < 0)
                                return -ENOMEM;
                        if (is_file(root, path, access_mode)) {
                                *ret = MOVE_PTR(path);
                                return 1;
                        }
                }
                directories += n;
                directories += *directories == ':';
        }
        return 0;
}

/* Replaces a name by the path where it is. Returns 1, 0 if it is not there, or -ENOMEM. */
static int resolve(int root, char **name, const char *directories, int access_mode)
{
        char *path;
        int r;

        if (**name == '/')
                return is_file(root, *name, access_mode);
        if (strchr(*name, '/'))
                return 0;
        r = search(root, directories, *name, access_mode, &path);
        if (r > 0) {
                free(*name);
                *name = path;
        }
        return r;
}

static const char *within(const PoolSettings *p)
{
        return p->root_directory ? ", within RootDirectory=" : "";
}

static int find_module(PoolSettings *p, int root, int line, SettingsError *error)
{
        AUTO(free) char *directories = NULL;
        const char *first = secure_getenv("BROOD_MODULE_PATH");
        int r;

        if (asprintf(&directories, "%s:%s", first ? first : "", BROOD_MODULE_DIR) < 0) {
                directories = NULL;
                return -ENOMEM;
        }
        r = resolve(root, &p->module, directories, R_OK);
        if (r)
                return MIN(r, 0);
        if (strchr(p->module, '/'))
                return settings_fault(error, p->file, line,
                                      "Module=%.*s: expected a file name, or the absolute path of "
                                      "a readable file%s",
                                      shown_length(p->module, 200), p->module, within(p));
        return settings_fault(error, p->file, line, "Module=%.*s: there is no such file in %s%s%s",
                              shown_length(p->module, 100), p->module,
                              directories + (*directories == ':'), within(p),
                              strcmp(p->module, "python.so") == 0
                                      ? " (it is in the package broodd-python)"
                                      : "");
}

static int find_command(PoolSettings *p, int root, int line, SettingsError *error)
{
        const char *path = getenv("PATH");
        int r = resolve(root, &p->command[0], path && *path ? path : STANDARD_PATH, X_OK);

        if (r)
                return MIN(r, 0);
        return settings_fault(error, p->file, line,
                              "Command=%.*s: expected the absolute path of an executable, or its "
                              "name if it is in PATH%s",
                              shown_length(p->command[0], 200), p->command[0], within(p));
}

static int set_exec_defaults(PoolSettings *p, SettingsError *error)
{
        if (strcmp(p->builtin, "exec") != 0)
                return settings_fault(error, p->file, p->source_line, "Builtin=%.*s: expected exec",
                                      shown_length(p->builtin, 200), p->builtin);
        if (!p->lines[POOL_ROW_max_attempts])
                p->max_attempts = 1;
        if (!p->lines[POOL_ROW_poison_deaths])
                p->poison_deaths = 0;
        if (!p->lines[POOL_ROW_breaker_deaths])
                p->breaker_deaths = 0;
        if (!p->handlers)
                return words_append(&p->handlers, strdup("exec"));
        if (words_count(p->handlers) == 1 && strcmp(p->handlers[0], "exec") == 0)
                return 0;
        return settings_fault(error, p->file, p->handlers_line,
                              "Handlers=: expected exec, the one handler of Builtin=exec");
}

/* Returns 0 with AT_FDCWD or a descriptor of RootDirectory=, or -EINVAL with *error filled. */
static int open_root(PoolSettings *p, int *ret, SettingsError *error)
{
        const char *path = p->root_directory;
        int fd;

        if (path && path[strspn(path, "/")] == '\0' && *path) {
                free(p->root_directory); /* / is / already */
                path = p->root_directory = NULL;
        }
        if (path && *path != '/')
                return settings_fault(error, p->file, p->lines[POOL_ROW_root_directory],
                                      "RootDirectory=%.*s: expected an absolute path",
                                      shown_length(path, 200), path);
        fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : AT_FDCWD;
        if (path && fd < 0)
                return settings_fault(error, p->file, p->lines[POOL_ROW_root_directory],
                                      "RootDirectory=%.*s: expected a directory: %s",
                                      shown_length(path, 200), path, strerror(errno));
        *ret = fd;
        return 0;
}

/* Exactly one of Module=, Command= and Builtin=. */
static int check_source(PoolSettings *p, int root, SettingsError *error)
{
        const int *lines = p->lines;
        int n = !!p->module + !!p->command + !!p->builtin;

        p->source_line = MAX(MAX(p->module ? lines[POOL_ROW_module] : 0,
                                 p->command ? lines[POOL_ROW_command] : 0),
                             p->builtin ? lines[POOL_ROW_builtin] : 0);
        if (n != 1)
                return settings_fault(error, p->file, p->source_line,
                                      "expected one of Module=, Command= and Builtin=, found %s",
                                      n == 0 ? "none" : n == 2 ? "two" : "all three");
        if (p->module)
                return find_module(p, root, p->source_line, error);
        if (p->builtin)
                return set_exec_defaults(p, error);
        p->start_method = START_SPAWN;
        return find_command(p, root, p->source_line, error);
}

/* How many jobs a worker can have at a time. Whether a module can is seen when it is loaded. */
static int check_concurrency(const PoolSettings *p, SettingsError *error)
{
        int slots = p->lines[POOL_ROW_slots], line = p->lines[POOL_ROW_concurrency];

        if (p->concurrency == CONCURRENCY_PROCESS && p->slots != 1)
                return settings_fault(error, p->file, slots,
                                      "Slots=%llu: expected 1, since Concurrency=process: workers "
                                      "are as many as MinWorkers= says",
                                      (unsigned long long)p->slots);
        if (p->slots > WORKER_MAX_SLOTS)
                return settings_fault(error, p->file, slots,
                                      "Slots=%llu: expected 1 to %d, since Concurrency=%s: more "
                                      "can be had by more workers",
                                      (unsigned long long)p->slots, WORKER_MAX_SLOTS,
                                      concurrency_name(p->concurrency));
        if (p->concurrency != CONCURRENCY_PROCESS && p->builtin)
                return settings_fault(error, p->file, line,
                                      "Concurrency=%s: expected process, since Builtin=%s runs one "
                                      "command in each worker",
                                      concurrency_name(p->concurrency), p->builtin);
        return 0;
}

/* What MaxWorkers= must allow. */
static int check_scaling(PoolSettings *p, SettingsError *error)
{
        uint64_t least = p->scaling == SCALING_DYNAMIC ? MAX(p->min_workers, (uint64_t)1) : 1;
        int row = p->lines[POOL_ROW_max_workers] ? POOL_ROW_max_workers : POOL_ROW_min_workers;

        if (p->scaling == SCALING_ONDEMAND && !p->lines[POOL_ROW_spare_workers])
                p->spare_workers = 0;
        if (p->scaling == SCALING_STATIC || p->max_workers >= least)
                return 0;
        return settings_fault(error, p->file, p->lines[row],
                              "MaxWorkers=%llu: expected %llu or more, since Scaling=%s%s",
                              (unsigned long long)p->max_workers, (unsigned long long)least,
                              scaling_name(p->scaling),
                              least > 1 ? " and MinWorkers= says so" : "");
}

static int check_working_directory(const PoolSettings *p, SettingsError *error)
{
        const char *directory = p->working_directory ? p->working_directory : "/";

        if (strcmp(directory, "~") == 0 && !p->identity.home)
                return settings_fault(error, p->file, p->lines[POOL_ROW_working_directory],
                                      "WorkingDirectory=~: expected a User= that has a home");
        if (strcmp(directory, "~") == 0 || directory[*directory == '-'] == '/')
                return 0;
        return settings_fault(error, p->file, p->lines[POOL_ROW_working_directory],
                              "WorkingDirectory=%.*s: expected an absolute path, with - before it "
                              "if it may be missing, or ~",
                              shown_length(directory, 200), directory);
}

/* Whether User= may enter it is seen by the fork server. */
static int find_working_directory(const PoolSettings *p, int root, SettingsError *error)
{
        const char *path = p->working_directory;
        AUTO(fd_close) int fd = -1;
        struct stat st;
        int e;

        if (!path || *path != '/')
                return 0;
        fd = open_within(root, path);
        e = fd < 0 ? errno : fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode) ? ENOTDIR : 0;
        if (e != ENOENT && e != ENOTDIR)
                return 0;
        return settings_fault(error, p->file, p->lines[POOL_ROW_working_directory],
                              "WorkingDirectory=%.*s: expected a directory%s, with - before it if "
                              "it may be missing: %s",
                              shown_length(path, 200), path, within(p), strerror(e));
}

static int check_process(PoolSettings *p, SettingsError *error)
{
        int r = identity_find(p, error);

        if (r == 0)
                r = check_working_directory(p, error);
        for (char **name = p->pass_environment; r == 0 && name && *name; name++)
                if (strchr(*name, '=') || !variable_name_valid(*name))
                        r = settings_fault(error, p->file, p->lines[POOL_ROW_pass_environment],
                                           "PassEnvironment=%.*s: expected names of variables",
                                           shown_length(*name, 200), *name);
        return r < 0 ? r : environment_files_read(p, error);
}

int check_pool(PoolSettings *p, SettingsError *error)
{
        int root = AT_FDCWD, r;

        p->handlers_line = p->handlers ? p->lines[POOL_ROW_handlers] : 0;
        r = open_root(p, &root, error);
        if (r == 0)
                r = check_source(p, root, error);
        if (r == 0)
                r = find_working_directory(p, root, error);
        if (root != AT_FDCWD)
                fd_close(root);
        if (r == 0)
                r = check_concurrency(p, error);
        if (r == 0)
                r = check_scaling(p, error);
        if (r == 0)
                r = check_process(p, error);
        return r;
}

/* Who else names the n-th handler of the pool: a pool before it or itself; NULL: nobody. */
static const PoolSettings *other_server(const Settings *s, unsigned pool, unsigned n)
{
        const char *handler = s->pools[pool].handlers[n];

        for (unsigned i = 0; i <= pool; i++)
                for (unsigned k = 0; s->pools[i].handlers && s->pools[i].handlers[k]; k++) {
                        if (i == pool && k == n)
                                return NULL;
                        if (strcmp(s->pools[i].handlers[k], handler) == 0)
                                return &s->pools[i];
                }
        return NULL;
}

int check_pools(const Settings *s, SettingsError *error)
{
        for (unsigned i = 0; i < s->n_pools; i++)
                for (unsigned n = 0; s->pools[i].handlers && s->pools[i].handlers[n]; n++) {
                        const PoolSettings *p = &s->pools[i], *other = other_server(s, i, n);

                        if (!other)
                                continue;
                        return settings_fault(error, p->file, p->handlers_line,
                                              "Handlers=: '%.*s' %s '%s'; each handler belongs to "
                                              "one pool",
                                              shown_length(p->handlers[n], 100), p->handlers[n],
                                              other == p ? "is twice in pool" : "is also in pool",
                                              other->name);
                }
        return 0;
}

int check_watchdog(const Settings *s, SettingsError *error)
{
        const char *name = s->watchdog_pool;
        const PoolSettings *p = NULL;

        if (!name)
                return 0;
        for (unsigned i = 0; i < s->n_pools && !p; i++)
                if (strcmp(s->pools[i].name, name) == 0)
                        p = &s->pools[i];
        if (!p)
                return settings_fault(error, s->watchdog_place.file, s->watchdog_place.line,
                                      "WatchdogPool=%.*s: there is no such pool: expected the name "
                                      "of a file in pools, without .pool",
                                      shown_length(name, 100), name);
        if (p->module || (p->handlers && *p->handlers))
                return 0;
        return settings_fault(error, s->watchdog_place.file, s->watchdog_place.line,
                              "WatchdogPool=%.*s: a probe needs a handler, and that pool names "
                              "none (Handlers=)",
                              shown_length(name, 100), name);
}

/* SPDX-License-Identifier: MIT */

#include "settings/check.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "settings/fault.h"
#include "settings/table.h"
#include "settings/value.h"
#include "settings/words.h"

#define STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool is_file(const char *path, int access_mode)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, access_mode) == 0;
}

/* Looks for a file in the directories of a path like $PATH. Returns 1 and the path, which is to be
 * freed, 0 if it is not there, or -ENOMEM. */
static int search(const char *directories, const char *name, int access_mode, char **ret)
{
        while (*directories) {
                AUTO(free) char *path = NULL;
                size_t n = strcspn(directories, ":");

                if (n) { /* "" would be the working directory, whichever that is */
                        if (asprintf(&path, "%.*s/%s", (int)n, directories, name) < 0)
                                return -ENOMEM;
                        if (is_file(path, access_mode)) {
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
static int resolve(char **name, const char *directories, int access_mode)
{
        char *path;
        int r;

        if (**name == '/')
                return is_file(*name, access_mode);
        if (strchr(*name, '/'))
                return 0;
        r = search(directories, *name, access_mode, &path);
        if (r > 0) {
                free(*name);
                *name = path;
        }
        return r;
}

static int find_module(PoolSettings *p, int line, SettingsError *error)
{
        AUTO(free) char *directories = NULL;
        const char *first = secure_getenv("BROOD_MODULE_PATH");
        int r;

        if (asprintf(&directories, "%s:%s", first ? first : "", BROOD_MODULE_DIR) < 0) {
                directories = NULL;
                return -ENOMEM;
        }
        r = resolve(&p->module, directories, R_OK);
        if (r)
                return MIN(r, 0);
        if (strchr(p->module, '/'))
                return settings_fault(error, p->file, line,
                                      "Module=%.*s: expected a file name, or the absolute path of "
                                      "a readable file",
                                      shown_length(p->module, 200), p->module);
        return settings_fault(error, p->file, line, "Module=%.*s: there is no such file in %s",
                              shown_length(p->module, 100), p->module,
                              directories + (*directories == ':'));
}

static int find_command(PoolSettings *p, int line, SettingsError *error)
{
        const char *path = getenv("PATH");
        int r = resolve(&p->command[0], path && *path ? path : STANDARD_PATH, X_OK);

        if (r)
                return MIN(r, 0);
        return settings_fault(error, p->file, line,
                              "Command=%.*s: expected the absolute path of an executable, or its "
                              "name if it is in PATH",
                              shown_length(p->command[0], 200), p->command[0]);
}

static int set_exec_defaults(PoolSettings *p, const int *lines, SettingsError *error)
{
        if (strcmp(p->builtin, "exec") != 0)
                return settings_fault(error, p->file, p->source_line, "Builtin=%.*s: expected exec",
                                      shown_length(p->builtin, 200), p->builtin);
        if (!lines[POOL_ROW_max_attempts])
                p->max_attempts = 1;
        if (!lines[POOL_ROW_poison_deaths])
                p->poison_deaths = 0;
        if (!lines[POOL_ROW_breaker_deaths])
                p->breaker_deaths = 0;
        if (!p->handlers)
                return words_append(&p->handlers, strdup("exec"));
        if (words_count(p->handlers) == 1 && strcmp(p->handlers[0], "exec") == 0)
                return 0;
        return settings_fault(error, p->file, p->handlers_line,
                              "Handlers=: expected exec, the one handler of Builtin=exec");
}

/* Exactly one of Module=, Command= and Builtin=. */
static int check_source(PoolSettings *p, const int *lines, SettingsError *error)
{
        int n = !!p->module + !!p->command + !!p->builtin;

        p->source_line = MAX(MAX(p->module ? lines[POOL_ROW_module] : 0,
                                 p->command ? lines[POOL_ROW_command] : 0),
                             p->builtin ? lines[POOL_ROW_builtin] : 0);
        if (n != 1)
                return settings_fault(error, p->file, p->source_line,
                                      "expected one of Module=, Command= and Builtin=, found %s",
                                      n == 0 ? "none" : n == 2 ? "two" : "all three");
        if (p->module)
                return find_module(p, p->source_line, error);
        if (p->builtin)
                return set_exec_defaults(p, lines, error);
        p->start_method = START_SPAWN;
        return find_command(p, p->source_line, error);
}

/* Words of the contract that this version does not yet follow. */
static int check_not_yet(const PoolSettings *p, const int *lines, SettingsError *error)
{
        const struct {
                int row;
                bool wanted;
                const char *only;
        } cases[] = {
                { POOL_ROW_scaling, p->scaling != SCALING_STATIC, "static" },
                { POOL_ROW_concurrency, p->concurrency != CONCURRENCY_PROCESS, "process" },
                { POOL_ROW_slots, p->slots != 1, "1" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                if (cases[i].wanted)
                        return settings_fault(error, p->file, lines[cases[i].row],
                                              "%s=: this version has only %s",
                                              pool_settings[cases[i].row].key, cases[i].only);
        return 0;
}

static int check_process(const PoolSettings *p, const int *lines, SettingsError *error)
{
        const char *directory = p->working_directory;

        if (directory && *directory != '/')
                return settings_fault(error, p->file, lines[POOL_ROW_working_directory],
                                      "WorkingDirectory=%.*s: expected an absolute path",
                                      shown_length(directory, 200), directory);
        for (char **name = p->pass_environment; name && *name; name++)
                if (strchr(*name, '=') || !variable_name_valid(*name))
                        return settings_fault(error, p->file, lines[POOL_ROW_pass_environment],
                                              "PassEnvironment=%.*s: expected names of variables",
                                              shown_length(*name, 200), *name);
        return 0;
}

int check_pool(PoolSettings *p, const int *lines, SettingsError *error)
{
        int r;

        p->handlers_line = p->handlers ? lines[POOL_ROW_handlers] : 0;
        r = check_source(p, lines, error);
        if (r == 0)
                r = check_not_yet(p, lines, error);
        if (r == 0)
                r = check_process(p, lines, error);
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

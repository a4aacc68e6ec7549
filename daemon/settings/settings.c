/* SPDX-License-Identifier: MIT */

/* Reading is generic: a file has a table of settings (settings/table.h) and a struct that they live
 * in, and a key is looked up and parsed into its place, or an explanation is given. What a table
 * cannot say is in settings/check.c. */

#include "settings/settings.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "base/parse.h"
#include "settings/check.h"
#include "settings/fault.h"
#include "settings/ini_file.h"
#include "settings/table.h"
#include "settings/words.h"

enum { LONGEST_POOL_NAME = 64, MOST_SECTIONS = 8, MOST_KEYS = 64 };

/* A file that is being read. */
typedef struct Target {
        const Setting *table;
        unsigned n;
        void *settings;     /* a Settings or PoolSettings */
        PoolSettings *pool; /* where [Settings] goes; NULL: there is none */
        Settings *daemon;   /* where [Semaphores] goes; NULL: there is none */
        int *lines;         /* of each row; NULL: nobody asks */
        SettingsError *error;
} Target;

/* --- what a file may say --- */

/* The names of the sections; returns how many. */
static unsigned list_sections(const Target *t, const char *names[MOST_SECTIONS])
{
        unsigned n = 0;

        for (unsigned i = 0; i < t->n; i++)
                if (n == 0 || strcmp(names[n - 1], t->table[i].section) != 0) {
                        ASSERT(n + 1 < MOST_SECTIONS);
                        names[n++] = t->table[i].section;
                }
        if (t->pool)
                names[n++] = "Settings";
        if (t->daemon)
                names[n++] = "Semaphores";
        return n;
}

static int on_section(void *userdata, const char *file, int line, const char *section)
{
        Target *t = userdata;
        const char *names[MOST_SECTIONS], *nearest;
        char list[128] = "";
        unsigned n = list_sections(t, names);

        for (unsigned i = 0; i < n; i++) {
                size_t used = strlen(list);

                if (strcmp(names[i], section) == 0)
                        return 0;
                (void)snprintf(list + used, sizeof(list) - used, "%s[%s]",
                               i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
        }
        nearest = nearest_word(section, names, n);
        if (nearest)
                return settings_fault(t->error, file, line,
                                      "unknown section [%s]: did you mean [%s]?", section, nearest);
        return settings_fault(t->error, file, line, "unknown section [%s]: expected %s", section,
                              list);
}

static int unknown_key(const Target *t, const char *file, int line, const char *section,
                       const char *key)
{
        const char *names[MOST_KEYS], *nearest;
        char list[400] = "";
        size_t used = 0;
        unsigned n = 0;

        for (unsigned i = 0; i < t->n; i++)
                if (strcmp(t->table[i].section, section) == 0) {
                        ASSERT(n < MOST_KEYS);
                        names[n++] = t->table[i].key;
                        if (used < sizeof(list))
                                used += (size_t)snprintf(list + used, sizeof(list) - used, " %s",
                                                         t->table[i].key);
                } else if (strcmp(t->table[i].key, key) == 0) {
                        return settings_fault(t->error, file, line,
                                              "unknown key '%s' in [%s]: it belongs in [%s]", key,
                                              section, t->table[i].section);
                }
        nearest = nearest_word(key, names, n);
        if (nearest)
                return settings_fault(t->error, file, line,
                                      "unknown key '%s' in [%s]: did you mean '%s'?", key, section,
                                      nearest);
        return settings_fault(t->error, file, line, "unknown key '%.*s' in [%s]: expected one of%s",
                              shown_length(key, 60), key, section, list);
}

static int wrong_value(const Target *t, const char *file, int line, const Setting *s,
                       const char *value)
{
        char expected[300];

        if (s->type->explain) {
                s->type->explain(value, expected, sizeof(expected));
                return settings_fault(t->error, file, line, "%s=: %s", s->key, expected);
        }
        return settings_fault(t->error, file, line, "%s=%.*s: expected %s", s->key,
                              shown_length(value, 200), value,
                              setting_expected(s, expected, sizeof(expected)));
}

/* --- [Settings] --- */

static void remove_free_setting(PoolSettings *p, unsigned i)
{
        free(p->free[i].key);
        free(p->free[i].value);
        p->n_free--;
        memmove(&p->free[i], &p->free[i + 1], (p->n_free - i) * sizeof(*p->free));
}

static int add_free_setting(PoolSettings *p, const char *key, const char *value)
{
        FreeSetting *grown = realloc(p->free, (p->n_free + 1) * sizeof(*grown));
        AUTO(free) char *k = strdup(key), *v = strdup(value);

        if (grown)
                p->free = grown;
        if (!grown || !k || !v)
                return -ENOMEM;
        p->free[p->n_free++] = (FreeSetting){ MOVE_PTR(k), MOVE_PTR(v) };
        return 0;
}

/* The last one of a key stays, and nothing of it if that is empty. */
static int set_free_setting(PoolSettings *p, const char *key, const char *value)
{
        for (unsigned i = 0; i < p->n_free; i++)
                if (strcmp(p->free[i].key, key) == 0) {
                        remove_free_setting(p, i);
                        break;
                }
        return *value ? add_free_setting(p, key, value) : 0;
}

/* --- [Semaphores] --- */

enum { LONGEST_SEMAPHORE_NAME = 64, LARGEST_SEMAPHORE = 1000000 };

static void remove_semaphore(Settings *s, unsigned i)
{
        free(s->semaphores[i].name);
        s->n_semaphores--;
        memmove(&s->semaphores[i], &s->semaphores[i + 1],
                (s->n_semaphores - i) * sizeof(*s->semaphores));
}

static int add_semaphore(Settings *s, const char *name, uint64_t size)
{
        SemaphoreSetting *grown = realloc(s->semaphores, (s->n_semaphores + 1) * sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        s->semaphores = grown;
        grown[s->n_semaphores] = (SemaphoreSetting){ strdup(name), size };
        if (!grown[s->n_semaphores].name)
                return -ENOMEM;
        s->n_semaphores++;
        return 0;
}

/* NAME=SIZE; the last one of a name stays, and nothing of it if that is empty. */
static int set_semaphore(const Target *t, const char *file, int line, const char *name,
                         const char *value)
{
        Settings *s = t->daemon;
        uint64_t size = 0;

        if (strlen(name) > LONGEST_SEMAPHORE_NAME)
                return settings_fault(t->error, file, line,
                                      "the name of a semaphore has at most %d characters",
                                      LONGEST_SEMAPHORE_NAME);
        if (*value && (parse_u64(value, &size) < 0 || size < 1 || size > LARGEST_SEMAPHORE))
                return settings_fault(t->error, file, line,
                                      "%s=%.*s: expected how many jobs may hold it, 1 to %d", name,
                                      shown_length(value, 200), value, LARGEST_SEMAPHORE);
        for (unsigned i = 0; i < s->n_semaphores; i++)
                if (strcmp(s->semaphores[i].name, name) == 0) {
                        remove_semaphore(s, i);
                        break;
                }
        return *value ? add_semaphore(s, name, size) : 0;
}

/* --- one assignment --- */

static int set_row(const Target *t, unsigned row, const char *file, int line, const char *value)
{
        const Setting *s = &t->table[row];
        bool reset = !*value && !s->type->empty;
        int r;

        if (reset)
                r = setting_reset(s, t->settings);
        else
                r = setting_parse(s, *value ? value : s->type->empty, t->settings);
        if (r < 0)
                return r == -ENOMEM ? r : wrong_value(t, file, line, s, value);
        if (t->lines)
                t->lines[row] = reset ? 0 : line;
        return 0;
}

static int on_assign(void *userdata, const char *file, int line, const char *section,
                     const char *key, const char *value)
{
        Target *t = userdata;

        if (!*section)
                return settings_fault(t->error, file, line, "expected a [Section] before '%.*s='",
                                      shown_length(key, 100), key);
        if (t->pool && strcmp(section, "Settings") == 0)
                return set_free_setting(t->pool, key, value);
        if (t->daemon && strcmp(section, "Semaphores") == 0)
                return set_semaphore(t, file, line, key, value);
        for (unsigned i = 0; i < t->n; i++)
                if (strcmp(t->table[i].section, section) == 0 && strcmp(t->table[i].key, key) == 0)
                        return set_row(t, i, file, line, value);
        return unknown_key(t, file, line, section, key);
}

static int read_target(Target *t, const char *file)
{
        IniReader reader = { t, on_section, on_assign, t->error };

        return ini_read(file, &reader);
}

/* --- directories --- */

static bool ends_with(const char *name, const char *suffix)
{
        size_t n = strlen(name), k = strlen(suffix);

        return n > k && strcmp(name + n - k, suffix) == 0;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void directory_close_cleanup(DIR **d)
{
        if (*d)
                (void)closedir(*d);
}

/* The sorted names in a directory that end with the suffix and are not hidden; a directory that is
 * not there is empty. */
static int list_directory(const char *path, const char *suffix, char ***ret, SettingsError *error)
{
        AUTO(directory_close) DIR *d = opendir(path);
        AUTO(words_free) char **names = NULL;
        struct dirent *e;

        *ret = NULL;
        if (!d && errno == ENOENT)
                return 0;
        if (!d)
                return settings_fault(error, path, 0, "cannot be read: %s", strerror(errno));
        while ((e = readdir(d)))
                if (e->d_name[0] != '.' && ends_with(e->d_name, suffix) &&
                    words_append(&names, strdup(e->d_name)) < 0)
                        return -ENOMEM;
        if (names)
                qsort(names, words_count(names), sizeof(*names), by_name);
        *ret = MOVE_PTR(names);
        return 0;
}

/* DIRECTORY/NAME; NULL if memory ran out. */
static char *join(const char *directory, const char *name)
{
        char *path;

        return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

/* --- brood.conf --- */

/* The last place counts. */
static int remember_place(SettingPlace *place, const char *file, int line)
{
        char *copy;

        if (!line)
                return 0;
        copy = strdup(file);
        if (!copy)
                return -ENOMEM;
        free(place->file);
        *place = (SettingPlace){ copy, line };
        return 0;
}

static int read_daemon_file(Settings *s, const char *directory, const char *name,
                            SettingsError *error)
{
        AUTO(free) char *path = join(directory, name);
        int lines[N_DAEMON_SETTINGS] = { 0 };
        Target t = { daemon_settings, N_DAEMON_SETTINGS, s, .daemon = s, .lines = lines,
                     .error = error };
        int r = path ? read_target(&t, path) : -ENOMEM;

        if (r == 0)
                r = remember_place(&s->watchdog_place, path, lines[DAEMON_ROW_watchdog_pool]);
        if (r == 0)
                r = remember_place(&s->pool_user_place, path, lines[DAEMON_ROW_pool_user]);
        return r == -ENOENT ? 0 : r;
}

static int read_daemon(Settings *s, SettingsError *error)
{
        AUTO(free) char *more = join(s->directory, "brood.conf.d");
        AUTO(words_free) char **names = NULL;
        int r = more ? read_daemon_file(s, s->directory, "brood.conf", error) : -ENOMEM;

        if (r == 0)
                r = list_directory(more, ".conf", &names, error);
        for (char **name = names; r == 0 && name && *name; name++)
                r = read_daemon_file(s, more, *name, error);
        return r;
}

/* --- pools --- */

static bool pool_name_valid(const char *name, size_t n)
{
        if (n == 0 || n > LONGEST_POOL_NAME)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
                        return false;
        return true;
}

static void pool_fini(PoolSettings *p)
{
        for (unsigned i = 0; i < N_POOL_SETTINGS; i++)
                setting_fini(&pool_settings[i], p);
        while (p->n_free)
                remove_free_setting(p, p->n_free - 1);
        free(p->free);
        identity_fini(&p->identity);
        words_free(p->file_environment);
        free(p->denied_file);
        free(p->lines);
        free(p->name);
        free(p->file);
}

/* Appends a pool with all defaults. */
static int add_pool(Settings *s, const char *file, const char *name, size_t name_length)
{
        PoolSettings *grown = realloc(s->pools, (s->n_pools + 1) * sizeof(*grown)), *p;

        if (!grown)
                return -ENOMEM;
        s->pools = grown;
        p = &s->pools[s->n_pools++];
        *p = (PoolSettings){ .file = strdup(file), .name = strndup(name, name_length),
                             .lines = calloc(N_POOL_SETTINGS, sizeof(*p->lines)) };
        if (!p->file || !p->name || !p->lines)
                return -ENOMEM;
        for (unsigned i = 0; i < N_POOL_SETTINGS; i++)
                if (setting_reset(&pool_settings[i], p) < 0)
                        return -ENOMEM;
        return 0;
}

static int read_pool(Settings *s, const char *directory, const char *name, SettingsError *error)
{
        AUTO(free) char *file = join(directory, name);
        size_t n = strlen(name) - strlen(".pool");
        Target t = { pool_settings, N_POOL_SETTINGS, .error = error };
        int r;

        if (!file)
                return -ENOMEM;
        if (!pool_name_valid(name, n))
                return settings_fault(error, file, 0,
                                      "the name of a pool: expected 1 to %d of A-Z a-z 0-9 _ -",
                                      LONGEST_POOL_NAME);
        r = add_pool(s, file, name, n);
        if (r < 0)
                return r;
        t.settings = t.pool = &s->pools[s->n_pools - 1];
        t.lines = t.pool->lines;
        r = read_target(&t, file);
        if (r == -ENOENT) /* a link to nowhere */
                return settings_fault(error, file, 0, "cannot be read: %s", strerror(ENOENT));
        if (r == 0 && s->pool_user && !t.pool->user) {
                t.pool->user = strdup(s->pool_user);
                t.pool->pool_user = &s->pool_user_place;
                r = t.pool->user ? 0 : -ENOMEM;
        }
        return r < 0 ? r : check_pool(t.pool, error);
}

static int read_pools(Settings *s, SettingsError *error)
{
        AUTO(free) char *directory = join(s->directory, "pools");
        AUTO(words_free) char **names = NULL;
        int r = directory ? list_directory(directory, ".pool", &names, error) : -ENOMEM;

        for (char **name = names; r == 0 && name && *name; name++)
                r = read_pool(s, directory, *name, error);
        if (r == 0)
                r = check_pools(s, error);
        return r < 0 ? r : check_watchdog(s, error);
}

/* --- all of it --- */

static int settings_new(Settings **ret, const char *directory)
{
        AUTO(settings_free) Settings *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->directory = strdup(directory);
        if (!s->directory)
                return -ENOMEM;
        for (unsigned i = 0; i < N_DAEMON_SETTINGS; i++)
                if (setting_reset(&daemon_settings[i], s) < 0)
                        return -ENOMEM;
        *ret = MOVE_PTR(s);
        return 0;
}

int settings_read(Settings **ret, const char *directory, bool optional, SettingsError *error)
{
        AUTO(settings_free) Settings *s = NULL;
        AUTO(directory_close) DIR *d = opendir(directory);
        int r;

        if (!d && !(optional && errno == ENOENT))
                return settings_fault(error, directory, 0, "cannot be read: %s", strerror(errno));
        r = settings_new(&s, directory);
        if (r == 0)
                r = read_daemon(s, error);
        if (r == 0)
                r = read_pools(s, error);
        if (r < 0)
                return r;
        *ret = MOVE_PTR(s);
        return 0;
}

void settings_free(Settings *s)
{
        if (!s)
                return;
        for (unsigned i = 0; i < N_DAEMON_SETTINGS; i++)
                setting_fini(&daemon_settings[i], s);
        for (unsigned i = 0; i < s->n_pools; i++)
                pool_fini(&s->pools[i]);
        free(s->pools);
        while (s->n_semaphores)
                remove_semaphore(s, s->n_semaphores - 1);
        free(s->semaphores);
        free(s->directory);
        free(s->watchdog_place.file);
        free(s->pool_user_place.file);
        free(s);
}

static bool free_settings_equal(const PoolSettings *a, const PoolSettings *b)
{
        if (a->n_free != b->n_free)
                return false;
        for (unsigned i = 0; i < a->n_free; i++)
                if (strcmp(a->free[i].key, b->free[i].key) != 0 ||
                    strcmp(a->free[i].value, b->free[i].value) != 0)
                        return false;
        return true;
}

/* Limits of the pool as a whole, which workers that live get too. */
static bool of_the_cgroup(unsigned row)
{
        return row == POOL_ROW_memory_max || row == POOL_ROW_tasks_max ||
               row == POOL_ROW_cpu_weight;
}

bool pool_settings_same_process(const PoolSettings *a, const PoolSettings *b)
{
        static const unsigned rows[] = {
                POOL_ROW_handlers,     POOL_ROW_module,      POOL_ROW_command, POOL_ROW_builtin,
                POOL_ROW_start_method, POOL_ROW_concurrency, POOL_ROW_slots,   POOL_ROW_output_max,
                POOL_ROW_log_output,
        };

        for (size_t i = 0; i < ELEMENTS(rows); i++)
                if (!setting_equal(&pool_settings[rows[i]], a, b))
                        return false;
        for (unsigned i = 0; i < N_POOL_SETTINGS; i++)
                if (strcmp(pool_settings[i].section, "Process") == 0 && !of_the_cgroup(i) &&
                    !setting_equal(&pool_settings[i], a, b))
                        return false;
        return strcmp(a->name, b->name) == 0 && free_settings_equal(a, b) &&
               identity_equal(&a->identity, &b->identity) &&
               words_equal(a->file_environment, b->file_environment);
}

json_t *pool_free_settings(const PoolSettings *s)
{
        json_t *object = json_object();

        for (unsigned i = 0; object && i < s->n_free; i++)
                if (json_object_set_new(object, s->free[i].key, json_string(s->free[i].value)) <
                    0) {
                        json_decref(object);
                        return NULL;
                }
        return object;
}

int settings_line_of(const PoolSettings *p, const char *why)
{
        for (unsigned i = 0; i < N_POOL_SETTINGS; i++) {
                size_t n = strlen(pool_settings[i].key);

                if (p->lines[i] && strncmp(why, pool_settings[i].key, n) == 0 && why[n] == '=')
                        return p->lines[i];
        }
        return p->handlers_line ? p->handlers_line : p->source_line;
}

static const char *word_of(const Setting *s, unsigned value)
{
        return s->type->words[value - s->type->first_word];
}

const char *start_method_name(StartMethod m)
{
        return word_of(&pool_settings[POOL_ROW_start_method], m);
}

const char *concurrency_name(Concurrency c)
{
        return word_of(&pool_settings[POOL_ROW_concurrency], c);
}

const char *scaling_name(Scaling s)
{
        return word_of(&pool_settings[POOL_ROW_scaling], s);
}

/* SPDX-License-Identifier: MIT */

#include "pool/preparation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "ops/log.h"
#include "settings/table.h"

DEFINE_FINI(Preparation, preparation_fini);

/* What a worker gets of the daemon's environment without being asked. */
static const char *const passed[] = {
        "PATH", "LANG", "LD_LIBRARY_PATH",
#ifdef __SANITIZE_ADDRESS__
        "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
#endif
};

static bool add_variable(char **list, const char *text)
{
        size_t i = 0, name = strcspn(text, "=");

        while (list[i] && !(strncmp(list[i], text, name) == 0 && list[i][name] == '='))
                i++;
        free(list[i]);
        list[i] = strdup(text);
        return list[i] != NULL;
}

static bool name_variable(char **list, const char *name, const char *value)
{
        char *text;
        bool good;

        if (!value)
                return true;
        if (asprintf(&text, "%s=%s", name, value) < 0)
                return false;
        good = add_variable(list, text);
        free(text);
        return good;
}

static bool pass_variable(char **list, const char *name)
{
        return name_variable(list, name, getenv(name));
}

static size_t count(char *const *texts)
{
        size_t n = 0;

        while (texts && texts[n])
                n++;
        return n;
}

static bool add_passed(char **list)
{
        bool good = add_variable(list, "PATH=/usr/local/bin:/usr/bin:/bin");

        for (size_t i = 0; good && i < ELEMENTS(passed); i++)
                good = pass_variable(list, passed[i]);
        return good;
}

static bool add_user(char **list, const Identity *who)
{
        return name_variable(list, "USER", who->name) &&
               name_variable(list, "LOGNAME", who->name) &&
               name_variable(list, "HOME", who->home) && name_variable(list, "SHELL", who->shell);
}

/* The whole environment, in the order of systemd: what comes later wins. */
static char **environment(const PoolSettings *s)
{
        size_t n = ELEMENTS(passed) + 4 + count(s->pass_environment) + count(s->environment) +
                   count(s->file_environment) + 2;
        char **list = calloc(n, sizeof(*list));
        bool good = list && add_passed(list) && add_user(list, &s->identity);

        for (char **name = s->pass_environment; good && name && *name; name++)
                good = pass_variable(list, *name);
        for (char **text = s->environment; good && text && *text; text++)
                good = add_variable(list, *text);
        for (char **text = s->file_environment; good && text && *text; text++)
                good = add_variable(list, *text);
        if (good)
                return list;
        texts_free(list);
        return NULL;
}

int pool_plain_environment(char ***ret)
{
        char **list = calloc(ELEMENTS(passed) + 2, sizeof(*list));

        if (list && add_passed(list)) {
                *ret = list;
                return 0;
        }
        texts_free(list);
        return -ENOMEM;
}

int pool_forker_environment(const PoolSettings *s, char ***ret)
{
        *ret = NULL;
        return identity_is_ours(&s->identity) ? 0 : pool_plain_environment(ret);
}

static json_t *limits(const PoolSettings *s)
{
        json_t *all = json_object();

        for (unsigned row = 0; all && row < N_POOL_SETTINGS; row++) {
                const Limit *limit = (const void *)((const char *)s + pool_settings[row].offset);
                json_t *pair;

                if (strncmp(pool_settings[row].key, "Limit", 5) != 0 || !limit->set)
                        continue;
                pair = json_pack("[I,I]", (json_int_t)limit->soft, (json_int_t)limit->hard);
                if (json_object_set_new(all, pool_settings[row].key, pair) < 0) {
                        json_decref(all);
                        return NULL;
                }
        }
        return all;
}

static char *copy(const char *text, bool *good)
{
        char *c = text ? strdup(text) : NULL;

        *good &= !text || c;
        return c;
}

static char **copies(char *const *texts, bool *good)
{
        char **c = texts_copy(texts);

        *good &= !texts || c;
        return c;
}

static uint64_t number(int64_t n, int64_t plus)
{
        return n == SETTING_UNSET_NUMBER ? PREPARATION_UNSET : (uint64_t)(n + plus);
}

/* As whom, where, and with how much. */
static void prepare_attributes(Preparation *p, const PoolSettings *s, bool *good)
{
        const Identity *who = &s->identity;

        p->environment = environment(s);
        p->user = copy(who->name, good);
        if (!identity_is_ours(who)) {
                p->uid = who->uid == IDENTITY_OURS ? PREPARATION_UNSET : who->uid;
                p->gid = who->gid == IDENTITY_OURS ? PREPARATION_UNSET : who->gid;
                p->groups = copies(who->groups, good);
                if (who->name && !who->groups) { /* none: those of the daemon go */
                        p->groups = calloc(1, sizeof(*p->groups));
                        *good &= p->groups != NULL;
                }
        }
        p->root_directory = copy(s->root_directory, good);
        p->working_directory = s->working_directory && strcmp(s->working_directory, "~") == 0
                                       ? copy(who->home, good)
                                       : copy(s->working_directory, good);
        p->umask = s->umask;
        p->nice = number(s->nice, 20);
        p->oom_score_adjust = number(s->oom_score_adjust, 1000);
        p->limits = limits(s);
        p->no_new_privileges = s->no_new_privileges;
        *good &= p->environment && p->limits;
}

int pool_preparation(const PoolSettings *s, const Settings *daemon, uint64_t nofile_soft)
{
        AUTO(preparation_fini) Preparation p;
        bool good = true;

        preparation_init(&p);
        p.pool = copy(s->name, &good);
        p.module = copy(s->module, &good);
        p.builtin = copy(s->builtin, &good);
        p.command = copies(s->command, &good);
        p.handlers = copies(s->handlers, &good);
        p.spawn = s->start_method == START_SPAWN;
        p.concurrency = copy(concurrency_name(s->concurrency), &good);
        p.slots = s->slots;
        p.kill_after_usec = s->kill_after;
        p.output_max = s->output_max;
        p.journal = s->log_output && log_is_journal();
        p.max_message = daemon->max_message_size;
        p.limit_nofile_soft = nofile_soft;
        prepare_attributes(&p, s, &good);
        p.settings = pool_free_settings(s);
        if (!good || !p.settings)
                return -ENOMEM;
        return preparation_write(&p);
}

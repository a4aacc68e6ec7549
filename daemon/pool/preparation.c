/* SPDX-License-Identifier: MIT */

#include "pool/preparation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"

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

static bool pass_variable(char **list, const char *name)
{
        const char *value = getenv(name);
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

static size_t count(char *const *texts)
{
        size_t n = 0;

        while (texts && texts[n])
                n++;
        return n;
}

/* The whole environment: what is passed, then what the pool says, which wins. */
static char **environment(const PoolSettings *s)
{
        size_t n = ELEMENTS(passed) + count(s->pass_environment) + count(s->environment) + 2;
        char **list = calloc(n, sizeof(*list));
        bool good = list != NULL;

        for (size_t i = 0; good && i < ELEMENTS(passed); i++)
                good = pass_variable(list, passed[i]);
        for (char **name = s->pass_environment; good && name && *name; name++)
                good = pass_variable(list, *name);
        for (char **text = s->environment; good && text && *text; text++)
                good = add_variable(list, *text);
        if (good && !getenv("PATH") && list[0] == NULL)
                good = add_variable(list, "PATH=/usr/local/bin:/usr/bin:/bin");
        if (good)
                return list;
        texts_free(list);
        return NULL;
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
        p.slots = s->slots;
        p.kill_after_usec = s->kill_after;
        p.output_max = s->output_max;
        p.max_message = daemon->max_message_size;
        p.environment = environment(s);
        p.working_directory = copy(s->working_directory, &good);
        p.umask = s->umask;
        p.nice = (uint64_t)(s->nice + 20);
        p.limit_nofile = s->limit_nofile;
        p.limit_nofile_soft = nofile_soft;
        p.limit_as = s->limit_as;
        p.limit_cpu = s->limit_cpu == SETTING_UNSET
                              ? PREPARATION_UNSET
                              : (s->limit_cpu + USEC_PER_SEC - 1) / USEC_PER_SEC;
        p.limit_core = s->limit_core;
        p.no_new_privileges = s->no_new_privileges;
        p.settings = pool_free_settings(s);
        if (!good || !p.environment || !p.settings)
                return -ENOMEM;
        return preparation_write(&p);
}

/* SPDX-License-Identifier: MIT */

#include "reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/pending.h"
#include "ops/log.h"
#include "ops/message_ids.h"
#include "pool/forker.h"
#include "process/preparation.h"
#include "settings/rights.h"

/* --- configs that are out of force --- */

static bool in_use(const Supervisor *s, const Settings *settings)
{
        const Pool *pool;

        LIST_FOREACH(&s->pools.pools, pool, link)
                if (pool->settings >= settings->pools &&
                    pool->settings < settings->pools + settings->n_pools)
                        return true;
        return false;
}

void reload_sweep(Supervisor *s)
{
        for (unsigned i = 0; i < s->n_old;)
                if (in_use(s, s->old[i])) {
                        i++;
                } else {
                        settings_free(s->old[i]);
                        s->old[i] = s->old[--s->n_old];
                }
}

static void put_aside(Supervisor *s, Settings *settings)
{
        Settings **old = realloc(s->old, (s->n_old + 1) * sizeof(*old));

        if (!old)
                return; /* kept for good: better than freed while it is used */
        s->old = old;
        s->old[s->n_old++] = settings;
        reload_sweep(s);
}

/* --- the end of a try --- */

void reload_log_error(const SettingsError *error, const char *consequence)
{
        const LogFields fields = { .id = MESSAGE_CONFIG_REFUSED,
                                   .file = error->file,
                                   .line = error->line };

        if (error->line)
                log_event(&fields, LEVEL_ERROR, "%s:%d: %s%s", error->file, error->line,
                          error->message, consequence);
        else
                log_event(&fields, LEVEL_ERROR, "%s: %s%s", error->file, error->message,
                          consequence);
}

static void answer(Supervisor *s, const SettingsError *error)
{
        VarlinkCall *call;

        announce_reloaded(s, error);
        while ((call = pending_take(&s->reload_calls)))
                if (error)
                        api_error_config(call, error->file, error->line, error->message);
                else
                        varlink_reply_empty(call);
}

static PoolSettings *find_settings(const Settings *settings, const char *name)
{
        for (unsigned i = 0; i < settings->n_pools; i++)
                if (strcmp(settings->pools[i].name, name) == 0)
                        return &settings->pools[i];
        return NULL;
}

static void reject(Supervisor *s, const SettingsError *error)
{
        Settings *candidate = s->candidate;
        Pool *pool;

        reload_log_error(error, s->settings ? "; the config in force stays" : "");
        s->candidate = NULL;
        LIST_FOREACH(&s->pools.pools, pool, link) {
                pool_abandon(pool);
                if (pool->epoch && !list_empty(&pool->restart_calls))
                        (void)pool_change(pool,
                                          pool->settings); /* a restart that went along with it */
                if (!s->settings || !find_settings(s->settings, pool->core->name)) {
                        pool->removed = true; /* it was made, or called back, for this config */
                        pool_touch(pool);
                }
        }
        put_aside(s, candidate);
        answer(s, error);
        if (s->lifecycle.phase == PHASE_STARTING)
                lifecycle_stop(s, "the config can not be used", true, 1);
}

/* Those that the config does not have (any more) have size 0: who names one waits. */
static void semaphores_take_effect(Supervisor *s)
{
        CoreSemaphore *one;

        LIST_FOREACH(&s->core.semaphores, one, link)
                if (!one->of_user)
                        one->size = 0;
        for (unsigned i = 0; i < s->settings->n_semaphores; i++) {
                const SemaphoreSetting *setting = &s->settings->semaphores[i];

                one = core_semaphore(&s->core, setting->name);
                if (one)
                        one->size = setting->size;
                else
                        log_error("no memory for the semaphore %s", setting->name);
        }
}

static void limits_take_effect(Supervisor *s)
{
        const CoreLimits limits = { .max_queued = s->settings->max_queued,
                                    .max_bytes = s->settings->max_bytes,
                                    .keep = s->settings->keep_finished,
                                    .keep_max = s->settings->keep_finished_max,
                                    .keep_bytes = s->settings->keep_finished_bytes,
                                    .large = s->settings->large_payload,
                                    .user = { s->settings->user_max_queued,
                                              s->settings->user_max_bytes,
                                              s->settings->user_max_running,
                                              s->settings->user_max_rate },
                                    .own_uid = geteuid() };
        bool opened;

        core_set_limits(&s->core, &limits);
        semaphores_take_effect(s);
        opened = listener_open_to_all(&s->listener, access_names_anybody(s->settings));
        api_settings_changed(&s->api, s->settings, opened);
        metrics_http_listen(&s->metrics, s->settings->metrics_listen);
        log_set_level(s->options.log_level ? s->options.log_level : (int)s->settings->log_level);
        s->pools.settings = s->settings;
}

/* A handler that no pool of the config serves is nobody's. */
static void unbind_handlers(Supervisor *s)
{
        CoreHandler *h;

        LIST_FOREACH(&s->core.handlers, h, link)
                core_bind_handler(&s->core, h, NULL);
}

/* Of a handler that nobody serves now, workers that come to serve it later have to be new. */
static void forget_homes(Supervisor *s)
{
        CoreHandler *h;

        LIST_FOREACH(&s->core.handlers, h, link)
                if (!h->pool)
                        h->home = NULL;
}

static void accept_candidate(Supervisor *s)
{
        Settings *old = s->settings;
        Pool *pool;

        s->settings = s->candidate;
        s->candidate = NULL;
        limits_take_effect(s);
        unbind_handlers(s);
        LIST_FOREACH(&s->pools.pools, pool, link) {
                PoolSettings *mine = find_settings(s->settings, pool->core->name);

                if (!mine) {
                        pool->removed = true;
                        pool_touch(pool);
                } else if (pool->change == CHANGE_FORKER) {
                        pool_commit(pool, mine);
                } else {
                        pool_adopt(pool, mine);
                        (void)pool_bind_handlers(pool);
                }
        }
        forget_homes(s);
        if (old)
                put_aside(s, old);
        answer(s, NULL);
        if (s->lifecycle.phase == PHASE_STARTING)
                lifecycle_run(s);
        else
                log_event(LOG_FIELDS(.id = MESSAGE_RELOADED), LEVEL_NOTICE, "reloaded: %u pool%s",
                          s->settings->n_pools, PLURAL(s->settings->n_pools));
}

/* --- while fork servers start --- */

static bool undecided(const Supervisor *s)
{
        const Pool *pool;

        LIST_FOREACH(&s->pools.pools, pool, link)
                if (pool->change == CHANGE_FORKER && !pool->next_forker->ready)
                        return true;
        return false;
}

/* The handlers that a pool will serve under the candidate: a list, or lines. */
typedef struct Offer {
        char *const *names;
        const char *lines;
} Offer;

static Offer offer_of(const Pool *pool, const PoolSettings *mine)
{
        if (mine->handlers)
                return (Offer){ mine->handlers, NULL };
        if (pool->next_forker)
                return (Offer){ NULL, pool->next_forker->handlers };
        return (Offer){ pool->handlers, NULL };
}

static bool has_line(const char *lines, const char *name)
{
        size_t n = strlen(name);

        for (; lines && *lines; lines = strchr(lines, '\n') + 1)
                if (strncmp(lines, name, n) == 0 && lines[n] == '\n')
                        return true;
        return false;
}

static bool has_name(char *const *names, const char *name)
{
        for (; names && *names; names++)
                if (strcmp(*names, name) == 0)
                        return true;
        return false;
}

/* A handler that both serve, copied into name; false: there is none. */
static bool share(Offer a, Offer b, char *name, size_t size)
{
        const char *line = a.lines;

        for (char *const *n = a.names; n && *n; n++)
                if (has_name(b.names, *n) || has_line(b.lines, *n)) {
                        (void)snprintf(name, size, "%s", *n);
                        return true;
                }
        for (; line && *line; line = strchr(line, '\n') + 1) {
                (void)snprintf(name, size, "%.*s", (int)strcspn(line, "\n"), line);
                if (has_name(b.names, name) || has_line(b.lines, name))
                        return true;
        }
        return false;
}

/* Does another pool serve a handler of this one? */
static const Pool *collision(const Supervisor *s, const Pool *pool, char *name, size_t size)
{
        const PoolSettings *mine = find_settings(s->candidate, pool->core->name);
        const Pool *other;

        LIST_FOREACH(&s->pools.pools, other, link) {
                const PoolSettings *theirs = find_settings(s->candidate, other->core->name);

                if (other != pool && theirs &&
                    share(offer_of(pool, mine), offer_of(other, theirs), name, size))
                        return other;
        }
        return NULL;
}

/* Who names its handlers is told, before who takes all of its module's. */
static bool find_collision(const Supervisor *s, bool named, SettingsError *error)
{
        const Pool *pool, *other;
        char name[128];

        LIST_FOREACH(&s->pools.pools, pool, link) {
                const PoolSettings *mine = find_settings(s->candidate, pool->core->name);

                if (!mine || named != (mine->handlers != NULL))
                        continue;
                other = collision(s, pool, name, sizeof(name));
                if (!other)
                        continue;
                (void)snprintf(error->file, sizeof(error->file), "%s", mine->file);
                error->line = mine->handlers_line ? mine->handlers_line : mine->source_line;
                (void)snprintf(error->message, sizeof(error->message),
                               "handler '%s' is served by pool %s too: each belongs to one pool "
                               "(Handlers=)",
                               name, other->core->name);
                return true;
        }
        return false;
}

static bool find_failure(const Supervisor *s, SettingsError *error)
{
        const Pool *pool;

        LIST_FOREACH(&s->pools.pools, pool, link) {
                const PoolSettings *mine = find_settings(s->candidate, pool->core->name);

                if (!mine || !pool->change_error || pool->change != CHANGE_NONE)
                        continue;
                (void)snprintf(error->file, sizeof(error->file), "%s", mine->file);
                error->line = settings_line_of(mine, pool->change_error);
                (void)snprintf(error->message, sizeof(error->message), "%s", pool->change_error);
                return true;
        }
        return false;
}

static void decide(Supervisor *s)
{
        SettingsError error = { 0 };

        if (find_failure(s, &error))
                reject(s, &error);
        else if (undecided(s))
                return;
        else if (find_collision(s, true, &error) || find_collision(s, false, &error))
                reject(s, &error);
        else
                accept_candidate(s);
}

void reload_decided(Pools *pools, Pool *pool)
{
        Supervisor *s = CONTAINER_OF(pools, Supervisor, pools);

        s->dirty = true;
        if (s->candidate)
                return; /* settle asks decide() */
        if (pool->change == CHANGE_FORKER && pool->next_forker->ready)
                pool_commit(pool, pool->settings); /* a restart */
}

static int try_pool(Supervisor *s, PoolSettings *mine)
{
        Pool *pool = pools_find(&s->pools, slice_of(mine->name));
        int r = 0;

        if (pool && !pool->removed && pool->epoch &&
            pool_settings_same_process(pool->settings, mine)) {
                free(pool->change_error);
                pool->change_error = NULL;
                return 0;
        }
        if (!pool)
                r = pool_new(&pool, &s->pools, mine);
        else
                pool->removed = false; /* it was going; now it stays, with new workers */
        return r < 0 ? r : pool_change(pool, mine);
}

void reload_try(Supervisor *s, Settings *candidate)
{
        SettingsError error = { 0 };

        s->candidate = candidate;
        s->dirty = true;
        if (!s->pools.settings)
                s->pools.settings =
                        candidate; /* the first one: limits of messages are asked for early */
        for (unsigned i = 0; i < candidate->n_pools; i++) {
                int r = try_pool(s, &candidate->pools[i]);

                if (r < 0) {
                        (void)snprintf(error.file, sizeof(error.file), "%s",
                                       candidate->pools[i].file);
                        (void)snprintf(error.message, sizeof(error.message),
                                       "the pool's fork server can not be started: %s",
                                       strerror(-r));
                        reject(s, &error);
                        return;
                }
        }
}

static void begin_reload(Supervisor *s)
{
        SettingsError error = { 0 };
        Settings *candidate = NULL;

        s->reload_wanted = false;
        announce_reload(s);
        list_splice(&s->reload_calls, &s->next_reload_calls);
        if (settings_read(&candidate, s->options.config, s->options.config_optional, &error) < 0 ||
            settings_check_rights(candidate, &error) < 0) {
                settings_free(candidate);
                reload_log_error(&error, "; the config in force stays");
                answer(s, &error);
                return;
        }
        reload_try(s, candidate);
}

void reload_step(Supervisor *s)
{
        if (s->candidate)
                decide(s);
        if (s->reload_wanted && !s->candidate && s->lifecycle.phase >= PHASE_RUNNING &&
            s->lifecycle.phase < PHASE_FINISH)
                begin_reload(s);
        if (s->n_old)
                reload_sweep(s);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* The configuration, read and checked: brood.conf, brood.conf.d/ and pools/ of one directory.
 *
 * The structs are made from config/settings.def. A value that is "not set" in the table is NULL, or
 * SETTING_UNSET for numbers. Everything belongs to the Settings. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include <jansson.h>

#include "settings/identity.h"
#include "settings/principals.h"

#define SETTING_UNSET UINT64_MAX /* also what "infinity" is kept as: no limit of ours */
#define SETTING_UNSET_NUMBER INT64_MIN /* of a NUMBER, which may be -1 */

typedef enum LogLevel { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO,
                        LOG_LEVEL_DEBUG } LogLevel; /* as in syslog(3) */
typedef enum Durability { DURABILITY_FSYNC, DURABILITY_MEMORY } Durability;
typedef enum StartMethod { START_FORKSERVER, START_SPAWN } StartMethod;
typedef enum Concurrency { CONCURRENCY_PROCESS, CONCURRENCY_THREAD, CONCURRENCY_ASYNC,
                           CONCURRENCY_SUBINTERPRETER } Concurrency;
typedef enum Scaling { SCALING_STATIC, SCALING_DYNAMIC, SCALING_ONDEMAND } Scaling;

/* A limit as setrlimit(2) takes it: "infinity" is RLIM_INFINITY. */
typedef struct Limit {
        uint64_t soft, hard;
        bool set;
} Limit;

/* How each type of the table is kept. */
#define SETTING_C_SPAN usec_t
#define SETTING_C_SIZE uint64_t
#define SETTING_C_COUNT uint64_t
#define SETTING_C_SPAN_OR_OFF usec_t
#define SETTING_C_SIZE_OR_OFF uint64_t
#define SETTING_C_COUNT_OR_OFF uint64_t
#define SETTING_C_NUMBER int64_t
#define SETTING_C_SWITCH bool
#define SETTING_C_PERCENT unsigned
#define SETTING_C_MODE unsigned
#define SETTING_C_TEXT char *
#define SETTING_C_WORDS char **
#define SETTING_C_COMMAND char **
#define SETTING_C_ENVIRONMENT char **
#define SETTING_C_PATHS char **
#define SETTING_C_LIMIT Limit
#define SETTING_C_LIMIT_SECONDS Limit
#define SETTING_C_LIMIT_USEC Limit
#define SETTING_C_LIMIT_NICE Limit
#define SETTING_C_ENDPOINT char *
#define SETTING_C_PRINCIPALS Principals *
#define SETTING_C_LogLevel LogLevel
#define SETTING_C_Durability Durability
#define SETTING_C_StartMethod StartMethod
#define SETTING_C_Concurrency Concurrency
#define SETTING_C_Scaling Scaling

/* One key of a pool's [Settings]. */
typedef struct FreeSetting {
        char *key, *value;
} FreeSetting;

/* Where a setting stands, for messages. */
typedef struct SettingPlace {
        char *file; /* NULL: nowhere */
        int line;
} SettingPlace;

typedef struct PoolSettings {
        char *name;           /* of the file, without .pool */
        char *file;           /* its path */
        int handlers_line;    /* where Handlers= stands, for messages; 0: it does not */
        int source_line;      /* where Module=, Command= or Builtin= stands */
        FreeSetting *free;    /* [Settings], in the order of the file */
        unsigned n_free;
        Identity identity;        /* User=, Group= and SupplementaryGroups=, looked up */
        char **file_environment;  /* what the files of EnvironmentFile= say */
        char *denied_file;        /* the first of them that we may not read; NULL: none */
        int *lines;               /* where each row of the table stands; 0: it does not */
        const SettingPlace *pool_user; /* `user` is of PoolUser=, which stands there; NULL: User= */
#define POOL_SETTING(section, key, type, member, ...) SETTING_C_##type member;
#include "settings.def"
} PoolSettings;

/* One key of [Semaphores]. */
typedef struct SemaphoreSetting {
        char *name;
        uint64_t size;
} SemaphoreSetting;

typedef struct Settings {
#define DAEMON_SETTING(section, key, type, member, ...) SETTING_C_##type member;
#include "settings.def"
        PoolSettings *pools; /* sorted by name */
        unsigned n_pools;
        SemaphoreSetting *semaphores;
        unsigned n_semaphores;
        char *directory;
        SettingPlace watchdog_place, pool_user_place; /* of WatchdogPool= and PoolUser= */
} Settings;

/* Where a config is wrong. */
typedef struct SettingsError {
        char file[512];
        int line; /* 0: the file as a whole */
        char message[512];
} SettingsError;

/* Reads the directory. A missing or empty brood.conf means defaults; a missing directory is an
 * error unless `optional`. Checked here: sections, keys, spellings, ranges, that each pool has
 * exactly one of Module=, Command= and Builtin=, that what it names exists (a module in
 * BROOD_MODULE_PATH or the installed directory, a command as an executable), that Slots= is what
 * Concurrency= can have, that MaxWorkers= allows what Scaling= needs, that no two pools name one
 * handler, and that WatchdogPool= names a pool with one. What a module offers, and can do, is
 * checked later, by loading it. `module` becomes the path that was found, `command[0]` too, both
 * within RootDirectory=; `start_method` of a Command= is START_SPAWN;
 * `spare_workers` is 0 with Scaling=ondemand if it is not set; `handlers` of Builtin=exec defaults
 * to "exec", its max_attempts to 1 and its poison_deaths and breaker_deaths to 0. Users and groups
 * are looked up and files of variables read; what this process may not read or do is said by
 * settings_check_rights() (settings/rights.h), since others
 * may check a config.
 *
 * Returns 0, -ENOMEM, or -EINVAL with *error filled. */
int settings_read(Settings **ret, const char *directory, bool optional, SettingsError *error);
void settings_free(Settings *s);
DEFINE_CLEANUP(Settings, settings_free);

/* [Settings] as an object of strings; NULL if memory ran out. */
json_t *pool_free_settings(const PoolSettings *settings);

/* Is everything that a worker is made from the same in both? (Then a reload keeps the workers.) */
bool pool_settings_same_process(const PoolSettings *a, const PoolSettings *b);

/* The line of the setting that the words of a failure begin with (KEY=), or else of the pool's
 * source. */
int settings_line_of(const PoolSettings *pool, const char *why);

/* The names of the values of the enums, as the config and the interface spell them. */
const char *start_method_name(StartMethod m);
const char *concurrency_name(Concurrency c);
const char *scaling_name(Scaling s);

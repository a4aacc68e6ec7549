/* SPDX-License-Identifier: MIT */
#pragma once

/* One setting: how the value of its type is read, kept, compared and freed. */

#include "settings/settings.h"

typedef struct Setting Setting;

typedef struct SettingType {
        /* Returns 0, -EINVAL or -ERANGE (the old value stays), or -ENOMEM. */
        int (*parse)(const Setting *setting, const char *text, void *to);
        void (*unset)(void *place); /* frees it and makes it "not set" */
        bool (*equal)(const void *a, const void *b);
        const char *noun;          /* what is expected: "a whole number" */
        const char *empty;         /* what an assignment to nothing means; NULL: the default */
        void (*write_bound)(int64_t bound, char *to, size_t size); /* NULL: has no bounds */
        /* What is wrong with the text that was refused, in place of "expected" and the noun; NULL:
         * that says it. */
        void (*explain)(const char *text, char *to, size_t size);
        const char *const *words;  /* of an enum; ended by NULL */
        unsigned first_word;       /* the value of words[0] */
} SettingType;

/* One row of config/settings.def. */
struct Setting {
        const char *section, *key;
        const SettingType *type;
        size_t offset;             /* in Settings or PoolSettings */
        const char *fallback;      /* the default; NULL: not set */
        int64_t minimum, maximum;
        const char *help;
};

/* Reads a value into its place in *settings. Returns as parse does. */
int setting_parse(const Setting *s, const char *text, void *settings);

/* Gives it its default; what was there is freed. Returns 0 or -ENOMEM. */
int setting_reset(const Setting *s, void *settings);

void setting_fini(const Setting *s, void *settings);
bool setting_equal(const Setting *s, const void *a, const void *b);

/* Writes what a value has to be: "a whole number from 0 to 10000"; returns `to`. */
char *setting_expected(const Setting *s, char *to, size_t size);

/* Is it a name that a variable of the environment may have, up to the `=` or the end? */
bool variable_name_valid(const char *text);

/* Puts "NAME=value" into the list, in the place of an earlier one of that name. Returns 0 or
 * -ENOMEM. */
int set_variable(char ***environment, const char *assignment);

extern const SettingType setting_type_SPAN, setting_type_SPAN_OR_OFF, setting_type_SIZE,
        setting_type_SIZE_OR_OFF, setting_type_COUNT, setting_type_COUNT_OR_OFF,
        setting_type_NUMBER, setting_type_SWITCH, setting_type_PERCENT, setting_type_MODE,
        setting_type_TEXT, setting_type_WORDS, setting_type_COMMAND, setting_type_ENVIRONMENT,
        setting_type_PATHS, setting_type_LIMIT, setting_type_LIMIT_SECONDS,
        setting_type_LIMIT_USEC, setting_type_LIMIT_NICE, setting_type_PRINCIPALS,
        setting_type_ENDPOINT,
        setting_type_LogLevel, setting_type_Durability, setting_type_StartMethod,
        setting_type_Concurrency, setting_type_Scaling;

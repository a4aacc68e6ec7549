/* SPDX-License-Identifier: MIT */

#include "settings/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/macros.h"
#include "base/parse.h"
#include "settings/endpoint.h"
#include "settings/words.h"

/* --- numbers of 64 bits --- */

static void unset_u64(void *place)
{
        *(uint64_t *)place = SETTING_UNSET;
}

static bool equal_u64(const void *a, const void *b)
{
        return *(const uint64_t *)a == *(const uint64_t *)b;
}

static int keep_u64(const Setting *s, int r, uint64_t v, uint64_t *to)
{
        if (r < 0)
                return r;
        if (v < (uint64_t)s->minimum || (s->maximum && v > (uint64_t)s->maximum))
                return -ERANGE;
        *to = v;
        return 0;
}

static int parse_span_value(const Setting *s, const char *text, void *to)
{
        usec_t v = 0;
        int r = parse_span(text, &v);

        return keep_u64(s, r, v, to);
}

static int parse_size_value(const Setting *s, const char *text, void *to)
{
        uint64_t v = 0;
        int r = parse_size(text, &v);

        return keep_u64(s, r, v, to);
}

static int parse_count_value(const Setting *s, const char *text, void *to)
{
        uint64_t v = 0;
        int r = parse_u64(text, &v);

        return keep_u64(s, r, v, to);
}

static int parse_number_value(const Setting *s, const char *text, void *to)
{
        int64_t v;
        int r = parse_i64(text, &v);

        if (r < 0)
                return r;
        if ((s->minimum || s->maximum) && (v < s->minimum || v > s->maximum))
                return -ERANGE;
        *(int64_t *)to = v;
        return 0;
}

static void write_number(int64_t bound, char *to, size_t size)
{
        (void)snprintf(to, size, "%" PRId64, bound);
}

static void write_span(int64_t bound, char *to, size_t size)
{
        (void)format_span((usec_t)bound, to, size);
}

static void write_size(int64_t bound, char *to, size_t size)
{
        static const char suffixes[] = "\0KMGT";
        unsigned i = 0;

        while (i < 4 && bound && bound % 1024 == 0) {
                bound /= 1024;
                i++;
        }
        (void)snprintf(to, size, "%" PRId64 "%.1s", bound, suffixes + i);
}

#define SPAN .parse = parse_span_value, .unset = unset_u64, .equal = equal_u64,                    \
             .noun = "a time span (like 5s or 2min)", .write_bound = write_span
#define SIZE .parse = parse_size_value, .unset = unset_u64, .equal = equal_u64,                    \
             .noun = "a size (like 64K or 1M)", .write_bound = write_size
#define COUNT .parse = parse_count_value, .unset = unset_u64, .equal = equal_u64,                  \
              .noun = "a whole number", .write_bound = write_number

const SettingType setting_type_SPAN = { SPAN };
const SettingType setting_type_SPAN_OR_OFF = { SPAN, .empty = "0" };
const SettingType setting_type_SIZE = { SIZE };
const SettingType setting_type_SIZE_OR_OFF = { SIZE, .empty = "0" };
const SettingType setting_type_COUNT = { COUNT };
const SettingType setting_type_COUNT_OR_OFF = { COUNT, .empty = "0" };
static void unset_number(void *place)
{
        *(int64_t *)place = SETTING_UNSET_NUMBER;
}

const SettingType setting_type_NUMBER = {
        .parse = parse_number_value,
        .unset = unset_number,
        .equal = equal_u64,
        .noun = "a whole number",
        .write_bound = write_number,
};

/* --- small ones --- */

static void unset_bool(void *place)
{
        *(bool *)place = false;
}

static bool equal_bool(const void *a, const void *b)
{
        return *(const bool *)a == *(const bool *)b;
}

static int parse_switch(const Setting *s UNUSED, const char *text, void *to)
{
        return parse_bool(text, to);
}

const SettingType setting_type_SWITCH = {
        .parse = parse_switch,
        .unset = unset_bool,
        .equal = equal_bool,
        .noun = "yes or no",
};

static void unset_unsigned(void *place)
{
        *(unsigned *)place = 0;
}

static bool equal_unsigned(const void *a, const void *b)
{
        return *(const unsigned *)a == *(const unsigned *)b;
}

/* Digits to the base with nothing behind them but `end`. */
static int parse_unsigned(const Setting *s, const char *text, const char *end, int base,
                          unsigned *to)
{
        unsigned long v;
        char *rest;

        if (!isdigit((unsigned char)*text))
                return -EINVAL;
        errno = 0;
        v = strtoul(text, &rest, base);
        if (strcmp(rest, end) != 0)
                return -EINVAL;
        if (errno || v > (s->maximum ? (unsigned long)s->maximum : INT32_MAX))
                return -ERANGE;
        *to = (unsigned)v;
        return 0;
}

static int parse_percent(const Setting *s, const char *text, void *to)
{
        return parse_unsigned(s, text, "%", 10, to);
}

static int parse_mode(const Setting *s, const char *text, void *to)
{
        return parse_unsigned(s, text, "", 8, to);
}

static void write_percent(int64_t bound, char *to, size_t size)
{
        (void)snprintf(to, size, "%" PRId64 "%%", bound);
}

static void write_mode(int64_t bound, char *to, size_t size)
{
        (void)snprintf(to, size, "%04" PRIo64, (uint64_t)bound);
}

const SettingType setting_type_PERCENT = {
        .parse = parse_percent,
        .unset = unset_unsigned,
        .equal = equal_unsigned,
        .noun = "a percentage like 10%",
        .write_bound = write_percent,
};
const SettingType setting_type_MODE = {
        .parse = parse_mode,
        .unset = unset_unsigned,
        .equal = equal_unsigned,
        .noun = "an octal mode",
        .write_bound = write_mode,
};

/* --- texts and words --- */

static void unset_text(void *place)
{
        free(*(char **)place);
        *(char **)place = NULL;
}

static bool equal_text(const void *a, const void *b)
{
        const char *x = *(char *const *)a, *y = *(char *const *)b;

        return x && y ? strcmp(x, y) == 0 : x == y;
}

static int parse_text(const Setting *s UNUSED, const char *text, void *to)
{
        char *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        unset_text(to);
        *(char **)to = copy;
        return 0;
}

const SettingType setting_type_TEXT = {
        .parse = parse_text,
        .unset = unset_text,
        .equal = equal_text,
        .noun = "a text",
};

static int parse_endpoint(const Setting *s, const char *text, void *to)
{
        Endpoint e;
        int r = endpoint_parse(text, &e);

        return r < 0 ? r : parse_text(s, text, to);
}

const SettingType setting_type_ENDPOINT = {
        .parse = parse_endpoint,
        .unset = unset_text,
        .equal = equal_text,
        .noun = "the absolute path of a socket, or a loopback address with a port, like "
                "127.0.0.1:9469",
};

static void unset_words(void *place)
{
        words_free(*(char ***)place);
        *(char ***)place = NULL;
}

static bool equal_words(const void *a, const void *b)
{
        return words_equal(*(char **const *)a, *(char **const *)b);
}

static int parse_words(const Setting *s UNUSED, const char *text, void *to)
{
        char **words;
        int r = words_split(&words, text);

        if (r < 0)
                return r;
        unset_words(to);
        *(char ***)to = words;
        return 0;
}

static int parse_command(const Setting *s UNUSED, const char *text, void *to)
{
        AUTO(words_free) char **words = NULL;
        int r = words_split_quoted(&words, text);

        if (r < 0)
                return r;
        if (!words || !words[0][0])
                return -EINVAL;
        unset_words(to);
        *(char ***)to = MOVE_PTR(words);
        return 0;
}

bool variable_name_valid(const char *text)
{
        size_t n = strcspn(text, "=");

        if (n == 0 || isdigit((unsigned char)text[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)text[i]) && text[i] != '_')
                        return false;
        return true;
}

int set_variable(char ***environment, const char *assignment)
{
        size_t n = strcspn(assignment, "=") + 1;
        char *copy = strdup(assignment);

        for (char **e = *environment; copy && e && *e; e++)
                if (strncmp(*e, copy, n) == 0) {
                        free(*e);
                        *e = copy;
                        return 0;
                }
        return words_append(environment, copy);
}

static int parse_environment(const Setting *s UNUSED, const char *text, void *to)
{
        AUTO(words_free) char **words = NULL;
        int r = words_split_quoted(&words, text);

        for (char **w = words; r == 0 && w && *w; w++)
                if (!strchr(*w, '=') || !variable_name_valid(*w))
                        r = -EINVAL;
        for (char **w = words; r == 0 && w && *w; w++)
                r = set_variable(to, *w);
        return r;
}

static int parse_paths(const Setting *s UNUSED, const char *text, void *to)
{
        if (text[text[0] == '-'] != '/')
                return -EINVAL;
        return words_append(to, strdup(text));
}

const SettingType setting_type_PATHS = {
        .parse = parse_paths,
        .unset = unset_words,
        .equal = equal_words,
        .noun = "an absolute path, with - before it if it may be missing",
};
const SettingType setting_type_WORDS = {
        .parse = parse_words,
        .unset = unset_words,
        .equal = equal_words,
        .noun = "words",
};
const SettingType setting_type_COMMAND = {
        .parse = parse_command,
        .unset = unset_words,
        .equal = equal_words,
        .noun = "a program and its arguments, with every quote closed and known escapes",
};
const SettingType setting_type_ENVIRONMENT = {
        .parse = parse_environment,
        .unset = unset_words,
        .equal = equal_words,
        .noun = "NAME=value, with every quote closed and known escapes",
};

/* --- users and groups --- */

static void unset_principals(void *place)
{
        principals_free(*(Principals **)place);
        *(Principals **)place = NULL;
}

static bool equal_principals(const void *a, const void *b)
{
        return principals_equal(*(Principals *const *)a, *(Principals *const *)b);
}

static int parse_principals(const Setting *s UNUSED, const char *text, void *to)
{
        char why[256];
        Principals *p;
        int r = principals_parse(&p, text, why, sizeof(why));

        if (r < 0)
                return r;
        unset_principals(to);
        *(Principals **)to = p;
        return 0;
}

static void explain_principals(const char *text, char *to, size_t size)
{
        Principals *p;
        int r;

        (void)snprintf(to, size, "its names could not be looked up just now");
        r = principals_parse(&p, text, to, size);
        if (r == 0)
                principals_free(p); /* the user database has changed its mind */
}

const SettingType setting_type_PRINCIPALS = {
        .parse = parse_principals,
        .unset = unset_principals,
        .equal = equal_principals,
        .noun = "users, @groups or *",
        .empty = "",
        .explain = explain_principals,
};

/* --- enums --- */

static int parse_enum(const Setting *s, const char *text, void *to)
{
        for (unsigned i = 0; s->type->words[i]; i++)
                if (strcmp(text, s->type->words[i]) == 0) {
                        *(unsigned *)to = s->type->first_word + i;
                        return 0;
                }
        return -EINVAL;
}

#define ENUM(name, first, ...)                                                                     \
        const SettingType setting_type_##name = {                                                  \
                .parse = parse_enum,                                                               \
                .unset = unset_unsigned,                                                           \
                .equal = equal_unsigned,                                                           \
                .words = (const char *const[]){ __VA_ARGS__, NULL },                               \
                .first_word = first,                                                               \
        }

_Static_assert(sizeof(LogLevel) == sizeof(unsigned), "enums are written as unsigned");
ENUM(LogLevel, LOG_LEVEL_ERROR, "error", "warning", "notice", "info", "debug");
ENUM(Durability, DURABILITY_FSYNC, "fsync", "memory");
ENUM(StartMethod, START_FORKSERVER, "forkserver", "spawn");
ENUM(Concurrency, CONCURRENCY_PROCESS, "process", "thread", "async", "subinterpreter");
ENUM(Scaling, SCALING_STATIC, "static", "dynamic", "ondemand");

/* --- any setting --- */

static void *place_of(const Setting *s, void *settings)
{
        return (char *)settings + s->offset;
}

int setting_parse(const Setting *s, const char *text, void *settings)
{
        return s->type->parse(s, text, place_of(s, settings));
}

int setting_reset(const Setting *s, void *settings)
{
        int r;

        s->type->unset(place_of(s, settings));
        if (!s->fallback)
                return 0;
        r = setting_parse(s, s->fallback, settings);
        ASSERT(r == 0 || r == -ENOMEM); /* the table's own defaults are good */
        return r;
}

void setting_fini(const Setting *s, void *settings)
{
        s->type->unset(place_of(s, settings));
}

bool setting_equal(const Setting *s, const void *a, const void *b)
{
        return s->type->equal((const char *)a + s->offset, (const char *)b + s->offset);
}

static void expected_word(const Setting *s, char *to, size_t size)
{
        size_t used = 0;

        for (unsigned i = 0; s->type->words[i] && used < size; i++)
                used += (size_t)snprintf(to + used, size - used, "%s%s",
                                         i == 0 ? "" : s->type->words[i + 1] ? ", " : " or ",
                                         s->type->words[i]);
}

char *setting_expected(const Setting *s, char *to, size_t size)
{
        const SettingType *t = s->type;
        char low[32], high[32];

        if (t->words) {
                expected_word(s, to, size);
                return to;
        }
        (void)snprintf(to, size, "%s", t->noun);
        if (!t->write_bound || (!s->minimum && !s->maximum))
                return to;
        t->write_bound(s->minimum, low, sizeof(low));
        t->write_bound(s->maximum, high, sizeof(high));
        if (s->maximum)
                (void)snprintf(to, size, "%s from %s to %s", t->noun, low, high);
        else
                (void)snprintf(to, size, "%s of at least %s", t->noun, low);
        return to;
}

/* SPDX-License-Identifier: MIT */

/* Resource limits as systemd.exec(5) spells them: "infinity", one value for both, "soft:hard". */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/macros.h"
#include "base/parse.h"
#include "settings/value.h"

enum { LOWEST_NICE = -20, HIGHEST_NICE = 19 };

typedef int ParseOne(const char *text, uint64_t *ret);

static void unset_limit(void *place)
{
        *(Limit *)place = (Limit){ .set = false };
}

static bool equal_limit(const void *a, const void *b)
{
        const Limit *x = a, *y = b;

        return x->set == y->set && x->soft == y->soft && x->hard == y->hard;
}

/* "infinity" is what the parsers of sizes and spans make of it, too. */
_Static_assert(RLIM_INFINITY == UINT64_MAX && USEC_INFINITY == UINT64_MAX, "no limit is no limit");

static int parse_seconds(const char *text, uint64_t *ret)
{
        int r = parse_span(text, ret);

        if (r == 0 && *ret != USEC_INFINITY)
                *ret = (*ret + USEC_PER_SEC - 1) / USEC_PER_SEC;
        return r;
}

static int parse_usec(const char *text, uint64_t *ret)
{
        return parse_u64(text, ret) == 0 ? 0 : parse_span(text, ret);
}

/* A level with its sign, or the number that getrlimit(2) explains: 20 minus the level. */
static int parse_nice(const char *text, uint64_t *ret)
{
        int64_t level;
        int r;

        if (strcmp(text, "infinity") == 0) {
                *ret = RLIM_INFINITY;
                return 0;
        }
        if (isdigit((unsigned char)*text)) {
                r = parse_u64(text, ret);
                return r < 0 ? r : *ret > 20 - LOWEST_NICE ? -ERANGE : 0;
        }
        if ((*text != '+' && *text != '-') || !isdigit((unsigned char)text[1]))
                return -EINVAL;
        r = parse_i64(text + (*text == '+'), &level);
        if (r == 0 && (level < LOWEST_NICE || level > HIGHEST_NICE))
                r = -ERANGE;
        if (r == 0)
                *ret = (uint64_t)(20 - level);
        return r;
}

static int parse_with(ParseOne *one, const char *text, Limit *to)
{
        size_t n = strcspn(text, ":");
        Limit limit = { .set = true };
        char soft[64];
        int r;

        if (n >= sizeof(soft))
                return -EINVAL;
        (void)snprintf(soft, sizeof(soft), "%.*s", (int)n, text);
        r = one(soft, &limit.soft);
        limit.hard = limit.soft;
        if (r == 0 && text[n])
                r = one(text + n + 1, &limit.hard);
        if (r == 0 && limit.soft > limit.hard)
                r = -EINVAL;
        if (r == 0)
                *to = limit;
        return r;
}

#define LIMIT_TYPE(name, one, example)                                                             \
        static int parse_##name(const Setting *s UNUSED, const char *text, void *to)               \
        {                                                                                          \
                return parse_with(one, text, to);                                                  \
        }                                                                                          \
        const SettingType setting_type_##name = {                                                  \
                .parse = parse_##name,                                                             \
                .unset = unset_limit,                                                              \
                .equal = equal_limit,                                                              \
                .noun = "a limit (like " example "), soft:hard with soft not above hard, or "      \
                        "infinity",                                                                \
        }

LIMIT_TYPE(LIMIT, parse_size, "1024 or 64M");
LIMIT_TYPE(LIMIT_SECONDS, parse_seconds, "10s or 2min");
LIMIT_TYPE(LIMIT_USEC, parse_usec, "500ms");
LIMIT_TYPE(LIMIT_NICE, parse_nice, "-5, or 25");

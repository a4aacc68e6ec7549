/* SPDX-License-Identifier: MIT */

#include "settings/principals.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/parse.h"
#include "settings/fault.h"
#include "settings/words.h"

#define EXPECTED "expected names or numbers of users, @groups, or *"

/* One entry of the user database may take this much at the most: a group of very many members. */
enum { SMALLEST_ENTRY = 1024, LARGEST_ENTRY = 16 * 1024 * 1024 };

/* --- sets --- */

/* Where the id is, or would be. */
static unsigned find_place(const PrincipalIds *set, uint32_t id)
{
        unsigned low = 0, high = set->n;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;

                if (set->ids[middle] < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool principal_ids_have(const PrincipalIds *set, uint32_t id)
{
        unsigned at = find_place(set, id);

        return at < set->n && set->ids[at] == id;
}

int principal_ids_add(PrincipalIds *set, uint32_t id)
{
        unsigned at = find_place(set, id);
        uint32_t *grown;

        if (at < set->n && set->ids[at] == id)
                return 0;
        grown = realloc(set->ids, (set->n + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        memmove(grown + at + 1, grown + at, (set->n - at) * sizeof(*grown));
        grown[at] = id;
        set->ids = grown;
        set->n++;
        return 0;
}

void principal_ids_clear(PrincipalIds *set)
{
        free(set->ids);
        *set = (PrincipalIds){ 0 };
}

static bool same_ids(const PrincipalIds *a, const PrincipalIds *b)
{
        return a->n == b->n && (!a->n || memcmp(a->ids, b->ids, a->n * sizeof(*a->ids)) == 0);
}

/* --- names --- */

/* One look into the database: 0 with the id, ENOENT, ERANGE (a larger buffer, please), or another
 * errno. */
typedef int Lookup(const char *name, char *buffer, size_t size, uint32_t *ret);

static int look_up_user(const char *name, char *buffer, size_t size, uint32_t *ret)
{
        struct passwd entry, *found;
        int e = getpwnam_r(name, &entry, buffer, size, &found);

        if (found)
                *ret = entry.pw_uid;
        return found ? 0 : e ? e : ENOENT;
}

static int look_up_group(const char *name, char *buffer, size_t size, uint32_t *ret)
{
        struct group entry, *found;
        int e = getgrnam_r(name, &entry, buffer, size, &found);

        if (found)
                *ret = entry.gr_gid;
        return found ? 0 : e ? e : ENOENT;
}

static int look_up(Lookup *one, const char *name, uint32_t *ret)
{
        int e = ERANGE;

        for (size_t size = SMALLEST_ENTRY; e == ERANGE && size <= LARGEST_ENTRY; size *= 4) {
                AUTO(free) char *buffer = malloc(size);

                if (!buffer)
                        return ENOMEM;
                e = one(name, buffer, size, ret);
        }
        return e;
}

static bool is_number(const char *word)
{
        return *word && word[strspn(word, "0123456789")] == '\0';
}

/* The number that says "none" to the kernel, -1, is nobody's. */
static int parse_id(const char *word, uint32_t *ret)
{
        uint64_t v;

        if (parse_u64(word, &v) < 0 || v >= UINT32_MAX)
                return EINVAL;
        *ret = (uint32_t)v;
        return 0;
}

/* These are how a database says that it has no such entry; see getpwnam(3). */
static bool means_missing(int e)
{
        return e == ENOENT || e == ESRCH || e == EBADF || e == EPERM;
}

static int refuse(const char *word, const char *kind, int e, char *why, size_t size)
{
        int shown = shown_length(word, 100);

        if (e == ENOMEM)
                return -ENOMEM;
        if (e == EINVAL && is_number(word))
                (void)snprintf(why, size,
                               "%.*s is no number of a %s, which are below %u; " EXPECTED, shown,
                               word, kind, UINT32_MAX);
        else if (means_missing(e))
                (void)snprintf(why, size, "there is no %s '%.*s'; " EXPECTED, kind, shown, word);
        else
                (void)snprintf(why, size, "the %s '%.*s' can not be looked up: %s", kind, shown,
                               word, strerror(e));
        return -EINVAL;
}

/* A name that is all digits is a number, as everywhere. */
static int add_name(PrincipalIds *set, const char *word, const char *kind, Lookup *one, char *why,
                    size_t size)
{
        uint32_t id = 0;
        int e = is_number(word) ? parse_id(word, &id) : *word ? look_up(one, word, &id) : ENOENT;

        return e ? refuse(word, kind, e, why, size) : principal_ids_add(set, id);
}

static int add_word(Principals *p, const char *word, char *why, size_t size)
{
        if (strcmp(word, "*") == 0) {
                p->everybody = true;
                return 0;
        }
        if (*word == '@')
                return add_name(&p->groups, word + 1, "group", look_up_group, why, size);
        return add_name(&p->users, word, "user", look_up_user, why, size);
}

/* --- lists --- */

void principals_free(Principals *p)
{
        if (!p)
                return;
        principal_ids_clear(&p->users);
        principal_ids_clear(&p->groups);
        free(p);
}

int principals_parse(Principals **ret, const char *text, char *why, size_t size)
{
        AUTO(principals_free) Principals *p = calloc(1, sizeof(*p));
        AUTO(words_free) char **words = NULL;
        int r = p ? words_split(&words, text) : -ENOMEM;

        for (char **w = words; r == 0 && w && *w; w++)
                r = add_word(p, *w, why, size);
        if (r < 0)
                return r;
        *ret = MOVE_PTR(p);
        return 0;
}

bool principals_equal(const Principals *a, const Principals *b)
{
        if (!a || !b)
                return a == b;
        return a->everybody == b->everybody && same_ids(&a->users, &b->users) &&
               same_ids(&a->groups, &b->groups);
}

bool principals_nobody(const Principals *p)
{
        return !p || (!p->everybody && !p->users.n && !p->groups.n);
}

bool principals_match(const Principals *p, uint32_t uid, const uint32_t *gids, unsigned n_gids)
{
        if (p->everybody || principal_ids_have(&p->users, uid))
                return true;
        for (unsigned i = 0; i < n_gids; i++)
                if (principal_ids_have(&p->groups, gids[i]))
                        return true;
        return false;
}

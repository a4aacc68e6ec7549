/* SPDX-License-Identifier: MIT */

/* A name is looked up as a name first and, if it is a number, as one: as useradd(8) would not make
 * a user `1000`, these do not get into each other's way. A lookup may ask a directory service; it
 * happens only while a config is read. */

#include "settings/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "base/parse.h"
#include "settings/fault.h"
#include "settings/settings.h"
#include "settings/table.h"
#include "settings/words.h"

/* Room for one entry, however many members its group has; touched only as far as it is used. */
enum { ENTRY_ROOM = 1 << 20, MOST_GROUPS = 65536 };

/* A number that can be a uid or gid: -1 means "none" in calls, and did so in 16 bits. */
static bool parse_id(const char *text, uint64_t *ret)
{
        uint64_t id;

        if (parse_u64(text, &id) < 0 || id >= UINT32_MAX || id == UINT16_MAX)
                return false;
        *ret = id;
        return true;
}

/* --- the databases --- */

/* Returns 1, 0 if there is none, or -errno. The texts of *entry are in `room`. */
static int find_user(const char *name, uint64_t *ret_uid, struct passwd *entry, char *room)
{
        struct passwd *found = NULL;
        bool number = parse_id(name, ret_uid);
        int r = number ? getpwuid_r((uid_t)*ret_uid, entry, room, ENTRY_ROOM, &found)
                       : getpwnam_r(name, entry, room, ENTRY_ROOM, &found);

        if (found) {
                *ret_uid = found->pw_uid;
                return 1;
        }
        /* glibc: some modules say "no such entry" in these ways */
        return r == 0 || r == ENOENT || r == ESRCH ? 0 : -r;
}

/* Returns 0, or -errno: -ESRCH if there is none. */
static int find_group(const char *name, uint64_t *ret_gid)
{
        AUTO(free) char *room = NULL;
        struct group entry, *found = NULL;
        int r;

        if (parse_id(name, ret_gid))
                return 0;
        room = malloc(ENTRY_ROOM);
        if (!room)
                return -ENOMEM;
        r = getgrnam_r(name, &entry, room, ENTRY_ROOM, &found);
        if (!found)
                return r == 0 || r == ENOENT ? -ESRCH : -r;
        *ret_gid = found->gr_gid;
        return 0;
}

IdentityPlace identity_place(const PoolSettings *p, unsigned row)
{
        if (row == POOL_ROW_user && p->pool_user)
                return (IdentityPlace){ "PoolUser", p->pool_user->file, p->pool_user->line };
        return (IdentityPlace){ pool_settings[row].key, p->file, p->lines[row] };
}

static int fault_of(const PoolSettings *p, unsigned row, const char *value, int r,
                    SettingsError *error)
{
        const char *noun = row == POOL_ROW_user ? "user" : "group";
        IdentityPlace at = identity_place(p, row);

        if (r == -ENOMEM)
                return r;
        if (r == -ESRCH)
                return settings_fault(error, at.file, at.line,
                                      "%s=%.*s: there is no such %s; expected a name or a number",
                                      at.key, shown_length(value, 100), value, noun);
        return settings_fault(error, at.file, at.line, "%s=%.*s: cannot be looked up: %s", at.key,
                              shown_length(value, 100), value, strerror(-r));
}

/* --- supplementary groups --- */

static int add_group(Identity *i, uint64_t gid)
{
        char *text;

        if (asprintf(&text, "%u", (unsigned)gid) < 0)
                return -ENOMEM;
        for (char **g = i->groups; g && *g; g++)
                if (strcmp(*g, text) == 0) {
                        free(text);
                        return 0;
                }
        return words_append(&i->groups, text);
}

static int add_groups(Identity *i, const gid_t *groups, int n)
{
        int r = 0;

        for (int k = 0; r == 0 && k < n; k++)
                r = add_group(i, groups[k]);
        return r;
}

/* Those that the user database gives to the user. */
static int add_groups_of(Identity *i, const char *user)
{
        int n = MOST_GROUPS;
        AUTO(free) gid_t *groups = malloc(MOST_GROUPS * sizeof(*groups));

        if (!groups)
                return -ENOMEM;
        if (getgrouplist(user, (gid_t)i->gid, groups, &n) < 0)
                return -E2BIG;
        return add_groups(i, groups, n);
}

/* Those that this process has; returns how many, or -errno. The list is to be freed. */
static int own_groups(gid_t **ret)
{
        AUTO(free) gid_t *groups = malloc(MOST_GROUPS * sizeof(*groups));
        int n;

        if (!groups)
                return -ENOMEM;
        n = getgroups(MOST_GROUPS, groups);
        if (n < 0)
                return -errno;
        *ret = MOVE_PTR(groups);
        return n;
}

static int add_own_groups(Identity *i)
{
        AUTO(free) gid_t *groups = NULL;
        int n = own_groups(&groups);

        return n < 0 ? n : add_groups(i, groups, n);
}

/* --- one pool --- */

static char *copy_of(const char *text)
{
        return text && *text ? strdup(text) : NULL;
}

static bool lets_nobody_in(const char *shell)
{
        const char *slash = strrchr(shell, '/');

        return slash && (strcmp(slash, "/nologin") == 0 || strcmp(slash, "/false") == 0);
}

static int find_own_user(PoolSettings *p, SettingsError *error)
{
        AUTO(free) char *room = malloc(ENTRY_ROOM);
        Identity *i = &p->identity;
        IdentityPlace at = identity_place(p, POOL_ROW_user);
        struct passwd entry;
        int r = room ? find_user(p->user, &i->uid, &entry, room) : -ENOMEM;

        if (r == 0 && i->uid == IDENTITY_OURS)
                r = -ESRCH;
        if (r < 0)
                return fault_of(p, POOL_ROW_user, p->user, r, error);
        if (r == 0 && !p->group)
                return settings_fault(error, at.file, at.line,
                                      "%s=%s: a number without an entry in the user database "
                                      "needs a Group=",
                                      at.key, p->user);
        i->name = strdup(r ? entry.pw_name : p->user);
        if (r && i->gid == IDENTITY_OURS)
                i->gid = entry.pw_gid;
        i->home = r ? copy_of(entry.pw_dir) : NULL;
        i->shell = r && !lets_nobody_in(entry.pw_shell) ? copy_of(entry.pw_shell) : NULL;
        if (!i->name)
                return -ENOMEM;
        r = r ? add_groups_of(i, i->name) : 0;
        return r < 0 ? fault_of(p, POOL_ROW_user, p->user, r, error) : 0;
}

static int find_more_groups(PoolSettings *p, SettingsError *error)
{
        Identity *i = &p->identity;

        i->groups_named = p->supplementary_groups != NULL;
        for (char **name = p->supplementary_groups; name && *name; name++) {
                uint64_t gid;
                int r = find_group(*name, &gid);

                if (r == 0)
                        r = add_group(i, gid);
                if (r < 0)
                        return fault_of(p, POOL_ROW_supplementary_groups, *name, r, error);
        }
        return 0;
}

int identity_find(PoolSettings *p, SettingsError *error)
{
        Identity *i = &p->identity;
        int r;

        *i = (Identity){ .uid = IDENTITY_OURS, .gid = IDENTITY_OURS };
        if (p->group) {
                r = find_group(p->group, &i->gid);
                if (r < 0)
                        return fault_of(p, POOL_ROW_group, p->group, r, error);
        }
        if (p->user)
                r = find_own_user(p, error);
        else
                r = p->supplementary_groups ? add_own_groups(i) : 0;
        return r < 0 ? r : find_more_groups(p, error);
}

void identity_fini(Identity *i)
{
        words_free(i->groups);
        free(i->name);
        free(i->home);
        free(i->shell);
}

static bool same(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

bool identity_equal(const Identity *a, const Identity *b)
{
        return a->uid == b->uid && a->gid == b->gid && words_equal(a->groups, b->groups) &&
               same(a->name, b->name) && same(a->home, b->home) && same(a->shell, b->shell);
}

static bool among(const gid_t *groups, int n, uint64_t gid)
{
        for (int k = 0; k < n; k++)
                if (groups[k] == gid)
                        return true;
        return gid == getegid();
}

/* Nobody is to be let into another group, or out of one. */
static bool groups_are_ours(const Identity *i)
{
        AUTO(free) gid_t *groups = NULL;
        int n = own_groups(&groups), wanted = (int)words_count(i->groups), mine = 0;
        uint64_t gid;

        for (char **g = i->groups; g && *g; g++)
                if (parse_u64(*g, &gid) < 0 || !among(groups, n, gid))
                        return false;
        for (int k = 0; k < n; k++)
                mine += groups[k] != getegid();
        for (char **g = i->groups; g && *g; g++)
                wanted -= parse_u64(*g, &gid) == 0 && gid == getegid();
        return wanted == mine;
}

bool identity_is_ours(const Identity *i)
{
        return (i->uid == IDENTITY_OURS || i->uid == geteuid()) &&
               (i->gid == IDENTITY_OURS || i->gid == getegid()) &&
               (!i->groups_named || groups_are_ours(i));
}

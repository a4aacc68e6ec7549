/* SPDX-License-Identifier: MIT */

/* The fork server would fail, too, but later, with an errno and without a line. What only the
 * kernel knows (a uid that this user namespace does not have) is left to it. */

#include "settings/rights.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/macros.h"
#include "process/capabilities.h"
#include "process/rlimits.h"
#include "settings/fault.h"
#include "settings/table.h"

static int missing(const PoolSettings *p, unsigned row, const char *value, const char *right,
                   const char *instead, SettingsError *error)
{
        IdentityPlace at = identity_place(p, row);

        return settings_fault(error, at.file, at.line,
                              "%s=%.*s: this daemon (uid %u) may not do that: it needs %s; %s",
                              at.key, shown_length(value, 100), value, (unsigned)geteuid(), right,
                              instead);
}

/* --- whom it may be --- */

static int check_user(const PoolSettings *p, uint64_t have, SettingsError *error)
{
        bool other = p->identity.uid != IDENTITY_OURS && p->identity.uid != geteuid();
        const struct {
                int capability;
                const char *name;
        } needed[] = {
                { CAP_SETUID, "CAP_SETUID" },
                { CAP_SETGID, "CAP_SETGID" },
                { CAP_KILL, "CAP_KILL (to end its workers)" },
        };

        for (size_t i = 0; other && i < ELEMENTS(needed); i++)
                if (!capabilities_have(have, needed[i].capability))
                        return missing(p, POOL_ROW_user, p->user, needed[i].name,
                                       "expected the daemon's own user, or none", error);
        return 0;
}

static int check_groups(const PoolSettings *p, uint64_t have, SettingsError *error)
{
        bool group = p->group && p->identity.gid != getegid();

        if (capabilities_have(have, CAP_SETGID) || identity_is_ours(&p->identity))
                return 0;
        if (group)
                return missing(p, POOL_ROW_group, p->group, "CAP_SETGID",
                               "expected the daemon's own group, or none", error);
        if (p->supplementary_groups)
                return missing(p, POOL_ROW_supplementary_groups, p->supplementary_groups[0],
                               "CAP_SETGID", "expected the daemon's own groups, or none", error);
        return missing(p, POOL_ROW_user, p->user, "CAP_SETGID",
                       "expected a Group= that is the daemon's own", error);
}

static int check_root(const PoolSettings *p, uint64_t have, SettingsError *error)
{
        if (!p->root_directory || capabilities_have(have, CAP_SYS_CHROOT))
                return 0;
        return missing(p, POOL_ROW_root_directory, p->root_directory, "CAP_SYS_CHROOT",
                       "expected none", error);
}

/* --- how much it may have --- */

static int check_limit(const PoolSettings *p, unsigned row, int resource, SettingsError *error)
{
        const Limit *wanted = (const void *)((const char *)p + pool_settings[row].offset);
        struct rlimit now;
        char most[64], text[32];

        if (!wanted->set || getrlimit((__rlimit_resource_t)resource, &now) < 0 ||
            wanted->hard <= now.rlim_max)
                return 0;
        (void)snprintf(most, sizeof(most), "expected at most %" PRIu64 ", the daemon's hard limit",
                       (uint64_t)now.rlim_max);
        (void)snprintf(text, sizeof(text), "%" PRIu64, wanted->hard);
        return missing(p, row, wanted->hard == RLIM_INFINITY ? "infinity" : text,
                       "CAP_SYS_RESOURCE", most, error);
}

static int check_limits(const PoolSettings *p, uint64_t have, SettingsError *error)
{
        int r = 0;

        if (capabilities_have(have, CAP_SYS_RESOURCE))
                return 0;
        for (unsigned row = 0; r == 0 && row < N_POOL_SETTINGS; row++)
                for (unsigned i = 0; r == 0 && i < N_RLIMITS; i++)
                        if (strcmp(pool_settings[row].key, rlimit_names[i].key) == 0)
                                r = check_limit(p, row, rlimit_names[i].resource, error);
        return r;
}

/* RLIMIT_NICE: 20 minus the lowest level. The pool's own LimitNICE= counts already. */
static int check_nice(const PoolSettings *p, uint64_t have, SettingsError *error)
{
        int now = getpriority(PRIO_PROCESS, 0);
        struct rlimit limit = { 0, 0 };
        uint64_t room;
        char text[32], least[64];

        (void)getrlimit(RLIMIT_NICE, &limit);
        room = p->limit_nice.set ? p->limit_nice.soft : limit.rlim_cur;
        if (p->nice == SETTING_UNSET_NUMBER || p->nice >= now ||
            (uint64_t)(20 - p->nice) <= room || capabilities_have(have, CAP_SYS_NICE))
                return 0;
        (void)snprintf(text, sizeof(text), "%" PRId64, p->nice);
        (void)snprintf(least, sizeof(least), "expected at least %d",
                       MIN(now, 20 - (int)MIN(room, 40u)));
        return missing(p, POOL_ROW_nice, text, "CAP_SYS_NICE", least, error);
}

static int own_oom_score(void)
{
        FILE *f = fopen("/proc/self/oom_score_adj", "re");
        char text[32] = "";

        if (f) {
                (void)!fgets(text, sizeof(text), f);
                (void)fclose(f);
        }
        return (int)strtol(text, NULL, 10);
}

static int check_oom_score(const PoolSettings *p, uint64_t have, SettingsError *error)
{
        int now = own_oom_score();
        char text[32], least[64];

        if (p->oom_score_adjust == SETTING_UNSET_NUMBER || p->oom_score_adjust >= now ||
            capabilities_have(have, CAP_SYS_RESOURCE))
                return 0;
        (void)snprintf(text, sizeof(text), "%" PRId64, p->oom_score_adjust);
        (void)snprintf(least, sizeof(least), "expected at least %d, as the daemon has", now);
        return missing(p, POOL_ROW_oom_score_adjust, text, "CAP_SYS_RESOURCE", least, error);
}

/* --- all of it --- */

static int check_files(const PoolSettings *p, SettingsError *error)
{
        if (!p->denied_file)
                return 0;
        return settings_fault(error, p->file, p->lines[POOL_ROW_environment_files],
                              "EnvironmentFile=%.*s: this daemon (uid %u) may not read it: "
                              "expected a file that it may",
                              shown_length(p->denied_file, 200), p->denied_file,
                              (unsigned)geteuid());
}

int settings_check_rights(const Settings *settings, SettingsError *error)
{
        uint64_t have = capabilities_effective();
        int r = 0;

        for (unsigned i = 0; r == 0 && i < settings->n_pools; i++) {
                const PoolSettings *p = &settings->pools[i];

                r = check_user(p, have, error);
                r = r < 0 ? r : check_groups(p, have, error);
                r = r < 0 ? r : check_root(p, have, error);
                r = r < 0 ? r : check_limits(p, have, error);
                r = r < 0 ? r : check_nice(p, have, error);
                r = r < 0 ? r : check_oom_score(p, have, error);
                r = r < 0 ? r : check_files(p, error);
        }
        return r;
}

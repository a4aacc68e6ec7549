/* SPDX-License-Identifier: MIT */

/* The order is what each step needs: limits, niceness and the OOM score may need rights that end
 * with the change of user, and /proc, which the new root may show in another way; so does the new
 * root; a directory is entered as the user, within the root. */

#include "child/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/parse.h"
#include "process/capabilities.h"
#include "process/rlimits.h"

/* --- limits and shares --- */

/* The daemon has raised its own. */
static int restore_open_files(const Preparation *p)
{
        struct rlimit now;

        if (p->limit_nofile_soft == PREPARATION_UNSET)
                return 0;
        if (getrlimit(RLIMIT_NOFILE, &now) < 0)
                return -errno;
        now.rlim_cur = MIN(p->limit_nofile_soft, (uint64_t)now.rlim_max);
        return setrlimit(RLIMIT_NOFILE, &now) < 0 ? -errno : 0;
}

static int apply_limits(const Preparation *p, const char **ret_what)
{
        int r = restore_open_files(p);

        *ret_what = "LimitNOFILE=";
        for (unsigned i = 0; r == 0 && i < N_RLIMITS; i++) {
                const json_t *pair = json_object_get(p->limits, rlimit_names[i].key);
                const struct rlimit limit = {
                        (rlim_t)json_integer_value(json_array_get(pair, 0)),
                        (rlim_t)json_integer_value(json_array_get(pair, 1)),
                };

                if (!pair)
                        continue;
                *ret_what = rlimit_names[i].key;
                if (setrlimit((__rlimit_resource_t)rlimit_names[i].resource, &limit) < 0)
                        r = -errno;
        }
        return r;
}

static int apply_oom_score(const Preparation *p)
{
        AUTO(fd_close) int fd = -1;
        char text[32];
        int n;

        if (p->oom_score_adjust == PREPARATION_UNSET)
                return 0;
        n = snprintf(text, sizeof(text), "%d", (int)p->oom_score_adjust - 1000);
        fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd_write_all(fd, text, (size_t)n);
}

static int apply_shares(const Preparation *p, const char **ret_what)
{
        int r = apply_limits(p, ret_what);

        if (r < 0)
                return r;
        *ret_what = "Nice=";
        if (p->nice != PREPARATION_UNSET && setpriority(PRIO_PROCESS, 0, (int)p->nice - 20) < 0)
                return -errno;
        *ret_what = "OOMScoreAdjust=";
        return apply_oom_score(p);
}

/* --- the root --- */

static int apply_root(const Preparation *p, const char **ret_what)
{
        if (!p->root_directory)
                return 0;
        *ret_what = "RootDirectory=";
        if (chroot(p->root_directory) < 0 || chdir("/") < 0)
                return -errno;
        *ret_what = "RootDirectory= (it has to have /proc mounted, which tells what jobs leave)";
        if (access("/proc/self/task", F_OK) < 0)
                return -errno;
        *ret_what = "RootDirectory= (it has to have /dev/null)";
        return access("/dev/null", R_OK | W_OK) < 0 ? -errno : 0;
}

/* --- the user --- */

static int apply_groups(char *const *texts)
{
        AUTO(free) gid_t *groups = NULL;
        size_t n = 0;

        while (texts[n])
                n++;
        groups = calloc(n + 1, sizeof(*groups));
        if (!groups)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                uint64_t gid;

                if (parse_u64(texts[i], &gid) < 0)
                        return -EINVAL;
                groups[i] = (gid_t)gid;
        }
        return setgroups(n, groups) < 0 ? -errno : 0;
}

/* Rights that are not root's do not go with a change from one user to another, and what a daemon
 * has to change users must not reach a job. */
static int apply_user(const Preparation *p, const char **ret_what)
{
        gid_t gid = (gid_t)p->gid;
        uid_t uid = (uid_t)p->uid;
        int r;

        *ret_what = p->user ? "User= (its groups)" : "SupplementaryGroups=";
        r = p->groups ? apply_groups(p->groups) : 0;
        if (r < 0)
                return r;
        *ret_what = "Group=";
        if (p->gid != PREPARATION_UNSET && setresgid(gid, gid, gid) < 0)
                return -errno;
        *ret_what = "User=";
        if (p->uid != PREPARATION_UNSET && setresuid(uid, uid, uid) < 0)
                return -errno;
        return geteuid() == 0 ? 0 : capabilities_drop();
}

/* --- all of it --- */

static int enter_directory(const char *path)
{
        bool optional = *path == '-';

        if (chdir(path + optional) < 0 && !(optional && errno == ENOENT))
                return -errno;
        return 0;
}

int attributes_apply(const Preparation *p, const char **ret_what)
{
        int r = apply_shares(p, ret_what);

        if (r == 0)
                r = apply_root(p, ret_what);
        if (r == 0)
                r = apply_user(p, ret_what);
        if (r < 0)
                return r;
        if (p->umask != PREPARATION_UNSET)
                (void)umask((mode_t)p->umask);
        *ret_what = "WorkingDirectory=";
        r = p->working_directory ? enter_directory(p->working_directory) : 0;
        if (r < 0)
                return r;
        *ret_what = "NoNewPrivileges=";
        return p->no_new_privileges == 1 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

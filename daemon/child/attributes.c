/* SPDX-License-Identifier: MIT */

#include "child/attributes.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"

static int limit(int resource, uint64_t soft, uint64_t hard)
{
        struct rlimit now;

        if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
                return -errno;
        if (hard != PREPARATION_UNSET)
                now.rlim_max = now.rlim_cur = hard == UINT64_MAX - 1 ? RLIM_INFINITY : hard;
        else if (soft != PREPARATION_UNSET)
                now.rlim_cur = MIN(soft, (uint64_t)now.rlim_max);
        return setrlimit((__rlimit_resource_t)resource, &now) < 0 ? -errno : 0;
}

static int apply_limits(const Preparation *p, const char **ret_what)
{
        const struct {
                const char *name;
                int resource;
                uint64_t soft, hard;
        } limits[] = {
                { "LimitNOFILE=", RLIMIT_NOFILE, p->limit_nofile_soft, p->limit_nofile },
                { "LimitAS=", RLIMIT_AS, PREPARATION_UNSET, p->limit_as },
                { "LimitCPU=", RLIMIT_CPU, PREPARATION_UNSET, p->limit_cpu },
                { "LimitCORE=", RLIMIT_CORE, PREPARATION_UNSET, p->limit_core },
        };

        for (size_t i = 0; i < ELEMENTS(limits); i++) {
                int r = limit(limits[i].resource, limits[i].soft, limits[i].hard);

                if (r < 0) {
                        *ret_what = limits[i].name;
                        return r;
                }
        }
        return 0;
}

int attributes_apply(const Preparation *p, const char **ret_what)
{
        if (p->umask != PREPARATION_UNSET)
                (void)umask((mode_t)p->umask);
        *ret_what = "WorkingDirectory=";
        if (p->working_directory && chdir(p->working_directory) < 0)
                return -errno;
        *ret_what = "Nice=";
        if (p->nice != PREPARATION_UNSET && setpriority(PRIO_PROCESS, 0, (int)p->nice - 20) < 0)
                return -errno;
        *ret_what = "NoNewPrivileges=";
        if (p->no_new_privileges == 1 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return apply_limits(p, ret_what);
}

/* SPDX-License-Identifier: MIT */

/* The kernel lets a process look into another one of the same user, if that is dumpable, and else
 * only with CAP_SYS_PTRACE, ptrace(2). So we become the worker's user even where we could do
 * without: what is read then (programs and their debug information by eu-stack) is a job's to
 * choose, and nothing of that is to be read with the daemon's rights. Who a worker is, the kernel
 * says: the settings of its pool may be newer than it. */

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "child/inspect.h"
#include "process/capabilities.h"
#include "process/start.h"

enum { MOST_GROUPS = 1024 };

typedef struct Who {
        unsigned uid, gid; /* effective */
        gid_t groups[MOST_GROUPS];
        size_t n_groups;
} Who;

static void read_groups(Who *who, const char *text)
{
        char *end;

        for (; text && who->n_groups < MOST_GROUPS; text = end) {
                unsigned long gid = strtoul(text, &end, 10);

                if (end == text || memchr(text, '\n', (size_t)(end - text)))
                        return;
                who->groups[who->n_groups++] = (gid_t)gid;
        }
}

static int read_who(Target *t, Who *who)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        int r = target_read(t, "status", NULL, &b);
        const char *uids, *gids;

        if (r < 0)
                return r;
        uids = line_after(buffer_bytes(&b), "Uid");
        gids = line_after(buffer_bytes(&b), "Gid");
        if (!uids || sscanf(uids, "%*u %u", &who->uid) != 1 || !gids ||
            sscanf(gids, "%*u %u", &who->gid) != 1)
                return -EBADMSG;
        read_groups(who, line_after(buffer_bytes(&b), "Groups"));
        return 0;
}

/* Those of our capabilities that are about looking; they go on to eu-stack. */
static int keep_only_looking(uint64_t had)
{
        uint64_t kept = had & (1ULL << CAP_SYS_PTRACE | 1ULL << CAP_DAC_READ_SEARCH);
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct halves[_LINUX_CAPABILITY_U32S_3] = { 0 };

        if (!kept)
                return capabilities_drop();
        halves[0].effective = halves[0].permitted = halves[0].inheritable = (uint32_t)kept;
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        if (syscall(SYS_capset, &header, halves) < 0)
                return -errno;
        if (capabilities_have(kept, CAP_SYS_PTRACE))
                (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_PTRACE, 0, 0);
        if (capabilities_have(kept, CAP_DAC_READ_SEARCH)) /* auxv may be root's */
                (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0);
        return 0;
}

int inspect_become(Target *t)
{
        uint64_t had = capabilities_effective();
        pid_t parent = getppid();
        Who who = { 0 };
        int r = read_who(t, &who);

        if (r < 0)
                return r;
        if (who.uid == geteuid() || !capabilities_have(had, CAP_SETUID) ||
            !capabilities_have(had, CAP_SETGID))
                return 0;
        (void)prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
        if (setgroups(who.n_groups, who.groups) < 0 || setresgid(who.gid, who.gid, who.gid) < 0 ||
            setresuid(who.uid, who.uid, who.uid) < 0)
                return -errno;
        (void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
        process_die_with_parent(parent); /* a change of user has cleared it */
        return keep_only_looking(had);
}

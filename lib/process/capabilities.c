/* SPDX-License-Identifier: MIT */

#include "process/capabilities.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct __user_cap_header_struct Header;
typedef struct __user_cap_data_struct Half; /* 32 capabilities */

uint64_t capabilities_effective(void)
{
        Header header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        Half halves[_LINUX_CAPABILITY_U32S_3] = { 0 };

        if (syscall(SYS_capget, &header, halves) < 0)
                return 0;
        return halves[0].effective | (uint64_t)halves[1].effective << 32;
}

int capabilities_drop(void)
{
        Header header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const Half none[_LINUX_CAPABILITY_U32S_3] = { 0 };
        Half now[_LINUX_CAPABILITY_U32S_3] = { 0 };

        /* Where there are none, a filter may forbid even to say so. */
        if (syscall(SYS_capget, &header, now) == 0 && memcmp(now, none, sizeof(none)) == 0)
                return 0;
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* they go below, too */
        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

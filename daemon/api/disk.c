/* SPDX-License-Identifier: MIT */

#include "api/disk.h"

#include <sys/statvfs.h>

enum { LOW_SHARE = 20 };
#define LOW_BYTES (1ULL << 30)

bool disk_look(const char *directory, Disk *ret)
{
        struct statvfs s;

        if (statvfs(directory, &s) < 0 || !s.f_blocks)
                return false;
        *ret = (Disk){ .size = (uint64_t)s.f_blocks * s.f_frsize,
                       .free = (uint64_t)s.f_bavail * s.f_frsize };
        return true;
}

bool disk_is_low(const Disk *disk)
{
        return disk->free < disk->size / LOW_SHARE && disk->free < LOW_BYTES;
}

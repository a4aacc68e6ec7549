/* SPDX-License-Identifier: MIT */
#pragma once

/* The room on the file system of the store. */

#include <stdbool.h>
#include <stdint.h>

typedef struct Disk {
        uint64_t size, free; /* bytes; free: for who is not root */
} Disk;

/* False: it can not be told. */
bool disk_look(const char *directory, Disk *ret);

/* So little that the store is about to fail: less than a twentieth, and less than 1 GiB. */
bool disk_is_low(const Disk *disk);

/* SPDX-License-Identifier: MIT */
#pragma once

/* Resident memory, in bytes, of the process at the other end of a Unix socket; a negative errno if
 * it cannot be told. */
long resident_bytes(int fd);

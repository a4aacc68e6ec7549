/* SPDX-License-Identifier: MIT */
#pragma once

/* Descriptors that clients have passed to us are closed in threads of their own: the last close of
 * a socket with SO_LINGER, or of a file whose file system a user serves, waits for as long as that
 * user likes, and the loop must not. */

/* From now on fd_close_foreign() goes there. Returns 0 or -errno. */
int closer_start(void);

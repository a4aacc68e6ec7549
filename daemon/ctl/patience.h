/* SPDX-License-Identifier: MIT */
#pragma once

/* A daemon that stops takes no jobs (Draining). Where the service manager holds the socket another
 * one follows, and who connects meanwhile waits in the queue of that: so a restart refuses nobody
 * who has patience.
 *
 * After Draining: waits until this daemon has gone, half a minute at the most, and connects to the
 * one that follows. False, in silence: it only drains, takes longer, or none follows. */

#include "ctl/ctl.h"

bool patience_until_next(Ctl *ctl);

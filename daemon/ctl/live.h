/* SPDX-License-Identifier: MIT */
#pragma once

/* Replies that come as something happens, to a call with `more`: they are shown when they come, and
 * waiting for them ends when stdout cannot be written any more. */

#include "ctl/call.h"

/* Flushes stdout if there is no reply yet, and waits for one. Returns a status, having said what
 * error it is; *ret->text is NULL if nobody reads stdout any more. */
int live_next(Ctl *ctl, Reply *ret);

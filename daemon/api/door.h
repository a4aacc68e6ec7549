/* SPDX-License-Identifier: MIT */
#pragma once

/* Who is let in, and who is turned away: the limits on connections. */

#include "api/api.h"

typedef enum Verdict {
        DOOR_IN,
        DOOR_REFUSED, /* it is told why: its first call is answered so, and that is all */
        DOOR_SHUT,    /* closed at once */
} Verdict;

/* Judges a connection that has been accepted, and says in the log who is turned away. */
Verdict door_judge(Api *api, const Peer *who, Rights rights);

/* SPDX-License-Identifier: MIT */
#pragma once

/* How long broodd's loop leaves a client unheard, seen from outside: a process of its own asks
 * org.varlink.service.GetInfo once a millisecond, on a connection of its own.
 *
 * A moment counts, not a call: when an answer takes longer than a millisecond, the calls that would
 * have been due meanwhile count with the time that was left. What is seen is the longest turn of
 * the loop, and the time that the kernel takes to let broodd and the pinger run. */

typedef struct Pinger Pinger;

/* Phases are told apart by number, 1 to 3; in phase 0, the first one, nothing is asked. */
enum { PINGER_PHASES = 4 };

Pinger *pinger_start(const char *socket);
/* Calls made from now on belong to this phase. */
void pinger_phase(Pinger *p, unsigned phase);
/* Prints NAME/pause-p99 and NAME/pause-max, and forgets them. In phase 0 only. */
void pinger_print(Pinger *p, unsigned phase, const char *name);
void pinger_stop(Pinger *p);

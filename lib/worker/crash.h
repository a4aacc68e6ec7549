/* SPDX-License-Identifier: MIT */
#pragma once

/* Which slot's job has crashed, in a worker with several.
 *
 * The process falls with all of them. So that the others need not answer for it, a handler of the
 * signals by which programs crash notes the signal in the page of the slot whose thread (or
 * callback) it was, and lets the signal do what it would have done. */

#include "worker/slot_page.h"

/* Installs the handlers, once in the process. */
void crash_install(void);

/* This thread has a stack for them (without memory: its own), and works for the slot of this page.
 */
void crash_thread_begin(SlotPage *page);
void crash_thread_end(void);

/* From now on it works for that slot; NULL: for none that could be named. Returns for which it did
 * before. */
SlotPage *crash_blame(SlotPage *page);

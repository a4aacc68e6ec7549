/* SPDX-License-Identifier: MIT */
#pragma once

/* From the command line to a Spec. */

#include "ctl/ctl.h"

/* Reads the arguments of a job: JSON text, @FILE, or - for stdin; NULL means {}. Fills `to` with
 * the text of an object on one line. Returns a status. */
int spec_read_args(const Ctl *ctl, const char *word, Buffer *to);

/* Checks what options mean together. Returns a status. */
int spec_check(const Ctl *ctl);

/* Appends `handler`, `args` (text of an object) and what the options say, as members of an open
 * object. */
void spec_write(Buffer *b, const Options *o, const char *handler, Slice args);

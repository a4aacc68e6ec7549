/* SPDX-License-Identifier: MIT */
#pragma once

/* The arguments of an exec job, made ready to run. */

#include <jansson.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/cleanup.h"

typedef struct Command {
        char *path; /* of the program, found along PATH */
        char **argv, **environment;
        char *directory; /* NULL: the worker's */
        Buffer input;    /* its stdin */
} Command;

#define COMMAND_INIT { NULL, NULL, NULL, NULL, BUFFER_INIT }

/* Returns 0; -EINVAL with why in why[0..size) if they are wrong; -ENOENT or -EACCES if there is no
 * such program (argv is then set); -ENOMEM. */
int command_parse(Command *c, const json_t *args, char *why, size_t size);
void command_clear(Command *c);
DEFINE_FINI(Command, command_clear);

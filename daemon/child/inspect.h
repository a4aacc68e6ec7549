/* SPDX-License-Identifier: MIT */
#pragma once

/* What the kernel says of a process, gathered by brood-inspect (inspect.c) for one report.
 *
 * Each part looks at one thing and gives a JSON value, or NULL where nothing of it can be read.
 * What the kernel does not let us read is noted in `denied`; what is not there (a kernel without
 * it, a process that has just ended) is left out. */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/buffer.h"

typedef struct Target {
        pid_t pid;
        int proc;       /* /proc/PID: never that of a later process with the same number */
        json_t *denied; /* texts */
} Target;

/* --- reading (inspect_read.c) --- */

enum { INSPECT_TEXT_MAX = 8 * 1024 * 1024 };

/* A file below /proc/PID, up to INSPECT_TEXT_MAX of it, with a NUL behind its end. Returns 0 or
 * -errno; not being allowed to is noted as `what` (NULL: it is not). */
int target_read(Target *t, const char *file, const char *what, Buffer *to);
/* The same to be read line by line and closed; NULL: it can not be opened. */
FILE *target_stream(Target *t, const char *file, const char *what);
/* The text of a link below /proc/PID, to be freed; NULL: it can not be read, noted the same way. */
char *target_link(Target *t, const char *link, const char *what);
/* Opens a directory below /proc/PID; a descriptor or -errno. */
int target_open(Target *t, const char *directory, const char *what);
void target_note_denied(Target *t, const char *what);

/* What stands behind "Key:" in a text of lines; NULL: there is no such line. It goes on behind the
 * end of the line. */
const char *line_after(const char *text, const char *key);

/* Where the line ends; and the next one, NULL behind the last. */
size_t line_length(const char *line);
const char *line_next(const char *line);

/* A JSON string of any bytes: what is not UTF-8, and control characters, as \xNN. */
json_t *json_of_bytes(const char *bytes, size_t n);
json_t *json_of_text(const char *text);
/* The same, but for line breaks, which stay. */
json_t *json_of_lines(const char *text);
/* json_object_set_new(), and nothing if there is no value. */
void json_put(json_t *object, const char *key, json_t *value);

/* --- becoming somebody (inspect_user.c) --- */

/* Becomes the user that the process is, keeping of our rights only those to look into processes;
 * does nothing where it is the same one, or may not. Returns 0 or -errno. */
int inspect_become(Target *t);

/* --- parts --- */

json_t *inspect_attributes(Target *t);
json_t *inspect_limits(Target *t);
json_t *inspect_memory(Target *t);
/* Descriptors; the locks that are held by them come into `locks`, an array. */
json_t *inspect_descriptors(Target *t, json_t *locks);
/* What one line of /proc/locks or fdinfo says, as an object to be added to; NULL: the line is not
 * of a lock of `pid` (0: of anybody). */
json_t *inspect_lock(const char *line, pid_t pid);
/* Where descriptors can not be looked at: what /proc/locks has. */
json_t *inspect_locks(Target *t);
json_t *inspect_cgroup(Target *t);
json_t *inspect_stack(Target *t);

/* --- sockets (inspect_sockets.c) --- */

/* What the process' network knows of its sockets, by inode. */
typedef struct Sockets Sockets;
Sockets *sockets_read(Target *t);
void sockets_free(Sockets *s);
/* Adds protocol, addresses and state to the descriptor's object, where they are known. */
void sockets_describe(const Sockets *s, unsigned long inode, json_t *to);

/* SPDX-License-Identifier: MIT */

/* Locks of files, one line each as proc(5) has them:
 *
 *     1: POSIX  ADVISORY  WRITE 4711 08:01:131271 0 EOF
 *
 * One that hangs at an open file (FLOCK, OFDLCK) is held by all who have that file open, and the
 * pid is that of who took it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "child/inspect.h"

static json_t *range_end(const char *text)
{
        return strcmp(text, "EOF") == 0 ? json_null() : json_integer(strtoll(text, NULL, 10));
}

static const char *type_word(const char *type)
{
        return strcmp(type, "POSIX") == 0    ? "posix"
               : strcmp(type, "FLOCK") == 0  ? "flock"
               : strcmp(type, "OFDLCK") == 0 ? "ofd"
                                             : "lease or delegation";
}

json_t *inspect_lock(const char *line, pid_t pid)
{
        char type[16], mode[16], access[16], file[64], end[32];
        long long start;
        int holder;

        if (sscanf(line, " %*d: %15s %15s %15s %d %63s %lld %31s", type, mode, access, &holder,
                   file, &start, end) != 7 ||
            (pid && holder != pid))
                return NULL;
        return json_pack("{s:s,s:s,s:i,s:s,s:I,s:o}", "type", type_word(type), "access",
                         strcmp(access, "WRITE") == 0 ? "write" : "read", "taken_by", holder,
                         "file", file, "start", (json_int_t)start, "end", range_end(end));
}

json_t *inspect_locks(Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        json_t *list;

        if (target_read(t, "../locks", NULL, &b) < 0)
                return NULL;
        list = json_array();
        for (const char *line = buffer_bytes(&b); line; line = line_next(line)) {
                json_t *lock = inspect_lock(line, t->pid);

                if (lock)
                        (void)json_array_append_new(list, lock);
        }
        return list;
}

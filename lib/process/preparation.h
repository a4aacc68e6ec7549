/* SPDX-License-Identifier: MIT */
#pragma once

/* Preparation data: all that a pool's fork server and its workers inherit, in one struct, sent as
 * JSON through a descriptor (Python: multiprocessing.spawn.get_preparation_data). */

#include <jansson.h>
#include <stdint.h>

#define PREPARATION_UNSET UINT64_MAX

/* How each part travels: NUMBER (uint64_t, PREPARATION_UNSET: not set), TEXT (char *, NULL: none),
 * TEXTS (char **, ended by NULL; NULL: none), OBJECT (json_t *). */
#define PREPARATION_PARTS(X)                                                                       \
        X(TEXT, pool)                                                                              \
        X(TEXT, module)            /* path of the shared object */                                 \
        X(TEXT, builtin)           /* "exec" */                                                    \
        X(TEXTS, command)          /* program and arguments of a worker */                         \
        X(TEXTS, handlers)         /* which of the module's; none: all */                          \
        X(NUMBER, spawn)           /* 1: a fresh image for each worker */                          \
        X(TEXT, concurrency)       /* as the config spells it */                                   \
        X(NUMBER, slots)           /* of a worker */                                               \
        X(NUMBER, kill_after_usec) /* between rungs of a handler's own ladder */                   \
        X(NUMBER, output_max)      /* bytes kept of each stream of a command */                    \
        X(NUMBER, journal)         /* 1: what jobs write goes there */                             \
        X(NUMBER, max_message)     /* bytes */                                                     \
        X(TEXTS, environment)      /* all of it */                                                 \
        X(TEXT, working_directory)                                                                 \
        X(NUMBER, umask)                                                                           \
        X(NUMBER, nice)            /* plus 20 */                                                   \
        X(NUMBER, oom_score_adjust) /* plus 1000 */                                                \
        X(OBJECT, limits)          /* "LimitNOFILE": [soft, hard] …, as setrlimit() has them */    \
        X(NUMBER, limit_nofile_soft) /* where there is no LimitNOFILE */                           \
        X(TEXT, root_directory)                                                                    \
        X(TEXT, user)              /* its name, for messages */                                    \
        X(NUMBER, uid)                                                                             \
        X(NUMBER, gid)                                                                             \
        X(TEXTS, groups)           /* supplementary ones, decimal; none: as they are */            \
        X(NUMBER, no_new_privileges)                                                               \
        X(OBJECT, settings)        /* the pool's [Settings] */

#define PREPARATION_C_NUMBER uint64_t
#define PREPARATION_C_TEXT char *
#define PREPARATION_C_TEXTS char **
#define PREPARATION_C_OBJECT json_t *

typedef struct Preparation {
#define PREPARATION_MEMBER(type, name) PREPARATION_C_##type name;
        PREPARATION_PARTS(PREPARATION_MEMBER)
#undef PREPARATION_MEMBER
} Preparation;

/* Everything unset. */
void preparation_init(Preparation *p);
/* Frees all members: they are owned. */
void preparation_fini(Preparation *p);

/* An anonymous file with the data. Returns a descriptor (CLOEXEC) or -errno (-EINVAL: a text is not
 * UTF-8). */
int preparation_write(const Preparation *p);
/* Reads what preparation_write() made, from the start, whatever the file's offset; the descriptor
 * stays open. Returns 0 or -errno (-EBADMSG: it is something else), and then all is unset. */
int preparation_read(Preparation *p, int fd);

/* A copy of a list of strings; NULL for NULL or when memory ran out. */
char **texts_copy(char *const *texts);
void texts_free(char **texts);

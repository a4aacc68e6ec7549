/* SPDX-License-Identifier: MIT */
#pragma once

/* Ownership that ends with the scope.
 *
 * A constructor builds into a local marked AUTO(), returns early on any failure, and moves the
 * finished thing out with MOVE_PTR() or MOVE_FD() as its last act. */

#include <stdlib.h>
#include <unistd.h>

#define AUTO(func) __attribute__((cleanup(func##_cleanup)))

/* Declares the cleanup of a pointer type: AUTO(job_free) Job *j = NULL; */
#define DEFINE_CLEANUP(type, func)                                                                 \
        static inline void func##_cleanup(type **p)                                                \
        {                                                                                          \
                if (*p)                                                                            \
                        func(*p);                                                                  \
        }                                                                                          \
        struct func##_cleanup_needs_a_semicolon

#define MOVE_PTR(p)                                                                                \
        __extension__({                                                                            \
                __typeof__(p) moved_ = (p);                                                        \
                (p) = NULL;                                                                        \
                moved_;                                                                            \
        })

#define MOVE_FD(fd)                                                                                \
        __extension__({                                                                            \
                int moved_ = (fd);                                                                 \
                (fd) = -1;                                                                         \
                moved_;                                                                            \
        })

static inline void free_cleanup(void *p)
{
        free(*(void **)p);
}

static inline void fd_close_cleanup(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

/* The same for a thing that is embedded: AUTO(buffer_fini) Buffer b = BUFFER_INIT; */
#define DEFINE_FINI(type, func)                                                                    \
        static inline void func##_cleanup(type *p)                                                 \
        {                                                                                          \
                func(p);                                                                           \
        }                                                                                          \
        struct func##_cleanup_needs_a_semicolon

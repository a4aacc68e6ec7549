/* SPDX-License-Identifier: MIT */
#pragma once

/* Whom a setting means: users, groups, or everybody.
 *
 * Written as words: a user's name or number, `@` and a group's name or number, `*` for everybody.
 * Names become numbers when the text is read, so that nobody who is asked later has to look them
 * up; who is added to a group is in it by the groups of his process, not by the group's list. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Sorted, none twice. */
typedef struct PrincipalIds {
        uint32_t *ids;
        unsigned n;
} PrincipalIds;

typedef struct Principals {
        PrincipalIds users, groups;
        bool everybody;
} Principals;

/* Reads the words; none at all: nobody. Returns 0, -ENOMEM, or -EINVAL with what is wrong, and what
 * was expected, in why[0..size). Asks the user database, which may take its time. */
int principals_parse(Principals **ret, const char *text, char *why, size_t size);
void principals_free(Principals *p);
DEFINE_CLEANUP(Principals, principals_free);

/* Do both mean the same, however they are written? NULL, which is "not set", is equal to NULL. */
bool principals_equal(const Principals *a, const Principals *b);

/* Is nobody meant? */
bool principals_nobody(const Principals *p);

/* Is the user meant, or one of those groups? */
bool principals_match(const Principals *p, uint32_t uid, const uint32_t *gids, unsigned n_gids);

/* The bare sets. Add returns 0 or -ENOMEM. */
int principal_ids_add(PrincipalIds *set, uint32_t id);
bool principal_ids_have(const PrincipalIds *set, uint32_t id);
void principal_ids_clear(PrincipalIds *set);

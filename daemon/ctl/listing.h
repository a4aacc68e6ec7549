/* SPDX-License-Identifier: MIT */
#pragma once

/* A walk through the jobs that match the filters of the command line, newest first, a page at a
 * time. What is submitted meanwhile is newer than all that is still to come, so that it ends. */

#include "ctl/call.h"

enum { LISTING_PAGE = 1000 }; /* more are not given at once */

/* --state, --pool, --handler, --tag. */
#define LISTING_FILTERS                                                                            \
        (OPTION_BIT(OPTION_STATE) | OPTION_BIT(OPTION_POOL) | OPTION_BIT(OPTION_HANDLER) |         \
         OPTION_BIT(OPTION_TAG))

typedef struct Listing {
        Ctl *ctl;
        Uuid *page; /* the ids of the last page, which say where to go on */
        size_t n_page;
} Listing;

#define LISTING_INIT(ctl) { (ctl), NULL, 0 }
void listing_fini(Listing *l);
DEFINE_FINI(Listing, listing_fini);

/* Is there any filter? */
bool listing_filtered(const Options *o);

/* Can these filters be asked for? Returns a status. */
int listing_check(const Ctl *ctl);

/* The next page, of `limit` jobs at the most (and LISTING_PAGE); *ret_n is how many there are,
 * 0: the walk is over. Nothing is printed. Returns a status. */
int listing_next(Listing *l, int64_t limit, Reply *ret, size_t *ret_n);

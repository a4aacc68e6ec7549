/* SPDX-License-Identifier: MIT */
#pragma once

/* Words that a shell may complete what was typed to: those that begin so, each once, one a line. */

#include <jansson.h>

#include "base/buffer.h"
#include "ctl/ctl.h"

typedef struct Offer {
        Ctl *ctl;            /* its options say where the daemon is */
        const char *typed;   /* what a word has to begin with; "" for all */
        const char *prefix;  /* printed before each word: "--pool=" */
        bool described;      /* behind a tab follows what the word is */
        json_t *seen;        /* the words that are in `out`, or are not to be offered */
        unsigned n;
        Buffer out;
} Offer;

#define OFFER_INIT(c) { .ctl = (c), .typed = "", .prefix = "", .seen = json_object() }
void offer_fini(Offer *o);
DEFINE_FINI(Offer, offer_fini);

/* Offers a word, unless there are some hundred already. */
void offer_word(Offer *o, const char *word, const char *description);

/* Offers words between blanks. */
void offer_choices(Offer *o, const char *choices);

void offer_verbs(Offer *o);

/* The options of a verb, or the common ones. */
void offer_options(Offer *o, const Verb *verb);

/* What the daemon knows; silent, and bounded in time, if it does not answer. `states`: between
 * blanks, those that jobs may have; NULL: any. */
void offer_pools(Offer *o, const char *states);
void offer_handlers(Offer *o, const char *states);
void offer_workers(Offer *o, const char *states);
void offer_jobs(Offer *o, const char *states);
void offer_semaphores(Offer *o, const char *states); /* that recent jobs name */
void offer_tags(Offer *o, const char *states);       /* the same */

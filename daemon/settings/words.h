/* SPDX-License-Identifier: MIT */
#pragma once

/* Lists of words: arrays of strings that end with NULL, as argv does. No words at all: NULL. */

#include <stdbool.h>

#include "base/cleanup.h"

void words_free(char **words);
DEFINE_CLEANUP(char *, words_free);
bool words_equal(char *const *a, char *const *b);
unsigned words_count(char *const *words);

/* Appends a word, which then belongs to the list. Returns 0, or -ENOMEM with the word freed. */
int words_append(char ***words, char *word);

/* What stands between blanks. Returns 0 or -ENOMEM. */
int words_split(char ***ret, const char *text);

/* The words of a command line as in systemd.service(5): parts in '…' or "…" may hold blanks, a
 * backslash starts an escape of C (or \s, a blank) everywhere. Returns 0, -ENOMEM, or -EINVAL for a
 * quote that is not closed, for an unknown escape, and for what is not UTF-8 without NUL. */
int words_split_quoted(char ***ret, const char *text);

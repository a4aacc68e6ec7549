/* SPDX-License-Identifier: MIT */
#pragma once

/* Values as systemd spells them (systemd.syntax(7), systemd.time(7)). Each returns 0, or -EINVAL
 * where the text is not such a value, or -ERANGE where it does not fit. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* A whole decimal number. */
int parse_u64(const char *text, uint64_t *ret);
int parse_i64(const char *text, int64_t *ret);

/* 1 yes y true t on, 0 no n false f off; any case. */
int parse_bool(const char *text, bool *ret);

/* "5s", "2min", "1h 30min", "250ms", "1.5s"; a number alone means seconds; "infinity". */
int parse_span(const char *text, usec_t *ret);

/* "512", "64K", "1M", "2G", "1T", to the base of 1024; "infinity" is UINT64_MAX. */
int parse_size(const char *text, uint64_t *ret);

/* A point in time, in microseconds since the epoch: "@1700000000", "+5min", "now", "HH:MM[:SS]",
 * "YYYY-MM-DD", "YYYY-MM-DD HH:MM[:SS]" (T may stand for the blank), local time unless "UTC" or Z
 * follows. */
int parse_time(const char *text, usec_t now, usec_t *ret);

/* Writes the span as the largest two units, "1h 30min"; returns `to`. */
char *format_span(usec_t span, char *to, size_t size);

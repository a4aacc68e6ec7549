/* SPDX-License-Identifier: MIT */
#pragma once

/* UUIDs: 16 bytes in memory, 36 characters on the wire (RFC 9562). */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/slice.h"

#define UUID_TEXT 36

typedef struct Uuid {
        uint8_t bytes[16];
} Uuid;

/* A new version 7 UUID. Ids made in one process sort in the order in which they were made, as
 * section 6.2 of the RFC proposes: within a millisecond a counter takes the place of random bits.
 */
Uuid uuid_new(usec_t now);

/* Reads the usual text form, upper or lower case; any version. False if it is not one. */
bool uuid_parse(Slice text, Uuid *ret);

/* Writes 36 characters in lower case, no terminator. */
void uuid_write(const Uuid *u, char *to);

static inline bool uuid_equal(const Uuid *a, const Uuid *b)
{
        return memcmp(a, b, sizeof(*a)) == 0;
}

/* For printing: `%s` of uuid_text(&id).text. */
typedef struct UuidText {
        char text[UUID_TEXT + 1];
} UuidText;

static inline UuidText uuid_text(const Uuid *u)
{
        UuidText t;

        uuid_write(u, t.text);
        t.text[UUID_TEXT] = '\0';
        return t;
}

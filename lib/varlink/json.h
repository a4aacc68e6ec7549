/* SPDX-License-Identifier: MIT */
#pragma once

/* Writing JSON text into a buffer: a member is `"name":` and a value, with the comma before it
 * where one is needed. Strings must be UTF-8 without NUL. */

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/uuid.h"

/* `"name":` with the comma that the byte before asks for. `name` needs no escapes. */
void json_key(Buffer *b, const char *name);

/* Opens and closes: `{`, `}`, `[`, `]`, with a comma where one is needed. */
void json_open(Buffer *b, char bracket);
void json_close(Buffer *b, char bracket);

/* Values. A comma comes first where the byte before is neither `:`, `[` nor `{`. */
void json_string(Buffer *b, Slice s);       /* quotes and escapes it */
void json_escaped(Buffer *b, Slice s);      /* only quotes: it is escaped already */
void json_int(Buffer *b, int64_t v);
void json_bool(Buffer *b, bool v);
void json_float(Buffer *b, double v);       /* 17 digits at the most, always a real; never NaN */
void json_uuid(Buffer *b, const Uuid *v);
void json_raw(Buffer *b, Slice text);       /* JSON text as it is */

/* `"name":value`. */
static inline void json_string_member(Buffer *b, const char *name, Slice s)
{
        json_key(b, name);
        json_string(b, s);
}

static inline void json_int_member(Buffer *b, const char *name, int64_t v)
{
        json_key(b, name);
        json_int(b, v);
}

static inline void json_bool_member(Buffer *b, const char *name, bool v)
{
        json_key(b, name);
        json_bool(b, v);
}

static inline void json_raw_member(Buffer *b, const char *name, Slice text)
{
        json_key(b, name);
        json_raw(b, text);
}

/* Bytes of any kind: `"name":"…"` if they are UTF-8 without NUL, else `"name_base64":"…"`. */
void json_bytes_member(Buffer *b, const char *name, Slice bytes);

/* Is it UTF-8 without NUL? */
bool json_is_text(Slice bytes);

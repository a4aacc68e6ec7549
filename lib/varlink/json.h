/* SPDX-License-Identifier: MIT */
#pragma once

/* Writing JSON text into a buffer: a member is `"name":` and a value, with the comma before it
 * where one is needed. Strings must be UTF-8 without NUL. */

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/uuid.h"

/* `"name":` with the comma that the byte before asks for. `name` needs no escapes. */
void emit_key(Buffer *b, const char *name);

/* Opens and closes: `{`, `}`, `[`, `]`, with a comma where one is needed. */
void emit_open(Buffer *b, char bracket);
void emit_close(Buffer *b, char bracket);

/* Values. A comma comes first where the byte before is neither `:`, `[` nor `{`. */
void emit_string(Buffer *b, Slice s);       /* quotes and escapes it */
void emit_escaped(Buffer *b, Slice s);      /* only quotes: it is escaped already */
void emit_int(Buffer *b, int64_t v);
void emit_digits(Buffer *b, uint64_t v);    /* only the digits, no comma */
void emit_bool(Buffer *b, bool v);
void emit_float(Buffer *b, double v);       /* 17 digits at the most, always a real; never NaN */
void emit_uuid(Buffer *b, const Uuid *v);
void emit_raw(Buffer *b, Slice text);       /* JSON text as it is */

/* `"name":value`. */
static inline void emit_string_member(Buffer *b, const char *name, Slice s)
{
        emit_key(b, name);
        emit_string(b, s);
}

static inline void emit_int_member(Buffer *b, const char *name, int64_t v)
{
        emit_key(b, name);
        emit_int(b, v);
}

static inline void emit_bool_member(Buffer *b, const char *name, bool v)
{
        emit_key(b, name);
        emit_bool(b, v);
}

static inline void emit_raw_member(Buffer *b, const char *name, Slice text)
{
        emit_key(b, name);
        emit_raw(b, text);
}

/* Bytes of any kind: `"name":"…"` if they are UTF-8 without NUL, else `"name_base64":"…"`. */
void emit_bytes_member(Buffer *b, const char *name, Slice bytes);

/* Is it UTF-8 without NUL? */
bool json_is_text(Slice bytes);

/* SPDX-License-Identifier: MIT */

#include "base/uuid.h"

#include "base/entropy.h"

Uuid uuid_new(usec_t now)
{
        static __thread uint64_t last_ms;
        static __thread uint16_t counter;
        uint64_t ms = now / USEC_PER_MSEC;
        Uuid u;

        entropy_fill(u.bytes + 6, 10);
        if (ms > last_ms) {
                last_ms = ms;
                counter = (uint16_t)((u.bytes[6] << 8 | u.bytes[7]) & 0x7ff);
        } else if (++counter > 0xfff) {
                last_ms++; /* 2048 ids or more in this millisecond: borrow from the next */
                counter = 0;
        }
        for (int i = 0; i < 6; i++)
                u.bytes[i] = (uint8_t)(last_ms >> (40 - 8 * i));
        u.bytes[6] = (uint8_t)(0x70 | counter >> 8);
        u.bytes[7] = (uint8_t)counter;
        u.bytes[8] = (uint8_t)(0x80 | (u.bytes[8] & 0x3f));
        return u;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static bool dash_at(size_t i)
{
        return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uuid_parse(Slice text, Uuid *ret)
{
        Uuid u;
        unsigned n = 0;

        if (text.len != UUID_TEXT)
                return false;
        for (size_t i = 0; i < UUID_TEXT;) {
                int high, low;

                if (dash_at(i)) {
                        if (text.data[i++] != '-')
                                return false;
                        continue;
                }
                high = hex_digit(text.data[i++]);
                low = hex_digit(text.data[i++]);
                if (high < 0 || low < 0)
                        return false;
                u.bytes[n++] = (uint8_t)(high << 4 | low);
        }
        *ret = u;
        return true;
}

void uuid_write(const Uuid *u, char *to)
{
        static const char hex[] = "0123456789abcdef";

        for (unsigned n = 0; n < 16; n++) {
                if (n == 4 || n == 6 || n == 8 || n == 10)
                        *to++ = '-';
                *to++ = hex[u->bytes[n] >> 4];
                *to++ = hex[u->bytes[n] & 15];
        }
}

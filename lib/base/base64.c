/* SPDX-License-Identifier: MIT */

#include "base/base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_append(Buffer *b, Slice bytes)
{
        const unsigned char *p = (const unsigned char *)bytes.data;
        char *to = buffer_reserve(b, (bytes.len + 2) / 3 * 4);

        if (!to)
                return;
        b->end += (bytes.len + 2) / 3 * 4;
        for (size_t left = bytes.len; left; p += 3, to += 4) {
                size_t n = MIN(left, 3u);
                uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
                             (n > 2 ? p[2] : 0u);

                to[0] = alphabet[v >> 18];
                to[1] = alphabet[v >> 12 & 63];
                to[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
                to[3] = n > 2 ? alphabet[v & 63] : '=';
                left -= n;
        }
}

static int digit(char c)
{
        const char *found = c ? strchr(alphabet, c) : NULL;

        return found ? (int)(found - alphabet) : -1;
}

int base64_decode(Buffer *b, Slice text)
{
        size_t padding = 0, end = b->end;

        while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
                padding++;
        if (text.len % 4)
                return -EINVAL;
        for (size_t i = 0; i < text.len; i += 4) {
                size_t n = i + 4 == text.len ? 4 - padding : 4;
                uint32_t v = 0;

                for (size_t j = 0; j < 4; j++) {
                        int d = j < n ? digit(text.data[i + j]) : 0;

                        if (d < 0) {
                                b->end = end;
                                return -EINVAL;
                        }
                        v = v << 6 | (uint32_t)d;
                }
                for (size_t j = 0; j + 1 < n; j++)
                        buffer_append_char(b, (char)(v >> (16 - 8 * j)));
        }
        return 0;
}

/* SPDX-License-Identifier: MIT */

#include "base/utf8.h"

int utf8_length(const unsigned char *p, const unsigned char *end)
{
        size_t left = (size_t)(end - p);

        if (p[0] < 0xc2)
                return 0;
        if (p[0] < 0xe0)
                return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
        if (p[0] < 0xf0) {
                if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
                        return 0;
                if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
                        return 0;
                return 3;
        }
        if (p[0] > 0xf4 || left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 ||
            (p[3] & 0xc0) != 0x80)
                return 0;
        if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return 4;
}

bool utf8_valid(Slice text)
{
        const unsigned char *p = (const unsigned char *)text.data, *end;

        if (!text.len)
                return true;
        end = p + text.len;
        while (p < end) {
                int n = *p < 0x80 ? 1 : utf8_length(p, end);

                if (!n)
                        return false;
                p += n;
        }
        return true;
}

size_t utf8_cut(const char *text, size_t most)
{
        for (int i = 0; i < 3 && most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80; i++)
                most--;
        return most;
}

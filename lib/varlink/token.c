/* SPDX-License-Identifier: MIT */

#include "varlink/token.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"

/* --- strings --- */

static int hex4(const char *p, const char *end)
{
        int v = 0;

        if (end - p < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                char d = p[i];

                if (d >= '0' && d <= '9')
                        v = v << 4 | (d - '0');
                else if (d >= 'a' && d <= 'f')
                        v = v << 4 | (d - 'a' + 10);
                else if (d >= 'A' && d <= 'F')
                        v = v << 4 | (d - 'A' + 10);
                else
                        return -1;
        }
        return v;
}

/* The escape behind a backslash at *p; moves *p behind it. NUL and lone surrogates are refused. */
static bool check_escape(const char **p, const char *end)
{
        int unit;

        if (*p >= end)
                return false;
        if (**p != 'u') {
                if (!**p || !strchr("\"\\/bfnrt", **p))
                        return false;
                (*p)++;
                return true;
        }
        unit = hex4(*p + 1, end);
        if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
                return false;
        *p += 5;
        if (unit >= 0xd800 && unit <= 0xdbff) {
                int low;

                if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
                        return false;
                low = hex4(*p + 2, end);
                if (low < 0xdc00 || low > 0xdfff)
                        return false;
                *p += 6;
        }
        return true;
}

/* True for eight bytes that are all printable ASCII, neither quote nor backslash. */
static inline bool eight_plain(const char *p)
{
        const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
        uint64_t v, quote, slash;

        memcpy(&v, p, sizeof(v));
        quote = v ^ (ones * '"');
        slash = v ^ (ones * '\\');
        return !((v | (v - ones * 0x20) | (quote - ones) | (slash - ones)) & tops);
}

bool token_string(const char **at, const char *end, bool *escaped)
{
        const char *p = *at;

        *escaped = false;
        for (;;) {
                while (end - p >= 8 && eight_plain(p))
                        p += 8;
                if (p >= end || (unsigned char)*p < 0x20)
                        return false;
                if (*p == '"')
                        break;
                if (*p == '\\') {
                        p++;
                        *escaped = true;
                        if (!check_escape(&p, end))
                                return false;
                } else if ((unsigned char)*p < 0x80) {
                        p++;
                } else {
                        int n = utf8_length((const unsigned char *)p, (const unsigned char *)end);

                        if (!n)
                                return false;
                        p += n;
                }
        }
        *at = p + 1;
        return true;
}

static char *put_utf8(char *to, unsigned code)
{
        if (code < 0x80) {
                *to++ = (char)code;
        } else if (code < 0x800) {
                *to++ = (char)(0xc0 | code >> 6);
                *to++ = (char)(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
                *to++ = (char)(0xe0 | code >> 12);
                *to++ = (char)(0x80 | (code >> 6 & 0x3f));
                *to++ = (char)(0x80 | (code & 0x3f));
        } else {
                *to++ = (char)(0xf0 | code >> 18);
                *to++ = (char)(0x80 | (code >> 12 & 0x3f));
                *to++ = (char)(0x80 | (code >> 6 & 0x3f));
                *to++ = (char)(0x80 | (code & 0x3f));
        }
        return to;
}

size_t varlink_unescape(Slice text, char *to)
{
        static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
        const char *p = text.data, *end = text.data + text.len;
        char *start = to;

        while (p < end) {
                unsigned code;

                if (*p != '\\') {
                        *to++ = *p++;
                        continue;
                }
                p++;
                if (*p != 'u') {
                        *to++ = into[strchr(from, *p++) - from];
                        continue;
                }
                code = (unsigned)hex4(p + 1, end);
                p += 5;
                if (code >= 0xd800 && code <= 0xdbff) {
                        code = 0x10000 + ((code - 0xd800) << 10) +
                               ((unsigned)hex4(p + 2, end) - 0xdc00);
                        p += 6;
                }
                to = put_utf8(to, code);
        }
        return (size_t)(to - start);
}

/* --- numbers --- */

static const char *digits(const char *p, const char *end)
{
        while (p < end && *p >= '0' && *p <= '9')
                p++;
        return p;
}

/* Without an exponent, and shorter than the longest double, every real is finite. */
static bool real_fits(const char *from, size_t n, bool exponent)
{
        char small[64], *text;
        bool fits;

        if (!exponent && n < DBL_MAX_10_EXP)
                return true;
        text = n < sizeof(small) ? small : malloc(n + 1);
        if (!text)
                return false;
        memcpy(text, from, n);
        text[n] = '\0';
        fits = isfinite(strtod(text, NULL));
        if (text != small)
                free(text);
        return fits;
}

static bool integer_fits(const char *from, const char *end)
{
        static const char limits[2][20] = { "9223372036854775807", "9223372036854775808" };
        bool negative = *from == '-';
        size_t n;

        from += negative;
        n = (size_t)(end - from);
        return n < 19 || (n == 19 && memcmp(from, limits[negative], 19) <= 0);
}

/* At least one digit; false if there is none. */
static bool some_digits(const char **p, const char *end)
{
        const char *first = *p;

        *p = digits(first, end);
        return *p != first;
}

bool token_number(const char **at, const char *end, bool *integer, bool *fits)
{
        const char *from = *at, *p = *at, *first;
        bool exponent = false;

        p += p < end && *p == '-';
        first = p;
        if (!some_digits(&p, end) || (*first == '0' && p - first > 1))
                return false;
        *integer = true;
        if (p < end && *p == '.') {
                *integer = false;
                p++;
                if (!some_digits(&p, end))
                        return false;
        }
        if (p < end && (*p == 'e' || *p == 'E')) {
                *integer = false;
                exponent = true;
                p++;
                p += p < end && (*p == '+' || *p == '-');
                if (!some_digits(&p, end))
                        return false;
        }
        *fits = *integer ? integer_fits(from, p) : real_fits(from, (size_t)(p - from), exponent);
        *at = p;
        return true;
}

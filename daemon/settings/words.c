/* SPDX-License-Identifier: MIT */

#include "settings/words.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/utf8.h"

static const char blanks[] = " \t";

void words_free(char **words)
{
        for (char **w = words; w && *w; w++)
                free(*w);
        free(words);
}

unsigned words_count(char *const *words)
{
        unsigned n = 0;

        while (words && words[n])
                n++;
        return n;
}

bool words_equal(char *const *a, char *const *b)
{
        unsigned n = words_count(a);

        if (words_count(b) != n)
                return false;
        for (unsigned i = 0; i < n; i++)
                if (strcmp(a[i], b[i]) != 0)
                        return false;
        return true;
}

int words_append(char ***words, char *word)
{
        unsigned n = words_count(*words);
        char **grown = word ? realloc(*words, (n + 2) * sizeof(*grown)) : NULL;

        if (!grown) {
                free(word);
                return -ENOMEM;
        }
        grown[n] = word;
        grown[n + 1] = NULL;
        *words = grown;
        return 0;
}

int words_split(char ***ret, const char *text)
{
        AUTO(words_free) char **words = NULL;

        for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
                size_t n = strcspn(text, blanks);

                if (words_append(&words, strndup(text, n)) < 0)
                        return -ENOMEM;
                text += n;
        }
        *ret = MOVE_PTR(words);
        return 0;
}

/* Reads n digits to the base (a power of two that `bits` counts). */
static int read_digits(const char **p, int n, int bits, uint32_t *ret)
{
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        uint32_t v = 0;

        for (int i = 0; i < n; i++, (*p)++) {
                const char *found = **p ? strchr(digits, **p) : NULL;

                if (!found || (found - digits) % 16 >= 1 << bits)
                        return -EINVAL;
                v = v << bits | (uint32_t)((found - digits) % 16);
        }
        *ret = v;
        return v ? 0 : -EINVAL;
}

static int append_character(Buffer *b, uint32_t code)
{
        if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return -EINVAL;
        if (code < 0x80) {
                buffer_append_char(b, (char)code);
                return 0;
        }
        if (code < 0x800) {
                buffer_append_char(b, (char)(0xc0 | code >> 6));
        } else {
                if (code < 0x10000) {
                        buffer_append_char(b, (char)(0xe0 | code >> 12));
                } else {
                        buffer_append_char(b, (char)(0xf0 | code >> 18));
                        buffer_append_char(b, (char)(0x80 | (code >> 12 & 0x3f)));
                }
                buffer_append_char(b, (char)(0x80 | (code >> 6 & 0x3f)));
        }
        buffer_append_char(b, (char)(0x80 | (code & 0x3f)));
        return 0;
}

/* The escape behind a backslash at *p; moves *p behind it. */
static int read_escape(const char **p, Buffer *b)
{
        static const char from[] = "abfnrtvs\\\"'", into[] = "\a\b\f\n\r\t\v \\\"'";
        const char *found = **p ? strchr(from, **p) : NULL;
        char kind = **p;
        uint32_t code;

        if (found) {
                buffer_append_char(b, into[found - from]);
                (*p)++;
                return 0;
        }
        if (kind >= '0' && kind <= '3') {
                if (read_digits(p, 3, 3, &code) < 0)
                        return -EINVAL;
                buffer_append_char(b, (char)code);
                return 0;
        }
        if (kind != 'x' && kind != 'u' && kind != 'U')
                return -EINVAL;
        (*p)++;
        if (read_digits(p, kind == 'x' ? 2 : kind == 'u' ? 4 : 8, 4, &code) < 0)
                return -EINVAL;
        if (kind != 'x')
                return append_character(b, code);
        buffer_append_char(b, (char)code);
        return 0;
}

/* One word at *p, which is no blank; moves *p behind it. */
static int read_word(const char **p, Buffer *b)
{
        char quote = '\0';

        for (; **p && (quote || !strchr(blanks, **p));) {
                char c = *(*p)++;

                if (c == '\\') {
                        if (read_escape(p, b) < 0)
                                return -EINVAL;
                } else if (quote ? c == quote : c == '"' || c == '\'') {
                        quote = quote ? '\0' : c;
                } else {
                        buffer_append_char(b, c);
                }
        }
        if (b->failed)
                return -ENOMEM;
        return quote || !utf8_valid(buffer_slice(b)) ? -EINVAL : 0;
}

static char *copy_of(const Buffer *word)
{
        return strndup(buffer_len(word) ? buffer_bytes(word) : "", buffer_len(word));
}

int words_split_quoted(char ***ret, const char *text)
{
        AUTO(words_free) char **words = NULL;
        AUTO(buffer_fini) Buffer word = BUFFER_INIT;

        for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
                int r;

                buffer_clear(&word, SIZE_MAX);
                r = read_word(&text, &word);
                if (r == 0)
                        r = words_append(&words, copy_of(&word));
                if (r < 0)
                        return r;
        }
        *ret = MOVE_PTR(words);
        return 0;
}

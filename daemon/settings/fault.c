/* SPDX-License-Identifier: MIT */

#include "settings/fault.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/utf8.h"

enum { LONGEST_COMPARED = 64 };

int shown_length(const char *text, int limit)
{
        size_t n = strnlen(text, (size_t)limit);

        while (n && !utf8_valid((Slice){ text, n }))
                n--;
        return (int)n;
}

int settings_fault(SettingsError *error, const char *file, int line, const char *format, ...)
{
        va_list args;

        *error = (SettingsError){ .line = line };
        (void)snprintf(error->file, sizeof(error->file), "%s", file);
        va_start(args, format);
        (void)vsnprintf(error->message, sizeof(error->message), format, args);
        va_end(args);
        error->message[shown_length(error->message, sizeof(error->message) - 1)] = '\0';
        return -EINVAL;
}

/* Letters to insert, remove, replace or swap with a neighbour to make one of the other, whatever
 * their case (the "optimal string alignment" distance). */
static unsigned distance(const char *a, const char *b)
{
        unsigned rows[3][LONGEST_COMPARED + 1] = { 0 };
        unsigned *before = rows[0], *last = rows[1], *now = rows[2], *spare;
        size_t n = strlen(b);

        for (unsigned j = 0; j <= n; j++)
                last[j] = j;
        for (unsigned i = 1; a[i - 1]; i++) {
                now[0] = i;
                for (unsigned j = 1; j <= n; j++) {
                        int x = tolower((unsigned char)a[i - 1]);
                        int y = tolower((unsigned char)b[j - 1]);

                        now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + (x != y));
                        if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                            y == tolower((unsigned char)a[i - 2]))
                                now[j] = MIN(now[j], before[j - 2] + 1);
                }
                spare = before;
                before = last;
                last = now;
                now = spare;
        }
        return last[n];
}

const char *nearest_word(const char *word, const char *const *words, unsigned n)
{
        unsigned best = MAX((unsigned)strlen(word) / 3, 1u) + 1;
        const char *found = NULL;

        if (strlen(word) > LONGEST_COMPARED)
                return NULL;
        for (unsigned i = 0; i < n; i++) {
                unsigned d = strlen(words[i]) > LONGEST_COMPARED ? best : distance(word, words[i]);

                if (d < best) {
                        best = d;
                        found = words[i];
                }
        }
        return found;
}

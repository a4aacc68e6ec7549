/* SPDX-License-Identifier: MIT */

#include "ops/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int max_level = 6;

void log_set_level(int level)
{
        max_level = level;
}

void log_line(int level, const char *format, ...)
{
        char line[4096];
        va_list args;
        int n = 0;

        if (level > max_level)
                return;
        if (!isatty(STDERR_FILENO))
                n = snprintf(line, sizeof(line), "<%d>", level);
        va_start(args, format);
        n += vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, format, args);
        va_end(args);
        n = MIN(n, (int)sizeof(line) - 2);
        line[n++] = '\n';
        if (write(STDERR_FILENO, line, (size_t)n) < 0)
                return; /* nobody listens: there is no better place to say so */
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* The daemon's log: one event, one line, key=value where it helps. On a terminal plain lines, else
 * with the level in front as sd-daemon(3) has it. */

#include "base/macros.h"

/* Levels of syslog(3): 3 error, 4 warning, 5 notice, 6 info, 7 debug. */
void log_set_level(int level);
void log_line(int level, const char *format, ...) PRINTF(2, 3);

#define log_error(...) log_line(3, __VA_ARGS__)
#define log_warning(...) log_line(4, __VA_ARGS__)
#define log_notice(...) log_line(5, __VA_ARGS__)
#define log_info(...) log_line(6, __VA_ARGS__)
#define log_debug(...) log_line(7, __VA_ARGS__)

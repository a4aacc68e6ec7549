/* SPDX-License-Identifier: MIT */
#pragma once

/* How a process ended, and how people and programs say it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

/* The kernel's verdict with what the process used. */
typedef struct ExitVerdict {
        int status; /* as from waitpid(2); -1: it ended, and nobody could say how */
        uint64_t cpu_usec;
        uint64_t peak_memory_bytes;
} ExitVerdict;

ExitVerdict exit_verdict(int status, const struct rusage *usage);

/* The exit status, or -1 if a signal ended it. */
int exit_verdict_status(const ExitVerdict *v);
/* The signal, or 0 if none ended it. */
int exit_verdict_signal(const ExitVerdict *v);
/* Both in one, as Python has it: the exit status, or minus the signal. */
int exit_verdict_code(const ExitVerdict *v);
bool exit_verdict_core(const ExitVerdict *v);

/* "KILL", "SEGV", "RTMIN+3"; valid until the next call in this thread. */
const char *signal_name(int signal);

/* The number of "SEGV" or "SIGSEGV"; 0 if there is no such signal. */
int signal_number(const char *name);

/* "was killed by SIGKILL", "ended with status 3"; returns `to`. */
char *exit_verdict_words(const ExitVerdict *v, char *to, size_t size);

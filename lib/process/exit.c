/* SPDX-License-Identifier: MIT */

#include "process/exit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

ExitVerdict exit_verdict(int status, const struct rusage *usage)
{
        return (ExitVerdict){
                .status = status,
                .cpu_usec = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000u +
                            (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec),
                .peak_memory_bytes = (uint64_t)usage->ru_maxrss * 1024u,
        };
}

int exit_verdict_status(const ExitVerdict *v)
{
        return v->status != -1 && WIFEXITED(v->status) ? WEXITSTATUS(v->status) : -1;
}

int exit_verdict_signal(const ExitVerdict *v)
{
        return v->status != -1 && WIFSIGNALED(v->status) ? WTERMSIG(v->status) : 0;
}

int exit_verdict_code(const ExitVerdict *v)
{
        int signal = exit_verdict_signal(v);

        return signal ? -signal : exit_verdict_status(v);
}

bool exit_verdict_core(const ExitVerdict *v)
{
        return v->status != -1 && WIFSIGNALED(v->status) && WCOREDUMP(v->status);
}

const char *signal_name(int signal)
{
        static __thread char text[32];
        const char *name = sigabbrev_np(signal);

        if (name)
                return name;
        if (signal >= SIGRTMIN && signal <= SIGRTMAX)
                (void)snprintf(text, sizeof(text), "RTMIN+%d", signal - SIGRTMIN);
        else
                (void)snprintf(text, sizeof(text), "%d", signal);
        return text;
}

int signal_number(const char *name)
{
        if (strncmp(name, "SIG", 3) == 0)
                name += 3;
        for (int s = 1; s < NSIG; s++) {
                const char *known = sigabbrev_np(s);

                if (known && strcmp(known, name) == 0)
                        return s;
        }
        return 0;
}

char *exit_verdict_words(const ExitVerdict *v, char *to, size_t size)
{
        if (v->status == -1)
                (void)snprintf(to, size, "ended, nobody knows how,");
        else if (exit_verdict_signal(v))
                (void)snprintf(to, size, "was killed by SIG%s%s",
                               signal_name(exit_verdict_signal(v)),
                               exit_verdict_core(v) ? " (core dumped)" : "");
        else
                (void)snprintf(to, size, "ended with status %d", exit_verdict_status(v));
        return to;
}

/* SPDX-License-Identifier: MIT */

#include "worker/crash.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"

enum { STACK = 64 * 1024 };

static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
static struct sigaction before[ELEMENTS(signals)];

static _Thread_local SlotPage *blamed;
static _Thread_local void *stack;

SlotPage *crash_blame(SlotPage *page)
{
        SlotPage *last = blamed;

        blamed = page;
        return last;
}

/* Sent by somebody else, it is no crash of ours. */
static bool is_ours(const siginfo_t *info)
{
        return info->si_code > 0 || info->si_pid == getpid();
}

/* What was there before takes its course. A fault comes again when the instruction does. */
static void pass_on(int signal, const siginfo_t *info)
{
        struct sigaction action = { .sa_handler = SIG_DFL };

        for (size_t i = 0; i < ELEMENTS(signals); i++)
                if (signals[i] == signal)
                        action = before[i];
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        if (info->si_code <= 0)
                action = (struct sigaction){ .sa_handler = SIG_DFL }; /* it is meant: no report */
#endif
        (void)sigaction(signal, &action, NULL);
        if (info->si_code <= 0)
                (void)raise(signal); /* when we return */
}

static void on_crash(int signal, siginfo_t *info, void *context UNUSED)
{
        SlotPage *page = blamed;

        if (page && is_ours(info))
                slot_page_crashed(page, signal);
        pass_on(signal, info);
}

void crash_install(void)
{
        struct sigaction action = { .sa_sigaction = on_crash,
                                    .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND };

        sigfillset(&action.sa_mask);
        for (size_t i = 0; i < ELEMENTS(signals); i++)
                (void)sigaction(signals[i], &action, &before[i]);
}

void crash_thread_begin(SlotPage *page)
{
        stack_t s = { .ss_size = STACK };

        blamed = page;
        stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED) {
                stack = NULL;
                return;
        }
        s.ss_sp = stack;
        (void)sigaltstack(&s, NULL);
}

void crash_thread_end(void)
{
        const stack_t none = { .ss_flags = SS_DISABLE };

        blamed = NULL;
        if (!stack)
                return;
        (void)sigaltstack(&none, NULL);
        (void)munmap(stack, STACK);
        stack = NULL;
}

/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
        const char *name;
        void (*run)(void);
} cases[256];
static unsigned n_cases;

void case_register(const char *name, void (*run)(void))
{
        if (n_cases == LENGTH(cases))
                abort();
        cases[n_cases].name = name;
        cases[n_cases++].run = run;
}

void say(const char *format, ...)
{
        char line[1024];
        va_list list;
        int n;

        va_start(list, format);
        n = vsnprintf(line, sizeof(line) - 1, format, list);
        va_end(list);
        if (n < 0 || (size_t)n >= sizeof(line) - 1)
                abort();
        line[n++] = '\n';
        if (write(1, line, (size_t)n) != n)
                _exit(98);
}

const char *yes(bool value)
{
        return value ? "yes" : "no";
}

const char *word(int r)
{
        switch (r) {
        case 0:
                return "ok";
        case 1: /* BROOD_OWNER_DIED */
                return "ok, owner died";
        case -ETIMEDOUT:
                return "timed out";
        case -EPIPE:
                return "broken pipe";
        case -ECONNRESET:
                return "end of file";
        case -EPROTO:
                return "cut off";
        case -EPERM:
        case -EINVAL:
        case -EBADF:
        case -EMSGSIZE:
        case -ENOENT:
        case -ESHUTDOWN:
                return "refused";
        default:
                return strerror(-r);
        }
}

int must(int r, const char *what)
{
        if (r >= 0)
                return r;
        fprintf(stderr, "%s: %s\n", what, strerror(-r));
        exit(97);
}

BroodProcess *child_with(BroodTarget target, void *context, unsigned n, ...)
{
        BroodProcessSpec spec = { .method = BROOD_FORK, .function = target, .context = context };
        BroodProcess *p;
        va_list list;
        int fds[16];

        va_start(list, n);
        for (unsigned i = 0; i < n && i < LENGTH(fds); i++)
                fds[i] = brood_connection_fd(va_arg(list, BroodConnection *));
        va_end(list);
        spec.fds = fds;
        spec.n_fds = n;
        MUST(brood_process_start(&p, &spec));
        return p;
}

BroodProcess *child(BroodTarget target, void *context)
{
        return child_with(target, context, 0);
}

BroodProcess *child_by(BroodStartMethod method, const char *entry, json_t *args, const int *fds,
                       unsigned n_fds)
{
        BroodProcess *p;

        MUST(brood_process_start(&p, &(BroodProcessSpec){
                                             .method = method,
                                             .target = entry,
                                             .args = args,
                                             .fds = fds,
                                             .n_fds = n_fds,
                                     }));
        return p;
}

void say_exit(const char *before, BroodProcess *p)
{
        int code;

        if (brood_process_exit_code(p, &code) == -EAGAIN)
                say("%sruns", before);
        else
                say("%sexit code %d", before, code);
}

void ended(BroodProcess *p)
{
        MUST(brood_process_join(p, -1));
        say_exit("", p);
        brood_process_free(p);
}

bool ends_within(BroodProcess *p, double seconds)
{
        bool over = brood_process_join(p, usec(seconds)) == 0;

        if (!over)
                MUST(brood_process_kill(p));
        brood_process_free(p);
        return over;
}

void nap(double seconds)
{
        struct timespec t = {
                .tv_sec = (time_t)seconds,
                .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
        };

        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
                ;
}

int64_t usec(double seconds)
{
        return (int64_t)(seconds * 1e6);
}

int for_ever(BroodChild *self)
{
        (void)self;
        nap(60);
        return 0;
}

int main(int argc, char **argv)
{
        brood_process_init(argc, argv);
        for (unsigned i = 0; i < n_cases; i++) {
                if (argc == 2 && strcmp(argv[1], "--list") == 0)
                        puts(cases[i].name);
                if (argc == 2 && strcmp(argv[1], cases[i].name) == 0) {
                        cases[i].run();
                        return 0;
                }
        }
        return argc == 2 && strcmp(argv[1], "--list") == 0 ? 0 : 2;
}

/* SPDX-License-Identifier: MIT */

/* bench: what this machine does with brood, measured on a daemon of its own. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/bench/show.h"
#include "ctl/bench/noops.h"
#include "ctl/call.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

enum { MIN_SLOTS = 2, MAX_SLOTS = 128, MAX_DEFAULT_SLOTS = 32, MAX_MODELS = 16 };

#define DEFAULT_TIME USEC_PER_SEC
#define MIN_TIME (10 * USEC_PER_MSEC)
#define MAX_TIME (60 * USEC_PER_SEC)

/* --- progress --- */

static void show_progress(const BenchRow *row, const char *what)
{
        fprintf(stderr, "\r\033[K%s: %s …", row->title, what);
        (void)fflush(stderr);
}

static void show_nothing(const BenchRow *row, const char *what)
{
}

static void end_progress(const BenchPlan *plan)
{
        if (plan->progress == show_progress)
                fprintf(stderr, "\r\033[K");
}

/* --- models --- */

static unsigned measure_all(BenchPlan *plan, const char *only, BenchFigures *figures)
{
        const BenchRow *row;
        unsigned n = 0;

        for (unsigned i = 0; (row = bench_row(i)) && n < MAX_MODELS; i++)
                if (!only || bench_row_is_in(row, only))
                        bench_model(plan, row, &figures[n++]);
        end_progress(plan);
        return n;
}

static int show(const Ctl *ctl, const BenchPlan *plan, const BenchFigures *figures, unsigned n)
{
        int status = STATUS_DONE;
        unsigned measured = 0;
        json_t *object;

        for (unsigned i = 0; i < n; i++)
                measured += !figures[i].why[0];
        if (option_given(ctl->options, OPTION_JSON)) {
                object = bench_show_json(plan, figures, n);
                status = object ? call_print(object) : ctl_no_memory();
                json_decref(object);
        } else {
                bench_show_table(plan, figures, n);
        }
        return status == STATUS_DONE && measured == 0 ? STATUS_FAILED : status;
}

static int bench_models(Ctl *ctl, BenchPlan *plan)
{
        const Options *o = ctl->options;
        const char *only = o->values[OPTION_ONLY].text;
        AUTO(free) BenchFigures *figures = calloc(MAX_MODELS, sizeof(*figures));
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        if (!figures)
                return ctl_no_memory();
        if (only && bench_rows_stranger(only, &b))
                return ctl_usage(ctl, "--only: %.*s", (int)buffer_len(&b),
                                 b.data ? buffer_bytes(&b) : "");
        return show(ctl, plan, figures, measure_all(plan, only, figures));
}

/* Options that say nothing to what is measured are mistakes. */
static int check_what(const Ctl *ctl, const char *what)
{
        bool models = strcmp(what, "models") == 0;

        if (!models && strcmp(what, "throughput") != 0 && strcmp(what, "latency") != 0)
                return ctl_usage(ctl, "'%s' is not one of: models, throughput, latency", what);
        if (models && option_given(ctl->options, OPTION_DIRECTORY))
                return ctl_usage(ctl, "--directory is for throughput and latency");
        if (!models && option_given(ctl->options, OPTION_ONLY))
                return ctl_usage(ctl, "--only is for models");
        return STATUS_DONE;
}

static int check_options(const Ctl *ctl, BenchPlan *plan, const char *what)
{
        const OptionValue *values = ctl->options->values;
        int status = check_what(ctl, what);

        if (status)
                return status;
        plan->cpus = bench_count_cpus();
        plan->slots = MIN(MAX(plan->cpus, (unsigned)MIN_SLOTS), (unsigned)MAX_DEFAULT_SLOTS);
        if (option_given(ctl->options, OPTION_SLOTS))
                plan->slots = (unsigned)values[OPTION_SLOTS].number;
        if (option_given(ctl->options, OPTION_SECONDS))
                plan->time = (usec_t)values[OPTION_SECONDS].number;
        if (plan->time < MIN_TIME || plan->time > MAX_TIME)
                return ctl_usage(ctl, "--seconds: '%s' is not from 0.01 to 60",
                                 values[OPTION_SECONDS].text);
        if (access(plan->program, X_OK) < 0) {
                say("bench: there is no broodd at %s (BROOD_DAEMON= says where it is)",
                    plan->program);
                return STATUS_FAILED;
        }
        return STATUS_DONE;
}

int verb_bench(Ctl *ctl)
{
        BenchPlan plan = { .time = DEFAULT_TIME,
                           .program = bench_daemon_program(),
                           .progress = isatty(STDERR_FILENO) ? show_progress : show_nothing };
        const char *what = ctl->n_words ? ctl->words[0] : "models";
        const char *directory = ctl->options->values[OPTION_DIRECTORY].text;
        int status = check_options(ctl, &plan, what);

        if (status)
                return status;
        if (strcmp(what, "models") == 0)
                return bench_models(ctl, &plan);
        if (strcmp(what, "throughput") == 0)
                return bench_throughput(ctl, &plan, directory);
        return bench_latency(ctl, &plan, directory);
}

/* SPDX-License-Identifier: MIT */

#include "ctl/bench/show.h"

#include <stdio.h>
#include <string.h>

#include "ctl/table.h"

/* --- for people --- */

static Colour colour_of(Verdict v)
{
        static const Colour colours[] = {
                [VERDICT_NO] = YELLOW, [VERDICT_YES] = GREEN, [VERDICT_OPEN] = FAINT,
        };

        return colours[v];
}

static double median_of(const double *values, size_t n)
{
        double copy[BENCH_ROUNDS];

        memcpy(copy, values, n * sizeof(*copy));
        return judge_median(copy, n);
}

static void time_cell(Table *t, const double *tries)
{
        table_cell(t, PLAIN, "%.1fms", median_of(tries, BENCH_TRIES) / USEC_PER_MSEC);
}

static void add_row(Table *t, const BenchPlan *plan, const BenchFigures *f)
{
        table_cell(t, PLAIN, "%s", f->row->title);
        for (unsigned i = 1; f->why[0] && i < t->n_columns; i++)
                table_cell(t, FAINT, "-");
        if (f->why[0])
                return;
        table_cell(t, colour_of(f->concurrent), "%s", verdict_word(f->concurrent));
        table_cell(t, colour_of(f->parallel), "%s", verdict_word(f->parallel));
        table_cell(t, PLAIN, "%.2f", f->waiting.speedup);
        table_cell(t, PLAIN, "%.2f", f->cpu.speedup);
        time_cell(t, f->start_usec);
        time_cell(t, f->replace_usec);
        table_cell(t, PLAIN, "%s", size_text(f->memory > 0 ? (uint64_t)f->memory : 0).text);
        table_cell(t, PLAIN, "%u of %u", f->hit, plan->slots);
}

static void print_meaning(const BenchPlan *plan)
{
        double waiting = judge_possible_waiting(plan->slots);
        double cpu = judge_possible_cpu(plan->slots, plan->cpus);

        printf("\nWAITING and CPU: how many times as fast %u slots are as one, with jobs that wait "
               "%dms and\nwith jobs that calculate for about %dms, on %u CPU%s. ",
               plan->slots, BENCH_SLEEP_MSEC, BENCH_BURN_MSEC, plan->cpus, PLURAL(plan->cpus));
        printf("CONCURRENT from %.2f on, which is half\nway from 1 to the %.0f that are possible; ",
               judge_threshold(waiting), waiting);
        if (cpu > 1)
                printf("PARALLEL from %.2f on, half way to %.0f. ", judge_threshold(cpu), cpu);
        else
                printf("whether PARALLEL takes a second CPU to tell. ");
        printf("START: until the\nworkers of %u slots are ready. REPLACED: from the death of a "
               "worker to the next job done by\nits successor. SLOT: memory of one slot more. "
               "CRASH: how many of %u running jobs one that\ncrashes costs an attempt.\n",
               plan->slots, plan->slots);
}

static bool is_noisy(const BenchPlan *plan, const BenchFigures *f)
{
        return judge_is_noisy(f->possible, judge_possible_cpu(plan->slots, plan->cpus));
}

static bool is_held_by_one_lock(const BenchFigures *f)
{
        return strcmp(f->row->model, "subinterpreter") == 0 && !f->why[0] &&
               f->parallel == VERDICT_NO;
}

static void print_notes(const BenchPlan *plan, const BenchFigures *figures, unsigned n)
{
        unsigned noisy = 0;

        for (unsigned i = 0; i < n; i++) {
                const BenchFigures *f = &figures[i];

                noisy += !f->why[0] && is_noisy(plan, f);
                if (f->why[0])
                        say("bench: %s could not be measured: %s", f->row->name, f->why);
                else if (is_held_by_one_lock(f))
                        printf("Subinterpreters of CPython have a lock each from 3.12 on; those of "
                               "before share one.\n");
        }
        if (noisy)
                printf("The CPUs were busy with something else, too, while %u of these were "
                       "measured: CPU is less\nthan it could be, and PARALLEL judged by what was "
                       "left.\n", noisy);
}

void bench_show_table(const BenchPlan *plan, const BenchFigures *figures, unsigned n)
{
        static const char *const headers[] = { "MODEL", "CONCURRENT", "PARALLEL", "WAITING", "CPU",
                                               "START", "REPLACED", "SLOT", "CRASH", NULL };
        Table t;

        table_init(&t, headers, "lllrrrrrr");
        for (unsigned i = 0; i < n; i++)
                add_row(&t, plan, &figures[i]);
        table_print(&t, 0);
        table_fini(&t);
        print_meaning(plan);
        print_flush();
        print_notes(plan, figures, n);
}

/* --- as JSON --- */

static json_t *list_json(const double *values, unsigned n)
{
        json_t *list = json_array();

        for (unsigned i = 0; i < n; i++)
                (void)json_array_append_new(list, json_real(values[i]));
        return list;
}

static json_t *speeds_json(const BenchSpeeds *s)
{
        return json_pack("{s:o, s:o, s:f}", "one_slot_per_second", list_json(s->one, s->n),
                         "all_slots_per_second", list_json(s->all, s->n), "speedup", s->speedup);
}

static json_t *verdict_json(Verdict v)
{
        return v == VERDICT_OPEN ? json_null() : json_boolean(v == VERDICT_YES);
}

static json_t *why_json(const char *why)
{
        json_t *text = json_string(why); /* NULL: it is not UTF-8 */

        if (*why)
                return text ? text : json_string("unknown");
        json_decref(text);
        return json_null();
}

static json_t *model_json(const BenchFigures *f)
{
        json_t *model = json_pack("{s:s, s:o}", "model", f->row->name, "why", why_json(f->why));

        if (f->why[0])
                return model;
        (void)json_object_set_new(model, "concurrent", verdict_json(f->concurrent));
        (void)json_object_set_new(model, "parallel", verdict_json(f->parallel));
        (void)json_object_set_new(model, "waiting", speeds_json(&f->waiting));
        (void)json_object_set_new(model, "cpu", speeds_json(&f->cpu));
        (void)json_object_set_new(model, "cpus_left", list_json(f->cpu.room, f->cpu.n));
        (void)json_object_set_new(model, "parallel_from", json_real(judge_threshold(f->possible)));
        (void)json_object_set_new(model, "start_usec", list_json(f->start_usec, BENCH_TRIES));
        (void)json_object_set_new(model, "replace_usec", list_json(f->replace_usec, BENCH_TRIES));
        (void)json_object_set_new(model, "slot_bytes", json_integer((json_int_t)f->memory));
        (void)json_object_set_new(model, "crash_hits", json_integer(f->hit));
        return model;
}

json_t *bench_show_json(const BenchPlan *plan, const BenchFigures *figures, unsigned n)
{
        json_t *models = json_array();

        for (unsigned i = 0; i < n; i++)
                (void)json_array_append_new(models, model_json(&figures[i]));
        return json_pack("{s:i, s:i, s:I, s:f, s:o}", "cpus", (int)plan->cpus, "slots",
                         (int)plan->slots, "usec_each", (json_int_t)plan->time,
                         "concurrent_from", judge_threshold(judge_possible_waiting(plan->slots)),
                         "models", models);
}

/* SPDX-License-Identifier: MIT */

#include "ctl/bench/noops.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "base/cleanup.h"
#include "ctl/call.h"
#include "ctl/table.h"

enum { IN_FLIGHT = 64, MAX_SAMPLES = 2000000 };

static const unsigned connections[] = { 1, 8 };
static const char *const durabilities[] = { "memory", "fsync" };

/* --- where --- */

typedef struct Place {
        char type[32], directory[PATH_MAX + 32];
} Place;

/* The filesystem that a directory is on: the mount point that is most of its path. */
static void find_mount(const char *directory, Place *ret)
{
        FILE *f = setmntent("/proc/self/mounts", "re");
        struct mntent *m;
        size_t longest = 0;

        (void)snprintf(ret->type, sizeof(ret->type), "unknown");
        if (!realpath(directory, ret->directory))
                (void)snprintf(ret->directory, sizeof(ret->directory), "%s", directory);
        while (f && (m = getmntent(f))) {
                size_t n = strlen(m->mnt_dir);
                bool root = n == 1;

                if (strncmp(ret->directory, m->mnt_dir, n) != 0 || n < longest ||
                    (!root && ret->directory[n] != '/' && ret->directory[n]))
                        continue;
                longest = n;
                (void)snprintf(ret->type, sizeof(ret->type), "%s", m->mnt_type);
        }
        if (f)
                (void)endmntent(f);
}

/* Of the directory in which the store's own is. */
static void find_place(const BenchDaemon *d, bool private, Place *ret)
{
        char base[PATH_MAX + 32];
        char *last;

        (void)snprintf(base, sizeof(base), "%s", private ? d->keeper.directory : d->keeper.state);
        last = strrchr(base, '/');
        if (last)
                *last = '\0';
        find_mount(*base ? base : "/", ret);
}

/* --- the daemon --- */

static bool start(BenchDaemon *d, const BenchPlan *plan, const char *directory, Place *ret)
{
        char pool[128];
        BenchKeeperSpec spec = { .program = plan->program, .pool = pool, .state = directory };

        (void)snprintf(pool, sizeof(pool),
                       "[Pool]\nModule=diag.so\nHandlers=echo\nMinWorkers=%u\nSpareWorkers=0\n",
                       plan->slots);
        if (!bench_daemon_start(d, &spec, plan->slots))
                return false;
        find_place(d, !directory, ret);
        return true;
}

static int fail(const BenchDaemon *d)
{
        say("bench: %s", d->words);
        return STATUS_FAILED;
}

static BenchLoad no_ops(const BenchPlan *plan, unsigned durability)
{
        return (BenchLoad){ .handler = "echo", .args = "{}", .durable = durability != 0,
                            .time = plan->time };
}

/* --- throughput --- */

typedef double Rates[ELEMENTS(connections)][ELEMENTS(durabilities)];

static bool measure_rates(BenchDaemon *d, const BenchPlan *plan, Rates rates)
{
        for (unsigned i = 0; i < ELEMENTS(connections); i++)
                for (unsigned j = 0; j < ELEMENTS(durabilities); j++) {
                        BenchLoad load = no_ops(plan, j);
                        BenchLoadResult result;

                        load.connections = connections[i];
                        load.window = IN_FLIGHT / connections[i];
                        if (!bench_load(d, &load, &result))
                                return false;
                        rates[i][j] = bench_rate(&result);
                }
        return true;
}

static int print_rates_json(const BenchPlan *plan, const Place *place, Rates rates)
{
        json_t *list = json_array(), *object;
        int status;

        for (unsigned i = 0; i < ELEMENTS(connections); i++)
                (void)json_array_append_new(
                        list, json_pack("{s:i, s:i, s:f, s:f}", "connections", (int)connections[i],
                                        "in_flight", IN_FLIGHT, "memory_per_second", rates[i][0],
                                        "fsync_per_second", rates[i][1]));
        object = json_pack("{s:i, s:s, s:s, s:o}", "workers", (int)plan->slots, "filesystem",
                           place->type, "directory", place->directory, "throughput", list);
        status = object ? call_print(object) : ctl_no_memory();
        json_decref(object);
        return status;
}

static void print_end(const BenchPlan *plan, const Place *place)
{
        printf("\nJobs that do nothing, from Submit to result; %u workers; the store is on %s, in "
               "%s.\n", plan->slots, place->type, place->directory);
}

static void print_rates(const BenchPlan *plan, const Place *place, Rates rates)
{
        static const char *const headers[] = { "CONNECTIONS", "IN FLIGHT", "MEMORY", "FSYNC",
                                               NULL };
        Table t;

        table_init(&t, headers, "rrrr");
        for (unsigned i = 0; i < ELEMENTS(connections); i++) {
                table_cell(&t, PLAIN, "%u", connections[i]);
                table_cell(&t, PLAIN, "%d", IN_FLIGHT);
                for (unsigned j = 0; j < ELEMENTS(durabilities); j++)
                        table_cell(&t, PLAIN, "%.0f/s", rates[i][j]);
        }
        table_print(&t, 0);
        table_fini(&t);
        print_end(plan, place);
}

int bench_throughput(const Ctl *ctl, const BenchPlan *plan, const char *directory)
{
        AUTO(bench_daemon_end) BenchDaemon d = BENCH_DAEMON_NONE;
        Rates rates;
        Place place;

        if (!start(&d, plan, directory, &place) || !measure_rates(&d, plan, rates))
                return fail(&d);
        if (option_given(ctl->options, OPTION_JSON))
                return print_rates_json(plan, &place, rates);
        print_rates(plan, &place, rates);
        return STATUS_DONE;
}

/* --- latency --- */

static double quantile(double *sorted, size_t n, double share)
{
        return n ? sorted[(size_t)(share * (double)(n - 1))] : 0;
}

/* Times of jobs, one after the other, sorted by size. */
static bool measure_times(BenchDaemon *d, const BenchPlan *plan, unsigned durability,
                          BenchSamples *samples)
{
        BenchLoad load = no_ops(plan, durability);
        BenchLoadResult result;

        load.connections = load.window = 1;
        load.samples = samples;
        samples->n = 0;
        if (!bench_load(d, &load, &result))
                return false;
        (void)judge_median(samples->usec, samples->n);
        return true;
}

static void show_times(Table *t, json_t *list, unsigned durability, const BenchSamples *s)
{
        double p50 = quantile(s->usec, s->n, 0.5), p99 = quantile(s->usec, s->n, 0.99);
        double most = quantile(s->usec, s->n, 1);

        table_cell(t, PLAIN, "%s", durabilities[durability]);
        table_cell(t, PLAIN, "%zu", s->n);
        table_cell(t, PLAIN, "%.0fus", p50);
        table_cell(t, PLAIN, "%.0fus", p99);
        table_cell(t, PLAIN, "%.0fus", most);
        (void)json_array_append_new(list, json_pack("{s:s, s:I, s:f, s:f, s:f}", "durability",
                                                    durabilities[durability], "jobs",
                                                    (json_int_t)s->n, "p50_usec", p50, "p99_usec",
                                                    p99, "max_usec", most));
}

static int print_times(const Ctl *ctl, const BenchPlan *plan, const Place *place, Table *t,
                       json_t *list)
{
        json_t *object = json_pack("{s:i, s:s, s:s, s:O}", "workers", (int)plan->slots,
                                   "filesystem", place->type, "directory", place->directory,
                                   "latency", list);
        int status = STATUS_DONE;

        if (!object)
                status = ctl_no_memory();
        else if (option_given(ctl->options, OPTION_JSON))
                status = call_print(object);
        else {
                table_print(t, 0);
                print_end(plan, place);
        }
        json_decref(object);
        return status;
}

int bench_latency(const Ctl *ctl, const BenchPlan *plan, const char *directory)
{
        static const char *const headers[] = { "DURABILITY", "JOBS", "P50", "P99", "MAX", NULL };
        AUTO(bench_daemon_end) BenchDaemon d = BENCH_DAEMON_NONE;
        BenchSamples samples = { .room = MAX_SAMPLES };
        AUTO(free) double *room = samples.usec = calloc(MAX_SAMPLES, sizeof(*room));
        json_t *list = json_array();
        int status = STATUS_DONE;
        Place place;
        Table t;

        table_init(&t, headers, "lrrrr");
        if (!room)
                status = ctl_no_memory();
        else if (!start(&d, plan, directory, &place))
                status = fail(&d);
        for (unsigned i = 0; i < ELEMENTS(durabilities) && status == STATUS_DONE; i++)
                if (measure_times(&d, plan, i, &samples))
                        show_times(&t, list, i, &samples);
                else
                        status = fail(&d);
        if (status == STATUS_DONE)
                status = print_times(ctl, plan, &place, &t, list);
        table_fini(&t);
        json_decref(list);
        return status;
}

/* SPDX-License-Identifier: MIT */

/* The memory map, summed up as textbooks have it:
 *
 *     code     files that may be executed
 *     data     files that may be written, privately; and what follows one without a gap (bss)
 *     heap     [heap], and other memory of no file; the stacks of threads are among it, since the
 *              kernel does not know them
 *     stack    [stack]
 *     shared   what other processes may write or see, too (MAP_SHARED)
 *     other    the rest: read-only parts of programs, files that are only read, the kernel's
 *
 * `private` is what would be given back if the process ended; of `pss` what several have counts by
 * parts. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "child/inspect.h"

DEFINE_CLEANUP(FILE, fclose);

typedef enum Kind { CODE, DATA, HEAP, STACK, SHARED, OTHER, TOTAL, N_KINDS } Kind;

static const char *const kind_names[N_KINDS] = { "code",   "data",  "heap", "stack",
                                                 "shared", "other", "total" };

typedef enum Figure { SIZE, RSS, PSS, PRIVATE, SWAP, N_FIGURES } Figure;

static const char *const figure_names[N_FIGURES] = { "size_bytes", "rss_bytes", "pss_bytes",
                                                     "private_bytes", "swap_bytes" };

typedef struct Mapping {
        unsigned long start, end;
        char permissions[5];
        const char *path; /* up to the end of the line */
        size_t path_len;
} Mapping;

/* The first line of a mapping. */
static bool parse_mapping(const char *line, Mapping *m)
{
        int at = 0;

        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &m->start, &m->end, m->permissions, &at) <
                    3 ||
            !at)
                return false;
        m->path = line + at;
        m->path_len = line_length(line) > (size_t)at ? line_length(line) - (size_t)at : 0;
        if (!m->path_len)
                m->path = "";
        return true;
}

static bool is_called(const Mapping *m, const char *name)
{
        return m->path_len == strlen(name) && memcmp(m->path, name, m->path_len) == 0;
}

static bool is_anonymous(const Mapping *m)
{
        return !m->path_len || is_called(m, "[heap]") ||
               (m->path_len > 6 && memcmp(m->path, "[anon:", 6) == 0);
}

static Kind kind_of(const Mapping *m, const Mapping *before, Kind kind_before)
{
        bool writable = m->permissions[1] == 'w', file = m->path_len && m->path[0] != '[';

        if (m->permissions[3] == 's')
                return SHARED;
        if (is_called(m, "[stack]"))
                return STACK;
        if (is_anonymous(m) && !is_called(m, "[heap]") && writable && kind_before == DATA &&
            before->end == m->start && before->path_len)
                return DATA;
        if (is_anonymous(m))
                return HEAP;
        if (file && m->permissions[2] == 'x')
                return CODE;
        return file && writable ? DATA : OTHER;
}

static const struct {
        const char *key;
        Figure figure;
} keys[] = {
        { "Size:", SIZE },
        { "Rss:", RSS },
        { "Pss:", PSS },
        { "Private_Clean:", PRIVATE },
        { "Private_Dirty:", PRIVATE },
        { "Swap:", SWAP },
};

static void add_figure(const char *line, uint64_t figures[N_FIGURES])
{
        unsigned long long kilobytes;

        for (size_t i = 0; i < ELEMENTS(keys); i++)
                if (strncmp(line, keys[i].key, strlen(keys[i].key)) == 0 &&
                    sscanf(line + strlen(keys[i].key), "%llu", &kilobytes) == 1)
                        figures[keys[i].figure] += kilobytes * 1024;
}

/* Line by line, since a process may have tens of thousands of mappings. */
static void sum_up(FILE *f, uint64_t sums[N_KINDS][N_FIGURES])
{
        Mapping before = { 0 }, m;
        AUTO(free) char *line = NULL;
        Kind kind = OTHER;
        size_t size = 0;

        while (getline(&line, &size, f) >= 0) {
                if (parse_mapping(line, &m)) {
                        kind = kind_of(&m, &before, kind);
                        before = m;
                        before.path = NULL; /* the line is read over */
                        continue;
                }
                add_figure(line, sums[kind]);
                add_figure(line, sums[TOTAL]);
        }
}

static bool read_map(Target *t, uint64_t sums[N_KINDS][N_FIGURES])
{
        AUTO(fclose) FILE *f = target_stream(t, "smaps", "memory");

        if (f)
                sum_up(f, sums);
        return f != NULL;
}

static json_t *figures_json(const uint64_t figures[N_FIGURES])
{
        json_t *o = json_object();

        for (int i = 0; i < N_FIGURES; i++)
                json_put(o, figure_names[i], json_integer((json_int_t)figures[i]));
        return o;
}

/* The most that was ever resident; the one figure that everybody may see. */
static void put_peak(json_t *o, Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        unsigned long long kilobytes;
        const char *peak;

        if (target_read(t, "status", NULL, &b) < 0)
                return;
        peak = line_after(buffer_bytes(&b), "VmHWM");
        if (peak && sscanf(peak, "%llu", &kilobytes) == 1)
                json_put(o, "peak_rss_bytes", json_integer((json_int_t)(kilobytes * 1024)));
}

json_t *inspect_memory(Target *t)
{
        uint64_t sums[N_KINDS][N_FIGURES] = { 0 };
        json_t *o = json_object();

        if (read_map(t, sums))
                for (int i = 0; i < N_KINDS; i++)
                        json_put(o, kind_names[i], figures_json(sums[i]));
        put_peak(o, t);
        return o;
}

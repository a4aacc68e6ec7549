/* SPDX-License-Identifier: MIT */

#include "ctl/bench/rows.h"

#include <string.h>

#include "base/macros.h"

#define C_MODULE "Module=diag.so\n"
#define PYTHON_MODULE "Module=python.so\n"
#define PYTHON_COMMAND "Command=/usr/bin/python3 -m brood.worker brood.worker.models\n"

static const BenchRow rows[] = {
        { BENCH_C, "c/process", "C process", "process", C_MODULE, "" },
        { BENCH_C, "c/thread", "C thread", "thread", C_MODULE, "" },
        { BENCH_C, "c/async", "C async", "async", C_MODULE, "" },
        { BENCH_PYTHON, "python/process", "Python process (multiprocessing)", "process",
          PYTHON_MODULE, "" },
        { BENCH_PYTHON, "python/thread", "Python thread (threading)", "thread", PYTHON_MODULE, "" },
        { BENCH_PYTHON, "python/async", "Python async (asyncio)", "async", PYTHON_COMMAND,
          "_async" },
        { BENCH_PYTHON, "python/subinterpreter", "Python subinterpreter", "subinterpreter",
          PYTHON_MODULE, "" },
};

const BenchRow *bench_row(unsigned i)
{
        return i < ELEMENTS(rows) ? &rows[i] : NULL;
}

bool bench_row_is_in(const BenchRow *row, const char *list)
{
        for (;; list++) {
                size_t n = strcspn(list, ",");

                if (strlen(row->name) == n && memcmp(list, row->name, n) == 0)
                        return true;
                list += n;
                if (!*list)
                        return false;
        }
}

static bool is_known(const char *name, size_t n)
{
        for (size_t i = 0; i < ELEMENTS(rows); i++)
                if (strlen(rows[i].name) == n && memcmp(name, rows[i].name, n) == 0)
                        return true;
        return false;
}

bool bench_rows_stranger(const char *list, Buffer *b)
{
        size_t n = strcspn(list, ",");

        while (is_known(list, n)) {
                if (!list[n])
                        return false;
                list += n + 1;
                n = strcspn(list, ",");
        }
        buffer_printf(b, "'%.*s' is not one of: ", (int)n, list);
        for (size_t i = 0; i < ELEMENTS(rows); i++)
                buffer_printf(b, "%s%s", i ? ", " : "", rows[i].name);
        return true;
}

unsigned bench_row_workers(const BenchRow *row, unsigned slots)
{
        return strcmp(row->model, "process") == 0 ? slots : 1;
}

void bench_row_pool(const BenchRow *row, unsigned slots, Buffer *b)
{
        unsigned workers = bench_row_workers(row, slots);

        buffer_printf(b, "[Pool]\n%sHandlers=burn%s sleep%s crash%s\n", row->source, row->suffix,
                      row->suffix, row->suffix);
        buffer_printf(b, "Concurrency=%s\nSlots=%u\nMinWorkers=%u\n", row->model, slots / workers,
                      workers);
        buffer_append_string(b, "SpareWorkers=0\nKillAfter=1s\nBackoff=0\nBreakerDeaths=0\n"
                                "LogOutput=no\n[Process]\nPassEnvironment=PYTHONPATH\n");
        if (row->language == BENCH_PYTHON && strstr(row->source, "Module="))
                buffer_append_string(b, "[Settings]\nImport=brood.worker.models\n");
        buffer_append_char(b, '\0');
}

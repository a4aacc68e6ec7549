/* SPDX-License-Identifier: MIT */

#include "ctl/top/page.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/sheet.h"

static void times_line(Buffer *b, const char *label, const TopTimes *t)
{
        if (t->p50 == TOP_NO_TIME)
                sheet_line(b, label, "-");
        else
                sheet_line(b, label, "p50 %s, p95 %s, p99 %s", top_span(t->p50).text,
                           top_span(t->p95).text, top_span(t->p99).text);
}

static void rates_line(Buffer *b, const TopModel *m, double submitted, double ended, double failed)
{
        sheet_line(b, "Lately", "%s/s submitted, %s/s ended, %s/s failed, %s%s",
                   top_rate(submitted).text, top_rate(ended).text, top_rate(failed).text,
                   m->since_start ? "since the start of broodd" : "in the last ",
                   m->since_start ? "" : top_span(m->span).text);
}

static void handler_lines(Buffer *b, const TopModel *m, const TopHandler *h)
{
        sheet_line(b, "Handler", "%s", h->name);
        if (h->state[0])
                sheet_line(b, "State", "its breaker is open: it rests for %s",
                           top_span(h->rests).text);
        sheet_line(b, "Jobs", "%llu succeeded, %llu failed, %llu ended in all",
                   (unsigned long long)h->succeeded, (unsigned long long)h->failed,
                   (unsigned long long)h->ended);
        sheet_line(b, "Died", "%llu attempts ended with their worker",
                   (unsigned long long)h->deaths);
        rates_line(b, m, h->submit_rate, h->done_rate, h->fail_rate);
        times_line(b, "Waited", &h->wait);
        times_line(b, "Ran", &h->run);
}

/* "3: 2 signal, 1 exit" */
static void deaths_line(Buffer *b, const TopPool *p)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        const char *before = ": ";

        for (unsigned i = 0; i < BOARD_DEATHS; i++) {
                if (!p->deaths_by[i])
                        continue;
                buffer_printf(&words, "%s%llu %s", before, (unsigned long long)p->deaths_by[i],
                              top_death_cause(i));
                before = ", ";
        }
        buffer_append_char(&words, '\0');
        sheet_line(b, "Died", "%llu%s", (unsigned long long)p->deaths,
                   words.failed ? "" : buffer_bytes(&words));
}

static void pool_page(Buffer *b, const TopModel *m, const TopPool *p)
{
        sheet_line(b, "State", "%s%s%s", p->state, p->why[0] ? ": its workers do not start: " : "",
                   p->why);
        sheet_line(b, "Workers", "%llu (%llu to %llu): %llu starting, %llu spare, %llu leaving",
                   (unsigned long long)p->workers, (unsigned long long)p->min_workers,
                   (unsigned long long)p->max_workers, (unsigned long long)p->starting,
                   (unsigned long long)p->spare, (unsigned long long)p->leaving);
        sheet_line(b, "Busy", "%llu of %llu slots", (unsigned long long)p->busy,
                   (unsigned long long)p->slots);
        sheet_line(b, "Jobs", "%llu queued, %llu running, %llu scheduled or blocked, %llu done",
                   (unsigned long long)p->queued, (unsigned long long)p->running,
                   (unsigned long long)p->held, (unsigned long long)p->done);
        deaths_line(b, p);
        rates_line(b, m, p->submit_rate, p->done_rate, p->fail_rate);
        times_line(b, "Waited", &p->wait);
        times_line(b, "Ran", &p->run);
        for (uint32_t i = 0; i < m->n_handlers; i++)
                if (strcmp(m->handlers[i].pool, p->name) == 0) {
                        buffer_append_char(b, '\n');
                        handler_lines(b, m, &m->handlers[i]);
                }
}

static void job_lines(Buffer *b, const TopJob *j)
{
        sheet_line(b, "Job", "%s", j->id);
        sheet_line(b, "Handler", "%s (pool %s)", j->handler, j->pool);
        sheet_line(b, "Worker", "%s pid %llu", j->worker, (unsigned long long)j->pid);
        sheet_line(b, "Attempt", "%llu, for %s", (unsigned long long)j->attempt,
                   top_span(j->age).text);
        sheet_line(b, "User", "%llu", (unsigned long long)j->uid);
}

static void worker_page(Buffer *b, const TopModel *m, const TopWorker *w)
{
        sheet_line(b, "State", "%s, pid %llu, generation %llu, for %s", w->state,
                   (unsigned long long)w->pid, (unsigned long long)w->generation,
                   top_span(w->age).text);
        sheet_line(b, "Done", "%llu jobs", (unsigned long long)w->done);
        sheet_line(b, "Memory", "%s", size_text(w->memory).text);
        sheet_line(b, "CPU", "%s%%", top_rate(w->cpu).text);
        for (uint32_t i = 0; i < m->n_jobs; i++)
                if (m->jobs[i].pid == w->pid) {
                        buffer_append_char(b, '\n');
                        job_lines(b, &m->jobs[i]);
                }
}

void top_page_append(Buffer *b, const TopModel *m, TopView v, const void *row)
{
        switch (v) {
        case TOP_POOLS:
                pool_page(b, m, row);
                break;
        case TOP_WORKERS:
                worker_page(b, m, row);
                break;
        case TOP_HANDLERS:
                handler_lines(b, m, row);
                break;
        default:
                job_lines(b, row);
        }
}

/* SPDX-License-Identifier: MIT */

#include "ctl/top/table.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/macros.h"

/* --- what there is --- */

#define TIMES(type, member, key, letter, rank)                                                     \
        { key "_p50_usec", letter "50", "half of the times are not longer", TOP_SPAN, rank,        \
          offsetof(type, member.p50) },                                                            \
        { key "_p95_usec", letter "95", "19 of 20", TOP_SPAN, (rank) - 1,                          \
          offsetof(type, member.p95) },                                                            \
        { key "_p99_usec", letter "99", "99 of 100", TOP_SPAN, (rank) + 6,                         \
          offsetof(type, member.p99) }

#define COLUMN(type, member, header, help, kind, rank)                                             \
        { #member, header, help, kind, rank, offsetof(type, member) }
#define KEYED(key, type, member, header, help, kind, rank)                                         \
        { key, header, help, kind, rank, offsetof(type, member) }
#define HIDDEN(type, member, kind) { #member, NULL, NULL, kind, 0, offsetof(type, member) }

static const TopColumn pool_columns[] = {
        COLUMN(TopPool, name, "POOL", "its name", TOP_TEXT, 1),
        COLUMN(TopPool, state, "STATE", "running, paused, draining, failed", TOP_STATE, 3),
        KEYED(NULL, TopPool, busy, "BUSY", "slots with a job, of all of its workers", TOP_BUSY, 2),
        COLUMN(TopPool, queued, "QUEUE", "jobs that could run", TOP_COUNT, 4),
        KEYED("held", TopPool, held, "HELD", "jobs that are scheduled or blocked", TOP_COUNT, 18),
        KEYED("done_rate", TopPool, done_rate, "DONE/S", "jobs that ended, a second", TOP_RATE, 5),
        COLUMN(TopPool, deaths, "DIED", "workers that ended unasked", TOP_BAD, 6),
        TIMES(TopPool, wait, "wait", "W", 10),
        TIMES(TopPool, run, "run", "R", 8),
        COLUMN(TopPool, done, "DONE", "jobs that ended", TOP_COUNT, 17),
        HIDDEN(TopPool, submit_rate, TOP_RATE),
        HIDDEN(TopPool, fail_rate, TOP_RATE),
        HIDDEN(TopPool, why, TOP_TEXT),
        HIDDEN(TopPool, busy, TOP_COUNT),
        HIDDEN(TopPool, slots, TOP_COUNT),
        HIDDEN(TopPool, running, TOP_COUNT),
        HIDDEN(TopPool, workers, TOP_COUNT),
        HIDDEN(TopPool, starting, TOP_COUNT),
        HIDDEN(TopPool, spare, TOP_COUNT),
        HIDDEN(TopPool, leaving, TOP_COUNT),
        HIDDEN(TopPool, min_workers, TOP_COUNT),
        HIDDEN(TopPool, max_workers, TOP_COUNT),
};

static const TopColumn worker_columns[] = {
        COLUMN(TopWorker, name, "WORKER", "its pool and seat", TOP_TEXT, 1),
        COLUMN(TopWorker, pid, "PID", "of its process", TOP_NUMBER, 3),
        COLUMN(TopWorker, state, "STATE", "starting, spare, idle, busy, leaving", TOP_STATE, 2),
        KEYED("busy_usec", TopWorker, busy, "FOR", "how long it has been busy", TOP_SPAN, 4),
        COLUMN(TopWorker, handler, "HANDLER", "of the job that it runs longest", TOP_TEXT, 5),
        COLUMN(TopWorker, done, "DONE", "jobs that it has ended", TOP_COUNT, 6),
        KEYED("memory_bytes", TopWorker, memory, "MEM", "resident memory", TOP_SIZE, 7),
        KEYED("cpu_percent", TopWorker, cpu, "CPU%", "of one processor", TOP_RATE, 8),
        KEYED("age_usec", TopWorker, age, "AGE", "since it was started", TOP_SPAN, 9),
        COLUMN(TopWorker, jobs, "JOBS", "that it runs", TOP_COUNT, 11),
        COLUMN(TopWorker, job, "JOB", "the one that it runs longest", TOP_TEXT, 10),
        HIDDEN(TopWorker, pool, TOP_TEXT),
        HIDDEN(TopWorker, generation, TOP_COUNT),
        HIDDEN(TopWorker, slots, TOP_COUNT),
};

static const TopColumn handler_columns[] = {
        COLUMN(TopHandler, name, "HANDLER", "its name", TOP_TEXT, 1),
        COLUMN(TopHandler, pool, "POOL", "who serves it", TOP_TEXT, 11),
        COLUMN(TopHandler, state, "STATE", "resting: its breaker is open", TOP_STATE, 12),
        KEYED("submit_rate", TopHandler, submit_rate, "SUB/S", "jobs that came, a second",
              TOP_RATE, 4),
        KEYED("done_rate", TopHandler, done_rate, "DONE/S", "jobs that ended, a second", TOP_RATE,
              3),
        KEYED("fail_rate", TopHandler, fail_rate, "FAIL/S", "jobs that failed, a second", TOP_RATE,
              5),
        TIMES(TopHandler, wait, "wait", "W", 10),
        TIMES(TopHandler, run, "run", "R", 8),
        COLUMN(TopHandler, succeeded, "OK", "jobs that succeeded", TOP_COUNT, 17),
        COLUMN(TopHandler, failed, "FAILED", "jobs that failed", TOP_BAD, 18),
        COLUMN(TopHandler, deaths, "DIED", "attempts that ended with their worker", TOP_BAD, 19),
        HIDDEN(TopHandler, ended, TOP_COUNT),
        KEYED("rests_usec", TopHandler, rests, NULL, NULL, TOP_SPAN, 0),
};

static const TopColumn job_columns[] = {
        COLUMN(TopJob, id, "JOB", "its id", TOP_TEXT, 1),
        COLUMN(TopJob, handler, "HANDLER", "what it asks for", TOP_TEXT, 3),
        COLUMN(TopJob, worker, "WORKER", "who runs it", TOP_TEXT, 4),
        KEYED("running_usec", TopJob, age, "FOR", "how long this attempt has run", TOP_SPAN, 2),
        COLUMN(TopJob, attempt, "TRY", "number of the attempt", TOP_COUNT, 5),
        COLUMN(TopJob, uid, "UID", "whose it is", TOP_NUMBER, 6),
        COLUMN(TopJob, pid, "PID", "of the worker", TOP_NUMBER, 7),
        HIDDEN(TopJob, pool, TOP_TEXT),
};

_Static_assert(ELEMENTS(pool_columns) < TOP_MAX_COLUMNS &&
                       ELEMENTS(worker_columns) < TOP_MAX_COLUMNS &&
                       ELEMENTS(handler_columns) < TOP_MAX_COLUMNS &&
                       ELEMENTS(job_columns) < TOP_MAX_COLUMNS,
               "each has its place in a list of widths");

static const struct {
        const char *name;
        const TopColumn *columns;
        unsigned n;
        unsigned sort;
        size_t list, count, row; /* of the rows: where in the model, how many, how large */
} views[TOP_N_VIEWS] = {
        [TOP_POOLS] = { "pools", pool_columns, ELEMENTS(pool_columns), 0,
                        offsetof(TopModel, pools), offsetof(TopModel, n_pools), sizeof(TopPool) },
        [TOP_WORKERS] = { "workers", worker_columns, ELEMENTS(worker_columns), 0,
                          offsetof(TopModel, workers), offsetof(TopModel, n_workers),
                          sizeof(TopWorker) },
        [TOP_HANDLERS] = { "handlers", handler_columns, ELEMENTS(handler_columns), 0,
                           offsetof(TopModel, handlers), offsetof(TopModel, n_handlers),
                           sizeof(TopHandler) },
        [TOP_JOBS] = { "jobs", job_columns, ELEMENTS(job_columns), 3, offsetof(TopModel, jobs),
                       offsetof(TopModel, n_jobs), sizeof(TopJob) },
};

const char *top_view_name(TopView v)
{
        return views[v].name;
}

const TopColumn *top_columns(TopView v, unsigned *ret_n)
{
        *ret_n = views[v].n;
        return views[v].columns;
}

unsigned top_first_sort(TopView v)
{
        return views[v].sort;
}

static bool is_text(const TopColumn *c)
{
        return c->kind == TOP_TEXT || c->kind == TOP_STATE;
}

bool top_sorts_down(TopView v, unsigned column)
{
        return !is_text(&views[v].columns[column]);
}

uint32_t top_n_rows(const TopModel *m, TopView v)
{
        return *(const uint32_t *)((const char *)m + views[v].count);
}

const void *top_row(const TopModel *m, TopView v, uint32_t i)
{
        return *(const char *const *)((const char *)m + views[v].list) + i * views[v].row;
}

/* --- short texts --- */

static ShortText two_units(usec_t seconds, usec_t large, const char *a, usec_t small,
                           const char *b)
{
        ShortText t;

        if (seconds / large >= 10)
                (void)snprintf(t.text, sizeof(t.text), "%llu%s",
                               (unsigned long long)(seconds / large), a);
        else
                (void)snprintf(t.text, sizeof(t.text), "%llu%s%llu%s",
                               (unsigned long long)(seconds / large), a,
                               (unsigned long long)(seconds % large / small), b);
        return t;
}

static ShortText one_unit(double value, const char *unit)
{
        ShortText t;

        (void)snprintf(t.text, sizeof(t.text), "%.*f%s", value < 9.95, value, unit);
        return t;
}

ShortText top_span(usec_t span)
{
        usec_t seconds = span / USEC_PER_SEC;
        ShortText t;

        if (span == TOP_NO_TIME)
                return (ShortText){ "-" };
        if (span < USEC_PER_MSEC) {
                (void)snprintf(t.text, sizeof(t.text), "%lluus", (unsigned long long)span);
                return t;
        }
        if (span < USEC_PER_SEC - USEC_PER_MSEC / 2)
                return one_unit((double)span / USEC_PER_MSEC, "ms");
        if (seconds < 60)
                return one_unit(seconds < 10 ? (double)span / USEC_PER_SEC : (double)seconds, "s");
        if (seconds < 600)
                return two_units(seconds, 60, "m", 1, "");
        if (seconds < 3600)
                return two_units(seconds, 60, "m", 60, "");
        if (seconds < 86400)
                return two_units(seconds, 3600, "h", 60, "");
        return two_units(seconds, 86400, "d", 3600, "h");
}

ShortText top_count(uint64_t n)
{
        static const char units[] = "kMGTPE";
        double v = (double)n;
        unsigned unit = 0;
        ShortText t;

        if (n < 100000) {
                (void)snprintf(t.text, sizeof(t.text), "%llu", (unsigned long long)n);
                return t;
        }
        for (v /= 1000; v >= 999.5 && unit + 1 < sizeof(units) - 1; v /= 1000)
                unit++;
        (void)snprintf(t.text, sizeof(t.text), v < 99.95 ? "%.1f%c" : "%.0f%c", v, units[unit]);
        return t;
}

ShortText top_rate(double rate)
{
        ShortText t;

        if (rate >= 999.5)
                return top_count((uint64_t)(rate + 0.5));
        if (rate > 0 && rate < 0.005)
                return (ShortText){ "<0.01" };
        (void)snprintf(t.text, sizeof(t.text), "%.*f",
                       rate >= 99.95 || rate == 0 ? 0 : (rate >= 9.995 ? 1 : 2), rate);
        return t;
}

/* Columns of the character at `text`, *ret_bytes long. */
static unsigned width_at(const char *text, size_t *ret_bytes)
{
        mbstate_t state = { 0 };
        wchar_t c;
        size_t n = mbrtowc(&c, text, strlen(text), &state);
        int width = n && n < (size_t)-2 && *text != '\t' ? wcwidth(c) : 1;

        *ret_bytes = n && n < (size_t)-2 ? n : 1;
        return width > 0 ? (unsigned)width : 0;
}

static unsigned width_of(const char *text)
{
        unsigned width = 0;
        size_t n;

        for (; *text; text += n)
                width += width_at(text, &n);
        return width;
}

static void make_plain(char *text)
{
        for (; *text; text++)
                if (*text == '\t')
                        *text = ' ';
                else if (*text & 0x80 && !print_utf8())
                        *text = '?';
}

unsigned top_clip(const char *text, unsigned columns, char *to, size_t size)
{
        const char *dots = print_utf8() ? "…" : "~";
        bool cut = width_of(text) > columns;
        unsigned width = 0, room = columns - (cut && columns);
        size_t used = 0, n;

        for (; *text; text += n) {
                unsigned w = width_at(text, &n);

                if (width + w > room || used + n + sizeof("…") > size)
                        break;
                memcpy(to + used, text, n);
                used += n;
                width += w;
        }
        to[used] = '\0';
        make_plain(to);
        if (!cut || !columns)
                return width;
        (void)snprintf(to + used, size - used, "%s", dots);
        return width + 1;
}

/* --- cells --- */

enum { BAR = 4 };

static void busy_text(uint64_t busy, uint64_t all, char *to, size_t size)
{
        uint64_t full = all ? MIN((busy * BAR + all / 2) / all, (uint64_t)BAR) : 0;
        size_t n = 0;

        if (busy && !full)
                full = 1;
        for (uint64_t i = 0; i < BAR; i++)
                n += (size_t)snprintf(to + n, size - n, "%s",
                                      i < full ? (print_utf8() ? "█" : "#")
                                               : (print_utf8() ? "░" : "-"));
        (void)snprintf(to + n, size - n, " %s/%s", top_count(busy).text, top_count(all).text);
}

/* What this terminal cannot show becomes a question mark. */
static void only_ascii(char *text)
{
        char *to = text;

        for (; *text; text++)
                if ((*text & 0xc0) != 0x80)
                        *to++ = (char)(*text & 0x80 ? '?' : *text);
        *to = '\0';
}

static void copy_text(const char *text, char *to, size_t size)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        append_shown(&b, slice_of(text), false);
        buffer_append_char(&b, '\0');
        (void)snprintf(to, size, "%s", b.failed ? "?" : buffer_bytes(&b));
        if (!print_utf8())
                only_ascii(to);
}

static void set(TopCell *cell, ShortText text)
{
        memcpy(cell->text, text.text, sizeof(text.text));
}

void top_cell(const TopColumn *c, const void *row, TopCell *ret)
{
        const char *at = (const char *)row + c->at;
        const uint64_t *number = (const uint64_t *)at;

        ret->colour = PLAIN;
        switch (c->kind) {
        case TOP_TEXT:
        case TOP_STATE:
                copy_text(at, ret->text, sizeof(ret->text));
                ret->colour = c->kind == TOP_TEXT ? PLAIN : colour_of_state(at);
                break;
        case TOP_COUNT:
        case TOP_BAD:
                set(ret, top_count(*number));
                ret->colour = c->kind == TOP_BAD && *number ? RED : PLAIN;
                break;
        case TOP_NUMBER:
                (void)snprintf(ret->text, sizeof(ret->text), "%llu", (unsigned long long)*number);
                break;
        case TOP_SIZE:
                set(ret, size_text(*number));
                break;
        case TOP_RATE:
                set(ret, top_rate(*(const double *)at));
                break;
        case TOP_SPAN:
                set(ret, top_span(*number));
                break;
        case TOP_BUSY:
                busy_text(number[0], number[1], ret->text, sizeof(ret->text));
                ret->colour = number[0] ? GREEN : PLAIN;
                break;
        }
}

/* --- which rows, in which order --- */

typedef struct Key {
        const char *text; /* NULL: it is a number */
        double number;
        const char *name;
        uint32_t place;
        bool down;
} Key;

static double number_of(const TopColumn *c, const void *row)
{
        const uint64_t *number = (const uint64_t *)((const char *)row + c->at);

        if (c->kind == TOP_RATE)
                return *(const double *)((const char *)row + c->at);
        if (c->kind == TOP_SPAN && *number == TOP_NO_TIME)
                return -1;
        return (double)*number;
}

static int by_key(const void *a, const void *b)
{
        const Key *x = a, *y = b;
        int r = x->text ? strverscmp(x->text, y->text)
                        : (x->number > y->number) - (x->number < y->number);

        if (r)
                return x->down ? -r : r;
        r = strverscmp(x->name, y->name);
        return r ? r : (x->place > y->place) - (x->place < y->place);
}

static bool matches(TopView v, const void *row, const char *filter)
{
        for (unsigned i = 0; i < views[v].n; i++) {
                const TopColumn *c = &views[v].columns[i];

                if (is_text(c) && c->header && strcasestr((const char *)row + c->at, filter))
                        return true;
        }
        return false;
}

int64_t top_order(const TopModel *m, TopView v, unsigned column, bool down, const char *filter,
                  uint32_t *ret)
{
        const TopColumn *c = &views[v].columns[column];
        uint32_t n = top_n_rows(m, v), kept = 0;
        Key *keys = calloc(n + 1, sizeof(*keys));

        if (!keys)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++) {
                const void *row = top_row(m, v, i);

                if (filter && *filter && !matches(v, row, filter))
                        continue;
                keys[kept++] = (Key){ .text = is_text(c) ? (const char *)row + c->at : NULL,
                                      .number = is_text(c) ? 0 : number_of(c, row),
                                      .name = row, .place = i, .down = down };
        }
        qsort(keys, kept, sizeof(*keys), by_key);
        for (uint32_t i = 0; i < kept; i++)
                ret[i] = keys[i].place;
        free(keys);
        return kept;
}

/* --- which columns --- */

/* Numbers keep theirs, so that columns stand still. */
static const unsigned least_width[] = {
        [TOP_TEXT] = 5, [TOP_STATE] = 7, [TOP_NUMBER] = 7, [TOP_COUNT] = 5, [TOP_BAD] = 5,
        [TOP_SIZE] = 7, [TOP_RATE] = 5,  [TOP_SPAN] = 5,   [TOP_BUSY] = 8,
};

static unsigned natural_width(const TopModel *m, TopView v, const TopColumn *c)
{
        unsigned width = MAX((unsigned)strlen(c->header), least_width[c->kind]);
        bool grows = is_text(c) || c->kind == TOP_BUSY;
        TopCell cell;

        for (uint32_t i = 0; grows && i < top_n_rows(m, v); i++) {
                top_cell(c, top_row(m, v, i), &cell);
                width = MAX(width, width_of(cell.text));
        }
        return width;
}

void top_fit(const TopModel *m, TopView v, unsigned columns, unsigned widths[TOP_MAX_COLUMNS])
{
        unsigned left = columns + 1; /* no blank before the first */

        memset(widths, 0, TOP_MAX_COLUMNS * sizeof(*widths));
        for (unsigned rank = 1; rank < TOP_MAX_COLUMNS; rank++)
                for (unsigned i = 0; i < views[v].n; i++) {
                        const TopColumn *c = &views[v].columns[i];
                        unsigned width;

                        if (!c->header || c->rank != rank)
                                continue;
                        width = MIN(natural_width(m, v, c), MAX(columns / 2, 5u));
                        if (rank == 1)
                                width = MIN(width, columns);
                        if (width + 1 > left)
                                return;
                        widths[i] = width;
                        left -= width + 1;
                }
}

/* --- above the tables --- */

/* "2030-01-07 10:00:00" */
static ShortText date_text(usec_t at)
{
        time_t seconds = (time_t)(at / USEC_PER_SEC);
        ShortText t = { "-" };
        struct tm tm;

        if (!at || !localtime_r(&seconds, &tm) ||
            !strftime(t.text, sizeof(t.text), "%Y-%m-%d %H:%M:%S", &tm))
                return (ShortText){ "-" };
        return t;
}

static void append_daemon(Buffer *b, const TopModel *m)
{
        const BoardHead *h = &m->now->head;
        char text[300];

        copy_text(h->program, text, sizeof(text));
        buffer_printf(b, "broodd %s ", text);
        copy_text(h->state, text, sizeof(text));
        buffer_printf(b, "%s, up %s; %llu client%s; store %s%s; since %s, pid %u", text,
                      age_text(h->started, m->now->at).text, (unsigned long long)h->clients,
                      PLURAL(h->clients), size_text(h->store_bytes).text,
                      h->store_failing ? " FAILS" : "", date_text(h->started).text, h->pid);
        if (h->n_left_out)
                buffer_printf(b, "; %llu slots are not shown", (unsigned long long)h->n_left_out);
        buffer_append_char(b, '\n');
}

static void append_jobs(Buffer *b, const TopModel *m)
{
        static const unsigned order[BOARD_STATES] = { 2, 3, 0, 1, 4, 5, 6, 7, 8 };

        for (unsigned i = 0; i < BOARD_STATES; i++) {
                uint64_t n = m->now->head.jobs[order[i]];

                if (n || i < 2)
                        buffer_printf(b, "%s%s %s", i ? ", " : "Jobs: ", top_count(n).text,
                                      top_job_state(order[i]));
        }
        buffer_append_char(b, '\n');
}

static void append_rates(Buffer *b, const TopModel *m)
{
        buffer_printf(b,
                      "%s/s submitted, %s/s ended, %s/s failed; p99: turn %s, commit %s (%s%s)\n",
                      top_rate(m->submit_rate).text, top_rate(m->done_rate).text,
                      top_rate(m->fail_rate).text, top_span(m->turn.p99).text,
                      top_span(m->commit.p99).text, m->since_start ? "since its start" : "last ",
                      m->since_start ? "" : top_span(m->span).text);
}

void top_append_head(Buffer *b, const TopModel *m)
{
        if (m->now->ailment[0])
                buffer_printf(b, "broodd (pid %u) %s\n", m->now->head.pid, m->now->ailment);
        append_daemon(b, m);
        append_jobs(b, m);
        append_rates(b, m);
}

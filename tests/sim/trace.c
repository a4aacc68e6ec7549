/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>

#include "base/macros.h"
#include "world.h"

static const char *const words[] = {
#define EVENT(name, word) word,
        SIM_EVENTS(EVENT)
#undef EVENT
};

const char *sim_event_word(SimEvent event)
{
        return words[event];
}

static void print(FILE *to, const SimNote *n)
{
        fprintf(to, "  %8" PRIu64 " %" PRIu64 ".%06" PRIu64 " %-24s", n->step,
                (uint64_t)(n->now / USEC_PER_SEC), (uint64_t)(n->now % USEC_PER_SEC),
                words[n->event]);
        if (n->job != SIM_NOBODY)
                fprintf(to, " job=%" PRId64, n->job);
        fprintf(to, " %" PRId64 " %" PRId64 "\n", n->a, n->b);
}

static void mix(World *w, uint64_t number)
{
        w->digest = (w->digest ^ number) * 0x100000001b3u;
        w->digest ^= w->digest >> 29;
}

void world_note(World *w, SimEvent event, int64_t job, int64_t a, int64_t b)
{
        SimNote *n = &w->notes[w->n_notes++ % SIM_TRACE];

        *n = (SimNote){ w->step, w->now, event, job, a, b };
        w->seen[event]++;
        mix(w, n->step ^ (uint64_t)event << 48);
        mix(w, n->now);
        mix(w, (uint64_t)job << 32 ^ (uint64_t)a << 8 ^ (uint64_t)b);
        if (w->trace)
                print(stdout, n);
}

void world_tell(const World *w, const SimJob *m, const char *claim)
{
        uint64_t from = w->n_notes > SIM_TRACE ? w->n_notes - SIM_TRACE : 0;

        (void)fflush(stdout);
        fprintf(stderr, "FAILED seed=%" PRIu64 " step=%" PRIu64 "%s\n  %s\n", w->seed, w->step,
                w->kind ? " (kind)" : "", claim);
        if (m)
                fprintf(stderr, "  job=%u %s seq=%" PRIu64 " state=%s attempt=%u budget=%u"
                                " executed=%u%s\n",
                        m->index, uuid_text(&m->id).text, m->seq, job_state_name(m->state),
                        m->attempt, m->budget, m->executed, m->spec.memory ? " memory" : "");
        fprintf(stderr, "the last events (step, time, event, job, numbers):\n");
        for (uint64_t i = from; i < w->n_notes; i++)
                print(stderr, &w->notes[i % SIM_TRACE]);
}

void world_fail(const World *w, const SimJob *m, const char *claim)
{
        world_tell(w, m, claim);
        exit(1);
}

void world_figures(const World *w)
{
        for (int i = 0; i < SIM_N_EVENTS; i++)
                printf("%s%s=%" PRIu64, i % 6 ? " " : "\n  ", words[i], w->seen[i]);
        printf("\n");
}

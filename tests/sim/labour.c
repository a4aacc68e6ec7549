/* SPDX-License-Identifier: MIT */

/* Pools and their workers, as daemon/pool has them: a slot is a worker with a line of runs. Only
 * the first of the line has begun for core; the worker may be further, and what it has answered is
 * read later. */

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "world.h"

void labour_init(World *w)
{
        for (unsigned i = 0; i < SIM_POOLS; i++) {
                SimPool *p = &w->pools[i];

                p->pages = i + 1 < SIM_POOLS;
                for (unsigned k = 0; k < SIM_SLOTS; k++) {
                        p->slots[k].pool = p;
                        p->slots[k].deadline = USEC_INFINITY;
                }
        }
}

void labour_crash(World *w)
{
        for (unsigned i = 0; i < SIM_POOLS; i++) {
                for (unsigned k = 0; k < SIM_SLOTS; k++)
                        w->pools[i].slots[k] = (SimSlot){ .pool = &w->pools[i],
                                                          .deadline = USEC_INFINITY };
                w->pools[i].core = NULL;
                w->pools[i].full = false;
        }
}

/* --- attempts end --- */

static void remember(World *w, SimJob *m, uint32_t number)
{
        w->echoes[w->n_echoes++ % SIM_ECHOES] = (SimEcho){ m, m->incarnation, number };
}

/* The end of an attempt, told to core. */
static void settle(World *w, Job *job, uint32_t number, AttemptEnd *end)
{
        SimJob *m = model_of(w, job);
        uint64_t stale = w->core.stale;

        if (!end->result.len)
                m->result_len = 0;
        oracle_settling(w, m, job, end);
        CHECK(w, m, core_settle(&w->core, job, number, end, w->now, dice_u64(&w->dice)) == 0);
        CHECK(w, m, w->core.stale == stale);
        oracle_settled(w, m, job);
        oracle_listen(w);
        remember(w, m, number);
}

static void begin_attempt(World *w, SimSlot *slot, Job *job)
{
        AttemptBegin b = { slot ? (uint32_t)(slot - slot->pool->slots) : 0,
                           slot ? slot->generation : 0, 4711 };
        SimJob *m = model_of(w, job);

        if (core_begin(&w->core, job, &b, w->now) < 0)
                abort();
        oracle_begun(w, m, job);
        oracle_listen(w);
}

void labour_echo(World *w)
{
        const SimEcho *e;
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED, .result = SLICE("\"late\"") };
        uint64_t stale = w->core.stale;
        uint32_t last = MIN(w->n_echoes, (unsigned)SIM_ECHOES);
        JobState state;
        Job *job;
        int request;

        if (!last)
                return;
        e = &w->echoes[dice_below(&w->dice, last)];
        job = e->model->life == LIFE_NONE ? NULL : core_find(&w->core, &e->model->id,
                                                             e->model->spec.uid, false);
        if (!job || e->model->incarnation != e->incarnation)
                return;
        end.certificate = certificate_new("late");
        state = job->state;
        request = job->request;
        CHECK(w, e->model, core_settle(&w->core, job, e->number, &end, w->now, 0) == CORE_E_STALE);
        CHECK(w, e->model, w->core.stale == stale + 1 && !end.certificate);
        CHECK(w, e->model, job->state == state && job->request == request);
        world_note(w, SIM_STALE, e->model->index, e->number, job->attempt);
}

/* --- the line --- */

static usec_t timeout_of(const Job *job)
{
        return job_number(job, JOB_HAS_TIMEOUT, job->pool->policy.timeout);
}

static void give_back(World *w, Job *job)
{
        world_note(w, SIM_UNCLAIM, model_of(w, job)->index, job->cancel_asked, 0);
        core_unclaim(&w->core, job, w->now);
        oracle_listen(w);
}

static void recall(World *w, SimSlot *slot)
{
        unsigned begun = 0;

        if (slot->closed || slot->count < 2 || !slot->pool->pages)
                return;
        while (begun < slot->count && slot->runs[begun].executed)
                begun++;
        slot->closed = true;
        slot->window = begun;
        world_note(w, SIM_RECALL, SIM_NOBODY, slot->count, begun);
        for (unsigned i = MAX(begun, 1u); i < slot->count; i++) {
                Job *job = slot->runs[i].job;

                slot->runs[i].job = NULL;
                if (job)
                        give_back(w, job);
        }
}

void labour_recall_all(World *w)
{
        for (unsigned i = 0; i < SIM_POOLS; i++)
                for (unsigned k = 0; k < SIM_SLOTS; k++)
                        recall(w, &w->pools[i].slots[k]);
}

static void start_ending(World *w, SimSlot *slot)
{
        slot->asked = true;
        slot->deadline = USEC_INFINITY;
        recall(w, slot);
}

static void cancel(World *w, SimSlot *slot, Job *job)
{
        if (slot->runs[0].job == job)
                start_ending(w, slot);
        else
                recall(w, slot);
}

void labour_cancel(World *w, Job *job)
{
        if (job->slot)
                cancel(w, job->slot, job);
}

static void begin(World *w, SimSlot *slot)
{
        SimRun *run = &slot->runs[0];
        Job *job = run->job;

        slot->asked = slot->timed_out = false;
        slot->deadline = USEC_INFINITY;
        if (!job)
                return;
        begin_attempt(w, slot, job);
        CHECK(w, run->model, job->attempt == run->written);
        if (timeout_of(job))
                slot->deadline = usec_add(w->now, timeout_of(job));
        if (job->cancel_asked)
                cancel(w, slot, job);
}

/* Takes the first run out of the line. */
static SimRun part(SimSlot *slot)
{
        SimRun run = slot->runs[0];

        memmove(slot->runs, slot->runs + 1, (slot->count - 1) * sizeof(run));
        slot->count--;
        slot->looked -= slot->looked > 0;
        slot->answered -= slot->answered > 0;
        slot->window -= slot->window > 0;
        slot->deadline = USEC_INFINITY;
        return run;
}

static void advance(World *w, SimSlot *slot)
{
        (void)part(slot);
        if (slot->count) {
                begin(w, slot);
                return;
        }
        slot->asked = slot->closed = slot->timed_out = false;
}

/* --- dispatch --- */

static unsigned slot_room(const World *w, const SimSlot *slot, const CoreHandler *handler)
{
        unsigned window = 1;

        if (!slot->alive || slot->closed || slot->asked)
                return 0;
        for (unsigned i = 0; i < SIM_HANDLERS; i++)
                if (w->handlers[i] == handler && w->config.quick[i] && slot->pool->pages)
                        window = SIM_LINE;
        return window > slot->count ? window - slot->count : 0;
}

static unsigned room(const World *w, const SimPool *p, const CoreHandler *handler)
{
        unsigned n = 0;

        for (unsigned i = 0; i < SIM_SLOTS; i++)
                n += slot_room(w, &p->slots[i], handler);
        return n;
}

static bool claim(World *w, SimPool *p, unsigned n)
{
        SimView view;
        SimJob *m;
        Job *job;

        rank_look(w, &view);
        job = core_claim(&w->core, p->core, n, w->now);
        oracle_listen(w);
        if (!job)
                return false;
        m = model_of(w, job);
        view.arrives = job->request == REQUEST_ADMIT;
        rank_check_claim(w, &view, job);
        world_note(w, view.arrives ? SIM_CLAIM_ARRIVING : SIM_CLAIM, m->index, n,
                   (int64_t)job->attempt);
        if (m->spec.units)
                world_note(w, SIM_CLAIM_UNITS, m->index, m->spec.units, 0);
        return true;
}

/* Is there no room, not even for the shortest run? */
static bool is_busy(const SimPool *p)
{
        for (unsigned i = 0; i < SIM_SLOTS; i++) {
                const SimSlot *slot = &p->slots[i];

                if (slot->alive && !slot->closed && !slot->asked &&
                    slot->count < (p->pages ? (unsigned)SIM_LINE : 1u))
                        return false;
        }
        return true;
}

/* Each claim is made with the room that there is for that very job. */
static void dispatch(World *w, SimPool *p)
{
        Job *job;

        p->core->busy = is_busy(p);
        while ((job = core_peek(&w->core, p->core, w->now))) {
                p->full = false;
                if (!claim(w, p, room(w, p, job->handler)))
                        return;
        }
        oracle_listen(w);
        if (w->kind || dice_permille(&w->dice, 200))
                rank_check_idle(w, p->core);
}

static bool is_empty(const SimPool *p)
{
        for (unsigned i = 0; i < SIM_SLOTS; i++)
                if (p->slots[i].count)
                        return false;
        return true;
}

void labour_dispatch(World *w)
{
        for (unsigned i = 0; i < SIM_POOLS; i++) {
                SimPool *p = &w->pools[i];

                if (p->removed && p->core->owner && is_empty(p)) {
                        p->core->owner = NULL;
                        for (unsigned k = 0; k < SIM_SLOTS; k++)
                                p->slots[k].alive = false;
                        world_note(w, SIM_POOL_GONE, SIM_NOBODY, i, 0);
                }
                if (w->dispatching && !p->removed)
                        dispatch(w, p);
        }
}

static SimSlot *find_slot(World *w, SimPool *p, const Job *job)
{
        unsigned from = dice_below(&w->dice, SIM_SLOTS);
        SimSlot *found = NULL;

        for (unsigned i = 0; i < SIM_SLOTS; i++) {
                SimSlot *slot = &p->slots[(from + i) % SIM_SLOTS];

                if (!slot_room(w, slot, job->handler))
                        continue;
                if (!slot->count)
                        return slot;
                if (!found)
                        found = slot;
        }
        return found;
}

static void bury(World *w, SimSlot *slot, bool shutdown);

/* It can not be handed over just now, one way or the other. */
static bool give_fails(World *w, SimSlot *slot, Job *job)
{
        AttemptEnd end = { .outcome = OUTCOME_ERROR, .may_retry = true };

        if (w->kind || !dice_permille(&w->dice, 4))
                return false;
        world_note(w, SIM_GIVE_FAILS, model_of(w, job)->index, 0, 0);
        if (dice_permille(&w->dice, 500)) {
                give_back(w, job);
                bury(w, slot, false);
                return true;
        }
        begin_attempt(w, NULL, job);
        end.certificate = certificate_new("no descriptor for it");
        settle(w, job, job->attempt, &end);
        return true;
}

static void give(World *w, SimSlot *slot, Job *job)
{
        SimRun *run = &slot->runs[slot->count];
        SimJob *m = model_of(w, job);

        CHECK(w, m, slot->count < SIM_LINE && !job->slot && job->state == JOB_QUEUED);
        oracle_given(w, m, job);
        *run = (SimRun){ .job = job, .model = m, .written = job->attempt + 1 };
        job->slot = slot;
        slot->count++;
        world_note(w, slot->count == 1 ? SIM_GIVE : SIM_GIVE_AHEAD, m->index, run->written,
                   (int64_t)slot->count);
        if (slot->count == 1)
                begin(w, slot);
}

void labour_run(World *w, Job *job)
{
        SimPool *p = job->pool->owner;
        SimSlot *slot;

        if (!p) {
                give_back(w, job);
                return;
        }
        slot = p->full ? NULL : find_slot(w, p, job);
        if (!slot || !w->dispatching || core_is_overtaken(job)) {
                p->full = true;
                give_back(w, job);
                return;
        }
        if (!give_fails(w, slot, job))
                give(w, slot, job);
}

/* --- what workers do --- */

/* The worker takes the next run of its line, unless the window is closed. */
static bool look(World *w, SimSlot *slot)
{
        SimRun *run = &slot->runs[slot->looked];

        if (!slot->alive || slot->looked == slot->count || slot->looked != slot->answered)
                return false;
        slot->looked++;
        if (slot->closed && slot->looked > slot->window) {
                slot->answered++;
                run->answer = ANSWER_RECALLED;
                return true;
        }
        run->executed = true;
        oracle_executed(w, run->model, run->written);
        return true;
}

static SimAnswer any_answer(World *w, const SimSlot *slot)
{
        unsigned n = dice_below(&w->dice, 100);

        if (w->kind)
                return ANSWER_SUCCESS;
        if (slot->asked && n < 50)
                return ANSWER_CANCELLED;
        return n < 70   ? ANSWER_SUCCESS
               : n < 88 ? ANSWER_ERROR
               : n < 92 ? ANSWER_NO_RETRY
               : n < 99 ? ANSWER_COMMAND
                        : ANSWER_CANCELLED;
}

static bool answer(World *w, SimSlot *slot)
{
        if (!slot->alive || slot->answered == slot->looked)
                return false;
        slot->runs[slot->answered++].answer = any_answer(w, slot);
        return true;
}

static void read_failure(const SimSlot *slot, SimAnswer answer, AttemptEnd *end)
{
        end->may_retry = answer != ANSWER_NO_RETRY;
        end->outcome = slot->timed_out                                  ? OUTCOME_TIMEOUT
                       : answer == ANSWER_CANCELLED || slot->asked ? OUTCOME_CANCELLED
                       : answer == ANSWER_COMMAND                  ? OUTCOME_COMMAND_FAILED
                                                                   : OUTCOME_ERROR;
        end->certificate = certificate_new("it failed");
}

static void note_answer(World *w, const SimJob *m, const AttemptEnd *end, SimAnswer answer)
{
        static const SimEvent events[] = { SIM_ANSWER_SUCCESS, SIM_ANSWER_ERROR,
                                           SIM_ANSWER_COMMAND, SIM_ANSWER_TIMEOUT,
                                           SIM_ANSWER_CANCELLED };
        SimEvent event = events[end->outcome];

        if (answer == ANSWER_NO_RETRY && event == SIM_ANSWER_ERROR)
                event = SIM_ANSWER_NO_RETRY;
        if (answer == ANSWER_RECALLED)
                event = SIM_ANSWER_RECALLED;
        world_note(w, event, m->index, (int64_t)m->attempt, 0);
}

static uint32_t result_length(World *w)
{
        static const uint32_t lengths[] = { 0, 0, 30, SIM_LARGE, SIM_LARGE + 1, 200 };

        return lengths[dice_below(&w->dice, ELEMENTS(lengths))];
}

/* The answer to the first run of the line. */
static bool read_answer(World *w, SimSlot *slot)
{
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED };
        SimRun run = slot->runs[0];
        char text[SIM_TEXT];

        if (!slot->alive || !slot->answered)
                return false;
        if (!run.job) {
                advance(w, slot);
                return true;
        }
        if (run.answer != ANSWER_SUCCESS)
                read_failure(slot, run.answer, &end);
        run.model->result_number = run.written;
        run.model->result_len = result_length(w);
        end.result = model_result(run.model, run.written, run.model->result_len, text);
        advance(w, slot);
        note_answer(w, run.model, &end, run.answer);
        settle(w, run.job, run.written, &end);
        return true;
}

static bool say_progress(World *w, SimSlot *slot)
{
        SimRun *run = &slot->runs[0];

        if (!slot->alive || slot->answered || !slot->looked || !run->job || !run->executed)
                return false;
        core_progress(&w->core, run->job, dice_below(&w->dice, 101) / 100.0);
        world_note(w, SIM_PROGRESS, run->model->index, 0, 0);
        oracle_listen(w);
        return true;
}

static bool time_out(World *w, SimSlot *slot)
{
        if (!slot->count || slot->deadline > w->now || slot->asked)
                return false;
        world_note(w, SIM_TIMEOUT, slot->runs[0].model->index, 0, 0);
        slot->timed_out = true;
        start_ending(w, slot);
        return true;
}

/* --- death and birth --- */

static Outcome outcome_of(const SimSlot *slot, bool first, bool shutdown)
{
        if (shutdown)
                return OUTCOME_SHUTDOWN;
        if (!first || !slot->asked)
                return OUTCOME_WORKER_DIED;
        return slot->timed_out ? OUTCOME_TIMEOUT : OUTCOME_CANCELLED;
}

static void bury_run(World *w, SimSlot *slot, SimRun *run, Outcome outcome)
{
        bool begun = run->executed || !slot->pool->pages;
        AttemptEnd end = { .outcome = outcome, .may_retry = true, .untouched = !begun };
        Job *job = run->job;

        if (begun && job->state == JOB_QUEUED)
                begin_attempt(w, slot, job);
        if (job->state == JOB_QUEUED) {
                give_back(w, job);
                return;
        }
        world_note(w, begun ? SIM_DIED : SIM_DIED_UNTOUCHED, run->model->index, outcome, 0);
        end.certificate = certificate_new("its worker died");
        settle(w, job, job->attempt, &end);
}

/* The worker is dead: what it had written is read, what had begun ends, the rest goes back. */
static void bury(World *w, SimSlot *slot, bool shutdown)
{
        while (read_answer(w, slot))
                ;
        slot->alive = false;
        for (bool first = true; slot->count; first = false) {
                Outcome outcome = outcome_of(slot, first, shutdown);
                SimRun run = part(slot);

                if (run.job)
                        bury_run(w, slot, &run, outcome);
        }
        slot->asked = slot->closed = slot->timed_out = false;
}

static bool be_born(World *w, SimSlot *slot)
{
        if (slot->alive || !slot->pool->core->owner || slot->pool->removed)
                return false;
        slot->alive = true;
        slot->looked = slot->answered = slot->window = 0;
        slot->generation++;
        world_note(w, SIM_BIRTH, SIM_NOBODY, slot->generation, 0);
        return true;
}

void labour_shut_down(World *w)
{
        for (unsigned i = 0; i < SIM_POOLS; i++)
                for (unsigned k = 0; k < SIM_SLOTS; k++)
                        bury(w, &w->pools[i].slots[k], true);
        world_note(w, SIM_SHUTDOWN, SIM_NOBODY, 0, 0);
}

static SimSlot *any_slot(World *w)
{
        SimPool *p = &w->pools[dice_below(&w->dice, SIM_POOLS)];

        return &p->slots[dice_below(&w->dice, SIM_SLOTS)];
}

void labour_step(World *w)
{
        SimSlot *slot = any_slot(w);
        unsigned n = dice_below(&w->dice, 1000);

        if (!slot->alive) {
                if (n < 300)
                        (void)be_born(w, slot);
        } else if (time_out(w, slot) || n < 400) {
                (void)look(w, slot);
        } else if (n < 640) {
                (void)answer(w, slot);
        } else if (n < 920) {
                while (read_answer(w, slot) && n++ & 1)
                        ;
        } else if (n < 950) {
                (void)say_progress(w, slot);
        } else if (n < 970) {
                recall(w, slot);
        } else if (n < 985) {
                bury(w, slot, false);
        }
}

bool labour_finish(World *w)
{
        bool any = false;

        for (unsigned i = 0; i < SIM_POOLS; i++)
                for (unsigned k = 0; k < SIM_SLOTS; k++) {
                        SimSlot *slot = &w->pools[i].slots[k];

                        any |= be_born(w, slot);
                        while (look(w, slot) || answer(w, slot) || read_answer(w, slot))
                                any = true;
                }
        return any;
}

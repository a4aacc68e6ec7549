/* SPDX-License-Identifier: MIT */

/* Back from the store. Jobs are made one by one, all that wait as blocked, in no queue; when all
 * are there, and the config has said which pool does what, core_resume() lets them go on. */

#include "core/inside.h"
#include "core/user.h"

static void restore_history(JobHistory *h, const JobRecord *r)
{
        h->failures = r->failures;
        h->deaths = r->deaths;
        h->untouched = r->untouched;
        h->started = r->started;
        h->claimed = r->claimed;
}

static int restore_words(Job *job, const JobRecord *r)
{
        JobHistory *h = job_history(job);

        if (!h)
                return -ENOMEM;
        restore_history(h, r);
        if (r->reason.len)
                h->reason = strndup(r->reason.data, r->reason.len);
        if (r->result.len) {
                h->result = malloc(r->result.len);
                if (!h->result)
                        return -ENOMEM;
                memcpy(h->result, r->result.data, r->result.len);
                h->result_len = r->result.len;
        }
        return 0;
}

static JobState first_state(JobState kept)
{
        return kept == JOB_RUNNING || job_state_ended(kept) ? kept : JOB_BLOCKED;
}

static void count(Core *core, Job *job)
{
        core->count[job->state]++;
        job->pool->count[job->state]++;
        if (job_state_ended(job->state)) {
                core->kept++;
                core->kept_bytes += core_kept_size(job);
                return;
        }
        count_open(core, job, 1);
        count_bytes(core, job, job->bytes);
}

int core_restore(Core *core, const JobRecord *r, Job **ret)
{
        bool empty = !r->attempt && !r->reason.len && !r->result.len && !r->failures && !r->started;
        Job *job;
        int e = admission_make(core, &r->spec, r->pool, r->args_shed, &job);

        if (e < 0)
                return e;
        job->priority = (int16_t)r->spec.priority;
        job->attempt = r->attempt - (r->state == JOB_RUNNING); /* that one is added by resume */
        job->budget = r->budget;
        job->submitted = r->submitted;
        job->order = r->order;
        job->ready_at = r->ready_at;
        job->ended = r->ended;
        job->seq = r->seq;
        job->args_shed = r->args_shed;
        job->result_shed = r->result_shed;
        job->state = (uint8_t)first_state(r->state);
        job->attached = r->spec.has & JOB_HAS_ATTACHED;
        job->touched = r->started != 0;
        job->cancel_asked = job->attached; /* who it was attached to is gone */
        if (!empty)
                e = restore_words(job, r);
        job->listed = true;
        list_append(&core->all, &job->all);
        count(core, job);
        if (e == 0 && !job_state_ended(job->state) && !table_take_key(core, job))
                e = -ENOMEM;
        if (e < 0) {
                core_forget(core, job);
                return e;
        }
        if (job->attached && !job_state_ended(job->state))
                job_set_reason(job, "its client's connection went with the daemon");
        core->last_seq = MAX(core->last_seq, r->seq);
        core->last_order = MAX(core->last_order, r->order);
        *ret = job;
        return 0;
}

int core_restore_blocker(Core *core, Job *waiting, const Uuid *id)
{
        const Job *blocker = table_find(core, id, waiting->uid);
        char reason[128];

        if (blocker && !job_state_ended(blocker->state))
                return dependency_add(waiting, (Job *)blocker);
        if (blocker && blocker->state == JOB_SUCCEEDED)
                return 0;
        waiting->cancel_asked = true;
        (void)snprintf(reason, sizeof(reason), "job %s, which had to succeed first, %s%s",
                       uuid_text(id).text,
                       blocker ? "had ended: " : "was lost with the daemon's memory",
                       blocker ? job_state_name(blocker->state) : "");
        job_set_reason(waiting, reason);
        return 0;
}

/* The daemon died while this job ran, or was about to. */
static void end_attempt(Core *core, Job *job, usec_t now)
{
        AttemptEnd end = { .outcome = OUTCOME_SUPERVISOR_DIED, .may_retry = true };
        Attempt *a = job_add_attempt(job);

        if (!a)
                abort(); /* it ran, and nobody could say so */
        a->number = ++job->attempt;
        a->pool = job->pool;
        a->started = job->history->claimed;
        if (!job->history->started)
                job->history->started = a->started;
        end.certificate = certificate_new(
                "the daemon died while the job was with a worker, or about to be");
        (void)core_settle(core, job, a->number, &end, now, job->seq * 0x9e3779b97f4a7c15u);
}

static void go_on(Core *core, Job *job, usec_t now)
{
        if (!job->order && !job_first_blocker(job) && job->ready_at <= now)
                job->order = MAX(job->ready_at, 1u); /* it became ready while nobody was there */
        core->last_order = MAX(core->last_order, job->order);
        core_place(core, job, now);
        claim_return(core, job, now);
}

static int by_end(const void *a, const void *b)
{
        const Job *x = *(Job *const *)a, *y = *(Job *const *)b;

        if (x->ended != y->ended)
                return x->ended < y->ended ? -1 : 1;
        return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Those that have ended are kept in the order of their ends. */
static void keep_ended(Core *core)
{
        Job **sorted = calloc(MAX(core->kept, 1u), sizeof(Job *)), *job;
        size_t n = 0;

        LIST_FOREACH(&core->all, job, all) {
                if (!job_state_ended(job->state))
                        continue;
                core->kept--; /* core_keep() counts it again */
                core->kept_bytes -= core_kept_size(job);
                if (sorted)
                        sorted[n++] = job;
                else
                        core_keep(core, job); /* in the order of submission, then */
        }
        if (n)
                qsort(sorted, n, sizeof(Job *), by_end);
        for (size_t i = 0; i < n; i++)
                core_keep(core, sorted[i]);
        free(sorted);
}

void core_resume(Core *core, usec_t now)
{
        Job *job;

        keep_ended(core);
        LIST_FOREACH(&core->all, job, all)
                if (job->state == JOB_RUNNING)
                        end_attempt(core, job, now);
                else if (!job_state_ended(job->state))
                        go_on(core, job, now);
}

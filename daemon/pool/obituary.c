/* SPDX-License-Identifier: MIT */

#include "pool/obituary.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "ops/status_line.h"
#include "pool/fields.h"

static const char *who_did_it(const Worker *w)
{
        switch (w->end) {
        case END_TIMEOUT:
                return "because its job timed out";
        case END_CANCEL:
                return "because its job was cancelled";
        case END_RETIRED:
                return "after it was told to leave";
        case END_RECYCLED:
                return "after it was recycled";
        case END_SHUTDOWN:
                return "because the daemon stops";
        case END_NONSENSE:
                return "because it broke the protocol";
        case END_START:
                return "because it was not ready in time";
        case END_FORKER:
                return "because its fork server died";
        default:
                return exit_verdict_signal(&w->verdict) == SIGKILL ? "from outside" : "by itself";
        }
}

const char *death_cause_name(DeathCause cause)
{
        static const char *const names[] = {
#define CAUSE(name, word) word,
                DEATH_CAUSES(CAUSE)
#undef CAUSE
        };

        return names[cause];
}

static DeathCause cause_from_outside(const Worker *w)
{
        int signal = exit_verdict_signal(&w->verdict);

        if (!w->prepared)
                return DEATH_START;
        if (!signal)
                return DEATH_EXIT;
        return signal == SIGKILL ? DEATH_KILLED : DEATH_SIGNAL;
}

DeathCause obituary_cause(const Worker *w)
{
        if (w->oom_killed)
                return DEATH_OOM;
        switch (w->end) {
        case END_TIMEOUT:
                return DEATH_TIMEOUT;
        case END_CANCEL:
                return DEATH_CANCEL;
        case END_NONSENSE:
                return DEATH_PROTOCOL;
        case END_START:
                return DEATH_START;
        case END_FORKER:
                return DEATH_FORK_SERVER;
        default:
                return cause_from_outside(w);
        }
}

static char *out_of_memory(const Worker *w, char *to, size_t size)
{
        uint64_t max = w->pool->settings->memory_max;
        char limit[64] = "";

        if (max != SETTING_UNSET && max % 1048576 == 0)
                (void)snprintf(limit, sizeof(limit), " (MemoryMax=%lluM)",
                               (unsigned long long)max / 1048576);
        else if (max != SETTING_UNSET)
                (void)snprintf(limit, sizeof(limit), " (MemoryMax=%llu)", (unsigned long long)max);
        (void)snprintf(to, size, "worker %s (pid %d) was killed by the kernel: out of memory%s",
                       w->name, (int)w->pid, limit);
        return to;
}

char *obituary_words(const Worker *w, char *to, size_t size)
{
        char verdict[96];

        if (w->oom_killed)
                return out_of_memory(w, to, size);
        exit_verdict_words(&w->verdict, verdict, sizeof(verdict));
        (void)snprintf(to, size, "worker %s (pid %d) %s %s%s%s%s", w->name, (int)w->pid, verdict,
                       who_did_it(w), w->end_detail[0] ? " (" : "", w->end_detail,
                       w->end_detail[0] ? ")" : "");
        return to;
}

Outcome obituary_outcome(const Worker *w)
{
        switch (w->end) {
        case END_TIMEOUT:
                return OUTCOME_TIMEOUT;
        case END_CANCEL:
                return OUTCOME_CANCELLED;
        case END_SHUTDOWN:
                return OUTCOME_SHUTDOWN;
        default:
                return OUTCOME_WORKER_DIED;
        }
}

/* The ring of last words as a string of valid UTF-8. */
static char *last_words(const Worker *w)
{
        size_t n = MIN(w->tail_written, (size_t)STDERR_TAIL), from = w->tail_written - n;
        char *text = malloc(n + 1);

        if (!text)
                return NULL;
        for (size_t i = 0; i < n; i++)
                text[i] = w->tail[(from + i) % STDERR_TAIL];
        text[n] = '\0';
        for (size_t i = 0; i < n;) {
                const unsigned char *p = (const unsigned char *)text + i;
                int length = *p && *p < 0x80 ? 1
                             : *p            ? utf8_length(p, (const unsigned char *)text + n)
                                             : 0;

                if (!length)
                        text[i] = '?';
                i += length ? (size_t)length : 1;
        }
        return text;
}

/* Without the level before it that is for the journal. */
static const char *last_line(char *text)
{
        size_t n = strlen(text);
        const char *line;

        while (n && strchr("\n\r ", text[n - 1]))
                text[--n] = '\0';
        line = strrchr(text, '\n');
        line = line ? line + 1 : text;
        return line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>' ? line + 3
                                                                                    : line;
}

void obituary_start_words(const Worker *w, char *to, size_t size)
{
        AUTO(free) char *text = last_words(w);
        const char *line = text ? last_line(text) : "";
        size_t used;

        obituary_words(w, to, size);
        used = strlen(to);
        if (*line)
                (void)snprintf(to + used, size - used, "; it wrote: %s", line);
        status_line_clean(to);
}

/* --- several jobs, one end --- */

static bool has_crashed(const Worker *w, const Slot *slot)
{
        uint32_t signal = slot->page ? slot_page_crash(slot->page) : 0;

        return signal && (int)signal == exit_verdict_signal(&w->verdict);
}

void obituary_find_culprit(Worker *w)
{
        Culprit *c = &w->culprit;

        if (w->n_slots == 1)
                return;
        for (unsigned i = 0; i < w->n_slots; i++) {
                const Slot *slot = &w->slots[i];
                const Job *job = slot->count ? slot_job(slot, 0) : NULL;
                bool crashed = job && has_crashed(w, slot);

                c->n_jobs += job != NULL;
                if (!job || c->signal || (!crashed && (!slot->pulled || c->slot)))
                        continue;
                *c = (Culprit){ slot, job->id, job->uid, 0, c->n_jobs };
                c->signal = crashed ? exit_verdict_signal(&w->verdict) : 0;
        }
}

static const char *crash_name(const Culprit *c, char *to, size_t size)
{
        (void)snprintf(to, size, "SIG%s", signal_name(c->signal));
        return to;
}

/* For a job that fell with another one: " (job ID)", where its user may know. */
static const char *name_job(const Worker *w, const Job *job, char *to, size_t size)
{
        *to = '\0';
        if (job->uid == w->culprit.uid)
                (void)snprintf(to, size, " (job %s)", uuid_text(&w->culprit.job).text);
        return to;
}

static char *bystander_words(const Worker *w, const Job *job, char *to, size_t size)
{
        const Culprit *c = &w->culprit;
        char name[80], signal[32];

        if (c->signal)
                (void)snprintf(to, size,
                               "another job of its worker crashed: %s%s; worker %s (pid %d) is "
                               "gone with it",
                               crash_name(c, signal, sizeof(signal)),
                               name_job(w, job, name, sizeof(name)), w->name, (int)w->pid);
        else
                (void)snprintf(to, size,
                               "its worker was ended because another job of it %s%s; worker %s "
                               "(pid %d) is gone with it",
                               c->slot->timed_out ? "timed out" : "was cancelled",
                               name_job(w, job, name, sizeof(name)), w->name, (int)w->pid);
        return to;
}

/* The words for one of its jobs. */
static char *job_words(const Worker *w, const Slot *slot, const Job *job, char *to, size_t size)
{
        const Culprit *c = &w->culprit;
        char words[400], signal[32];

        obituary_words(w, words, sizeof(words));
        if (obituary_bystander(w, slot))
                return bystander_words(w, job, to, size);
        if (c->signal)
                (void)snprintf(to, size, "its handler crashed: %s; %s",
                               crash_name(c, signal, sizeof(signal)), words);
        else if (!c->slot && c->n_jobs > 1 && w->end == END_OUTSIDE)
                (void)snprintf(to, size, "%s, with one of %u jobs that it had", words, c->n_jobs);
        else
                (void)snprintf(to, size, "%s", words);
        return to;
}

Certificate *obituary_certificate(const Worker *w, const Slot *slot, const Job *job)
{
        char words[512];
        Certificate *c = certificate_new(job_words(w, slot, job, words, sizeof(words)));
        int signal = exit_verdict_signal(&w->verdict);

        if (!c)
                return NULL;
        c->died = true;
        c->exit_status = exit_verdict_status(&w->verdict);
        if (signal)
                (void)snprintf(c->signal, sizeof(c->signal), "%s", signal_name(signal));
        c->core_dumped = exit_verdict_core(&w->verdict);
        c->oom_killed = w->oom_killed;
        c->cpu_usec = w->verdict.cpu_usec;
        c->peak_memory_bytes = w->verdict.peak_memory_bytes;
        if (w->tail_written && !w->words_mixed && !obituary_bystander(w, slot))
                c->stderr_tail = last_words(w);
        return c;
}

static const Job *first_job(const Worker *w)
{
        const Slot *slot = w->culprit.slot;

        for (unsigned i = 0; i < w->n_slots && !slot; i++)
                if (w->slots[i].count)
                        slot = &w->slots[i];
        return slot && slot->count ? slot_job(slot, 0) : NULL;
}

static const char *others(const Worker *w, char *to, size_t size)
{
        *to = '\0';
        if (w->culprit.n_jobs > 1)
                (void)snprintf(to, size, " and %u more", w->culprit.n_jobs - 1);
        return to;
}

void obituary_publish(Worker *w, usec_t now)
{
        char words[512], lived[64], more[32];
        const Job *job = first_job(w);
        LogFields fields = worker_fields(w, MESSAGE_WORKER_DIED);
        int level = worker_was_asked(w) || w->end == END_SHUTDOWN ? LEVEL_INFO : LEVEL_WARNING;

        obituary_words(w, words, sizeof(words));
        worker_note_state(w, words);
        log_event(&fields, level,
                  "worker=%s pid=%d gen=%u died: %s; state=%s%s%s%s lived=%s cpu=%llums", w->name,
                  (int)w->pid, w->generation, words,
                  !w->prepared ? "starting"
                  : job        ? "busy"
                               : "idle",
                  job ? " job=" : "", job ? uuid_text(&job->id).text : "",
                  others(w, more, sizeof(more)),
                  format_span(now - w->started, lived, sizeof(lived)),
                  (unsigned long long)w->verdict.cpu_usec / 1000);
}

/* SPDX-License-Identifier: MIT */

#include "pool/obituary.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "base/utf8.h"
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

Certificate *obituary_certificate(const Worker *w)
{
        char words[512];
        Certificate *c = certificate_new(obituary_words(w, words, sizeof(words)));
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
        if (w->tail_written)
                c->stderr_tail = last_words(w);
        return c;
}

void obituary_publish(Worker *w, usec_t now)
{
        char words[512], lived[64];
        const Slot *slot = &w->slots[0];
        const Job *job = slot->count ? slot_job(slot, 0) : NULL;
        LogFields fields = worker_fields(w, MESSAGE_WORKER_DIED);
        int level = worker_was_asked(w) || w->end == END_SHUTDOWN ? LEVEL_INFO : LEVEL_WARNING;

        obituary_words(w, words, sizeof(words));
        worker_note_state(w, words);
        log_event(&fields, level,
                  "worker=%s pid=%d gen=%u died: %s; state=%s%s%s lived=%s cpu=%llums", w->name,
                  (int)w->pid, w->generation, words,
                  !w->prepared ? "starting"
                  : job        ? "busy"
                               : "idle",
                  job ? " job=" : "", job ? uuid_text(&job->id).text : "",
                  format_span(now - w->started, lived, sizeof(lived)),
                  (unsigned long long)w->verdict.cpu_usec / 1000);
}

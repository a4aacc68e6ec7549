/* SPDX-License-Identifier: MIT */

/* Behind a job stand, one after the other and only where given:
 *
 *     KeyLink          JOB_HAS_UNIQUE_KEY
 *     numbers          8 bytes each, in the order of their bits
 *     arguments        the bytes, or, where they have an allocation of their own, its address
 *     texts            4 bytes of length and the bytes, in the order of their bits */

#include "core/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "core/ties.h"

const JobHistory job_no_history = { .progress = -1 };

static const char *const state_names[] = {
#define STATE(name, word, next) word,
        JOB_STATES(STATE)
#undef STATE
};

const char *job_state_name(JobState s)
{
        return state_names[s];
}

bool job_state_allows(JobState from, JobState to)
{
#define AFTER(name) (1u << JOB_##name)
#define STATE(name, word, next) next,
        static const unsigned allowed[] = { JOB_STATES(STATE) };
#undef STATE
#undef AFTER
        return allowed[from] & (1u << to);
}

static const char *const outcome_names[] = { "succeeded", "error",          "command_failed",
                                             "timeout",   "cancelled",      "worker_died",
                                             "shutdown",  "supervisor_died" };

const char *outcome_name(Outcome o)
{
        return o < OUTCOME_NONE ? outcome_names[o] : NULL;
}

Outcome outcome_of_name(const char *name)
{
        for (Outcome o = 0; o < OUTCOME_NONE; o++)
                if (strcmp(outcome_names[o], name) == 0)
                        return o;
        return OUTCOME_NONE;
}

Certificate *certificate_new(const char *error)
{
        Certificate *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->exit_status = -1;
        c->error = error ? strdup(error) : NULL;
        return c;
}

void certificate_free(Certificate *c)
{
        if (!c)
                return;
        free(c->error);
        free(c->stderr_tail);
        free(c);
}

/* --- data --- */

static size_t key_size(uint16_t has)
{
        return has & JOB_HAS_UNIQUE_KEY ? sizeof(KeyLink) : 0;
}

static size_t numbers_size(uint16_t has)
{
        return sizeof(usec_t) * (size_t)__builtin_popcount(has & JOB_NUMBERS);
}

static char *args_place(const Job *j)
{
        return (char *)j->data + key_size(j->has) + numbers_size(j->has);
}

static size_t data_size(const JobData *d)
{
        size_t n = key_size(d->has) + numbers_size(d->has) +
                   (d->args_elsewhere ? sizeof(char *) : d->args.len);

        for (unsigned i = 0; i < ELEMENTS(d->texts); i++)
                n += d->has & (JOB_HAS_UNIQUE_KEY << i) ? sizeof(uint32_t) + d->texts[i].len : 0;
        return n;
}

static char *put(char *to, const void *from, size_t n)
{
        if (n)
                memcpy(to, from, n);
        return to + n;
}

static char *put_args(Job *j, char *to, const JobData *d)
{
        char *own;

        j->args_len = (uint32_t)d->args.len;
        j->args_elsewhere = d->args_elsewhere;
        if (!d->args_elsewhere)
                return put(to, d->args.data, d->args.len);
        own = d->args.len ? malloc(d->args.len) : NULL;
        if (d->args.len && !own)
                return NULL;
        (void)put(own, d->args.data, d->args.len);
        return put(to, &own, sizeof(own));
}

Job *job_new(const JobData *d)
{
        size_t size = sizeof(Job) + data_size(d);
        Job *j = malloc(size);
        char *to;

        if (!j)
                return NULL;
        memset(j, 0, sizeof(*j));
        j->has = d->has;
        j->history = (JobHistory *)&job_no_history;
        j->ready_index = j->timer_index = HEAP_NONE;
        list_init(&j->all);
        list_init(&j->link);
        to = j->data + key_size(d->has);
        for (unsigned i = 0; i < ELEMENTS(d->numbers); i++)
                if (d->has & (1u << i))
                        to = put(to, &d->numbers[i], sizeof(usec_t));
        to = put_args(j, to, d);
        if (!to) {
                free(j);
                return NULL;
        }
        for (unsigned i = 0; i < ELEMENTS(d->texts); i++) {
                uint32_t len = (uint32_t)d->texts[i].len;

                if (!(d->has & (JOB_HAS_UNIQUE_KEY << i)))
                        continue;
                to = put(to, &len, sizeof(len));
                to = put(to, d->texts[i].data, len);
        }
        j->bytes = (uint32_t)(size + (d->args_elsewhere ? d->args.len : 0));
        return j;
}

usec_t job_number(const Job *j, uint16_t which, usec_t otherwise)
{
        usec_t number;

        if (!(j->has & which))
                return otherwise;
        memcpy(&number, j->data + key_size(j->has) + numbers_size(j->has & (which - 1)),
               sizeof(number));
        return number;
}

Slice job_text(const Job *j, uint16_t which)
{
        const char *at = args_place(j) + (j->args_elsewhere ? sizeof(char *) : j->args_len);
        uint32_t len;

        if (!(j->has & which))
                return (Slice){ NULL, 0 };
        for (uint16_t bit = JOB_HAS_UNIQUE_KEY; bit <= which; bit = (uint16_t)(bit << 1)) {
                if (!(j->has & bit))
                        continue;
                memcpy(&len, at, sizeof(len));
                at += sizeof(len);
                if (bit == which)
                        return (Slice){ at, len };
                at += len;
        }
        ASSERT(false);
}

static char *args_address(const Job *j)
{
        char *own;

        memcpy(&own, args_place(j), sizeof(own));
        return own;
}

Slice job_args(const Job *j)
{
        return (Slice){ j->args_elsewhere ? args_address(j) : args_place(j), j->args_len };
}

int64_t job_set_args(Job *j, char *args, size_t len)
{
        int64_t change = (int64_t)len - j->args_len;

        ASSERT(j->args_elsewhere);
        free(args_address(j));
        memcpy(args_place(j), &args, sizeof(args));
        j->args_len = (uint32_t)len;
        j->args_shed = !args;
        j->bytes = (uint32_t)(j->bytes + change);
        return change;
}

KeyLink *job_key_link(Job *j)
{
        KeyLink *k = (KeyLink *)j->data;

        k->job = j;
        return k;
}

/* --- history --- */

JobHistory *job_history(Job *j)
{
        JobHistory *h;

        if (j->history != &job_no_history)
                return j->history;
        h = malloc(sizeof(*h));
        if (!h)
                return NULL;
        *h = job_no_history;
        j->history = h;
        return h;
}

void job_set_reason(Job *j, const char *reason)
{
        JobHistory *h = reason && !j->history->reason ? job_history(j) : NULL;

        if (h)
                h->reason = strdup(reason);
}

void job_clear_reason(Job *j)
{
        if (!j->history->reason)
                return;
        free(j->history->reason);
        j->history->reason = NULL;
}

Attempt *job_add_attempt(Job *j)
{
        JobHistory *h = job_history(j);
        Attempt *grown;

        if (!h)
                return NULL;
        if (h->n_attempts == JOB_KEEP_ATTEMPTS) {
                certificate_free(h->attempts[1].certificate);
                memmove(&h->attempts[1], &h->attempts[2],
                        (h->n_attempts - 2) * sizeof(*h->attempts));
                h->n_attempts--;
        } else if ((h->n_attempts & (h->n_attempts - 1)) == 0) { /* 0, 1, 2, 4, 8 …: full */
                grown = realloc(h->attempts, MAX(h->n_attempts * 2, 1u) * sizeof(*grown));
                if (!grown)
                        return NULL;
                h->attempts = grown;
        }
        h->attempts[h->n_attempts] = (Attempt){ .outcome = OUTCOME_NONE };
        return &h->attempts[h->n_attempts++];
}

void job_free(Job *j)
{
        JobHistory *h = j->history;

        if (h != &job_no_history) {
                for (uint32_t i = 0; i < h->n_attempts; i++)
                        certificate_free(h->attempts[i].certificate);
                free(h->attempts);
                free(h->result);
                free(h->reason);
                free(h);
        }
        if (j->args_elsewhere)
                free(args_address(j));
        ties_free(j);
        free(j);
}

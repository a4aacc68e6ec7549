/* SPDX-License-Identifier: MIT */

#include "core/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

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

const char *outcome_name(Outcome o)
{
        static const char *const names[] = { "succeeded", "error",          "command_failed",
                                             "timeout",   "cancelled",      "worker_died",
                                             "shutdown",  "supervisor_died" };

        return o < OUTCOME_NONE ? names[o] : NULL;
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

Attempt *job_add_attempt(Job *j)
{
        Attempt *grown;

        if (j->n_attempts == JOB_KEEP_ATTEMPTS) {
                certificate_free(j->attempts[1].certificate);
                memmove(&j->attempts[1], &j->attempts[2],
                        (j->n_attempts - 2) * sizeof(*j->attempts));
                j->n_attempts--;
        } else if ((j->n_attempts & (j->n_attempts - 1)) == 0) { /* 0, 1, 2, 4, 8 …: full */
                grown = realloc(j->attempts, MAX(j->n_attempts * 2, 1u) * sizeof(*grown));
                if (!grown)
                        return NULL;
                j->attempts = grown;
        }
        j->attempts[j->n_attempts] = (Attempt){ .outcome = OUTCOME_NONE };
        return &j->attempts[j->n_attempts++];
}

void job_free(Job *j)
{
        for (uint32_t i = 0; i < j->n_attempts; i++)
                certificate_free(j->attempts[i].certificate);
        free(j->attempts);
        free(j->result);
        free(j->reason);
        free(j);
}

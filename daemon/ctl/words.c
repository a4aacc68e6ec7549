/* SPDX-License-Identifier: MIT */

#include "ctl/words.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/print.h"

#define MAY_NOT_SUBMIT                                                                             \
        "access denied: this user may not submit this: Submit= of the handler's pool says who "    \
        "may, or else Submit= in [Access] of brood.conf"
#define MAY_SEE_NO_MORE                                                                            \
        "access denied: the job is another user's, and this user may not see all any more (See= "  \
        "in [Access] of brood.conf)"

/* {verb} is the verb, any other {name} a parameter of the error. The first that fits counts. */
static const struct {
        const char *error;
        const char *verb; /* NULL: any */
        const char *words;
} table[] = {
        { "io.brood.NoSuchJob", NULL,
          "there is no job {id}: it was never submitted by this user, or ended so long ago that it "
          "is forgotten" },
        { "io.brood.NoSuchHandler", NULL,
          "no pool serves handler '{handler}' (see broodctl pools)" },
        { "io.brood.NoSuchPool", NULL, "there is no pool '{pool}' (see broodctl pools)" },
        { "io.brood.NoSuchSemaphore", NULL,
          "there is no semaphore '{semaphore}': [Semaphores] of brood.conf names and sizes them" },
        { "io.brood.WrongState", "retry",
          "job {id} is {state}: only one that is failed, quarantined, cancelled or expired can be "
          "retried" },
        { "io.brood.WrongState", "cancel",
          "job {id} is {state}: only one that has not ended can be cancelled" },
        { "io.brood.WrongState", "inspect",
          "job {id} is {state}: only while it runs there is a worker of it" },
        { "io.brood.WrongState", NULL, "job {id} is {state}, and this needs another state" },
        { "io.brood.NoSuchWorker", NULL,
          "there is no worker '{worker}' (see broodctl workers)" },
        { "io.brood.InspectFailed", NULL, "worker {worker} can not be inspected: {message}" },
        { "io.brood.QueueFull", NULL,
          "the queue is full with {limit} jobs: try again later, or raise MaxQueued=" },
        { "io.brood.QuotaExceeded", NULL,
          "the quota '{quota}' of this user, {limit}, is used up: [Access] of brood.conf sets it" },
        { "io.brood.TooLarge", NULL,
          "this is too large: {limit_bytes} bytes are the limit (MaxArgsSize=, MaxMessageSize=)" },
        { "io.brood.AccessDenied", "submit", MAY_NOT_SUBMIT },
        { "io.brood.AccessDenied", "run", MAY_NOT_SUBMIT },
        { "io.brood.AccessDenied", "map", MAY_NOT_SUBMIT },
        { "io.brood.AccessDenied", "cancel",
          "access denied: the job is another user's, who can cancel it, and so can who may operate "
          "(Operate= in [Access] of brood.conf)" },
        { "io.brood.AccessDenied", "retry",
          "access denied: a job can be retried by its user, if he may still submit to its pool "
          "(Submit=), and by who may operate (Operate= in [Access] of brood.conf)" },
        { "io.brood.AccessDenied", "wait", MAY_SEE_NO_MORE },
        { "io.brood.AccessDenied", "follow", MAY_SEE_NO_MORE },
        { "io.brood.AccessDenied", "get", MAY_SEE_NO_MORE },
        { "io.brood.AccessDenied", "inspect",
          "access denied: workers are inspected by who may see all (See= or Operate= in [Access] "
          "of brood.conf), and by a user, with the id of a job of his own, while its worker runs "
          "only his" },
        { "io.brood.AccessDenied", NULL,
          "access denied: '{verb}' is for who may operate: root, the daemon's own user, and those "
          "whom Operate= in [Access] of brood.conf names" },
        { "io.brood.Draining", NULL,
          "the daemon is draining and takes no new jobs (broodctl resume takes it back)" },
        { "io.brood.WaitTimeout", NULL, "the time is up, and job {id} is {state}" },
        { "io.brood.ConfigInvalid", NULL, "{file}:{line}: {message}" },
        { "io.brood.StoreFailed", NULL, "the store failed: {message}" },
        { "org.varlink.service.InvalidParameter", NULL,
          "the daemon does not accept the parameter '{parameter}': it is of another kind, out of "
          "range, or unknown" },
        { "org.varlink.service.MethodNotImplemented", NULL,
          "this daemon does not offer {method} yet" },
        { "org.varlink.service.MethodNotFound", NULL,
          "this daemon has no {method}: it is older than this broodctl" },
        { "org.varlink.service.InterfaceNotFound", NULL,
          "what listens there is not broodd: it has no {interface}" },
        { "org.varlink.service.PermissionDenied", NULL, "access denied" },
};

/* What a user has too much of, and what helps. */
static const struct {
        const char *quota, *words;
} quotas[] = {
        { "connections",
          "this user has {limit} connections to the daemon, and may have no more at a time: close "
          "some, or have MaxConnections= in [Access] of brood.conf raised" },
        { "queued",
          "this user has {limit} jobs that have not ended, and may have no more: wait for some, or "
          "have MaxQueued= in [Access] of brood.conf raised" },
        { "bytes",
          "the jobs of this user that have not ended may take {limit} bytes, and would take more: "
          "wait for some, or have MaxBytes= in [Access] of brood.conf raised" },
        { "rate",
          "this user may submit {limit} jobs a second: slow down, or have MaxRate= in [Access] of "
          "brood.conf raised" },
};

static const char *find_quota(const char *quota)
{
        for (size_t i = 0; quota && i < ELEMENTS(quotas); i++)
                if (strcmp(quotas[i].quota, quota) == 0)
                        return quotas[i].words;
        return NULL;
}

static const char *find_words(const char *verb, const char *error)
{
        for (size_t i = 0; i < ELEMENTS(table); i++)
                if (strcmp(table[i].error, error) == 0 &&
                    (!table[i].verb || strcmp(table[i].verb, verb) == 0))
                        return table[i].words;
        return NULL;
}

static void append_value(Buffer *b, const json_t *value)
{
        char *text;

        if (json_is_string(value)) {
                buffer_append_string(b, json_string_value(value));
                return;
        }
        text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        buffer_append_string(b, text ? text : "?");
        free(text);
}

static void append_template(Buffer *b, const char *words, const char *verb,
                            const json_t *parameters)
{
        while (*words) {
                size_t n = strcspn(words, "{"), m;
                char name[32];

                buffer_append(b, words, n);
                words += n;
                if (!*words)
                        return;
                m = strcspn(++words, "}");
                (void)snprintf(name, sizeof(name), "%.*s", (int)m, words);
                if (strcmp(name, "verb") == 0)
                        buffer_append_string(b, verb);
                else
                        append_value(b, json_object_get(parameters, name));
                words += m + (words[m] == '}');
        }
}

void words_append_error(Buffer *b, const char *verb, const char *error, const json_t *parameters)
{
        const char *words = find_words(verb, error);
        const char *quota = json_string_value(json_object_get(parameters, "quota"));

        if (strcmp(error, "io.brood.QuotaExceeded") == 0 && find_quota(quota))
                words = find_quota(quota);
        if (strcmp(error, "io.brood.ConfigInvalid") == 0 &&
            json_integer_value(json_object_get(parameters, "line")) == 0)
                words = "{file}: {message}";
        if (words) {
                append_template(b, words, verb, parameters);
                return;
        }
        buffer_printf(b, "the daemon refused: %s", error);
        if (json_object_size(parameters)) {
                buffer_append_char(b, ' ');
                append_value(b, parameters);
        }
}

void words_say_error(const char *verb, const char *error, const json_t *parameters)
{
        Buffer b = BUFFER_INIT;

        words_append_error(&b, verb, error, parameters);
        if (strcmp(error, "io.brood.ConfigInvalid") == 0)
                say_plain("%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        else
                say("%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}

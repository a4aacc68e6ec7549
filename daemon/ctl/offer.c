/* SPDX-License-Identifier: MIT */

/* Somebody waits at a prompt: what takes longer than LIMIT is given up, by a signal that ends the
 * program wherever it is, with nothing printed. */

#include "ctl/offer.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "ctl/call.h"
#include "ctl/connect.h"
#include "ctl/job.h"
#include "ctl/verbs.h"

enum { MOST_WORDS = 300, MOST_JOBS = 100 /* of one state */, LIMIT = 1 /* second */ };

void offer_fini(Offer *o)
{
        json_decref(o->seen);
        buffer_fini(&o->out);
}

/* A control character would end the word, or be played to the terminal. */
static bool is_plain(const char *text)
{
        while (*text && !iscntrl((unsigned char)*text))
                text++;
        return !*text;
}

void offer_word(Offer *o, const char *word, const char *description)
{
        if (!*word || strncmp(word, o->typed, strlen(o->typed)) != 0 || !is_plain(word) ||
            o->n >= MOST_WORDS || json_object_get(o->seen, word))
                return;
        if (json_object_set_new(o->seen, word, json_true()) < 0)
                return; /* it is not UTF-8 */
        o->n++;
        buffer_printf(&o->out, "%s%s", o->prefix, word);
        if (o->described && description && is_plain(description))
                buffer_printf(&o->out, "\t%s", description);
        buffer_append_char(&o->out, '\n');
}

void offer_choices(Offer *o, const char *choices)
{
        while (*choices) {
                size_t n = strcspn(choices, " ");
                char word[64];

                (void)snprintf(word, sizeof(word), "%.*s", (int)n, choices);
                offer_word(o, word, NULL);
                choices += n + (choices[n] == ' ');
        }
}

void offer_verbs(Offer *o)
{
        const Verb *v;

        for (unsigned i = 0; (v = verb_at(i)); i++)
                if (!v->hidden)
                        offer_word(o, v->name, v->summary);
}

void offer_options(Offer *o, const Verb *verb)
{
        uint64_t set = OPTIONS_COMMON | (verb ? verb->options : 0);

        for (int i = 0; i < N_OPTIONS; i++) {
                OptionInfo info = options_info(i);
                char word[64];

                if (!(set & OPTION_BIT(i)))
                        continue;
                (void)snprintf(word, sizeof(word), "--%s%s", info.name,
                               info.placeholder && !info.optional ? "=" : "");
                offer_word(o, word, info.help);
        }
}

/* --- what the daemon knows --- */

static void give_up(int signal UNUSED)
{
        _exit(STATUS_DONE);
}

/* From now on nothing is said, and time counts. */
static void hush(void)
{
        struct sigaction action = { .sa_handler = give_up };
        struct itimerval timer = { .it_value.tv_sec = LIMIT };
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (null >= 0)
                (void)dup2(null, STDERR_FILENO); /* else some words too many are said */
        (void)sigaction(SIGALRM, &action, NULL);  /* cannot fail with these arguments */
        (void)setitimer(ITIMER_REAL, &timer, NULL);
}

static bool connected(const Offer *o)
{
        if (!o->ctl->client)
                hush();
        return o->ctl->client || connect_daemon(o->ctl) == STATUS_DONE;
}

static bool ask(const Offer *o, const char *method, Reply *ret)
{
        return connected(o) && call_simple(o->ctl, method, NULL, NULL, ret) == STATUS_DONE;
}

void offer_pools(Offer *o, const char *states UNUSED)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        json_t *pool;
        size_t i;

        if (!ask(o, "Status", &reply))
                return;
        json_array_foreach(json_object_get(reply.parameters, "pools"), i, pool)
                offer_word(o, get_string(pool, "name"), get_string(pool, "state"));
}

static void offer_strings(Offer *o, const json_t *strings, const char *description)
{
        json_t *string;
        size_t i;

        json_array_foreach(strings, i, string)
                if (json_is_string(string))
                        offer_word(o, json_string_value(string), description);
}

void offer_handlers(Offer *o, const char *states UNUSED)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        json_t *pool;
        size_t i;

        if (!ask(o, "Status", &reply))
                return;
        json_array_foreach(json_object_get(reply.parameters, "pools"), i, pool)
                offer_strings(o, json_object_get(pool, "handlers"), get_string(pool, "name"));
}

void offer_workers(Offer *o, const char *states UNUSED)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        json_t *worker;
        size_t i;

        if (!ask(o, "ListWorkers", &reply))
                return;
        json_array_foreach(json_object_get(reply.parameters, "workers"), i, worker)
                offer_word(o, get_string(worker, "name"), get_string(worker, "state"));
}

/* The newest jobs of a state, or (NULL) of any. */
static bool ask_jobs(const Offer *o, const char *state, Reply *ret)
{
        Buffer *b;

        if (!connected(o))
                return false;
        b = call_begin(o->ctl, "List", 0);
        if (state)
                emit_string_member(b, "state", slice_of(state));
        emit_int_member(b, "limit", state ? MOST_JOBS : MOST_WORDS);
        return call_finish(o->ctl, ret) == STATUS_DONE;
}

static void offer_jobs_of(Offer *o, const char *state)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        char what[128];
        json_t *job;
        size_t i;

        if (!ask_jobs(o, state, &reply))
                return;
        json_array_foreach(json_object_get(reply.parameters, "jobs"), i, job) {
                (void)snprintf(what, sizeof(what), "%s, %s",
                               get_string(json_object_get(job, "spec"), "handler"),
                               get_string(job, "state"));
                offer_word(o, get_string(job, "id"), what);
        }
}

void offer_jobs(Offer *o, const char *states)
{
        char state[32];

        if (!states || !*states) {
                offer_jobs_of(o, NULL);
                return;
        }
        while (*states) {
                size_t n = strcspn(states, " ");

                (void)snprintf(state, sizeof(state), "%.*s", (int)n, states);
                offer_jobs_of(o, state);
                states += n + (states[n] == ' ');
        }
}

/* What stands in this list of the specs of recent jobs. */
static void offer_from_specs(Offer *o, const char *list)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        json_t *job;
        size_t i;

        if (!ask_jobs(o, NULL, &reply))
                return;
        json_array_foreach(json_object_get(reply.parameters, "jobs"), i, job)
                offer_strings(o, json_object_get(json_object_get(job, "spec"), list), NULL);
}

void offer_semaphores(Offer *o, const char *states UNUSED)
{
        offer_from_specs(o, "semaphores");
}

void offer_tags(Offer *o, const char *states UNUSED)
{
        offer_from_specs(o, "tags");
}

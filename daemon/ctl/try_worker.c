/* SPDX-License-Identifier: MIT */

/* try-worker: a worker alone, and all that broodd may ask of it.
 *
 * What goes wrong in one check would show in the next ones, too, so a worker that has done
 * something wrong is ended, and the next check gets a new one. */

#include <jansson.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/print.h"
#include "ctl/trial_checks.h"
#include "ctl/verbs.h"
#include "ctl/words.h"
#include "varlink/json.h"

#define DEFAULT_TIMEOUT (10 * USEC_PER_SEC) /* StartTimeout= of a pool that says nothing */

typedef enum Outcome { CHECK_OK, CHECK_WRONG, CHECK_SKIPPED } Outcome;

static const struct {
        const char *word;
        Colour colour;
} outcomes[] = {
        [CHECK_OK] = { "ok", GREEN }, [CHECK_WRONG] = { "FAIL", RED },
        [CHECK_SKIPPED] = { "skip", FAINT },
};

static void print_json(const TrialCheck *c, Outcome outcome, const char *words)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        emit_open(&b, '{');
        emit_string_member(&b, "check", slice_of(c->name));
        emit_string_member(&b, "sentence", slice_of(c->sentence));
        if (outcome == CHECK_SKIPPED)
                emit_raw_member(&b, "ok", SLICE("null"));
        else
                emit_bool_member(&b, "ok", outcome == CHECK_OK);
        emit_string_member(&b, "words", slice_of(words));
        emit_close(&b, '}');
        buffer_append_char(&b, '\n');
        print_buffer(&b);
}

static void print_line(const TrialCheck *c, Outcome outcome, const char *words)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Colour colour = outcomes[outcome].colour;

        buffer_printf(&b, "%s%-4s%s %-15s %s", colour_on(colour), outcomes[outcome].word,
                      colour_off(colour), c->name, c->sentence);
        if (*words) {
                buffer_append_string(&b, outcome == CHECK_OK ? " (" : ": ");
                append_shown(&b, slice_of(words), false);
                if (outcome == CHECK_OK)
                        buffer_append_char(&b, ')');
        }
        buffer_append_char(&b, '\n');
        print_buffer(&b);
        print_flush();
}

/* A worker that is prepared. */
static bool make_ready(Trial *t)
{
        VarlinkReply reply;

        if (t->prepared)
                return true;
        (void)trial_end(t);
        return trial_start(t) && trial_prepare(t, &reply);
}

typedef struct TryWorker {
        Trial trial;
        bool json;
        bool ready, runs; /* the checks of these names were passed */
        unsigned n_wrong;
} TryWorker;

static Outcome do_check(TryWorker *w, const TrialCheck *c)
{
        Trial *t = &w->trial;

        t->words[0] = '\0';
        if (c->needs != NEEDS_NOTHING && !w->ready) {
                (void)trial_wrong(t, "it was never ready");
                return CHECK_SKIPPED;
        }
        if (c->needs == NEEDS_RUN && !w->runs) {
                (void)trial_wrong(t, "no run was answered as it has to be");
                return CHECK_SKIPPED;
        }
        if (strcmp(c->name, "run") == 0 && !t->offered) {
                (void)trial_wrong(t, "there is no handler to run");
                return CHECK_SKIPPED;
        }
        if (c->needs != NEEDS_NOTHING && !make_ready(t))
                return CHECK_WRONG;
        if (c->needs == NEEDS_NOTHING && !t->slot && strcmp(c->name, "ready") == 0)
                return CHECK_SKIPPED;
        return c->check(t) ? CHECK_OK : CHECK_WRONG;
}

static void try_all(TryWorker *w)
{
        const TrialCheck *c;

        for (unsigned i = 0; (c = trial_check(i)); i++) {
                Outcome outcome = do_check(w, c);

                if (outcome == CHECK_OK && strcmp(c->name, "ready") == 0)
                        w->ready = true;
                if (outcome == CHECK_OK && strcmp(c->name, "run") == 0)
                        w->runs = true;
                w->n_wrong += outcome == CHECK_WRONG;
                (w->json ? print_json : print_line)(c, outcome, w->trial.words);
                if (outcome == CHECK_WRONG)
                        (void)trial_end(&w->trial);
        }
}

static bool is_object(const char *text)
{
        json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        bool good = json_is_object(value);

        json_decref(value);
        return good;
}

int verb_try_worker(Ctl *ctl)
{
        const Options *o = ctl->options;
        const char *args = o->values[OPTION_ARGS].text;
        TryWorker w = { .json = option_given(o, OPTION_JSON),
                        .trial = { .argv = ctl->words,
                                   .handler = o->values[OPTION_HANDLER].text,
                                   .args = args ? args : "{}",
                                   .timeout = option_given(o, OPTION_TIMEOUT)
                                                      ? (usec_t)o->values[OPTION_TIMEOUT].number
                                                      : DEFAULT_TIMEOUT } };
        bool good;

        if (!is_object(w.trial.args))
                return ctl_usage(ctl, "--args: '%s' is not a JSON object", w.trial.args);
        good = trial_init(&w.trial);
        if (good)
                try_all(&w);
        else
                say("try-worker: %s", w.trial.words);
        trial_fini(&w.trial);
        if (good && !w.json)
                say("%u of the checks failed", w.n_wrong);
        return good && w.n_wrong == 0 ? STATUS_DONE : STATUS_FAILED;
}

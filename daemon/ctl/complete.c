/* SPDX-License-Identifier: MIT */

/* complete: what the completions of the shells ask. They know no verb, option or name by heart.
 *
 *     complete pools|handlers|workers|semaphores|tags|verbs     one word a line
 *     complete jobs [STATE…]
 *     complete options [VERB]
 *     complete line -- WORD…
 *
 * Of `line` the words are those behind `broodctl`, up to and with the one to be completed, which
 * may be empty. Its first line says what the shell has to do: `words` (they follow, with a tab and
 * a description behind most), `files PREFIX` (files; PREFIX stands before their names),
 * `directories`, or `command N` (the words from the N-th on are a command of their own). */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/connect.h"
#include "ctl/offer.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

#define OPEN "running queued blocked scheduled"
#define ENDED_BADLY "failed quarantined cancelled expired"

/* --- a line --- */

typedef struct Line {
        Offer *offer;
        Options options;           /* where the daemon is, by the line */
        const char *const *words;
        unsigned n;                /* without the last */
        const Verb *verb;          /* NULL: not yet there */
        unsigned n_arguments;      /* behind the verb */
        unsigned first_argument;   /* its place among the words */
        int pending;               /* the option whose value the last word is; -1: none */
        bool ended;                /* by -- */
} Line;

/* What a placeholder of a verb or an option stands for. */
static const struct {
        const char *placeholder;
        void (*offer)(Offer *o, const char *states);
        const char *instead; /* the first line, where it is not the words */
} kinds[] = {
        { "COMMAND", NULL, "command" }, { "HANDLER", offer_handlers },
        { "POOL", offer_pools },        { "WORKER", offer_workers },
        { "ID", offer_jobs },           { "NAME", offer_semaphores },
        { "TAG", offer_tags },          { "FILE", NULL, "files" },
        { "@FILE", NULL, "files @" },   { "PATH", NULL, "files" },
        { "DIR", NULL, "directories" },
};

/* Which jobs a verb is for; others: any. */
static const struct {
        const char *verb, *states;
} wanted[] = {
        { "cancel", OPEN },       { "follow", OPEN },       { "why", OPEN },
        { "retry", ENDED_BADLY }, { "inspect", "running" },
};

/* What a word stands for that is no verb: nothing may follow. */
static const Verb no_verb = { .name = "", .arguments = "" };

static const char *states_for(const Verb *verb)
{
        for (size_t i = 0; verb && i < ELEMENTS(wanted); i++)
                if (strcmp(verb->name, wanted[i].verb) == 0)
                        return wanted[i].states;
        return NULL;
}

static void take_option(Line *l, const char *word)
{
        const char *equals = strchr(word, '=');
        int id = options_find(word);
        bool valued = id >= 0 && options_info(id).placeholder && !options_info(id).optional;

        if (id < 0)
                return;
        if (valued && !equals)
                l->pending = id;
        else if (id == OPTION_SOCKET || id == OPTION_USER || id == OPTION_SYSTEM)
                l->options.values[id].text = equals ? equals + 1 : "";
}

static void take_word(Line *l, unsigned i)
{
        const char *word = l->words[i];

        if (l->pending >= 0) {
                if (l->pending == OPTION_SOCKET)
                        l->options.values[OPTION_SOCKET].text = word;
                l->pending = -1;
        } else if (!l->ended && strcmp(word, "--") == 0)
                l->ended = true;
        else if (!l->ended && word[0] == '-' && word[1])
                take_option(l, word);
        else if (!l->verb)
                l->verb = verb_find(word) ? verb_find(word) : &no_verb;
        else if (l->n_arguments++ == 0)
                l->first_argument = i;
}

/* The placeholder of the next argument, without the brackets of one that may be left out; `--` is
 * none. The last one holds for all that follow if it ends with an ellipsis. */
static void next_placeholder(const Line *l, char *to, size_t size)
{
        const char *p = l->verb->arguments;
        unsigned left = l->n_arguments;

        if (strncmp(p, "-- ", 3) == 0)
                p += 3;
        for (;;) {
                size_t n = strcspn(p, " ");

                if (left == 0 || (!p[n] && memmem(p, n, "…", strlen("…")))) {
                        (void)snprintf(to, size, "%.*s", (int)n, p);
                        return;
                }
                if (!p[n])
                        return;
                p += n + 1;
                left--;
        }
}

static void offer_itself(Offer *o, const char *word, size_t n)
{
        char copy[32];

        (void)snprintf(copy, sizeof(copy), "%.*s", (int)n, word);
        offer_word(o, copy, NULL);
}

/* Of what each alternative of the placeholder stands for; one in small letters is the word itself.
 * Returns the first line. */
static const char *offer_placeholder(Line *l, const char *placeholder)
{
        const char *states = states_for(l->verb), *typed = l->words[l->n];

        while (*placeholder) {
                size_t n = strcspn(placeholder, "[]|…");

                if (n && islower((unsigned char)*placeholder))
                        offer_itself(l->offer, placeholder, n);
                for (size_t i = 0; n && i < ELEMENTS(kinds); i++) {
                        if (strlen(kinds[i].placeholder) != n ||
                            memcmp(kinds[i].placeholder, placeholder, n) != 0)
                                continue;
                        if (kinds[i].offer)
                                kinds[i].offer(l->offer, states);
                        else if (placeholder[0] != '@' || typed[0] == '@')
                                return kinds[i].instead;
                }
                placeholder += n + (placeholder[n] != '\0');
        }
        return "words";
}

/* `--pool=di`, or `--pool di`. */
static const char *offer_value(Line *l, int id, const char *prefix, const char *typed)
{
        OptionInfo info = options_info(id);
        const char *kind = "words";

        l->offer->prefix = prefix;
        l->offer->typed = typed;
        if (info.choices)
                offer_choices(l->offer, info.choices);
        else
                kind = offer_placeholder(l, info.placeholder);
        return kind;
}

static const char *offer_argument(Line *l)
{
        char placeholder[64] = "";

        if (!l->verb) {
                offer_verbs(l->offer);
                return "words";
        }
        for (unsigned i = l->first_argument; l->n_arguments && i < l->n; i++)
                (void)json_object_set_new(l->offer->seen, l->words[i], json_true());
        next_placeholder(l, placeholder, sizeof(placeholder));
        return offer_placeholder(l, placeholder);
}

static const char *offer_last(Line *l, char *prefix, size_t size)
{
        const char *word = l->words[l->n], *equals = strchr(word, '=');
        int id = options_find(word);

        l->offer->typed = word;
        if (l->pending >= 0)
                return offer_value(l, l->pending, "", word);
        if (l->ended || word[0] != '-')
                return offer_argument(l);
        if (id >= 0 && equals && options_info(id).placeholder) {
                (void)snprintf(prefix, size, "%.*s", (int)(equals + 1 - word), word);
                return offer_value(l, id, prefix, equals + 1);
        }
        offer_options(l->offer, l->verb);
        return "words";
}

/* A command begins at the first word that is neither the verb nor an option. */
static unsigned command_at(const Line *l)
{
        return l->n_arguments ? l->first_argument : l->n;
}

static int complete_line(Ctl *ctl, const char *const *words, unsigned n)
{
        AUTO(offer_fini) Offer offer = OFFER_INIT(ctl);
        Line l = { .offer = &offer, .options = *ctl->options, .words = words, .n = n - 1,
                   .pending = -1 };
        const char *kind;
        char prefix[64];

        offer.described = true;
        ctl->options = &l.options;
        for (unsigned i = 0; i < l.n; i++)
                take_word(&l, i);
        kind = offer_last(&l, prefix, sizeof(prefix));
        if (strcmp(kind, "command") == 0)
                printf("%s %u\n", kind, command_at(&l));
        else
                printf("%s\n", kind);
        if (strcmp(kind, "words") == 0)
                print_buffer(&offer.out);
        return STATUS_DONE;
}

/* --- words of one kind --- */

static const struct {
        const char *name;
        void (*offer)(Offer *o, const char *states);
} sources[] = {
        { "pools", offer_pools },           { "handlers", offer_handlers },
        { "workers", offer_workers },       { "jobs", offer_jobs },
        { "semaphores", offer_semaphores }, { "tags", offer_tags },
};

/* The words behind the first with blanks between them. */
static const char *join_words(const Ctl *ctl, Buffer *b)
{
        for (unsigned i = 1; i < ctl->n_words; i++)
                buffer_printf(b, "%s%s", i > 1 ? " " : "", ctl->words[i]);
        buffer_append_char(b, '\0');
        return b->failed ? "" : buffer_bytes(b);
}

static bool offer_what(Ctl *ctl, Offer *o)
{
        AUTO(buffer_fini) Buffer states = BUFFER_INIT;
        const char *what = ctl->words[0];

        if (strcmp(what, "verbs") == 0)
                offer_verbs(o);
        else if (strcmp(what, "options") == 0)
                offer_options(o, ctl_word(ctl, 1) ? verb_find(ctl_word(ctl, 1)) : NULL);
        else {
                for (size_t i = 0; i < ELEMENTS(sources); i++)
                        if (strcmp(what, sources[i].name) == 0) {
                                sources[i].offer(o, join_words(ctl, &states));
                                return true;
                        }
                return false;
        }
        return true;
}

static int complete_words(Ctl *ctl)
{
        AUTO(offer_fini) Offer offer = OFFER_INIT(ctl);

        if (!offer_what(ctl, &offer))
                return ctl_usage(ctl, "'%s': expected pools, handlers, workers, jobs, semaphores, "
                                      "tags, verbs, options or line", ctl->words[0]);
        print_buffer(&offer.out);
        return STATUS_DONE;
}

int verb_complete(Ctl *ctl)
{
        const Options *given = ctl->options;
        Options plain = *given;
        int status;

        plain.values[OPTION_JSON].text = NULL; /* replies are not to be printed */
        ctl->options = &plain;
        if (strcmp(ctl->words[0], "line") == 0 && ctl->n_words > 1)
                status = complete_line(ctl, ctl->words + 1, ctl->n_words - 1);
        else
                status = complete_words(ctl);
        ctl->options = given;
        return status;
}

/* SPDX-License-Identifier: MIT */

#include "ctl/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/parse.h"
#include "base/uuid.h"
#include "ctl/print.h"

typedef enum OptionKind { SWITCH, TEXT, NUMBER, SPAN, TIME, CHOICE, JOB_ID } OptionKind;

typedef struct OptionType {
        const char *name;
        OptionKind kind;
        const char *placeholder; /* of its value, for the help */
        const char *help;
        bool repeated;
        int64_t minimum, maximum; /* of a number */
        const char *choices;      /* of a choice, separated by blanks */
        bool optional;            /* its value, which has to stand behind a = */
} OptionType;

static const OptionType types[N_OPTIONS] = {
        [OPTION_SOCKET] = { "socket", TEXT, "PATH", "the daemon's socket" },
        [OPTION_USER] = { "user", SWITCH, NULL, "the daemon of this user" },
        [OPTION_SYSTEM] = { "system", SWITCH, NULL, "the daemon of the system" },
        [OPTION_JSON] = { "json", SWITCH, NULL, "the daemon's replies as JSON, one object a line" },
        [OPTION_NO_PAGER] = { "no-pager", SWITCH, NULL, "write long output straight out" },
        [OPTION_HELP] = { "help", SWITCH, NULL, "this text" },
        [OPTION_VERSION] = { "version", SWITCH, NULL, "the version" },
        [OPTION_WAIT] = { "wait", SWITCH, NULL, "wait for the end and print the result" },
        [OPTION_PRIORITY] = { "priority", NUMBER, "N", "-1000 to 1000; higher runs first", false,
                              -1000, 1000 },
        [OPTION_DELAY] = { "delay", SPAN, "SPAN", "start it this much later, e.g. 5min" },
        [OPTION_AT] = { "at", TIME, "TIME", "start it at this time, e.g. 18:30 or 2030-01-31" },
        [OPTION_TIMEOUT] = { "timeout", SPAN, "SPAN", "end an attempt that takes longer" },
        [OPTION_MAX_ATTEMPTS] = { "max-attempts", NUMBER, "N", "attempts at the most", false, 1,
                                  1000000 },
        [OPTION_TTL] = { "ttl", SPAN, "SPAN", "give up if it has not started after this long" },
        [OPTION_UNIQUE] = { "unique", TEXT, "KEY", "at most one unended job has this key" },
        [OPTION_ID] = { "id", JOB_ID, "UUID", "the job's id, to be able to submit it again" },
        [OPTION_AFTER] = { "after", JOB_ID, "ID", "start it when this job has succeeded", true },
        [OPTION_SEMAPHORE] = { "semaphore", TEXT, "NAME", "hold a unit of it while running", true },
        [OPTION_TAG] = { "tag", TEXT, "TAG", "a word to find the job by", true },
        [OPTION_DURABILITY] = { "durability", CHOICE, "fsync|memory",
                                "whether it outlives the daemon", .choices = "fsync memory" },
        [OPTION_DETACH] = { "detach", SWITCH, NULL, "leave it to the daemon and print its id" },
        [OPTION_UNORDERED] = { "unordered", SWITCH, NULL,
                               "print each result as soon as it is there" },
        [OPTION_WINDOW] = { "window", NUMBER, "N", "jobs in flight at the most (256)", false, 1,
                            100000 },
        [OPTION_FORCE] = { "force", SWITCH, NULL, "kill at once instead of asking first" },
        [OPTION_STATE] = { "state", CHOICE, "STATE", "only jobs in this state",
                           .choices = "scheduled blocked queued running succeeded failed "
                                      "quarantined cancelled expired" },
        [OPTION_POOL] = { "pool", TEXT, "POOL", "only what belongs to this pool" },
        [OPTION_HANDLER] = { "handler", TEXT, "HANDLER", "only jobs of this handler" },
        [OPTION_LIMIT] = { "limit", NUMBER, "N", "so many jobs at the most (100); 0: all", false,
                           0, INT64_MAX },
        [OPTION_DRY_RUN] = { "dry-run", SWITCH, NULL, "change nothing, only say what would be" },
        [OPTION_KIND] = { "kind", CHOICE, "job|worker|pool", "only changes of this kind", true,
                          .choices = "job worker pool" },
        [OPTION_STATE_DIRECTORY] = { "state-directory", TEXT, "DIR", "where the store is" },
        [OPTION_RUNTIME_DIRECTORY] = { "runtime-directory", TEXT, "DIR",
                                       "where the scoreboard is" },
        [OPTION_FORMAT] = { "format", CHOICE, "openmetrics|prometheus",
                            "of the text; not given: prometheus",
                            .choices = "openmetrics prometheus" },
        [OPTION_STACK] = { "stack", SWITCH, NULL,
                           "with the stack of each thread; it is stopped for that moment" },
        [OPTION_INTERVAL] = { "interval", SPAN, "SPAN", "look so often (1s)" },
        [OPTION_BATCH] = { "batch", NUMBER, "N", "write it as text, N times (1)", false, 1,
                           INT64_MAX, .optional = true },
        [OPTION_ARGS] = { "args", TEXT, "JSON", "the arguments of its runs, an object ({})" },
        [OPTION_SLOTS] = { "slots", NUMBER, "N", "slots against one (CPUs, 2 at the least)", false,
                           2, 128 },
        [OPTION_SECONDS] = { "seconds", SPAN, "S", "how long each speed is measured (1)" },
        [OPTION_ONLY] = { "only", TEXT, "LANGUAGE/MODEL[,…]", "only these models" },
        [OPTION_DIRECTORY] = { "directory", TEXT, "DIR", "where the store is made ($TMPDIR)" },
};

/* Finds "name" or "name=value" (without its dashes). */
static int find_option(const char *word)
{
        size_t n = strcspn(word, "=");

        for (int i = 0; i < N_OPTIONS; i++)
                if (strlen(types[i].name) == n && memcmp(types[i].name, word, n) == 0)
                        return i;
        return -1;
}

static bool is_choice(const char *text, const char *choices)
{
        size_t n = strlen(text);

        while (*choices) {
                size_t m = strcspn(choices, " ");

                if (m == n && memcmp(choices, text, n) == 0)
                        return true;
                choices += m + (choices[m] == ' ');
        }
        return false;
}

static int bad_value(const OptionType *type, const char *text, const char *wanted)
{
        say("--%s: '%s' is not %s", type->name, text, wanted);
        return -EINVAL;
}

static int read_number(const OptionType *type, OptionValue *v)
{
        int r = parse_i64(v->text, &v->number);

        if (r == 0 && v->number >= type->minimum && v->number <= type->maximum)
                return 0;
        if (type->maximum == INT64_MAX)
                say("--%s: '%s' is not a whole number from %lld", type->name, v->text,
                    (long long)type->minimum);
        else
                say("--%s: '%s' is not a whole number from %lld to %lld", type->name, v->text,
                    (long long)type->minimum, (long long)type->maximum);
        return -EINVAL;
}

static int read_usec(const OptionType *type, OptionValue *v)
{
        usec_t usec;
        int r = type->kind == SPAN ? parse_span(v->text, &usec)
                                   : parse_time(v->text, clock_read(CLOCK_REALTIME), &usec);

        if (r < 0 || usec > INT64_MAX)
                return bad_value(type, v->text,
                                 type->kind == SPAN ? "a time span such as 90s, 5min or 1h 30min"
                                                    : "a time such as 18:30, 2030-01-31 12:00 or "
                                                      "+5min");
        v->number = (int64_t)usec;
        return 0;
}

static int append_value(OptionValue *v)
{
        const char **list = reallocarray(v->list, v->n_list + 1, sizeof(*list));

        if (!list)
                return -ENOMEM;
        v->list = list;
        v->list[v->n_list++] = v->text;
        return 0;
}

static int read_value(const OptionType *type, OptionValue *v)
{
        Uuid id;

        switch (type->kind) {
        case SWITCH:
                return 0;
        case NUMBER:
                return read_number(type, v);
        case SPAN:
        case TIME:
                return read_usec(type, v);
        case CHOICE:
                if (!is_choice(v->text, type->choices)) {
                        say("--%s: '%s' is not one of: %s", type->name, v->text, type->choices);
                        return -EINVAL;
                }
                break;
        case JOB_ID:
                if (!uuid_parse(slice_of(v->text), &id))
                        return bad_value(type, v->text, "a job id (a UUID)");
                break;
        case TEXT:
                if (!*v->text)
                        return bad_value(type, v->text, "allowed: it needs a value");
                if (!text_is_valid(v->text))
                        return bad_value(type, v->text, "UTF-8");
                break;
        }
        return type->repeated ? append_value(v) : 0;
}

/* Reads the option at argv[*i], moving *i to its last word. */
static int read_option(Options *o, int argc, char **argv, int *i)
{
        const char *word = argv[*i], *equals;
        int id = strcmp(word, "-h") == 0 ? OPTION_HELP
                 : word[1] == '-'        ? find_option(word + 2)
                                         : -1;
        OptionValue *v;

        if (id < 0) {
                say("unknown option '%s' (see broodctl --help; put -- before words that begin "
                    "with -)", word);
                return -EINVAL;
        }
        v = &o->values[id];
        equals = strchr(word, '=');
        if (types[id].kind == SWITCH && equals) {
                say("--%s takes no value", types[id].name);
                return -EINVAL;
        }
        if (types[id].kind == SWITCH || (types[id].optional && !equals)) {
                v->text = "";
                return 0;
        }
        if (equals)
                v->text = equals + 1;
        else if (*i + 1 < argc)
                v->text = argv[++*i];
        else {
                say("--%s needs a value: --%s=%s", types[id].name, types[id].name,
                    types[id].placeholder);
                return -EINVAL;
        }
        return read_value(&types[id], v);
}

int options_parse(Options *o, int argc, char **argv)
{
        bool ended = false;

        *o = (Options){ 0 };
        o->words = calloc((size_t)argc + 1, sizeof(*o->words));
        if (!o->words)
                return -ENOMEM;
        for (int i = 1; i < argc; i++) {
                int r;

                if (ended || argv[i][0] != '-' || !argv[i][1]) {
                        o->words[o->n_words++] = argv[i];
                        continue;
                }
                if (strcmp(argv[i], "--") == 0) {
                        ended = true;
                        continue;
                }
                r = read_option(o, argc, argv, &i);
                if (r < 0)
                        return r;
        }
        return 0;
}

void options_fini(Options *o)
{
        for (int i = 0; i < N_OPTIONS; i++)
                free(o->values[i].list);
        free(o->words);
}

const char *options_stranger(const Options *o, uint64_t allowed)
{
        for (int i = 0; i < N_OPTIONS; i++)
                if (option_given(o, i) && !(allowed & OPTION_BIT(i)))
                        return types[i].name;
        return NULL;
}

OptionInfo options_info(OptionId id)
{
        const OptionType *t = &types[id];

        return (OptionInfo){ t->name, t->help, t->placeholder, t->choices, t->optional };
}

int options_find(const char *word)
{
        return strncmp(word, "--", 2) == 0 ? find_option(word + 2) : -1;
}

void options_help(FILE *out, uint64_t set)
{
        for (int i = 0; i < N_OPTIONS; i++) {
                const OptionType *t = &types[i];
                char left[64];

                if (!(set & OPTION_BIT(i)))
                        continue;
                (void)snprintf(left, sizeof(left), "--%s%s%s%s", t->name,
                               !t->placeholder ? "" : (t->optional ? "[=" : "="),
                               t->placeholder ? t->placeholder : "",
                               t->repeated ? "…" : (t->optional ? "]" : ""));
                fprintf(out, "  %-*s %s\n", t->repeated ? 28 : 26, left, t->help);
        }
}

/* SPDX-License-Identifier: MIT */

/* broodctl: the daemon from the command line. This file finds the verb and what it needs. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/uuid.h"
#include "ctl/connect.h"
#include "ctl/listing.h"
#include "ctl/pager.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

enum { ANY = 1 << 30 };

static const Verb verbs[] = {
        { "submit", "HANDLER [JSON|@FILE|-]", "hand in a job and print its id", OPTIONS_ONE_JOB, 1,
          2, verb_submit, false,
          "The arguments are a JSON object: as text, in a file, or from stdin (-)." },
        { "run", "-- COMMAND…", "run a command here and now, as a job",
          OPTIONS_ONE_JOB | OPTION_BIT(OPTION_DETACH), 1, ANY, verb_run, false,
          "The command runs in this directory and with this environment, stdin, stdout and\n"
          "stderr. Its exit status is the verb's: 128+N for signal N, 127 if there is no such\n"
          "program, 126 if it is not executable. Ctrl-C cancels it, a second one by force." },
        { "map", "HANDLER [FILE]", "a job for each line of JSON, results as lines of JSON",
          OPTIONS_EACH_JOB | OPTION_BIT(OPTION_UNORDERED) | OPTION_BIT(OPTION_WINDOW), 1, 2,
          verb_map, false,
          "A line that is no object, x, is sent as {\"value\": x}. In order, a job that failed is\n"
          "the line null; unordered, it has no line." },
        { "wait", "ID…", "wait for jobs to end and print their results in order", 0, 1, ANY,
          verb_wait, false, "Of several jobs, one that failed is the line null." },
        { "follow", "ID", "what a job writes, as it writes it", 0, 1, 1, verb_follow, false,
          "Ends when the job has ended, with the exit status that wait would have. Ctrl-C ends\n"
          "the following, not the job." },
        { "get", "ID", "all about a job", 0, 1, 1, verb_get },
        { "why", "ID…", "what jobs wait for", 0, 1, ANY, verb_why },
        { "list", "", "jobs, newest first", LISTING_FILTERS | OPTION_BIT(OPTION_LIMIT), 0, 0,
          verb_list },
        { "cancel", "[ID…]", "end jobs that have not ended",
          LISTING_FILTERS | OPTION_BIT(OPTION_DRY_RUN) | OPTION_BIT(OPTION_FORCE), 0, ANY,
          verb_cancel, false,
          "Either those named, or all that match the filters: scheduled, blocked, queued and\n"
          "running ones, or only those in one of these states. Prints the ids." },
        { "retry", "[ID…]", "put jobs that did not succeed back in the queue",
          LISTING_FILTERS | OPTION_BIT(OPTION_DRY_RUN), 0, ANY, verb_retry, false,
          "Either those named, or all that match the filters: failed, quarantined, cancelled and\n"
          "expired ones, or only those in one of these states. Prints the ids." },
        { "watch", "", "every change, as it happens",
          OPTION_BIT(OPTION_POOL) | OPTION_BIT(OPTION_KIND), 0, 0, verb_watch, false,
          "A line for each: time, kind, id, state, reason. Ctrl-C ends it." },
        { "status", "", "the daemon at a glance", 0, 0, 0, verb_status },
        { "pools", "", "the pools and what they serve", 0, 0, 0, verb_pools },
        { "workers", "[POOL]", "the workers", OPTION_BIT(OPTION_RUNTIME_DIRECTORY), 0, 1,
          verb_workers, true,
          "From the scoreboard, so that it answers when the daemon does not, and says so." },
        { "metrics", "", "the daemon's figures for Prometheus", OPTION_BIT(OPTION_FORMAT), 0, 0,
          verb_metrics },
        { "inspect", "WORKER|ID", "what a worker is, has and does, by its name or a job's id",
          OPTION_BIT(OPTION_STACK), 1, 1, verb_inspect, false,
          "Attributes, memory, descriptors, locks and cgroup, as the kernel has them. By the id\n"
          "of a job it is the worker that runs it now." },
        { "top", "", "pools, workers, handlers and running jobs, live",
          OPTION_BIT(OPTION_RUNTIME_DIRECTORY) | OPTION_BIT(OPTION_INTERVAL) |
                  OPTION_BIT(OPTION_BATCH),
          0, 0, verb_top, true,
          "From the scoreboard, so that it answers when the daemon does not, and says so. Keys:\n"
          "p w h j choose the table, Enter looks into a row, < > sort, / filters, z pauses, k\n"
          "cancels, ? tells more. Where there is no terminal, or with --json: as with --batch." },
        { "pause", "POOL", "start no more jobs of a pool", 0, 1, 1, verb_pause },
        { "resume", "[POOL]", "take back pause; without a pool, drain", 0, 0, 1, verb_resume },
        { "scale", "POOL MIN [MAX]", "change the number of workers, for this run of the daemon", 0,
          2, 3, verb_scale },
        { "restart", "POOL", "replace all workers of a pool, new ones first", 0, 1, 1,
          verb_restart },
        { "reload", "", "let the daemon read its config again", 0, 0, 0, verb_reload },
        { "drain", "", "take no new jobs and wait until the running ones have ended", 0, 0, 0,
          verb_drain },
        { "check-config", "[DIR]", "check a config as broodd would", 0, 0, 1, verb_check_config,
          true },
        { "check-store", "[FILE|STATE-DIRECTORY]", "check that a store is sound", 0, 0, 1,
          verb_check_store, true, "The daemon may run meanwhile, or not." },
        { "backup", "FILE", "write a consistent copy of the store to a new file",
          OPTION_BIT(OPTION_STATE_DIRECTORY), 1, 1, verb_backup, true,
          "The daemon may run meanwhile, or not." },
        { "try-worker", "-- COMMAND…", "start a worker alone and say what it does wrong",
          OPTION_BIT(OPTION_HANDLER) | OPTION_BIT(OPTION_ARGS) | OPTION_BIT(OPTION_TIMEOUT), 1, ANY,
          verb_try_worker, true,
          "The command is what Command= of a pool would be, with this environment. --handler= is\n"
          "the handler to run, else the first that it offers. It is really run, with --args=, and\n"
          "with a further argument beside them. Each answer may take --timeout= (10s). A line for\n"
          "each check; exit status 0 if all are passed, 1 if not." },
        { "bench", "[models|throughput|latency]",
          "measure this machine, with a daemon of its own",
          OPTION_BIT(OPTION_SLOTS) | OPTION_BIT(OPTION_SECONDS) | OPTION_BIT(OPTION_ONLY) |
                  OPTION_BIT(OPTION_DIRECTORY),
          0, 1, verb_bench, true,
          "models: what processes, threads, jobs in flight and interpreters are good for, in C\n"
          "and in Python. throughput: jobs per second, in memory and on the disk. latency: how\n"
          "long one takes. The daemon that is used otherwise is not touched." },
        { "complete", "WHAT [WORD…]", "words for the completions of the shells", 0, 1, ANY,
          verb_complete, true, NULL, true },
};

const Verb *verb_find(const char *name)
{
        for (size_t i = 0; i < ELEMENTS(verbs); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

const Verb *verb_at(unsigned i)
{
        return i < ELEMENTS(verbs) ? &verbs[i] : NULL;
}

static void help(FILE *out)
{
        fprintf(out, "broodctl [OPTION…] VERB …\n\nHands JSON jobs to broodd and looks after it.\n"
                     "\nVerbs:\n");
        for (size_t i = 0; i < ELEMENTS(verbs); i++)
                if (!verbs[i].hidden)
                        fprintf(out, "  %-13s %s\n", verbs[i].name, verbs[i].summary);
        fprintf(out, "\nOptions, before or after the verb (-- ends them):\n");
        options_help(out, OPTIONS_COMMON);
        fprintf(out, "\nbroodctl VERB --help says more.\n"
                     "Exit status: 0 done; 1 the job failed, or the answer is no; 2 wrong usage;\n"
                     "3 the daemon cannot be reached; 4 the daemon refused.\n");
}

static void help_verb(FILE *out, const Verb *v)
{
        fprintf(out, "broodctl %s %s%s\n\n%s.\n", v->name, v->options ? "[OPTION…] " : "",
                v->arguments, v->summary);
        if (v->more)
                fprintf(out, "%s\n", v->more);
        if (v->options) {
                fprintf(out, "\nOptions:\n");
                options_help(out, v->options);
        }
        fprintf(out, "\nOptions of every verb:\n");
        options_help(out, OPTIONS_COMMON);
}

int ctl_usage(const Ctl *ctl, const char *format, ...)
{
        AUTO(free) char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        say("%s: %s", ctl->verb->name, text ? text : "wrong usage");
        return STATUS_USAGE;
}

int ctl_no_memory(void)
{
        say("out of memory");
        return STATUS_FAILED;
}

int ctl_check_ids(const Ctl *ctl, unsigned from)
{
        Uuid id;

        for (unsigned i = from; i < ctl->n_words; i++)
                if (!uuid_parse(slice_of(ctl->words[i]), &id))
                        return ctl_usage(ctl, "'%s' is no job id (they look like "
                                              "01890a5d-ac96-774b-bcce-b302099a8057)",
                                         ctl->words[i]);
        return STATUS_DONE;
}

static int check_words(const Ctl *ctl)
{
        const Verb *v = ctl->verb;
        const char *stranger = options_stranger(ctl->options, OPTIONS_COMMON | v->options);

        if (stranger)
                return ctl_usage(ctl, "there is no option --%s here (see broodctl %s --help)",
                                 stranger, v->name);
        if (ctl->n_words < v->min_words || ctl->n_words > v->max_words)
                return ctl_usage(ctl, "%s; the usage is: broodctl %s %s",
                                 ctl->n_words < v->min_words ? "an argument is missing"
                                                             : "there are too many arguments",
                                 v->name, v->arguments);
        for (unsigned i = 0; i < ctl->n_words; i++)
                if (!text_is_valid(ctl->words[i]) && !v->alone)
                        return ctl_usage(ctl, "argument %u is not UTF-8", i + 1);
        if (option_given(ctl->options, OPTION_USER) + option_given(ctl->options, OPTION_SYSTEM) +
                    option_given(ctl->options, OPTION_SOCKET) > 1)
                return ctl_usage(ctl, "--socket, --user and --system exclude each other");
        return STATUS_DONE;
}

static int run_verb(Ctl *ctl)
{
        int status = check_words(ctl);

        if (status == STATUS_DONE && !ctl->verb->alone)
                status = connect_daemon(ctl);
        if (status == STATUS_DONE)
                status = ctl->verb->run(ctl);
        connect_end(ctl);
        return status;
}

static int run_words(const Options *o)
{
        Ctl ctl = { .options = o };

        if (option_given(o, OPTION_VERSION)) {
                printf("broodctl %s\n", BROOD_VERSION);
                return STATUS_DONE;
        }
        if (o->n_words == 0) {
                help(option_given(o, OPTION_HELP) ? stdout : stderr);
                return option_given(o, OPTION_HELP) ? STATUS_DONE : STATUS_USAGE;
        }
        ctl.verb = verb_find(o->words[0]);
        if (!ctl.verb) {
                say("unknown verb '%s' (see broodctl --help)", o->words[0]);
                return STATUS_USAGE;
        }
        if (option_given(o, OPTION_HELP)) {
                help_verb(stdout, ctl.verb);
                return STATUS_DONE;
        }
        ctl.words = o->words + 1;
        ctl.n_words = o->n_words - 1;
        return run_verb(&ctl);
}

/* A closed 0, 1 or 2 would be taken by the first socket, and then be written to. */
static void open_standard_fds(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd > STDERR_FILENO)
                (void)close(fd);
}

/* What was printed has to have arrived, or the answer is not to be trusted. */
static int flush_output(int status)
{
        int r = print_finish();

        if (r == 0 || r == -EPIPE)
                return status;
        say("cannot write: %s", strerror(-r));
        return status ? status : STATUS_FAILED;
}

int main(int argc, char **argv)
{
        Options options;
        int status, r;

        open_standard_fds();
        print_init();
        r = options_parse(&options, argc, argv);
        if (r == -ENOMEM)
                status = ctl_no_memory();
        else
                status = r < 0 ? STATUS_USAGE : run_words(&options);
        options_fini(&options);
        status = flush_output(status);
        pager_close();
        return status;
}

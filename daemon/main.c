/* SPDX-License-Identifier: MIT */

/* broodd: command line → options → supervisor → exit status. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "ops/log.h"
#include "settings/modules.h"
#include "supervisor.h"

static const char help[] =
        "broodd [OPTION...]\n"
        "\n"
        "Keeps pools of pre-forked workers and runs jobs on them.\n"
        "\n"
        "  --config=DIR             brood.conf, brood.conf.d/ and pools/ are there\n"
        "  --socket=PATH            where clients connect (not with LISTEN_FDS)\n"
        "  --state-directory=DIR    what lasts; one daemon per state directory\n"
        "  --runtime-directory=DIR  what ends with the daemon\n"
        "  --check-config           read the config, say what is wrong with it, and exit\n"
        "  --log-level=LEVEL        debug, info, notice, warning or error\n"
        "  --version, --help\n";

enum { OPTION_CONFIG = 256, OPTION_SOCKET, OPTION_STATE, OPTION_RUNTIME, OPTION_CHECK, OPTION_LEVEL,
       OPTION_VERSION, OPTION_HELP };

static const struct option long_options[] = {
        { "config", required_argument, NULL, OPTION_CONFIG },
        { "socket", required_argument, NULL, OPTION_SOCKET },
        { "state-directory", required_argument, NULL, OPTION_STATE },
        { "runtime-directory", required_argument, NULL, OPTION_RUNTIME },
        { "check-config", no_argument, NULL, OPTION_CHECK },
        { "log-level", required_argument, NULL, OPTION_LEVEL },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "help", no_argument, NULL, OPTION_HELP },
        { NULL, 0, NULL, 0 },
};

enum { PATH_SIZE = 4096 };

/* Defaults, where no option says otherwise. */
typedef struct Paths {
        char config[PATH_SIZE], socket[PATH_SIZE], state[PATH_SIZE], runtime[PATH_SIZE];
} Paths;

/* An absolute path from a variable, or below $HOME, with `rest` behind it. */
static void user_path(char *to, const char *variable, const char *fallback, const char *rest)
{
        const char *value = getenv(variable), *home = getenv("HOME");

        if (value && value[0] == '/')
                (void)snprintf(to, PATH_SIZE, "%s/%s", value, rest);
        else
                (void)snprintf(to, PATH_SIZE, "%s/%s/%s", home && home[0] == '/' ? home : "/tmp",
                               fallback, rest);
}

/* The first of a colon-separated list, as systemd sets *_DIRECTORY; false if it does not. */
static bool service_directory(char *to, const char *variable)
{
        const char *value = getenv(variable);

        if (!value || value[0] != '/')
                return false;
        (void)snprintf(to, PATH_SIZE, "%.*s", (int)strcspn(value, ":"), value);
        return true;
}

static void runtime_default(char *to)
{
        const char *value = getenv("XDG_RUNTIME_DIR");

        if (geteuid() == 0)
                (void)snprintf(to, PATH_SIZE, "/run/brood");
        else if (value && value[0] == '/')
                (void)snprintf(to, PATH_SIZE, "%s/brood", value);
        else
                (void)snprintf(to, PATH_SIZE, "/tmp/brood-%u", geteuid());
}

static void fill_in(SupervisorOptions *o, Paths *p)
{
        bool root = geteuid() == 0;

        if (root)
                (void)snprintf(p->config, PATH_SIZE, "%s", BROOD_CONFIG_DIR);
        else
                user_path(p->config, "XDG_CONFIG_HOME", ".config", "brood");
        o->config_optional = !o->config;
        o->config = o->config ? o->config : p->config;

        if (!service_directory(p->state, "STATE_DIRECTORY")) {
                if (root)
                        (void)snprintf(p->state, PATH_SIZE, "/var/lib/brood");
                else
                        user_path(p->state, "XDG_STATE_HOME", ".local/state", "brood");
        }
        o->state_directory = o->state_directory ? o->state_directory : p->state;

        if (!service_directory(p->runtime, "RUNTIME_DIRECTORY"))
                runtime_default(p->runtime);
        o->runtime_directory = o->runtime_directory ? o->runtime_directory : p->runtime;

        runtime_default(p->socket);
        (void)strncat(p->socket, "/brood.sock", PATH_SIZE - strlen(p->socket) - 1);
        o->socket = o->socket ? o->socket : p->socket;
}

static int parse_level(const char *text)
{
        static const char *const names[] = { "error", "warning", "notice", "info", "debug" };

        for (size_t i = 0; i < ELEMENTS(names); i++)
                if (strcmp(text, names[i]) == 0)
                        return (int)i + 3;
        return 0;
}

static void complain(void *context, const char *file, int line, const char *message)
{
        if (line)
                fprintf(stderr, "%s:%d: %s\n", file, line, message);
        else
                fprintf(stderr, "%s: %s\n", file, message);
}

static int check_config(const SupervisorOptions *o)
{
        SettingsError error = { 0 };
        Settings *settings;
        size_t handlers;
        unsigned faults;

        if (settings_read(&settings, o->config, o->config_optional, &error) < 0) {
                complain(NULL, error.file[0] ? error.file : o->config, error.line, error.message);
                return 1;
        }
        faults = settings_check_modules(settings, complain, NULL, &handlers);
        if (!faults)
                printf("%s is in order: %u pool%s, %zu handler%s\n", o->config, settings->n_pools,
                       PLURAL(settings->n_pools), handlers, PLURAL(handlers));
        settings_free(settings);
        return faults ? 1 : 0;
}

int main(int argc, char **argv)
{
        SupervisorOptions o = { 0 };
        Paths paths;
        bool check = false;
        int c;

        while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
                switch (c) {
                case OPTION_CONFIG:
                        o.config = optarg;
                        break;
                case OPTION_SOCKET:
                        o.socket = optarg;
                        break;
                case OPTION_STATE:
                        o.state_directory = optarg;
                        break;
                case OPTION_RUNTIME:
                        o.runtime_directory = optarg;
                        break;
                case OPTION_CHECK:
                        check = true;
                        break;
                case OPTION_LEVEL:
                        o.log_level = parse_level(optarg);
                        if (o.log_level)
                                break;
                        fprintf(stderr,
                                "broodd: --log-level=%s: expected debug, info, notice, warning or "
                                "error\n",
                                optarg);
                        return 2;
                case OPTION_VERSION:
                        puts("broodd " BROOD_VERSION);
                        return 0;
                case OPTION_HELP:
                        fputs(help, stdout);
                        return 0;
                default:
                        return 2;
                }
        if (optind < argc) {
                fprintf(stderr,
                        "broodd: '%s' is not expected: there are only options (see --help)\n",
                        argv[optind]);
                return 2;
        }
        fill_in(&o, &paths);
        if (check)
                return check_config(&o);
        log_open();
        if (o.log_level)
                log_set_level(o.log_level);
        return supervisor_run(&o);
}

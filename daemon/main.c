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

/* base/rest, to be kept for good; aborts without memory, so early. */
static const char *join(const char *base, const char *rest)
{
        char *path;

        if (asprintf(&path, "%s/%s", base, rest) < 0)
                abort();
        return path;
}

/* A variable that holds an absolute path, else the second one with something behind it. */
static const char *user_path(const char *variable, const char *fallback, const char *rest)
{
        const char *value = getenv(variable), *home = getenv("HOME");

        if (value && value[0] == '/')
                return join(value, rest);
        return join(join(home && home[0] == '/' ? home : "/tmp", fallback), rest);
}

/* The first of a colon-separated list, as systemd sets *_DIRECTORY. */
static const char *service_directory(const char *variable)
{
        const char *value = getenv(variable);

        return value && value[0] == '/' ? strndup(value, strcspn(value, ":")) : NULL;
}

static const char *runtime_default(void)
{
        const char *value = getenv("XDG_RUNTIME_DIR");
        char *path;

        if (geteuid() == 0)
                return "/run/brood";
        if (value && value[0] == '/')
                return join(value, "brood");
        if (asprintf(&path, "/tmp/brood-%u", geteuid()) < 0)
                abort();
        return path;
}

static void fill_in(SupervisorOptions *o)
{
        bool root = geteuid() == 0;

        if (!o->config) {
                o->config = root ? BROOD_CONFIG_DIR : user_path("XDG_CONFIG_HOME", ".config", "brood");
                o->config_optional = true;
        }
        if (!o->state_directory)
                o->state_directory = service_directory("STATE_DIRECTORY");
        if (!o->state_directory)
                o->state_directory = root ? "/var/lib/brood" : user_path("XDG_STATE_HOME", ".local/state", "brood");
        if (!o->runtime_directory)
                o->runtime_directory = service_directory("RUNTIME_DIRECTORY");
        if (!o->runtime_directory)
                o->runtime_directory = runtime_default();
        if (!o->socket)
                o->socket = join(runtime_default(), "brood.sock");
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
        fprintf(stderr, "%s:%d: %s\n", file, line, message);
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
                printf("%s is in order: %u pools, %zu handlers\n", o->config, settings->n_pools, handlers);
        settings_free(settings);
        return faults ? 1 : 0;
}

int main(int argc, char **argv)
{
        SupervisorOptions o = { 0 };
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
                        fprintf(stderr, "broodd: --log-level=%s: expected debug, info, notice, warning or error\n",
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
                fprintf(stderr, "broodd: '%s' is not expected: there are only options (see --help)\n",
                        argv[optind]);
                return 2;
        }
        fill_in(&o);
        if (check)
                return check_config(&o);
        if (o.log_level)
                log_set_level(o.log_level);
        return supervisor_run(&o);
}

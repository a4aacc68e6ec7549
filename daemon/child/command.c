/* SPDX-License-Identifier: MIT */

#include "child/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "process/preparation.h"

extern char **environ;

void command_clear(Command *c)
{
        free(c->path);
        texts_free(c->argv);
        texts_free(c->environment);
        free(c->directory);
        buffer_fini(&c->input);
}

PRINTF(3, 4) static int wrong(char *why, size_t size, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(why, size, format, args);
        va_end(args);
        return -EINVAL;
}

static int check_keys(const json_t *args, char *why, size_t size)
{
        static const char *const known[] = { "argv", "env", "cwd", "stdin", "stdin_base64" };
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)args, key, value) {
                size_t i = 0;

                while (i < ELEMENTS(known) && strcmp(known[i], key) != 0)
                        i++;
                if (i == ELEMENTS(known))
                        return wrong(why, size,
                                     "unknown argument '%.64s': exec takes argv, env, cwd, stdin "
                                     "and stdin_base64",
                                     key);
        }
        return 0;
}

static int parse_argv(Command *c, const json_t *list, char *why, size_t size)
{
        if (!json_is_array(list) || json_array_size(list) == 0)
                return wrong(why, size, "'argv' has to be a list of at least one string");
        c->argv = calloc(json_array_size(list) + 1, sizeof(*c->argv));
        if (!c->argv)
                return -ENOMEM;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *text = json_string_value(json_array_get(list, i));

                if (!text || (i == 0 && !*text))
                        return wrong(why, size, "argv[%zu] has to be a string%s", i,
                                     i ? "" : ", not empty");
                c->argv[i] = strdup(text);
                if (!c->argv[i])
                        return -ENOMEM;
        }
        return 0;
}

/* Ours, but for the variables that the job sets itself. */
static size_t inherit_environment(Command *c, const json_t *own)
{
        size_t n = 0;

        for (char **e = environ; *e; e++) {
                size_t length = strcspn(*e, "=");
                char *name = strndup(*e, length);

                if (name && !json_object_get(own, name))
                        c->environment[n++] = strdup(*e);
                free(name);
        }
        return n;
}

static int parse_environment(Command *c, const json_t *own, char *why, size_t size)
{
        const char *key;
        json_t *value;
        size_t n = 0;

        if (own && !json_is_object(own) && !json_is_null(own))
                return wrong(why, size, "'env' has to be an object of strings");
        while (environ[n])
                n++;
        c->environment = calloc(n + json_object_size(own) + 1, sizeof(*c->environment));
        if (!c->environment)
                return -ENOMEM;
        n = inherit_environment(c, own);
        json_object_foreach((json_t *)own, key, value) {
                if (!*key || strchr(key, '=') || !json_is_string(value))
                        return wrong(
                                why, size,
                                "env: '%.64s' has to be a name without '=', its value a string",
                                key);
                if (asprintf(&c->environment[n], "%s=%s", key, json_string_value(value)) < 0) {
                        c->environment[n] = NULL;
                        return -ENOMEM;
                }
                n++;
        }
        return 0;
}

static int parse_input(Command *c, const json_t *args, char *why, size_t size)
{
        const json_t *plain = json_object_get(args, "stdin"),
                     *coded = json_object_get(args, "stdin_base64");

        if (json_is_null(plain))
                plain = NULL;
        if (json_is_null(coded))
                coded = NULL;
        if (plain && coded)
                return wrong(why, size, "'stdin' and 'stdin_base64' exclude each other");
        if ((plain && !json_is_string(plain)) || (coded && !json_is_string(coded)))
                return wrong(why, size, "'%s' has to be a string",
                             plain ? "stdin" : "stdin_base64");
        if (plain)
                buffer_append(&c->input, json_string_value(plain), json_string_length(plain));
        if (coded && base64_decode(&c->input, (Slice){ json_string_value(coded),
                                                       json_string_length(coded) }) < 0)
                return wrong(why, size, "'stdin_base64' is not base 64");
        return c->input.failed ? -ENOMEM : 0;
}

static const char *variable(char *const *environment, const char *name)
{
        size_t n = strlen(name);

        for (; *environment; environment++)
                if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
                        return *environment + n + 1;
        return NULL;
}

/* 0 if it can be run, else -errno. */
static int runnable(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : -EACCES;
}

static int search(Command *c, const char *name, const char *path)
{
        int found = -ENOENT, r;

        while (path) {
                size_t n = strcspn(path, ":");

                free(c->path);
                if (asprintf(&c->path, "%.*s/%s", n ? (int)n : 1, n ? path : ".", name) < 0) {
                        c->path = NULL;
                        return -ENOMEM;
                }
                r = runnable(c->path);
                if (r == 0)
                        return 0;
                if (r == -EACCES)
                        found = r;
                path = path[n] ? path + n + 1 : NULL;
        }
        return found;
}

static int find_program(Command *c)
{
        const char *path = variable(c->environment, "PATH");

        if (!strchr(c->argv[0], '/'))
                return search(c, c->argv[0], path ? path : "/usr/local/bin:/usr/bin:/bin");
        c->path = strdup(c->argv[0]); /* relative to its directory: execve() will tell */
        return c->path ? 0 : -ENOMEM;
}

int command_parse(Command *c, const json_t *args, char *why, size_t size)
{
        const json_t *cwd = json_object_get(args, "cwd");
        int r = check_keys(args, why, size);

        if (r == 0)
                r = parse_argv(c, json_object_get(args, "argv"), why, size);
        if (r == 0)
                r = parse_environment(c, json_object_get(args, "env"), why, size);
        if (r == 0)
                r = parse_input(c, args, why, size);
        if (r < 0)
                return r;
        if (cwd && !json_is_null(cwd)) {
                if (!json_is_string(cwd))
                        return wrong(why, size, "'cwd' has to be a string");
                c->directory = strdup(json_string_value(cwd));
                if (!c->directory)
                        return -ENOMEM;
        }
        return find_program(c);
}

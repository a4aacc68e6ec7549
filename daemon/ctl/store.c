/* SPDX-License-Identifier: MIT */

/* check-store and backup: the store of a daemon, which may run meanwhile or not. */

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/print.h"
#include "ctl/verbs.h"
#include "store/schema.h"
#include "store/tools.h"

#define SYSTEM_STATE "/var/lib/brood"

enum { MAX_FAULTS = 1000, ERROR_SIZE = 4096 + 512 /* a path, and what is wrong with it */ };

/* To be freed; NULL if memory ran out. */
static char *join(const char *directory, const char *rest)
{
        char *path;

        return asprintf(&path, "%s/%s", directory, rest) < 0 ? NULL : path;
}

/* The store of the user's own daemon. */
static char *user_store(void)
{
        const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

        if (state && state[0] == '/')
                return join(state, "brood/" STORE_FILE);
        return join(home && home[0] == '/' ? home : "/tmp", ".local/state/brood/" STORE_FILE);
}

/* Where broodd has it: the options say whose, else it is the user's if it is there, else the
 * system's. */
static char *default_store(const Options *o)
{
        bool user = option_given(o, OPTION_USER), named = user || option_given(o, OPTION_SYSTEM);
        const char *state = getenv("STATE_DIRECTORY"); /* as systemd sets it: the first counts */
        AUTO(free) char *path = NULL, *first = NULL;

        if (!named && state && state[0] == '/') {
                first = strndup(state, strcspn(state, ":"));
                return first ? join(first, STORE_FILE) : NULL;
        }
        if (named ? user : geteuid() != 0) {
                path = user_store();
                if (!path || named || access(path, F_OK) == 0)
                        return MOVE_PTR(path);
        }
        return join(SYSTEM_STATE, STORE_FILE);
}

/* The store in a directory; of anything else: itself. */
static char *store_at(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? join(path, STORE_FILE) : strdup(path);
}

static void complain(const char *fault, void *path)
{
        say_plain("%s: %s", (const char *)path, fault);
}

int verb_check_store(Ctl *ctl)
{
        AUTO(free) char *path = ctl_word(ctl, 0) ? store_at(ctl_word(ctl, 0))
                                                 : default_store(ctl->options);
        char error[ERROR_SIZE] = "";
        StoreFigures f;
        int n;

        if (!path)
                return ctl_no_memory();
        n = store_check(path, MAX_FAULTS, complain, path, &f, error, sizeof(error));
        if (n < 0)
                say("check-store: %s", error);
        if (n >= MAX_FAULTS)
                say("check-store: these were %d faults, there may be more", MAX_FAULTS);
        if (n)
                return STATUS_FAILED;
        printf("%s: sound: %lld job%s (%lld open), %s\n", path, f.jobs, PLURAL(f.jobs),
               f.open, size_text((uint64_t)f.bytes).text);
        return STATUS_DONE;
}

static ShortText size_of(const char *path)
{
        struct stat st;

        return size_text(stat(path, &st) == 0 ? (uint64_t)st.st_size : 0);
}

int verb_backup(Ctl *ctl)
{
        const char *directory = ctl->options->values[OPTION_STATE_DIRECTORY].text;
        AUTO(free) char *path = directory ? join(directory, STORE_FILE)
                                          : default_store(ctl->options);
        const char *to = ctl_word(ctl, 0);
        char error[ERROR_SIZE] = "";

        if (!path)
                return ctl_no_memory();
        if (store_backup(path, to, error, sizeof(error)) < 0) {
                say("backup: %s", error);
                return STATUS_FAILED;
        }
        say("backup: %s is a copy of %s, %s", to, path, size_of(to).text);
        return STATUS_DONE;
}

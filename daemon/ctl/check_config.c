/* SPDX-License-Identifier: MIT */

/* check-config: what broodd would say of a config, without a daemon. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/connect.h"
#include "ctl/print.h"
#include "ctl/verbs.h"
#include "settings/modules.h"

static void complain(void *context, const char *file, int line, const char *message)
{
        if (line)
                say_plain("%s:%d: %s", file, line, message);
        else
                say_plain("%s: %s", file, message);
}

/* Where broodd would look. */
static char *default_directory(const Ctl *ctl)
{
        const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
        bool named = option_given(ctl->options, OPTION_USER) ||
                     option_given(ctl->options, OPTION_SYSTEM);
        AUTO(free) char *path = NULL;
        int n = -1;

        if (named ? option_given(ctl->options, OPTION_USER) : getuid() != 0)
                n = config && *config ? asprintf(&path, "%s/brood", config)
                                      : asprintf(&path, "%s/.config/brood", home ? home : "");
        if (n < 0)
                path = NULL;
        if (path && (named || access(path, F_OK) == 0))
                return MOVE_PTR(path);
        return strdup(BROOD_CONFIG_DIR);
}

int verb_check_config(Ctl *ctl)
{
        AUTO(free) char *directory = ctl_word(ctl, 0) ? strdup(ctl_word(ctl, 0))
                                                      : default_directory(ctl);
        AUTO(settings_free) Settings *settings = NULL;
        SettingsError error = { .line = 0 };
        int r = directory ? settings_read(&settings, directory, false, &error) : -ENOMEM;
        size_t handlers;

        if (r == -ENOMEM)
                return ctl_no_memory();
        if (r < 0) {
                complain(NULL, *error.file ? error.file : directory, error.line, error.message);
                return STATUS_FAILED;
        }
        if (settings_check_modules(settings, complain, NULL, &handlers))
                return STATUS_FAILED;
        say("%s is in order: %u pool%s, %zu handler%s", directory, settings->n_pools,
            PLURAL(settings->n_pools), handlers, PLURAL(handlers));
        return STATUS_DONE;
}

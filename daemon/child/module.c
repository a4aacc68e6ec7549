/* SPDX-License-Identifier: MIT */

#include "child/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

PRINTF(3, 4) static int refuse(char *error, size_t size, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(error, size, format, args);
        va_end(args);
        return -EINVAL;
}

static bool offers(const BroodModule *module, const char *name)
{
        for (const BroodHandler *h = module->handlers; h->name; h++)
                if (strcmp(h->name, name) == 0)
                        return true;
        return false;
}

static int check_table(const BroodModule *module, const char *path, char *error, size_t size)
{
        if (module->abi != BROOD_MODULE_ABI)
                return refuse(error, size, "%s: is made for module ABI %u, this brood has %d", path,
                              module->abi, BROOD_MODULE_ABI);
        if (module->size < sizeof(BroodModule))
                return refuse(error, size,
                              "%s: its brood_module has %u bytes, at least %zu are needed", path,
                              module->size, sizeof(BroodModule));
        if (!module->name || !module->handlers || !module->handlers[0].name)
                return refuse(error, size, "%s: its brood_module has no name or no handlers", path);
        for (const BroodHandler *h = module->handlers; h->name; h++)
                if (!h->run)
                        return refuse(error, size, "%s: handler '%s' has no function", path,
                                      h->name);
        return 0;
}

/* Can it do what Concurrency= asks for? The words begin with the setting: its line is to be found.
 */
static int check_concurrency(const Preparation *p, const BroodModule *module, char *error,
                             size_t size)
{
        const char *model = p->concurrency ? p->concurrency : "process";

        if (strcmp(model, "thread") == 0 && !(module->flags & BROOD_THREAD_SAFE))
                return refuse(error, size,
                              "Concurrency=thread: expected process, since module %s does not "
                              "declare that it is thread-safe (BROOD_THREAD_SAFE)",
                              module->name);
        if (strcmp(model, "subinterpreter") == 0 && !(module->flags & BROOD_SUBINTERPRETERS))
                return refuse(error, size,
                              "Concurrency=subinterpreter: expected process or thread, since "
                              "module %s has no interpreters (BROOD_SUBINTERPRETERS)",
                              module->name);
        if (strcmp(model, "async") == 0)
                return refuse(error, size, "Concurrency=async: this version does not have it");
        return 0;
}

static int check_handlers(const Preparation *p, const BroodModule *module, char *error, size_t size)
{
        for (char **name = p->handlers; name && *name; name++)
                if (!offers(module, *name))
                        return refuse(error, size, "module %s offers no handler '%s'", module->name,
                                      *name);
        return 0;
}

/* dlerror() names the file and why; as whom it was tried helps with "Permission denied". */
static int refuse_file(const Preparation *p, char *error, size_t size)
{
        return p->user ? refuse(error, size, "%s (as User=%s)", dlerror(), p->user)
                       : refuse(error, size, "%s", dlerror());
}

static int load(const Preparation *p, const BroodModule **ret, char *error, size_t size)
{
        const char *path = p->module;
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        const BroodModule *module = handle ? dlsym(handle, "brood_module") : NULL;

        if (!module)
                return refuse_file(p, error, size);
        *ret = module;
        return check_table(module, path, error, size);
}

int module_open(const Preparation *p, const BroodModule **ret, char *error, size_t size)
{
        int r = 0;

        if (p->builtin)
                *ret = exec_module(p);
        else
                r = load(p, ret, error, size);
        if (r == 0)
                r = check_handlers(p, *ret, error, size);
        return r < 0 ? r : check_concurrency(p, *ret, error, size);
}

int module_init(const BroodModule *module, const json_t *settings, char *error, size_t size)
{
        if (module->init && module->init(settings) != 0)
                return refuse(error, size, "module %s: init refused to start", module->name);
        return 0;
}

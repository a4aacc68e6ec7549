/* SPDX-License-Identifier: MIT */

#include "child/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "worker/about.h"

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

/* Of a module that knows nothing of what came later. */
#define LEAST_SIZE offsetof(BroodModule, offer)

static bool has_offer(const BroodModule *module)
{
        return module->abi == BROOD_MODULE_ABI &&
               module->size >= offsetof(BroodModule, offer) + sizeof(module->offer) &&
               module->offer;
}

static int check_table(const BroodModule *module, const char *path, char *error, size_t size)
{
        if (module->abi != BROOD_MODULE_ABI && module->abi != 1)
                return refuse(error, size, "%s: is made for module ABI %u, this brood has %d", path,
                              module->abi, BROOD_MODULE_ABI);
        if (module->size < LEAST_SIZE)
                return refuse(error, size,
                              "%s: its brood_module has %u bytes, at least %zu are needed", path,
                              module->size, LEAST_SIZE);
        if (!module->name || (module->handlers && !module->handlers[0].name) ||
            (!module->handlers && !has_offer(module)))
                return refuse(error, size, "%s: its brood_module has no name or no handlers", path);
        return 0;
}

static int check_functions(const BroodModule *module, const char *path, char *error, size_t size)
{
        for (const BroodHandler *h = module->handlers; h && h->name; h++)
                if (!h->run && !h->start)
                        return refuse(error, size, "%s: handler '%s' has no function", path,
                                      h->name);
        return 0;
}

/* A handler as ABI 1 has it: without a start function. */
typedef struct OldHandler {
        const char *name;
        int (*run)(BroodJob *job);
        const char *summary;
} OldHandler;

/* The module as it is taken: of this size, with handlers of today's. It stays for good, as the
 * module does; there is one in a process. */
static BroodModule taken;

static int upgrade_handlers(char *error, size_t size)
{
        const OldHandler *old = (const void *)taken.handlers;
        BroodHandler *handlers;
        size_t n = 0;

        while (old[n].name)
                n++;
        handlers = calloc(n + 1, sizeof(*handlers));
        if (!handlers)
                return refuse(error, size, "no memory for the module");
        for (size_t i = 0; i < n; i++)
                handlers[i] = (BroodHandler){ .name = old[i].name, .run = old[i].run,
                                              .summary = old[i].summary };
        taken.abi = BROOD_MODULE_ABI;
        taken.handlers = handlers;
        return 0;
}

static bool is_wanted(const Preparation *p, const char *name)
{
        for (char **one = p->handlers; one && *one; one++)
                if (strcmp(*one, name) == 0)
                        return true;
        return !p->handlers || !*p->handlers;
}

/* Has each handler that is asked for the function that is called? */
static int check_way(const Preparation *p, const BroodModule *module, bool async, char *error,
                     size_t size)
{
        for (const BroodHandler *h = module->handlers; h && h->name; h++) {
                if (!is_wanted(p, h->name) || (async ? h->start != NULL : h->run != NULL))
                        continue;
                return refuse(error, size,
                              "Concurrency=%s: expected %s, since handler '%s' of module %s has "
                              "only %s function (brood/async.h)",
                              p->concurrency ? p->concurrency : "process",
                              async ? "process or thread, or other Handlers=" : "async", h->name,
                              module->name, async ? "a run" : "a start");
        }
        return 0;
}

/* Can it do what Concurrency= asks for? The words begin with the setting: its line is to be found.
 */
int module_check_concurrency(const Preparation *p, const BroodModule *module, char *error,
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
        return check_way(p, module, strcmp(model, "async") == 0, error, size);
}

static int check_handlers(const Preparation *p, const BroodModule *module, char *error, size_t size)
{
        for (char **name = p->handlers; module->handlers && name && *name; name++)
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
        int r;

        if (!module)
                return refuse_file(p, error, size);
        r = check_table(module, path, error, size);
        if (r < 0)
                return r;
        memcpy(&taken, module, MIN((size_t)module->size, sizeof(taken)));
        if (module->abi == 1)
                r = upgrade_handlers(error, size);
        *ret = &taken;
        return r < 0 ? r : check_functions(&taken, path, error, size);
}

int module_find(const Preparation *p, const BroodModule **ret, char *error, size_t size)
{
        int r = 0;

        if (p->builtin)
                *ret = exec_module(p);
        else
                r = load(p, ret, error, size);
        return r < 0 ? r : check_handlers(p, *ret, error, size);
}

int module_open(const Preparation *p, const BroodModule **ret, char *error, size_t size)
{
        int r = module_find(p, ret, error, size);

        return r < 0 ? r : module_check_concurrency(p, *ret, error, size);
}

/* The handlers that are only known now are looked at as those of others were. */
static int take_offer(const Preparation *p, const BroodModule *module, char *error, size_t size)
{
        int r;

        taken.handlers = module->offer();
        if (!taken.handlers || !taken.handlers[0].name)
                return refuse(error, size, "module %s offers no handlers", module->name);
        r = check_functions(module, module->name, error, size);
        if (r == 0)
                r = check_handlers(p, module, error, size);
        return r < 0 ? r : module_check_concurrency(p, module, error, size);
}

int module_init(const Preparation *p, const BroodModule *module, char *error, size_t size)
{
        module_told(p->concurrency, (unsigned)p->slots);
        if (module->init && module->init(p->settings) != 0)
                return refuse(error, size, "module %s: %s", module->name,
                              brood_refusal() ? brood_refusal() : "init refused to start");
        return module->handlers ? 0 : take_offer(p, module, error, size);
}

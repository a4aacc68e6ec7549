/* SPDX-License-Identifier: MIT */

/* The table of python.so.
 *
 *     [Pool]
 *     Module=python.so
 *     Concurrency=process            or thread or subinterpreter
 *     [Settings]
 *     Import=/srv/photos.py          files, and names of modules
 *     Python=/srv/venv/bin/python3   whose packages are used; if not given, Debian's
 *
 * docs/python.md tells how handlers are written. */

#include "python.h"

static const BroodHandler *offer(void)
{
        return python.handlers;
}

static const char *about(void)
{
        return python.about;
}

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .flags = BROOD_THREAD_SAFE | BROOD_FORK_SAFE | BROOD_SUBINTERPRETERS,
        .name = "python",
        .init = interpreter_start,
        .worker_init = interpreter_prepare,
        .fini = interpreter_leave,
        .offer = offer,
        .ending = run_ending,
        .about = about,
};

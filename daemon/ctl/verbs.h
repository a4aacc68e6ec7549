/* SPDX-License-Identifier: MIT */
#pragma once

/* The verbs; each runs and returns a status. */

#include "ctl/ctl.h"

/* The verb of this name, and the i-th of all; NULL: there is none. */
const Verb *verb_find(const char *name);
const Verb *verb_at(unsigned i);

int verb_submit(Ctl *ctl);
int verb_run(Ctl *ctl);
int verb_map(Ctl *ctl);
int verb_wait(Ctl *ctl);
int verb_follow(Ctl *ctl);
int verb_get(Ctl *ctl);
int verb_why(Ctl *ctl);
int verb_list(Ctl *ctl);
int verb_cancel(Ctl *ctl);
int verb_retry(Ctl *ctl);
int verb_watch(Ctl *ctl);
int verb_status(Ctl *ctl);
int verb_pools(Ctl *ctl);
int verb_workers(Ctl *ctl);
int verb_metrics(Ctl *ctl);
int verb_inspect(Ctl *ctl);
int verb_top(Ctl *ctl);
int verb_pause(Ctl *ctl);
int verb_resume(Ctl *ctl);
int verb_scale(Ctl *ctl);
int verb_restart(Ctl *ctl);
int verb_reload(Ctl *ctl);
int verb_drain(Ctl *ctl);
int verb_check_config(Ctl *ctl);
int verb_check_store(Ctl *ctl);
int verb_backup(Ctl *ctl);
int verb_try_worker(Ctl *ctl);
int verb_bench(Ctl *ctl);
int verb_complete(Ctl *ctl);

/* SPDX-License-Identifier: MIT */
#pragma once

/* The methods of io.brood, one function each. */

#include "api/api.h"

/* submit.c */
void method_submit(const Request *r);
void method_submit_many(const Request *r);

/* query.c */
void method_get(const Request *r);
void method_list(const Request *r);
void method_list_workers(const Request *r);

/* status.c */
void method_status(const Request *r);

/* metrics.c */
void method_metrics(const Request *r);

/* control.c */
void method_cancel(const Request *r);
void method_retry(const Request *r);
void method_pause_pool(const Request *r);
void method_resume_pool(const Request *r);
void method_scale_pool(const Request *r);
void method_restart_pool(const Request *r);

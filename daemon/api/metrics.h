/* SPDX-License-Identifier: MIT */
#pragma once

/* The figures of this daemon for Prometheus and its like. No label grows with the number of jobs,
 * users or connections: pools and handlers are named in the config, all else in tables of ours. */

#include "api/api.h"

/* Appends all of them, in OpenMetrics or in the older text format (ops/exposition.h). */
void metrics_write(const Api *api, bool openmetrics, Buffer *out);

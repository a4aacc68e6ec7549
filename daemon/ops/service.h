/* SPDX-License-Identifier: MIT */
#pragma once

/* What the service manager is told (sd_notify(3)); nothing happens without one. */

void service_ready(void);
void service_stopping(const char *why);

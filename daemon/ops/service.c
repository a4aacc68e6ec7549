/* SPDX-License-Identifier: MIT */

#include "ops/service.h"

#include <systemd/sd-daemon.h>

void service_ready(void)
{
        (void)sd_notify(0, "READY=1\nSTATUS=Serving.");
}

void service_stopping(const char *why)
{
        (void)sd_notifyf(0, "STOPPING=1\nSTATUS=Stopping: %s.", why);
}

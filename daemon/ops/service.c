/* SPDX-License-Identifier: MIT */

#include "ops/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "ops/log.h"
#include "ops/status_line.h"

void service_init(Service *s)
{
        const char *name = getenv("NOTIFY_SOCKET");
        uint64_t interval = 0;
        int r;

        *s = (Service){ .notify = NOTIFY_NONE };
        r = notify_open(&s->notify, name);
        if (r < 0)
                log_warning("NOTIFY_SOCKET=%s: %s; nobody is told how the daemon does", name,
                            r == -EINVAL ? "expected an absolute path, or '@' and a name"
                                         : strerror(-r));
        r = sd_watchdog_enabled(1, &interval);
        if (r < 0)
                log_warning("WATCHDOG_USEC, WATCHDOG_PID: %s; no signs of life are sent",
                            strerror(-r));
        if (r > 0)
                s->watchdog = interval;
        (void)unsetenv("NOTIFY_SOCKET");
}

void service_fini(Service *s)
{
        notify_close(&s->notify);
        free(s->owed);
        s->owed = NULL;
}

/* Once: it may go on for long. */
static void tell_trouble(Service *s, int error)
{
        if (s->told_trouble)
                return;
        s->told_trouble = true;
        log_warning("the service manager does not listen: %s",
                    error == -EAGAIN ? "its socket is full" : strerror(-error));
}

static bool send_now(Service *s, const char *text)
{
        int r = notify_send(&s->notify, text);

        if (r < 0)
                tell_trouble(s, r);
        else
                s->told_trouble = false;
        return r == 0;
}

bool service_flush(Service *s)
{
        if (s->owed && send_now(s, s->owed)) {
                free(s->owed);
                s->owed = NULL;
        }
        return s->owed != NULL;
}

void service_tell(Service *s, const char *what, const char *status)
{
        char *text;

        if (!service_is_on(s))
                return;
        (void)snprintf(s->status, sizeof(s->status), "%s", status);
        status_line_clean(s->status);
        if (asprintf(&text, "%s%sSTATUS=%s", what, *what ? "\n" : "", s->status) < 0) {
                (void)send_now(s, what); /* without words, then */
                return;
        }
        free(s->owed);
        s->owed = text;
        (void)service_flush(s);
}

void service_ready(Service *s, const char *status)
{
        service_tell(s, "READY=1", status);
}

void service_reloading(Service *s, const char *status)
{
        char what[80];

        (void)snprintf(what, sizeof(what), "RELOADING=1\nMONOTONIC_USEC=%llu",
                       (unsigned long long)clock_monotonic());
        service_tell(s, what, status);
}

void service_stopping(Service *s, const char *status)
{
        service_tell(s, "STOPPING=1", status);
}

void service_failed(Service *s, int error, const char *status)
{
        char what[32] = "";

        if (error)
                (void)snprintf(what, sizeof(what), "ERRNO=%d", error);
        service_tell(s, what, status);
}

void service_status(Service *s, const char *status)
{
        char text[SERVICE_STATUS_MAX + 16];
        int n;

        if (!service_is_on(s) || service_flush(s))
                return; /* first things first */
        n = snprintf(text, sizeof(text), "STATUS=");
        (void)snprintf(text + n, SERVICE_STATUS_MAX, "%s", status);
        status_line_clean(text + n);
        if (strcmp(s->status, text + n) == 0)
                return;
        if (send_now(s, text))
                memcpy(s->status, text + n, strlen(text + n) + 1);
}

void service_extend(Service *s, usec_t time)
{
        char text[64];

        (void)snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)time);
        (void)send_now(s, text);
}

void service_ping(Service *s)
{
        (void)send_now(s, "WATCHDOG=1");
}

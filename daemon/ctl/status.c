/* SPDX-License-Identifier: MIT */

/* status: the daemon at a glance, laid out as systemctl(1) does it. */

#include <string.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/pools.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

enum { MAX_DEATHS = 5 };

static void append_state(Buffer *b, const char *state, int64_t n)
{
        Colour colour = n ? colour_of_state(state) : FAINT;

        buffer_printf(b, "%s%s%lld %s%s", buffer_len(b) ? ", " : "", colour_on(colour),
                      (long long)n, state, colour_off(colour));
}

static void print_jobs(const json_t *jobs)
{
        static const char *const states[] = { "queued",    "running",   "scheduled",
                                              "blocked",   "succeeded", "failed",
                                              "cancelled", "expired",   "quarantined" };
        Buffer b = BUFFER_INIT;

        for (size_t i = 0; i < ELEMENTS(states); i++) {
                int64_t n = get_int(jobs, states[i]);

                if (n || i < 2)
                        append_state(&b, states[i], n);
        }
        printf("       Jobs: %.*s\n", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}

/* "     Deaths: 3; the last:" and a line for each of those that are known. */
static void print_deaths(const json_t *pools, const json_t *last)
{
        usec_t now = clock_read(CLOCK_REALTIME);
        int64_t deaths = 0;
        json_t *one;
        size_t i;

        json_array_foreach(pools, i, one)
                deaths += get_int(one, "deaths");
        printf("     Deaths: %s%lld%s%s\n", colour_on(deaths ? RED : PLAIN), (long long)deaths,
               colour_off(deaths ? RED : PLAIN), json_array_size(last) ? "; the last:" : "");
        json_array_foreach(last, i, one) {
                Buffer b = BUFFER_INIT;

                if (i == MAX_DEATHS)
                        break;
                buffer_printf(&b, "             %s ago: ",
                              age_text(get_usec(one, "time_usec"), now).text);
                append_shown(&b, slice_of(get_string(one, "message")), false);
                buffer_append_char(&b, '\n');
                print_buffer(&b);
                buffer_fini(&b);
        }
}

static void print_warnings(const json_t *warnings)
{
        json_t *one;
        size_t i;

        json_array_foreach(warnings, i, one) {
                Buffer b = BUFFER_INIT;

                buffer_printf(&b, "%s%s%s ", i ? "             " : "   Warnings: ",
                              colour_on(YELLOW), print_utf8() ? "▲" : "!");
                append_shown(&b, slice_of(get_string(one, "message")), false);
                buffer_printf(&b, "%s\n", colour_off(YELLOW));
                print_buffer(&b);
                buffer_fini(&b);
        }
}

/* Is anything wrong that calls for somebody? A pool that somebody has paused does not. */
static bool is_degraded(const json_t *warnings)
{
        json_t *one;
        size_t i;

        json_array_foreach(warnings, i, one)
                if (strcmp(get_string(one, "kind"), "pool_paused") != 0)
                        return true;
        return false;
}

static void print_head(const Ctl *ctl, const json_t *s)
{
        const char *state = get_string(s, "state");
        usec_t started = get_usec(s, "started_usec"), now = clock_read(CLOCK_REALTIME);
        bool degraded = strcmp(state, "running") == 0 &&
                        is_degraded(json_object_get(s, "warnings"));
        Colour colour = degraded ? YELLOW : colour_of_state(state);

        printf("%s%s%s broodd %s\n", colour_on(colour), print_utf8() ? "●" : "*",
               colour_off(colour), get_string(s, "version"));
        printf("      State: %s%s%s%s since %s; %s ago\n", colour_on(colour), state,
               degraded ? " (with warnings)" : "", colour_off(colour), time_text(started).text,
               age_text(started, now).text);
        printf("     Socket: %s\n", ctl->socket);
        printf("     Memory: %s\n", size_text((uint64_t)get_int(s, "memory_bytes")).text);
        printf("      Store: %s\n", size_text((uint64_t)get_int(s, "store_bytes")).text);
}

int verb_status(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = call_simple(ctl, "Status", NULL, NULL, &reply);
        const json_t *s = reply.parameters, *pools = json_object_get(s, "pools");

        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        print_head(ctl, s);
        print_jobs(json_object_get(s, "jobs"));
        print_deaths(pools, json_object_get(s, "deaths"));
        print_warnings(json_object_get(s, "warnings"));
        printf("      Pools: %zu\n\n", json_array_size(pools));
        pools_print(pools, 2);
        return STATUS_DONE;
}

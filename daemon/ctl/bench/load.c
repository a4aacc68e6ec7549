/* SPDX-License-Identifier: MIT */

#include "ctl/bench/load.h"

#include <poll.h>
#include <string.h>

#include "base/fd.h"
#include "base/macros.h"
#include "ctl/job.h"
#include "ctl/raw.h"
#include "varlink/json.h"

enum { MAX_LANES = 16 };

/* One connection. */
typedef struct Lane {
        VarlinkClient *client;
        unsigned in_flight;
        usec_t sent_at; /* the last job */
} Lane;

typedef struct Run {
        BenchDaemon *daemon;
        const BenchLoad *load;
        Lane lanes[MAX_LANES];
        usec_t started;
        uint64_t submitted, ended;
} Run;

static void write_submit(const BenchLoad *load, Buffer *b)
{
        varlink_write_call(b, "io.brood.Submit", 0);
        emit_key(b, "job");
        emit_open(b, '{');
        emit_string_member(b, "handler", slice_of(load->handler));
        emit_raw_member(b, "args", slice_of(load->args));
        emit_int_member(b, "max_attempts", MAX(load->attempts, 1U));
        emit_string_member(b, "durability", load->durable ? SLICE("fsync") : SLICE("memory"));
        emit_close(b, '}');
        emit_bool_member(b, "wait", true);
        varlink_write_end(b, 0);
}

static bool goes_on(const Run *run, usec_t now)
{
        return run->load->jobs ? run->submitted < run->load->jobs
                               : now < usec_add(run->started, run->load->time);
}

static bool send_jobs(Run *run, Lane *lane)
{
        usec_t now = clock_monotonic();
        int r;

        while (lane->in_flight < run->load->window && goes_on(run, now)) {
                write_submit(run->load, varlink_client_out(lane->client));
                lane->sent_at = now;
                lane->in_flight++;
                run->submitted++;
        }
        r = varlink_client_send(lane->client);
        return r == 0 || bench_daemon_lost(run->daemon, r);
}

/* A job that did not succeed, or was not taken. */
static bool job_went_wrong(BenchDaemon *d, Slice message)
{
        json_t *reply = json_loadb(message.data, message.len, 0, NULL);
        const char *error = get_string(reply, "error");
        const json_t *job = json_object_get(json_object_get(reply, "parameters"), "job");
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        if (*error)
                buffer_printf(&b, "a job was refused: %s", error);
        else
                job_append_reason(&b, job);
        (void)bench_daemon_wrong(d, "%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        json_decref(reply);
        return false;
}

static bool take_end(Run *run, Lane *lane, Slice message)
{
        Slice job = raw_member(raw_member(message, "parameters"), "job");
        Slice state = raw_string(raw_member(job, "state"));

        BenchSamples *samples = run->load->samples;

        if (samples && samples->n < samples->room)
                samples->usec[samples->n++] = (double)(clock_monotonic() - lane->sent_at);
        lane->in_flight--;
        run->ended++;
        return slice_equal(state, SLICE("succeeded")) || job_went_wrong(run->daemon, message);
}

static bool take_ends(Run *run, Lane *lane)
{
        Slice message;
        int r = varlink_client_fill(lane->client), next;

        while ((next = varlink_client_next(lane->client, &message)) > 0)
                if (!take_end(run, lane, message))
                        return false;
        if (next < 0)
                r = next;
        return r >= 0 || bench_daemon_lost(run->daemon, r);
}

static bool wait_for_news(Run *run, struct pollfd *p)
{
        unsigned n = run->load->connections;
        usec_t until = usec_add(clock_monotonic(), BENCH_PATIENCE_SECONDS * USEC_PER_SEC);
        int r;

        for (unsigned i = 0; i < n; i++) {
                VarlinkClient *c = run->lanes[i].client;

                p[i].fd = varlink_client_fd(c);
                p[i].events = (short)(POLLIN |
                                      (buffer_len(varlink_client_out(c)) ? POLLOUT : 0));
        }
        r = fd_poll(p, n, until);
        return r > 0 || bench_daemon_lost(run->daemon, r);
}

static bool carry_out(Run *run)
{
        struct pollfd p[MAX_LANES] = { 0 };

        run->started = clock_monotonic();
        do {
                for (unsigned i = 0; i < run->load->connections; i++)
                        if (!send_jobs(run, &run->lanes[i]))
                                return false;
                if (run->submitted > run->ended && !wait_for_news(run, p))
                        return false;
                for (unsigned i = 0; i < run->load->connections; i++)
                        if (p[i].revents && !take_ends(run, &run->lanes[i]))
                                return false;
        } while (run->submitted > run->ended || goes_on(run, clock_monotonic()));
        return true;
}

bool bench_load(BenchDaemon *d, const BenchLoad *load, BenchLoadResult *ret)
{
        Run run = { .daemon = d, .load = load };
        unsigned n = load->connections;
        bool good = true;

        ASSERT(n >= 1 && n <= MAX_LANES && load->window >= 1);
        for (unsigned i = 0; i < n && good; i++) {
                int r = varlink_client_new(&run.lanes[i].client, d->socket);

                if (r < 0) {
                        run.lanes[i].client = NULL;
                        good = bench_daemon_lost(d, r);
                }
        }
        good = good && carry_out(&run);
        *ret = (BenchLoadResult){ run.ended, clock_monotonic() - run.started };
        for (unsigned i = 0; i < n; i++)
                varlink_client_free(run.lanes[i].client);
        return good;
}

bool bench_one_job(BenchDaemon *d, const char *handler, const char *args, unsigned attempts,
                   usec_t *ret)
{
        BenchLoad load = { .handler = handler, .args = args, .attempts = attempts,
                           .connections = 1, .window = 1, .jobs = 1 };
        BenchLoadResult result;

        if (!bench_load(d, &load, &result))
                return false;
        *ret = result.elapsed;
        return true;
}

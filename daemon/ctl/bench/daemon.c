/* SPDX-License-Identifier: MIT */

#include "ctl/bench/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "ctl/job.h"
#include "ctl/words.h"

#define PATIENCE (BENCH_PATIENCE_SECONDS * USEC_PER_SEC)

enum { LOOK_USEC = 200, CONNECT_USEC = 2000, MAX_LOG = 65536 };

const char *bench_daemon_program(void)
{
        const char *path = getenv("BROOD_DAEMON");

        return path && *path ? path : BROOD_BIN_DIR "/broodd";
}

bool bench_daemon_wrong(BenchDaemon *d, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(d->words, sizeof(d->words), format, ap);
        va_end(ap);
        return false;
}

/* --- its words --- */

/* A line without its level ("<3>"). */
static char *without_level(char *line)
{
        return line[0] == '<' && line[1] && line[2] == '>' ? line + 3 : line;
}

/* Of a log, the line about a file of its own config, without the directory that nobody has seen;
 * else the last line. */
static const char *telling_line(char *text, const char *directory)
{
        size_t n = strlen(directory);
        char *next = text, *line, *last = text;

        while ((line = strsep(&next, "\n"))) {
                line = without_level(line);
                if (strncmp(line, directory, n) == 0 && line[n] == '/')
                        return line + n + 1;
                if (*line)
                        last = line;
        }
        return last;
}

static bool say_last_words(BenchDaemon *d, const char *otherwise)
{
        AUTO(free) char *text = calloc(1, MAX_LOG);
        AUTO(fd_close) int fd = -1;
        const char *line = "";
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/log", d->keeper.directory);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (text && fd >= 0 && fd_read_all(fd, text, MAX_LOG - 1) > 0)
                line = telling_line(text, d->keeper.directory);
        return bench_daemon_wrong(d, "%s", *line ? line : otherwise);
}

bool bench_daemon_lost(BenchDaemon *d, int error)
{
        struct pollfd p = { .fd = d->keeper.fd, .events = POLLIN | POLLRDHUP };

        if (error == 0)
                return bench_daemon_wrong(d, "no answer within %d seconds", BENCH_PATIENCE_SECONDS);
        if (fd_poll(&p, 1, usec_add(clock_monotonic(), USEC_PER_SEC)) > 0)
                return say_last_words(d, "the daemon has ended");
        return bench_daemon_wrong(d, "the connection to the daemon failed: %s", strerror(-error));
}

/* --- calls --- */

static bool refused(BenchDaemon *d, const char *error, const json_t *parameters)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        words_append_error(&b, "bench", error, parameters);
        return bench_daemon_wrong(d, "%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
}

bool bench_daemon_call(BenchDaemon *d, const char *method, json_t *parameters, json_t **ret)
{
        AUTO(free) char *error = NULL;
        json_t *reply = NULL;
        char name[64];
        int r;

        (void)snprintf(name, sizeof(name), "io.brood.%s", method);
        r = varlink_client_write(d->client, name, parameters, 0);
        if (r == 0)
                r = varlink_client_flush(d->client);
        if (r == 0)
                r = varlink_client_reply(d->client, PATIENCE, &reply, &error, NULL);
        if (r <= 0)
                return bench_daemon_lost(d, r);
        if (error) {
                (void)refused(d, error, reply);
                json_decref(reply);
                return false;
        }
        *ret = reply;
        return true;
}

/* --- its start --- */

static bool connect_to(BenchDaemon *d)
{
        struct pollfd p = { .fd = d->keeper.fd, .events = POLLIN | POLLRDHUP };
        usec_t end = usec_add(clock_monotonic(), PATIENCE);
        int r;

        while ((r = varlink_client_new(&d->client, d->socket)) < 0) {
                if (clock_monotonic() > end)
                        return bench_daemon_wrong(d, "the daemon has no socket: %s", strerror(-r));
                if (fd_poll(&p, 1, usec_add(clock_monotonic(), CONNECT_USEC)) > 0)
                        return say_last_words(d, "the daemon has ended");
        }
        return true;
}

bool bench_daemon_start(BenchDaemon *d, const BenchKeeperSpec *spec, unsigned workers)
{
        *d = (BenchDaemon){ .workers = workers };
        if (!bench_keeper_start(&d->keeper, spec))
                return bench_daemon_wrong(d, "%s", d->keeper.words);
        (void)snprintf(d->socket, sizeof(d->socket), "%s/sock", d->keeper.directory);
        return connect_to(d) && bench_daemon_settle(d, workers);
}

void bench_daemon_end(BenchDaemon *d)
{
        varlink_client_free(d->client);
        d->client = NULL;
        bench_keeper_end(&d->keeper);
}

/* --- its workers --- */

static bool pool_failed(BenchDaemon *d, const json_t *status)
{
        const json_t *death = json_array_get(json_object_get(status, "deaths"), 0);
        const json_t *warning = json_array_get(json_object_get(status, "warnings"), 0);
        const char *words = get_string(death ? death : warning, "message");

        return bench_daemon_wrong(d, "%s", *words ? words : "its workers do not start");
}

/* 1: so many are ready; 0: not yet; -1: it went wrong, or will not be. */
static int look_at_pool(BenchDaemon *d, unsigned workers)
{
        const json_t *pool;
        json_t *status;
        int64_t ready;
        int found = 0;

        if (!bench_daemon_call(d, "Status", NULL, &status))
                return -1;
        pool = json_array_get(json_object_get(status, "pools"), 0);
        ready = get_int(pool, "idle") + get_int(pool, "busy");
        if (strcmp(get_string(pool, "state"), "failed") == 0) {
                (void)pool_failed(d, status);
                found = -1;
        } else if (ready == workers && get_int(pool, "workers") == workers) {
                found = 1;
        }
        json_decref(status);
        return found;
}

bool bench_daemon_settle(BenchDaemon *d, unsigned workers)
{
        usec_t end = usec_add(clock_monotonic(), PATIENCE);
        int found;

        while ((found = look_at_pool(d, workers)) == 0) {
                if (clock_monotonic() > end)
                        return bench_daemon_wrong(d, "its workers are not ready after %d seconds",
                                                  BENCH_PATIENCE_SECONDS);
                (void)usleep(LOOK_USEC);
        }
        return found > 0;
}

bool bench_daemon_scale(BenchDaemon *d, unsigned workers)
{
        json_t *reply, *parameters = json_pack("{s:s, s:i, s:i}", "pool", "bench", "min_workers",
                                               (int)workers, "max_workers", (int)workers);

        if (!bench_daemon_call(d, "ScalePool", parameters, &reply))
                return false;
        json_decref(reply);
        return bench_daemon_settle(d, workers);
}

bool bench_daemon_worker(BenchDaemon *d, unsigned i, pid_t *ret)
{
        json_t *reply;

        if (!bench_daemon_call(d, "ListWorkers", NULL, &reply))
                return false;
        *ret = (pid_t)get_int(json_array_get(json_object_get(reply, "workers"), i), "pid");
        json_decref(reply);
        return *ret > 0 || bench_daemon_wrong(d, "it has no worker %u", i);
}

/* --- memory --- */

static int parent_of(pid_t pid)
{
        char path[64];
        FILE *f;
        int parent = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
                parent = 0;
        (void)fclose(f);
        return parent;
}

/* Bytes that a process has of anonymous and shared memory, shared pages in equal parts; -1 if they
 * cannot be read. */
static double memory_of(pid_t pid)
{
        unsigned long long kb;
        double sum = 0;
        char path[64], line[256];
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
        f = fopen(path, "re");
        if (!f)
                return -1;
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "Pss_Anon: %llu", &kb) == 1 ||
                    sscanf(line, "Pss_Shmem: %llu", &kb) == 1)
                        sum += (double)kb * 1024;
        (void)fclose(f);
        return sum;
}

bool bench_daemon_memory(BenchDaemon *d, double *ret)
{
        double sum = 0;
        pid_t pid = 0;

        for (unsigned i = 0; i <= d->workers; i++) {
                double more;

                if (i < d->workers && !bench_daemon_worker(d, i, &pid))
                        return false;
                if (i == d->workers)
                        pid = parent_of(pid); /* their fork server, or the daemon */
                more = pid == d->keeper.daemon ? 0 : memory_of(pid);
                if (more < 0)
                        return bench_daemon_wrong(d, "cannot read /proc/%d/smaps_rollup: %s",
                                                  (int)pid, strerror(errno));
                sum += more;
        }
        *ret = sum;
        return true;
}

/* SPDX-License-Identifier: MIT */

#include "ctl/trial.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "io.brood.Worker.h"
#include "process/orphans.h"
#include "process/start.h"
#include "varlink/json.h"

#define TRIAL_ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define OTHER_ID "01890a5d-ac96-774b-bcce-b302099a8058"

/* MaxMessageSize= where the config says nothing. */
enum { MAX_MESSAGE = 16 * 1024 * 1024, QUIET_USEC = 100000, SHOWN = 160 };

/* What a worker has said may be anything, and may be cut. */
static void set_words(Trial *t, const char *format, va_list args)
{
        const unsigned char *end;

        (void)vsnprintf(t->words, sizeof(t->words), format, args);
        end = (const unsigned char *)t->words + strlen(t->words);
        for (char *p = t->words; *p;) {
                int n = (unsigned char)*p < 0x80 ? 1
                                                 : utf8_length((const unsigned char *)p, end);

                if (n == 0)
                        *p = '?';
                p += n ? n : 1;
        }
}

bool trial_wrong(Trial *t, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        set_words(t, format, args);
        va_end(args);
        return false;
}

bool trial_right(Trial *t, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        set_words(t, format, args);
        va_end(args);
        return true;
}

/* --- the process --- */

static bool runnable(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* As the shell finds it; NULL: nowhere. */
static char *find_program(const char *name)
{
        const char *path = getenv("PATH");
        char *found = NULL;

        if (strchr(name, '/'))
                return runnable(name) ? strdup(name) : NULL;
        for (path = path ? path : "/usr/local/bin:/usr/bin:/bin"; path;
             path = *path ? path + 1 : NULL) {
                size_t n = strcspn(path, ":");

                free(found);
                if (asprintf(&found, "%.*s/%s", n ? (int)n : 1, n ? path : ".", name) < 0)
                        return NULL;
                if (runnable(found))
                        return found;
                path += n;
        }
        free(found);
        return NULL;
}

bool trial_init(Trial *t)
{
        char error[128];

        t->pidfd = -1;
        t->path = find_program(t->argv[0]);
        if (!t->path)
                return trial_wrong(t, "there is no program '%s'", t->argv[0]);
        if (varlink_interface_new(&t->interface, SLICE(IO_BROOD_WORKER_TEXT), error,
                                  sizeof(error)) < 0 ||
            orphans_adopt() < 0)
                return trial_wrong(t, "out of memory");
        return true;
}

void trial_fini(Trial *t)
{
        (void)trial_end(t);
        varlink_interface_free(t->interface);
        varlink_scan_fini(&t->scan);
        buffer_fini(&t->names);
        free(t->offered);
        free(t->path);
}

static int connect_to(const struct sockaddr_un *address, VarlinkClient **ret)
{
        AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r;

        if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
                return -errno;
        r = varlink_client_new_fd(ret, MOVE_FD(fd));
        if (r == 0)
                varlink_client_limit(*ret, MAX_MESSAGE);
        return r;
}

/* A listening socket with connections waiting in it, slot first, then control; its path is gone
 * again when this returns. */
static int listen_for(Trial *t)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        char directory[] = "/tmp/brood-try-XXXXXX";
        AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r = 0;

        if (fd < 0 || !mkdtemp(directory))
                return -errno;
        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/worker", directory);
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
                r = -errno;
        if (r == 0)
                r = connect_to(&a, &t->slot);
        if (r == 0)
                r = connect_to(&a, &t->control);
        (void)unlink(a.sun_path);
        (void)rmdir(directory);
        return r < 0 ? r : MOVE_FD(fd);
}

static bool is_listen_variable(const char *variable)
{
        return strncmp(variable, "LISTEN_", 7) == 0;
}

static int spawn(Trial *t, int listener)
{
        char listen_pid[32] = "LISTEN_PID=", listen_fds[] = "LISTEN_FDS=1";
        char listen_names[] = "LISTEN_FDNAMES=varlink";
        AUTO(free) char **environment = NULL;
        size_t n = 0, kept = 0;
        ProcessStart start = { .path = t->path,
                               .argv = (char *const *)t->argv,
                               .in = -1,
                               .out = STDERR_FILENO,
                               .err = STDERR_FILENO,
                               .fds = &listener,
                               .n_fds = 1,
                               .new_session = true,
                               .die_with_parent = true,
                               .pid_to = listen_pid + 11 };

        while (environ[n])
                n++;
        environment = calloc(n + 4, sizeof(*environment));
        if (!environment)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (!is_listen_variable(environ[i]))
                        environment[kept++] = environ[i];
        environment[kept] = listen_pid;
        environment[kept + 1] = listen_fds;
        environment[kept + 2] = listen_names;
        start.environment = environment;
        return process_start(&start, &t->pid, &t->pidfd);
}

bool trial_start(Trial *t)
{
        AUTO(fd_close) int listener = listen_for(t);
        int r = listener < 0 ? listener : spawn(t, listener);

        if (r < 0)
                t->pid = 0;
        t->prepared = false;
        t->attempt = 0;
        if (r < 0)
                return trial_wrong(t, "it can not be started: %s", strerror(-r));
        return trial_right(t, "pid %d", (int)t->pid);
}

void trial_hang_up(Trial *t)
{
        varlink_client_free(t->slot);
        varlink_client_free(t->control);
        t->slot = t->control = NULL;
        t->prepared = false;
}

bool trial_exits(Trial *t, ExitVerdict *ret)
{
        struct pollfd p = { .fd = t->pidfd, .events = POLLIN };
        struct rusage usage = { 0 };
        int status;

        while (poll(&p, 1, (int)MIN(t->timeout / USEC_PER_MSEC, (usec_t)INT32_MAX)) < 0)
                if (errno != EINTR)
                        return trial_wrong(t, "%s", strerror(errno));
        if (!p.revents)
                return trial_wrong(t, "it lives on");
        if (wait4(t->pid, &status, 0, &usage) != t->pid)
                return trial_wrong(t, "%s", strerror(errno));
        *ret = exit_verdict(status, &usage);
        t->pid = 0;
        t->pidfd = fd_close(t->pidfd);
        return true;
}

static bool is_it(pid_t pid, void *context)
{
        return pid == ((Trial *)context)->pid;
}

unsigned trial_end(Trial *t)
{
        int others;

        trial_hang_up(t);
        others = t->interface ? orphans_kill(is_it, t) : 0;
        (void)orphans_end_all();
        t->pid = 0;
        t->pidfd = fd_close(t->pidfd);
        return others > 0 ? (unsigned)others : 0;
}

/* --- messages --- */

static bool no_reply(Trial *t, VarlinkClient *from, int r)
{
        size_t left = varlink_client_unread(from);
        ExitVerdict verdict;
        char words[96];
        Slice text;

        if (r == -EMSGSIZE)
                return trial_wrong(t, "its message has more than %d bytes (MaxMessageSize=)",
                                   MAX_MESSAGE);
        if (r == -ECONNRESET && trial_exits(t, &verdict))
                return trial_wrong(t, "it %s", exit_verdict_words(&verdict, words, sizeof(words)));
        if (r == -ECONNRESET)
                return trial_wrong(t, "it has closed the connection, and lives on%s",
                                   left ? ", in the middle of a message" : "");
        if (r < 0)
                return trial_wrong(t, "%s", strerror(-r));
        if (left)
                return trial_wrong(t, "its message does not end: %zu bytes, and no NUL", left);
        if (from == t->slot && varlink_client_receive(t->control, 0, &text) == 1)
                return trial_wrong(t, "it answers on the control connection: %.*s",
                                   (int)MIN(text.len, (size_t)SHOWN), text.data);
        return trial_wrong(t, "no answer");
}

bool trial_send(Trial *t, VarlinkClient *to)
{
        usec_t end = usec_add(clock_monotonic(), t->timeout), now;
        int r;

        while ((r = varlink_client_send(to)) == 0 && buffer_len(varlink_client_out(to))) {
                struct pollfd p = { .fd = varlink_client_fd(to), .events = POLLOUT };

                now = clock_monotonic();
                if (now >= end)
                        return trial_wrong(t, "it does not read what is sent to it");
                (void)poll(&p, 1, (int)((end - now) / USEC_PER_MSEC) + 1);
        }
        return r == 0 || no_reply(t, to, -ECONNRESET);
}

static bool bad_reply(Trial *t, Slice text, int r)
{
        int shown = (int)MIN(text.len, (size_t)SHOWN);

        if (r == VARLINK_E_PARAMETER)
                return trial_wrong(t, "'%s' is missing, unknown, there twice, of a wrong type or "
                                      "too large: %.*s", t->scan.fault, shown, text.data);
        if (r == VARLINK_E_DEPTH)
                return trial_wrong(t, "it has more than %d levels: %.*s", VARLINK_MAX_DEPTH, shown,
                                   text.data);
        return trial_wrong(t, "it is not a JSON object, or not one that can travel: %.*s", shown,
                           text.data);
}

bool trial_receive(Trial *t, VarlinkClient *from, unsigned method, VarlinkReply *ret)
{
        Slice text;
        int r = varlink_client_receive(from, t->timeout, &text);

        if (r != 1)
                return no_reply(t, from, r);
        r = varlink_reply_scan(&t->scan, text, t->interface, &t->interface->methods[method], ret);
        if (r != 0)
                return bad_reply(t, text, r);
        if (ret->error.len && !ret->member)
                return trial_wrong(t, "the error %.*s is none of io.brood.Worker",
                                   (int)ret->error.len, ret->error.data);
        if (ret->error.len && ret->continues)
                return trial_wrong(t, "an error can not continue");
        return true;
}

bool trial_is_quiet(Trial *t)
{
        VarlinkClient *both[] = { t->slot, t->control };
        Slice text;

        for (size_t i = 0; i < ELEMENTS(both); i++) {
                int r = varlink_client_receive(both[i], i ? 0 : QUIET_USEC, &text);

                if (r == 1)
                        return trial_wrong(t, "it says what nobody asked for: %.*s",
                                           (int)MIN(text.len, (size_t)SHOWN), text.data);
                if (r < 0)
                        return no_reply(t, both[i], r);
        }
        return trial_right(t, "%s", "");
}

/* --- calls --- */

bool trial_prepare(Trial *t, VarlinkReply *ret)
{
        Buffer *b = varlink_client_out(t->slot);

        varlink_write_call(b, "io.brood.Worker.Prepare", 0);
        emit_string_member(b, "pool", SLICE("try"));
        emit_string_member(b, "worker", SLICE("try.0"));
        emit_int_member(b, "generation", 1);
        emit_key(b, "handlers");
        emit_open(b, '[');
        if (t->handler)
                emit_string(b, slice_of(t->handler));
        emit_close(b, ']');
        emit_raw_member(b, "settings", SLICE("{}"));
        varlink_write_end(b, 0);
        if (!trial_send(t, t->slot) ||
            !trial_receive(t, t->slot, IO_BROOD_WORKER_PREPARE, ret))
                return false;
        if (ret->error.len)
                return trial_wrong(t, "Prepare is answered %.*s", (int)ret->error.len,
                                   ret->error.data);
        if (ret->continues)
                return trial_wrong(t, "the reply continues, and was not asked to");
        t->prepared = true;
        return true;
}

void trial_write_run(Trial *t, const char *handler, const char *args, unsigned flags)
{
        Buffer *b = varlink_client_out(t->slot);

        varlink_write_call(b, "io.brood.Worker.Run", flags);
        emit_string_member(b, "id", SLICE(TRIAL_ID));
        emit_int_member(b, "attempt", ++t->attempt);
        emit_string_member(b, "handler", slice_of(handler));
        emit_raw_member(b, "args", slice_of(args));
        varlink_write_end(b, 0);
}

void trial_write_cancel(Trial *t, bool other)
{
        Buffer *b = varlink_client_out(t->control);

        varlink_write_call(b, "io.brood.Worker.Cancel", 0);
        emit_string_member(b, "id", other ? SLICE(OTHER_ID) : SLICE(TRIAL_ID));
        emit_int_member(b, "attempt", t->attempt);
        emit_string_member(b, "reason", SLICE("cancel"));
        varlink_write_end(b, 0);
}

static bool right_output(Trial *t, const VarlinkNode *output)
{
        enum { STREAM, DATA, DATA_BASE64 }; /* as in the interface file */
        const VarlinkNode *coded = varlink_field(&t->scan, output, DATA_BASE64);
        bool both = coded->present && varlink_field(&t->scan, output, DATA)->present;
        AUTO(buffer_fini) Buffer bytes = BUFFER_INIT;

        if (both)
                return trial_wrong(t, "output has 'data' and 'data_base64', too");
        if (coded->present && base64_decode(&bytes, varlink_slice(&t->scan, coded)) < 0)
                return trial_wrong(t, "'output.data_base64' is not base 64");
        return true;
}

/* What comes before the answer. */
static bool right_piece(Trial *t, const VarlinkReply *reply)
{
        const VarlinkNode *out = varlink_node(&t->scan, reply->parameters);
        const VarlinkScan *scan = &t->scan;
        const VarlinkNode *progress = varlink_field(scan, out, IO_BROOD_WORKER_RUN_OUT_PROGRESS);
        const VarlinkNode *output = varlink_field(scan, out, IO_BROOD_WORKER_RUN_OUT_OUTPUT);
        double fraction = progress->present ? varlink_float(&t->scan, progress) : 0;

        if (fraction < 0 || fraction > 1)
                return trial_wrong(t, "progress is %g, and not between 0 and 1", fraction);
        if (varlink_field(&t->scan, out, IO_BROOD_WORKER_RUN_OUT_RESULT)->present)
                return trial_wrong(t, "a reply that continues has a result");
        return !output->present || right_output(t, output);
}

bool trial_answer(Trial *t, bool more, unsigned *ret_before, VarlinkReply *ret)
{
        for (*ret_before = 0;; ++*ret_before) {
                if (!trial_receive(t, t->slot, IO_BROOD_WORKER_RUN, ret))
                        return false;
                if (!ret->continues)
                        return true;
                if (!more)
                        return trial_wrong(t, "the reply continues, and was not asked to (`more`)");
                if (!right_piece(t, ret))
                        return false;
        }
}

/* SPDX-License-Identifier: MIT */

/* brood-forkserver: one per pool, between the supervisor and the pool's workers.
 *
 * It makes itself what the pool's workers shall be (process attributes), loads the module once, and
 * then waits for three things: requests on its channel, SIGCHLD, and the end of the supervisor on
 * the sentinel. It has one thread and allocates little, so that a fork of it is a good worker.
 *
 * It is a subreaper: what a worker leaves behind falls to it and is killed. When the supervisor is
 * gone it ends everything below it and then itself. It has no parent-death signal once it serves,
 * since SIGKILL would keep it from doing so; while it loads the module, and may hang there, it has.
 *
 *     brood-forkserver                         by broodd, with the descriptors of process/forker.h
 *     brood-forkserver --check [--as=UID:GID[:GROUP…]] [--concurrency=MODEL[:HANDLER…]] [--stdin]
 *                      MODULE [NAME…]
 *                                              prints the handlers that MODULE offers, or why not;
 *                                              a JSON object on stdin has its `environment`
 *                                              (strings) and its `settings`
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/parse.h"
#include "child/attributes.h"
#include "child/module.h"
#include "child/worker_main.h"
#include "ops/journal.h"
#include "process/forker.h"
#include "process/nursery.h"
#include "process/orphans.h"
#include "process/sentinel.h"
#include "process/start.h"

/* Output, pages, control, slots and the two of the cgroup. */
_Static_assert(3 + WORKER_MAX_SLOTS + 2 <= NURSERY_MAX_FDS, "a request has room");

/* What came with a request, and where in it the cgroup is. */
typedef struct RequestFds {
        const int *fds;
        size_t n;
        const CgroupDoor *door; /* of the worker's; NULL: none */
        CgroupDoor door_kept;
        int procs;        /* of that group, opened with our rights; -1: none */
        int group;        /* the directory above that; -1: none */
} RequestFds;

typedef struct ForkServer {
        Nursery nursery; /* the key of a child is its seat and generation */
        ForkerRequest request;
        Preparation preparation;
        const BroodModule *module; /* NULL: workers are fresh images */
        char image[4096];          /* path of brood-worker */
        int journal;               /* for workers: see child/output_log.h; -1: none */
} ForkServer;

/* --- telling the supervisor --- */

static void tell(const ForkerEvent *event, const char *text, int fd)
{
        size_t n = text ? MIN(strlen(text), (size_t)FORKER_TEXT_MAX) : 0;
        AUTO(free) char *message = malloc(sizeof(*event) + n);

        if (!message)
                return;
        memcpy(message, event, sizeof(*event));
        if (n)
                memcpy(message + sizeof(*event), text, n);
        /* A supervisor that is gone shows on the sentinel. */
        (void)fd_send(FORKER_FD_CHANNEL, message, sizeof(*event) + n, &fd, fd >= 0, 0);
}

__attribute__((noreturn)) static void give_up(const char *why)
{
        tell(&(ForkerEvent){ .kind = FORKER_FAILED }, why, -1);
        exit(1);
}

static void tell_end(Nursery *n, const NurseryChild *child, const ExitVerdict *verdict)
{
        tell(&(ForkerEvent){ .kind = FORKER_EXIT,
                             .seat = (uint32_t)(child->key >> 32),
                             .generation = (uint32_t)child->key,
                             .pid = child->pid,
                             .verdict = *verdict },
             NULL, -1);
}

/* --- births --- */

static unsigned fds_wanted(const ForkServer *s)
{
        return s->preparation.command ? 2 : 3 + (unsigned)s->preparation.slots;
}

/* In the fork: becomes a worker, with nothing of ours but what it needs. */
__attribute__((noreturn)) static void become_worker(ForkServer *s, pid_t parent,
                                                    const RequestFds *q)
{
        const int *fds = q->fds;
        WorkerFds mine = { .pages = fds[1], .control = fds[2], .slots = &fds[3],
                           .n_slots = (unsigned)s->preparation.slots,
                           .sentinel = FORKER_FD_SENTINEL, .journal = s->journal,
                           .group = q->group };

        if (q->door)
                (void)cgroup_enter(q->procs); /* broodd looks whether it has */
        fd_close(q->procs);
        if (q->n > fds_wanted(s))
                fd_close(q->fds[fds_wanted(s)]);
        if (!s->preparation.builtin) /* only commands get groups of their own */
                mine.group = fd_close(mine.group);

        process_die_with_parent(parent);
        process_reset_signals();
        (void)dup2(fds[0], STDOUT_FILENO);
        (void)dup2(fds[0], STDERR_FILENO);
        fd_close(fds[0]);
        fd_close(FORKER_FD_CHANNEL);
        fd_close(FORKER_FD_PREPARATION);
        fd_close(s->nursery.signals);
        setvbuf(stdout, NULL, _IOLBF, 0);
        exit(worker_main(&s->preparation, s->module, &mine));
}

static int fork_worker(ForkServer *s, const RequestFds *q, pid_t *ret_pid)
{
        pid_t parent = getpid();

        *ret_pid = fork();
        if (*ret_pid == 0)
                become_worker(s, parent, q);
        return *ret_pid < 0 ? -errno : 0;
}

static int spawn_image(ForkServer *s, const RequestFds *q, pid_t *ret_pid)
{
        const int *fds = q->fds;
        char *argv[] = { s->image, NULL };
        unsigned n_slots = (unsigned)s->preparation.slots;
        int order[WORKER_FD_FIXED + WORKER_MAX_SLOTS + 1] = {
                FORKER_FD_PREPARATION, FORKER_FD_SENTINEL, FORKER_FD_LOCK, fds[1], q->group, fds[2]
        };
        ProcessStart start = { .path = s->image,
                               .argv = argv,
                               .environment = s->preparation.environment,
                               .in = -1,
                               .out = fds[0],
                               .err = fds[0],
                               .fds = order,
                               .n_fds = WORKER_FD_FIXED + n_slots + (s->journal >= 0),
                               .die_with_parent = true,
                               .cgroup = q->door };

        memcpy(&order[WORKER_FD_FIXED], &fds[3], n_slots * sizeof(int));
        order[WORKER_FD_FIXED + n_slots] = s->journal;
        return process_start(&start, ret_pid, NULL);
}

static int spawn_command(ForkServer *s, const RequestFds *q, pid_t *ret_pid)
{
        const int *fds = q->fds;
        char listen_pid[32] = "LISTEN_PID=";
        char listen_fds[] = "LISTEN_FDS=1", listen_names[] = "LISTEN_FDNAMES=varlink";
        AUTO(free) char **environment = NULL;
        size_t n = 0;
        ProcessStart start = { .path = s->preparation.command[0],
                               .argv = s->preparation.command,
                               .in = -1,
                               .out = fds[0],
                               .err = fds[0],
                               .fds = &fds[1],
                               .n_fds = 1,
                               .die_with_parent = true,
                               .cgroup = q->door,
                               .pid_to = listen_pid + 11 };

        while (s->preparation.environment && s->preparation.environment[n])
                n++;
        environment = calloc(n + 4, sizeof(*environment));
        if (!environment)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                environment[i] = s->preparation.environment[i];
        environment[n] = listen_pid;
        environment[n + 1] = listen_fds;
        environment[n + 2] = listen_names;
        start.environment = environment;
        return process_start(&start, ret_pid, NULL);
}

static int give_birth(ForkServer *s, const RequestFds *q, pid_t *ret_pid)
{
        if (s->preparation.command)
                return spawn_command(s, q, ret_pid);
        return s->module ? fork_worker(s, q, ret_pid) : spawn_image(s, q, ret_pid);
}

/* The two of its cgroup come last, or are not there. Returns false if some are missing. */
static bool sort_fds(const ForkServer *s, RequestFds *q)
{
        unsigned wanted = fds_wanted(s);

        if (q->n == wanted + 2) {
                q->procs = cgroup_open_procs(q->fds[wanted]); /* < 0: it stays where we are */
                q->door_kept = (CgroupDoor){ .group = -1, .procs = q->procs };
                q->door = q->procs < 0 ? NULL : &q->door_kept;
                q->group = q->fds[wanted + 1];
        }
        return q->n == wanted || q->n == wanted + 2;
}

static void handle_request(ForkServer *s, RequestFds *q)
{
        const ForkerRequest *request = &s->request;
        ForkerEvent event = { .kind = FORKER_BIRTH, .seat = request->seat,
                              .generation = request->generation };
        AUTO(fd_close) int pidfd = -1;
        pid_t pid = 0;
        int r = sort_fds(s, q) ? 0 : -EBADMSG;

        if (r == 0)
                r = give_birth(s, q, &pid);
        if (r == 0)
                r = nursery_take(&s->nursery, pid,
                                 (uint64_t)request->seat << 32 | request->generation, &pidfd);
        event.error = -r;
        event.pid = pid;
        tell(&event, NULL, pidfd);
}

/* Returns false when the supervisor has closed the channel. */
static bool hear(Nursery *n, ssize_t size)
{
        ForkServer *s = CONTAINER_OF(n, ForkServer, nursery);
        RequestFds q = { .fds = n->fds, .n = n->n_fds, .procs = -1, .group = -1 };

        if (size == sizeof(s->request))
                handle_request(s, &q);
        nursery_close_fds(n);
        fd_close(q.procs);
        return size > 0;
}

/* --- life --- */

/* A line for each handler and, behind an empty one, what the module says of itself. */
static void list_handlers(const BroodModule *module, Buffer *to)
{
        for (const BroodHandler *h = module->handlers; h->name; h++)
                buffer_printf(to, "%s\n", h->name);
        if (module->about && module->about())
                buffer_printf(to, "\n%s", module->about());
}

/* In the child of try_module(). Some modules know their handlers only after `init`. */
__attribute__((noreturn)) static void tell_handlers(const Preparation *p, int to)
{
        AUTO(buffer_fini) Buffer names = BUFFER_INIT;
        const BroodModule *module;
        char error[1024];

        if (module_open(p, &module, error, sizeof(error)) < 0 ||
            (!module->handlers && module_init(p, module, error, sizeof(error)) < 0)) {
                dprintf(to, "!%s", error);
                _exit(1);
        }
        list_handlers(module, &names);
        dprintf(to, "%.*s", (int)buffer_len(&names), buffer_bytes(&names));
        _exit(0);
}

/* Lists the handlers of a module in a child, so that nothing of the module stays here. Returns its
 * wait status. */
static int try_module(const Preparation *p, Buffer *names)
{
        char text[4096];
        int ends[2], status;
        ssize_t n;
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) < 0)
                give_up("no pipe");
        pid = fork();
        if (pid == 0) {
                process_die_with_parent(getppid());
                tell_handlers(p, ends[1]);
        }
        fd_close(ends[1]);
        while (pid > 0 && (n = read(ends[0], text, sizeof(text))) > 0)
                buffer_append(names, text, (size_t)n);
        fd_close(ends[0]);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                give_up("no process to load the module in");
        return status;
}

/* Handlers of a module that workers load themselves. That somebody kills the process that looks
 * says nothing of the module. */
static void list_in_child(const Preparation *p, Buffer *names)
{
        int status = try_module(p, names);

        for (int i = 0; i < 5 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; i++) {
                buffer_clear(names, SIZE_MAX);
                status = try_module(p, names);
        }
        buffer_append_char(names, '\0');
        if (names->failed || buffer_len(names) == 1)
                give_up("the module ended the process that loaded it");
        if (buffer_bytes(names)[0] == '!')
                give_up(buffer_bytes(names) + 1);
}

static void load_here(ForkServer *s, Buffer *names)
{
        char error[1024];

        if (module_open(&s->preparation, &s->module, error, sizeof(error)) < 0 ||
            module_init(&s->preparation, s->module, error, sizeof(error)) < 0)
                give_up(error);
        list_handlers(s->module, names);
        buffer_append_char(names, '\0');
}

static void open_nursery(ForkServer *s)
{
        s->nursery = (Nursery){ .channel = FORKER_FD_CHANNEL,
                                .sentinel = FORKER_FD_SENTINEL,
                                .adopts = true,
                                .request = &s->request,
                                .request_size = sizeof(s->request),
                                .hear = hear,
                                .mourn = tell_end };
        if (nursery_init(&s->nursery) < 0)
                give_up("no eventfd");
}

/* Beside us; the new root may show /proc in another way. */
static void find_image(ForkServer *s)
{
        ssize_t n = readlink("/proc/self/exe", s->image, sizeof(s->image) - 16);
        char *slash;

        if (n < 0)
                give_up("/proc/self/exe can not be read");
        s->image[n] = '\0';
        slash = strrchr(s->image, '/');
        memcpy(slash + 1, "brood-worker", sizeof("brood-worker")); /* the room was kept */
}

/* What cannot be executed as that user is said now, and not by every worker. */
static void check_program(const ForkServer *s)
{
        const Preparation *p = &s->preparation;
        const char *program = p->command ? p->command[0] : p->spawn == 1 ? s->image : NULL;
        char error[5120];

        if (!program || access(program, X_OK) == 0)
                return;
        (void)snprintf(error, sizeof(error), "%s can not be executed%s%s%s: %s", program,
                       p->user ? " by User=" : "", p->user ? p->user : "",
                       p->root_directory ? " within RootDirectory=" : "", strerror(errno));
        give_up(error);
}

static void set_up(ForkServer *s)
{
        pid_t parent = getppid();
        const char *what;
        char error[512];
        int r;

        for (int fd = FORKER_FD_CHANNEL; fd < PROCESS_FIRST_FD + FORKER_FD_COUNT; fd++)
                (void)fd_cloexec(fd, true);
        process_die_with_parent(parent);
        r = cgroup_enter(FORKER_FD_CGROUP); /* here, where nobody waits for it */
        if (r < 0)
                fprintf(stderr, "<4>a fork server can not enter its cgroup: %s\n", strerror(-r));
        fd_close(FORKER_FD_CGROUP);
        if (sentinel_gone(FORKER_FD_SENTINEL))
                exit(1);
        find_image(s);
        r = preparation_read(&s->preparation, FORKER_FD_PREPARATION);
        if (r < 0 || !s->preparation.slots || s->preparation.slots > WORKER_MAX_SLOTS)
                give_up("the preparation data can not be read");
        (void)prctl(PR_SET_NAME, "brood-forksrv");
        s->journal = s->preparation.journal == 1 ? journal_open() : -1; /* before a chroot */
        if (s->preparation.journal == 1 && s->journal < 0)
                give_up("no socket for the journal");
        r = attributes_apply(&s->preparation, &what);
        if (r < 0) {
                (void)snprintf(error, sizeof(error), "%s%s can not be applied: %s", what,
                               strchr(what, '=') ? "" : "=", strerror(-r));
                give_up(error);
        }
        process_die_with_parent(parent); /* a change of user has cleared it */
        environ = s->preparation.environment; /* the supervisor's is not for modules */
        check_program(s);
        if (orphans_adopt() < 0)
                give_up("can not become a subreaper");
}

/* A module is code: one that is meant for a user is not run by root even to be looked at. */
static int become(char *ids)
{
        char *fields[64] = { NULL }, *rest = NULL;
        const char *what;
        Preparation p;
        size_t n = 0;

        preparation_init(&p);
        for (char *f = strtok_r(ids, ":", &rest); f && n + 1 < ELEMENTS(fields);
             f = strtok_r(NULL, ":", &rest))
                fields[n++] = f;
        if (n < 2 || parse_u64(fields[0], &p.uid) < 0 || parse_u64(fields[1], &p.gid) < 0)
                return -EINVAL;
        p.groups = fields + 2;
        return attributes_apply(&p, &what);
}

static int usage(void)
{
        fprintf(stderr, "usage: brood-forkserver --check [--as=UID:GID[:GROUP...]] "
                        "[--concurrency=MODEL[:HANDLER...]] [--stdin] MODULE [HANDLER...]\n");
        return 2;
}

/* The value of the option, and past it; NULL: the next word is another. */
static char *take_option(char ***words, const char *option)
{
        size_t n = strlen(option);
        char *word = **words;

        if (!word || strncmp(word, option, n) != 0)
                return NULL;
        (*words)++;
        return word + n;
}

enum { MOST_CHECKED = 256 };

/* MODEL:HANDLER:…, of the handlers that the pool will have; without any: of all. */
static void take_model(Preparation *p, char *text, char *handlers[static MOST_CHECKED])
{
        char *rest = NULL;
        size_t n = 0;

        p->concurrency = text ? strtok_r(text, ":", &rest) : NULL;
        while (p->concurrency && n + 1 < MOST_CHECKED &&
               (handlers[n] = strtok_r(NULL, ":", &rest)))
                n++;
}

/* After we have become the pool's user: an environment is more than words. */
static int take_stdin(Preparation *p)
{
        static json_t *given; /* for good: the environment is in it */
        json_t *one;
        size_t i;

        given = json_loadf(stdin, 0, NULL);
        p->settings = json_object_get(given, "settings");
        json_array_foreach(json_object_get(given, "environment"), i, one)
                if (json_is_string(one) && strchr(json_string_value(one), '='))
                        (void)putenv((char *)json_string_value(one));
        return given ? 0 : -EINVAL;
}

/* Those named on the command line are to be there; those of the model are to run by it. */
static int look_at(const BroodModule **module, Preparation *p, char **wanted, char **handlers,
                   char *error, size_t size)
{
        int r;

        p->handlers = wanted;
        r = module_find(p, module, error, size);
        if (r == 0 && !(*module)->handlers)
                r = module_init(p, *module, error, size);
        p->handlers = handlers;
        return r < 0 || !p->concurrency ? r : module_check_concurrency(p, *module, error, size);
}

/* What the code of others prints is no handler. Returns what was our stdout, or -errno. */
static int keep_stdout(void)
{
        AUTO(fd_close) int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        AUTO(fd_close) int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (out < 0 || nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0)
                return -errno;
        return MOVE_FD(out);
}

static int check_module(char **words)
{
        char error[1024] = "no place for its output", *handlers[MOST_CHECKED] = { NULL };
        char *ids, *model;
        const BroodModule *module;
        Preparation p;
        int out;

        if (!take_option(&words, "--check"))
                return usage();
        preparation_init(&p);
        p.slots = 1;
        ids = take_option(&words, "--as=");
        model = take_option(&words, "--concurrency=");
        if (!*words || (ids && become(ids) < 0) ||
            (take_option(&words, "--stdin") && take_stdin(&p) < 0) || !*words)
                return usage();
        take_model(&p, model, handlers);
        p.module = words[0];
        out = keep_stdout();
        if (out < 0 || look_at(&module, &p, words + 1, handlers, error, sizeof(error)) < 0) {
                fprintf(stderr, "%s\n", error);
                return 1;
        }
        for (const BroodHandler *h = module->handlers; h->name; h++)
                dprintf(out, "%s\n", h->name);
        return 0;
}

int main(int argc, char **argv)
{
        static ForkServer s;
        Buffer names = BUFFER_INIT;
        int left;

        if (argc > 1)
                return check_module(argv + 1);
        set_up(&s);
        if (s.preparation.command)
                buffer_append_char(&names, '\0');
        else if (s.preparation.spawn == 1)
                list_in_child(&s.preparation, &names);
        else
                load_here(&s, &names);
        if (buffer_len(&names) > FORKER_TEXT_MAX)
                give_up("the module has more handlers than their names have room (64 KB)");
        open_nursery(&s);
        (void)prctl(PR_SET_PDEATHSIG, 0);
        tell(&(ForkerEvent){ .kind = FORKER_READY }, buffer_bytes(&names), -1);
        buffer_fini(&names);
        nursery_serve(&s.nursery);
        left = orphans_end_all();
        nursery_fini(&s.nursery);
        return left ? 1 : 0; /* 1: the supervisor looks for them; the environment is in use */
}

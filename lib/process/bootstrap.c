/* SPDX-License-Identifier: MIT */

/* The child's side. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "process/child.h"
#include "process/start.h"

DEFINE_CLEANUP(json_t, json_decref);

static BroodChild self;
static BroodParent parent;
static bool fresh;  /* brood_process_init() was there */
static bool forked; /* stdio is in part our parent's */

const BroodChild *brood_process_self(void)
{
        return parent.name ? &self : NULL;
}

const BroodParent *brood_process_parent(void)
{
        return parent.name ? &parent : NULL;
}

/* --- the data --- */

int child_object_write(const ChildObject *o)
{
        AUTO(free) char *directory = getcwd(NULL, 0), *text = NULL;
        AUTO(json_decref) json_t *all =
                json_pack("{s:{s:s?,s:i,s:s},s:{s:s,s:s,s:O,s:b,s:i}}", "preparation", "directory",
                          directory, "parent_pid", (int)o->parent_pid, "parent_name",
                          o->parent_name, "process", "name", o->child.name, "target", o->target,
                          "args", o->child.args, "outlive", o->outlive, "fds",
                          (int)o->child.n_fds);

        if (!all)
                return -EINVAL; /* a text that is not UTF-8 */
        text = json_dumps(all, JSON_COMPACT);
        return text ? fd_from_bytes("brood-child", text, strlen(text)) : -ENOMEM;
}

static json_t *read_json(int fd)
{
        AUTO(free) char *text = NULL;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return NULL;
        text = malloc((size_t)st.st_size + 1);
        if (!text || pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
                return NULL;
        return json_loadb(text, (size_t)st.st_size, 0, NULL);
}

int child_object_read(ChildObject *o, int fd)
{
        int outlive, n_fds, pid;

        *o = (ChildObject){ .data = read_json(fd) };
        if (json_unpack(o->data, "{s:{s?s,s:i,s:s},s:{s:s,s:s,s:o,s:b,s:i}}", "preparation",
                        "directory", &o->directory, "parent_pid", &pid, "parent_name",
                        &o->parent_name, "process", "name", &o->child.name, "target", &o->target,
                        "args", &o->child.args, "outlive", &outlive, "fds", &n_fds) < 0)
                return -EBADMSG;
        o->parent_pid = (pid_t)pid;
        o->outlive = outlive;
        o->child.n_fds = (unsigned)n_fds;
        o->function = entry_find(o->target);
        return o->function ? 0 : -ENOENT;
}

/* --- steps --- */

/* Nobody types into a child (Python does the same). */
static void close_stdin(void)
{
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null <= STDIN_FILENO)
                return; /* it was closed, and is this now */
        (void)dup2(null, STDIN_FILENO);
        fd_close(null);
}

static void watch_parent(const ChildObject *o)
{
        if (o->outlive)
                return;
        if (sentinel_arm(o->sentinel) < 0)
                process_die_with_parent(getppid()); /* no /proc: the next best */
        if (sentinel_gone(o->sentinel))
                _exit(1);
}

static int run(const ChildObject *o)
{
        return o->function(&self);
}

bool child_can_be_fresh(void)
{
        return fresh;
}

void child_forget_output(void)
{
        forked = true;
        __fpurge(stdout);
        __fpurge(stderr);
}

/* Other streams of a fork may hold what its parent has yet to write, and their descriptors may be
 * other files by now. */
static void write_output(void)
{
        (void)fflush(forked ? stdout : NULL);
        (void)fflush(stderr);
}

int child_bootstrap(const ChildObject *o)
{
        int code;

        self = o->child;
        parent = (BroodParent){ o->parent_pid, o->parent_name, o->sentinel };
        watch_parent(o);
        close_stdin();
        code = run(o);
        children_finish();
        return code & 0xff;
}

void child_leave(int code)
{
        children_finish();
        write_output();
        _exit(code & 0xff);
}

/* --- fresh images --- */

/* Descriptors are CLOEXEC, for programs that this one starts. */
static void adopt_fds(ChildObject *o, int first)
{
        static int numbers[CHILD_MAX_FDS];

        for (unsigned i = 0; i < o->child.n_fds && i < CHILD_MAX_FDS; i++) {
                numbers[i] = first + (int)i;
                (void)fd_cloexec(numbers[i], true);
        }
        o->child.fds = numbers;
}

static void prepare(const ChildObject *o)
{
        if (o->directory && chdir(o->directory) < 0)
                return; /* it is where it is: that its parent's directory is gone is no fault of
                           its own */
        (void)prctl(PR_SET_NAME, o->child.name);
}

__attribute__((noreturn)) static void spawn_main(void)
{
        ChildObject o;
        int r;

        (void)fd_cloexec(CHILD_FD_SENTINEL, true);
        r = child_object_read(&o, CHILD_FD_DATA);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", CHILD_ARGUMENT,
                        r == -ENOENT ? "this program has no such target: is it entered with "
                                       "BROOD_ENTRY before brood_process_init()?"
                                     : strerror(-r));
                exit(1);
        }
        (void)close(CHILD_FD_DATA);
        o.sentinel = CHILD_FD_SENTINEL;
        adopt_fds(&o, CHILD_FD_FIRST);
        prepare(&o);
        exit(child_bootstrap(&o));
}

void brood_process_init(int argc, char **argv)
{
        fresh = true;
        if (argc == 2 && strcmp(argv[1], CHILD_ARGUMENT) == 0)
                spawn_main();
        if (argc == 2 && strcmp(argv[1], SERVER_ARGUMENT) == 0)
                server_main();
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* Child processes, as Python's multiprocessing.Process has them.
 *
 *     static int greet(BroodChild *child)
 *     {
 *             printf("hello %s\n", json_string_value(json_object_get(child->args, "name")));
 *             return 0;
 *     }
 *     BROOD_ENTRY(greet)
 *
 *     int main(int argc, char **argv)
 *     {
 *             BroodProcess *p;
 *
 *             brood_process_init(argc, argv);
 *             brood_process_start(&p, &(BroodProcessSpec){
 *                     .target = "greet", .args = json_pack("{ss}", "name", "bob") });
 *             brood_process_join(p, -1);
 *             return brood_process_free(p);
 *     }
 *
 * A child is started by one of three methods (Python: set_start_method):
 *
 *     BROOD_SPAWN       a fresh image of this program, which runs the target in
 *                       brood_process_init(); slow, clean, allowed in a program with threads
 *     BROOD_FORK        a copy of this process at this moment; fast; only the calling thread is
 *                       there
 *     BROOD_FORKSERVER  a copy of a small process which was a fresh image of this program when
 *                       the first child was wanted: fast and clean
 *
 * What a child gets is sent to it before it runs: preparation data and the process object (its
 * name, target, arguments), as in multiprocessing.spawn._main(); then bootstrap, run, exit code.
 *
 * A child never outlives its parent, however that ends, unless it asked to (`outlive`): the kernel
 * watches a descriptor of the child for it. (A target that closes descriptors which it does not
 * know, or becomes another program by exec, gives that up; another program that was started as
 * such is watched in another way.) It inherits no descriptor but those that are named.
 *
 * BROOD_FORK: what stands in stdio is the parent's to write; of the child, stdout and stderr are
 * written at its end, and files that it opened it closes itself. A fork that the program makes
 * itself has none of the children of this library: they are its siblings.
 *
 * Functions return 0 or a negative errno. Times are microseconds; a negative timeout means for
 * ever, 0 not to wait. A BroodProcess belongs to the process that started it, and to one thread at
 * a time, except where said otherwise. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct BroodProcess BroodProcess;

typedef enum BroodStartMethod {
        BROOD_SPAWN,
        BROOD_FORK,
        BROOD_FORKSERVER,
} BroodStartMethod;

/* What a target sees of itself. Everything is borrowed and lives as long as the child. */
typedef struct BroodChild {
        const char *name;
        const json_t *args; /* never NULL: {} if there were none */
        const int *fds;     /* the descriptors that were given along, in their order */
        unsigned n_fds;
        void *context;      /* BROOD_FORK: the pointer of the spec; else NULL */
} BroodChild;

/* Runs in the child; its value (its low eight bits) is the exit code. */
typedef int (*BroodTarget)(BroodChild *child);

typedef struct BroodProcessSpec {
        const char *name;        /* NULL: "Process-N" (Python: name=) */
        BroodStartMethod method;
        const char *target;      /* a BROOD_ENTRY of this program (Python: target=) */
        BroodTarget function;    /* instead, with BROOD_FORK: any function */
        void *context;           /* for it */
        const char *program;     /* instead, with BROOD_SPAWN: another program (a path), with … */
        char *const *argv;       /* … these arguments, ended by NULL; it gets the descriptors from
                                    3 on, and no preparation data */
        json_t *args;            /* an object; stolen, also on failure; NULL: {} (kwargs=) */
        const int *fds;          /* inherited; borrowed, and still yours after the start */
        unsigned n_fds;          /* up to 64 */
        bool daemon;             /* ended when this process ends (SIGTERM, SIGKILL after a second),
                                    and not waited for (daemon=) */
        bool outlive;            /* may live on when this process has died */
} BroodProcessSpec;

/* Makes a function startable by its name, in this program and its fresh images. */
#define BROOD_ENTRY(function_)                                                                     \
        __attribute__((constructor)) static void brood_entry_##function_(void)                     \
        {                                                                                          \
                brood_process_register(#function_, function_);                                     \
        }
void brood_process_register(const char *name, BroodTarget target);

/* The first line of main() of a program that uses BROOD_SPAWN or BROOD_FORKSERVER: in a fresh image
 * that is to be a child it runs the target and does not return (Python: freeze_support(), and what
 * `if __name__ == "__main__"` is for). */
void brood_process_init(int argc, char **argv);

/* Starts a child (Python: Process(…).start()). Returns 0, or -errno: -ENOENT there is no such
 * target or program; -EINVAL the spec makes no sense; -EBADF one of `fds` is none; -ENOTSUP a fresh
 * image of a program that has not called brood_process_init(), and would run main(); -ESHUTDOWN
 * this process is ending. Ended and not joined children are reaped on the way. */
int brood_process_start(BroodProcess **ret, const BroodProcessSpec *spec);

/* Waits for its end. 0, or -ETIMEDOUT; -ECHILD it is a child of the process that this one is a fork
 * of. Any number of times, and in several threads (Python: join()). */
int brood_process_join(BroodProcess *process, int64_t timeout_usec);

/* SIGTERM, SIGKILL, any signal. 0, also if it has ended already (Python: terminate(), kill()). */
int brood_process_terminate(BroodProcess *process);
int brood_process_kill(BroodProcess *process);
int brood_process_signal(BroodProcess *process, int signal);

/* Has it not ended yet? (Python: is_alive()) */
bool brood_process_is_alive(BroodProcess *process);

/* 0 with *ret: its exit code, or -N if signal N ended it, or 255 if nobody can know: the program
 * has reaped it itself, or the fork server was killed before it (as with Python's); -EAGAIN: it
 * runs (Python: exitcode). */
int brood_process_exit_code(BroodProcess *process, int *ret);

/* What it was started as; the name belongs to the BroodProcess (Python: pid, name, daemon). */
pid_t brood_process_pid(const BroodProcess *process);
const char *brood_process_name(const BroodProcess *process);
bool brood_process_daemon(const BroodProcess *process);

/* A descriptor that is readable when the child has ended, to be polled, never read; it belongs to
 * the BroodProcess (Python: sentinel). */
int brood_process_sentinel(const BroodProcess *process);

/* Waits until one or more of these descriptors (sentinels, connections …) are readable; *ret_ready
 * gets a bit for each of up to 64. Returns how many, 0 when the time is up, or -errno (Python:
 * multiprocessing.connection.wait). */
int brood_wait(const int *fds, unsigned n, int64_t timeout_usec, uint64_t *ret_ready);

/* Children of this process that have not been freed and are alive; fills in up to `n`, returns how
 * many there are (Python: active_children(), which joins the ended ones as this does). */
unsigned brood_process_children(BroodProcess **ret, unsigned n);

/* Gives it up. A child that runs is waited for, a daemon killed (Python: close(), but that refuses
 * a living one). Returns its exit code, as above. */
int brood_process_free(BroodProcess *process);

/* --- in the child (Python: current_process(), parent_process()) --- */

/* NULL in a process that is nobody's child by these functions. */
const BroodChild *brood_process_self(void);

typedef struct BroodParent {
        pid_t pid;
        const char *name; /* "MainProcess", or of its own BroodProcess */
        int sentinel;     /* readable when the parent has ended; borrowed */
} BroodParent;

/* NULL as above. */
const BroodParent *brood_process_parent(void);

/* CPUs that this process may use (Python: os.process_cpu_count()). */
unsigned brood_cpu_count(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

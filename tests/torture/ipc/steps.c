/* SPDX-License-Identifier: MIT */

/* A process is killed after each instruction of each operation of lib/ipc that changes the shared
 * memory, after its neighbours, and after a sample of the others: it runs one step at a time
 * (ptrace) and dies; each time this process looks at what it has left. A first walk finds out which
 * instructions these are.
 *
 *     ipc-steps [--sample=N] [--case=NAME]      N: of the others, so many (1000)
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <brood/queue.h>
#include <brood/semaphore.h>
#include <brood/shared.h>

#include "scene.h"

Stage *stage; /* there is none here */
char where[128];

typedef struct Case {
        const char *name;
        void (*begin)(void);   /* makes the objects; here */
        void (*prepare)(void); /* in the process, before the steps; may be NULL */
        void (*act)(void);     /* in the process: every instruction of this */
        void (*judge)(bool through);
        int (*fd)(void);       /* of the memory */
} Case;

/* --- semaphores --- */

static BroodSemaphore *semaphore;

static int semaphore_fd(void)
{
        return brood_semaphore_fd(semaphore);
}

static void lock_begin(void)
{
        CLAIM(brood_lock_new(&semaphore) == 0);
}

static void recursive_begin(void)
{
        CLAIM(brood_recursive_lock_new(&semaphore) == 0);
}

static void acquire(void)
{
        CLAIM(brood_semaphore_acquire(semaphore, 0) == 0);
}

static void release(void)
{
        CLAIM(brood_semaphore_release(semaphore) == 0);
}

static void acquire_and_release(void)
{
        acquire();
        release();
}

static void acquire_twice(void)
{
        acquire();
        acquire();
}

/* One unit is there: told of one death at the most, and then of none. */
static int judge_unit(void)
{
        int told = brood_semaphore_acquire(semaphore, LONG);

        CLAIM(told == 0 || told == BROOD_OWNER_DIED);
        CLAIM(brood_semaphore_value(semaphore) == 0);
        CLAIM(brood_semaphore_release(semaphore) == 0);
        CLAIM(brood_semaphore_release(semaphore) == -EPERM);
        CLAIM(brood_semaphore_value(semaphore) == 1);
        acquire_and_release();
        brood_semaphore_free(semaphore);
        return told;
}

static void judge_acquire(bool through)
{
        int told = judge_unit();

        CLAIM(!through || told);
}

static void judge_release(bool through)
{
        int told = judge_unit();

        CLAIM(!through || !told);
}

static void judge_orphan(bool through)
{
        CLAIM(judge_unit()); /* by whoever it came, nobody who lives knows of it */
}

static void run_and_kill(void (*body)(void))
{
        int pid = fork(), status;

        CLAIM(pid >= 0);
        if (pid == 0) {
                body();
                (void)kill(getpid(), SIGKILL);
        }
        CLAIM(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static void orphan_begin(void)
{
        lock_begin();
        run_and_kill(acquire);
}

static void acquire_orphan(void)
{
        CLAIM(brood_semaphore_acquire(semaphore, 0) == BROOD_OWNER_DIED);
}

static void others_begin(void)
{
        lock_begin();
        acquire();
}

static void judge_others(bool through)
{
        int value = brood_semaphore_value(semaphore);

        CLAIM(value == 1 || !through);
        if (!value)
                release();
        CLAIM(judge_unit() == 0);
}

static void forget(void)
{
        brood_semaphore_free(semaphore);
}

static void counting_begin(void)
{
        CLAIM(brood_semaphore_new(&semaphore, 0, 0) == 0);
}

static void judge_counting(bool through)
{
        int value = brood_semaphore_value(semaphore);

        CLAIM(value == 1 || (value == 0 && !through));
        for (int i = 0; i < value; i++)
                acquire();
        CLAIM(brood_semaphore_acquire(semaphore, 0) == -ETIMEDOUT);
        release();
        acquire_and_release();
        brood_semaphore_free(semaphore);
}

/* One of two units is another's: the process has a slot that was not the last to change. */
static void pair_begin(void)
{
        CLAIM(brood_semaphore_new(&semaphore, 2, 1) == 0);
        acquire();
}

static void judge_pair(bool through)
{
        int told = brood_semaphore_acquire(semaphore, LONG);

        CLAIM(told == BROOD_OWNER_DIED || (told == 0 && !through));
        CLAIM(brood_semaphore_acquire(semaphore, 0) == -ETIMEDOUT);
        release();
        release();
        CLAIM(brood_semaphore_release(semaphore) == -EPERM);
        CLAIM(brood_semaphore_value(semaphore) == 2);
        acquire_and_release();
        brood_semaphore_free(semaphore);
}

/* --- queues --- */

static BroodQueue *queue;

static int queue_fd(void)
{
        return brood_queue_fd(queue);
}

static void put(const char *text)
{
        CLAIM(brood_queue_put(queue, text, strlen(text), 0) == 0);
}

static void expect(const char *text)
{
        char found[16];
        size_t size = 0;

        CLAIM(brood_queue_get_into(queue, found, sizeof(found), &size, 0) == 0);
        CLAIM(size == strlen(text) && memcmp(found, text, size) == 0);
}

static void queue_begin(void)
{
        CLAIM(brood_queue_new(&queue, 3, 64) == 0);
        put("first");
}

static void queue_begin_with_two(void)
{
        queue_begin();
        put("second");
}

static void put_second(void)
{
        put("second");
}

static void get_first(void)
{
        expect("first");
}

static void get_and_done(void)
{
        expect("first");
        CLAIM(brood_queue_done(queue) == 0);
}

static void done(void)
{
        CLAIM(brood_queue_done(queue) == 0);
}

static void close_queue(void)
{
        brood_queue_close(queue);
}

static void judge_empty(unsigned got)
{
        CLAIM(brood_queue_size(queue) == 0);
        CLAIM(!got || brood_queue_join(queue, 0) == -ETIMEDOUT);
        while (got--)
                CLAIM(brood_queue_done(queue) == 0);
        CLAIM(brood_queue_join(queue, LONG) == 0);
        CLAIM(brood_queue_done(queue) == -EPERM);
        put("again");
        expect("again");
        brood_queue_free(queue);
}

static void judge_put(bool through)
{
        size_t n = brood_queue_size(queue);

        CLAIM(n == 2 || (n == 1 && !through));
        expect("first");
        if (n == 2)
                expect("second");
        judge_empty((unsigned)n);
}

static void judge_get(bool through)
{
        size_t n = brood_queue_size(queue);

        CLAIM(n == 1 || (n == 2 && !through));
        if (n == 2)
                expect("first");
        expect("second");
        judge_empty((unsigned)n);
}

static void judge_close(bool through)
{
        int r = brood_queue_put(queue, "x", 1, 0);

        CLAIM(r == -EPIPE || (r == 0 && !through));
        brood_queue_close(queue);
        CLAIM(brood_queue_put(queue, "x", 1, 0) == -EPIPE);
        expect("first");
        brood_queue_free(queue);
}

/* --- heaps --- */

enum { ARENA = 4096 };

static BroodHeap *heap;
static uint64_t blocks[4];

static int heap_fd(void)
{
        return brood_heap_fd(heap);
}

static void heap_begin(void)
{
        CLAIM(brood_heap_new(&heap, ARENA) == 0);
        for (int i = 0; i < 4; i++) {
                CLAIM(brood_heap_alloc(heap, 100, &blocks[i]) == 0);
                memset(brood_heap_at(heap, blocks[i]), i + 1, 100);
        }
}

static void take(void)
{
        uint64_t block;

        CLAIM(brood_heap_alloc(heap, 50, &block) == 0);
        memset(brood_heap_at(heap, block), 0xff, 50);
}

static void take_what_was_freed(void)
{
        CLAIM(brood_heap_release(heap, blocks[1]) == 0);
        take();
}

static void give_back(void)
{
        CLAIM(brood_heap_release(heap, blocks[1]) == 0);
}

static void free_both_neighbours(void)
{
        CLAIM(brood_heap_release(heap, blocks[0]) == 0);
        CLAIM(brood_heap_release(heap, blocks[2]) == 0);
        blocks[0] = blocks[2] = 0;
}

static void neighbours_begin(void)
{
        heap_begin();
        free_both_neighbours();
}

/* All blocks but the second are as they were; what is used beyond them is as much as this. */
static void judge_heap(size_t least, size_t most)
{
        size_t used, own = 0;

        for (int i = 0; i < 4; i++) {
                const unsigned char *at = brood_heap_at(heap, blocks[i]);

                if (i == 1 || !blocks[i])
                        continue;
                CLAIM(at);
                own += 128;
                for (int k = 0; k < 100; k++)
                        CLAIM(at[k] == i + 1);
        }
        used = brood_heap_used(heap);
        CLAIM(used >= own + least && used <= own + most);
        take();
        for (int i = 0; i < 4; i++)
                if (i != 1)
                        CLAIM(brood_heap_release(heap, blocks[i]) == 0);
        CLAIM(brood_heap_used(heap) == used - own + 80);
}

static void judge_take(bool through)
{
        judge_heap(128 + (through ? 80 : 0), 128 + 80);
        CLAIM(brood_heap_release(heap, blocks[1]) == 0);
        brood_heap_free(heap);
}

static void judge_give_back(bool through)
{
        bool there;

        (void)brood_heap_used(heap); /* the first in its lock repairs it */
        there = brood_heap_at(heap, blocks[1]);
        judge_heap(there ? 128 : 0, there ? 128 : 0);
        CLAIM(!through || !there);
        if (there)
                CLAIM(brood_heap_release(heap, blocks[1]) == 0);
        brood_heap_free(heap);
}

static void judge_take_what_was_freed(bool through)
{
        judge_heap(through ? 80 : 0, 128 + 80);
        brood_heap_free(heap);
}

static const Case cases[] = {
        { "acquire", lock_begin, NULL, acquire, judge_acquire, semaphore_fd },
        { "acquire-joined", lock_begin, acquire_and_release, acquire, judge_acquire, semaphore_fd },
        { "release", lock_begin, acquire, release, judge_release, semaphore_fd },
        { "acquire-beside", pair_begin, NULL, acquire, judge_pair, semaphore_fd },
        { "acquire-orphan", orphan_begin, NULL, acquire_orphan, judge_orphan, semaphore_fd },
        { "release-others", others_begin, NULL, release, judge_others, semaphore_fd },
        { "acquire-recursive", recursive_begin, acquire, acquire, judge_orphan, semaphore_fd },
        { "release-recursive", recursive_begin, acquire_twice, release,
          judge_orphan, semaphore_fd },
        { "release-counting", counting_begin, NULL, release, judge_counting, semaphore_fd },
        { "forget-held", lock_begin, acquire, forget, judge_orphan, semaphore_fd },
        { "put", queue_begin, NULL, put_second, judge_put, queue_fd },
        { "get", queue_begin_with_two, NULL, get_first, judge_get, queue_fd },
        { "get-and-done", queue_begin_with_two, NULL, get_and_done, judge_get, queue_fd },
        { "done", queue_begin_with_two, get_first, done, judge_get, queue_fd },
        { "close", queue_begin, NULL, close_queue, judge_close, queue_fd },
        { "alloc", heap_begin, NULL, take, judge_take, heap_fd },
        { "free", heap_begin, NULL, give_back, judge_give_back, heap_fd },
        { "free-between-free", neighbours_begin, NULL, give_back, judge_give_back, heap_fd },
        { "free-and-alloc", neighbours_begin, NULL, take_what_was_freed,
          judge_take_what_was_freed, heap_fd },
};

/* --- the steps --- */

enum { MOST_STEPS = 1 << 18 };

static int start(const Case *c)
{
        int pid = fork(), status;

        CLAIM(pid >= 0);
        if (pid == 0) {
                CLAIM(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
                if (c->prepare)
                        c->prepare();
                (void)raise(SIGSTOP);
                c->act();
                (void)raise(SIGSTOP); /* through */
                _exit(0);
        }
        CLAIM(waitpid(pid, &status, 0) == pid);
        CLAIM(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        CLAIM(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL) == 0);
        return pid;
}

/* Returns false if it got through before. */
static bool step(int pid, unsigned long n)
{
        int status;

        while (n--) {
                CLAIM(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
                CLAIM(waitpid(pid, &status, 0) == pid);
                CLAIM(WIFSTOPPED(status));
                if (WSTOPSIG(status) == SIGSTOP)
                        return false;
                CLAIM(WSTOPSIG(status) == SIGTRAP);
        }
        return true;
}

/* Instructions after which somebody is killed. */
typedef struct Plan {
        bool kill[MOST_STEPS];
        unsigned long n, changes; /* steps of all; of them, such as change the memory */
} Plan;

static void mark(Plan *plan, unsigned long at)
{
        for (unsigned long i = at ? at - 1 : 0; i <= at + 1 && i < MOST_STEPS; i++)
                plan->kill[i] = true;
}

static void kill_traced(int pid)
{
        int status;

        CLAIM(kill(pid, SIGKILL) == 0);
        CLAIM(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static void find_changes(const Case *c, Plan *plan)
{
        size_t size;
        char *memory, *before;
        int pid;

        c->begin();
        size = (size_t)lseek(c->fd(), 0, SEEK_END);
        memory = mmap(NULL, size, PROT_READ, MAP_SHARED, c->fd(), 0);
        before = malloc(size);
        CLAIM(memory != MAP_FAILED && before);
        pid = start(c);
        memcpy(before, memory, size);
        while (step(pid, 1)) {
                CLAIM(++plan->n < MOST_STEPS);
                if (memcmp(before, memory, size) == 0)
                        continue;
                memcpy(before, memory, size);
                plan->changes++;
                mark(plan, plan->n);
        }
        kill_traced(pid);
        (void)munmap(memory, size);
        free(before);
        c->judge(true);
}

static unsigned long run(const Case *c, unsigned long sample)
{
        static Plan plan;
        unsigned long deaths = 0;
        bool through = false;

        (void)snprintf(where, sizeof(where), "%s", c->name);
        find_changes(c, &plan); /* once for nothing: what is done once in a process */
        memset(&plan, 0, sizeof(plan));
        find_changes(c, &plan);
        for (unsigned long i = 0; i < sample; i++)
                plan.kill[plan.n * i / sample] = true;
        for (unsigned long n = 0; n < plan.n && !through; n++) {
                int pid;

                if (!plan.kill[n])
                        continue;
                (void)snprintf(where, sizeof(where), "%s, after %lu steps", c->name, n);
                c->begin();
                pid = start(c);
                through = !step(pid, n);
                kill_traced(pid);
                c->judge(through);
                deaths++;
        }
        printf("%-20s %6lu deaths; %lu steps, %lu of them change the memory\n", c->name, deaths,
               plan.n, plan.changes);
        (void)fflush(stdout);
        return deaths;
}

static bool has_ptrace(void)
{
        int pid = fork(), status;

        CLAIM(pid >= 0);
        if (pid == 0)
                _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
        unsigned long all = 0, sample = 1000;
        const char *only = NULL;

        for (int i = 1; i < argc; i++)
                if (strncmp(argv[i], "--sample=", 9) == 0) {
                        sample = strtoul(argv[i] + 9, NULL, 10);
                } else if (strncmp(argv[i], "--case=", 7) == 0) {
                        only = argv[i] + 7;
                } else {
                        fprintf(stderr, "usage: %s [--sample=N] [--case=NAME]\n", argv[0]);
                        return 2;
                }
        if (!has_ptrace()) {
                fprintf(stderr, "this process may not trace others\n");
                return 77; /* skipped */
        }
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
                if (!only || strcmp(only, cases[i].name) == 0)
                        all += run(&cases[i], sample);
        printf("%lu deaths, each after another instruction: nothing was half done\n", all);
        return all ? 0 : 2;
}

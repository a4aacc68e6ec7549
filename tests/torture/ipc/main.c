/* SPDX-License-Identifier: MIT */

/* Kills processes in the middle of what lib/ipc does, and looks whether anybody minds.
 *
 *     ipc-torture [--kills=N] [--seed=N] [--scene=NAME]
 *
 * The last line says how many were killed; the exit status is 1 if anything was not as it should
 * be. The same seed makes the same dice, but not the same moments. */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scene.h"

Stage *stage;
char where[128];

static const Scene *const scenes[] = { &semaphore_scene, &value_scene, &queue_scene, &heap_scene };

enum { SCENES = sizeof(scenes) / sizeof(*scenes) };

uint32_t dice(uint32_t *seed)
{
        *seed = *seed * 1664525 + 1013904223;
        return *seed >> 8;
}

static void *map(size_t size)
{
        void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CLAIM(at != MAP_FAILED);
        return at;
}

void *scene_memory(size_t size)
{
        static void *at;
        static size_t had;

        if (had != size) {
                if (at)
                        (void)munmap(at, had);
                at = map(size);
                had = size;
        }
        memset(at, 0, size);
        return at;
}

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void must_end(int pid, const char *who)
{
        double until = now() + 30;
        int status;

        for (;;) {
                int r = waitpid(pid, &status, WNOHANG);

                CLAIM(r >= 0);
                if (r == pid)
                        break;
                if (now() > until) {
                        fprintf(stderr, "%s: %s hangs, pid %d\n", where, who, pid);
                        (void)kill(pid, SIGABRT); /* a core, where they are kept */
                        _exit(1);
                }
                (void)usleep(500);
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status)) {
                fprintf(stderr, "%s: %s ended with status %#x\n", where, who, (unsigned)status);
                _exit(1);
        }
}

void kill_and_reap(int pid)
{
        int status;

        CLAIM(kill(pid, SIGKILL) == 0);
        CLAIM(waitpid(pid, &status, 0) == pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
                fprintf(stderr, "%s: a worker had ended, status %#x\n", where, (unsigned)status);
                _exit(1);
        }
}

static int start(const Scene *scene, unsigned seat, uint32_t seed)
{
        int pid = fork();

        CLAIM(pid >= 0);
        if (pid)
                return pid;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        scene->work(seat, seed);
        _exit(0);
}

/* One seat loses its worker and gets another. */
static void replace(const Scene *scene, unsigned seat, int *pid, uint32_t *seed)
{
        Seat *s = &stage->seats[seat];

        __atomic_store_n(&s->dying, 1, __ATOMIC_SEQ_CST);
        kill_and_reap(*pid);
        if (scene->mourn)
                scene->mourn(seat);
        set_phase(seat, IDLE);
        __atomic_store_n(&s->dying, 0, __ATOMIC_SEQ_CST);
        *pid = start(scene, seat, dice(seed));
}

static uint64_t turns(void)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < SEATS; i++)
                n += __atomic_load_n(&stage->seats[i].turns, __ATOMIC_RELAXED);
        return n;
}

/* Nobody is held up by the dead: work goes on. */
static void must_go_on(void)
{
        uint64_t before = turns();
        double until = now() + 30;

        while (turns() == before) {
                if (now() > until) {
                        fprintf(stderr, "%s: all of them hang\n", where);
                        _exit(1);
                }
                (void)usleep(200);
        }
}

static uint64_t round_of(const Scene *scene, uint32_t *seed)
{
        int pids[SEATS];
        uint64_t n;

        memset(stage, 0, sizeof(*stage));
        scene->begin();
        for (unsigned i = 0; i < scene->workers; i++)
                pids[i] = start(scene, i, dice(seed));
        for (int i = 0; i < KILLS_A_ROUND; i++) {
                unsigned seat = dice(seed) % scene->workers;

                (void)usleep(dice(seed) % (dice(seed) % 4 ? 800 : 4000));
                replace(scene, seat, &pids[seat], seed);
        }
        must_go_on();
        __atomic_store_n(&stage->stop, 1, __ATOMIC_RELEASE);
        for (unsigned i = 0; i < scene->workers; i++) {
                must_end(pids[i], scene->name);
                if (scene->last)
                        scene->last(i);
        }
        n = turns();
        scene->end();
        return n;
}

/* --- what is left --- */

static unsigned count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        CLAIM(d);
        while (readdir(d))
                n++;
        (void)closedir(d);
        return n;
}

static void no_memory_is_left(void)
{
        FILE *f = fopen("/proc/self/maps", "re");
        char line[512];

        CLAIM(f);
        while (fgets(line, sizeof(line), f))
                CLAIM(!strstr(line, "memfd:brood"));
        (void)fclose(f);
}

static long shmem_kib(void)
{
        FILE *f = fopen("/proc/meminfo", "re");
        char line[128];
        long kib = -1;

        CLAIM(f);
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "Shmem: %ld", &kib) == 1)
                        break;
        (void)fclose(f);
        return kib;
}

/* --- main --- */

typedef struct Options {
        unsigned long kills, seed;
        const char *scene; /* NULL: all */
} Options;

static Options parse(int argc, char **argv)
{
        Options o = { 300, (unsigned long)time(NULL), NULL };

        for (int i = 1; i < argc; i++) {
                if (strncmp(argv[i], "--kills=", 8) == 0) {
                        o.kills = strtoul(argv[i] + 8, NULL, 10);
                } else if (strncmp(argv[i], "--seed=", 7) == 0) {
                        o.seed = strtoul(argv[i] + 7, NULL, 10);
                } else if (strncmp(argv[i], "--scene=", 8) == 0) {
                        o.scene = argv[i] + 8;
                } else {
                        fprintf(stderr, "usage: %s [--kills=N] [--seed=N] [--scene=NAME]\n",
                                argv[0]);
                        exit(2);
                }
        }
        return o;
}

int main(int argc, char **argv)
{
        unsigned long killed[SCENES + 1] = { 0 }, all = 0;
        uint64_t done[SCENES] = { 0 };
        Options o = parse(argc, argv);
        uint32_t seed = (uint32_t)o.seed;
        long shmem = shmem_kib();
        unsigned fds = count_fds();
        double began = now();
        bool any = false;

        stage = map(sizeof(*stage));
        for (unsigned round = 0; all < o.kills; round++) {
                unsigned which = round % (SCENES + 1);
                const char *name = which < SCENES ? scenes[which]->name : "connection";
                unsigned long n = KILLS_A_ROUND;

                if (!o.scene || strcmp(o.scene, name) == 0) {
                        any = true;
                        (void)snprintf(where, sizeof(where), "%s, --seed=%lu, round %u", name,
                                       o.seed, round);
                        if (which < SCENES)
                                done[which] += round_of(scenes[which], &seed);
                        else
                                n = connection_round(&seed);
                        killed[which] += n;
                        all += n;
                        CLAIM(count_fds() == fds);
                        no_memory_is_left();
                } else if (round > SCENES && !any) {
                        fprintf(stderr, "there is no scene '%s'\n", o.scene);
                        return 2;
                }
        }
        for (unsigned i = 0; i < SCENES; i++)
                printf("%-12s %6lu killed in %llu turns\n", scenes[i]->name, killed[i],
                       (unsigned long long)done[i]);
        printf("%-12s %6lu killed\n", "connection", killed[SCENES]);
        printf("shared memory of the machine: %+ld KiB\n", shmem_kib() - shmem);
        printf("%lu killed, --seed=%lu, %.1f s: nobody hung, all counts are right\n", all, o.seed,
               now() - began);
        return 0;
}

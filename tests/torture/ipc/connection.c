/* SPDX-License-Identifier: MIT */

/* One sends, one receives; one of them is killed, and the other has to notice: every message that
 * was sent whole arrives whole, a torn one is told as that, and none is held up. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include <brood/connection.h>

#include "scene.h"

enum { LARGE = 300000 };

/* Shared. */
typedef struct Talk {
        uint64_t sent, received;
} Talk;

static Talk *talk;
static unsigned char bytes[LARGE];

/* The n-th message follows from its number. */
static size_t size_of(uint64_t n)
{
        uint32_t seed = (uint32_t)n * 2654435761u;
        uint32_t kind = dice(&seed) % 8;

        return kind == 0 ? 0 : dice(&seed) % (kind < 6 ? 1000 : LARGE);
}

static void send_for_ever(BroodConnection *c)
{
        int fds[2] = { open("/dev/null", O_RDONLY | O_CLOEXEC), STDERR_FILENO }, r;

        for (uint64_t n = 0;; n++) {
                size_t size = size_of(n);

                memset(bytes, (int)(n & 0xff), size);
                if (n % 5 == 0)
                        r = brood_send_fds(c, fds, 1 + n % 2, bytes, size);
                else
                        r = brood_send(c, bytes, size);
                if (r == -EPIPE)
                        return;
                CLAIM(r == 0);
                __atomic_store_n(&talk->sent, n + 1, __ATOMIC_SEQ_CST);
        }
}

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

static int receive_one(BroodConnection *c, uint64_t n)
{
        unsigned n_fds = 16, expected = n % 5 ? 0 : 1 + n % 2;
        void *found = NULL;
        size_t size = 0;
        int fds[16];
        int r = brood_receive_fds(c, fds, &n_fds, &found, &size);

        if (r < 0)
                return r;
        CLAIM(n_fds == expected && size == size_of(n));
        for (size_t i = 0; i < size; i++)
                CLAIM(((unsigned char *)found)[i] == (n & 0xff));
        free(found);
        while (n_fds)
                CLAIM(close(fds[--n_fds]) == 0);
        return 0;
}

static void receive_for_ever(BroodConnection *c)
{
        unsigned fds = count_fds();
        uint64_t n = 0;
        int r;

        while ((r = receive_one(c, n)) == 0)
                __atomic_store_n(&talk->received, ++n, __ATOMIC_SEQ_CST);
        CLAIM(r == -ECONNRESET || r == -EPROTO);
        CLAIM(count_fds() == fds);
        CLAIM(brood_receive_into(c, NULL, 0, NULL) == r);
}

static int start(BroodConnection *mine, BroodConnection *other, void (*body)(BroodConnection *c))
{
        int pid = fork();

        CLAIM(pid >= 0);
        if (pid)
                return pid;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        brood_connection_free(other);
        body(mine);
        _exit(0);
}

static void one_death(uint32_t *seed)
{
        BroodConnection *receiver, *sender;
        bool the_sender = dice(seed) % 2;
        int pids[2];

        memset(talk, 0, sizeof(*talk));
        CLAIM(brood_pipe(&receiver, &sender, (int)(dice(seed) % 2)) == 0);
        pids[0] = start(receiver, sender, receive_for_ever);
        pids[1] = start(sender, receiver, send_for_ever);
        brood_connection_free(receiver);
        brood_connection_free(sender);
        (void)usleep(dice(seed) % 3000);
        kill_and_reap(pids[the_sender]);
        must_end(pids[!the_sender], "the other end");
        if (the_sender)
                CLAIM(talk->received >= talk->sent && talk->received <= talk->sent + 1);
}

unsigned connection_round(uint32_t *seed)
{
        talk = scene_memory(4096);
        for (int i = 0; i < KILLS_A_ROUND; i++)
                one_death(seed);
        return KILLS_A_ROUND;
}

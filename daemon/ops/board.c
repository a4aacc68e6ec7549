/* SPDX-License-Identifier: MIT */

#include "ops/board.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"

/* --- pages that are not to be had --- */

/* A signal has no other way to know. */
static char *mapped;
static volatile sig_atomic_t lost;

/* A page of the file is not there: memory of our own takes the place of all of it. Any other fault
 * is one, and comes again with the default action. */
static void on_fault(int number, siginfo_t *info, void *context)
{
        const char *at = info->si_addr;

        if (mapped && at >= mapped && at < mapped + sizeof(BoardLayout) &&
            mmap(mapped, sizeof(BoardLayout), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED)
                lost = 1;
        else
                (void)signal(SIGBUS, SIG_DFL);
}

static void watch_faults(void *map)
{
        struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

        mapped = map;
        lost = 0;
        (void)sigaction(SIGBUS, &action, NULL); /* it cannot fail */
}

/* --- the file --- */

static void *map_nowhere(void)
{
        void *map = mmap(NULL, sizeof(BoardLayout), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        return map == MAP_FAILED ? NULL : map;
}

/* It shows up with its name when it can be read. */
static int make_file(Board *b, const char *socket)
{
        static const char fresh[] = "." BOARD_FILE ".new";
        AUTO(fd_close) int fd = -1;
        void *map;
        int r;

        (void)unlinkat(b->directory, fresh, 0); /* of a start that did not get further */
        fd = openat(b->directory, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd < 0 || fchmod(fd, 0640) < 0 || ftruncate(fd, sizeof(BoardLayout)) < 0)
                return -errno;
        map = mmap(NULL, sizeof(BoardLayout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        watch_faults(map);
        b->map = map;
        b->fd = MOVE_FD(fd);
        r = renameat(b->directory, fresh, b->directory, BOARD_FILE) < 0 ? -errno : 0;
        return r;
}

static void write_head(BoardHead *h, const char *socket)
{
        board_begin(&h->seq);
        h->version = BOARD_VERSION;
        h->pid = (uint32_t)getpid();
        (void)snprintf(h->program, sizeof(h->program), "%s", BROOD_VERSION);
        (void)snprintf(h->socket, sizeof(h->socket), "%s", socket ? socket : "");
        (void)snprintf(h->state, sizeof(h->state), "starting");
        h->offset = clock_steady() - clock_monotonic();
        h->started = h->written = clock_steady();
        board_end(&h->seq);
        memcpy(h->magic, BOARD_MAGIC, sizeof(BOARD_MAGIC)); /* last: now it is one */
}

int board_open(Board *b, int directory, const char *socket)
{
        int r;

        *b = (Board){ .directory = directory, .fd = -1 };
        b->free_slots = calloc(BOARD_MAX_SLOTS, sizeof(*b->free_slots));
        r = make_file(b, socket);
        if (!b->map)
                b->map = map_nowhere();
        if (!b->map || !b->free_slots)
                return -ENOMEM;
        write_head(&b->map->head, socket);
        return r;
}

static void remove_file(Board *b)
{
        if (b->fd >= 0)
                (void)unlinkat(b->directory, BOARD_FILE, 0); /* somebody may have done it */
        b->fd = fd_close(b->fd);
}

bool board_is_lost(Board *b)
{
        bool is = lost;

        lost = 0;
        if (is)
                remove_file(b);
        return is;
}

void board_close(Board *b)
{
        if (!b->free_slots)
                return; /* it was never opened */
        remove_file(b);
        if (b->map)
                (void)munmap(b->map, sizeof(BoardLayout));
        mapped = NULL;
        free(b->free_slots);
        b->map = NULL;
        b->free_slots = NULL;
}

/* --- slots --- */

BoardSlot *board_take_slot(Board *b)
{
        BoardHead *h = &b->map->head;
        uint32_t at = b->n_free ? b->free_slots[--b->n_free] : h->n_slots;

        if (at >= BOARD_MAX_SLOTS) {
                h->n_left_out++;
                return NULL;
        }
        if (at == h->n_slots)
                __atomic_store_n(&h->n_slots, at + 1, __ATOMIC_RELEASE);
        return &b->map->slots[at];
}

void board_give_slot(Board *b, BoardSlot *slot)
{
        if (!slot) {
                b->map->head.n_left_out--;
                return;
        }
        board_begin(&slot->seq);
        slot->in_use = 0;
        board_end(&slot->seq);
        b->free_slots[b->n_free++] = (uint32_t)(slot - b->map->slots);
}

/* SPDX-License-Identifier: MIT */

/* One worker, from its birth to its burial. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "pool/block.h"
#include "pool/inside.h"
#include "process/exit.h"

enum {
        READ_AT_ONCE = 256 * 1024,
        BAD_STARTS = 10, /* in a row: there is no use in more */
        BAD_DEATHS = 50, /* the same, where it may be that somebody kills them */
        FAREWELL = 30 * 1000 * 1000, /* µs for what a worker does at its end */
};

static const char entry[] = "brood_pool_worker";

__attribute__((constructor)) static void enter(void)
{
        brood_process_register(entry, pool_worker);
}

/* --- birth --- */

static int make_page(Hand *h)
{
        AUTO(fd_close) int fd = fd_own(memfd_create("brood-pool", MFD_CLOEXEC));
        void *at;

        if (fd < 0 || ftruncate(fd, sizeof(WirePage)) < 0)
                return -errno;
        at = mmap(NULL, sizeof(WirePage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
                return -errno;
        (void)madvise(at, sizeof(WirePage), MADV_DONTFORK); /* the next worker has its own */
        h->page = at;
        return MOVE_FD(fd);
}

static void hand_free(Hand *h)
{
        list_remove(&h->link);
        fd_close(h->fd);
        if (h->page)
                (void)munmap(h->page, sizeof(*h->page));
        buffer_fini(&h->in);
        buffer_fini(&h->out);
        free(h);
}

DEFINE_CLEANUP(Hand, hand_free);

static int watch(BroodPool *pool, Hand *h)
{
        struct epoll_event talk = { .events = EPOLLIN, .data.u64 = (uintptr_t)h };
        struct epoll_event end = { .events = EPOLLIN, .data.u64 = (uintptr_t)h | HAND_ENDED };

        (void)fd_nonblock(h->fd, true);
        if (epoll_ctl(pool->epoll, EPOLL_CTL_ADD, h->fd, &talk) < 0 ||
            epoll_ctl(pool->epoll, EPOLL_CTL_ADD, brood_process_sentinel(h->process), &end) < 0)
                return -errno;
        return 0;
}

/* Closing is not enough: a fork that has not come to close its copies keeps them awake. */
static void unwatch(const BroodPool *pool, const Hand *h)
{
        (void)epoll_ctl(pool->epoll, EPOLL_CTL_DEL, h->fd, NULL);
        (void)epoll_ctl(pool->epoll, EPOLL_CTL_DEL, brood_process_sentinel(h->process), NULL);
}

int hand_start(BroodPool *pool)
{
        AUTO(hand_free) Hand *h = calloc(1, sizeof(*h));
        AUTO(fd_close) int theirs = -1;
        AUTO(fd_close) int page = -1;
        WireHello hello = { pool->initializer, pool->initial.size };
        int ends[2], fds[2], r;

        if (!h)
                return -ENOMEM;
        list_init(&h->link);
        h->fd = -1;
        page = make_page(h);
        if (page < 0)
                return page;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        h->fd = fd_own(ends[0]);
        theirs = fds[0] = fd_own(ends[1]);
        fds[1] = page;
        r = brood_process_start(&h->process,
                                &(BroodProcessSpec){ .method = pool->method, .fds = fds,
                                                     .n_fds = 2, .daemon = true,
                                                     .target = entry });
        if (r < 0)
                return r;
        buffer_append(&h->out, &hello, sizeof(hello));
        buffer_append(&h->out, pool->initial.data, pool->initial.size);
        r = watch(pool, h);
        if (r < 0 || h->out.failed) {
                unwatch(pool, h);
                (void)brood_process_free(h->process);
                return r < 0 ? r : -ENOMEM;
        }
        list_append(&pool->hands, &h->link);
        hand_send(pool, h);
        h = NULL;
        return 0;
}

/* --- talk --- */

static void want_out(BroodPool *pool, Hand *h, bool wanted)
{
        struct epoll_event e = { .events = EPOLLIN | (wanted ? EPOLLOUT : 0),
                                 .data.u64 = (uintptr_t)h };

        if (h->wants_out == wanted)
                return;
        h->wants_out = wanted;
        (void)epoll_ctl(pool->epoll, EPOLL_CTL_MOD, h->fd, &e);
}

/* To one that leaves and has done all: it reads the end, and goes. */
static void say_goodbye(Hand *h)
{
        if (!h->leaving || h->n_line || buffer_len(&h->out) || h->gone_by)
                return;
        (void)shutdown(h->fd, SHUT_WR);
        h->gone_by = clock_monotonic() + FAREWELL;
}

void hand_send(BroodPool *pool, Hand *h)
{
        while (buffer_len(&h->out)) {
                ssize_t n = send(h->fd, buffer_bytes(&h->out), buffer_len(&h->out),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        break; /* it takes no more now; that it is dead is seen elsewhere */
                buffer_consume(&h->out, (size_t)n);
        }
        want_out(pool, h, buffer_len(&h->out) > 0);
        if (!buffer_len(&h->out))
                buffer_clear(&h->out, list_empty(&pool->chunks) ? READ_AT_ONCE : SIZE_MAX);
        say_goodbye(h);
}

/* The bytes of a chunk on the wire, or SIZE_MAX. */
static size_t length(const Chunk *c)
{
        size_t all = sizeof(WireChunk) + c->n * sizeof(uint64_t);

        for (size_t i = 0; i < c->n; i++)
                if (__builtin_add_overflow(all, c->batch->inputs[c->first + i].size, &all))
                        return SIZE_MAX;
        return all;
}

bool hand_give(Hand *h, Chunk *c, usec_t now)
{
        WireChunk head = { c->batch->function, c->n };

        if (!buffer_reserve(&h->out, length(c))) {
                h->out.failed = false; /* what was in it is still there */
                return false;
        }
        buffer_append(&h->out, &head, sizeof(head));
        for (size_t i = 0; i < c->n; i++) {
                const BroodBytes *input = &c->batch->inputs[c->first + i];
                uint64_t size = input->size;

                buffer_append(&h->out, &size, sizeof(size));
                buffer_append(&h->out, input->data, input->size);
        }
        if (!h->n_line)
                h->since = now;
        h->line[(h->first + h->n_line++) % HAND_LINE] = c;
        h->given += c->n;
        return true;
}

void hand_leave(Hand *h)
{
        h->leaving = true;
        say_goodbye(h);
}

/* --- results --- */

static char *copy(const char *bytes, size_t n)
{
        char *to = malloc(n + 1);

        if (!to)
                return NULL;
        if (n)
                memcpy(to, bytes, n);
        to[n] = '\0';
        return to;
}

static void end_chunk(Hand *h, usec_t now)
{
        Chunk *c = h->line[h->first];

        c->batch->chunk_usec = (c->batch->chunk_usec + MAX(now - h->since, 1u) + 1) / 2;
        h->first = (h->first + 1) % HAND_LINE;
        h->n_line--;
        h->at = 0;
        h->since = now;
        free(c);
}

/* A task has ended so, with bytes that are in a block, or a message. */
static void note_result(Hand *h, BroodResult *result, usec_t now)
{
        Chunk *c = h->line[h->first];
        Batch *b;
        size_t task;

        if (!h->n_line) { /* it tells of more than it was given */
                brood_result_clear(result);
                return;
        }
        b = c->batch;
        task = c->first + h->at;
        c->deaths = 0;
        h->results++;
        if (++h->at == c->n)
                end_chunk(h, now);
        batch_note(b, task, result);
}

static void note_bad_start(BroodPool *pool, unsigned limit, const char *why, size_t n)
{
        if (++pool->bad_starts >= limit)
                foreman_break(pool, "the workers of the pool do not start: %.*s",
                              (int)MIN(n, (size_t)1000), why);
}

static void note_start(BroodPool *pool, Hand *h, const WireResult *head, const char *bytes)
{
        if (head->state == WIRE_READY) {
                h->ready = true;
                pool->bad_starts = 0;
                return;
        }
        h->leaving = true;
        note_bad_start(pool, BAD_STARTS, bytes, (size_t)head->size);
}

/* What of the bytes is complete: returns how many they are, and how much room its results need. */
static size_t find_complete(const char *bytes, size_t n, size_t *ret_results, size_t *ret_room)
{
        size_t at = 0;
        WireResult head;

        *ret_results = *ret_room = 0;
        while (n - at >= sizeof(head)) {
                memcpy(&head, bytes + at, sizeof(head));
                if (n - at - sizeof(head) < head.size)
                        break;
                at += sizeof(head) + (size_t)head.size;
                if (head.state != BROOD_TASK_OK)
                        continue;
                ++*ret_results;
                *ret_room += block_room((size_t)head.size);
        }
        return at;
}

/* Its bytes go to the block; NULL: there is no memory for one. */
static void read_one(BroodPool *pool, Hand *h, const WireResult *head, const char *bytes,
                     Block *block, usec_t now)
{
        BroodResult result = { .state = BROOD_TASK_FAILED };

        if (head->state >= WIRE_READY) {
                note_start(pool, h, head, bytes);
                return;
        }
        if (head->state != BROOD_TASK_OK)
                result.message = copy(bytes, (size_t)head->size);
        else if (block)
                result = block_put(block, bytes, (size_t)head->size);
        note_result(h, &result, now);
}

/* All that is complete. */
static void read_results(BroodPool *pool, Hand *h, usec_t now)
{
        const char *from = buffer_bytes(&h->in);
        size_t n, room, all = find_complete(from, buffer_len(&h->in), &n, &room);
        Block *block = n ? block_new(n, room) : NULL;
        WireResult head;

        for (size_t at = 0; at < all; at += sizeof(head) + (size_t)head.size) {
                memcpy(&head, from + at, sizeof(head));
                read_one(pool, h, &head, from + at + sizeof(head), block, now);
        }
        buffer_consume(&h->in, all);
}

/* Returns false at the end. */
static bool receive_some(Hand *h)
{
        for (;;) {
                char *to = buffer_reserve(&h->in, READ_AT_ONCE);
                ssize_t n = to ? recv(h->fd, to, READ_AT_ONCE, MSG_DONTWAIT) : 0;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return true;
                if (n <= 0)
                        return false;
                h->in.end += (size_t)n;
                h->received += (uint64_t)n;
                if ((size_t)n < READ_AT_ONCE)
                        return true;
        }
}

bool hand_talk(BroodPool *pool, Hand *h, usec_t now)
{
        bool lives = receive_some(h);

        read_results(pool, h, now);
        if (lives)
                hand_send(pool, h);
        return lives;
}

/* --- death --- */

/* What it had finished and not sent stands in its page. */
static void salvage(Hand *h)
{
        const WirePage *p = h->page;
        uint64_t from = MAX(h->received, p->base);

        if (from < p->filled && p->filled - p->base <= WIRE_PAGE)
                buffer_append(&h->in, p->buffer + (from - p->base), (size_t)(p->filled - from));
}

static BroodResult killed(const BroodPool *pool, int code)
{
        BroodResult r = { .state = BROOD_TASK_KILLED };
        int n;

        if (pool->terminating)
                return (BroodResult){ BROOD_TASK_CANCELLED, .message = strdup(pool_terminated) };
        n = code < 0 ? asprintf(&r.message, "its worker was killed by SIG%s", signal_name(-code))
                     : asprintf(&r.message, "its worker ended with status %d", code);
        if (n < 0)
                r.message = NULL;
        return r;
}

/* The first of the chunk was at work: it runs again, alone, or was hit. */
static void hit(BroodPool *pool, Chunk *c, int code)
{
        Batch *b = c->batch;
        BroodResult result;
        size_t task = c->first;

        if (c->deaths < pool->retries) {
                Chunk *again = calloc(1, sizeof(*again));

                if (again) {
                        *again = (Chunk){ .batch = b, .first = task, .n = 1,
                                          .deaths = c->deaths + 1 };
                        list_init(&again->link);
                        c->first++;
                        c->n--;
                        c->deaths = 0;
                        chunk_return(pool, again);
                        return;
                }
        }
        c->first++;
        c->n--;
        c->deaths = 0;
        result = killed(pool, code);
        batch_note(b, task, &result);
}

static void give_back(BroodPool *pool, Hand *h, int code)
{
        bool at_work = __atomic_load_n(&h->page->begun, __ATOMIC_ACQUIRE) > h->results;
        Chunk *first = h->n_line ? h->line[h->first] : NULL;

        while (h->n_line > 1)
                chunk_return(pool, h->line[(h->first + --h->n_line) % HAND_LINE]);
        h->n_line = 0;
        if (!first)
                return;
        first->first += h->at;
        first->n -= h->at;
        if (first->n > (size_t)at_work)
                chunk_return(pool, first);
        if (at_work)
                hit(pool, first, code);
        if (!first->n) {
                list_remove(&first->link);
                free(first);
        }
}

/* It died before it could do anything, and not because it was told to. */
static void bury_unready(BroodPool *pool, int code, usec_t now)
{
        char words[64];

        if (code < 0)
                (void)snprintf(words, sizeof(words), "they are killed by SIG%s",
                               signal_name(-code));
        else
                (void)snprintf(words, sizeof(words), "they end with status %d", code);
        pool->start_after = now + 10 * USEC_PER_MSEC;
        note_bad_start(pool, BAD_DEATHS, words, strlen(words));
}

/* Callbacks run in between, without the lock: from the start it is no more in the pool's list. */
void hand_bury(BroodPool *pool, Hand *h, usec_t now)
{
        int code;

        list_remove(&h->link);
        if (!h->closed)
                (void)receive_some(h);
        salvage(h);
        read_results(pool, h, now);
        unwatch(pool, h);
        code = brood_process_free(h->process);
        if (!h->ready && !h->leaving && !pool->terminating)
                bury_unready(pool, code, now);
        give_back(pool, h, code);
        hand_free(h);
}

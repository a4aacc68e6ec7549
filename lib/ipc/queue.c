/* SPDX-License-Identifier: MIT */

/* A ring of bytes. Where it begins and ends, and how much has gone through it, stands in one of two
 * states; the other is made new, and the store that flips them is the moment at which an element is
 * in the queue, or out of it. So a process that is killed anywhere has done all of it or nothing.
 *
 * What a member has got is counted by setting its number to the one that the state names: a repair
 * can do that again. */

#include <brood/queue.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "ipc/attempt.h"

enum { QUEUE_KIND = 0x71756575 /* "queu" */, RECORD_HEAD = 8, DEFAULT_BYTES = 1024 * 1024 };

typedef struct QueueState {
        uint64_t head, tail; /* bytes that have left, and have come */
        uint64_t puts, gets;
        uint32_t getter;     /* who got the last one … */
        uint64_t getter_got; /* … and how many it has got with it */
} QueueState;

typedef struct SharedQueue {
        MemberTable members;
        Waiting not_empty, not_full, all_done;
        uint64_t max_elements, max_bytes;
        uint32_t closed;
        uint32_t which; /* state */
        QueueState states[2];
        uint64_t looked; /* when somebody last looked for dead members */
        uint64_t got[MEMBERS_MAX], done[MEMBERS_MAX];
        char ring[];
} SharedQueue;

struct BroodQueue {
        Members members;
};

static SharedQueue *shared_of(const Members *m)
{
        return (SharedQueue *)(void *)m->table;
}

static const QueueState *state_of(const SharedQueue *q)
{
        return &q->states[__atomic_load_n(&q->which, __ATOMIC_ACQUIRE) & 1];
}

static void flip(SharedQueue *q, const QueueState *next)
{
        uint32_t which = !(q->which & 1);

        q->states[which] = *next;
        __atomic_store_n(&q->which, which, __ATOMIC_RELEASE);
}

/* --- deaths --- */

static void note_get(SharedQueue *q)
{
        const QueueState *s = state_of(q);

        q->got[s->getter] = s->getter_got;
}

static void repair(Members *m)
{
        note_get(shared_of(m));
}

static void bury(Members *m, unsigned slot)
{
        SharedQueue *q = shared_of(m);

        if (q->done[slot] == q->got[slot])
                return;
        q->done[slot] = q->got[slot]; /* nobody else will say that they are done */
        waiting_wake(&q->all_done, INT_MAX);
}

/* --- life --- */

static BroodQueue *allocate(void)
{
        BroodQueue *q = calloc(1, sizeof(*q));

        if (!q)
                return NULL;
        q->members.repair = repair;
        q->members.bury = bury;
        return q;
}

static uint64_t round_up(uint64_t n)
{
        return (n + 7) & ~7ULL;
}

int brood_queue_new(BroodQueue **ret, size_t max_elements, size_t max_bytes)
{
        uint64_t bytes = round_up(max_bytes ? max_bytes : DEFAULT_BYTES);
        BroodQueue *queue;
        SharedQueue *q;
        int r;

        if (max_bytes > SIZE_MAX / 4)
                return -EINVAL;
        queue = allocate();
        if (!queue)
                return -ENOMEM;
        r = members_new(&queue->members, "brood-queue", sizeof(SharedQueue) + bytes);
        if (r < 0) {
                free(queue);
                return r;
        }
        q = shared_of(&queue->members);
        q->max_elements = max_elements ? max_elements : UINT64_MAX;
        q->max_bytes = bytes;
        members_complete(&queue->members, QUEUE_KIND);
        *ret = queue;
        return 0;
}

/* What the memory says of itself has to fit it: who made it may have been another program. */
static bool makes_sense(const BroodQueue *queue)
{
        const SharedQueue *q = shared_of(&queue->members);
        const QueueState *s = state_of(q);

        return q->max_bytes && q->max_bytes % 8 == 0 &&
               q->max_bytes <= queue->members.size - sizeof(SharedQueue) &&
               s->tail - s->head <= q->max_bytes && s->tail % 8 == 0 && s->head % 8 == 0 &&
               q->states[0].getter < MEMBERS_MAX && q->states[1].getter < MEMBERS_MAX;
}

int brood_queue_open(BroodQueue **ret, int fd)
{
        AUTO(free) BroodQueue *queue = allocate();
        bool good;
        int r;

        if (!queue) {
                fd_close(fd);
                return -ENOMEM;
        }
        r = members_open(&queue->members, fd, QUEUE_KIND, sizeof(SharedQueue));
        if (r < 0)
                return r;
        members_lock(&queue->members);
        good = makes_sense(queue);
        members_unlock(&queue->members);
        if (!good) {
                members_fini(&queue->members);
                return -EBADMSG;
        }
        *ret = MOVE_PTR(queue);
        return 0;
}

int brood_queue_fd(const BroodQueue *queue)
{
        return queue->members.fd;
}

size_t brood_queue_size(BroodQueue *queue)
{
        const QueueState *s;
        size_t n;

        members_lock(&queue->members);
        s = state_of(shared_of(&queue->members));
        n = (size_t)(s->puts - s->gets);
        members_unlock(&queue->members);
        return n;
}

void brood_queue_free(BroodQueue *queue)
{
        if (!queue)
                return;
        members_fini(&queue->members);
        free(queue);
}

void brood_queue_close(BroodQueue *queue)
{
        SharedQueue *q = shared_of(&queue->members);

        members_lock(&queue->members);
        q->closed = 1;
        members_unlock(&queue->members);
        waiting_wake(&q->not_empty, INT_MAX);
        waiting_wake(&q->not_full, INT_MAX);
}

/* --- the ring --- */

static void ring_write(SharedQueue *q, uint64_t at, const void *bytes, size_t n)
{
        uint64_t from = at % q->max_bytes;
        size_t first = (size_t)MIN((uint64_t)n, q->max_bytes - from);

        if (!n)
                return;
        memcpy(q->ring + from, bytes, first);
        memcpy(q->ring, (const char *)bytes + first, n - first);
}

static void ring_read(const SharedQueue *q, uint64_t at, void *to, size_t n)
{
        uint64_t from = at % q->max_bytes;
        size_t first = (size_t)MIN((uint64_t)n, q->max_bytes - from);

        if (!n)
                return;
        memcpy(to, q->ring + from, first);
        memcpy((char *)to + first, q->ring, n - first);
}

/* --- put --- */

typedef struct Put {
        const void *bytes;
        size_t size;
} Put;

static int try_put(Members *m, void *context)
{
        const Put *put = context;
        SharedQueue *q = shared_of(m);
        QueueState next = *state_of(q);
        uint64_t size = put->size, need = RECORD_HEAD + round_up(size);

        if (q->closed)
                return -EPIPE;
        if (size > q->max_bytes || need > q->max_bytes)
                return -EMSGSIZE;
        if (next.puts - next.gets >= q->max_elements ||
            next.tail - next.head + need > q->max_bytes)
                return -EAGAIN;
        ring_write(q, next.tail, &size, sizeof(size));
        ring_write(q, next.tail + RECORD_HEAD, put->bytes, put->size);
        next.tail += need;
        next.puts++;
        flip(q, &next);
        return 0;
}

int brood_queue_put(BroodQueue *queue, const void *bytes, size_t size, int64_t timeout_usec)
{
        SharedQueue *q = shared_of(&queue->members);
        Put put = { bytes, size };
        int r = attempt_until(&queue->members, &q->not_full, try_put, &put, timeout_usec);

        if (r == 0)
                waiting_wake(&q->not_empty, 1);
        return r;
}

/* --- get --- */

typedef struct Get {
        void *to;
        size_t room;
        size_t size; /* of the first element */
} Get;

static void take_out(SharedQueue *q, unsigned slot, uint64_t size)
{
        QueueState next = *state_of(q);

        next.head += RECORD_HEAD + round_up(size);
        next.gets++;
        next.getter = slot;
        next.getter_got = q->got[slot] + 1;
        flip(q, &next);
        note_get(q);
}

/* -EMSGSIZE: there is no room for it; its size is known now. */
static int try_get(Members *m, void *context)
{
        Get *get = context;
        SharedQueue *q = shared_of(m);
        const QueueState *s = state_of(q);
        uint64_t size = 0;
        int slot;

        if (s->puts == s->gets)
                return q->closed ? -EPIPE : -EAGAIN;
        slot = members_join(m);
        if (slot < 0)
                return slot;
        ring_read(q, s->head, &size, sizeof(size));
        if (size > s->tail - s->head - RECORD_HEAD)
                return -EBADMSG; /* somebody has written over it */
        get->size = (size_t)size;
        if (size > get->room)
                return -EMSGSIZE;
        ring_read(q, s->head + RECORD_HEAD, get->to, (size_t)size);
        take_out(q, (unsigned)slot, size);
        return 0;
}

static int get_into(BroodQueue *queue, Get *get, int64_t timeout_usec)
{
        SharedQueue *q = shared_of(&queue->members);
        int r = attempt_until(&queue->members, &q->not_empty, try_get, get, timeout_usec);

        if (r == 0)
                waiting_wake(&q->not_full, INT_MAX); /* the first may want more than there is */
        return r;
}

int brood_queue_get_into(BroodQueue *queue, void *to, size_t room, size_t *ret_size,
                         int64_t timeout_usec)
{
        Get get = { to, room, 0 };
        int r = get_into(queue, &get, timeout_usec);

        if (ret_size && (r == 0 || r == -EMSGSIZE))
                *ret_size = get.size;
        if (r == -EMSGSIZE) /* the wake-up was ours, but another may have room */
                waiting_wake(&shared_of(&queue->members)->not_empty, 1);
        return r;
}

int brood_queue_get(BroodQueue *queue, void **ret, size_t *ret_size, int64_t timeout_usec)
{
        usec_t until = clock_until(timeout_usec);
        Get get = { .room = 248 };
        int r;

        for (;;) {
                AUTO(free) char *to = malloc(get.room + 1);
                usec_t now = clock_monotonic();

                if (!to)
                        return -ENOMEM;
                get.to = to;
                r = get_into(queue, &get,
                             timeout_usec <= 0 ? timeout_usec
                                               : (int64_t)(until > now ? until - now : 0));
                if (r == 0) {
                        to[get.size] = '\0';
                        *ret = MOVE_PTR(to);
                        *ret_size = get.size;
                }
                if (r != -EMSGSIZE)
                        return r;
                get.room = get.size; /* by then another may be the first */
        }
}

/* --- JSON --- */

int brood_queue_put_json(BroodQueue *queue, const json_t *value, int64_t timeout_usec)
{
        AUTO(free) char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        if (!text)
                return value ? -ENOMEM : -EINVAL;
        return brood_queue_put(queue, text, strlen(text), timeout_usec);
}

int brood_queue_get_json(BroodQueue *queue, json_t **ret, int64_t timeout_usec)
{
        AUTO(free) void *text = NULL;
        size_t size = 0;
        int r = brood_queue_get(queue, &text, &size, timeout_usec);

        if (r < 0)
                return r;
        *ret = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        return *ret ? 0 : -EPROTO;
}

/* --- join --- */

static uint64_t at_work(const SharedQueue *q)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < MEMBERS_MAX; i++)
                n += q->got[i] - q->done[i];
        return n;
}

static void bury_dead(Members *m)
{
        SharedQueue *q = shared_of(m);

        if (!attempt_may_look(&q->looked))
                return;
        for (unsigned i = 0; i < MEMBERS_MAX; i++)
                if (q->got[i] != q->done[i] && !(m->own >= 0 && m->slot == i) &&
                    members_is_dead(m, i))
                        members_bury(m, i);
}

static int try_join(Members *m, void *context UNUSED)
{
        SharedQueue *q = shared_of(m);
        const QueueState *s = state_of(q);

        if (s->puts == s->gets && !at_work(q))
                return 0;
        bury_dead(m);
        return s->puts == s->gets && !at_work(q) ? 0 : -EAGAIN;
}

int brood_queue_join(BroodQueue *queue, int64_t timeout_usec)
{
        SharedQueue *q = shared_of(&queue->members);

        return attempt_until(&queue->members, &q->all_done, try_join, NULL, timeout_usec);
}

/* Ours, or else anybody's: as Python counts. -1: there is none. */
static int some_worker(const Members *m, const SharedQueue *q)
{
        if (m->own >= 0 && q->got[m->slot] != q->done[m->slot])
                return (int)m->slot;
        for (int i = 0; i < MEMBERS_MAX; i++)
                if (q->got[i] != q->done[i])
                        return i;
        return -1;
}

int brood_queue_done(BroodQueue *queue)
{
        SharedQueue *q = shared_of(&queue->members);
        int worker;

        members_lock(&queue->members);
        worker = some_worker(&queue->members, q);
        if (worker >= 0)
                q->done[worker]++;
        members_unlock(&queue->members);
        if (worker < 0)
                return -EPERM;
        waiting_wake(&q->all_done, INT_MAX);
        return 0;
}

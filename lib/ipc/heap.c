/* SPDX-License-Identifier: MIT */

/* The arena is a row of blocks without gaps, each with a head before it that says how long it is
 * and whether somebody has it. This row is the truth, and every change of it is one store to one
 * head: a block is split by writing the second head first, where nobody looks yet, and then the
 * shorter first one, which in the same store says that it is taken; it is freed by one bit; two
 * free ones become one by the longer first head. So whoever is killed leaves a row that is whole.
 *
 * All else follows from the row and is made anew from it after such a death: which block is before
 * which, the lists of free blocks (one for each power of two), what is in use, and a bitmap of
 * where blocks begin that somebody has. That lies apart from the blocks, so a wild or stale offset
 * is known for what it is, whatever stands where it points. */

#include <brood/shared.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "ipc/members.h"

enum { HEAP_KIND = 0x68656170 /* "heap" */, GRAIN = 16, LEAST = 2 * GRAIN, LISTS = 64, FEW = 32 };

#define LIVE 1ULL

/* Offsets count from the start of the memory; 0 is none. */
typedef struct Head {
        uint64_t word; /* its size with this head, and LIVE */
        uint64_t prev; /* the head before it */
} Head;

/* A free block; its links lie where the bytes were. */
typedef struct Free {
        Head head;
        uint64_t next, last; /* in its list */
} Free;

typedef struct SharedHeap {
        MemberTable members;
        uint64_t first, end; /* of the arena */
        uint64_t used;
        uint32_t spoiled; /* somebody has written over heads */
        uint64_t lists[LISTS];
        _Alignas(64) uint64_t live[]; /* a bit for each grain of the arena */
} SharedHeap;

struct BroodHeap {
        Members members;
        uint64_t first, end; /* our own: what others write there does not move our bounds */
};

static SharedHeap *shared_of(const Members *m)
{
        return (SharedHeap *)(void *)m->table;
}

static Free *at(SharedHeap *h, uint64_t offset)
{
        return (Free *)(void *)((char *)h + offset);
}

static uint64_t size_of(SharedHeap *h, uint64_t block)
{
        return at(h, block)->head.word & ~LIVE;
}

static bool is_live(SharedHeap *h, uint64_t block)
{
        return at(h, block)->head.word & LIVE;
}

/* The store that decides. */
static void set_word(SharedHeap *h, uint64_t block, uint64_t word)
{
        __atomic_store_n(&at(h, block)->head.word, word, __ATOMIC_RELEASE);
}

static bool is_sound(SharedHeap *h, uint64_t block)
{
        uint64_t size = size_of(h, block);

        return size >= LEAST && size % GRAIN == 0 && size <= h->end - block;
}

/* Could a head be there? */
static bool is_place(const SharedHeap *h, uint64_t block)
{
        return block >= h->first && block < h->end && block % GRAIN == 0;
}

/* --- what follows from the row --- */

static void set_bit(SharedHeap *h, uint64_t block, bool on)
{
        uint64_t grain = (block - h->first) / GRAIN, bit = 1ULL << grain % 64;
        uint64_t *word = &h->live[grain / 64];

        __atomic_store_n(word, on ? *word | bit : *word & ~bit, __ATOMIC_RELAXED);
}

static unsigned list_of(uint64_t size)
{
        return 63 - (unsigned)__builtin_clzll(size);
}

static void list_add(SharedHeap *h, uint64_t block)
{
        uint64_t *list = &h->lists[list_of(size_of(h, block))];

        at(h, block)->last = 0;
        at(h, block)->next = is_place(h, *list) ? *list : 0; /* 0 is none either */
        if (at(h, block)->next)
                at(h, *list)->last = block;
        *list = block;
}

static void list_drop(SharedHeap *h, uint64_t block)
{
        Free *f = at(h, block);

        if (f->last)
                at(h, f->last)->next = f->next;
        else
                h->lists[list_of(size_of(h, block))] = f->next;
        if (f->next)
                at(h, f->next)->last = f->last;
}

/* Is it a free block that its list knows? A write to memory that was freed destroys links. */
static bool is_listed(SharedHeap *h, uint64_t block)
{
        const Free *f;

        if (!is_place(h, block) || is_live(h, block) || !is_sound(h, block))
                return false;
        f = at(h, block);
        if (f->last ? !is_place(h, f->last) || at(h, f->last)->next != block
                    : h->lists[list_of(size_of(h, block))] != block)
                return false;
        return !f->next || (is_place(h, f->next) && at(h, f->next)->last == block);
}

/* Tells the block after this one who is before it. */
static void note_prev(SharedHeap *h, uint64_t block)
{
        uint64_t next = block + size_of(h, block);

        if (next < h->end)
                at(h, next)->head.prev = block;
}

/* --- deaths --- */

/* Two that are free become one; a death may have come between. */
static void swallow_free(SharedHeap *h, uint64_t block)
{
        uint64_t next = block + size_of(h, block);

        while (next < h->end && is_sound(h, next) && !is_live(h, next)) {
                set_word(h, block, size_of(h, block) + size_of(h, next));
                next = block + size_of(h, block);
        }
}

/* Bits of the bitmap, written in their order, each word when it is known; one that is right is not
 * touched, because others look without the lock. */
typedef struct Bits {
        uint64_t *words;
        uint64_t at, word;
} Bits;

static void bits_until(Bits *b, uint64_t at_word)
{
        for (; b->at < at_word; b->at++, b->word = 0)
                if (b->words[b->at] != b->word)
                        __atomic_store_n(&b->words[b->at], b->word, __ATOMIC_RELAXED);
}

static void repair(Members *m)
{
        SharedHeap *h = shared_of(m);
        uint64_t prev = 0, used = 0, grains = (h->end - h->first) / GRAIN;
        Bits bits = { h->live, 0, 0 };

        memset(h->lists, 0, sizeof(h->lists));
        for (uint64_t block = h->first; block < h->end; block += size_of(h, block)) {
                uint64_t grain = (block - h->first) / GRAIN;

                if (!is_sound(h, block)) {
                        h->spoiled = 1;
                        return;
                }
                at(h, block)->head.prev = prev;
                prev = block;
                bits_until(&bits, grain / 64);
                if (is_live(h, block)) {
                        bits.word |= 1ULL << grain % 64;
                        used += size_of(h, block);
                } else {
                        swallow_free(h, block);
                        list_add(h, block);
                }
        }
        bits_until(&bits, (grains + 63) / 64);
        h->used = used;
}

/* --- life --- */

static BroodHeap *allocate(void)
{
        BroodHeap *heap = calloc(1, sizeof(*heap));

        if (heap)
                heap->members.repair = repair;
        return heap;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
        return (n + to - 1) & ~(to - 1);
}

/* Where an arena of so many bytes begins. */
static uint64_t find_first(uint64_t arena)
{
        return round_up(sizeof(SharedHeap) + (arena / GRAIN + 63) / 64 * sizeof(uint64_t), 64);
}

int brood_heap_new(BroodHeap **ret, size_t size)
{
        AUTO(free) BroodHeap *heap = NULL;
        uint64_t arena;
        SharedHeap *h;
        int r;

        if (!size)
                return -EINVAL;
        if (size > PTRDIFF_MAX / 2)
                return -ENOMEM;
        heap = allocate();
        if (!heap)
                return -ENOMEM;
        arena = MAX(round_up(size, GRAIN), (uint64_t)LEAST);
        heap->first = find_first(arena);
        heap->end = heap->first + arena;
        r = members_new(&heap->members, "brood-heap", heap->end);
        if (r < 0)
                return r;
        h = shared_of(&heap->members);
        h->first = heap->first;
        h->end = heap->end;
        set_word(h, h->first, arena);
        list_add(h, h->first);
        members_complete(&heap->members, HEAP_KIND);
        *ret = MOVE_PTR(heap);
        return 0;
}

/* What the memory says of itself has to fit it: who made it may have been another program. */
static bool makes_sense(const BroodHeap *heap)
{
        uint64_t arena = heap->end - heap->first;

        return heap->first < heap->end && heap->end == heap->members.size && arena >= LEAST &&
               arena % GRAIN == 0 && heap->first == find_first(arena);
}

int brood_heap_open(BroodHeap **ret, int fd)
{
        AUTO(free) BroodHeap *heap = allocate();
        int r;

        if (!heap) {
                fd_close(fd);
                return -ENOMEM;
        }
        r = members_open(&heap->members, fd, HEAP_KIND, sizeof(SharedHeap) + LEAST);
        if (r < 0)
                return r;
        heap->first = shared_of(&heap->members)->first;
        heap->end = shared_of(&heap->members)->end;
        if (!makes_sense(heap)) {
                members_fini(&heap->members);
                return -EBADMSG;
        }
        *ret = MOVE_PTR(heap);
        return 0;
}

int brood_heap_fd(const BroodHeap *heap)
{
        return heap->members.fd;
}

void brood_heap_free(BroodHeap *heap)
{
        if (!heap)
                return;
        members_fini(&heap->members);
        free(heap);
}

/* --- taking --- */

/* One that is large enough from this list, looking at so many; 0: none. Sets *torn if a link is
 * wrong. */
static uint64_t find_in(SharedHeap *h, unsigned list, uint64_t size, size_t most, bool *torn)
{
        for (uint64_t block = h->lists[list]; block && most; block = at(h, block)->next, most--) {
                if (!is_listed(h, block)) {
                        *torn = true;
                        return 0;
                }
                if (size_of(h, block) >= size)
                        return block;
        }
        return 0;
}

/* What fits closely if it is soon found, else what fits, else whatever there is. */
static uint64_t find(SharedHeap *h, uint64_t size, bool *torn)
{
        unsigned list = list_of(size);
        uint64_t block = find_in(h, list, size, FEW, torn);

        for (unsigned i = list + 1; i < LISTS && !block; i++)
                block = find_in(h, i, size, 1, torn);
        return block ? block : find_in(h, list, size, SIZE_MAX, torn);
}

/* The same; torn links are made anew. */
static int find_mended(Members *m, uint64_t size, uint64_t *ret)
{
        SharedHeap *h = shared_of(m);
        bool torn = false;

        *ret = find(h, size, &torn);
        if (torn && !h->spoiled) {
                repair(m);
                torn = false;
                *ret = h->spoiled ? 0 : find(h, size, &torn);
        }
        if (h->spoiled || torn)
                return -EBADMSG;
        return *ret ? 0 : -ENOMEM;
}

static void take(SharedHeap *h, uint64_t block, uint64_t size)
{
        uint64_t whole = size_of(h, block), rest = whole - size;

        list_drop(h, block);
        if (rest < LEAST)
                size = whole;
        else
                at(h, block + size)->head = (Head){ rest, block }; /* nobody looks there yet */
        set_word(h, block, size | LIVE); /* here it happens */
        set_bit(h, block, true);
        h->used += size;
        if (size == whole)
                return;
        note_prev(h, block + size);
        list_add(h, block + size);
}

int brood_heap_alloc(BroodHeap *heap, size_t size, uint64_t *ret)
{
        SharedHeap *h = shared_of(&heap->members);
        uint64_t need, block = 0, bytes = 0;
        int r;

        if (size > heap->end)
                return -ENOMEM;
        need = MAX(round_up(size, GRAIN) + sizeof(Head), (uint64_t)LEAST);
        members_lock(&heap->members);
        r = h->spoiled ? -EBADMSG : find_mended(&heap->members, need, &block);
        if (r == 0) {
                take(h, block, need);
                bytes = size_of(h, block) - sizeof(Head);
        }
        members_unlock(&heap->members);
        if (r < 0)
                return r;
        *ret = block + sizeof(Head);
        memset(brood_heap_at(heap, *ret), 0, bytes); /* it is ours: nobody has to wait */
        return 0;
}

/* --- giving back --- */

/* Two that are free and in no list. */
static void merge(SharedHeap *h, uint64_t block, uint64_t next)
{
        set_word(h, block, size_of(h, block) + size_of(h, next));
        note_prev(h, block);
}

/* Do this block and its neighbours say the same of each other? */
static bool fits_in(SharedHeap *h, uint64_t block)
{
        uint64_t prev = at(h, block)->head.prev, next = block + size_of(h, block);

        if (!is_live(h, block) || !is_sound(h, block))
                return false;
        if (prev ? !is_place(h, prev) || prev + size_of(h, prev) != block : block != h->first)
                return false;
        if (prev && !is_live(h, prev) && !is_listed(h, prev))
                return false;
        return next == h->end || (at(h, next)->head.prev == block && is_sound(h, next) &&
                                  (is_live(h, next) || is_listed(h, next)));
}

static void give_back(SharedHeap *h, uint64_t block)
{
        uint64_t prev = at(h, block)->head.prev, size = size_of(h, block), next = block + size;

        set_word(h, block, size); /* here it happens */
        set_bit(h, block, false);
        h->used -= size;
        if (next < h->end && !is_live(h, next)) {
                list_drop(h, next);
                merge(h, block, next);
        }
        if (prev && !is_live(h, prev)) {
                list_drop(h, prev);
                merge(h, prev, block);
                block = prev;
        }
        list_add(h, block);
}

/* A head that somebody has written over would take others along; links can be mended. */
static int give_back_mended(Members *m, uint64_t block)
{
        SharedHeap *h = shared_of(m);

        if (!h->spoiled && !fits_in(h, block)) {
                repair(m);
                h->spoiled |= !fits_in(h, block);
        }
        if (h->spoiled)
                return -EBADMSG;
        give_back(h, block);
        return 0;
}

static bool is_block(const BroodHeap *heap, uint64_t bytes)
{
        const SharedHeap *h = shared_of(&heap->members);
        uint64_t grain;

        if (bytes < heap->first + sizeof(Head) || bytes >= heap->end || bytes % GRAIN)
                return false;
        grain = (bytes - sizeof(Head) - heap->first) / GRAIN;
        return __atomic_load_n(&h->live[grain / 64], __ATOMIC_RELAXED) >> grain % 64 & 1;
}

int brood_heap_release(BroodHeap *heap, uint64_t block)
{
        int r;

        if (!block)
                return 0;
        members_lock(&heap->members);
        if (!is_block(heap, block))
                r = -EINVAL;
        else
                r = give_back_mended(&heap->members, block - sizeof(Head));
        members_unlock(&heap->members);
        return r;
}

void *brood_heap_at(const BroodHeap *heap, uint64_t block)
{
        return is_block(heap, block) ? (char *)heap->members.table + block : NULL;
}

size_t brood_heap_used(const BroodHeap *heap)
{
        Members *m = (Members *)&heap->members; /* nothing that the caller sees changes */
        size_t used;

        members_lock(m);
        used = (size_t)shared_of(m)->used;
        members_unlock(m);
        return used;
}

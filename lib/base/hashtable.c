/* SPDX-License-Identifier: MIT */

#include "base/hashtable.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/entropy.h"
#include "base/macros.h"

void hashtable_fini(HashTable *t)
{
        free(t->entries);
        *t = (HashTable){ 0 };
}

static size_t place(const HashTable *t, uint64_t hash)
{
        return hash & (t->size - 1);
}

static size_t after(const HashTable *t, size_t at)
{
        return (at + 1) & (t->size - 1);
}

static void put(HashTable *t, HashEntry entry)
{
        size_t at = place(t, entry.hash);

        while (t->entries[at].link)
                at = after(t, at);
        t->entries[at] = entry;
}

static int grow(HashTable *t)
{
        HashTable larger = { .size = t->size ? t->size * 2 : 64, .count = t->count };

        larger.entries = calloc(larger.size, sizeof(*larger.entries));
        if (!larger.entries)
                return -ENOMEM;
        for (size_t i = 0; i < t->size; i++)
                if (t->entries[i].link)
                        put(&larger, t->entries[i]);
        free(t->entries);
        *t = larger;
        return 0;
}

int hashtable_add(HashTable *t, HashLink *link, uint64_t hash)
{
        if (t->count >= t->size / 4 * 3 && grow(t) < 0)
                return -ENOMEM;
        link->hash = hash;
        put(t, (HashEntry){ hash, link });
        t->count++;
        return 0;
}

/* Where the link is. */
static size_t find(const HashTable *t, const HashLink *link)
{
        size_t at = place(t, link->hash);

        while (t->entries[at].link != link) {
                ASSERT(t->entries[at].link);
                at = after(t, at);
        }
        return at;
}

/* May the entry at `at` move back to `hole`? Not if it would then stand before its own place. */
static bool may_move(const HashTable *t, size_t hole, size_t at)
{
        size_t mask = t->size - 1;

        return ((at - place(t, t->entries[at].hash)) & mask) >= ((at - hole) & mask);
}

void hashtable_remove(HashTable *t, HashLink *link)
{
        size_t hole = find(t, link);

        for (size_t at = after(t, hole); t->entries[at].link; at = after(t, at))
                if (may_move(t, hole, at)) {
                        t->entries[hole] = t->entries[at];
                        hole = at;
                }
        t->entries[hole].link = NULL;
        t->count--;
}

static HashLink *search(const HashTable *t, uint64_t hash, size_t at)
{
        for (; t->entries[at].link; at = after(t, at))
                if (t->entries[at].hash == hash)
                        return t->entries[at].link;
        return NULL;
}

HashLink *hashtable_first(const HashTable *t, uint64_t hash)
{
        return t->size ? search(t, hash, place(t, hash)) : NULL;
}

HashLink *hashtable_next(const HashTable *t, const HashLink *link)
{
        return search(t, link->hash, after(t, find(t, link)));
}

static uint64_t rotate(uint64_t x, unsigned by)
{
        return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
}

uint64_t hash_bytes(const void *bytes, size_t n)
{
        static uint64_t key[2];
        static bool keyed;
        const unsigned char *in = bytes;
        uint64_t v[4], word;
        size_t left = n;

        if (__builtin_expect(!keyed, 0)) {
                entropy_fill(key, sizeof(key));
                keyed = true;
        }
        v[0] = key[0] ^ 0x736f6d6570736575;
        v[1] = key[1] ^ 0x646f72616e646f6d;
        v[2] = key[0] ^ 0x6c7967656e657261;
        v[3] = key[1] ^ 0x7465646279746573;
        for (; left >= 8; left -= 8, in += 8) {
                memcpy(&word, in, 8);
                v[3] ^= word;
                sip_round(v);
                v[0] ^= word;
        }
        word = (uint64_t)n << 56;
        for (size_t i = 0; i < left; i++)
                word |= (uint64_t)in[i] << (8 * i);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        v[2] ^= 0xff;
        for (int i = 0; i < 3; i++)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

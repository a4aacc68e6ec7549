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
        free(t->buckets);
        *t = (HashTable){ 0 };
}

static int grow(HashTable *t)
{
        size_t size = t->size ? t->size * 2 : 64;
        HashLink **buckets = calloc(size, sizeof(*buckets));

        if (!buckets)
                return -ENOMEM;
        for (size_t i = 0; i < t->size; i++)
                for (HashLink *l = t->buckets[i], *next; l; l = next) {
                        next = l->next;
                        l->next = buckets[l->hash & (size - 1)];
                        buckets[l->hash & (size - 1)] = l;
                }
        free(t->buckets);
        t->buckets = buckets;
        t->size = size;
        return 0;
}

int hashtable_add(HashTable *t, HashLink *link, uint64_t hash)
{
        HashLink **bucket;

        if (t->count >= t->size && grow(t) < 0 && !t->size)
                return -ENOMEM;
        bucket = &t->buckets[hash & (t->size - 1)];
        link->hash = hash;
        link->next = *bucket;
        *bucket = link;
        t->count++;
        return 0;
}

void hashtable_remove(HashTable *t, HashLink *link)
{
        HashLink **p = &t->buckets[link->hash & (t->size - 1)];

        while (*p != link) {
                ASSERT(*p);
                p = &(*p)->next;
        }
        *p = link->next;
        link->next = NULL;
        t->count--;
}

static HashLink *same_hash(HashLink *l, uint64_t hash)
{
        while (l && l->hash != hash)
                l = l->next;
        return l;
}

HashLink *hashtable_first(const HashTable *t, uint64_t hash)
{
        return t->size ? same_hash(t->buckets[hash & (t->size - 1)], hash) : NULL;
}

HashLink *hashtable_next(HashLink *link)
{
        return same_hash(link->next, link->hash);
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

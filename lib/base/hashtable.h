/* SPDX-License-Identifier: MIT */
#pragma once

/* A chained hash table whose links live in the objects. It knows hashes, not keys: the caller walks
 * the objects of one hash and compares. */

#include <stddef.h>
#include <stdint.h>

typedef struct HashLink {
        struct HashLink *next;
        uint64_t hash;
} HashLink;

typedef struct HashTable {
        HashLink **buckets; /* a power of two of them */
        size_t size, count;
} HashTable;

void hashtable_fini(HashTable *t);

/* Returns 0 or -ENOMEM. */
int hashtable_add(HashTable *t, HashLink *link, uint64_t hash);

/* The link must be in the table. */
void hashtable_remove(HashTable *t, HashLink *link);

/* The objects with this hash: first, then each next. NULL ends. */
HashLink *hashtable_first(const HashTable *t, uint64_t hash);
HashLink *hashtable_next(HashLink *link);

/* A keyed hash of bytes (SipHash-1-3 with a key of this process): strangers choose the keys. */
uint64_t hash_bytes(const void *bytes, size_t n);

/* SPDX-License-Identifier: MIT */
#pragma once

/* A hash table of objects that carry a link. It knows hashes, not keys: the caller walks the
 * objects of one hash and compares.
 *
 * Open addressing with linear probing, the hash beside the pointer: a search, an entry and a
 * removal touch the table and the object that is meant, never an innocent one, whose memory may be
 * cold. */

#include <stddef.h>
#include <stdint.h>

typedef struct HashLink {
        uint64_t hash;
} HashLink;

typedef struct HashEntry {
        uint64_t hash;
        HashLink *link; /* NULL: free */
} HashEntry;

typedef struct HashTable {
        HashEntry *entries; /* a power of two of them, at most three quarters in use */
        size_t size, count;
} HashTable;

void hashtable_fini(HashTable *t);

/* Returns 0 or -ENOMEM. */
int hashtable_add(HashTable *t, HashLink *link, uint64_t hash);

/* The link must be in the table. */
void hashtable_remove(HashTable *t, HashLink *link);

/* The objects with this hash: first, then each next. NULL ends. */
HashLink *hashtable_first(const HashTable *t, uint64_t hash);
HashLink *hashtable_next(const HashTable *t, const HashLink *link);

/* A keyed hash of bytes (SipHash-1-3 with a key of this process): strangers choose the keys. */
uint64_t hash_bytes(const void *bytes, size_t n);

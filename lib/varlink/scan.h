/* SPDX-License-Identifier: MIT */
#pragma once

/* The single-pass scanner: validates JSON text against a type of an interface file and says where
 * each field is, as a range of bytes. Nothing is copied and nothing is converted.
 *
 * A scan yields nodes. The fields of a struct are n_fields nodes in the order of the interface
 * file; the elements of an array are chained. An absent field and a null are both empty.
 *
 * What it accepts is what jansson accepts with JSON_REJECT_DUPLICATES (RFC 8259; integers of 64
 * bits, reals that are finite, no NUL in a string, at most 2048 levels): a fuzzer compares them. */

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "varlink/interface.h"
#include "varlink/token.h"

enum { VARLINK_MAX_DEPTH = 2048 };

typedef struct VarlinkNode {
        uint32_t offset;      /* of the value in the text; of a string, behind its quote */
        uint32_t length : 31; /* in bytes; of a string, without quotes */
        uint32_t escaped : 1; /* a string with a backslash in it */
        uint32_t child;       /* struct: its first field; array: its first element; enum: the
                                 value's index; 0: none */
        uint32_t next;        /* the element after this one; 0: none */
        bool present;
} VarlinkNode;

typedef struct VarlinkKey {
        uint64_t hash; /* of the key without escapes */
} VarlinkKey;

/* Reused from message to message; a zeroed one is empty. */
typedef struct VarlinkScan {
        Slice text;
        VarlinkNode *nodes; /* nodes[0] is nothing: index 0 means "none" */
        uint32_t n_nodes, nodes_capacity;
        VarlinkKey *keys; /* the keys of the objects that are open */
        uint32_t n_keys, keys_capacity;
        char fault[256]; /* where the text does not fit the type: "job.priority" */
} VarlinkScan;

enum {
        VARLINK_E_SYNTAX = 1, /* not JSON, or not an object */
        VARLINK_E_DEPTH,      /* more than VARLINK_MAX_DEPTH levels */
        VARLINK_E_PARAMETER,  /* JSON, but not of the type: see fault */
};

void varlink_scan_fini(VarlinkScan *scan);

/* Scans text, which must be one JSON value of the type and nothing else but white space. Returns 0
 * and the value's node, -ENOMEM, or one of the above. */
int varlink_scan(VarlinkScan *scan, Slice text, const VarlinkType *type, uint32_t *ret);

/* Checks that text is one JSON object, of any content. Returns as varlink_scan(). */
int varlink_scan_object(VarlinkScan *scan, Slice text);

static inline const VarlinkNode *varlink_node(const VarlinkScan *scan, uint32_t index)
{
        return &scan->nodes[index];
}

/* The field of a struct's node. */
static inline const VarlinkNode *varlink_field(const VarlinkScan *scan,
                                               const VarlinkNode *structure, unsigned field)
{
        return &scan->nodes[structure->child + field];
}

static inline Slice varlink_slice(const VarlinkScan *scan, const VarlinkNode *node)
{
        return (Slice){ scan->text.data + node->offset, node->present ? node->length : 0 };
}

int64_t varlink_int(const VarlinkScan *scan, const VarlinkNode *node);
double varlink_float(const VarlinkScan *scan, const VarlinkNode *node);
bool varlink_bool(const VarlinkScan *scan, const VarlinkNode *node);

/* A node's string without its escapes, with a terminator, to be freed; NULL if memory ran out. */
char *varlink_string(const VarlinkScan *scan, const VarlinkNode *node);

/* --- for the message layer, which walks an envelope by itself --- */

typedef struct VarlinkCursor {
        VarlinkScan *scan;
        const char *at, *end;
        int depth;
        struct {
                Slice name;
        } path[32];
        int path_depth;
        bool faulty;
} VarlinkCursor;

void varlink_cursor_init(VarlinkCursor *c, VarlinkScan *scan, Slice text);
void varlink_cursor_space(VarlinkCursor *c);
/* Reads `"key" :`, leaving the cursor before the value. */
int varlink_cursor_key(VarlinkCursor *c, VarlinkNode *ret);
/* Reads one value of the type (NULL: any), filling the node at this index. */
int varlink_cursor_value(VarlinkCursor *c, const VarlinkRef *ref, uint32_t node);
int varlink_cursor_node(VarlinkCursor *c, unsigned n, uint32_t *ret);
void varlink_cursor_fault(VarlinkCursor *c, Slice name);

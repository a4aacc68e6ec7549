/* SPDX-License-Identifier: MIT */

/* Two scanners in one: with a type at hand, each field is matched and its node filled; without one
 * (inside an `object`, or where the type was wrong) the text is only checked. A wrong type does not
 * end the scan: the first fault is kept and the rest is still read, so that the caller knows how
 * the message wants to be answered. Wrong syntax ends it at once.
 *
 * Duplicate keys of free objects are found by comparing hashes of their unescaped bytes: pairwise
 * for a few, sorted for many, so that a message of 16 MiB of keys costs n log n. */

#include "varlink/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hashtable.h"
#include "base/macros.h"

enum { MANY_KEYS = 12, KEEP_NODES = 65536 };

void varlink_scan_fini(VarlinkScan *scan)
{
        free(scan->nodes);
        free(scan->keys);
        *scan = (VarlinkScan){ 0 };
}

static int grow(void **items, uint32_t *capacity, uint32_t need, size_t size)
{
        uint32_t n = *capacity ? *capacity : 64;
        void *p;

        while (n < need) {
                if (n > UINT32_MAX / 4)
                        return -ENOMEM;
                n *= 2;
        }
        p = realloc(*items, n * size);
        if (!p)
                return -ENOMEM;
        *items = p;
        *capacity = n;
        return 0;
}

int varlink_cursor_node(VarlinkCursor *c, unsigned n, uint32_t *ret)
{
        VarlinkScan *s = c->scan;

        if (s->nodes_capacity - s->n_nodes < n) {
                int r = grow((void **)&s->nodes, &s->nodes_capacity, s->n_nodes + n,
                             sizeof(*s->nodes));
                if (r < 0)
                        return r;
        }
        memset(s->nodes + s->n_nodes, 0, n * sizeof(*s->nodes));
        *ret = s->n_nodes;
        s->n_nodes += n;
        return 0;
}

void varlink_cursor_init(VarlinkCursor *c, VarlinkScan *scan, Slice text)
{
        if (scan->nodes_capacity > KEEP_NODES || scan->keys_capacity > KEEP_NODES)
                varlink_scan_fini(scan); /* one large message is no reason to stay large */
        scan->text = text;
        scan->n_nodes = 0;
        scan->n_keys = 0;
        scan->fault[0] = '\0';
        c->scan = scan;
        c->at = text.data;
        c->end = text.data + text.len;
        c->depth = 0;
        c->path_depth = 0;
        c->faulty = false;
}

void varlink_cursor_fault(VarlinkCursor *c, Slice name)
{
        char *to = c->scan->fault;
        size_t room = sizeof(c->scan->fault) - 1;
        int known = MIN(c->path_depth, (int)ELEMENTS(c->path)); /* types may contain themselves */

        if (c->faulty)
                return;
        c->faulty = true;
        for (int i = 0; i <= known; i++) {
                Slice part = i < known ? c->path[i].name : name;
                size_t n;

                if (!part.len)
                        continue;
                if (to != c->scan->fault && room) {
                        *to++ = '.';
                        room--;
                }
                n = MIN(part.len, room);
                memcpy(to, part.data, n);
                to += n;
                room -= n;
        }
        while (to > c->scan->fault && ((unsigned char)to[-1] & 0xc0) == 0x80 && !room)
                to--; /* never cut a character in two */
        if (!room && to > c->scan->fault && (unsigned char)to[-1] >= 0xc0)
                to--;
        *to = '\0';
}

static void push_path(VarlinkCursor *c, Slice name)
{
        if (c->path_depth < (int)ELEMENTS(c->path))
                c->path[c->path_depth].name = name;
        c->path_depth++;
}

static void pop_path(VarlinkCursor *c)
{
        c->path_depth--;
}

void varlink_cursor_space(VarlinkCursor *c)
{
        while (c->at < c->end &&
               (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
                c->at++;
}

static bool take(VarlinkCursor *c, char wanted)
{
        if (c->at < c->end && *c->at == wanted) {
                c->at++;
                return true;
        }
        return false;
}

/* Notes in the node what lies between `from` and `to`. */
static void mark(VarlinkCursor *c, VarlinkNode *node, const char *from, const char *to)
{
        node->offset = (uint32_t)(from - c->scan->text.data);
        node->length = (uint32_t)(to - from) & 0x7fffffff;
        node->present = true;
}

/* Behind the opening quote; fills the node and moves behind the closing one. */
static int scan_string(VarlinkCursor *c, VarlinkNode *node)
{
        const char *from = c->at;
        bool escaped;

        if (!token_string(&c->at, c->end, &escaped))
                return VARLINK_E_SYNTAX;
        mark(c, node, from, c->at - 1);
        node->escaped = escaped;
        return 0;
}

static int scan_number(VarlinkCursor *c, VarlinkNode *node, bool *integer)
{
        const char *from = c->at;
        bool fits;

        if (!token_number(&c->at, c->end, integer, &fits))
                return VARLINK_E_SYNTAX;
        if (!fits)
                varlink_cursor_fault(c, (Slice){ NULL, 0 });
        mark(c, node, from, c->at);
        return 0;
}

static int scan_word(VarlinkCursor *c, const char *literal, size_t n, VarlinkNode *node)
{
        if ((size_t)(c->end - c->at) < n || memcmp(c->at, literal, n) != 0)
                return VARLINK_E_SYNTAX;
        mark(c, node, c->at, c->at + n);
        c->at += n;
        return 0;
}

/* --- keys of free objects --- */

static int add_key(VarlinkScan *s, const VarlinkNode *key)
{
        Slice text = { s->text.data + key->offset, key->length };
        VarlinkKey *k;

        if (s->n_keys == s->keys_capacity) {
                int r = grow((void **)&s->keys, &s->keys_capacity, s->n_keys + 1, sizeof(*s->keys));

                if (r < 0)
                        return r;
        }
        k = &s->keys[s->n_keys];
        if (key->escaped) {
                char small[256], *plain = text.len <= sizeof(small) ? small : malloc(text.len);

                if (!plain)
                        return -ENOMEM;
                k->hash = hash_bytes(plain, varlink_unescape(text, plain));
                if (plain != small)
                        free(plain);
        } else {
                k->hash = hash_bytes(text.data, text.len);
        }
        s->n_keys++;
        return 0;
}

static int by_hash(const void *a, const void *b)
{
        const VarlinkKey *x = a, *y = b;

        return (x->hash > y->hash) - (x->hash < y->hash);
}

/* Are two of the keys from `first` on the same? 64 bits of a keyed hash decide. */
static bool any_twice(VarlinkScan *s, uint32_t first)
{
        VarlinkKey *keys = s->keys + first;
        uint32_t n = s->n_keys - first;

        if (n > MANY_KEYS) {
                qsort(keys, n, sizeof(*keys), by_hash);
                for (uint32_t i = 1; i < n; i++)
                        if (keys[i].hash == keys[i - 1].hash)
                                return true;
                return false;
        }
        for (uint32_t i = 1; i < n; i++)
                for (uint32_t j = 0; j < i; j++)
                        if (keys[i].hash == keys[j].hash)
                                return true;
        return false;
}

/* --- values --- */

static int scan_any(VarlinkCursor *c, VarlinkNode *node);

int varlink_cursor_key(VarlinkCursor *c, VarlinkNode *ret)
{
        int r;

        varlink_cursor_space(c);
        if (!take(c, '"'))
                return VARLINK_E_SYNTAX;
        r = scan_string(c, ret);
        if (r)
                return r;
        varlink_cursor_space(c);
        if (!take(c, ':'))
                return VARLINK_E_SYNTAX;
        varlink_cursor_space(c);
        return 0;
}

/* After an element: 1 if another follows, 0 at the end (moved behind it), -1 for neither. */
static int follows(VarlinkCursor *c, char close)
{
        varlink_cursor_space(c);
        if (take(c, ','))
                return 1;
        return take(c, close) ? 0 : -1;
}

/* Before the first element: true if there is none (moved behind the end). */
static bool is_empty(VarlinkCursor *c, char close)
{
        varlink_cursor_space(c);
        return take(c, close);
}

/* What is in the innermost container that is allowed would be one level too deep. */
static inline bool innermost(const VarlinkCursor *c)
{
        return __builtin_expect(c->depth >= VARLINK_MAX_DEPTH, 0);
}

/* A value whose key is checked for duplicates: of the element's type, or of any (NULL). */
static int scan_keyed_value(VarlinkCursor *c, const VarlinkRef *element)
{
        VarlinkNode key = { 0 }, value;
        uint32_t node;
        int r = varlink_cursor_key(c, &key);

        if (r)
                return r;
        r = add_key(c->scan, &key);
        if (r)
                return r;
        if (!element)
                return scan_any(c, &value);
        r = varlink_cursor_node(c, 1, &node);
        return r ? r : varlink_cursor_value(c, element, node);
}

/* The members of a free object (NULL) or of a map. */
static int scan_members(VarlinkCursor *c, const VarlinkRef *element)
{
        uint32_t first_key = c->scan->n_keys;
        int r, more;

        if (is_empty(c, '}'))
                return 0;
        if (innermost(c))
                return VARLINK_E_DEPTH;
        do {
                r = scan_keyed_value(c, element);
                if (r)
                        return r;
                more = follows(c, '}');
                if (more < 0)
                        return VARLINK_E_SYNTAX;
        } while (more);
        if (any_twice(c->scan, first_key))
                varlink_cursor_fault(c, (Slice){ NULL, 0 });
        c->scan->n_keys = first_key;
        return 0;
}

static int scan_any_elements(VarlinkCursor *c)
{
        VarlinkNode value;
        int r, more;

        if (is_empty(c, ']'))
                return 0;
        if (innermost(c))
                return VARLINK_E_DEPTH;
        do {
                varlink_cursor_space(c);
                r = scan_any(c, &value);
                if (r)
                        return r;
                more = follows(c, ']');
                if (more < 0)
                        return VARLINK_E_SYNTAX;
        } while (more);
        return 0;
}

static int scan_any(VarlinkCursor *c, VarlinkNode *node)
{
        const char *from = c->at;
        bool integer;
        int r;

        if (c->at >= c->end)
                return VARLINK_E_SYNTAX;
        node->escaped = false;
        switch (*c->at) {
        case '"':
                c->at++;
                return scan_string(c, node);
        case '{':
        case '[':
                if (++c->depth > VARLINK_MAX_DEPTH)
                        return VARLINK_E_DEPTH;
                c->at++;
                r = *from == '{' ? scan_members(c, NULL) : scan_any_elements(c);
                c->depth--;
                mark(c, node, from, c->at);
                return r;
        case 't':
                return scan_word(c, "true", 4, node);
        case 'f':
                return scan_word(c, "false", 5, node);
        case 'n':
                return scan_word(c, "null", 4, node);
        default:
                return scan_number(c, node, &integer);
        }
}

static int find_field(const VarlinkType *type, Slice name, unsigned guess)
{
        if (guess < type->n_fields && slice_equal(type->fields[guess].name, name))
                return (int)guess;
        for (unsigned i = 0; i < type->n_fields; i++)
                if (slice_equal(type->fields[i].name, name))
                        return (int)i;
        return -1;
}

/* The key of a struct's member, without escapes if it has any and is short enough to be ours. */
static Slice key_name(VarlinkCursor *c, const VarlinkNode *key, char small[256])
{
        Slice name = { c->scan->text.data + key->offset, key->length };

        if (!key->escaped || name.len > 256)
                return name;
        return (Slice){ small, varlink_unescape(name, small) };
}

static int scan_member(VarlinkCursor *c, const VarlinkType *type, uint32_t child, uint64_t *seen,
                       unsigned *guess)
{
        VarlinkNode key = { 0 }, ignored;
        char small[256];
        Slice name;
        int i, r = varlink_cursor_key(c, &key);

        if (r)
                return r;
        name = key_name(c, &key, small);
        i = find_field(type, name, *guess);
        if (i < 0 || *seen & 1ULL << i) {
                varlink_cursor_fault(c, name);
                return scan_any(c, &ignored);
        }
        *seen |= 1ULL << i;
        *guess = (unsigned)i + 1;
        push_path(c, type->fields[i].name);
        r = varlink_cursor_value(c, &type->fields[i].value, child + (unsigned)i);
        pop_path(c);
        return r;
}

static int scan_struct(VarlinkCursor *c, const VarlinkType *type, uint32_t node)
{
        uint64_t seen = 0;
        uint32_t child;
        unsigned guess = 0;
        int r, more = 1;

        r = varlink_cursor_node(c, MAX(type->n_fields, 1u), &child);
        if (r)
                return r;
        c->scan->nodes[node].child = child;
        if (is_empty(c, '}'))
                more = 0;
        else if (innermost(c))
                return VARLINK_E_DEPTH;
        while (more) {
                r = scan_member(c, type, child, &seen, &guess);
                if (r)
                        return r;
                more = follows(c, '}');
                if (more < 0)
                        return VARLINK_E_SYNTAX;
        }
        for (unsigned i = 0; i < type->n_fields && !c->faulty; i++)
                if (!type->fields[i].value.nullable && !c->scan->nodes[child + i].present)
                        varlink_cursor_fault(c, type->fields[i].name);
        return 0;
}

static int scan_array(VarlinkCursor *c, const VarlinkRef *element, uint32_t node)
{
        uint32_t last = 0, here;
        int r, more;

        if (is_empty(c, ']'))
                return 0;
        if (innermost(c))
                return VARLINK_E_DEPTH;
        do {
                r = varlink_cursor_node(c, 1, &here);
                if (r)
                        return r;
                if (last)
                        c->scan->nodes[last].next = here;
                else
                        c->scan->nodes[node].child = here;
                last = here;
                varlink_cursor_space(c);
                r = varlink_cursor_value(c, element, here);
                if (r)
                        return r;
                more = follows(c, ']');
                if (more < 0)
                        return VARLINK_E_SYNTAX;
        } while (more);
        return 0;
}

static int wrong_type(VarlinkCursor *c)
{
        VarlinkNode ignored;

        varlink_cursor_fault(c, (Slice){ NULL, 0 });
        return scan_any(c, &ignored);
}

static int scan_container(VarlinkCursor *c, const VarlinkType *type, uint32_t node)
{
        const char *from = c->at;
        int r;

        if (c->at >= c->end || *c->at != (type->kind == VARLINK_ARRAY ? '[' : '{'))
                return wrong_type(c);
        if (++c->depth > VARLINK_MAX_DEPTH)
                return VARLINK_E_DEPTH;
        c->at++;
        if (type->kind == VARLINK_STRUCT)
                r = scan_struct(c, type, node);
        else if (type->kind == VARLINK_ARRAY)
                r = scan_array(c, &type->element, node);
        else
                r = scan_members(c, &type->element);
        c->depth--;
        mark(c, &c->scan->nodes[node], from, c->at);
        return r;
}

static int scan_enum(VarlinkCursor *c, const VarlinkType *type, uint32_t index)
{
        VarlinkNode *node = &c->scan->nodes[index];
        char small[256];
        Slice text;
        int r;

        if (!take(c, '"'))
                return wrong_type(c);
        r = scan_string(c, node);
        if (r)
                return r;
        text = key_name(c, node, small);
        for (unsigned i = 0; i < type->n_values; i++)
                if (slice_equal(type->values[i], text)) {
                        node->child = i;
                        return 0;
                }
        varlink_cursor_fault(c, (Slice){ NULL, 0 });
        return 0;
}

static int scan_scalar(VarlinkCursor *c, VarlinkKind kind, VarlinkNode *node)
{
        char first = c->at < c->end ? *c->at : '\0';
        bool integer;
        int r;

        switch (kind) {
        case VARLINK_BOOL:
                if (first != 't' && first != 'f')
                        return wrong_type(c);
                return scan_any(c, node);
        case VARLINK_STRING:
                if (first != '"')
                        return wrong_type(c);
                return scan_any(c, node);
        case VARLINK_OBJECT:
                if (first != '{')
                        return wrong_type(c);
                return scan_any(c, node);
        default:
                if (first != '-' && (first < '0' || first > '9'))
                        return wrong_type(c);
                r = scan_number(c, node, &integer);
                if (r == 0 && kind == VARLINK_INT && !integer)
                        varlink_cursor_fault(c, (Slice){ NULL, 0 });
                return r;
        }
}

int varlink_cursor_value(VarlinkCursor *c, const VarlinkRef *ref, uint32_t node)
{
        VarlinkNode value = { 0 };
        int r;

        if (ref && c->at < c->end && *c->at == 'n') {
                if (!ref->nullable)
                        return wrong_type(c);
                return scan_word(c, "null", 4, &value);
        }
        if (ref && ref->type->kind >= VARLINK_STRUCT)
                return ref->type->kind == VARLINK_ENUM ? scan_enum(c, ref->type, node)
                                                       : scan_container(c, ref->type, node);
        r = ref ? scan_scalar(c, ref->type->kind, &value) : scan_any(c, &value);
        c->scan->nodes[node].offset = value.offset;
        c->scan->nodes[node].length = value.length;
        c->scan->nodes[node].escaped = value.escaped;
        c->scan->nodes[node].present = value.present;
        return r;
}

static int scan_whole(VarlinkScan *scan, Slice text, const VarlinkType *type, uint32_t *ret)
{
        VarlinkCursor c;
        VarlinkRef ref = { type, false };
        uint32_t none;
        int r;

        if (text.len > INT32_MAX)
                return VARLINK_E_SYNTAX;
        varlink_cursor_init(&c, scan, text);
        r = varlink_cursor_node(&c, 1, &none);
        if (r == 0)
                r = varlink_cursor_node(&c, 1, ret);
        if (r)
                return r;
        varlink_cursor_space(&c);
        r = varlink_cursor_value(&c, &ref, *ret);
        if (r)
                return r;
        varlink_cursor_space(&c);
        if (c.at != c.end)
                return VARLINK_E_SYNTAX;
        return c.faulty ? VARLINK_E_PARAMETER : 0;
}

int varlink_scan(VarlinkScan *scan, Slice text, const VarlinkType *type, uint32_t *ret)
{
        return scan_whole(scan, text, type, ret);
}

int varlink_scan_object(VarlinkScan *scan, Slice text)
{
        static const VarlinkType object = { .kind = VARLINK_OBJECT };
        uint32_t node;

        return scan_whole(scan, text, &object, &node);
}

int64_t varlink_int(const VarlinkScan *scan, const VarlinkNode *node)
{
        const char *p = scan->text.data + node->offset, *end = p + node->length;
        bool negative = node->length && *p == '-';
        uint64_t v = 0;

        for (p += negative; p < end; p++)
                v = v * 10 + (uint64_t)(*p - '0');
        return (int64_t)(negative ? -v : v);
}

double varlink_float(const VarlinkScan *scan, const VarlinkNode *node)
{
        char text[512];
        size_t n = MIN((size_t)node->length, sizeof(text) - 1);

        memcpy(text, scan->text.data + node->offset, n);
        text[n] = '\0';
        return strtod(text, NULL);
}

bool varlink_bool(const VarlinkScan *scan, const VarlinkNode *node)
{
        return node->present && scan->text.data[node->offset] == 't';
}

char *varlink_string(const VarlinkScan *scan, const VarlinkNode *node)
{
        Slice text = varlink_slice(scan, node);
        char *s = malloc(text.len + 1);

        if (!s)
                return NULL;
        if (node->escaped)
                text.len = varlink_unescape(text, s);
        else if (text.len)
                memcpy(s, text.data, text.len);
        s[text.len] = '\0';
        return s;
}

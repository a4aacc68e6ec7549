/* SPDX-License-Identifier: MIT */

#include "compare.h"

#include <math.h>
#include <stdlib.h>

#include "base/macros.h"

static bool same_number(double a, double b)
{
        return a == b || fabs(a - b) <= 1e-15 * fabs(a);
}

void compare_string(Slice text, const json_t *json)
{
        char *plain = malloc(text.len + 1);
        size_t n;

        ASSERT(plain);
        n = varlink_unescape(text, plain);
        ASSERT(json_is_string(json));
        ASSERT(n == json_string_length(json));
        ASSERT(n == 0 || memcmp(plain, json_string_value(json), n) == 0);
        free(plain);
}

static bool next_element(VarlinkCursor *c)
{
        varlink_cursor_space(c);
        return *c->at++ == ',';
}

static bool empty_container(VarlinkCursor *c)
{
        c->at++;
        varlink_cursor_space(c);
        if (*c->at != '}' && *c->at != ']')
                return false;
        c->at++;
        return true;
}

static void compare_object(VarlinkCursor *c, const json_t *json)
{
        size_t n = 0;

        ASSERT(json_is_object(json));
        if (empty_container(c)) {
                ASSERT(json_object_size(json) == 0);
                return;
        }
        do {
                VarlinkNode key = { 0 };
                char *name;

                ASSERT(varlink_cursor_key(c, &key) == 0);
                name = varlink_string(c->scan, &key);
                ASSERT(name);
                compare_value(c, json_object_get(json, name));
                free(name);
                n++;
        } while (next_element(c));
        ASSERT(json_object_size(json) == n);
}

static void compare_array(VarlinkCursor *c, const json_t *json)
{
        size_t n = 0;

        ASSERT(json_is_array(json));
        if (empty_container(c)) {
                ASSERT(json_array_size(json) == 0);
                return;
        }
        do {
                varlink_cursor_space(c);
                compare_value(c, json_array_get(json, n++));
        } while (next_element(c));
        ASSERT(json_array_size(json) == n);
}

/* A number or a word: its text, read by jansson alone, is the same value. */
static void compare_scalar(VarlinkCursor *c, const json_t *json)
{
        const VarlinkNode *node;
        char first = *c->at;
        uint32_t index;

        ASSERT(varlink_cursor_node(c, 1, &index) == 0);
        ASSERT(varlink_cursor_value(c, NULL, index) == 0);
        node = varlink_node(c->scan, index);
        c->scan->n_nodes--;
        if (first == '"')
                compare_string(varlink_slice(c->scan, node), json);
        else if (first == 't' || first == 'f')
                ASSERT(json_is_boolean(json) && varlink_bool(c->scan, node) == json_is_true(json));
        else if (first == 'n')
                ASSERT(json_is_null(json));
        else if (json_is_integer(json))
                ASSERT(varlink_int(c->scan, node) == json_integer_value(json));
        else
                ASSERT(json_is_real(json) &&
                       same_number(varlink_float(c->scan, node), json_real_value(json)));
}

void compare_value(VarlinkCursor *c, const json_t *json)
{
        ASSERT(json);
        if (*c->at == '{')
                compare_object(c, json);
        else if (*c->at == '[')
                compare_array(c, json);
        else
                compare_scalar(c, json);
}

/* The range of bytes, read by jansson alone, is the same value. */
static void compare_range(Slice range, const json_t *json)
{
        json_t *alone =
                json_loadb(range.data, range.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

        ASSERT(alone && json_equal(alone, json));
        json_decref(alone);
}

static void compare_struct(const VarlinkScan *scan, const VarlinkType *type,
                           const VarlinkNode *node, const json_t *json)
{
        size_t known = 0;

        for (unsigned i = 0; i < type->n_fields; i++) {
                char name[256];
                const json_t *field;

                (void)snprintf(name, sizeof(name), "%.*s", (int)type->fields[i].name.len,
                               type->fields[i].name.data);
                field = json_object_get(json, name);
                known += field != NULL;
                compare_node(scan, &type->fields[i].value, varlink_field(scan, node, i), field);
        }
        ASSERT(known == json_object_size(json));
}

static void compare_elements(const VarlinkScan *scan, const VarlinkType *type, uint32_t first,
                             const json_t *json)
{
        size_t n = 0;

        for (uint32_t i = first; i; i = varlink_node(scan, i)->next) {
                ASSERT(n < json_array_size(json));
                compare_node(scan, &type->element, varlink_node(scan, i),
                             json_array_get(json, n++));
        }
        ASSERT(n == json_array_size(json));
}

void compare_node(const VarlinkScan *scan, const VarlinkRef *ref, const VarlinkNode *node,
                  const json_t *json)
{
        Slice range = varlink_slice(scan, node);

        if (!node->present) {
                ASSERT(ref->nullable && (!json || json_is_null(json)));
                return;
        }
        ASSERT(json);
        ASSERT((size_t)node->offset + node->length <= scan->text.len);
        if (ref->type->kind == VARLINK_STRING || ref->type->kind == VARLINK_ENUM)
                compare_string(range, json);
        else
                compare_range(range, json);
        if (ref->type->kind == VARLINK_STRUCT)
                compare_struct(scan, ref->type, node, json);
        else if (ref->type->kind == VARLINK_ARRAY)
                compare_elements(scan, ref->type, node->child, json);
        else if (ref->type->kind == VARLINK_ENUM)
                ASSERT(node->child < ref->type->n_values &&
                       slice_is(ref->type->values[node->child], json_string_value(json)));
        else if (ref->type->kind == VARLINK_INT)
                ASSERT(json_is_integer(json));
        else if (ref->type->kind == VARLINK_OBJECT || ref->type->kind == VARLINK_MAP)
                ASSERT(json_is_object(json));
}

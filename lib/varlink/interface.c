/* SPDX-License-Identifier: MIT */

/* A recursive-descent parser. Names of types may be used before they are defined, so a use becomes
 * a pointer to an empty VarlinkType that the definition fills in; what is still empty at the end
 * is an error. Memory comes from an arena: the tree is built once and dropped as a whole. */

#include "varlink/interface.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/macros.h"

typedef struct VarlinkArena {
        struct VarlinkArena *previous;
        char bytes[];
} VarlinkArena;

/* A named type, perhaps not yet defined. */
typedef struct Named {
        struct Named *next;
        Slice name;
        VarlinkType *type;
        int used_on_line;
        bool defined;
} Named;

typedef struct Parser {
        const char *at, *end;
        int line;
        int depth;
        VarlinkArena **arena;
        Named *named;
        char *error;
        size_t error_size;
} Parser;

static const VarlinkType type_bool = { .kind = VARLINK_BOOL };
static const VarlinkType type_int = { .kind = VARLINK_INT };
static const VarlinkType type_float = { .kind = VARLINK_FLOAT };
static const VarlinkType type_string = { .kind = VARLINK_STRING };
static const VarlinkType type_object = { .kind = VARLINK_OBJECT };

static void *arena_alloc(VarlinkArena **arena, size_t size)
{
        VarlinkArena *block = calloc(1, sizeof(*block) + size);

        if (!block)
                return NULL;
        block->previous = *arena;
        *arena = block;
        return block->bytes;
}

PRINTF(2, 3) static int fail(Parser *p, const char *format, ...)
{
        va_list args;
        int n = snprintf(p->error, p->error_size, "line %d: ", p->line);

        va_start(args, format);
        if (n > 0 && (size_t)n < p->error_size)
                (void)vsnprintf(p->error + n, p->error_size - (size_t)n, format, args);
        va_end(args);
        return -EINVAL;
}

/* Skips blanks and comments; *comment becomes the run of comment lines just before what follows. */
static void skip(Parser *p, Slice *comment)
{
        const char *from = NULL;

        while (p->at < p->end) {
                if (*p->at == '#') {
                        if (!from)
                                from = p->at;
                        while (p->at < p->end && *p->at != '\n')
                                p->at++;
                        if (comment)
                                *comment = (Slice){ from, (size_t)(p->at - from) };
                } else if (isspace((unsigned char)*p->at)) {
                        if (*p->at == '\n') {
                                p->line++;
                                if (p->at + 1 < p->end && p->at[1] == '\n')
                                        from = NULL;
                        }
                        p->at++;
                } else {
                        break;
                }
        }
        if (comment && !from)
                *comment = (Slice){ NULL, 0 };
}

static bool accept(Parser *p, const char *token)
{
        size_t n = strlen(token);

        skip(p, NULL);
        if ((size_t)(p->end - p->at) < n || memcmp(p->at, token, n) != 0)
                return false;
        p->at += n;
        return true;
}

static int expect(Parser *p, const char *token)
{
        return accept(p, token) ? 0 : fail(p, "expected '%s'", token);
}

static Slice word(Parser *p, const char *also)
{
        const char *from;

        skip(p, NULL);
        from = p->at;
        while (p->at < p->end &&
               (isalnum((unsigned char)*p->at) || (*p->at && strchr(also, *p->at))))
                p->at++;
        return (Slice){ from, (size_t)(p->at - from) };
}

/* [A-Z][A-Za-z0-9]* */
static int type_name(Parser *p, Slice *ret)
{
        *ret = word(p, "");
        if (!ret->len || !isupper((unsigned char)ret->data[0]))
                return fail(p, "expected a name that starts with a capital letter");
        return 0;
}

/* [A-Za-z]([_]?[A-Za-z0-9])* */
static int field_name(Parser *p, Slice *ret)
{
        *ret = word(p, "_");
        if (!ret->len || !isalpha((unsigned char)ret->data[0]) || ret->data[ret->len - 1] == '_')
                return fail(p, "expected the name of a field");
        return 0;
}

static int interface_name(Parser *p, Slice *ret)
{
        *ret = word(p, ".-");
        if (!ret->len || !isalpha((unsigned char)ret->data[0]) ||
            !memchr(ret->data, '.', ret->len) || ret->data[ret->len - 1] == '.')
                return fail(p, "expected an interface name like org.example.name");
        return 0;
}

static int use_name(Parser *p, Slice name, Named **ret)
{
        Named *n;

        for (n = p->named; n; n = n->next)
                if (slice_equal(n->name, name)) {
                        *ret = n;
                        return 0;
                }
        n = arena_alloc(p->arena, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->type = arena_alloc(p->arena, sizeof(*n->type));
        if (!n->type)
                return -ENOMEM;
        n->name = name;
        n->used_on_line = p->line;
        n->next = p->named;
        *ret = p->named = n;
        return 0;
}

static int parse_ref(Parser *p, VarlinkRef *ret);

static int parse_enum(Parser *p, VarlinkType *type, Slice first)
{
        Slice values[256];
        unsigned n = 0;
        Slice *kept;

        values[n++] = first;
        while (accept(p, ",")) {
                if (n == ELEMENTS(values))
                        return fail(p, "more than %zu values", ELEMENTS(values));
                if (field_name(p, &values[n]) < 0)
                        return -EINVAL;
                for (unsigned i = 0; i < n; i++)
                        if (slice_equal(values[i], values[n]))
                                return fail(p, "value '%.*s' is there twice", (int)values[n].len,
                                            values[n].data);
                n++;
        }
        kept = arena_alloc(p->arena, n * sizeof(*kept));
        if (!kept)
                return -ENOMEM;
        memcpy(kept, values, n * sizeof(*kept));
        type->kind = VARLINK_ENUM;
        type->values = kept;
        type->n_values = n;
        return expect(p, ")");
}

static int parse_fields(Parser *p, VarlinkType *type, Slice first)
{
        VarlinkField fields[VARLINK_MAX_FIELDS], *kept;
        unsigned n = 0;
        int r;

        fields[0].name = first;
        for (;;) {
                r = parse_ref(p, &fields[n].value);
                if (r < 0)
                        return r;
                for (unsigned i = 0; i < n; i++)
                        if (slice_equal(fields[i].name, fields[n].name))
                                return fail(p, "field '%.*s' is there twice",
                                            (int)fields[n].name.len, fields[n].name.data);
                n++;
                if (!accept(p, ","))
                        break;
                if (n == ELEMENTS(fields))
                        return fail(p, "more than %zu fields", ELEMENTS(fields));
                if (field_name(p, &fields[n].name) < 0 || expect(p, ":") < 0)
                        return -EINVAL;
        }
        kept = arena_alloc(p->arena, n * sizeof(*kept));
        if (!kept)
                return -ENOMEM;
        memcpy(kept, fields, n * sizeof(*kept));
        type->kind = VARLINK_STRUCT;
        type->fields = kept;
        type->n_fields = n;
        return expect(p, ")");
}

/* "(a, b)" is an enum, "(a: int)" and "()" are structs. */
static int parse_group(Parser *p, VarlinkType *type)
{
        Slice first;
        int r;

        r = expect(p, "(");
        if (r < 0)
                return r;
        if (accept(p, ")")) {
                type->kind = VARLINK_STRUCT;
                return 0;
        }
        r = field_name(p, &first);
        if (r < 0)
                return r;
        return accept(p, ":") ? parse_fields(p, type, first) : parse_enum(p, type, first);
}

static int parse_element(Parser *p, VarlinkKind kind, VarlinkRef *ret)
{
        VarlinkType *type = arena_alloc(p->arena, sizeof(*type));

        if (!type)
                return -ENOMEM;
        type->kind = kind;
        ret->type = type;
        return parse_ref(p, &type->element);
}

static int parse_named_ref(Parser *p, VarlinkRef *ret)
{
        static const struct {
                const char *name;
                const VarlinkType *type;
        } basic[] = { { "bool", &type_bool },
                      { "int", &type_int },
                      { "float", &type_float },
                      { "string", &type_string },
                      { "object", &type_object } };
        Named *named;
        Slice name = word(p, "");
        int r;

        for (size_t i = 0; i < ELEMENTS(basic); i++)
                if (slice_is(name, basic[i].name)) {
                        ret->type = basic[i].type;
                        return 0;
                }
        if (!name.len || !isupper((unsigned char)name.data[0]))
                return fail(p, "expected a type");
        r = use_name(p, name, &named);
        if (r < 0)
                return r;
        ret->type = named->type;
        return 0;
}

static int parse_ref(Parser *p, VarlinkRef *ret)
{
        VarlinkType *group;
        int r;

        *ret = (VarlinkRef){ NULL, accept(p, "?") };
        if (++p->depth > 32)
                return fail(p, "types are nested more than 32 deep");
        if (accept(p, "[string]")) {
                r = parse_element(p, VARLINK_MAP, ret);
        } else if (accept(p, "[]")) {
                r = parse_element(p, VARLINK_ARRAY, ret);
        } else if (skip(p, NULL), p->at < p->end && *p->at == '(') {
                group = arena_alloc(p->arena, sizeof(*group));
                if (!group)
                        return -ENOMEM;
                ret->type = group;
                r = parse_group(p, group);
        } else {
                r = parse_named_ref(p, ret);
        }
        p->depth--;
        return r;
}

static int parse_struct(Parser *p, const VarlinkType **ret)
{
        VarlinkType *type = arena_alloc(p->arena, sizeof(*type));
        int r;

        if (!type)
                return -ENOMEM;
        r = parse_group(p, type);
        if (r < 0)
                return r;
        if (type->kind != VARLINK_STRUCT)
                return fail(p, "expected fields like (name: type)");
        *ret = type;
        return 0;
}

static int parse_typedef(Parser *p, VarlinkMember *member)
{
        Named *named;
        int r = use_name(p, member->name, &named);

        if (r < 0)
                return r;
        if (named->defined)
                return fail(p, "type '%.*s' is defined twice", (int)member->name.len,
                            member->name.data);
        named->defined = true;
        member->in = named->type;
        return parse_group(p, named->type);
}

typedef struct Members {
        VarlinkMember *items;
        unsigned n;
} Members;

static int members_add(Parser *p, Members *m, const VarlinkMember *member)
{
        VarlinkMember *items;

        if (varlink_find(m->items, m->n, member->name))
                return fail(p, "'%.*s' is defined twice", (int)member->name.len, member->name.data);
        if (m->n % 8 == 0) {
                items = arena_alloc(p->arena, (m->n + 8) * sizeof(*items));
                if (!items)
                        return -ENOMEM;
                if (m->n)
                        memcpy(items, m->items, m->n * sizeof(*items));
                m->items = items;
        }
        m->items[m->n++] = *member;
        return 0;
}

static int parse_member(Parser *p, Slice comment, Members *types, Members *methods, Members *errors)
{
        VarlinkMember member = { .comment = comment };
        Members *to;
        Slice keyword = word(p, "");
        int r;

        if (slice_is(keyword, "type"))
                to = types;
        else if (slice_is(keyword, "method"))
                to = methods;
        else if (slice_is(keyword, "error"))
                to = errors;
        else
                return fail(p, "expected 'type', 'method' or 'error'");
        r = type_name(p, &member.name);
        if (r < 0)
                return r;
        if (to == types) {
                r = parse_typedef(p, &member);
        } else {
                r = parse_struct(p, &member.in);
                if (r == 0 && to == methods) {
                        r = expect(p, "->");
                        if (r == 0)
                                r = parse_struct(p, &member.out);
                }
        }
        return r < 0 ? r : members_add(p, to, &member);
}

static int parse_interface(Parser *p, VarlinkInterface *interface)
{
        Members types = { 0 }, methods = { 0 }, errors = { 0 };
        Slice comment;
        int r;

        if (!slice_is(word(p, ""), "interface"))
                return fail(p, "expected 'interface'");
        r = interface_name(p, &interface->name);
        if (r < 0)
                return r;
        for (skip(p, &comment); p->at < p->end; skip(p, &comment)) {
                r = parse_member(p, comment, &types, &methods, &errors);
                if (r < 0)
                        return r;
        }
        for (Named *n = p->named; n; n = n->next)
                if (!n->defined) {
                        p->line = n->used_on_line;
                        return fail(p, "type '%.*s' is not defined", (int)n->name.len,
                                    n->name.data);
                }
        interface->types = types.items;
        interface->n_types = types.n;
        interface->methods = methods.items;
        interface->n_methods = methods.n;
        interface->errors = errors.items;
        interface->n_errors = errors.n;
        return 0;
}

static void arena_free(VarlinkArena *arena)
{
        while (arena) {
                VarlinkArena *previous = arena->previous;

                free(arena);
                arena = previous;
        }
}

DEFINE_CLEANUP(VarlinkArena, arena_free);

int varlink_interface_new(VarlinkInterface **ret, Slice text, char *error, size_t size)
{
        AUTO(arena_free) VarlinkArena *arena = NULL;
        VarlinkInterface *interface;
        Parser p = { .line = 1, .arena = &arena, .error = error, .error_size = size };
        char *copy;
        int r;

        if (size)
                error[0] = '\0';
        interface = arena_alloc(&arena, sizeof(*interface));
        copy = interface ? arena_alloc(&arena, text.len + 1) : NULL;
        if (!copy)
                return -ENOMEM;
        if (text.len)
                memcpy(copy, text.data, text.len);
        interface->text = (Slice){ copy, text.len };
        p.at = copy;
        p.end = copy + text.len;
        r = parse_interface(&p, interface);
        if (r < 0)
                return r;
        interface->arena = MOVE_PTR(arena);
        *ret = interface;
        return 0;
}

void varlink_interface_free(VarlinkInterface *interface)
{
        if (interface)
                arena_free(interface->arena); /* it lives in there itself */
}

const VarlinkMember *varlink_find(const VarlinkMember *members, unsigned n, Slice name)
{
        for (unsigned i = 0; i < n; i++)
                if (slice_equal(members[i].name, name))
                        return &members[i];
        return NULL;
}

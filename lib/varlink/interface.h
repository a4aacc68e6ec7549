/* SPDX-License-Identifier: MIT */
#pragma once

/* A Varlink interface file, parsed (https://varlink.org/Interface-Definition).
 *
 * The result is a tree of types that the scanner walks while it reads a message. Everything in it
 * belongs to the interface and lives as long; strings point into a copy of the text. */

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

typedef enum VarlinkKind {
        VARLINK_BOOL,
        VARLINK_INT,
        VARLINK_FLOAT,
        VARLINK_STRING,
        VARLINK_OBJECT, /* any JSON object */
        VARLINK_STRUCT,
        VARLINK_ENUM,
        VARLINK_ARRAY,
        VARLINK_MAP, /* from strings to elements */
} VarlinkKind;

typedef struct VarlinkType VarlinkType;

/* One use of a type: `?` belongs to the use. */
typedef struct VarlinkRef {
        const VarlinkType *type;
        bool nullable;
} VarlinkRef;

typedef struct VarlinkField {
        Slice name;
        VarlinkRef value;
} VarlinkField;

struct VarlinkType {
        VarlinkKind kind;
        unsigned n_fields;          /* STRUCT: at most VARLINK_MAX_FIELDS */
        const VarlinkField *fields; /* STRUCT */
        unsigned n_values;          /* ENUM */
        const Slice *values;        /* ENUM */
        VarlinkRef element;         /* ARRAY, MAP */
};

enum { VARLINK_MAX_FIELDS = 64 };

/* A `type`, `method` or `error`. */
typedef struct VarlinkMember {
        Slice name;
        Slice comment;         /* the comment lines above it, with their # */
        const VarlinkType *in; /* the type; a method's input; an error's parameters */
        const VarlinkType *out; /* a method's output, else NULL */
} VarlinkMember;

typedef struct VarlinkInterface {
        Slice name; /* "io.brood" */
        Slice text; /* as it was given */
        const VarlinkMember *types, *methods, *errors;
        unsigned n_types, n_methods, n_errors;
        struct VarlinkArena *arena;
} VarlinkInterface;

/* Parses an interface file. Returns 0 and the interface (ended with varlink_interface_free), or
 * -EINVAL with a message "line N: what was expected" in error[0..size), or -ENOMEM. */
int varlink_interface_new(VarlinkInterface **ret, Slice text, char *error, size_t size);
void varlink_interface_free(VarlinkInterface *interface);

/* The member with this name, or NULL. */
const VarlinkMember *varlink_find(const VarlinkMember *members, unsigned n, Slice name);

/* SPDX-License-Identifier: MIT */

/* varlink-constants IN.varlink OUT.h: the numbers by which C code names the parts of an interface.
 *
 *     IO_BROOD_TEXT                          the file, as a string literal
 *     IO_BROOD_SUBMIT                        a method's index
 *     IO_BROOD_SUBMIT_IN_JOB, …_OUT_ID       a field's index in its input or output
 *     IO_BROOD_SPEC_HANDLER                  a field's index in a type
 *     IO_BROOD_STATE_QUEUED                  a value's index in an enum type
 *     IO_BROOD_SPEC_DURABILITY_FSYNC         the same for an enum inside a field */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "varlink/interface.h"

/* PREFIX_NAME in capitals; "StartMethod" becomes START_METHOD. */
static void append_name(char *to, size_t size, Slice name)
{
        size_t n = strlen(to);

        if (n && n + 1 < size)
                to[n++] = '_';
        for (size_t i = 0; i < name.len && n + 2 < size; i++) {
                char c = name.data[i];

                if (i && isupper((unsigned char)c) && islower((unsigned char)name.data[i - 1]))
                        to[n++] = '_';
                to[n++] = c == '.' || c == '-' ? '_' : (char)toupper((unsigned char)c);
        }
        to[n] = '\0';
}

static void write_type(FILE *out, const char *prefix, const VarlinkType *type)
{
        char name[256];

        if (type->kind == VARLINK_ENUM)
                for (unsigned i = 0; i < type->n_values; i++) {
                        (void)snprintf(name, sizeof(name), "%s", prefix);
                        append_name(name, sizeof(name), type->values[i]);
                        fprintf(out, "        %s = %u,\n", name, i);
                }
        if (type->kind != VARLINK_STRUCT)
                return;
        for (unsigned i = 0; i < type->n_fields; i++) {
                (void)snprintf(name, sizeof(name), "%s", prefix);
                append_name(name, sizeof(name), type->fields[i].name);
                fprintf(out, "        %s = %u,\n", name, i);
        }
}

/* Enums that stand inside a field, without a name of their own. */
static void write_inner_enums(FILE *out, const VarlinkInterface *interface, const char *prefix,
                              const VarlinkType *type)
{
        for (unsigned i = 0; type->kind == VARLINK_STRUCT && i < type->n_fields; i++) {
                const VarlinkType *inner = type->fields[i].value.type;
                char name[256];
                unsigned k;

                for (k = 0; k < interface->n_types; k++)
                        if (interface->types[k].in == inner)
                                break;
                if (k < interface->n_types || inner->kind != VARLINK_ENUM)
                        continue;
                (void)snprintf(name, sizeof(name), "%s", prefix);
                append_name(name, sizeof(name), type->fields[i].name);
                write_type(out, name, inner);
        }
}

static void write_text(FILE *out, const char *prefix, Slice text)
{
        fprintf(out, "#define %s_TEXT \\\n        \"", prefix);
        for (size_t i = 0; i < text.len; i++) {
                char c = text.data[i];

                if (c == '\n')
                        fprintf(out, i + 1 < text.len ? "\\n\" \\\n        \"" : "\\n");
                else if (c == '"' || c == '\\')
                        fprintf(out, "\\%c", c);
                else
                        fputc(c, out);
        }
        fprintf(out, "\"\n\n");
}

static void write_header(FILE *out, const VarlinkInterface *interface)
{
        char prefix[128] = "", name[256];

        append_name(prefix, sizeof(prefix), interface->name);
        fprintf(out, "/* Made from the interface file of %.*s. */\n#pragma once\n\n",
                (int)interface->name.len, interface->name.data);
        write_text(out, prefix, interface->text);
        fprintf(out, "enum {\n");
        for (unsigned i = 0; i < interface->n_types; i++) {
                (void)snprintf(name, sizeof(name), "%s", prefix);
                append_name(name, sizeof(name), interface->types[i].name);
                write_type(out, name, interface->types[i].in);
                write_inner_enums(out, interface, name, interface->types[i].in);
        }
        for (unsigned i = 0; i < interface->n_methods; i++) {
                const VarlinkMember *m = &interface->methods[i];
                size_t n;

                (void)snprintf(name, sizeof(name), "%s", prefix);
                append_name(name, sizeof(name), m->name);
                fprintf(out, "        %s = %u,\n", name, i);
                n = strlen(name);
                append_name(name, sizeof(name), SLICE("in"));
                write_type(out, name, m->in);
                write_inner_enums(out, interface, name, m->in);
                name[n] = '\0';
                append_name(name, sizeof(name), SLICE("out"));
                write_type(out, name, m->out);
                write_inner_enums(out, interface, name, m->out);
        }
        for (unsigned i = 0; i < interface->n_errors; i++) {
                (void)snprintf(name, sizeof(name), "%s", prefix);
                append_name(name, sizeof(name), SLICE("error"));
                append_name(name, sizeof(name), interface->errors[i].name);
                fprintf(out, "        %s = %u,\n", name, i);
                write_type(out, name, interface->errors[i].in);
        }
        fprintf(out, "};\n");
}

int main(int argc, char **argv)
{
        static char text[1 << 20];
        char error[256];
        VarlinkInterface *interface;
        FILE *in = argc == 3 ? fopen(argv[1], "r") : NULL, *out;
        size_t n;

        if (!in) {
                fprintf(stderr, "usage: varlink-constants IN.varlink OUT.h\n");
                return 2;
        }
        n = fread(text, 1, sizeof(text), in);
        fclose(in);
        if (varlink_interface_new(&interface, (Slice){ text, n }, error, sizeof(error)) < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], error);
                return 1;
        }
        out = fopen(argv[2], "w");
        if (!out) {
                fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
                return 1;
        }
        write_header(out, interface);
        varlink_interface_free(interface);
        return fclose(out) == 0 ? 0 : 1;
}

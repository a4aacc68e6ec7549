/* SPDX-License-Identifier: MIT */

#include "varlink/message.h"

#include <string.h>

#include "base/macros.h"
#include "varlink/json.h"

typedef struct Envelope {
        VarlinkCursor cursor;
        uint32_t root;       /* the node of the parameters */
        Slice raw;           /* the parameters as text; empty: not there */
        bool typed;          /* root was read with a type */
        bool wrong;          /* and did not fit, before anything else was wrong */
} Envelope;

static int envelope_begin(Envelope *e, VarlinkScan *scan, Slice text)
{
        uint32_t none;
        int r;

        *e = (Envelope){ 0 };
        if (text.len > INT32_MAX)
                return VARLINK_E_SYNTAX;
        varlink_cursor_init(&e->cursor, scan, text);
        r = varlink_cursor_node(&e->cursor, 1, &none);
        if (r == 0)
                r = varlink_cursor_node(&e->cursor, 1, &e->root);
        if (r)
                return r;
        varlink_cursor_space(&e->cursor);
        if (e->cursor.at >= e->cursor.end || *e->cursor.at != '{')
                return VARLINK_E_SYNTAX;
        e->cursor.at++;
        e->cursor.depth = 1;
        varlink_cursor_space(&e->cursor);
        return 0;
}

static bool envelope_empty(Envelope *e)
{
        return e->cursor.at < e->cursor.end && *e->cursor.at == '}';
}

/* After a member: 1 if another follows, 0 at the end of the message, else a VARLINK_E_. */
static int envelope_more(Envelope *e, bool *more)
{
        VarlinkCursor *c = &e->cursor;

        varlink_cursor_space(c);
        if (c->at >= c->end)
                return VARLINK_E_SYNTAX;
        *more = *c->at == ',';
        if (!*more && *c->at != '}')
                return VARLINK_E_SYNTAX;
        c->at++;
        if (*more)
                return 0;
        varlink_cursor_space(c);
        return c->at == c->end ? 0 : VARLINK_E_SYNTAX;
}

/* Reads the parameters with the type, if it is known by now. */
static int envelope_parameters(Envelope *e, const VarlinkType *type)
{
        const char *from = e->cursor.at;
        bool faulty = e->cursor.faulty;
        VarlinkRef ref = { type, true };
        int r;

        e->typed = type != NULL;
        r = varlink_cursor_value(&e->cursor, type ? &ref : NULL, e->root);
        e->raw = (Slice){ from, (size_t)(e->cursor.at - from) };
        e->wrong = !faulty && e->cursor.faulty;
        return r;
}

/* What was read as a method's output turns out to be an error's parameters. */
static int envelope_reread(Envelope *e, const VarlinkType *type)
{
        VarlinkCursor *c = &e->cursor;
        const char *after = c->at;
        int r;

        if (e->wrong) {
                c->faulty = false;
                c->scan->fault[0] = '\0';
        }
        c->scan->nodes[e->root] = (VarlinkNode){ 0 };
        c->at = e->raw.data;
        r = envelope_parameters(e, type);
        c->at = after;
        return r;
}

/* Reads them again, now with the type; parameters that are not there are an empty struct. */
static int envelope_retype(Envelope *e, const VarlinkType *type)
{
        VarlinkScan *scan = e->cursor.scan;
        VarlinkRef ref = { type, false };
        uint32_t root;
        int r;

        if (e->typed && scan->nodes[e->root].present)
                return 0;
        r = varlink_cursor_node(&e->cursor, 1, &root);
        if (r)
                return r;
        e->root = root;
        if (!e->raw.len || slice_is(e->raw, "null")) {
                uint32_t child;

                r = varlink_cursor_node(&e->cursor, MAX(type->n_fields, 1u), &child);
                if (r)
                        return r;
                scan->nodes[root].child = child;
                for (unsigned i = 0; i < type->n_fields; i++)
                        if (!type->fields[i].value.nullable)
                                varlink_cursor_fault(&e->cursor, type->fields[i].name);
                return 0;
        }
        e->cursor.at = e->raw.data;
        e->cursor.end = e->raw.data + e->raw.len;
        return varlink_cursor_value(&e->cursor, &ref, root);
}

/* Reads a value that has to be a bool or null. */
static int read_flag(Envelope *e, const char *name, bool *ret)
{
        const char *at = e->cursor.at;
        uint32_t index;
        int r = varlink_cursor_node(&e->cursor, 1, &index);

        if (r)
                return r;
        r = varlink_cursor_value(&e->cursor, NULL, index);
        if (r)
                return r;
        switch (*at) {
        case 't':
                *ret = true;
                break;
        case 'f':
        case 'n':
                *ret = false;
                break;
        default:
                varlink_cursor_fault(&e->cursor, slice_of(name));
        }
        return 0;
}

/* Reads a value that has to be a string without escapes. */
static int read_name(Envelope *e, const char *name, Slice *ret)
{
        const char *at = e->cursor.at;
        VarlinkNode *node;
        uint32_t index;
        int r = varlink_cursor_node(&e->cursor, 1, &index);

        if (r)
                return r;
        r = varlink_cursor_value(&e->cursor, NULL, index);
        if (r)
                return r;
        node = &e->cursor.scan->nodes[index];
        if (*at == '"' && !node->escaped)
                *ret = (Slice){ e->cursor.scan->text.data + node->offset, node->length };
        else
                varlink_cursor_fault(&e->cursor, slice_of(name));
        return 0;
}

static Slice key_text(Envelope *e, const VarlinkNode *key)
{
        return (Slice){ e->cursor.scan->text.data + key->offset, key->length };
}

/* Splits "org.example.Method"; finds both. */
static int find_method(Slice name, const VarlinkInterface *const *interfaces, unsigned n,
                       VarlinkMessage *m, Slice *fault)
{
        const char *dot = name.len ? memrchr(name.data, '.', name.len) : NULL;
        Slice interface, method;

        *fault = name;
        if (!dot)
                return VARLINK_E_INTERFACE;
        interface = (Slice){ name.data, (size_t)(dot - name.data) };
        method = (Slice){ dot + 1, name.len - interface.len - 1 };
        for (unsigned i = 0; i < n; i++)
                if (slice_equal(interfaces[i]->name, interface)) {
                        m->interface = interfaces[i];
                        m->method = varlink_find(m->interface->methods, m->interface->n_methods,
                                                 method);
                        return m->method ? 0 : VARLINK_E_METHOD;
                }
        *fault = interface;
        return VARLINK_E_INTERFACE;
}

static void set_fault(VarlinkScan *scan, Slice name)
{
        size_t n = MIN(name.len, sizeof(scan->fault) - 1);

        memcpy(scan->fault, name.data, n);
        scan->fault[n] = '\0';
        while (n && !json_is_text((Slice){ scan->fault, n }))
                scan->fault[--n] = '\0';
}

enum { SEEN_METHOD = 1, SEEN_PARAMETERS = 2, SEEN_MORE = 4, SEEN_ONEWAY = 8, SEEN_UPGRADE = 16 };

static unsigned call_key(Slice key)
{
        static const char *const keys[] = { "method", "parameters", "more", "oneway", "upgrade" };

        for (unsigned i = 0; i < ELEMENTS(keys); i++)
                if (slice_is(key, keys[i]))
                        return 1u << i;
        return 0;
}

static int read_call_member(Envelope *e, const VarlinkInterface *const *interfaces, unsigned n,
                            VarlinkMessage *m, Slice *name, unsigned *seen)
{
        VarlinkNode key = { 0 };
        uint32_t ignored;
        unsigned which;
        Slice fault;
        int r = varlink_cursor_key(&e->cursor, &key);

        if (r)
                return r;
        which = call_key(key_text(e, &key));
        if (!which || *seen & which) {
                varlink_cursor_fault(&e->cursor, key_text(e, &key));
                r = varlink_cursor_node(&e->cursor, 1, &ignored);
                return r ? r : varlink_cursor_value(&e->cursor, NULL, ignored);
        }
        *seen |= which;
        switch (which) {
        case SEEN_METHOD:
                r = read_name(e, "method", name);
                if (r == 0 && name->len)
                        (void)find_method(*name, interfaces, n, m, &fault); /* told at the end */
                return r;
        case SEEN_PARAMETERS:
                return envelope_parameters(e, m->method ? m->method->in : NULL);
        case SEEN_MORE:
                return read_flag(e, "more", &m->more);
        case SEEN_ONEWAY:
                return read_flag(e, "oneway", &m->oneway);
        default:
                return read_flag(e, "upgrade", &m->upgrade);
        }
}

int varlink_message_scan(VarlinkScan *scan, Slice text, const VarlinkInterface *const *interfaces,
                         unsigned n_interfaces, VarlinkMessage *ret)
{
        VarlinkMessage m = { 0 };
        Slice name = { NULL, 0 }, fault;
        unsigned seen = 0;
        bool more;
        Envelope e;
        int r = envelope_begin(&e, scan, text);

        if (r)
                return r;
        if (envelope_empty(&e)) {
                r = envelope_more(&e, &more);
                if (r)
                        return r;
        } else {
                do {
                        r = read_call_member(&e, interfaces, n_interfaces, &m, &name, &seen);
                        if (r == 0)
                                r = envelope_more(&e, &more);
                        if (r)
                                return r;
                } while (more);
        }
        *ret = m;
        if (!(seen & SEEN_METHOD))
                varlink_cursor_fault(&e.cursor, SLICE("method"));
        if (seen & SEEN_METHOD && name.data) {
                r = find_method(name, interfaces, n_interfaces, &m, &fault);
                if (r) {
                        set_fault(scan, fault);
                        return r;
                }
        }
        if (!e.cursor.faulty && m.method) {
                r = envelope_retype(&e, m.method->in);
                if (r)
                        return r;
        }
        ret->parameters = e.root;
        if (e.cursor.faulty && !scan->fault[0])
                set_fault(scan, SLICE("parameters"));
        return e.cursor.faulty ? VARLINK_E_PARAMETER : 0;
}

static const VarlinkMember *find_error(const VarlinkInterface *interface, Slice name)
{
        if (name.len <= interface->name.len ||
            memcmp(name.data, interface->name.data, interface->name.len) != 0 ||
            name.data[interface->name.len] != '.')
                return NULL;
        return varlink_find(interface->errors, interface->n_errors,
                            (Slice){ name.data + interface->name.len + 1,
                                     name.len - interface->name.len - 1 });
}

static int read_reply_member(Envelope *e, const VarlinkInterface *interface,
                             const VarlinkMember *method, VarlinkReply *reply, unsigned *seen)
{
        static const char *const keys[] = { "parameters", "error", "continues" };
        VarlinkNode key = { 0 };
        uint32_t ignored;
        unsigned i;
        int r = varlink_cursor_key(&e->cursor, &key);

        if (r)
                return r;
        for (i = 0; i < ELEMENTS(keys); i++)
                if (slice_is(key_text(e, &key), keys[i]))
                        break;
        if (i == ELEMENTS(keys) || *seen & 1u << i) {
                varlink_cursor_fault(&e->cursor, key_text(e, &key));
                r = varlink_cursor_node(&e->cursor, 1, &ignored);
                return r ? r : varlink_cursor_value(&e->cursor, NULL, ignored);
        }
        *seen |= 1u << i;
        if (i == 2)
                return read_flag(e, "continues", &reply->continues);
        if (i == 0) {
                if (!(*seen & 2))
                        return envelope_parameters(e, method->out);
                return envelope_parameters(e, reply->member ? reply->member->in : NULL);
        }
        r = read_name(e, "error", &reply->error);
        reply->member = r ? NULL : find_error(interface, reply->error);
        if (r == 0 && *seen & 1)
                r = envelope_reread(e, reply->member ? reply->member->in : NULL);
        return r;
}

int varlink_reply_scan(VarlinkScan *scan, Slice text, const VarlinkInterface *interface,
                       const VarlinkMember *method, VarlinkReply *ret)
{
        VarlinkReply reply = { 0 };
        const VarlinkType *type;
        unsigned seen = 0;
        bool more;
        Envelope e;
        int r = envelope_begin(&e, scan, text);

        if (r)
                return r;
        if (envelope_empty(&e)) {
                r = envelope_more(&e, &more);
                if (r)
                        return r;
        } else {
                do {
                        r = read_reply_member(&e, interface, method, &reply, &seen);
                        if (r == 0)
                                r = envelope_more(&e, &more);
                        if (r)
                                return r;
                } while (more);
        }
        type = reply.error.len ? (reply.member ? reply.member->in : NULL) : method->out;
        if (type && !e.cursor.faulty) {
                r = envelope_retype(&e, type);
                if (r)
                        return r;
        }
        reply.parameters = e.root;
        *ret = reply;
        return e.cursor.faulty ? VARLINK_E_PARAMETER : 0;
}

void varlink_write_call(Buffer *b, const char *method, unsigned flags)
{
        buffer_append_literal(b, "{\"method\":\"");
        buffer_append_string(b, method);
        buffer_append_char(b, '"');
        if (flags & VARLINK_MORE)
                buffer_append_literal(b, ",\"more\":true");
        if (flags & VARLINK_ONEWAY)
                buffer_append_literal(b, ",\"oneway\":true");
        buffer_append_literal(b, ",\"parameters\":{");
}

void varlink_write_reply(Buffer *b)
{
        buffer_append_literal(b, "{\"parameters\":{");
}

void varlink_write_error(Buffer *b, const char *error)
{
        buffer_append_literal(b, "{\"error\":\"");
        buffer_append_string(b, error);
        buffer_append_literal(b, "\",\"parameters\":{");
}

void varlink_write_end(Buffer *b, unsigned flags)
{
        if (flags & VARLINK_CONTINUES)
                buffer_append_literal(b, "},\"continues\":true}");
        else
                buffer_append_literal(b, "}}");
        buffer_append_char(b, '\0');
}

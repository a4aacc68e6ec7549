/* SPDX-License-Identifier: MIT */

#include "varlink/service.h"

#include <errno.h>
#include <stdlib.h>

#include "varlink/json.h"

/* https://varlink.org/Service: the members are the standard's, the words are ours. */
static const char service_text[] =
        "# What every Varlink service can be asked about itself.\n"
        "interface org.varlink.service\n"
        "\n"
        "# Who made this service, and the names of its interfaces.\n"
        "method GetInfo() -> (\n"
        "  vendor: string,\n"
        "  product: string,\n"
        "  version: string,\n"
        "  url: string,\n"
        "  interfaces: []string\n"
        ")\n"
        "\n"
        "# The text of one of these interfaces.\n"
        "method GetInterfaceDescription(interface: string) -> (description: string)\n"
        "\n"
        "# This service has no such interface.\n"
        "error InterfaceNotFound (interface: string)\n"
        "\n"
        "# The interface has no such method.\n"
        "error MethodNotFound (method: string)\n"
        "\n"
        "# The interface has this method, the service does not have it yet.\n"
        "error MethodNotImplemented (method: string)\n"
        "\n"
        "# A parameter is missing, unknown, twice there, or not what the interface says.\n"
        "error InvalidParameter (parameter: string)\n"
        "\n"
        "# This client may not do that.\n"
        "error PermissionDenied ()\n"
        "\n"
        "# This method answers several times: it wants to be called with 'more'.\n"
        "error ExpectedMore ()\n";

enum { MAX_SPARE_CALLS = 1024, KEEP_HELD = 4096 };

int varlink_service_init(VarlinkService *s)
{
        VarlinkInterface *interface;
        char error[128];
        int r = varlink_interface_new(&interface, SLICE(service_text), error, sizeof(error));

        if (r < 0)
                return r;
        s->interfaces[0] = interface;
        s->n_interfaces = 1;
        list_init(&s->spare_calls);
        if (!s->max_outstanding)
                s->max_outstanding = 1024;
        return 0;
}

void varlink_service_add(VarlinkService *s, const VarlinkInterface *interface)
{
        ASSERT(s->n_interfaces < ELEMENTS(s->interfaces));
        s->interfaces[s->n_interfaces++] = interface;
}

void varlink_service_fini(VarlinkService *s)
{
        VarlinkCall *call, *next;

        LIST_FOREACH_SAFE(&s->spare_calls, call, next, in_server) {
                list_remove(&call->in_server);
                buffer_fini(&call->held);
                free(call);
        }
        varlink_interface_free((VarlinkInterface *)s->interfaces[0]);
        varlink_scan_fini(&s->scan);
        buffer_fini(&s->scratch);
}

void varlink_server_init(VarlinkServer *server, VarlinkService *service, size_t max_message)
{
        *server = (VarlinkServer){ .service = service };
        varlink_stream_init(&server->in, max_message);
        list_init(&server->calls);
}

static VarlinkCall *call_new(VarlinkServer *server)
{
        VarlinkService *s = server->service;
        VarlinkCall *call = LIST_FIRST(&s->spare_calls, VarlinkCall, in_server);
        Buffer held = BUFFER_INIT;

        if (call) {
                list_remove(&call->in_server);
                s->n_spare_calls--;
                held = call->held;
        } else {
                call = malloc(sizeof(*call));
                if (!call)
                        return NULL;
        }
        *call = (VarlinkCall){ .server = server, .held = held };
        list_append(&server->calls, &call->in_server);
        server->n_calls++;
        return call;
}

static void call_free(VarlinkCall *call)
{
        VarlinkService *s = call->server->service;

        call->server->n_calls--;
        list_remove(&call->in_server);
        if (s->n_spare_calls < MAX_SPARE_CALLS) {
                buffer_clear(&call->held, KEEP_HELD);
                list_prepend(&s->spare_calls, &call->in_server);
                s->n_spare_calls++;
        } else {
                buffer_fini(&call->held);
                free(call);
        }
}

void varlink_server_fini(VarlinkServer *server)
{
        VarlinkCall *call, *next;

        LIST_FOREACH_SAFE(&server->calls, call, next, in_server) {
                if (!call->answered && server->service->gone)
                        server->service->gone(server, call);
                call_free(call);
        }
        varlink_stream_fini(&server->in);
        buffer_fini(&server->out);
}

static bool is_oldest(const VarlinkCall *call)
{
        return call->server->calls.next == &call->in_server;
}

/* Where the call's replies go just now. */
static Buffer *target(VarlinkCall *call)
{
        if (call->oneway)
                return &call->server->service->scratch;
        return is_oldest(call) ? &call->server->out : &call->held;
}

Buffer *varlink_reply_begin(VarlinkCall *call)
{
        Buffer *b = target(call);

        ASSERT(!call->answered);
        if (b == &call->held)
                call->server->held_bytes -= buffer_len(b);
        varlink_write_reply(b);
        return b;
}

Buffer *varlink_error_begin(VarlinkCall *call, const char *error)
{
        Buffer *b = target(call);

        ASSERT(!call->answered);
        if (b == &call->held)
                call->server->held_bytes -= buffer_len(b);
        varlink_write_error(b, error);
        if (call->server->service->refused)
                call->server->service->refused(call->server, error);
        return b;
}

/* The oldest calls are answered: let them go, and let out what the next one holds. */
static void advance(VarlinkServer *server)
{
        VarlinkCall *call;

        while ((call = LIST_FIRST(&server->calls, VarlinkCall, in_server))) {
                if (buffer_len(&call->held)) {
                        server->held_bytes -= buffer_len(&call->held);
                        buffer_append_slice(&server->out, buffer_slice(&call->held));
                        server->broken |= call->held.failed;
                        buffer_clear(&call->held, KEEP_HELD);
                }
                if (!call->answered)
                        return;
                call_free(call);
        }
}

void varlink_reply_end(VarlinkCall *call, bool continues)
{
        VarlinkServer *server = call->server;
        Buffer *b = target(call);

        ASSERT(!continues || call->more);
        varlink_write_end(b, continues ? VARLINK_CONTINUES : 0);
        server->broken |= b->failed;
        if (b == &call->held)
                server->held_bytes += buffer_len(b);
        else if (call->oneway)
                buffer_clear(b, KEEP_HELD);
        if (!continues) {
                call->answered = true;
                        advance(server);
        }
        if (server->service->output)
                server->service->output(server);
}

void varlink_reply_empty(VarlinkCall *call)
{
        (void)varlink_reply_begin(call);
        varlink_reply_end(call, false);
}

void varlink_invalid_parameter(VarlinkCall *call, const char *parameter)
{
        emit_string_member(varlink_error_begin(call, "org.varlink.service.InvalidParameter"),
                           "parameter", slice_of(parameter));
        varlink_reply_end(call, false);
}

static void get_info(VarlinkCall *call)
{
        VarlinkService *s = call->server->service;
        Buffer *b = varlink_reply_begin(call);

        emit_string_member(b, "vendor", slice_of(s->vendor));
        emit_string_member(b, "product", slice_of(s->product));
        emit_string_member(b, "version", slice_of(s->version));
        emit_string_member(b, "url", slice_of(s->url));
        emit_key(b, "interfaces");
        emit_open(b, '[');
        for (unsigned i = 0; i < s->n_interfaces; i++)
                emit_string(b, s->interfaces[i]->name);
        emit_close(b, ']');
        varlink_reply_end(call, false);
}

static void get_description(VarlinkCall *call, const VarlinkMessage *m, const VarlinkScan *scan)
{
        VarlinkService *s = call->server->service;
        const VarlinkNode *wanted = varlink_field(scan, varlink_node(scan, m->parameters), 0);
        Buffer *b;

        for (unsigned i = 0; i < s->n_interfaces; i++)
                if (slice_equal(s->interfaces[i]->name, varlink_slice(scan, wanted))) {
                        b = varlink_reply_begin(call);
                        emit_string_member(b, "description", s->interfaces[i]->text);
                        varlink_reply_end(call, false);
                        return;
                }
        b = varlink_error_begin(call, "org.varlink.service.InterfaceNotFound");
        emit_key(b, "interface");
        emit_escaped(b, varlink_slice(scan, wanted));
        varlink_reply_end(call, false);
}

static void refuse(VarlinkCall *call, int why, const char *fault)
{
        Buffer *b;

        if (why == VARLINK_E_INTERFACE) {
                b = varlink_error_begin(call, "org.varlink.service.InterfaceNotFound");
                emit_string_member(b, "interface", slice_of(fault));
        } else if (why == VARLINK_E_METHOD) {
                b = varlink_error_begin(call, "org.varlink.service.MethodNotFound");
                emit_string_member(b, "method", slice_of(fault));
        } else {
                varlink_invalid_parameter(call, fault);
                return;
        }
        varlink_reply_end(call, false);
}

/* One message. Returns 0, or -EPROTO where no answer makes sense. */
static int take_message(VarlinkServer *server, Slice text)
{
        VarlinkService *s = server->service;
        VarlinkMessage m = { 0 };
        VarlinkCall *call;
        int r = varlink_message_scan(&s->scan, text, s->interfaces, s->n_interfaces, &m);

        if (r < 0 || r == VARLINK_E_SYNTAX)
                return -EPROTO;
        call = call_new(server);
        if (!call)
                return -EPROTO;
        call->more = m.more;
        call->oneway = m.oneway;
        if (r == VARLINK_E_DEPTH) {
                server->broken = true; /* where the message ends well, nobody knows */
                varlink_invalid_parameter(call, "nesting");
        } else if (r) {
                refuse(call, r, s->scan.fault);
        } else if (m.interface == s->interfaces[0]) {
                if (m.method == &m.interface->methods[0])
                        get_info(call);
                else
                        get_description(call, &m, &s->scan);
        } else {
                s->call(server, call, &m, &s->scan);
        }
        return 0;
}

static int too_large(VarlinkServer *server)
{
        VarlinkCall *call = call_new(server);

        if (!call)
                return -EPROTO;
        server->broken = true;
        emit_int_member(varlink_error_begin(call, server->service->too_large), "limit_bytes",
                        (int64_t)server->in.max_message);
        varlink_reply_end(call, false);
        return 0;
}

int varlink_server_feed(VarlinkServer *server, const char *bytes, size_t n)
{
        Slice text;
        int r = 0, k;

        if (server->broken)
                return 0;
        if (n)
                r = varlink_stream_feed(&server->in, bytes, n);
        while (r == 0 && !server->broken && !varlink_server_full(server)) {
                k = varlink_stream_next(&server->in, &text);
                if (k == 0)
                        break;
                r = k < 0 ? too_large(server) : take_message(server, text);
        }
        k = varlink_stream_keep(&server->in);
        return r < 0 || k < 0 ? -EPROTO : 0;
}

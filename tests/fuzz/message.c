/* SPDX-License-Identifier: MIT */

/* What is accepted as a call or a reply is JSON for jansson too, and every field is where the
 * scanner says. */

#include "varlink/message.h"

#include "base/macros.h"
#include "compare.h"
#include "io.brood.Worker.h"
#include "io.brood.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static VarlinkScan scan; /* reused, as in a daemon */

static const VarlinkInterface *parse(const char *text)
{
        VarlinkInterface *interface;
        char error[128];

        ASSERT(varlink_interface_new(&interface, slice_of(text), error, sizeof(error)) == 0);
        return interface;
}

/* The parameters; absent, null and {} are the same. */
static void compare_parameters(const VarlinkType *type, uint32_t node, const json_t *parameters)
{
        VarlinkRef ref = { type, false };

        if (varlink_node(&scan, node)->present) {
                compare_node(&scan, &ref, varlink_node(&scan, node), parameters);
                return;
        }
        ASSERT(!parameters || json_is_null(parameters));
        for (unsigned i = 0; i < type->n_fields; i++)
                ASSERT(!varlink_field(&scan, varlink_node(&scan, node), i)->present);
}

static void try_call(Slice text, const VarlinkInterface *const *interfaces, const json_t *json)
{
        VarlinkMessage m;
        int r = varlink_message_scan(&scan, text, interfaces, 2, &m);

        ASSERT(r >= 0);
        if (r)
                return;
        ASSERT(json_is_object(json));
        ASSERT(m.more == json_is_true(json_object_get(json, "more")));
        ASSERT(m.oneway == json_is_true(json_object_get(json, "oneway")));
        ASSERT(m.upgrade == json_is_true(json_object_get(json, "upgrade")));
        compare_parameters(m.method->in, m.parameters, json_object_get(json, "parameters"));
}

static void try_reply(Slice text, const VarlinkInterface *interface, const VarlinkMember *method,
                      const json_t *json)
{
        VarlinkReply reply;
        int r = varlink_reply_scan(&scan, text, interface, method, &reply);

        ASSERT(r >= 0);
        if (r)
                return;
        ASSERT(json_is_object(json));
        ASSERT(reply.continues == json_is_true(json_object_get(json, "continues")));
        if (reply.error.len)
                compare_string(reply.error, json_object_get(json, "error"));
        if (!reply.error.len || reply.member)
                compare_parameters(reply.member ? reply.member->in : method->out, reply.parameters,
                                   json_object_get(json, "parameters"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const VarlinkInterface *interfaces[2];
        Slice text = { (const char *)data, size };
        json_t *json = json_loadb(text.data, size, JSON_REJECT_DUPLICATES, NULL);

        if (!interfaces[0]) {
                interfaces[0] = parse(IO_BROOD_TEXT);
                interfaces[1] = parse(IO_BROOD_WORKER_TEXT);
        }
        try_call(text, interfaces, json);
        try_reply(text, interfaces[1], &interfaces[1]->methods[IO_BROOD_WORKER_RUN], json);
        try_reply(text, interfaces[0], &interfaces[0]->methods[IO_BROOD_SUBMIT], json);
        json_decref(json);
        return 0;
}

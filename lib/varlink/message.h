/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls and replies: the envelope round the parameters (https://varlink.org/Method-Call).
 *
 * Reading is one pass where the envelope names the method before the parameters, as every writer we
 * know does; otherwise the parameters are read twice. Writing appends to a buffer. */

#include <stdbool.h>

#include "base/buffer.h"
#include "varlink/interface.h"
#include "varlink/scan.h"

/* Beside VARLINK_E_SYNTAX, _DEPTH and _PARAMETER: */
enum {
        VARLINK_E_INTERFACE = 16, /* no such interface: its name is in scan->fault */
        VARLINK_E_METHOD,         /* the interface has no such method: its full name is in fault */
};

/* A call, as ranges of the message. */
typedef struct VarlinkMessage {
        const VarlinkInterface *interface;
        const VarlinkMember *method;
        bool more, oneway, upgrade;
        uint32_t parameters; /* node: a struct of method->in */
} VarlinkMessage;

/* Reads one call. Returns 0, -ENOMEM or a VARLINK_E_; after _PARAMETER, _INTERFACE and _METHOD the
 * flags are set, so that the caller knows whether an answer is wanted. */
int varlink_message_scan(VarlinkScan *scan, Slice text, const VarlinkInterface *const *interfaces,
                         unsigned n_interfaces, VarlinkMessage *ret);

typedef struct VarlinkReply {
        Slice error;                 /* its full name; empty: none */
        const VarlinkMember *member; /* the error, if it is one of the interface; NULL: none, or a
                                        stranger's */
        bool continues;
        uint32_t parameters; /* node: a struct of method->out or member->in; else raw */
} VarlinkReply;

/* Reads one reply to a call of `method`. Returns 0, -ENOMEM or a VARLINK_E_. */
int varlink_reply_scan(VarlinkScan *scan, Slice text, const VarlinkInterface *interface,
                       const VarlinkMember *method, VarlinkReply *ret);

/* Writing: begin, members of the parameters with emit_…_member(), end. */
typedef enum VarlinkFlags {
        VARLINK_MORE = 1,
        VARLINK_ONEWAY = 2,
        VARLINK_CONTINUES = 4,
} VarlinkFlags;

void varlink_write_call(Buffer *b, const char *method, unsigned flags);
void varlink_write_reply(Buffer *b);
void varlink_write_error(Buffer *b, const char *error);
void varlink_write_end(Buffer *b, unsigned flags);

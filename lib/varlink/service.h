/* SPDX-License-Identifier: MIT */
#pragma once

/* A Varlink service and its connections, as a protocol object without input or output: bytes are
 * fed in, calls come out, replies gather in a buffer that a driver sends.
 *
 * Calls start when they are read; replies leave in the order of the calls, so what is written to a
 * call that is not the oldest waits in that call. org.varlink.service is answered here, and so are
 * calls of unknown interfaces and methods, and parameters that the interface file does not allow.
 */

#include <stdbool.h>

#include "base/buffer.h"
#include "base/list.h"
#include "varlink/message.h"
#include "varlink/stream.h"

typedef struct VarlinkServer VarlinkServer;
typedef struct VarlinkCall VarlinkCall;

/* One method of the service's own interfaces. `in` is a struct of the method's input; it and the
 * message are valid until the function returns, the call until it is answered or gone. */
typedef struct VarlinkService {
        const char *vendor, *product, *version, *url;
        const char *too_large; /* the error for a message over the limit, with `limit_bytes` */
        const VarlinkInterface *interfaces[4]; /* [0] is org.varlink.service */
        unsigned n_interfaces;
        void (*call)(VarlinkServer *server, VarlinkCall *call, const VarlinkMessage *m,
                     const VarlinkScan *scan);
        /* There is something to be sent; NULL: nobody asks. */
        void (*output)(VarlinkServer *server);
        /* A call is answered with this error; NULL: nobody asks. */
        void (*refused)(VarlinkServer *server, const char *error);
        /* The connection of an unanswered call is going: forget it. */
        void (*gone)(VarlinkServer *server, VarlinkCall *call);
        VarlinkScan scan; /* the message being read */
        Buffer scratch;   /* where replies go that nobody wants */
        List spare_calls;
        unsigned n_spare_calls;
        unsigned max_outstanding; /* calls of one connection; then it is not read */
        size_t max_backlog;       /* bytes of replies of one connection; the same; 0: no limit */
} VarlinkService;

/* An unanswered call. */
struct VarlinkCall {
        List in_server;
        VarlinkServer *server;
        Buffer held;      /* replies that wait for older calls */
        bool more, oneway;
        bool answered;    /* its last reply is written */
        void *owner;      /* of whoever answers it later; NULL: nobody yet */
        int owner_kind;   /* what that is, as its maker says; 0 at first */
};

struct VarlinkServer {
        VarlinkService *service;
        VarlinkStream in;
        Buffer out;
        List calls; /* unanswered, or answered and behind an unanswered one; oldest first */
        unsigned n_calls;
        size_t held_bytes; /* in their `held` buffers */
        bool broken;       /* nothing more is read; the driver closes when `out` is sent */
};

/* Prepares the service; interfaces are added with varlink_service_add(). Returns 0 or negative. */
int varlink_service_init(VarlinkService *s);
void varlink_service_add(VarlinkService *s, const VarlinkInterface *interface);
void varlink_service_fini(VarlinkService *s);

void varlink_server_init(VarlinkServer *server, VarlinkService *service, size_t max_message);
/* Tells `gone` of every unanswered call. */
void varlink_server_fini(VarlinkServer *server);

/* Reads as many calls as there are and as are allowed; bytes may be empty, to go on with what was
 * kept. Returns 0, or -EPROTO if the connection is to be dropped at once. */
int varlink_server_feed(VarlinkServer *server, const char *bytes, size_t n);

/* Bytes of replies that have not been taken. */
static inline size_t varlink_server_backlog(const VarlinkServer *server)
{
        return buffer_len(&server->out) + server->held_bytes;
}

/* Reading has stopped: too many calls are unanswered, or too many replies not taken. */
static inline bool varlink_server_full(const VarlinkServer *server)
{
        const VarlinkService *s = server->service;

        return server->n_calls >= s->max_outstanding ||
               (s->max_backlog && varlink_server_backlog(server) > s->max_backlog);
}

/* Answering. Begin returns the buffer for the members of the parameters; end closes it. Only a call
 * with `more` may be answered with `continues`; the last reply ends the call, which must then not
 * be touched. */
Buffer *varlink_reply_begin(VarlinkCall *call);
Buffer *varlink_error_begin(VarlinkCall *call, const char *error);
void varlink_reply_end(VarlinkCall *call, bool continues);

/* A reply without parameters. */
void varlink_reply_empty(VarlinkCall *call);

void varlink_invalid_parameter(VarlinkCall *call, const char *parameter);

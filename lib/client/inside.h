/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of lib/client share: the client, its calls, and how a function waits.
 *
 * Everything goes one way: parameters are written into a buffer of their own, checked, and then
 * appended to what is to be sent as one whole message with an entry in the list of calls; process()
 * takes replies off the connection and gives each to the first call of the list. A function that
 * waits starts its call as everybody does and processes until it is answered. */

#pragma GCC visibility push(default)
#include "brood/client.h"
#pragma GCC visibility pop

#include <stdbool.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "varlink/client.h"
#include "varlink/message.h"

#define JSON_EMPTY "{}"

typedef struct ClientCall {
        List link; /* in calls or spare */
        BroodReplied replied;
        void *context;
        bool more;
} ClientCall;

/* Why the last function failed; NULL: it did not, or it was not the daemon. */
typedef struct ClientError {
        char *words, *name, *parameters;
} ClientError;

struct BroodClient {
        VarlinkClient *varlink; /* NULL: never connected since it was lost */
        char *path;             /* NULL: opened from a descriptor */
        VarlinkScan scan;
        List calls, spare;
        size_t n_calls, n_spare;
        size_t limit;
        int64_t timeout, patience;
        unsigned generation;    /* of forks, when it was opened */
        int lost;               /* why the connection is of no use; 0: it is */
        unsigned inside;        /* callbacks that are running */
        bool closing;           /* freed when they have returned */
        BroodClient *side;      /* for calls that go on; opened when first needed */
        ClientError error;
};

/* --- words.c: why a function failed --- */

/* Keep the words; return `error`. */
int client_fail(BroodClient *c, int error, const char *format, ...) PRINTF(3, 4);
int client_fail_errno(BroodClient *c, int error);
/* The daemon answered with an error. */
int client_fail_reply(BroodClient *c, const BroodReply *reply);
/* A job that did not succeed. */
int client_fail_job(BroodClient *c, const BroodRecord *job);
void client_forget_error(BroodClient *c);
/* Take it out; put it in in place of what is there. */
ClientError client_take_error(BroodClient *c);
void client_put_error(BroodClient *c, ClientError error);
void client_error_clear(ClientError *error);

/* --- calls.c --- */

/* May functions be called now? 0, or -EDEADLK, -ECHILD, -ESHUTDOWN with words. */
int client_usable(BroodClient *c, bool waiting);

/* brood_client_process() without words. */
int client_process(BroodClient *c);

/* Writes a call down; `parameters` is what stands between the braces. */
int client_start(BroodClient *c, const char *method, bool more, const Buffer *parameters,
                 BroodReplied replied, void *context);

/* The same with three descriptors; sends it at once, waiting where it must. */
int client_start_fds(BroodClient *c, const char *method, const Buffer *parameters, const int *fds,
                     BroodReplied replied, void *context);

/* The connection is of no use any more: tells all calls. Returns `error`. */
int client_lose(BroodClient *c, int error);

/* Counts forks of the process, from the first time on. */
unsigned client_generation(void);

/* --- ask.c: functions that wait --- */

/* Told of each reply that is no error. 0, or what client_ask() returns; then it is told of no more.
 */
typedef int (*ClientRead)(const BroodReply *reply, void *to);

typedef struct ClientAsk {
        const char *method;
        const Buffer *parameters;
        const int *fds;    /* three that go along; NULL: none */
        ClientRead read;   /* NULL: nothing of it is wanted */
        void *to;
        bool more;
        bool once;         /* must not be repeated */
        bool timed;        /* the call itself waits, `timeout_usec`; with `more` all may take so
                              long */
        usec_t until;      /* if it is timed; monotonic */
} ClientAsk;

/* Returns 0, what `read` returned, or -errno with words. */
int client_ask(BroodClient *c, const ClientAsk *ask);

/* The same on a connection of its own where there can be one, for calls that go on. */
int client_ask_aside(BroodClient *c, const ClientAsk *ask);

/* A connection to the same daemon that is not opened yet; NULL without memory. */
BroodClient *client_second(const BroodClient *c);

/* Trying again, for those who do not leave it to client_ask(). */
typedef struct ClientPatience {
        usec_t began; /* the try before; 0: there was none */
        usec_t until; /* 0: none has failed */
        usec_t delay;
} ClientPatience;

/* After a try has ended so: is another one due? It has paused then. */
bool client_again(const BroodClient *c, ClientPatience *p, int result);

/* --- parameters.c: what is written; each returns 0, or -EINVAL with words --- */

int client_check_text(BroodClient *c, const char *what, const char *text);
int client_write_id(BroodClient *c, Buffer *b, const char *id);
int client_write_ids(BroodClient *c, Buffer *b, const BroodId *ids, size_t n, bool ordered);
/* "name":"value", unless it is NULL. */
int client_write_text(BroodClient *c, Buffer *b, const char *name, const char *value);
/* The text of an object, or with `inner` only what is between its braces. */
int client_write_object(BroodClient *c, Buffer *b, const char *what, const char *text, bool inner);
/* The id that the spec gives, or a new one. */
int client_choose_id(BroodClient *c, const BroodSpec *spec, BroodId *id);
/* {…} of a Spec with that id. */
int client_write_spec(BroodClient *c, Buffer *b, const BroodSpec *spec, const BroodId *id);
int client_write_watch(BroodClient *c, Buffer *b, const char *pool, unsigned kinds);

/* --- types.c: what is read --- */

typedef enum ClientShape {
        SHAPE_SUBMIT,
        SHAPE_SUBMIT_MANY,
        SHAPE_LIST,
        SHAPE_STATE,
        SHAPE_WHY,
        SHAPE_FOLLOW,
        SHAPE_WATCH,
} ClientShape;

/* Scans the parameters of a reply that is no error; its members are fields of *ret, which stays
 * good until the next scan. Members that are not known are passed over. Returns 0, -EBADMSG or
 * -ENOMEM. */
int client_scan(const BroodReply *reply, ClientShape shape, const VarlinkNode **ret);

/* A member of a struct; NULL if it is not there, or the struct is none. */
const VarlinkNode *client_field(const VarlinkScan *scan, const VarlinkNode *node, unsigned field);
BroodState client_state(const VarlinkScan *scan, const VarlinkNode *node);
/* A string or an id into room; false if it does not fit. */
bool client_text(const VarlinkScan *scan, const VarlinkNode *node, char *to, size_t size);

/* --- record.c --- */

/* From a node of a scan. Returns 0, -EBADMSG or -ENOMEM. */
int client_record(const VarlinkScan *scan, const VarlinkNode *node, BroodRecord **ret);

/* The result of a job that succeeded, else -EREMOTEIO with its words. Frees the record. (wait.c) */
int client_take_result(BroodClient *c, BroodRecord *record, char **ret);

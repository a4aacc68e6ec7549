/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls of io.brood and their replies.
 *
 *     Buffer *b = call_begin(ctl, "Get", 0);
 *     emit_string_member(b, "id", slice_of(id));
 *     status = call_finish(ctl, 0, &reply);
 *
 * Functions that return a status have said in words what was wrong; refused: STATUS_REFUSED. */

#include "ctl/ctl.h"
#include "varlink/json.h"
#include "varlink/message.h"

typedef struct Reply {
        char *text;         /* the whole message */
        Slice raw;          /* its parameters, as they came; an object */
        json_t *parameters; /* the same, parsed */
        char *error;        /* its full name, or NULL */
        bool continues;
} Reply;

#define REPLY_INIT { 0 }
void reply_fini(Reply *r);

static inline void reply_fini_cleanup(Reply *r)
{
        reply_fini(r);
}

/* Fills an empty one from a message. Returns 0, -EBADMSG if that is no reply, or -ENOMEM. */
int reply_parse(Reply *r, Slice text);

/* Writes the head of a call, and gives the buffer for its parameters. */
Buffer *call_begin(Ctl *ctl, const char *method, unsigned flags);

/* Ends what call_begin() began. It is sent with all others that were ended, by call_flush() or
 * call_send(); their replies come in the same order. */
void call_end(Ctl *ctl);

/* Sends what was ended. Returns a status. */
int call_flush(Ctl *ctl);

/* call_end() and call_flush(). */
int call_send(Ctl *ctl);

/* Waits until `timeout` from now for a reply, whatever it is. Returns a status; *ret->text is NULL
 * if the time was up. */
int call_receive(Ctl *ctl, usec_t timeout, Reply *ret);

/* Waits for a reply. With --json it is printed. Returns a status. */
int call_reply(Ctl *ctl, Reply *ret);

/* Says what is wrong with a reply that is there, or prints it with --json. Returns a status. */
int call_judge(const Ctl *ctl, const Reply *reply);

/* call_send() and call_reply(). */
int call_finish(Ctl *ctl, Reply *ret);

/* The whole of a call with nothing but (where it is not NULL) one string. Returns a status. */
int call_simple(Ctl *ctl, const char *method, const char *name, const char *value, Reply *ret);

/* Prints an object as --json prints the parameters of a reply. Returns a status. */
int call_print(const json_t *object);

/* Prints the parameters on one line. */
void reply_print(const Reply *r);

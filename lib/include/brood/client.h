/* SPDX-License-Identifier: MIT */
#pragma once

/* Jobs for broodd from C: hand in, wait, cancel, list, follow.
 *
 *     BroodClient *c;
 *     char *result;
 *
 *     if (brood_client_open(&c, NULL) == 0 &&
 *         brood_client_run(c, "celsius", "{\"fahrenheit\":110}", &result) == 0)
 *             puts(result);
 *
 * There are two layers on one connection. The functions of the first part wait for their answer.
 * Those of the second (brood_client_start…) only write the call down, as many as one likes; the
 * program polls brood_client_fd() in a loop of its own and brood_client_process() does the rest.
 *
 * *Results.* Functions return 0 or a negative errno:
 *   -EREMOTEIO   the daemon answered with an error, or the job did not succeed: see
 *                brood_client_error(), …_error_name(), …_error_parameters()
 *   -EINVAL      what was given is wrong; brood_client_error() says where. Nothing was sent.
 *   -ETIMEDOUT   the time is up: of a wait, or the one set with brood_client_set_timeout()
 *   -ECONNRESET, -EPIPE   the daemon has gone. Whether it has done what was asked is unknown.
 *   -EBADMSG     what came is no reply; -EMSGSIZE it is larger than the limit. Both end the
 *                connection.
 *   -ECONNREFUSED, -ENOENT, -EACCES, …   what connect(2) says
 *   -ENOTCONN    the connection was lost before, and cannot be made anew
 *   -EDEADLK     a function that waits was called where the client is at work: from a BroodReplied
 *   -ECHILD      the client was opened before fork() by the parent: open one of your own
 *   -ENOMEM
 *
 * *Lost connections.* The call that hears of it fails; the next function that waits connects anew.
 * A submit is always safe to repeat with the same id, and ids are made here unless one is given:
 * the daemon takes a job with an id that it knows as the same job. With brood_client_set_patience()
 * the client repeats by itself what can be repeated.
 *
 * *Threads.* A client belongs to one thread at a time; different clients have nothing in common. No
 * thread is started here, no signal is caught, and SIGPIPE is never raised.
 *
 * *Memory.* Strings in `char **` are to be given to free(). What is buffered is bounded by
 * brood_client_set_limit(). Text is UTF-8, JSON is text; times are microseconds, since the Unix
 * epoch or as spans; a negative timeout means for ever. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BroodClient BroodClient;

/* --- the client --- */

/* Connects. `socket` NULL: $BROOD_SOCKET, else the user's daemon if its socket is there, else
 * /run/brood/brood.sock; "@name" is an abstract one. */
int brood_client_open(BroodClient **ret, const char *socket);

/* The same with a connected stream socket, which the client then owns (also if this fails). It is
 * never connected anew, and what says "on a connection of its own" runs on this one. */
int brood_client_open_fd(BroodClient **ret, int fd);

/* Closes it. Calls that were started and are not answered are told -ECANCELED. May be called from a
 * BroodReplied: brood_client_process() then returns -ECANCELED, and the client is gone. In a child
 * of the process that opened it, only frees what the child has. */
void brood_client_close(BroodClient *client);

/* Connects anew; what is unanswered is told -ECANCELED. -ENOTSUP: opened from a descriptor. For
 * programs that poll: the descriptor is another one afterwards. */
int brood_client_reconnect(BroodClient *client);

/* How long functions that wait do so for a reply, beyond the time that the call itself waits (a
 * timeout of brood_client_wait()). A reply that comes later is dropped. At first for ever. */
void brood_client_set_timeout(BroodClient *client, int64_t usec);

/* For how long functions that wait try again after a loss of the connection, or when the daemon
 * answers that it is on its way out (io.brood.Draining): a restart of the daemon then only takes
 * time. Tried again is what can be done twice without harm: everything but brood_client_call(),
 * _retry(), _follow(), _watch() and jobs that are `attached`. At first 0: not at all. */
void brood_client_set_patience(BroodClient *client, int64_t usec);

/* Bytes that one reply may have, and that may wait to be sent. At first 64 MiB. */
void brood_client_set_limit(BroodClient *client, size_t bytes);

/* Why the last function failed, in words; "" if it did not. Valid, as the two below, until the next
 * one. */
const char *brood_client_error(const BroodClient *client);

/* The name of the error that the daemon answered with, "io.brood.NoSuchHandler" or one of
 * org.varlink.service, and its parameters, the text of an object: {"handler":"celsius"}. "" and
 * "{}" if it was not the daemon's; for a job that did not succeed "" and the details that its
 * handler gave. */
const char *brood_client_error_name(const BroodClient *client);
const char *brood_client_error_parameters(const BroodClient *client);

/* --- jobs --- */

/* The id of a job, a UUID as text. */
typedef struct BroodId {
        char text[37];
} BroodId;

/* A new id; ids of one thread sort in the order in which they were made. */
void brood_client_make_id(BroodId *ret);

typedef enum BroodState {
        BROOD_UNKNOWN, /* none that this version knows */
        BROOD_SCHEDULED,
        BROOD_BLOCKED,
        BROOD_QUEUED,
        BROOD_RUNNING,
        BROOD_SUCCEEDED, /* this and those below are ends */
        BROOD_FAILED,
        BROOD_QUARANTINED,
        BROOD_CANCELLED,
        BROOD_EXPIRED,
} BroodState;

/* "queued"; "unknown". */
const char *brood_state_name(BroodState state);

/* Has a job in this state ended? */
int brood_state_ended(BroodState state);

/* The number 0, where that is something else than not to give it (which lets the pool's settings
 * decide): a timeout of 0 is none, a priority of 0 the middle. */
#define BROOD_ZERO INT32_MIN

typedef enum BroodDurability {
        BROOD_DURABILITY_DEFAULT,
        BROOD_DURABILITY_FSYNC,
        BROOD_DURABILITY_MEMORY,
} BroodDurability;

/* What a job is to be. Only `handler` is needed; 0 and NULL mean that it is not given. Use it with
 * designated initializers: fields may be added in place of those that are reserved.
 *
 *     brood_client_submit_spec(c, &(BroodSpec){ .handler = "resize", .priority = 5 }, &answer);
 */
typedef struct BroodSpec {
        const char *handler;
        const char *args;              /* the text of an object */
        const char *id;                /* NULL: one is made */
        const char *unique_key;        /* a job of the same user and handler with this key that has
                                          not ended is returned instead */
        const char *const *after;      /* ids of jobs that must have succeeded first */
        const char *const *semaphores; /* names; one unit of each is held while it runs */
        const char *const *tags;
        unsigned n_after, n_semaphores, n_tags;
        const int *descriptors;        /* three, for an exec job that is attached: its stdin, stdout
                                          and stderr. They stay yours. Only where one job is handed
                                          in by a function that waits */
        int32_t priority;              /* -1000 to 1000, higher runs first; BROOD_ZERO */
        int32_t max_attempts;
        BroodDurability durability;
        int64_t run_at_usec;           /* not before this time; or so long after now: */
        int64_t delay_usec;
        int64_t timeout_usec;          /* of one attempt; BROOD_ZERO: none */
        int64_t ttl_usec;              /* give up if it has not begun so long after now */
        int64_t keep_usec;             /* how long its record is kept after the end; BROOD_ZERO */
        int attached;                  /* cancelled when this connection closes */
        uint32_t reserved[15];         /* zero */
} BroodSpec;

typedef struct BroodSubmitted {
        BroodId id;
        BroodState state;
        int duplicate; /* the job was there already: by its id or its unique_key */
} BroodSubmitted;

/* Hands in a job; when this returns 0 it is as durable as it asked to be. ret->id is written even
 * if this fails, before anything is sent, so that it can be repeated: spec.id = ret->id.text. */
int brood_client_submit_spec(BroodClient *client, const BroodSpec *spec, BroodSubmitted *ret);

/* The short form; `args` may be NULL. *ret_id is its id. */
int brood_client_submit(BroodClient *client, const char *handler, const char *args, char **ret_id);

/* Hands in n jobs, in messages of bounded size: of each message the daemon takes all jobs or none.
 * ids[0..n) get their ids, also if this fails. *ret_accepted (may be NULL), written in any case:
 * so many from the first on are certainly there. To go on after an error, repeat the rest with the
 * ids that were made; in error parameters jobs are counted from *ret_accepted ("jobs[2].args"). */
int brood_client_submit_many(BroodClient *client, const BroodSpec *specs, size_t n, BroodId *ids,
                             size_t *ret_accepted);

/* A job as the daemon tells of it. NULL: not given; times of 0: not yet. */
typedef struct BroodRecord {
        const char *id, *handler, *pool;
        BroodState state;
        const char *reason;    /* in words, why it is scheduled or blocked, or ended so */
        const char *args;      /* the text of an object; not in lists */
        const char *result;    /* the same; of a job that failed, details from its handler */
        const char *error;     /* what the last attempt said */
        const char *outcome;   /* of the last attempt: "succeeded", "worker_died", … */
        const char *json;      /* all of it, as it came */
        int64_t submitted_usec, started_usec, ended_usec;
        double progress;       /* 0 to 1; negative: not given */
        uint32_t n_attempts, uid, gid;
} BroodRecord;

/* Frees it with all its strings. */
void brood_record_free(BroodRecord *record);

/* Waits for the end of a job (-ETIMEDOUT when the time is up), however it ends. */
int brood_client_wait_record(BroodClient *client, const char *id, int64_t timeout_usec,
                             BroodRecord **ret);

/* The same for the result of a job that succeeds, the text of an object; if it does not,
 * -EREMOTEIO, and brood_client_error() says why. */
int brood_client_wait(BroodClient *client, const char *id, int64_t timeout_usec, char **ret_result);

/* Both in one: submits and waits. */
int brood_client_run(BroodClient *client, const char *handler, const char *args, char **ret_result);
int brood_client_run_spec(BroodClient *client, const BroodSpec *spec, BroodRecord **ret);

/* Told of one job; `index` is its place in ids[] or in the list. It owns the record. 0: go on;
 * anything else stops, and is what the function returns. It may use the client, but not close it
 * (where brood_client_wait_many() has but this connection, not wait either: -EDEADLK). */
typedef int (*BroodVisit)(BroodRecord *record, size_t index, void *context);

/* Waits for n jobs and tells of each: in the order in which they end, or (`ordered`) in that of the
 * ids. Of more than 50,000 jobs so many are waited for at a time. Runs on a connection of its own,
 * so that it holds up nothing. One id that is not known (io.brood.NoSuchJob) fails it. */
int brood_client_wait_many(BroodClient *client, const BroodId *ids, size_t n, int ordered,
                           int64_t timeout_usec, BroodVisit visit, void *context);

/* The job as it is now. */
int brood_client_get(BroodClient *client, const char *id, BroodRecord **ret);

/* Ends a job that has not ended; `force` without being polite first. *ret (may be NULL) is the
 * state that it has now. One that has ended: io.brood.WrongState, with its state; that may also be
 * the end of a cancel that was repeated (brood_client_set_patience()). */
int brood_client_cancel(BroodClient *client, const char *id, int force, BroodState *ret);

/* Puts a job back in the queue that has failed, was cancelled, … (io.brood.WrongState if not). */
int brood_client_retry(BroodClient *client, const char *id, BroodState *ret);

/* What a job waits for, in words. *ret_ahead (may be NULL): how many jobs go first; -1: that is
 * not to be said. */
int brood_client_why(BroodClient *client, const char *id, char **ret_reason, int64_t *ret_ahead);

/* Which jobs; what is not given matches all. */
typedef struct BroodFilter {
        BroodState state; /* BROOD_UNKNOWN: any */
        const char *pool, *handler, *tag;
        const char *before; /* go on after this id, where a list has stopped */
        size_t limit;       /* so many at the most; 0: all */
        uint32_t reserved[8];
} BroodFilter;

/* Tells of each job that matches, newest first, without args and results; asks the daemon for a
 * page at a time. `filter` NULL: all jobs. */
int brood_client_list(BroodClient *client, const BroodFilter *filter, BroodVisit visit,
                      void *context);

/* A piece of what a job writes; `stream` is 1 (stdout) or 2 (stderr), the bytes are of any kind and
 * valid until it returns. Returns as a BroodVisit. */
typedef int (*BroodOutput)(int stream, const void *bytes, size_t size, void *context);

/* What a job writes from now on, to its end. On a connection of its own. */
int brood_client_follow(BroodClient *client, const char *id, BroodOutput output, void *context);

typedef struct BroodChange {
        int64_t time_usec;
        const char *kind;   /* "job", "worker" or "pool" */
        const char *id;     /* a job's, or a name */
        const char *state;
        const char *reason; /* or NULL */
} BroodChange;

/* Told of a change; valid until it returns. Returns as a BroodVisit. */
typedef int (*BroodChanged)(const BroodChange *change, void *context);

#define BROOD_WATCH_JOBS    1u
#define BROOD_WATCH_WORKERS 2u
#define BROOD_WATCH_POOLS   4u

/* Every change from now on, of one pool (NULL: of all) and of these kinds (0: all), until `changed`
 * stops it or the connection is lost. On a connection of its own. */
int brood_client_watch(BroodClient *client, const char *pool, unsigned kinds, BroodChanged changed,
                       void *context);

/* The daemon's state, the text of an object (Status in `broodctl interface`). */
int brood_client_status(BroodClient *client, char **ret);

/* Any call of io.brood, or with a dot in its name of any interface: `parameters` (may be NULL) and
 * *ret_reply are texts of objects. */
int brood_client_call(BroodClient *client, const char *method, const char *parameters,
                      char **ret_reply);

/* --- for programs with a loop of their own ---
 *
 *     brood_client_start_submit(c, &spec, NULL, 1, ended, context);
 *     while (brood_client_pending(c)) {
 *             struct pollfd p = { .fd = brood_client_fd(c), .events = brood_client_events(c) };
 *
 *             poll(&p, 1, -1);
 *             if (brood_client_process(c) < 0)
 *                     break;
 *     }
 *
 * Calls are answered in the order in which they were started; one that waits (for a job's end) or
 * goes on (follow, watch) holds up those behind it: open a client for each such lane. A job can be
 * named in other calls from when its submit was answered, not before: submit with `wait`, or start
 * the wait in the callback. Level triggered polling is what this is made for. */

/* The descriptor, and what to poll it for (POLLIN, POLLOUT). It changes with the connection. */
int brood_client_fd(const BroodClient *client);
short brood_client_events(const BroodClient *client);

/* Sends and receives what can be without waiting, and tells of replies. Returns how many, or, when
 * the connection is lost, why: by then every call was told the same. Take the descriptor out of
 * the loop then; brood_client_reconnect() makes another one. -ENOTCONN: it was lost before. */
int brood_client_process(BroodClient *client);

/* Calls that are not answered yet. */
size_t brood_client_pending(const BroodClient *client);

/* One reply. All strings are valid during the call. */
typedef struct BroodReply {
        BroodClient *client;
        int result;             /* 0; -EREMOTEIO: an error of the daemon; else the connection's */
        int continues;          /* more replies to this call follow */
        const char *error;      /* the error's name; NULL: none */
        const char *parameters; /* the text of an object; of the error if there is one */
        size_t size;            /* of that text */
} BroodReply;

/* Told of a reply. May start calls and close the client, but not call a function that waits, nor
 * brood_client_process(). */
typedef void (*BroodReplied)(const BroodReply *reply, void *context);

/* Start a call: it is sent by brood_client_process(). Each started call is told of at least once,
 * the last time without `continues`. Return 0; -EAGAIN: too much is waiting to be sent, process
 * first; -ENOTCONN: the connection is lost. `replied` may be NULL. */
int brood_client_start(BroodClient *client, const char *method, const char *parameters, int more,
                       BroodReplied replied, void *context);

/* `wait`: the reply comes when the job has ended, and is a record. *ret_id (may be NULL) as
 * brood_client_submit_spec() has it. */
int brood_client_start_submit(BroodClient *client, const BroodSpec *spec, BroodId *ret_id, int wait,
                              BroodReplied replied, void *context);

/* All in one message, which the daemon takes whole or not. `ids` as above. */
int brood_client_start_submit_many(BroodClient *client, const BroodSpec *specs, size_t n,
                                   BroodId *ids, BroodReplied replied, void *context);
int brood_client_start_wait(BroodClient *client, const char *id, int64_t timeout_usec,
                            BroodReplied replied, void *context);
/* A record in each reply; 100,000 ids at most. */
int brood_client_start_wait_many(BroodClient *client, const BroodId *ids, size_t n, int ordered,
                                 BroodReplied replied, void *context);
int brood_client_start_cancel(BroodClient *client, const char *id, int force, BroodReplied replied,
                              void *context);
int brood_client_start_follow(BroodClient *client, const char *id, BroodReplied replied,
                              void *context);
int brood_client_start_watch(BroodClient *client, const char *pool, unsigned kinds,
                             BroodReplied replied, void *context);

/* What is in a reply. They return reply->result if that is not 0 (-ETIMEDOUT for
 * io.brood.WaitTimeout) and set brood_client_error() and its like; -EBADMSG: it is no such reply.
 * _check: only that. _record: of submit with `wait`, wait, wait_many and Get. _output and _changed
 * call the function, and return what it returns; the last reply to a follow has no bytes. */
int brood_reply_check(const BroodReply *reply);
int brood_reply_submitted(const BroodReply *reply, BroodSubmitted *ret);
int brood_reply_record(const BroodReply *reply, BroodRecord **ret);
int brood_reply_state(const BroodReply *reply, BroodState *ret);
int brood_reply_output(const BroodReply *reply, BroodOutput output, void *context);
int brood_reply_changed(const BroodReply *reply, BroodChanged changed, void *context);

#ifdef __cplusplus
}
#endif

/* SPDX-License-Identifier: MIT */
#pragma once

/* What a supervisor and its fork server say to each other: one SEQPACKET each way, a struct with
 * descriptors beside it. Both ends come from one build and one machine. */

#include <stdint.h>

#include "process/exit.h"

/* Descriptors of the fork server, from its start. */
enum {
        FORKER_FD_CHANNEL = 3,
        FORKER_FD_SENTINEL,
        FORKER_FD_PREPARATION,
        FORKER_FD_LOCK, /* of the state directory; held while anything of this tree lives */
        FORKER_FD_CGROUP, /* a cgroup.procs, to enter; /dev/null: there is none */
        FORKER_FD_COUNT = 5,
};

/* Descriptors of a worker that is a fresh image (brood-worker). Slots follow the control. */
enum {
        WORKER_FD_PREPARATION = 3,
        WORKER_FD_SENTINEL,
        WORKER_FD_LOCK,
        WORKER_FD_PAGE,
        WORKER_FD_GROUP, /* no directory: it has no cgroup of its own */
        WORKER_FD_CONTROL,
        WORKER_FD_SLOT, /* the first; as many follow as it has slots, and then: */
        WORKER_FD_FIXED = 6, /* of them come before the slots */
        /* a socket to the journal, if there is one */
};

/* Slots of one worker: with them a request is one message. */
enum { WORKER_MAX_SLOTS = 128 };

/* "Start a worker." Descriptors with it: output (its stdout and stderr), and then for a module:
 * pages (one SlotPage after the other), control, and each slot; for a command: the listening
 * socket. Two more where it has a cgroup of its own: the directory of the group that it enters, and
 * the one above that. */
typedef struct ForkerRequest {
        uint32_t seat, generation;
} ForkerRequest;

typedef enum ForkerEventKind {
        FORKER_READY,  /* text: the names of the handlers, a line each */
        FORKER_FAILED, /* text: why it can not serve; it then ends */
        FORKER_BIRTH,  /* pid, with a pidfd beside it; or error, if it could not be started */
        FORKER_EXIT,   /* pid, verdict */
} ForkerEventKind;

typedef struct ForkerEvent {
        uint32_t kind;
        uint32_t seat, generation;
        int32_t pid;
        int32_t error; /* BIRTH: 0 or an errno */
        ExitVerdict verdict;
        char text[]; /* READY, FAILED: up to the end of the message */
} ForkerEvent;

enum { FORKER_TEXT_MAX = 64 * 1024 };

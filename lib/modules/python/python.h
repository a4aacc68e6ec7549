/* SPDX-License-Identifier: MIT */
#pragma once

/* python.so: handlers in Python, in CPython that lives within the worker.
 *
 * The fork server imports the user's code once (interpreter.c), so that each worker, a fork of it,
 * has it from the start. A job is run by brood.worker._embedded (run.c), which finds what it needs
 * of us in the built-in module _brood (builtin.c). What a slot's thread does with Python it does
 * with the lock of the slot's interpreter: of the process's only one or, with
 * Concurrency=subinterpreter, of its own. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "brood/handler.h"

#define EMBEDDED "brood.worker._embedded"

typedef struct Interpreter {
        PyInterpreterState *state;
        PyThreadState *thread;  /* of the main thread */
        PyObject *module;       /* EMBEDDED */
        PyObject *run, *cancel; /* of it */
        PyObject **handlers;    /* in the order of python.handlers */
} Interpreter;

typedef struct Slot {
        Interpreter *in;
        PyThreadState *thread; /* of the slot's thread; NULL: it has not run yet */
        unsigned long ident;   /* CPython's name of that thread */
        BroodJob *job;         /* NULL: none. This and the next: with the lock of `in` */
        unsigned run;          /* its number in this slot, so that what others say is not its */
        PyObject *open;        /* the Job that may be interrupted now; borrowed, only to compare */
} Slot;

typedef struct Python {
        Interpreter main;
        Interpreter *others; /* one for each slot, with Concurrency=subinterpreter */
        Slot *slots;
        unsigned n_slots;
        BroodHandler *handlers; /* what the module offers */
        unsigned n_handlers;
        const char *import; /* Import= */
        pthread_t main_thread;
        bool with_interpreters;
        char about[128];
} Python;

extern Python python;

/* --- interpreter.c --- */

/* Starts CPython and imports the user's code. The calling thread keeps the lock. Returns 0, or 1
 * after brood_refuse(). */
int interpreter_start(const json_t *settings);

/* In a worker: gives up what a fork server has, makes more interpreters if they are wanted, and
 * prepares all for jobs. The calling thread gives the lock back. Returns as that. */
int interpreter_prepare(const json_t *settings);

/* Has each do what Python does at its end. */
void interpreter_leave(void);

/* --- builtin.c --- */

PyObject *builtin_init(void);

/* --- turns.c --- */

/* An interpreter more that takes part. Returns 0, or 1 after brood_refuse(). */
int turns_start(const Interpreter *in);

/* Round a job, without the lock. */
void turns_enter(void);
void turns_leave(void);

/* --- run.c --- */

/* The functions of the module's table. */
int run_job(BroodJob *job);
void run_ending(const BroodJob *job);

/* SPDX-License-Identifier: MIT */

/* A job, and the wish for its end. */

#include "python.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- the slot's thread --- */

/* Returns false if there is no memory for what CPython keeps of a thread. */
static bool enter(Slot *s)
{
        if (!s->thread) {
                bool is_main = pthread_equal(pthread_self(), python.main_thread);

                s->thread = is_main ? s->in->thread : PyThreadState_New(s->in->state);
                s->ident = PyThread_get_thread_ident();
        }
        if (s->thread)
                PyEval_RestoreThread(s->thread);
        return s->thread != NULL;
}

static PyObject *handler_of(const Slot *s, const BroodJob *job)
{
        for (unsigned i = 0; i < python.n_handlers; i++)
                if (python.handlers[i].name == brood_job_handler(job))
                        return s->in->handlers[i];
        return NULL;
}

/* Returns what run() has returned, or NULL with an exception. */
static PyObject *call(const Slot *s, const BroodJob *job)
{
        int64_t left = brood_job_time_left(job);
        PyObject *time = left == INT64_MAX ? Py_NewRef(Py_None) : PyLong_FromLongLong(left);
        PyObject *handler = handler_of(s, job);
        const char *args;
        size_t size;

        if (!handler) {
                Py_XDECREF(time);
                return PyErr_Format(PyExc_LookupError, "no handler %s", brood_job_handler(job));
        }
        args = brood_job_args_bytes(job, &size);
        return PyObject_CallFunction(s->in->run, "IIOssis#N", brood_job_slot(job), s->run, handler,
                                     brood_job_handler(job), brood_job_id(job),
                                     brood_job_attempt(job), args, (Py_ssize_t)size, time);
}

static int fail(BroodJob *job, PyObject *answer)
{
        const char *message, *details;
        Py_ssize_t message_size, details_size;
        int retry, bad;

        if (!PyArg_ParseTuple(answer, "y#z#pp", &message, &message_size, &details, &details_size,
                              &retry, &bad))
                return 1;
        if (bad)
                (void)brood_job_bad_args(job, "%s", message);
        else
                (void)brood_job_fail(job, retry,
                                     details ? json_loadb(details, (size_t)details_size, 0, NULL)
                                             : NULL,
                                     "%s", message);
        return 0;
}

/* Of our own code: what a handler raises is an answer. */
static int fail_strangely(BroodJob *job)
{
        PyErr_Print();
        return brood_job_fail(job, 1, NULL, "python.so could not run the handler (see the log)");
}

static int answer_with(BroodJob *job, PyObject *answer)
{
        if (!answer)
                return fail_strangely(job);
        if (PyBytes_Check(answer))
                return brood_job_result(job, PyBytes_AS_STRING(answer),
                                        (size_t)PyBytes_GET_SIZE(answer));
        return fail(job, answer) ? fail_strangely(job) : 1;
}

int run_job(BroodJob *job)
{
        Slot *s = &python.slots[brood_job_slot(job)];
        PyObject *answer;
        int r;

        turns_enter();
        if (!enter(s)) {
                turns_leave();
                return brood_job_fail(job, 1, NULL, "no memory for a thread of Python");
        }
        s->run++;
        s->job = job;
        answer = call(s, job);
        r = answer_with(job, answer);
        Py_XDECREF(answer);
        s->job = NULL;
        (void)PyEval_SaveThread();
        turns_leave();
        return r;
}

/* --- its end is asked for --- */

typedef struct Ending {
        Slot *slot;
        char id[37];
        int attempt;
        const char *reason; /* static */
} Ending;

static bool is_there(const Ending *e)
{
        const BroodJob *job = e->slot->job;

        return job && brood_job_attempt(job) == e->attempt && strcmp(brood_job_id(job), e->id) == 0;
}

/* Waits for the lock, for which the watching thread must not. A handler that keeps it does not
 * hear, and ends with the worker. */
static void *tell_of_end(void *context)
{
        Ending *e = context;
        PyThreadState *mine = PyThreadState_New(e->slot->in->state);

        if (!mine) { /* it is not heard */
                free(e);
                return NULL;
        }
        PyEval_RestoreThread(mine);
        if (is_there(e)) {
                PyObject *done = PyObject_CallFunction(e->slot->in->cancel, "Is",
                                                       (unsigned)(e->slot - python.slots),
                                                       e->reason);

                if (!done)
                        PyErr_Print();
                Py_XDECREF(done);
        }
        PyThreadState_Clear(mine);
        PyThreadState_DeleteCurrent();
        free(e);
        return NULL;
}

/* A job that has not begun yet looks for itself. */
void run_ending(const BroodJob *job)
{
        Ending *e = malloc(sizeof(*e));
        pthread_attr_t attributes;
        pthread_t thread;

        if (!e || pthread_attr_init(&attributes)) {
                free(e);
                return;
        }
        *e = (Ending){ .slot = &python.slots[brood_job_slot(job)],
                       .attempt = brood_job_attempt(job),
                       .reason = brood_job_cancel_reason(job) };
        (void)snprintf(e->id, sizeof(e->id), "%s", brood_job_id(job));
        (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attributes, tell_of_end, e))
                free(e); /* it is not heard */
        (void)pthread_attr_destroy(&attributes);
}

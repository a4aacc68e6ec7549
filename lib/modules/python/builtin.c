/* SPDX-License-Identifier: MIT */

/* The built-in module _brood, for brood.worker._embedded. A slot is named by its number; what is
 * said of one whose job is over is not heard. */

#include "python.h"

#include <signal.h>

static Slot *slot_at(unsigned number)
{
        return number < python.n_slots ? &python.slots[number] : NULL;
}

/* The slot's job; NULL: it has none. */
static BroodJob *job_at(unsigned number)
{
        Slot *s = slot_at(number);

        return s ? s->job : NULL;
}

/* An exception that was thrown and has not come yet is not for what follows. */
static void drop_thrown(void)
{
        (void)PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), NULL);
}

/* call(slot, handler, job): handler(job), which may be interrupted. */
static PyObject *call(PyObject *self, PyObject *args)
{
        PyObject *handler, *job, *checked, *result;
        unsigned number;
        Slot *s;

        if (!PyArg_ParseTuple(args, "IOO", &number, &handler, &job))
                return NULL;
        s = slot_at(number);
        if (!s)
                return PyErr_Format(PyExc_ValueError, "there is no slot %u", number);
        s->open = job;
        checked = PyObject_CallMethod(job, "check", NULL); /* nobody told it before */
        result = checked ? PyObject_CallOneArg(handler, job) : NULL;
        Py_XDECREF(checked);
        s->open = NULL;
        drop_thrown();
        return result;
}

/* is_open(slot): may its job be interrupted? */
static PyObject *is_open(PyObject *self, PyObject *args)
{
        unsigned number;

        if (!PyArg_ParseTuple(args, "I", &number))
                return NULL;
        return PyBool_FromLong(slot_at(number) && slot_at(number)->open);
}

/* signal(slot, job): to the main thread, if the job is in its handler. Returns whether. */
static PyObject *send_signal(PyObject *self, PyObject *args)
{
        PyObject *job;
        unsigned number;

        if (!PyArg_ParseTuple(args, "IO", &number, &job))
                return NULL;
        if (!slot_at(number) || slot_at(number)->open != job)
                Py_RETURN_FALSE;
        (void)pthread_kill(python.main_thread, SIGURG);
        Py_RETURN_TRUE;
}

/* throw(slot, job, exception): raises it where the job is, if that is in its handler and nothing
 * was raised there before. In one piece: between two steps of Python the job could go on. */
static PyObject *throw(PyObject *self, PyObject *args)
{
        PyObject *job, *exception, *raised;
        unsigned number;
        Slot *s;

        if (!PyArg_ParseTuple(args, "IOO", &number, &job, &exception))
                return NULL;
        s = slot_at(number);
        if (!s || s->open != job)
                Py_RETURN_NONE;
        raised = PyObject_GetAttrString(job, "_raised");
        if (raised == Py_False && PyObject_SetAttrString(job, "_raised", Py_True) == 0)
                (void)PyThreadState_SetAsyncExc(s->ident, exception);
        Py_XDECREF(raised);
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* cancelled(slot): why its job is to end; None: it is not. */
static PyObject *cancelled(PyObject *self, PyObject *args)
{
        const char *reason;
        unsigned number;

        if (!PyArg_ParseTuple(args, "I", &number))
                return NULL;
        reason = job_at(number) ? brood_job_cancel_reason(job_at(number)) : NULL;
        return Py_BuildValue("z", reason);
}

/* The job, if it is still that of this run. */
static BroodJob *job_of_run(unsigned number, unsigned run)
{
        return job_at(number) && slot_at(number)->run == run ? job_at(number) : NULL;
}

/* progress(slot, run, fraction) and output(slot, run, stream, bytes). The lock is kept: that is
 * what keeps the job, too, and the supervisor reads at once. */
static PyObject *progress(PyObject *self, PyObject *args)
{
        unsigned number, run;
        double fraction;

        if (!PyArg_ParseTuple(args, "IId", &number, &run, &fraction))
                return NULL;
        if (job_of_run(number, run))
                (void)brood_job_progress(job_of_run(number, run), fraction);
        Py_RETURN_NONE;
}

static PyObject *output(PyObject *self, PyObject *args)
{
        unsigned number, run;
        const char *bytes;
        Py_ssize_t size;
        int stream;

        if (!PyArg_ParseTuple(args, "IIiy#", &number, &run, &stream, &bytes, &size))
                return NULL;
        if (job_of_run(number, run))
                (void)brood_job_output(job_of_run(number, run), stream, bytes, (size_t)size);
        Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
        { "call", call, METH_VARARGS, NULL },
        { "is_open", is_open, METH_VARARGS, NULL },
        { "signal", send_signal, METH_VARARGS, NULL },
        { "throw", throw, METH_VARARGS, NULL },
        { "cancelled", cancelled, METH_VARARGS, NULL },
        { "progress", progress, METH_VARARGS, NULL },
        { "output", output, METH_VARARGS, NULL },
        { NULL },
};

/* It keeps nothing of its own, and each interpreter has only what is of its slots. */
static PyModuleDef_Slot module_slots[] = {
#if PY_VERSION_HEX >= 0x030c0000
        { Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED },
#endif
        { 0, NULL },
};

static PyModuleDef definition = {
        PyModuleDef_HEAD_INIT,
        .m_name = "_brood",
        .m_methods = methods,
        .m_slots = module_slots,
};

PyObject *builtin_init(void)
{
        return PyModuleDef_Init(&definition);
}

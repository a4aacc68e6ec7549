/* SPDX-License-Identifier: MIT */

/* CPython's life in a fork server and its workers.
 *
 * The fork server's one thread holds the lock from the start to its end, so nothing of Python runs
 * beside it. Each fork is told to CPython before and after, as os.fork() does. */

#include "python.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

Python python;

/* This process is a fork server, or about to be none: its forks are not by Python. */
static bool armed;

/* --- errors --- */

/* Takes the exception that is set for a refusal in one line. */
static int refuse(const Interpreter *in)
{
        PyObject *type, *error, *traceback, *words = NULL;
        const char *text = NULL;

        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        if (error && traceback)
                (void)PyException_SetTraceback(error, traceback);
        if (error && in->module)
                words = PyObject_CallMethod(in->module, "why", "O", error);
        if (!words)
                PyErr_Clear();
        if (!words && error)
                words = PyObject_Str(error);
        text = words ? PyUnicode_AsUTF8(words) : NULL;
        (void)brood_refuse("%s%s",
                           in->module ? ""
                                      : "the Python package brood is not where CPython looks "
                                        "(python3-brood, or Environment=PYTHONPATH=...): ",
                           text ? text : "an exception without words");
        PyErr_Clear();
        Py_XDECREF(words);
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
        return 1;
}

static int refuse_status(PyStatus status)
{
        return brood_refuse("CPython does not start: %s",
                            status.err_msg ? status.err_msg : "it wants to exit");
}

/* --- forks --- */

static void before_fork(void)
{
        if (armed)
                PyOS_BeforeFork();
}

static void after_fork_parent(void)
{
        if (armed)
                PyOS_AfterFork_Parent();
}

static void after_fork_child(void)
{
        if (armed)
                PyOS_AfterFork_Child();
        armed = false;
        python.main_thread = pthread_self();
}

/* --- start --- */

/* Extension modules look for CPython among what is global, and we are not. */
static int make_global(void)
{
        Dl_info library;

        if (!dladdr((void *)(uintptr_t)Py_InitializeFromConfig, &library) ||
            !dlopen(library.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD))
                return brood_refuse("CPython's library can not be made global: %s", dlerror());
        return 0;
}

static int configure(PyConfig *config, const char *program)
{
        PyStatus status = PyConfig_SetBytesString(config, &config->program_name, program);

        config->install_signal_handlers = 0;
        config->parse_argv = 0;
        if (!PyStatus_Exception(status))
                status = Py_InitializeFromConfig(config);
        return PyStatus_Exception(status) ? refuse_status(status) : 0;
}

static int boot(const char *program)
{
        PyConfig config;
        int r;

        if (make_global())
                return 1;
        if (PyImport_AppendInittab("_brood", builtin_init) < 0)
                return brood_refuse("no memory for CPython");
        PyConfig_InitPythonConfig(&config);
        r = configure(&config, program);
        PyConfig_Clear(&config);
        return r;
}

/* Imports the user's code into the current interpreter. Returns the names of its handlers, or NULL
 * with an exception. */
static PyObject *import_code(Interpreter *in)
{
        in->state = PyInterpreterState_Get();
        in->thread = PyThreadState_Get();
        in->module = PyImport_ImportModule(EMBEDDED);
        if (!in->module)
                return NULL;
        in->run = PyObject_GetAttrString(in->module, "run");
        in->cancel = PyObject_GetAttrString(in->module, "cancel");
        if (!in->run || !in->cancel)
                return NULL;
        return PyObject_CallMethod(in->module, "offer", "s", python.import);
}

/* Makes the module's handlers from their names, a list. */
static int make_handlers(PyObject *names)
{
        Py_ssize_t n = PyList_Size(names);

        python.handlers = calloc((size_t)n + 1, sizeof(*python.handlers));
        for (Py_ssize_t i = 0; python.handlers && i < n; i++) {
                const char *name = PyUnicode_AsUTF8(PyList_GetItem(names, i));
                char *copy = name ? strdup(name) : NULL;

                if (!copy) {
                        PyErr_Clear();
                        return brood_refuse("no memory for the name of handler %d", (int)i);
                }
                python.handlers[i] = (BroodHandler){ .name = copy, .run = run_job };
                python.n_handlers++;
        }
        return python.handlers ? 0 : brood_refuse("no memory for the handlers");
}

/* --- interpreters --- */

static PyThreadState *new_interpreter(void)
{
#if PY_VERSION_HEX >= 0x030c0000
        const PyInterpreterConfig config = {
                .use_main_obmalloc = 0,
                .allow_fork = 0,
                .allow_exec = 0,
                .allow_threads = 1,
                .allow_daemon_threads = 1,
                .check_multi_interp_extensions = 1,
                .gil = PyInterpreterConfig_OWN_GIL,
        };
        PyThreadState *made = NULL;
        PyStatus status = Py_NewInterpreterFromConfig(&made, &config);

        if (PyStatus_Exception(status))
                (void)refuse_status(status);
        return made;
#else
        PyThreadState *made = Py_NewInterpreter();

        if (!made)
                (void)brood_refuse("CPython makes no further interpreter");
        return made;
#endif
}

/* In CPython 3.11 _asyncio has one state for all interpreters: what it raises is the first one's
 * CancelledError. Without it asyncio does the same in Python. */
static void keep_asyncio_apart(void)
{
#if PY_VERSION_HEX < 0x030c0000
        (void)PyDict_SetItemString(PyImport_GetModuleDict(), "_asyncio", Py_None);
#endif
}

/* Makes one with the user's code. It is the current one then, if it could be made. */
static int make_interpreter(Interpreter *in)
{
        PyObject *names;

        if (!new_interpreter())
                return 1;
        keep_asyncio_apart();
        names = import_code(in);
        if (!names)
                return refuse(in);
        Py_DECREF(names);
        return 0;
}

/* In the child of try_interpreter(). */
__attribute__((noreturn)) static void try_here(int to)
{
        Interpreter in = { NULL };
        int r;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        r = make_interpreter(&in);
        if (r)
                dprintf(to, "%s", brood_refusal());
        _exit(r);
}

/* Whether the user's code, and what it imports, can be had in a further interpreter: tried in a
 * child, so that nothing of it stays. */
static int try_interpreter(void)
{
        char words[1024] = "";
        int ends[2], status;
        pid_t pid;
        ssize_t n;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return brood_refuse("no pipe to try an interpreter");
        pid = fork();
        if (pid == 0)
                try_here(ends[1]);
        close(ends[1]);
        n = read(ends[0], words, sizeof(words) - 1);
        close(ends[0]);
        if (n < 0 || pid < 0 || waitpid(pid, &status, 0) < 0)
                return brood_refuse("no process to try an interpreter in");
        if (status == 0)
                return 0;
        return brood_refuse("%s", *words ? words : "the first further interpreter has crashed");
}

/* --- the fork server --- */

static void describe(void)
{
        const char *version = Py_GetVersion();
        int n = (int)strcspn(version, " ");
        const char *lock = "";

#if PY_VERSION_HEX >= 0x030c0000
        if (python.with_interpreters)
                lock = ", each interpreter has a lock of its own";
#else
        if (python.with_interpreters)
                lock = ", its interpreters share one lock";
#endif
        else if (strcmp(brood_worker_concurrency(), "thread") == 0)
                lock = ", its threads share one lock";
        (void)snprintf(python.about, sizeof(python.about), "CPython %.*s%s", n, version, lock);
}

static int import_here(void)
{
        PyObject *names = import_code(&python.main), *frozen;
        int r;

        if (!names)
                return refuse(&python.main);
        r = make_handlers(names);
        Py_DECREF(names);
        if (r)
                return r;
        frozen = PyObject_CallMethod(python.main.module, "freeze", NULL);
        Py_XDECREF(frozen);
        return frozen ? 0 : refuse(&python.main);
}

int interpreter_start(const json_t *settings)
{
        const char *program = json_string_value(json_object_get(settings, "Python"));

        python.import = json_string_value(json_object_get(settings, "Import"));
        python.with_interpreters = strcmp(brood_worker_concurrency(), "subinterpreter") == 0;
        python.main_thread = pthread_self();
        if (!python.import)
                return brood_refuse("[Settings] Import= is missing: the .py file, or the name of "
                                    "the module, that has the handlers");
        if (boot(program ? program : BROOD_PYTHON) || import_here())
                return 1;
        describe();
        if (pthread_atfork(before_fork, after_fork_parent, after_fork_child))
                return brood_refuse("no memory for CPython");
        armed = true;
        return python.with_interpreters ? try_interpreter() : 0;
}

/* --- the worker --- */

static PyObject *strings_of(const json_t *settings)
{
        PyObject *dict = PyDict_New();
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)settings, key, value) {
                const char *bytes = json_string_value(value);
                PyObject *text = dict && bytes ? PyUnicode_FromString(bytes) : NULL;

                if (!text || PyDict_SetItemString(dict, key, text) < 0)
                        Py_CLEAR(dict);
                Py_XDECREF(text);
        }
        return dict;
}

static int find_handlers(Interpreter *in)
{
        PyObject *all = PyObject_GetAttrString(in->module, "HANDLERS");

        in->handlers = calloc(python.n_handlers, sizeof(*in->handlers));
        for (unsigned i = 0; all && in->handlers && i < python.n_handlers; i++) {
                in->handlers[i] = PyMapping_GetItemString(all, python.handlers[i].name);
                if (!in->handlers[i])
                        return 1;
        }
        return all && in->handlers ? 0 : 1;
}

/* Prepares the current interpreter for slots [first, first + n). */
static int prepare(Interpreter *in, unsigned first, unsigned n, const json_t *settings)
{
        PyObject *dict = strings_of(settings), *done, *slots = PyList_New(0);

        for (unsigned i = first; slots && i < first + n; i++) {
                PyObject *number = PyLong_FromUnsignedLong(i);

                python.slots[i].in = in;
                if (!number || PyList_Append(slots, number) < 0)
                        return refuse(in);
                Py_DECREF(number);
        }
        if (!dict || !slots || find_handlers(in))
                return refuse(in);
        done = PyObject_CallMethod(in->module, "prepare", "NNOO", dict, slots,
                                   n == 1 ? Py_True : Py_False,
                                   python.with_interpreters ? Py_False : Py_True);
        Py_XDECREF(done);
        return done ? 0 : refuse(in);
}

/* Back to the main interpreter at the end: they are made from there. */
static int prepare_others(const json_t *settings)
{
        int r = 0;

        python.others = calloc(python.n_slots, sizeof(*python.others));
        if (!python.others)
                return brood_refuse("no memory for %u interpreters", python.n_slots);
        for (unsigned i = 0; r == 0 && i < python.n_slots; i++) {
                r = make_interpreter(&python.others[i]);
                if (r == 0)
                        r = prepare(&python.others[i], i, 1, settings);
                if (r == 0)
                        r = turns_start(&python.others[i]);
                (void)PyThreadState_Swap(python.main.thread);
        }
        return r;
}

int interpreter_prepare(const json_t *settings)
{
        int r;

        armed = false;
        python.n_slots = brood_worker_slots();
        python.slots = calloc(python.n_slots, sizeof(*python.slots));
        if (!python.slots)
                return brood_refuse("no memory for %u slots", python.n_slots);
        r = python.with_interpreters ? prepare_others(settings)
                                     : prepare(&python.main, 0, python.n_slots, settings);
        (void)PyEval_SaveThread();
        return r;
}

static void leave(const Interpreter *in)
{
        PyObject *done;

        PyEval_RestoreThread(in->thread);
        done = PyObject_CallMethod(in->module, "leave", NULL);
        if (!done)
                PyErr_Print();
        Py_XDECREF(done);
        (void)PyEval_SaveThread();
}

/* What runs beside us (threads that nobody waits for) would find the libraries taken apart by
 * exit(). */
static void end_process(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        (void)fflush(NULL);
        _exit(0);
#endif
}

void interpreter_leave(void)
{
        for (unsigned i = 0; python.others && i < python.n_slots; i++)
                leave(&python.others[i]);
        leave(&python.main);
        end_process();
}

/* SPDX-License-Identifier: MIT */

/* The worker's side: reads chunks, runs tasks, gives results back. */

#include <brood/pool.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"
#include "pool/inside.h"
#include "pool/wire.h"
#include "process/child.h"

struct BroodTask {
        char *input; /* aligned; with a 0 behind */
        size_t size, room;
        json_t *json;
        BroodTaskState state;
        Buffer out; /* the result, or the message */
};

typedef struct PoolWorker {
        int fd;
        WirePage *page;
        Buffer in;
        BroodTask task;
        usec_t oldest; /* the tick in which the first result that is not sent was finished */
} PoolWorker;

/* --- what a function may do --- */

const void *brood_task_input(const BroodTask *task, size_t *ret_size)
{
        if (ret_size)
                *ret_size = task->size;
        return task->input;
}

const json_t *brood_task_json(BroodTask *task)
{
        if (!task->json)
                task->json = json_loadb(task->input, task->size, JSON_DECODE_ANY, NULL);
        return task->json;
}

int brood_task_fail(BroodTask *task, const char *format, ...)
{
        char words[1024];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(words, sizeof(words), format, args);
        va_end(args);
        buffer_clear(&task->out, SIZE_MAX);
        task->state = BROOD_TASK_FAILED;
        buffer_append(&task->out, words, strlen(words));
        return 1;
}

int brood_task_result(BroodTask *task, const void *bytes, size_t size)
{
        buffer_clear(&task->out, WIRE_PAGE);
        buffer_append(&task->out, bytes, size);
        return task->out.failed ? brood_task_fail(task, "no memory for the result") : 0;
}

int brood_task_result_json(BroodTask *task, json_t *value)
{
        AUTO(free) char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        json_decref(value);
        return text ? brood_task_result(task, text, strlen(text))
                    : brood_task_fail(task, "the result can not be written as JSON");
}

/* --- results --- */

/* The pool has gone: there is nobody to work for. */
__attribute__((noreturn)) static void leave(void)
{
        child_leave(0);
}

static void send_all(int fd, const void *bytes, size_t n)
{
        const char *p = bytes;

        while (n) {
                ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        leave();
                p += k;
                n -= (size_t)k;
        }
}

static void flush_results(PoolWorker *w)
{
        WirePage *p = w->page;

        if (p->filled == p->base)
                return;
        send_all(w->fd, p->buffer, p->filled - p->base);
        __atomic_store_n(&p->base, p->filled, __ATOMIC_RELEASE);
}

static void put_result(PoolWorker *w, uint32_t state, const void *bytes, size_t size)
{
        WireResult head = { state, 0, size };
        WirePage *p = w->page;
        size_t used = p->filled - p->base;

        if (used + sizeof(head) + size > WIRE_PAGE) {
                flush_results(w);
                used = 0;
        }
        if (sizeof(head) + size > WIRE_PAGE) {
                send_all(w->fd, &head, sizeof(head));
                send_all(w->fd, bytes, size);
                __atomic_store_n(&p->filled, p->filled + sizeof(head) + size, __ATOMIC_RELEASE);
                __atomic_store_n(&p->base, p->filled, __ATOMIC_RELEASE);
                return;
        }
        memcpy(p->buffer + used, &head, sizeof(head));
        if (size)
                memcpy(p->buffer + used + sizeof(head), bytes, size);
        __atomic_store_n(&p->filled, p->filled + sizeof(head) + size, __ATOMIC_RELEASE);
}

/* Finished results may wait for company until the kernel's next tick: some milliseconds. The clock
 * that only ticks can be read before each task; the other costs as much as a small task does. */
static void flush_if_old(PoolWorker *w)
{
        usec_t now = clock_read(CLOCK_MONOTONIC_COARSE);

        if (now != w->oldest)
                flush_results(w);
        if (w->page->filled == w->page->base)
                w->oldest = now;
}

/* --- tasks --- */

/* Has them in w->in, waiting for them; what is finished is not kept back meanwhile. */
static const char *need(PoolWorker *w, size_t n)
{
        while (buffer_len(&w->in) < n) {
                char *to;
                ssize_t k;

                flush_results(w);
                to = buffer_reserve(&w->in, MAX(n, (size_t)WIRE_PAGE));
                if (!to)
                        leave();
                k = recv(w->fd, to, MAX(n, (size_t)WIRE_PAGE), 0);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        leave();
                w->in.end += (size_t)k;
        }
        return buffer_bytes(&w->in);
}

static void take(PoolWorker *w, void *to, size_t n)
{
        memcpy(to, need(w, n), n);
        buffer_consume(&w->in, n);
}

static void take_input(PoolWorker *w, size_t size)
{
        BroodTask *t = &w->task;

        if (t->room < size + 1) {
                free(t->input);
                t->room = (size + 1 + 4095) / 4096 * 4096;
                t->input = aligned_alloc(16, t->room);
                if (!t->input)
                        leave(); /* the pool says that it died of this task */
        }
        take(w, t->input, size);
        t->input[size] = '\0';
        t->size = size;
}

static BroodFunction resolve(const WireFunction *f)
{
        return f->name[0] ? function_find(f->name) : (BroodFunction)(uintptr_t)f->address;
}

static void run(PoolWorker *w, BroodFunction function)
{
        BroodTask *t = &w->task;

        t->state = BROOD_TASK_OK;
        buffer_clear(&t->out, WIRE_PAGE);
        if (!function)
                (void)brood_task_fail(t, "the worker does not know this function: is it entered "
                                         "with BROOD_FUNCTION?");
        else if (function(t) && t->state == BROOD_TASK_OK)
                (void)brood_task_fail(t, "the function failed and did not say why");
        json_decref(t->json);
        t->json = NULL;
}

static void greet(PoolWorker *w)
{
        BroodFunction initializer;
        WireHello hello;

        take(w, &hello, sizeof(hello));
        take_input(w, (size_t)hello.size);
        initializer = resolve(&hello.initializer);
        if (hello.initializer.name[0] || hello.initializer.address)
                run(w, initializer);
        if (w->task.state == BROOD_TASK_OK) {
                put_result(w, WIRE_READY, NULL, 0);
                return;
        }
        put_result(w, WIRE_NOT_READY, buffer_bytes(&w->task.out), buffer_len(&w->task.out));
        flush_results(w);
        leave();
}

static void run_chunk(PoolWorker *w)
{
        BroodFunction function;
        WireChunk chunk;
        uint64_t size;

        take(w, &chunk, sizeof(chunk));
        function = resolve(&chunk.function);
        while (chunk.n--) {
                take(w, &size, sizeof(size));
                take_input(w, (size_t)size);
                flush_if_old(w);
                __atomic_store_n(&w->page->begun, w->page->begun + 1, __ATOMIC_RELEASE);
                run(w, function);
                put_result(w, w->task.state, buffer_bytes(&w->task.out), buffer_len(&w->task.out));
        }
}

int pool_worker(BroodChild *child)
{
        PoolWorker w = { .fd = child->fds[0] };
        sigset_t none;

        (void)sigemptyset(&none); /* a fork of the foreman has its mask */
        (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
        w.page = mmap(NULL, sizeof(WirePage), PROT_READ | PROT_WRITE, MAP_SHARED, child->fds[1], 0);
        if (w.page == MAP_FAILED)
                return 1;
        greet(&w);
        for (;;)
                run_chunk(&w);
}

/* SPDX-License-Identifier: MIT */

#pragma GCC visibility push(default)
#include "brood/handler.h"
#pragma GCC visibility pop

#include "worker/job.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/fd.h"

/* Of a byte there are six in JSON, at the worst. */
enum { ESCAPED = 6, KEEP = 64 * 1024 };

const char *brood_job_id(const BroodJob *job)
{
        return job->id;
}

int brood_job_attempt(const BroodJob *job)
{
        return job->attempt;
}

const char *brood_job_handler(const BroodJob *job)
{
        return job->handler;
}

unsigned brood_job_slot(const BroodJob *job)
{
        return job->slot;
}

int64_t brood_job_time_left(const BroodJob *job)
{
        if (job->deadline == USEC_INFINITY)
                return INT64_MAX;
        return (int64_t)(job->deadline - clock_monotonic());
}

const char *brood_job_args_bytes(const BroodJob *job, size_t *ret_size)
{
        *ret_size = job->args.len;
        return job->args.data;
}

const json_t *brood_job_args(BroodJob *job)
{
        if (!job->parsed)
                job->parsed = json_loadb(job->args.data, job->args.len, 0, NULL);
        return job->parsed;
}

int brood_job_cancelled(const BroodJob *job)
{
        return atomic_load_explicit(&job->cancelled, memory_order_acquire) != CANCEL_NONE;
}

const char *brood_job_cancel_reason(const BroodJob *job)
{
        switch ((CancelReason)atomic_load_explicit(&job->cancelled, memory_order_acquire)) {
        case CANCEL_CANCEL:
                return "cancel";
        case CANCEL_TIMEOUT:
                return "timeout";
        case CANCEL_SHUTDOWN:
                return "shutdown";
        default:
                return NULL;
        }
}

int brood_job_cancel_fd(BroodJob *job)
{
        int fd;

        pthread_mutex_lock(job->lock);
        if (job->cancel_fd < 0)
                job->cancel_fd = eventfd(brood_job_cancelled(job) ? 1 : 0,
                                         EFD_CLOEXEC | EFD_NONBLOCK);
        fd = job->cancel_fd;
        pthread_mutex_unlock(job->lock);
        return fd;
}

void job_cancel(BroodJob *job, CancelReason reason)
{
        atomic_store_explicit(&job->cancelled, (int)reason, memory_order_release);
        if (job->cancel_fd >= 0)
                (void)eventfd_write(job->cancel_fd, 1); /* EAGAIN: it is readable already */
}

const char *cancel_reason_words(CancelReason reason)
{
        switch (reason) {
        case CANCEL_TIMEOUT:
                return "timed out";
        case CANCEL_SHUTDOWN:
                return "ended because the worker leaves";
        default:
                return "was cancelled";
        }
}

int brood_job_progress(BroodJob *job, double fraction)
{
        if (!isfinite(fraction) || fraction < 0 || fraction > 1)
                return -EINVAL;
        return job->report->progress(job->report->context, fraction);
}

/* --- output --- */

static bool is_followed(const BroodJob *job)
{
        return !job->page || slot_page_followed(job->page);
}

/* How many bytes at the end of the text are only the beginning of a character. */
static uint8_t cut_at_end(Slice text)
{
        for (uint8_t n = 1; n <= 3 && n <= text.len; n++) {
                unsigned char c = (unsigned char)text.data[text.len - n];

                if (c >= 0xc0)
                        return n < (c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2) ? n : 0;
                if (c < 0x80)
                        return 0;
        }
        return 0;
}

/* Sends what was cut and the first of the bytes, but for a character that their end cuts in two: so
 * text stays text. Takes them off the front. */
static int send_piece(BroodJob *job, int stream, Slice *bytes)
{
        JobCut *cut = &job->cut[stream - 1];
        size_t n = MIN(MIN(bytes->len, (size_t)JOB_PIECE), job->max_result / ESCAPED);
        Slice piece;

        buffer_clear(&job->piece, SIZE_MAX);
        buffer_append(&job->piece, cut->bytes, cut->n);
        buffer_append(&job->piece, bytes->data, n);
        if (job->piece.failed)
                return -ENOMEM;
        piece = buffer_slice(&job->piece);
        cut->n = cut_at_end(piece);
        piece.len -= cut->n;
        memcpy(cut->bytes, piece.data + piece.len, cut->n);
        bytes->data += n;
        bytes->len -= n;
        return piece.len ? job->report->output(job->report->context, stream, piece) : 0;
}

int brood_job_output(BroodJob *job, int stream, const void *bytes, size_t size)
{
        Slice left = { bytes, size };
        int r = 0;

        if (stream != 1 && stream != 2)
                return -EINVAL;
        if (job->log)
                job->log->output(job->log->context, job, stream, left);
        if (!is_followed(job)) {
                job->cut[stream - 1].n = 0; /* its rest is not sent either */
                return 0;
        }
        while (r == 0 && left.len)
                r = send_piece(job, stream, &left);
        return r;
}

void job_end_output(BroodJob *job)
{
        for (int i = 0; i < JOB_STREAMS; i++) {
                JobCut *cut = &job->cut[i];

                if (cut->n && is_followed(job)) /* that it fails, the answer will find out, too */
                        (void)job->report->output(job->report->context, i + 1,
                                                  (Slice){ cut->bytes, cut->n });
                cut->n = 0;
        }
        if (job->log)
                job->log->end(job->log->context, job);
}

/* --- results --- */

static int too_large(BroodJob *job, size_t size)
{
        return job_fail_kind(job, "result", 0, NULL,
                             "the result has %zu bytes, %zu are allowed (MaxMessageSize=)", size,
                             job->max_result);
}

int brood_job_result(BroodJob *job, const char *text, size_t size)
{
        if (size > job->max_result)
                return too_large(job, size);
        if (varlink_scan_object(job->scan, (Slice){ text, size }) != 0)
                return job_fail_kind(job, "result", 0, NULL,
                                     "the handler's result is not a JSON object");
        buffer_clear(&job->result, SIZE_MAX);
        buffer_append(&job->result, text, size);
        job->answered = true;
        return 0;
}

static int append_dump(const char *bytes, size_t size, void *to)
{
        buffer_append(to, bytes, size);
        return 0;
}

int brood_job_result_json(BroodJob *job, json_t *result)
{
        bool good = json_is_object(result);

        buffer_clear(&job->result, SIZE_MAX);
        if (good)
                good = json_dump_callback(result, append_dump, &job->result, JSON_COMPACT) == 0;
        json_decref(result);
        if (!good)
                return job_fail_kind(job, "result", 0, NULL,
                                     "the handler's result is not a JSON object");
        if (buffer_len(&job->result) > job->max_result)
                return too_large(job, buffer_len(&job->result));
        job->answered = true;
        return 0;
}

static int fail(BroodJob *job, const char *kind, int retry, json_t *details, const char *format,
                va_list args)
{
        free(job->message);
        if (vasprintf(&job->message, format, args) < 0)
                job->message = NULL;
        json_decref(job->details);
        job->details = details;
        job->kind = kind;
        job->bad_args = false;
        job->retry = retry;
        job->failed = true;
        return 1;
}

int job_fail_kind(BroodJob *job, const char *kind, int retry, json_t *details, const char *format,
                  ...)
{
        va_list args;

        va_start(args, format);
        (void)fail(job, kind, retry, details, format, args);
        va_end(args);
        return 1;
}

int brood_job_fail(BroodJob *job, int retry, json_t *details, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)fail(job, NULL, retry, details, format, args);
        va_end(args);
        return 1;
}

int brood_job_bad_args(BroodJob *job, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)fail(job, NULL, 0, NULL, format, args);
        va_end(args);
        job->bad_args = true;
        return 1;
}

void job_clear(BroodJob *job)
{
        json_decref(job->parsed);
        json_decref(job->details);
        free(job->message);
        job->parsed = job->details = NULL;
        job->message = NULL;
        job->cancel_fd = fd_close(job->cancel_fd);
        for (int i = 0; i < JOB_FDS; i++)
                job->fds[i] = fd_close(job->fds[i]);
        buffer_clear(&job->result, KEEP);
        buffer_clear(&job->piece, KEEP);
}

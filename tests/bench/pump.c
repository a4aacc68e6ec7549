/* SPDX-License-Identifier: MIT */

#include "pump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void expect(const char *reply, size_t size, const char *part)
{
        if (memmem(reply, size, part, strlen(part)))
                return;
        errno = 0;
        die("no %s in: %.*s", part, size > 2000 ? 2000 : (int)size, reply);
}

void expect_id(void *context, const char *reply, size_t size)
{
        expect(reply, size, "\"id\":\"");
}

void expect_ids(void *context, const char *reply, size_t size)
{
        expect(reply, size, "\"ids\":[");
}

void expect_success(void *context, const char *reply, size_t size)
{
        expect(reply, size, "\"state\":\"succeeded\"");
}

/* A job carries the payload of the peers: handler, arguments, priority and a tag. */
static void write_job(FILE *f, const CrewTask *task)
{
        (void)fprintf(f,
                      "{\"handler\":\"%s\",\"args\":{\"n\":110.0},\"priority\":5,"
                      "\"tags\":[\"abcdd\"],\"durability\":\"%s\"}",
                      task->handler, task->durability);
}

static FILE *open_text(char **text, size_t *size)
{
        FILE *f = open_memstream(text, size);

        if (!f)
                die("open_memstream");
        return f;
}

static void close_text(FILE *f)
{
        if (ferror(f) || fclose(f) != 0)
                die("the text of a call");
}

char *call_submit(const CrewTask *task, bool wait)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_text(&text, &size);

        (void)fputs("{\"method\":\"io.brood.Submit\",\"parameters\":{\"job\":", f);
        write_job(f, task);
        (void)fputs(wait ? ",\"wait\":true}}" : "}}", f);
        close_text(f);
        return text;
}

char *call_submit_many(const CrewTask *task, long n)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_text(&text, &size);

        (void)fputs("{\"method\":\"io.brood.SubmitMany\",\"parameters\":{\"jobs\":[", f);
        for (long i = 0; i < n; i++) {
                (void)fputs(i ? "," : "", f);
                write_job(f, task);
        }
        (void)fputs("]}}", f);
        close_text(f);
        return text;
}

void pump_init(Pump *p, const char *socket, char *call, long window, PumpReply reply,
               void *context)
{
        size_t size = strlen(call) + 1;

        *p = (Pump){ .wire = wire_open(socket), .size = size, .window = window,
                     .reply = reply, .context = context };
        p->calls = realloc(call, (size_t)window * size);
        if (!p->calls)
                die("realloc");
        for (long i = 1; i < window; i++)
                memcpy(p->calls + (size_t)i * size, p->calls, size);
}

void pump_fini(Pump *p)
{
        wire_close(p->wire);
        free(p->calls);
}

/* Takes the replies that are there, when there is one; returns how many. */
static long take_replies(Pump *p)
{
        const char *reply;
        size_t size;
        long n = 0;

        wire_fill(p->wire);
        for (; (reply = wire_take(p->wire, &size)); n++)
                p->reply(p->context, reply, size);
        return n;
}

void pump_run(Pump *p, long calls)
{
        long sent = 0, heard = 0;

        while (heard < calls) {
                long room = p->window - (sent - heard);
                long more = calls - sent < room ? calls - sent : room;

                wire_send(p->wire, p->calls, (size_t)more * p->size);
                sent += more;
                heard += take_replies(p);
        }
}

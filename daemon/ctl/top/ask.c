/* SPDX-License-Identifier: MIT */

#include "ctl/top/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ctl/words.h"

static void lost_words(Buffer *words, int error)
{
        if (error == -EAGAIN)
                buffer_append_literal(words, "broodd takes no connections: its queue is full");
        else if (error == -ECONNRESET || error == -EPIPE)
                buffer_append_literal(words, "broodd went away");
        else
                buffer_printf(words, "broodd cannot be reached: %s", strerror(-error));
}

static int connect_and_send(TopAsk *a, const char *socket, const char *method, const char *name,
                            const char *value)
{
        int fd = varlink_connect(socket, SOCK_NONBLOCK), r;
        char full[64];
        Buffer *b;

        if (fd < 0)
                return fd;
        r = varlink_client_new_fd(&a->client, fd);
        if (r < 0)
                return r;
        b = varlink_client_out(a->client);
        (void)snprintf(full, sizeof(full), "io.brood.%s", method);
        varlink_write_call(b, full, 0);
        if (name)
                emit_string_member(b, name, slice_of(value));
        varlink_write_end(b, 0);
        return varlink_client_send(a->client);
}

bool top_ask_begin(TopAsk *a, const char *socket, const char *verb, const char *method,
                   const char *name, const char *value, Buffer *words)
{
        int r;

        top_ask_end(a);
        a->verb = verb;
        a->deadline = clock_monotonic() + TOP_PATIENCE;
        r = connect_and_send(a, socket, method, name, value);
        if (r == 0)
                return true;
        lost_words(words, r);
        top_ask_end(a);
        return false;
}

static int receive(TopAsk *a, Slice *ret)
{
        int r = varlink_client_send(a->client);

        if (r == 0)
                r = varlink_client_fill(a->client);
        return r < 0 ? r : varlink_client_next(a->client, ret);
}

static TopAnswer judge(TopAsk *a, Slice text, Reply *ret, Buffer *words)
{
        int r = reply_parse(ret, text);

        if (r < 0)
                buffer_append_literal(words, "what listens there does not speak as broodd does");
        else if (ret->error)
                words_append_error(words, a->verb, ret->error, ret->parameters);
        else
                return TOP_ASK_DONE;
        return TOP_ASK_FAILED;
}

TopAnswer top_ask_step(TopAsk *a, usec_t now, Reply *ret_reply, Buffer *words)
{
        TopAnswer answer = TOP_ASK_FAILED;
        Slice text;
        int r;

        if (!a->client)
                return TOP_ASK_NOTHING;
        r = receive(a, &text);
        if (r == 0 && now < a->deadline)
                return TOP_ASK_NOTHING;
        if (r > 0)
                answer = judge(a, text, ret_reply, words);
        else if (r == 0)
                buffer_printf(words, "broodd did not answer within %d s",
                              (int)(TOP_PATIENCE / USEC_PER_SEC));
        else
                lost_words(words, r);
        top_ask_end(a);
        return answer;
}

int top_ask_fd(const TopAsk *a)
{
        return a->client ? varlink_client_fd(a->client) : -1;
}

short top_ask_events(const TopAsk *a)
{
        if (!a->client)
                return 0;
        return (short)(POLLIN | (buffer_len(varlink_client_out(a->client)) ? POLLOUT : 0));
}

void top_ask_end(TopAsk *a)
{
        varlink_client_free(a->client);
        a->client = NULL;
}

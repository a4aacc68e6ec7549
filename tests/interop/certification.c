/* SPDX-License-Identifier: MIT */

/* brood-certification --server PATH | --client PATH
 *
 * org.varlink.certification, by which Varlink implementations are tested against each other
 * (https://varlink.org/Language-Bindings). A client goes through Start, Test01 … Test11 and End and
 * hands each answer back as the parameters of the next call; a server knows what has to come.
 *
 * The server is a blocking loop round varlink/service.h, one connection after another; it ends in
 * good order on SIGTERM. The client is varlink/client.h; it also checks each reply against the
 * interface file. Exit status: 0 all went well, 1 something did not, 2 wrong usage. */

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "org.varlink.certification.h"
#include "varlink/client.h"
#include "varlink/json.h"
#include "varlink/service.h"

#define NAME "org.varlink.certification."

enum { MAX_MESSAGE = 1 << 20, MAX_CLIENTS = 64, N_REPLIES = 10 };

/* The way through the interface: what a method takes (beside client_id) and what it answers. */
typedef struct Step {
        const char *method;
        const char *in, *out;
} Step;

#define VALUES "'bool': false, 'int': 2, 'float': 3.1415926535897932, 'string': 'a lot of string'"
#define MAP "{'foo': 'Foo', 'bar': 'Bar'}"
#define SET "{'one': {}, 'two': {}, 'three': {}}"
#define MY_TYPE                                                                                    \
        "{'object': {'method': 'org.varlink.certification.Test09', 'parameters': {'map': " MAP     \
        "}}, 'enum': 'two', 'struct': {'first': 1, 'second': '2'}, 'array': ['one', 'two', "       \
        "'three'], 'dictionary': " MAP ", 'stringset': " SET ", 'nullable': null, "                \
        "'nullable_array_struct': null, 'interface': {'foo': [null, {'Foo': 'foo', 'Bar': "        \
        "'bar'}, null, {'one': 'foo', 'two': 'bar'}], 'anon': {'foo': true, 'bar': false}}}"

enum { STEP_START, STEP_MORE = 10, STEP_ONEWAY = 11, STEP_END = 12, N_STEPS };

static const Step steps[N_STEPS] = {
        { "Start", "{}", NULL },
        { "Test01", "{}", "{'bool': true}" },
        { "Test02", "{'bool': true}", "{'int': 1}" },
        { "Test03", "{'int': 1}", "{'float': 1.0}" },
        { "Test04", "{'float': 1.0}", "{'string': 'ping'}" },
        { "Test05", "{'string': 'ping'}", "{" VALUES "}" },
        { "Test06", "{" VALUES "}", "{'struct': {" VALUES "}}" },
        { "Test07", "{'struct': {" VALUES "}}", "{'map': " MAP "}" },
        { "Test08", "{'map': " MAP "}", "{'set': " SET "}" },
        { "Test09", "{'set': " SET "}", "{'mytype': " MY_TYPE "}" },
        { "Test10", "{'mytype': " MY_TYPE "}", NULL },
        { "Test11", NULL, "{}" },
        { "End", "{}", "{'all_ok': true}" },
};

/* The table's text: JSON with ' where " is meant. */
static json_t *parse(const char *text)
{
        AUTO(free) char *copy = strdup(text);
        json_t *value;

        if (!copy)
                abort();
        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        value = json_loads(copy, 0, NULL);
        if (!value)
                abort();
        return value;
}

static json_t *reply_number(int i)
{
        return json_sprintf("Reply number %d", i + 1);
}

static json_t *last_more_replies(void)
{
        json_t *list = json_array();

        for (int i = 0; i < N_REPLIES; i++)
                json_array_append_new(list, reply_number(i));
        return json_pack("{s:o}", "last_more_replies", list);
}

static json_t *step_in(int step)
{
        return step == STEP_ONEWAY ? last_more_replies() : parse(steps[step].in);
}

/* json_equal(), but 1 is 1.0, and a member that is null is one that is absent. */
static bool same(const json_t *a, const json_t *b);

static bool has_all(const json_t *a, const json_t *b)
{
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)a, key, value)
                if (!json_is_null(value) && !same(value, json_object_get(b, key)))
                        return false;
        return true;
}

static bool same(const json_t *a, const json_t *b)
{
        if (!a || !b)
                return (!a || json_is_null(a)) && (!b || json_is_null(b));
        if (json_is_object(a) && json_is_object(b))
                return has_all(a, b) && has_all(b, a);
        if (json_is_array(a) && json_is_array(b)) {
                if (json_array_size(a) != json_array_size(b))
                        return false;
                for (size_t i = 0; i < json_array_size(a); i++)
                        if (!same(json_array_get(a, i), json_array_get(b, i)))
                                return false;
                return true;
        }
        if (json_is_number(a) && json_is_number(b))
                return json_number_value(a) == json_number_value(b);
        return json_equal(a, b);
}

/* --- the server --- */

/* Where each client is: clients[i] has the id "client-i" and comes next to this step. */
static int clients[MAX_CLIENTS];
static int n_clients;
static volatile sig_atomic_t stopping;

static void on_term(int sig)
{
        stopping = sig;
}

static json_t *parameters_of(const VarlinkMessage *m, const VarlinkScan *scan)
{
        Slice text = varlink_slice(scan, varlink_node(scan, m->parameters));

        return text.len ? json_loadb(text.data, text.len, 0, NULL) : json_object();
}

static void reply_json(VarlinkCall *call, json_t *parameters, bool continues)
{
        AUTO(free) char *text = json_dumps(parameters, JSON_COMPACT);

        json_decref(parameters);
        if (!text)
                abort();
        buffer_append(varlink_reply_begin(call), text + 1, strlen(text) - 2);
        varlink_reply_end(call, continues);
}

static void reply_wrong(VarlinkCall *call, json_t *wants, json_t *got)
{
        AUTO(free) char *wanted = json_dumps(wants, JSON_COMPACT);
        AUTO(free) char *given = json_dumps(got, JSON_COMPACT);
        Buffer *b;

        if (!wanted || !given)
                abort();
        fprintf(stderr, "wants %s\ngot %s\n", wanted, given);
        b = varlink_error_begin(call, NAME "CertificationError");
        emit_raw_member(b, "wants", slice_of(wanted));
        emit_raw_member(b, "got", slice_of(given));
        varlink_reply_end(call, false);
}

static int find_client(const json_t *parameters)
{
        const char *id = json_string_value(json_object_get(parameters, "client_id"));
        char name[32];

        for (int i = 0; id && i < n_clients; i++) {
                (void)snprintf(name, sizeof(name), "client-%d", i);
                if (strcmp(id, name) == 0)
                        return i;
        }
        return -1;
}

static void answer(VarlinkCall *call, int step)
{
        if (step == STEP_MORE) {
                for (int i = 0; i < N_REPLIES; i++)
                        reply_json(call, json_pack("{s:o}", "string", reply_number(i)),
                                   i < N_REPLIES - 1);
                return;
        }
        reply_json(call, parse(steps[step].out), false);
}

/* Is the call made as this step wants it: `more`, `oneway`, the right step, the right values? */
static void on_call(VarlinkServer *server, VarlinkCall *call, const VarlinkMessage *m,
                    const VarlinkScan *scan)
{
        int step = (int)(m->method - m->interface->methods), client;
        json_t *got = parameters_of(m, scan), *wants;

        if (step == STEP_START) {
                json_decref(got);
                if (n_clients == MAX_CLIENTS)
                        n_clients = 0;
                clients[n_clients] = 1;
                reply_json(call, json_pack("{s:o}", "client_id",
                                           json_sprintf("client-%d", n_clients)), false);
                n_clients++;
                return;
        }
        client = find_client(got);
        if (client < 0) {
                json_decref(got);
                (void)varlink_error_begin(call, NAME "ClientIdError");
                varlink_reply_end(call, false);
                return;
        }
        wants = step_in(step);
        json_object_del(got, "client_id");
        if (clients[client] != step || !same(wants, got) || call->more != (step == STEP_MORE) ||
            call->oneway != (step == STEP_ONEWAY)) {
                clients[client] = -1;
                reply_wrong(call, wants, got);
        } else {
                clients[client] = step + 1;
                answer(call, step);
        }
        json_decref(wants);
        json_decref(got);
}

static int send_out(int fd, Buffer *out)
{
        while (buffer_len(out)) {
                ssize_t n = send(fd, buffer_bytes(out), buffer_len(out), MSG_NOSIGNAL);

                if (n < 0)
                        return -errno;
                buffer_consume(out, (size_t)n);
        }
        return 0;
}

static void serve(VarlinkService *service, int fd)
{
        VarlinkServer server;
        char bytes[4096];

        varlink_server_init(&server, service, MAX_MESSAGE);
        for (;;) {
                ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

                if (n <= 0 || varlink_server_feed(&server, bytes, (size_t)n) < 0)
                        break;
                if (send_out(fd, &server.out) < 0 || server.broken)
                        break;
        }
        varlink_server_fini(&server);
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        AUTO(fd_close) int fd = -1;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, 16) < 0)
                return -errno;
        return MOVE_FD(fd);
}

static int run_server(const VarlinkInterface *interface, const char *path)
{
        VarlinkService service = {
                .vendor = "brood", .product = "certification", .version = BROOD_VERSION,
                .url = "https://varlink.org", .too_large = NAME "CertificationError",
                .call = on_call,
        };
        struct sigaction on = { .sa_handler = on_term }; /* without SA_RESTART: it wakes accept() */
        int listener;

        sigaction(SIGTERM, &on, NULL);
        if (varlink_service_init(&service) < 0)
                return 1;
        varlink_service_add(&service, interface);
        listener = listen_at(path);
        if (listener < 0)
                fprintf(stderr, "%s: %s\n", path, strerror(-listener));
        while (listener >= 0 && !stopping) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0)
                        continue;
                serve(&service, fd);
                close(fd);
        }
        if (listener >= 0) {
                close(listener);
                unlink(path);
        }
        varlink_service_fini(&service);
        return stopping ? 0 : 1;
}

/* --- the client --- */

typedef struct Certify {
        VarlinkClient *client;
        const VarlinkInterface *interface;
        json_t *id;
        VarlinkScan scan;
} Certify;

/* The next reply to `step`, which must fit the interface file. NULL: it says why. */
static json_t *receive(Certify *c, int step, bool *ret_continues)
{
        VarlinkReply reply;
        json_t *message, *parameters = NULL;
        Slice text;
        int r = varlink_client_receive(c->client, 10 * USEC_PER_SEC, &text);

        if (r <= 0) {
                fprintf(stderr, "%s: %s\n", steps[step].method, r ? strerror(-r) : "no answer");
                return NULL;
        }
        r = varlink_reply_scan(&c->scan, text, c->interface, &c->interface->methods[step], &reply);
        message = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        if (r || !message || reply.error.len || json_object_get(message, "error"))
                fprintf(stderr, "%s: %.*s: %s\n", steps[step].method, (int)text.len, text.data,
                        r ? c->scan.fault : "an error");
        else
                parameters = json_incref(json_object_get(message, "parameters"));
        if (!r)
                *ret_continues = reply.continues;
        json_decref(message);
        return parameters;
}

static int send_call(Certify *c, int step, json_t *parameters, unsigned flags)
{
        char method[64];
        int r;

        (void)snprintf(method, sizeof(method), NAME "%s", steps[step].method);
        if (c->id)
                json_object_set(parameters, "client_id", c->id);
        r = varlink_client_write(c->client, method, parameters, flags);
        return r < 0 ? r : varlink_client_flush(c->client);
}

/* The replies of Test10, as the parameters of Test11. */
static json_t *receive_more(Certify *c)
{
        json_t *list = json_array(), *reply;
        bool continues = true;

        while (continues) {
                reply = receive(c, STEP_MORE, &continues);
                if (!reply) {
                        json_decref(list);
                        return NULL;
                }
                json_array_append(list, json_object_get(reply, "string"));
                json_decref(reply);
        }
        return json_pack("{s:o}", "last_more_replies", list);
}

/* One step: sends `parameters` (stolen) and returns the answer, the parameters of the next one. */
static json_t *take_step(Certify *c, int step, json_t *parameters)
{
        unsigned flags = step == STEP_MORE ? VARLINK_MORE :
                         step == STEP_ONEWAY ? VARLINK_ONEWAY : 0;
        json_t *got, *wants;
        bool continues = false, good;

        if (send_call(c, step, parameters, flags) < 0)
                return NULL;
        if (step == STEP_ONEWAY)
                return json_object();
        got = step == STEP_MORE ? receive_more(c) : receive(c, step, &continues);
        if (!got)
                return NULL;
        wants = step == STEP_MORE ? last_more_replies() :
                step == STEP_START ? json_copy(got) : parse(steps[step].out);
        good = same(wants, got) && !continues;
        if (!good) {
                fprintf(stderr, "%s: a wrong answer\n", steps[step].method);
                json_decref(got);
                got = NULL;
        }
        json_decref(wants);
        return got;
}

static int certify(Certify *c)
{
        json_t *values = json_object();

        for (int step = 0; step < N_STEPS; step++) {
                values = take_step(c, step, values);
                if (!values)
                        return 1;
                if (step == STEP_START) {
                        c->id = json_incref(json_object_get(values, "client_id"));
                        json_object_clear(values);
                }
        }
        json_decref(values);
        puts("End");
        return 0;
}

static int run_client(const VarlinkInterface *interface, const char *path)
{
        Certify c = { .interface = interface };
        int r = varlink_client_new(&c.client, path);

        if (r < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(-r));
                return 1;
        }
        r = certify(&c);
        json_decref(c.id);
        varlink_scan_fini(&c.scan);
        varlink_client_free(c.client);
        return r;
}

int main(int argc, char **argv)
{
        VarlinkInterface *interface;
        char error[128];
        bool server = argc == 3 && strcmp(argv[1], "--server") == 0;
        int r;

        if (!server && (argc != 3 || strcmp(argv[1], "--client") != 0)) {
                fprintf(stderr, "usage: brood-certification --server PATH | --client PATH\n");
                return 2;
        }
        if (varlink_interface_new(&interface, SLICE(ORG_VARLINK_CERTIFICATION_TEXT), error,
                                  sizeof(error)) < 0) {
                fprintf(stderr, "%s\n", error);
                return 1;
        }
        r = server ? run_server(interface, argv[2]) : run_client(interface, argv[2]);
        varlink_interface_free(interface);
        return r;
}

/* SPDX-License-Identifier: MIT */

/* The service manager is a socket of the test's own. */

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ops/log.h"
#include "ops/service.h"
#include "unit.h"

typedef struct Manager {
        int fd;
        char name[64];
        char text[8192]; /* what it heard last */
} Manager;

static int set_up(void **state)
{
        Manager *m = calloc(1, sizeof(*m));
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        socklen_t length;

        assert_non_null(m);
        log_set_level(2); /* what goes wrong here is meant to */
        (void)snprintf(m->name, sizeof(m->name), "@brood-notify-%d", (int)getpid());
        memcpy(a.sun_path + 1, m->name + 1, strlen(m->name) - 1);
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(m->name));
        m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(m->fd >= 0);
        assert_int_equal(bind(m->fd, (struct sockaddr *)&a, length), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", m->name, 1), 0);
        *state = m;
        return 0;
}

static int tear_down(void **state)
{
        Manager *m = *state;

        (void)close(m->fd);
        free(m);
        return 0;
}

/* The next message; "": there is none. */
static const char *hear(Manager *m)
{
        ssize_t n = recv(m->fd, m->text, sizeof(m->text) - 1, 0);

        m->text[n > 0 ? n : 0] = '\0';
        return m->text;
}

/* Writes until there is no room. Returns how many messages there are. */
static unsigned fill(const Manager *m)
{
        Notify n;
        unsigned count = 0;

        assert_int_equal(notify_open(&n, m->name), 0);
        while (notify_send(&n, "X=1") == 0)
                count++;
        assert_int_equal(notify_send(&n, "X=1"), -EAGAIN);
        notify_close(&n);
        return count;
}

static void empty(Manager *m, unsigned count)
{
        while (count--)
                assert_string_equal(hear(m), "X=1");
}

static void an_address_is_a_path_or_a_name(void **state UNUSED)
{
        char longest[200];
        Notify n;

        memset(longest, 'x', sizeof(longest) - 1);
        longest[0] = '/';
        longest[sizeof(longest) - 1] = '\0';
        assert_int_equal(notify_open(&n, NULL), 0);
        assert_int_equal(n.fd, -1);
        assert_int_equal(notify_send(&n, "X=1"), 0); /* nobody is told */
        assert_int_equal(notify_open(&n, "nonsense"), -EINVAL);
        assert_int_equal(notify_open(&n, "@"), -EINVAL);
        assert_int_equal(notify_open(&n, longest), -EINVAL);
        assert_int_equal(n.fd, -1);
        assert_int_equal(notify_open(&n, "/nobody/listens"), 0);
        assert_int_equal(notify_send(&n, "X=1"), -ENOENT);
        notify_close(&n);
        assert_int_equal(n.fd, -1);
}

static void the_environment_is_asked_once_and_taken(void **state)
{
        Service s;

        assert_int_equal(setenv("WATCHDOG_USEC", "3000000", 1), 0);
        service_init(&s);
        assert_true(service_is_on(&s));
        assert_int_equal(s.watchdog, 3000000);
        assert_null(getenv("NOTIFY_SOCKET"));
        assert_null(getenv("WATCHDOG_USEC"));
        service_fini(&s);
        service_init(&s);
        assert_false(service_is_on(&s));
        assert_int_equal(s.watchdog, 0);
        service_ready(&s, "nobody hears it");
        service_status(&s, "nobody hears it");
        assert_string_equal(hear(*state), "");
        service_fini(&s);
}

static void the_same_status_is_said_once(void **state)
{
        Manager *m = *state;
        Service s;

        service_init(&s);
        service_ready(&s, "one\nline");
        assert_string_equal(hear(m), "READY=1\nSTATUS=one line");
        service_status(&s, "one\nline");
        assert_string_equal(hear(m), "");
        service_status(&s, "another");
        assert_string_equal(hear(m), "STATUS=another");
        service_status(&s, "another");
        assert_string_equal(hear(m), "");
        service_fini(&s);
}

static void what_has_no_room_is_owed_and_the_last_counts(void **state)
{
        Manager *m = *state;
        unsigned count;
        Service s;

        service_init(&s);
        count = fill(m);
        service_reloading(&s, "is reloading");
        service_ready(&s, "is ready");
        service_status(&s, "of the moment");
        service_ping(&s);
        service_extend(&s, 5);
        assert_true(service_flush(&s));
        empty(m, count);
        assert_string_equal(hear(m), "");
        assert_false(service_flush(&s));
        assert_string_equal(hear(m), "READY=1\nSTATUS=is ready");
        assert_string_equal(hear(m), "");
        service_status(&s, "of the moment");
        assert_string_equal(hear(m), "STATUS=of the moment");
        service_fini(&s);
}

static void a_status_that_had_no_room_is_not_taken_for_known(void **state)
{
        Manager *m = *state;
        unsigned count;
        Service s;

        service_init(&s);
        count = fill(m);
        service_status(&s, "news");
        empty(m, count);
        service_status(&s, "news");
        assert_string_equal(hear(m), "STATUS=news");
        service_fini(&s);
}

static void each_message_is_what_the_manual_says(void **state)
{
        Manager *m = *state;
        Service s;

        service_init(&s);
        service_stopping(&s, "bye");
        assert_string_equal(hear(m), "STOPPING=1\nSTATUS=bye");
        service_failed(&s, ENOSPC, "full");
        assert_string_equal(hear(m), "ERRNO=28\nSTATUS=full");
        service_failed(&s, 0, "no such thing");
        assert_string_equal(hear(m), "STATUS=no such thing");
        service_extend(&s, 10 * USEC_PER_SEC);
        assert_string_equal(hear(m), "EXTEND_TIMEOUT_USEC=10000000");
        service_ping(&s);
        assert_string_equal(hear(m), "WATCHDOG=1");
        service_reloading(&s, "again");
        assert_non_null(strstr(hear(m), "RELOADING=1\nMONOTONIC_USEC="));
        assert_non_null(strstr(m->text, "\nSTATUS=again"));
        service_fini(&s);
}

static void a_status_of_any_length_is_a_message_that_is_taken(void **state)
{
        Manager *m = *state;
        char status[5000];
        Service s;

        memset(status, 'x', sizeof(status) - 1);
        status[sizeof(status) - 1] = '\0';
        service_init(&s);
        service_status(&s, status);
        assert_int_equal(strlen(hear(m)), strlen("STATUS=") + SERVICE_STATUS_MAX - 1);
        service_status(&s, status);
        assert_string_equal(hear(m), "");
        service_stopping(&s, status);
        assert_true(strlen(hear(m)) < 2048);
        service_fini(&s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(an_address_is_a_path_or_a_name),
                TEST(the_environment_is_asked_once_and_taken),
                TEST(the_same_status_is_said_once),
                TEST(what_has_no_room_is_owed_and_the_last_counts),
                TEST(a_status_that_had_no_room_is_not_taken_for_known),
                TEST(each_message_is_what_the_manual_says),
                TEST(a_status_of_any_length_is_a_message_that_is_taken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

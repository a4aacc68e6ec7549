/* SPDX-License-Identifier: MIT */

/* Peer client: loads beanstalkd and prints "metric value unit" lines; the metric is `rate` where
 * there is but one figure.
 *
 *     beans SOCKET load sync|pipe PRODUCERS WORKERS JOBS | put IN-FLIGHT JOBS | latency JOBS
 *     beans backlog SECONDS {SOCKET SIZE}... */

#include "load.h"
#include "resident.h"
#include <sys/socket.h>
#include <sys/un.h>

enum { WINDOW = 64 };
static const char *path;

struct conn {
        int fd;
        size_t r, w;
        char buf[1 << 18];
};

static struct conn *bs_open(void)
{
        struct conn *c = malloc(sizeof *c);
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        c->r = c->w = 0;
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0)
                die(path);
        return c;
}

static void bs_send(struct conn *c, const char *b, size_t n)
{
        while (n) {
                ssize_t k = write(c->fd, b, n);
                if (k < 0)
                        die("write");
                b += k;
                n -= (size_t)k;
        }
}

static void bs_fill(struct conn *c)
{
        if (c->r == c->w)
                c->r = c->w = 0;
        else if (c->w == sizeof c->buf) {
                memmove(c->buf, c->buf + c->r, c->w - c->r);
                c->w -= c->r;
                c->r = 0;
        }
        ssize_t k = read(c->fd, c->buf + c->w, sizeof c->buf - c->w);
        if (k <= 0)
                die("read");
        c->w += (size_t)k;
}

/* Next reply line (valid until the next call). */
static char *bs_line(struct conn *c)
{
        size_t scan = c->r;
        for (;;) {
                char *e = memchr(c->buf + scan, '\n', c->w - scan);
                if (e) {
                        char *l = c->buf + c->r;
                        *e = 0;
                        c->r = (size_t)(e - c->buf) + 1;
                        return l;
                }
                size_t have = c->w - c->r;
                bs_fill(c);
                scan = c->r + have;
        }
}

static void bs_expect(struct conn *c, const char *want)
{
        char *l = bs_line(c);
        if (strncmp(l, want, strlen(want))) {
                errno = 0;
                fprintf(stderr, "got '%s' for '%s'\n", l, want);
                exit(1);
        }
}

static const char *body(struct conn *c, size_t n)
{
        while (c->w - c->r < n + 2)
                bs_fill(c);
        c->r += n + 2;
        return c->buf + c->r - n - 2;
}

/* Read a reservation: id, or 0 if none was ready. */
static unsigned long long reserved(struct conn *c)
{
        unsigned long long id;
        unsigned n;
        char *l = bs_line(c);
        if (!strncmp(l, "TIMED_OUT", 9))
                return 0;
        if (sscanf(l, "RESERVED %llu %u", &id, &n) != 2) {
                fprintf(stderr, "got '%s'\n", l);
                exit(1);
        }
        body(c, n);
        return id;
}

static int window;
static void put_many(struct conn *c, long n, int win)
{
        static char b[WINDOW * 160];
        for (long i = 0; i < n; i += win) {
                int k = n - i < win ? (int)(n - i) : win;
                size_t o = 0;
                for (int j = 0; j < k; j++)
                        o += (size_t)sprintf(b + o, "put 1024 0 600 100\r\n" JOB "\r\n");
                bs_send(c, b, o);
                for (int j = 0; j < k; j++)
                        bs_expect(c, "INSERTED");
        }
}

static void produce(int id, long n)
{
        (void)id;
        struct conn *c = bs_open();
        load_ready();
        put_many(c, n, window);
        pause();
}

/* Reserve and delete up to n jobs.  Pipelined: one write carries the deletes of the last
 * batch, one blocking reserve and some polling ones: a delete behind a blocked reserve
 * would wait, so only the first may block; as many polls as jobs have lately been found. */
static void take_many(struct conn *c, long n, int win, void (*done)(long))
{
        static char b[WINDOW * 64];
        unsigned long long ids[WINDOW];
        int held = 0, want = done ? 1 : win; /* with nobody to tell, the jobs are there */
        for (long taken = 0; taken < n || held;) {
                size_t o = 0;
                int ask = 0, got = 0;
                for (int i = 0; i < held; i++)
                        o += (size_t)sprintf(b + o, "delete %llu\r\n", ids[i]);
                if (win == 1 ? !held : taken < n) {
                        ask = want < n - taken ? want : (int)(n - taken);
                        o += (size_t)sprintf(b + o, "reserve\r\n");
                        for (int i = 1; i < ask; i++)
                                o += (size_t)sprintf(b + o, "reserve-with-timeout 0\r\n");
                }
                bs_send(c, b, o);
                for (int i = 0; i < held; i++)
                        bs_expect(c, "DELETED");
                if (held && done)
                        done(held);
                held = 0;
                for (int i = 0; i < ask; i++) {
                        unsigned long long id = reserved(c);
                        if (id)
                                ids[got++] = id;
                }
                if (ask) {
                        want = got < ask ? got : ask * 2;
                        want = want > win ? win : want;
                }
                held = got;
                taken += got;
        }
}

static void work(int id, long n)
{
        (void)id;
        struct conn *c = bs_open();
        load_ready();
        take_many(c, n * 2, window, load_done);
}

/* Submit, run on an idle worker, result back through a reply tube. */
static void latency(long n)
{
        uint64_t *v = malloc((size_t)n * sizeof *v);
        pid_t p = fork();
        if (p == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                struct conn *c = bs_open();
                bs_send(c, "use reply\r\n", 11);
                bs_expect(c, "USING");
                for (;;) {
                        char b[300];
                        bs_send(c, "reserve\r\n", 9);
                        unsigned long long id = reserved(c);
                        int k = sprintf(b, "put 1 0 60 2\r\nok\r\ndelete %llu\r\n", id);
                        bs_send(c, b, (size_t)k);
                        bs_expect(c, "INSERTED");
                        bs_expect(c, "DELETED");
                }
        }
        struct conn *c = bs_open();
        bs_send(c, "watch reply\r\nignore default\r\n", 29);
        bs_expect(c, "WATCHING");
        bs_expect(c, "WATCHING");
        static const char cmd[] = "put 1024 0 60 100\r\n" JOB "\r\nreserve\r\n";
        char b[64];
        for (long i = 0; i < n; i++) {
                uint64_t t = now_ns();
                bs_send(c, cmd, sizeof cmd - 1);
                bs_expect(c, "INSERTED");
                unsigned long long id = reserved(c);
                v[i] = now_ns() - t;
                bs_send(c, b, (size_t)sprintf(b, "delete %llu\r\n", id));
                bs_expect(c, "DELETED");
                usleep(200);
        }
        kill(p, SIGKILL);
        waitpid(p, NULL, 0);
        print_latency(v, n);
}

static void rate(const char *name, long n, uint64_t ns)
{
        printf("%s %.0f jobs/s\n", name, (double)n * 1e9 / (double)ns);
}

static void put(int win, long n)
{
        struct conn *c = bs_open();
        uint64_t t = now_ns();
        put_many(c, n, win);
        rate("rate", n, now_ns() - t);
}

struct backlog {
        struct conn *c;
        long size, n;
        uint64_t puts, takes; /* ns */
};

static void size_rate(const struct backlog *b, const char *what, long n, uint64_t ns)
{
        char name[64];
        snprintf(name, sizeof name, "%ld/%s", b->size, what);
        rate(name, n, ns);
}

static void fill(struct backlog *b)
{
        long empty = resident_bytes(b->c->fd);
        uint64_t t = now_ns();
        put_many(b->c, b->size, WINDOW);
        size_rate(b, "fill", b->size, now_ns() - t);
        printf("%ld/rss-per-job %.0f B\n", b->size,
               (double)(resident_bytes(b->c->fd) - empty) / (double)b->size);
}

static void take_and_put(struct backlog *b)
{
        enum { STEP = 1000 };
        uint64_t t0 = now_ns(), t1;
        take_many(b->c, STEP, WINDOW, NULL);
        t1 = now_ns();
        put_many(b->c, STEP, WINDOW);
        b->takes += t1 - t0;
        b->puts += now_ns() - t1;
        b->n += STEP;
}

/* A daemon for each size; one step with each, again and again. */
static void backlogs(char **arg, int n, double secs)
{
        struct backlog *all = calloc((size_t)n, sizeof *all), *b, *end = all + n;
        uint64_t enough = (uint64_t)(secs * 1e9);
        int more = 1;
        for (b = all; b < end; b++) {
                path = *arg++;
                b->c = bs_open();
                b->size = atol(*arg++);
                fill(b);
        }
        while (more) {
                more = 0;
                for (b = all; b < end; b++) {
                        take_and_put(b);
                        more |= b->puts < enough || b->takes < enough;
                }
        }
        for (b = all; b < end; b++) {
                size_rate(b, "submit", b->n, b->puts);
                size_rate(b, "dispatch", b->n, b->takes);
        }
        free(all);
}

int main(int argc, char **argv)
{
        if (argc < 4)
                return 2;
        if (!strcmp(argv[1], "backlog")) {
                backlogs(argv + 3, (argc - 3) / 2, atof(argv[2]));
                return 0;
        }
        path = argv[1];
        char *cmd = argv[2];
        if (!strcmp(cmd, "load") && argc == 7) {
                window = argv[3][0] == 's' ? 1 : WINDOW;
                int P = atoi(argv[4]), W = atoi(argv[5]);
                long N = atol(argv[6]);
                double s = load_run(P, W, N, produce, work);
                printf("rate %.0f jobs/s\n", (double)N / s);
        } else if (!strcmp(cmd, "put") && argc == 5) {
                put(atoi(argv[3]), atol(argv[4]));
        } else if (!strcmp(cmd, "latency")) {
                latency(atol(argv[3]));
        } else
                return 2;
        return 0;
}

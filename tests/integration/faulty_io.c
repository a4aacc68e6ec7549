/* SPDX-License-Identifier: MIT */

/* For LD_PRELOAD: a disk that fails, on demand. While the file $BROOD_FAULTS is there and holds
 *
 *     CALL ERRNO [PART]      as in "fdatasync EIO", "pwrite64 ENOSPC wal", "* EIO !wal"
 *
 * that call, or any of them (*), fails with this error on every file whose name holds "brood.db",
 * and PART if it is given, or not what follows a '!' there. Calls are write, pwrite64, fdatasync,
 * fsync, ftruncate and pread64; a write may also be "short": half of it is done, the rest fails.
 * With HANG for an errno the call waits for as long as the order stands, and with SLOW for 20 ms;
 * then it is done. Each of these leaves one byte in the file $BROOD_FAULTS.count, so that a test
 * sees that there were some. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int is_ours(int fd, const char *part)
{
        char link[64], path[PATH_MAX], *name;
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return 0;
        path[n] = '\0';
        name = strrchr(path, '/');
        if (!name || !strstr(name, "brood.db"))
                return 0;
        return part[0] == '!' ? !strstr(name, part + 1) : !!strstr(name, part);
}

/* The order that the control file holds now; false: there is none. */
static int read_order(const char *control, char call[16], char error[16], char part[16])
{
        char text[64];
        ssize_t n;
        int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return 0;
        n = syscall(SYS_read, fd, text, sizeof(text) - 1);
        (void)syscall(SYS_close, fd);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        part[0] = '\0';
        return sscanf(text, "%15s %15s %15s", call, error, part) >= 2;
}

static void count(const char *control)
{
        char path[PATH_MAX];
        int fd;

        if (snprintf(path, sizeof(path), "%s.count", control) >= (int)sizeof(path))
                return;
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                          0600);
        if (fd < 0)
                return;
        (void)syscall(SYS_write, fd, "x", 1);
        (void)syscall(SYS_close, fd);
}

static void pause_ms(int ms)
{
        const struct timespec t = { .tv_nsec = ms * 1000000L };

        (void)nanosleep(&t, NULL);
}

/* Does what the order says of this call. Returns the errno; 0: it is to be done after all. */
static int obey(const char *control, const char *error)
{
        char call[16], now[16], part[16];

        count(control);
        if (strcmp(error, "SLOW") == 0)
                pause_ms(20);
        else if (strcmp(error, "HANG") == 0)
                while (read_order(control, call, now, part) && strcmp(now, "HANG") == 0)
                        pause_ms(5);
        else
                return strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
        return 0;
}

/* The errno with which this call is to fail now; 0: with none. `*ret_short` where it is to do half
 * of its work first. */
static int fault(const char *name, int fd, int *ret_short)
{
        const char *control = getenv("BROOD_FAULTS");
        int saved = errno, r = 0;
        char call[16], error[16], part[16];

        if (control && read_order(control, call, error, part) &&
            (strcmp(call, name) == 0 || strcmp(call, "*") == 0 ||
             (ret_short && strcmp(call, "short") == 0)) &&
            is_ours(fd, part)) {
                if (ret_short)
                        *ret_short = strcmp(call, "short") == 0;
                r = obey(control, error);
        }
        errno = saved;
        return r;
}

static ssize_t write_some(const char *name, int fd, const void *data, size_t n, off_t at)
{
        int half = 0, error = fault(name, fd, &half);

        if (error && half && n > 1) {
                n /= 2;
        } else if (error) {
                errno = error;
                return -1;
        }
        return at < 0 ? syscall(SYS_write, fd, data, n) : syscall(SYS_pwrite64, fd, data, n, at);
}

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
        return write_some("write", fd, data, n, -1);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
        return write_some("pwrite64", fd, data, n, at);
}

EXPORT ssize_t pread64(int fd, void *data, size_t n, off_t at)
{
        int error = fault("pread64", fd, NULL);

        if (error) {
                errno = error;
                return -1;
        }
        return syscall(SYS_pread64, fd, data, n, at);
}

static int on_file(const char *name, long number, int fd, long argument)
{
        int error = fault(name, fd, NULL);

        if (error) {
                errno = error;
                return -1;
        }
        return (int)syscall(number, fd, argument);
}

EXPORT int fdatasync(int fd)
{
        return on_file("fdatasync", SYS_fdatasync, fd, 0);
}

EXPORT int fsync(int fd)
{
        return on_file("fsync", SYS_fsync, fd, 0);
}

EXPORT int ftruncate64(int fd, off_t size)
{
        return on_file("ftruncate", SYS_ftruncate, fd, size);
}

/* SPDX-License-Identifier: MIT */

#include <brood/shared.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "process/kept.h"

struct BroodShared {
        int fd;
        void *data;
        size_t size;
};

void brood_shared_free(BroodShared *s)
{
        if (!s)
                return;
        if (s->data) {
                kept_remove(s->fd);
                (void)munmap(s->data, s->size);
        }
        fd_close(s->fd);
        free(s);
}

DEFINE_CLEANUP(BroodShared, brood_shared_free);

static int map(BroodShared *s, int protection)
{
        void *at = mmap(NULL, s->size, protection, MAP_SHARED, s->fd, 0);

        if (at == MAP_FAILED)
                return -errno;
        s->data = at;
        kept_add(s->fd);
        return 0;
}

/* Its size never changes, so nobody can pull it away under those who look at it. */
static int make_file(size_t size)
{
        AUTO(fd_close) int fd = memfd_create("brood-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
                return errno == EFBIG ? -ENOMEM : -errno;
        return MOVE_FD(fd);
}

int brood_shared_new(BroodShared **ret, size_t size)
{
        AUTO(brood_shared_free) BroodShared *s = NULL;
        int r;

        if (!size)
                return -EINVAL;
        if (size > PTRDIFF_MAX)
                return -ENOMEM;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->size = size;
        s->fd = make_file(size);
        if (s->fd < 0)
                return s->fd;
        r = map(s, PROT_READ | PROT_WRITE);
        if (r < 0)
                return r;
        *ret = MOVE_PTR(s);
        return 0;
}

static int size_of_file(int fd, size_t *ret)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        if (seals < 0 && errno == EBADF)
                return -EBADF;
        if (seals < 0 || !(seals & F_SEAL_SHRINK))
                return -EINVAL;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size <= 0)
                return -EINVAL;
        *ret = (size_t)st.st_size;
        return 0;
}

int brood_shared_open(BroodShared **ret, int fd, int readonly)
{
        AUTO(brood_shared_free) BroodShared *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                fd_close(fd);
                return -ENOMEM;
        }
        s->fd = fd;
        r = size_of_file(fd, &s->size);
        if (r == 0)
                r = fd_cloexec(fd, true);
        if (r == 0)
                r = map(s, readonly ? PROT_READ : PROT_READ | PROT_WRITE);
        if (r < 0)
                return r;
        *ret = MOVE_PTR(s);
        return 0;
}

int brood_shared_fd(const BroodShared *s)
{
        return s->fd;
}

void *brood_shared_data(const BroodShared *s)
{
        return s->data;
}

size_t brood_shared_size(const BroodShared *s)
{
        return s->size;
}

int brood_shared_seal(BroodShared *s)
{
        int seals = fcntl(s->fd, F_GET_SEALS);

        if (seals < 0)
                return -errno;
        if (seals & F_SEAL_FUTURE_WRITE)
                return 0;
        return fcntl(s->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0 ? -errno : 0;
}

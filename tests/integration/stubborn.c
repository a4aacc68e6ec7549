/* SPDX-License-Identifier: MIT */

/* For LD_PRELOAD: directories that do not go. While the file $BROOD_STUBBORN is there, removing a
 * directory fails with EBUSY, and leaves one byte in that file, as a cgroup does in which something
 * lives that cannot be killed just now. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int unlinkat(int parent, const char *name, int flags)
{
        const char *control = getenv("BROOD_STUBBORN");
        int fd = -1;

        if ((flags & AT_REMOVEDIR) && control)
                fd = open(control, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0)
                return (int)syscall(SYS_unlinkat, parent, name, flags);
        if (write(fd, ".", 1) < 0)
                abort();
        (void)close(fd);
        errno = EBUSY;
        return -1;
}

# SPDX-License-Identifier: MIT
"""Connections of other users.

Who a client is the kernel notes when it connects: a child takes the user's and groups' numbers,
connects, and hands the connection over. The numbers need no entry in /etc/passwd, and nothing of
the machine is changed.
"""

import os
import socket

from harness import Connection, Daemon, slow, unless

__all__ = ["ALICE", "BOB", "NOBODY", "OLGA", "Users", "SARA"]

# alice and bob submit; sara may see, olga may operate, where a config says so
ALICE, BOB, SARA, OLGA, NOBODY = 61001, 61002, 61003, 61004, 65534


def connect_here(path, uid, gid, groups, n, out):
    """In the child: n connections, sent one by one; what fails ends it."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    for _ in range(n):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            socket.send_fds(out, [b"x"], [s.fileno()])


class Users(Daemon):
    """A daemon whose socket other users can reach, if it lets them."""

    def __init__(self, *args, **kwargs):
        unless(os.geteuid() == 0, "only root can be other users")
        start = kwargs.pop("start", True)
        super().__init__(*args, start=False, **kwargs)
        os.chmod(self.directory, 0o755)
        os.chmod(self.path("run"), 0o755)
        if start:
            try:
                self.start()
            except BaseException:
                self.end()
                raise

    def sockets_of(self, uid, n=1, gid=None, groups=()):
        """Connected sockets of a user; PermissionError if the socket does not let it."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                connect_here(self.socket_path, uid, uid if gid is None else gid, groups, n, theirs)
                status = 0
            except PermissionError:
                status = 13
            finally:
                os._exit(status)
        theirs.close()
        ours.settimeout(slow(20))
        found = []
        with ours:
            while True:
                data, fds, _, _ = socket.recv_fds(ours, 1, 1)
                if not data:
                    break
                found.append(socket.socket(fileno=fds[0]))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 13:
            raise PermissionError("the socket is not open to user %d" % uid)
        assert status == 0 and len(found) == n, (status, len(found))
        return found

    def connect_as(self, uid, gid=None, groups=()):
        """A connection of a user; its group is the one of the same number if none is given."""
        return Connection(self.sockets_of(uid, 1, gid, groups)[0], self.interface, slow(20))

    def configure(self, text):
        """Another brood.conf, by a reload."""
        self.write("config/brood.conf", text)
        self.call("Reload")

# SPDX-License-Identifier: MIT
"""What somebody who may run code in a worker, or talk to the daemon, tries against all others."""

import os
import pwd

from harness import *
from test_process_attributes import need_root

GAMES = pwd.getpwnam("games")

# As a command: each memory file that the worker shares with the daemon loses its bytes.
SHRINK = """
for f in /proc/$PPID/fd/*; do
        case $(readlink "$f") in
        *memfd:brood-slots*) echo found; truncate -s 0 "$f" ;;
        esac
done
"""


def shell(d, script):
    return d.run("exec", {"argv": ["/bin/sh", "-c", script]})


def test_the_page_of_a_worker_keeps_its_size():
    """A command looks into its worker, which is the same user, and cuts the page that the daemon
    reads: it may not, or the daemon would be ended by SIGBUS."""
    need_root()
    with Daemon({"exec": commands(min_workers=1, process="User=games\n")}) as d:
        pid = d.pid
        result = shell(d, SHRINK)["result"]
        assert "found" in result["stdout"], result
        assert "Operation not permitted" in result["stderr"], result
        assert shell(d, "id -u")["result"]["stdout"] == "%d\n" % GAMES.pw_uid
        assert d.pid == pid and alive(pid)

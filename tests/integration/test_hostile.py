# SPDX-License-Identifier: MIT
"""What somebody who may run code in a worker, or talk to the daemon, tries against all others."""

import array
import contextlib
import os
import pwd
import signal
import socket
import struct
import subprocess
import time

from cgroups import Subtree
from harness import *
from test_process_attributes import need_root, status_of
from users import *

GAMES = pwd.getpwnam("games")

def shell(d, script):
    return d.run("exec", {"argv": ["/bin/sh", "-c", script]})


def test_the_page_of_a_worker_keeps_its_size():
    """Who has the page that the daemon reads can not cut it: it would end by SIGBUS."""
    need_root()
    with Daemon({"exec": commands(min_workers=1, process="User=games\n")}) as d:
        paths = ["/proc/%d/fd/%s" % (d.pids("exec")[0], fd)
                 for fd in os.listdir("/proc/%d/fd" % d.pids("exec")[0])]
        page, = [path for path in paths if "memfd:brood-slots" in os.readlink(path)]
        fd = os.open(page, os.O_RDWR)
        try:
            os.ftruncate(fd, 0)
            raise AssertionError("it was cut")
        except PermissionError:
            pass
        finally:
            os.close(fd)
        assert shell(d, "id -u")["result"]["stdout"] == "%d\n" % GAMES.pw_uid


def test_a_command_does_not_look_into_its_worker():
    """It is the same user, and the worker has seen the arguments of others."""
    need_root()
    unless(not SANITIZED, "the look for leaks needs to look into it")
    for method in "forkserver", "spawn":
        with Daemon({"exec": commands(min_workers=1, start_method=method,
                                      process="User=games\n")}) as d:
            for script in ("ls /proc/$PPID/fd", "cat /proc/$PPID/environ",
                           "head -c 1 /proc/$PPID/mem", "readlink /proc/$PPID/fd/0"):
                result = shell(d, script)["result"]
                assert result["exit_status"] != 0 and not result["stdout"], (script, result)


# --- a module in the place of its fork server ---

def lies(lie, pid=0):
    return {"liar": pool("lie", build("tests", "integration", "liar.so"), min_workers=1,
                         spare_workers=0, start_timeout="300ms", kill_after="200ms",
                         process="User=games\n", settings="lie=%s\npid=%d\n" % (lie, pid)),
            "exec": commands(min_workers=1)}


def prove_disbelieved(d, words):
    d.await_socket()
    d.wait_log(r"pool=liar: fork server pid=\d+ is killed: %s" % words)
    assert shell(d, "echo here")["result"]["stdout"] == "here\n"


def test_nobody_else_is_ended_for_a_fork_server():
    """A module of a pool with User= gives the pidfd of a process of root for a worker's. The daemon
    may end that, its user may not."""
    need_root()
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            with Daemon(lies("stranger", victim.pid), ready=False) as d:
                prove_disbelieved(d, "it gives a process for a worker that is none of its children")
                time.sleep(0.5)  # more than StartTimeout=
                ended = victim.poll()
                victim.kill()
                victim.wait()
                assert ended is None, "it was ended: %d" % ended
        finally:
            victim.kill()


def test_a_worker_is_born_once():
    need_root()
    with Daemon(lies("twice"), ready=False) as d:
        prove_disbelieved(d, "it tells of a birth twice")


def test_a_fork_server_is_ready_once():
    need_root()
    with Daemon(lies("ready"), ready=False) as d:
        prove_disbelieved(d, "it is ready twice")


def test_a_worker_ends_after_it_was_born():
    need_root()
    with Daemon(lies("unborn"), ready=False) as d:
        prove_disbelieved(d, "it tells of the end of a worker that was not born")


def test_who_lets_go_of_the_lock_lets_nobody_in():
    """A module has the descriptor by which its tree holds the state directory: it can only read by
    it, and a second daemon is refused though it has let go."""
    need_root()
    with Daemon(lies("unlock")) as d:
        d.wait_log("unlocked: 1")
        done = subprocess.run([build("daemon", "broodd"), "--config=" + d.path("config"),
                               "--socket=" + d.path("other.sock"),
                               "--state-directory=" + d.path("state"),
                               "--runtime-directory=" + d.path("run")], env=d.environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=slow(20), check=False)
        assert done.returncode == 1, done
        assert "is held by another daemon" in done.stderr, done.stderr
        assert shell(d, "echo here")["result"]["stdout"] == "here\n"


# --- cgroups ---

# As a command: groups beside its own one, wide and deep, until there are no more. Prints how many.
GROUPS = """
cd %s || exit 9
n=0
while [ $n -lt 3000 ] && mkdir w$n 2>/dev/null; do n=$((n + 1)); done
rmdir w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11
d=0
while [ $d -lt 40 ] && mkdir d 2>/dev/null && cd d; do d=$((d + 1)); done
echo $n $d
"""


def test_a_worker_makes_so_many_groups_and_no_more():
    """The daemon removes what a command has made, and does nothing else meanwhile."""
    need_root()
    with Subtree() as tree, \
            tree.daemon({"exec": commands(min_workers=1, process="User=games\n")}) as d:
        group = tree.at("pool-exec/0.%d" % d.workers("exec")[0]["generation"])
        wide, deep = map(int, shell(d, GROUPS % group)["result"]["stdout"].split())
        assert 50 < wide <= 100 and 3 < deep <= 8, (wide, deep)
        d.call("RestartPool", pool="exec")
        until(lambda: not os.path.exists(group), "its group is removed")


# --- descriptors ---

def lingering():
    """A socket whose last close takes 20 s, and its other end."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        one = socket.create_connection(s.getsockname())
        other, _ = s.accept()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            one.send(b"x" * 65536)
    return one, other


@contextlib.contextmanager
def stopped(d):
    """While the daemon does not run: so the last close is not ours."""
    d.signal(signal.SIGSTOP)
    until(lambda: status_of(d.pid)["State"].startswith("T"), "the daemon is stopped")
    yield
    d.signal(signal.SIGCONT)


def passes(d, c, data, copies=1, close=False):
    one, other = lingering()
    with stopped(d):
        fds = array.array("i", [one.fileno()] * copies)
        c.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        one.close()
        if close:
            c.close()
    return other


def test_nobody_waits_for_a_descriptor_to_be_closed():
    """A client passes sockets that linger: with a call that has no use for them, more than are
    taken, more than fit, and with a message that is not complete, which goes with the
    connection."""
    call = b'{"method":"io.brood.Status"}\0'
    with Users(conf="[Access]\nSubmit=*\n", pools={"diag": diag()}) as d, \
            contextlib.ExitStack() as stack:
        for data, copies, close in ((call, 1, False), (call, 17, False), (call, 253, False),
                                    (call[:-1], 3, True), (call, 1, True)):
            c = d.sockets_of(ALICE)[0]
            began = time.monotonic()
            stack.enter_context(passes(d, c, data, copies, close))
            with d.connect() as root:
                root.call("Status")
            took = time.monotonic() - began
            stack.enter_context(c)
            assert took < 5, (data, copies, close, took)


# --- limits ---

def test_a_retry_is_within_the_limits_of_its_user():
    """Jobs that have ended come back by Retry, but no more of them than may be there; an operator
    has no limit."""
    pools = {"diag": diag(handlers="fail echo", min_workers=1, max_attempts=1)}
    with Users(conf="[Access]\nSubmit=*\nMaxQueued=2\n", pools=pools) as d, \
            d.connect_as(ALICE) as alice, d.connect() as root:
        ended = alice.call("Submit", job={"handler": "fail", "args": {"retryable": False}},
                           wait=True)["job"]
        assert ended["state"] == "failed", ended
        root.call("PausePool", pool="diag")
        for _ in range(2):
            alice.call("Submit", job={"handler": "echo"})
        try:
            alice.call("Retry", id=ended["id"])
        except VarlinkError as error:
            assert error.name == "QuotaExceeded", error
            assert error.parameters == {"quota": "queued", "limit": 2}
        else:
            raise AssertionError("it was not refused")
        root.call("Retry", id=ended["id"])
        root.call("ResumePool", pool="diag")

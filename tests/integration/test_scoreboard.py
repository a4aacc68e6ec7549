# SPDX-License-Identifier: MIT
"""The scoreboard: who looks needs no answer of the daemon."""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time

from board import *
from durable import *
from metrics import CTL
from users import ALICE, NOBODY

FILE = "run/scoreboard"


def workers(d, *args, status=0, env=None, user=None, seconds=60):
    """What `broodctl workers` prints, and says on stderr."""
    done = subprocess.run([CTL, "--socket=" + d.socket_path, "workers", *args],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**d.environment(), "LC_ALL": "C.UTF-8", **(env or {})}, check=False,
                          timeout=slow(seconds), user=user, group=user,
                          extra_groups=[] if user else None)
    assert done.returncode == status, done
    return done.stdout, done.stderr


def shown(d, *args, **more):
    """[worker], and what is said of the daemon."""
    out, err = workers(d, "--json", *args, **more)
    return json.loads(out)["workers"], err


def await_process_state(pid, letters, seconds=20):
    def state():
        with open("/proc/%d/stat" % pid, "rb") as f:
            return f.read().rpartition(b")")[2].split()[0].decode() in letters
    until(state, "process %d is in one of the states %s" % (pid, letters), seconds)


class Stopped:
    """The daemon takes no step meanwhile."""

    def __init__(self, d):
        self.d = d

    def __enter__(self):
        self.d.signal(signal.SIGSTOP)
        await_process_state(self.d.pid, "T")

    def __exit__(self, *_):
        self.d.signal(signal.SIGCONT)


def test_the_file():
    """Mode 0640, of the daemon's user, named in Status; gone after a clean stop."""
    with Daemon() as d:
        path = d.path(FILE)
        st = os.lstat(path)
        assert stat.S_ISREG(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o640, oct(st.st_mode)
        assert st.st_uid == os.geteuid() and d.status()["scoreboard"] == path
        board = Board(path)
        assert board.head.magic == b"brood scoreboard" and board.head.pid == d.pid
        assert board.head.socket.decode() == d.socket_path
        d.signal(signal.SIGTERM)
        assert d.wait_exit() == 0
        assert not os.path.lexists(path)
        d.prove_clean()


def test_a_daemon_that_is_well():
    """Nothing is said of it, and each worker is there with what it does."""
    with durable() as d:
        id = hold(d)
        rows, said = shown(d)
        assert said == "" and len(rows) == 2
        busy, = (row for row in rows if row["state"] == "busy")
        assert busy["jobs"] == [id] and busy["pid"] == d.worker_of(id)["pid"]
        open_gate(d)


def test_a_daemon_that_is_stopped():
    """SIGSTOP: workers answers, says that it is stopped, and shows the job that runs; the same job
    is told by its slot in the file."""
    with durable() as d:
        id = hold(d)
        pid = d.worker_of(id)["pid"]
        with Stopped(d):
            for _ in range(3):
                rows, said = shown(d)
                assert re.fullmatch(r"broodctl: broodd \(pid %d\) does not answer: it is stopped "
                                    r"\(SIGSTOP, or Ctrl-Z\)\n" % d.pid, said), said
                busy, = (row for row in rows if row["state"] == "busy")
                assert busy["jobs"] == [id] and busy["pid"] == pid
            out, _ = workers(d)
            assert id in out and str(pid) in out
            assert len(shown(d, "tally")[0]) == 2
            slot, = (s for s in Board(d.path(FILE)).slots if s.has_job)
            assert slot.pid == pid and bytes(slot.job).hex() == id.replace("-", "")
        assert shown(d)[1] == ""
        open_gate(d)
        assert d.wait(id)["state"] == "succeeded"


@alone
def test_it_takes_no_time():
    """A daemon that is stopped is shown as fast as one that is not: nobody waits for it."""
    with Daemon() as d:
        def took(n=5):
            best = 60
            for _ in range(n):
                began = time.monotonic()
                workers(d)
                best = min(best, time.monotonic() - began)
            return best
        before = took()
        with Stopped(d):
            assert took() < max(0.1, 3 * before), (took(), before)


def test_a_daemon_in_a_debugger():
    """Stopped by ptrace: it says so."""
    unless(shutil.which("gdb") or shutil.which("strace"), "needs strace")
    with durable() as d:
        hold(d)
        with Traced(d.pid):
            rows, said = shown(d)
            assert "does not answer: it is stopped by a debugger" in said, said
            assert len(rows) == 2
        until(lambda: shown(d)[1] == "", "it goes on", 20)
        open_gate(d)


PTRACE_ATTACH, PTRACE_DETACH = 16, 17


class Traced:
    """Attached as a debugger is, by this very process."""

    def __init__(self, pid):
        self.pid, self.libc = pid, ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                                     ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def __enter__(self):
        unless(self.libc.ptrace(PTRACE_ATTACH, self.pid, None, None) == 0,
               "may not trace: " + os.strerror(ctypes.get_errno()))
        await_process_state(self.pid, "t")

    def __exit__(self, *_):
        os.waitpid(self.pid, 0)  # that it has stopped
        assert self.libc.ptrace(PTRACE_DETACH, self.pid, None, None) == 0


def test_a_daemon_that_was_killed():
    """What it left is shown with the word that it is dead; the next daemon replaces it."""
    with durable() as d:
        id = hold(d)
        path, old = d.path(FILE), d.pid
        inode = os.lstat(path).st_ino
        crash(d)
        assert os.path.exists(path)
        rows, said = shown(d)
        assert re.fullmatch(r"broodctl: broodd \(pid %d\) is dead: this is what it left, .* ago\n"
                            % old, said), said
        assert [row["jobs"] for row in rows if row["state"] == "busy"] == [[id]]
        d.start()
        assert os.lstat(path).st_ino != inode and Board(path).head.pid == d.pid
        assert shown(d)[1] == ""
        assert not os.path.exists(path + ".new") and \
            sorted(f for f in os.listdir(d.path("run")) if "score" in f) == ["scoreboard"]
        open_gate(d)


def test_a_pid_that_is_somebody_elses_now():
    """The number of a daemon that is dead may be another process's: it is dead all the same."""
    with Daemon() as d:
        path = d.path(FILE)
        d.disconnect()
        tree = d.tree()
        d.kill()
        wait_gone(tree)
        with open(path, "r+b") as f:
            at = bytes(Board(path).head).index(d.pid.to_bytes(4, "little"))
            f.seek(at)
            f.write(os.getpid().to_bytes(4, "little"))
        _, said = shown(d)
        assert "(pid %d) is dead" % os.getpid() in said, said
        d.start()


def test_who_may_not_read_it_asks():
    """Another user, whom the file is closed to, is answered by the daemon, if that lets him."""
    unless(os.geteuid() == 0, "only root can be other users")
    with Daemon(conf="[Access]\nSee=%d\n" % ALICE) as d:
        os.chmod(d.directory, 0o755)
        os.chmod(d.path("run"), 0o755)
        rows, said = shown(d, user=ALICE)
        assert said == "" and len(rows) == 2
        os.chmod(d.path(FILE), 0o644)
        with Stopped(d):
            rows, said = shown(d, user=ALICE)
            assert "it is stopped" in said and len(rows) == 2


def test_another_users_job_is_not_told():
    """The file is for the daemon's user and group alone: it shows jobs of all users."""
    unless(os.geteuid() == 0, "only root can be other users")
    with Daemon(conf="[Access]\nSubmit=*\n") as d:
        os.chmod(d.directory, 0o755)
        os.chmod(d.path("run"), 0o755)
        done = subprocess.run(["cat", d.path(FILE)], user=NOBODY, group=NOBODY, extra_groups=[],
                              capture_output=True, check=False)
        assert done.returncode != 0 and b"Permission denied" in done.stderr, done.stderr


def test_what_is_no_scoreboard():
    """A file beside the socket that is empty, short, garbage, another version's, a directory, a
    pipe, a link to one, or another daemon's: it is not taken, and the daemon is asked."""
    with Daemon() as d, Daemon() as other:
        path, good = d.path(FILE), d.path("good")
        os.rename(path, good)  # the daemon keeps on writing there
        with open(good, "rb") as f:
            head = f.read(8192)
        size = os.stat(good).st_size

        def garbage(data, whole=True):
            with open(path, "wb") as f:
                f.write(data)
                if whole:
                    f.truncate(size)

        makers = [lambda: garbage(b"", False), lambda: garbage(b"x" * 100, False),
                  lambda: garbage(b""), lambda: garbage(b"\xff" * 8192),
                  lambda: garbage(head, False),
                  lambda: garbage(head[:24] + b"\x63\0\0\0" + head[28:]),
                  lambda: os.mkdir(path), lambda: os.symlink("/dev/zero", path),
                  lambda: os.symlink(path, path),
                  lambda: shutil.copy(other.path(FILE), path)]
        for i, make in enumerate(makers):
            make()
            rows, said = shown(d)
            assert said == "" and {row["pid"] for row in rows} == set(d.pids()), (i, rows, said)
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        rows, said = shown(d)
        assert len(rows) == 2 and said == ""
        os.rename(good, path)


def test_garbage_in_the_right_frame():
    """A file that says it is one and holds random bytes breaks no reader."""
    with Daemon() as d:
        path = d.path("run/scoreboard")
        with open(path, "rb") as f:
            data = bytearray(f.read())
        d.stop()
        os.makedirs(d.path("fake"))
        for seed in range(3):
            for at in range(28, len(data), 1 + seed * 7):
                if at > 200000:
                    break
                data[at] = (at * 2654435761 + seed * 40503) >> 7 & 0xFF
            with open(d.path("fake/scoreboard"), "wb") as f:
                f.write(data)
            done = subprocess.run([CTL, "--socket=" + d.socket_path, "workers",
                                   "--runtime-directory=" + d.path("fake")], capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=slow(60), check=False,
                                  env=d.environment())
            assert done.returncode in (0, 3, 4) and not re.search(rb"Sanitizer", done.stderr), done
            assert not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", done.stdout), done.stdout[:500]


def test_it_is_shortened_under_the_daemon():
    """Somebody who truncates the file takes nothing away but the sight: jobs go on, and the log
    says so once."""
    with durable() as d:
        id = hold(d)
        os.truncate(d.path(FILE), 0)
        for _ in range(20):
            assert d.run("tally", {"n": 1})["state"] == "succeeded"
        line = d.wait_log(r"the scoreboard has lost its pages.*", 20).string
        assert not os.path.exists(d.path(FILE)), "an old one is shown"
        for _ in range(20):
            assert d.run("tally", {"n": 2}, durability="memory")["state"] == "succeeded"
        assert d.log().count("has lost its pages") == 1, line
        rows, said = shown(d)  # by asking
        assert said == "" and [id] in [row["jobs"] for row in rows]
        open_gate(d)
        assert d.wait(id)["state"] == "succeeded"


def fill(path):
    """A file that takes all the room that there is."""
    with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 4096)
    return path


def test_a_runtime_directory_that_is_full():
    """No room for the file's pages: the daemon works, and says once that it can not be seen."""
    unless(os.geteuid() == 0, "needs root, to mount a tmpfs")
    from test_durability_disk import MS_PRIVATE, MS_REC, MNT_DETACH, CLONE_NEWNS, check_call
    d = durable(start=False)
    libc = ctypes.CDLL(None, use_errno=True)
    check_call(libc.unshare(CLONE_NEWNS), "unshare")
    check_call(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    run = d.path("run").encode()
    check_call(libc.mount(b"none", run, b"tmpfs", 0, b"mode=0700,size=160k"), "mount")
    d.socket_path = d.path("brood.sock")
    try:
        with d:
            d.start()
            filler = fill(d.path("run/filler"))
            ids = [d.submit("tally", {"n": n}) for n in range(50)]
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
            d.call("ScalePool", pool="tally", min_workers=40, max_workers=40)
            until(lambda: d.pool_status("tally")["idle"] == 40, "40 workers", 60)
            assert d.run("tally", {"n": 1})["state"] == "succeeded"
            assert d.log().count("has lost its pages") == 1
            assert not os.path.exists(d.path(FILE))
            rows, said = shown(d)  # by asking
            assert len(rows) == 40 and said == "", (rows, said)
            os.unlink(filler)
            d.stop()
    finally:
        d.end()
        libc.umount2(run, MNT_DETACH)
        shutil.rmtree(d.directory, ignore_errors=True)


def test_no_room_for_the_file_at_all():
    """A runtime directory in which no file can be made: a warning, and the daemon works."""
    with Daemon(start=False) as d:
        os.mkdir(d.path(FILE))
        os.mkdir(d.path(FILE, "x"))  # nothing can take its name
        d.start()
        d.wait_log(r"scoreboard: .*: broodctl top is blind, and broodctl workers has to ask the "
                   r"daemon", 20)
        assert d.run("echo")["state"] == "succeeded"
        rows, said = shown(d)
        assert len(rows) == 2 and said == ""
        d.signal(signal.SIGTERM)
        assert d.wait_exit() == 0
        os.rmdir(d.path(FILE, "x"))
        os.rmdir(d.path(FILE))
        left = [f for f in os.listdir(d.path("run")) if f.startswith(".scoreboard")]
        for name in left:
            os.unlink(d.path("run", name))
        d.prove_clean()


def test_with_a_socket_of_the_service_manager():
    """The socket is elsewhere and the manager's: the file is found all the same, by what the
    process that listens has open; by --runtime-directory; and not by the name of another."""
    d = Daemon(start=False)
    os.mkdir(d.path("elsewhere"))
    path = d.path("elsewhere/brood.sock")
    with d, listener_at(path) as s:
        d.socket_path = path
        d.start(listen_on=s)
        assert Board(d.path(FILE)).head.socket.decode() == path
        named = "--runtime-directory=" + d.path("run")
        with Stopped(d):
            rows, said = shown(d, named)
            assert len(rows) == 2 and "it is stopped" in said
        rows, _ = shown(d)
        assert {row["pid"] for row in rows} == set(d.pids())


def test_by_the_process_that_listens():
    """A daemon that made its own socket, but keeps its runtime directory elsewhere."""
    d = Daemon(start=False)
    os.mkdir(d.path("elsewhere"))
    d.socket_path = d.path("elsewhere/brood.sock")
    with d:
        d.start()
        with Stopped(d):
            rows, said = shown(d)
            assert len(rows) == 2 and "it is stopped" in said, said


def test_a_runtime_directory_that_is_none():
    """--runtime-directory of nothing, or of another daemon's: the daemon behind the socket is
    asked, or the other one's file is shown, as named."""
    with Daemon() as d, Daemon({"other": diag(min_workers=1)}) as other:
        rows, _ = shown(d, "--runtime-directory=/nonexistent")
        assert {row["pid"] for row in rows} == set(d.pids())
        rows, _ = shown(d, "--runtime-directory=" + other.path("run"))
        assert [row["pool"] for row in rows] == ["other"]


def test_no_daemon_at_all():
    """No file and nobody who listens: what any verb says then."""
    with Daemon(start=False) as d:
        _, said = workers(d, status=3)
        assert d.socket_path in said
        d.end()


def test_pools_that_are_not_there():
    """A pool of no such name is refused as the daemon would; one that was removed is gone."""
    with Daemon({"diag": diag(), "extra": diag(module="moods.so", min_workers=1)}) as d:
        _, said = workers(d, "none", status=4)
        assert "none" in said
        assert len(shown(d, "extra")[0]) == 1
        os.unlink(d.path("config/pools/extra.pool"))
        d.call("Reload")
        until(lambda: len(d.status()["pools"]) == 1, "it is gone", 20)
        until(lambda: not [r for r in shown(d)[0] if r["pool"] == "extra"], "its workers", 20)
        def unknown():
            done = subprocess.run([CTL, "--socket=" + d.socket_path, "workers", "extra"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=slow(60), check=False, env=d.environment())
            return done.returncode == 4 and "extra" in done.stderr
        until(unknown, "it is unknown", 20)
        d.write_pool("third", diag(module="moods.so", min_workers=1))
        d.call("Reload")
        until(lambda: [r for r in shown(d)[0] if r["pool"] == "third"], "in its place", 20)
        assert {p.name.decode() for p in Board(d.path(FILE)).pools if p.name} == {"diag", "third"}


def test_a_death_and_a_replacement():
    """The worker that died is not shown any more, and its successor has its seat and the next
    generation."""
    with Daemon() as d:
        for _ in range(3):
            old = {row["name"]: row for row in shown(d)[0]}
            victim = old["diag.0"]
            os.kill(victim["pid"], signal.SIGKILL)

            def replaced():
                new = {row["name"]: row for row in shown(d)[0]}.get("diag.0")
                return new and new["state"] == "idle" and new["pid"] != victim["pid"] and new
            new = until(replaced, "a new worker", 20)
            assert new["generation"] == victim["generation"] + 1 and new["jobs_done"] == 0
        board = until(lambda: (b := Board(d.path(FILE))) and sum(b.pools[0].deaths) == 3 and b,
                      "three deaths", 20)
        assert len(board.slots) == 2 and board.head.n_slots <= 3


@limit(240)
def test_hundreds_of_workers():
    """All of 300 are shown, sorted by their seats, and none twice."""
    with Daemon({"diag": diag(min_workers=300, start_timeout="120s")}, start=False,
                log_level="info") as d:
        d.start(ready=False)
        d.await_socket()
        until(lambda: d.pool_status()["idle"] == 300, "300 workers", 150)
        rows, said = shown(d)
        assert said == "" and [row["name"] for row in rows] == ["diag.%d" % i for i in range(300)]
        assert len({row["pid"] for row in rows}) == 300
        with Stopped(d):
            assert len(shown(d)[0]) == 300
        d.call("ScalePool", pool="diag", min_workers=2, max_workers=2)
        until(lambda: len(shown(d)[0]) == 2, "two are left", 60)


def test_what_is_shown_while_it_changes():
    """Read again and again while thousands of jobs run: each copy is a whole one."""
    with Daemon({"diag": diag(min_workers=4)}) as d:
        known = {s.pid for s in Board(d.path(FILE)).slots}
        ids = d.call("SubmitMany", jobs=[{"handler": "echo", "durability": "memory"}] * 3000)["ids"]
        last = -1
        while last < 3000:
            board = Board(d.path(FILE))
            for slot in board.slots:
                assert slot.pid in known and slot.seat < 4 and slot.slot == 0
            now = board.handlers["echo"].ended[STATES.index("succeeded")]
            assert last <= now <= 3000, (last, now)
            last = now
        assert d.wait(ids[-1])["state"] == "succeeded"

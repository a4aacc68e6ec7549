# SPDX-License-Identifier: MIT
"""broodctl where it follows, watches, explains, and changes many jobs at once; and what it makes of
a daemon that answers oddly, which is played here."""

import base64
import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

from harness import *
from test_broodctl import CTL, ctl, lines_of, read_terminal, start

LOST = "01890a5d-ac96-774b-bcce-b302099a8057"
ENDED = {"error": "io.brood.WrongState", "parameters": {"id": LOST, "state": "succeeded"}}


def id_of(n):
    return "01890a5d-ac96-774b-bcce-%012x" % n


# --- a daemon that is played ---

HANG_UP = object()


class Fake:
    """A service that answers as it is told: `answer(method, parameters)` gives the messages for a
    call (a dict, bytes as they are, or HANG_UP), one by one. `calls` has what was asked."""

    def __init__(self, answer):
        self.directory = tempfile.mkdtemp(prefix="brood-test-")
        self.socket_path = os.path.join(self.directory, "sock")
        self.answer, self.calls = answer, []
        self.listener = listener_at(self.socket_path)
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(slow(20))
        self.listener.close()
        shutil.rmtree(self.directory)

    def serve(self):
        with contextlib.suppress(OSError):  # the test is over
            while True:
                client, _ = self.listener.accept()
                with client:
                    self.talk(client)

    def talk(self, client):
        with contextlib.suppress(OSError), client.makefile("rb") as stream:
            for call in messages(stream):
                self.calls.append(call)
                method = call["method"].rpartition(".")[2]
                for message in self.answer(method, call.get("parameters") or {}):
                    if message is HANG_UP:
                        return
                    client.sendall(message if isinstance(message, bytes)
                                   else json.dumps(message).encode() + b"\0")

    def asked(self, method):
        """The parameters of the calls of a method."""
        return [c.get("parameters") or {} for c in self.calls
                if c["method"] == "io.brood." + method]


def messages(stream):
    """The messages of a stream, until it ends."""
    data = b""
    while True:
        piece = stream.read1(65536)
        if not piece:
            return
        *complete, data = (data + piece).split(b"\0")
        for text in complete:
            yield json.loads(text)


def parameters(continues=False, **values):
    return {"parameters": values, **({"continues": True} if continues else {})}


def job(state, **values):
    return {"job": {"id": LOST, "state": state, "spec": {"handler": "exec"}, **values}}


def follower(*pieces, end=None):
    """Answers Follow with these messages, and Wait with the job as it ended."""
    def answer(method, _):
        if method == "Follow":
            yield from pieces
        else:
            yield parameters(**(end or job("succeeded")))
    return answer


LAST = parameters(stream="stdout")


def run_bytes(fake, *args, status):
    """Runs broodctl; returns what it wrote, as bytes."""
    done = subprocess.run([CTL, "--socket=" + fake.socket_path, *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=slow(30))
    assert done.returncode == status, (args, done)
    return done.stdout, done.stderr


# --- follow ---

def test_follow_writes_bytes_as_they_are():
    """stdout and stderr of the job are follow's, byte for byte, text or not."""
    raw = bytes(range(256))
    with Fake(follower(parameters(True, stream="stdout", data="one\n"),
                       parameters(True, stream="stderr", data="\x1b[1mbold\x1b[0m é"),
                       parameters(True, stream="stdout",
                                  data_base64=base64.b64encode(raw).decode()),
                       parameters(True, stream="stderr", data=None, data_base64=None),
                       parameters(stream="stdout", data="last"))) as f:
        out, err = run_bytes(f, "follow", LOST, status=0)
        assert out == b"one\n" + raw + b"last"
        assert err == "\x1b[1mbold\x1b[0m é".encode()
        assert f.asked("Follow") == [{"id": LOST}] and f.calls[0]["more"] is True


def test_follow_writes_at_once():
    """What comes is written when it comes, on both streams."""
    step = threading.Semaphore(0)

    def answer(method, _):
        if method == "Wait":
            yield parameters(**job("succeeded"))
            return
        for stream in "stdout", "stderr":
            yield parameters(True, stream=stream, data="no line break")
            assert step.acquire(timeout=slow(20))
        yield LAST

    with Fake(answer) as f, start(f, "follow", LOST) as p:
        for stream in p.stdout, p.stderr:
            assert stream.read(13) == "no line break"
            step.release()
        assert p.wait(slow(10)) == 0


def test_follow_ends_as_wait_does():
    """The exit status is that of wait; a job that failed is told of on one line."""
    with Fake(follower(LAST, end=job("failed", reason="first\nsecond"))) as f:
        out, err = run_bytes(f, "follow", LOST, status=1)
        assert out == b"" and err == ("broodctl: job %s failed: first\\x0asecond\n" %
                                      LOST).encode(), err
    with Fake(follower(parameters(True, stream="stderr", data="half a line"), LAST,
                       end=job("cancelled"))) as f:
        _, err = run_bytes(f, "follow", LOST, status=1)
        assert err.splitlines() == [b"half a line", b"broodctl: job %s cancelled" % LOST.encode()]
    with Fake(follower({"error": "io.brood.NoSuchJob", "parameters": {"id": LOST}})) as f:
        out, err = run_bytes(f, "follow", LOST, status=4)
        assert LOST.encode() in err and out == b""


def test_follow_as_json():
    """--json: the parameters of each reply, one object a line; the job's end is its status."""
    with Fake(follower(parameters(True, stream="stdout", data="one\n"), LAST,
                       end=job("expired"))) as f:
        out, err = ctl(f, "--json", "follow", LOST, status=1)
        assert lines_of(out) == [{"stream": "stdout", "data": "one\n"}, {"stream": "stdout"}]
        assert "expired" in err


def test_odd_replies_to_follow():
    """An error in the middle is exit status 4; a lost connection or nonsense is 3, with words."""
    first = parameters(True, stream="stdout", data="first\n")
    for pieces, status, word in (
            ([{"error": "io.brood.StoreFailed", "parameters": {"message": "full"}}], 4, "full"),
            ([HANG_UP], 3, "went away"),
            ([b'{"parameters": {"stream": "std', HANG_UP], 3, "went away"),
            ([b"{nonsense\0"], 3, "does not speak"),
            ([b"[]\0"], 3, "does not speak"),
            ([parameters(True, stream="stdwhat", data="x")], 3, "does not speak"),
            ([parameters(True, data="x")], 3, "does not speak"),
            ([parameters(True, stream="stdout", data_base64="?")], 3, "does not speak")):
        with Fake(follower(first, *pieces)) as f:
            out, err = ctl(f, "follow", LOST, status=status)
            assert out == "first\n" and word in err, (pieces, out, err)
    for end in HANG_UP, b"\0":
        with Fake(lambda method, _, end=end: [LAST if method == "Follow" else end]) as f:
            _, err = ctl(f, "follow", LOST, status=3)
            assert err.count("\n") == 1


def test_follow_is_ended_by_its_caller():
    """Ctrl-C, and a reader that leaves, end the following; the job is not touched."""
    for leave in (lambda p: p.send_signal(signal.SIGINT), lambda p: p.stdout.close()):
        over = threading.Event()

        def answer(method, _):
            yield parameters(True, stream="stdout", data="first\n")
            over.wait(slow(20))
        with Fake(answer) as f, start(f, "follow", LOST) as p:
            assert p.stdout.readline() == "first\n"
            leave(p)
            assert p.wait(slow(10)) in (-signal.SIGINT, 128 + signal.SIGPIPE)
            assert p.stderr.read() == ""
            over.set()
            assert [c["method"] for c in f.calls] == ["io.brood.Follow"]


# --- watch ---

def change(state, kind="job", id=LOST, at=0, **values):
    return parameters(True, time_usec=at, kind=kind, id=id, state=state, **values)


def test_watch_shows_a_line_for_each_change():
    """A line has the local time, kind, id, state and reason, aligned from the first on."""
    at = 1700000000123456
    with Fake(lambda *_: [change("running", "pool", "diag", at),
                          change("quarantined", at=at, reason="it killed\n3 workers"),
                          change("busy", "worker", "diag.1", at), HANG_UP]) as f:
        out, err = ctl(f, "watch", status=3)
        first, second, third = out.splitlines()
        clock = time.strftime("%H:%M:%S", time.localtime(at // 10**6)) + ".123"
        assert first.split() == [clock, "pool", "diag", "running"]
        assert second.split(maxsplit=4) == [clock, "job", LOST, "quarantined",
                                            "it killed\\x0a3 workers"]
        assert third.split() == [clock, "worker", "diag.1", "busy"]
        assert first.index("running") == second.index("quarantined") == third.index("busy")
        assert "\x1b" not in out and not re.search(r" $", out, re.M)
        assert "went away" in err
        assert f.asked("Watch") == [{}] and f.calls[0]["more"] is True


def test_watch_passes_its_filters_on():
    """--pool and --kind are the daemon's to apply."""
    with Fake(lambda *_: [HANG_UP]) as f:
        ctl(f, "watch", "--pool=p", "--kind=job", "--kind=worker", status=3)
        assert f.asked("Watch") == [{"pool": "p", "kinds": ["job", "worker"]}]
    with Fake(lambda *_: [{"error": "io.brood.NoSuchPool", "parameters": {"pool": "p"}}]) as f:
        assert "'p'" in ctl(f, "watch", "--pool=p", status=4)[1]
    with Fake(lambda *_: [change("queued"), b"\0"]) as f:
        out, err = ctl(f, "watch", "--json", status=3)
        assert lines_of(out) == [{"time_usec": 0, "kind": "job", "id": LOST, "state": "queued"}]
        assert "does not speak" in err


@contextlib.contextmanager
def endless_watch():
    """A daemon that tells of one change, and then is silent."""
    over = threading.Event()

    def answer(*_):
        yield change("failed")
        over.wait(slow(20))
    with Fake(answer) as f:
        try:
            yield f
        finally:
            over.set()


def test_watch_ends_quietly():
    """Ctrl-C, and a reader that leaves, end watch with status 0 and no words, though nothing
    changes any more."""
    for leave in (lambda p: p.send_signal(signal.SIGINT), lambda p: p.stdout.close()):
        for args in [], ["--json"]:
            with endless_watch() as f, start(f, "watch", *args) as p:
                assert "failed" in p.stdout.readline()
                leave(p)
                assert p.wait(slow(10)) == 0 and p.stderr.read() == ""


def test_watch_on_a_terminal():
    """Colours are for terminals, and for those who want them."""
    for env, wanted in ({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False):
        leader, shown = pty.openpty()
        with Fake(lambda *_: [change("failed"), HANG_UP]) as f, \
                start(f, "watch", stdout=shown, env={**os.environ, "TERM": "xterm", **env}) as p:
            os.close(shown)
            text = read_terminal(leader)
            assert p.wait(slow(10)) == 3
        os.close(leader)
        assert b"failed" in text and (b"\x1b[" in text) == wanted, (env, text)


# --- why ---

def test_why_in_words():
    """why gives state and reason, and how many are ahead."""
    def answer(_, asked):
        n = int(asked["id"][-12:], 16)
        if n > 2:
            return [{"error": "io.brood.NoSuchJob", "parameters": asked}]
        return [parameters(state="queued", reason="all is\nbusy", **[{}, {"ahead": 0},
                                                                    {"ahead": 1}][n])]
    with Fake(answer) as f:
        assert ctl(f, "why", id_of(0))[0] == "queued: all is\\x0abusy\n"
        out, err = ctl(f, "why", id_of(1), id_of(3), id_of(2), status=4)
        assert out.splitlines() == [
            id_of(1) + " queued: all is\\x0abusy; no job is ahead of it",
            id_of(2) + " queued: all is\\x0abusy; 1 job is ahead of it"]
        assert id_of(3) in err
        assert lines_of(ctl(f, "--json", "why", id_of(1))[0]) == [
            {"state": "queued", "reason": "all is\nbusy", "ahead": 0}]


# --- cancel and retry of many ---

class Shelf:
    """A daemon's jobs, newest first, for Fake: 3 on a page, however many are asked for.
    `outcome(id)` answers each Cancel and Retry."""

    def __init__(self, states, outcome=None):
        self.jobs = [{"id": id_of(n), "state": state} for n, state in enumerate(states)]
        self.outcome = outcome or (lambda id: parameters(state="cancelled"))
        self.gone = set()

    def __call__(self, method, asked):
        if method != "List":
            return [self.outcome(asked["id"])]
        at = 0
        if "before" in asked:
            if asked["before"] in self.gone:
                return [{"error": "io.brood.NoSuchJob", "parameters": {"id": asked["before"]}}]
            at = 1 + next(i for i, j in enumerate(self.jobs) if j["id"] == asked["before"])
        rest = [j for j in self.jobs[at:] if j["id"] not in self.gone]
        return [parameters(jobs=rest[:3])]


STATES = ["queued", "succeeded", "running", "blocked", "failed", "scheduled", "cancelled",
          "expired", "quarantined", "queued"]


def test_cancel_and_retry_by_filter_choose_by_state():
    """Without --state, cancel takes what has not ended, and retry what did not succeed."""
    with Fake(Shelf(STATES)) as f:
        out, err = ctl(f, "cancel", "--pool=p", "--handler=h", "--tag=t", "--force")
        assert out.splitlines() == [id_of(n) for n in (0, 2, 3, 5, 9)]
        assert err == "broodctl: cancelled 5 jobs, 0 had ended\n"
        assert all(asked["force"] is True for asked in f.asked("Cancel"))
        assert all({"pool": "p", "handler": "h", "tag": "t"}.items() <= asked.items()
                   and asked["limit"] == 1000 and "state" not in asked for asked in f.asked("List"))
    with Fake(Shelf(STATES)) as f:
        out, err = ctl(f, "retry", "--pool=p")
        assert out.splitlines() == [id_of(n) for n in (4, 6, 7, 8)]
        assert err.startswith("broodctl: retried 4 jobs, ") and not f.asked("Cancel")
        assert [asked["id"] for asked in f.asked("Retry")] == out.splitlines()
    with Fake(Shelf(["failed"] * 4)) as f:
        ctl(f, "retry", "--state=failed")
        assert all(asked["state"] == "failed" for asked in f.asked("List"))


def test_dry_run_changes_nothing():
    """--dry-run lists the jobs that would be changed, and changes none."""
    with Fake(Shelf(STATES)) as f:
        out, err = ctl(f, "cancel", "--dry-run", "--pool=p")
        assert out.splitlines() == [id_of(n) for n in (0, 2, 3, 5, 9)]
        assert err == "broodctl: would cancel 5 jobs\n"
        out, _ = ctl(f, "--json", "retry", "--dry-run", "--pool=p")
        assert lines_of(out) == [{"id": id_of(n), "state": STATES[n]} for n in (4, 6, 7, 8)]
        assert not f.asked("Cancel") and not f.asked("Retry")


def test_jobs_that_end_meanwhile_are_counted():
    """A job that has ended, or is gone, by the time of its Cancel is no error."""
    def outcome(id):
        return {0: parameters(state="running"), 1: ENDED,
                2: {"error": "io.brood.NoSuchJob", "parameters": {"id": id}}}.get(
                    int(id[-12:], 16), parameters(state="cancelled"))
    with Fake(Shelf(["running"] * 5, outcome)) as f:
        out, err = ctl(f, "cancel", "--state=running")
        assert out.splitlines() == [id_of(n) for n in (0, 3, 4)]
        assert err == "broodctl: cancelled 3 jobs, 2 had ended; 1 of them is being ended\n"
        out, _ = ctl(f, "--json", "cancel", "--state=running")
        assert lines_of(out)[:3] == [{"id": id_of(0), "state": "running"},
                                     {"id": id_of(1), "state": "succeeded",
                                      "error": "io.brood.WrongState"},
                                     {"id": id_of(2), "error": "io.brood.NoSuchJob"}]


def test_a_refusal_ends_the_walk():
    """A refusal is said once, the page is still answered, and no further jobs are asked for."""
    def outcome(id):
        return {"error": "io.brood.StoreFailed", "parameters": {"message": "disk full"}} \
            if int(id[-12:], 16) in (3, 4) else parameters(state="cancelled")
    with Fake(Shelf(["queued"] * 20, outcome)) as f:
        out, err = ctl(f, "cancel", "--state=queued", status=4)
        assert out.splitlines() == [id_of(n) for n in (0, 1, 2, 5)]
        assert err.count("disk full") == 1 and "cancelled 4 jobs" in err and "2 were refused" in err
        assert len(f.asked("Cancel")) == 6


def test_a_page_whose_last_job_is_forgotten():
    """The walk goes on before a job that is still there."""
    shelf = Shelf(["queued"] * 10)
    passed = []

    def answer(method, asked):
        if method == "List" and asked.get("before") == id_of(5) and not passed:
            passed.append(True)
            shelf.gone.update(id_of(n) for n in (4, 5, 6))
        return shelf(method, asked)
    with Fake(answer) as f:
        out, _ = ctl(f, "cancel", "--state=queued")
        assert out.splitlines() == [id_of(n) for n in (0, 1, 2, 3, 4, 5, 7, 8, 9)]
    shelf = Shelf(["queued"] * 10)

    def forgetful(method, asked):
        if "before" in asked:
            shelf.gone.add(asked["before"])
        return shelf(method, asked)
    with Fake(forgetful) as f:
        out, err = ctl(f, "list", status=4)
        assert id_of(2) in out and "faster" in err


def test_many_and_a_lost_connection():
    """A daemon that leaves in the middle is exit status 3; what was done until then is shown."""
    def answer(method, asked):
        if method == "Cancel" and asked["id"] == id_of(4):
            return [HANG_UP]
        return shelf(method, asked)
    shelf = Shelf(["queued"] * 10)
    with Fake(answer) as f:
        out, err = ctl(f, "cancel", "--state=queued", status=3)
        assert out.splitlines() == [id_of(n) for n in range(4)]
        assert "went away" in err and "cancelled 4 jobs" in err
    with Fake(lambda *_: [parameters(jobs=[{"id": "?"}])]) as f:
        assert "does not speak" in ctl(f, "cancel", "--state=queued", status=3)[1]


def test_wrong_usage_of_live_verbs():
    """Wrong usage is exit status 2, before anything is asked of the daemon."""
    with Fake(lambda *_: [HANG_UP]) as f:
        for args in (["cancel"], ["retry"], ["cancel", "--dry-run"], ["cancel", "--force"],
                     ["cancel", LOST, "--state=queued"], ["retry", LOST, "--tag=t"],
                     ["cancel", LOST, "--dry-run"], ["cancel", "--state=failed"],
                     ["retry", "--state=queued"], ["retry", "--state=succeeded"],
                     ["retry", "--force", "--state=failed"], ["cancel", "--tag=a", "--tag=b"],
                     ["cancel", "x"], ["list", "--tag=a", "--tag=b"], ["list", "--limit=-1"],
                     ["follow"], ["follow", "x"], ["follow", LOST, LOST], ["why"], ["why", "x"],
                     ["watch", "x"], ["watch", "--kind=x"], ["watch", "--state=queued"],
                     ["backup"], ["backup", "a", "b"], ["check-store", "a", "b"]):
            out, err = ctl(f, *args, status=2)
            assert out == "" and err, args
        assert not f.calls
        for verb in "follow", "watch", "why", "cancel", "retry", "check-store", "backup":
            assert verb in ctl(f, "--help")[0] and verb in ctl(f, verb, "--help")[0]


# --- with the daemon ---

def submit_many(d, n, **spec):
    """Submits n jobs; returns their ids."""
    return d.call("SubmitMany", jobs=[{"handler": "echo", **spec}] * n)["ids"]


def test_cancel_and_retry_by_filter():
    """cancel and retry find their jobs by pool, handler, tag and state."""
    with Daemon() as d:
        d.call("PausePool", pool="diag")
        plain, tagged = submit_many(d, 3), submit_many(d, 2, tags=["t"])
        sleeping = submit_many(d, 2, handler="sleep", delay_usec=10**10)
        out, _ = ctl(d, "cancel", "--tag=t")
        assert out.splitlines() == tagged[::-1]
        out, _ = ctl(d, "cancel", "--state=scheduled", "--dry-run")
        assert out.splitlines() == sleeping[::-1]
        out, _ = ctl(d, "cancel", "--handler=echo", "--pool=diag", "--json")
        assert lines_of(out) == [{"id": id, "state": "cancelled"} for id in plain[::-1]]
        assert d.get(sleeping[0])["state"] == "scheduled"
        out, err = ctl(d, "retry", "--pool=diag", "--tag=t")
        assert out.splitlines() == tagged[::-1] and "retried 2 jobs" in err
        d.call("ResumePool", pool="diag")
        assert [d.wait(id)["state"] for id in tagged] == ["succeeded"] * 2
        out, err = ctl(d, "cancel", "--pool=diag")
        assert out.splitlines() == sleeping[::-1]
        assert ctl(d, "cancel", "--pool=diag") == ("", "broodctl: cancelled 0 jobs, 0 had ended\n")


def test_cancel_of_running_jobs_by_filter():
    """Running jobs are ended too, and the summary says that they are still ending."""
    with Daemon() as d:
        ids = [d.submit("spin", {"seconds": 50}) for _ in range(2)]
        for id in ids:
            d.worker_of(id)
        out, err = ctl(d, "cancel", "--handler=spin")
        assert out.splitlines() == ids[::-1] and "2 of them are being ended" in err
        assert [d.wait(id)["state"] for id in ids] == ["cancelled"] * 2


def test_many_jobs_are_cancelled_and_retried():
    """Page after page, even where those that were cancelled are forgotten at once."""
    with Daemon(conf="[Queue]\nKeepFinishedMax=10\n", log_level="info") as d:
        d.call("PausePool", pool="diag")
        for _ in range(7):
            submit_many(d, 1000, durability="memory")
        out, err = ctl(d, "cancel", "--state=queued")
        assert len(set(out.splitlines())) == 7000 and "cancelled 7000 jobs" in err
        assert d.pool_status()["queued"] == 0
    with Daemon(log_level="info") as d:
        d.call("PausePool", pool="diag")
        for _ in range(3):
            submit_many(d, 1000, durability="memory")
        ctl(d, "cancel", "--pool=diag")
        out, err = ctl(d, "retry", "--handler=echo")
        assert len(set(out.splitlines())) == 3000 and "retried 3000 jobs" in err
        assert d.pool_status()["queued"] == 3000
        with start(d, "cancel", "--pool=diag") as p:  # a reader that leaves calls nothing off
            p.stdout.readline()
            p.stdout.close()
            assert p.wait(slow(20)) == 0 and "cancelled 3000 jobs" in p.stderr.read()


def test_list_pages_by_itself():
    """list asks again where --limit is more than a page, or 0: all."""
    with Daemon(log_level="info") as d:
        d.call("PausePool", pool="diag")
        ids = [id for _ in range(3) for id in submit_many(d, 1000, durability="memory")][::-1]
        for limit_, n in (("2500", 2500), ("0", 3000), ("1", 1), ("9999", 3000)):
            out, _ = ctl(d, "--json", "list", "--limit=" + limit_)
            got = [j["id"] for reply in lines_of(out) for j in reply["jobs"]]
            assert got == ids[:n], (limit_, len(got))
        out, _ = ctl(d, "list", "--limit=0")
        assert [line.split()[0] for line in out.splitlines()] == ["ID"] + ids
        ctl(d, "cancel", "--pool=diag")
        out, _ = ctl(d, "--json", "list", "--state=queued", "--limit=0")
        assert lines_of(out) == [{"jobs": []}]


ECHO = "while read x; do printf 'out %%s\\377\\n' \"$x\"; echo err $x >&2; done <%s; exit %d"


def submit_echo(d, status=0):
    """A job that repeats what is written to the fifo that it reads: (id, the fifo's path)."""
    path = tempfile.mktemp(dir=d.directory)
    os.mkfifo(path)
    return d.submit("exec", {"argv": ["sh", "-c", ECHO % (path, status)]}), path


def await_follower(gate, p):
    """Feeds the job until its follower has something to show."""
    def fed():
        gate.write(b"tick\n")
        return select.select([p.stdout], [], [], 0.02)[0]
    until(fed, "a line of the job")


def test_follow_a_command():
    """What a command writes is there while it runs, and its end is the end of follow."""
    with Daemon(EXEC) as d:
        for status in 0, 3:
            id, path = submit_echo(d, status)
            with start(d, "follow", id, text=False) as p:
                with open(path, "wb", 0) as gate:
                    await_follower(gate, p)
                    gate.write(b"last")
                    assert alive(p.pid)
                out, err = p.communicate(timeout=slow(10))
            assert p.returncode == (1 if status else 0)
            assert set(out.splitlines()) <= {b"out tick\xff"} and out.endswith(b"out tick\xff\n")
            lines = err.splitlines()
            assert lines.count(b"err tick") > 0 and len(set(lines)) == (2 if status else 1), lines
            assert not status or id.encode() in lines[-1]


def test_follow_a_command_as_json():
    """--json gives the same as objects."""
    with Daemon(EXEC) as d:
        id, path = submit_echo(d)
        with start(d, "--json", "follow", id, text=False) as p:
            with open(path, "wb", 0) as gate:
                await_follower(gate, p)
            out, err = p.communicate(timeout=slow(10))
        replies = lines_of(out.decode())
        assert p.returncode == 0 and err == b"" and {r["stream"] for r in replies} == {"stdout",
                                                                                       "stderr"}
        text = b"".join((r.get("data") or "").encode()
                        + base64.b64decode(r.get("data_base64") or "")
                        for r in replies if r["stream"] == "stdout")
        assert set(text.splitlines()) == {b"out tick\xff"}


def test_ctrl_c_ends_the_following_alone():
    """The job, and others that follow it, go on when a follower leaves."""
    with Daemon(EXEC) as d:
        id, path = submit_echo(d)
        with start(d, "follow", id, text=False) as p, start(d, "follow", id, text=False) as q, \
                open(path, "wb", 0) as gate:
            for follower_ in p, q:
                await_follower(gate, follower_)
            p.send_signal(signal.SIGINT)
            assert p.wait(slow(10)) != 0
            assert d.get(id)["state"] == "running"
            gate.close()
            q.communicate(timeout=slow(10))
            assert q.returncode == 0
        assert d.wait(id)["state"] == "succeeded"


def test_follow_a_job_that_has_ended():
    """Of a job that has ended, follow tells how."""
    with Daemon() as d:
        ctl(d, "follow", d.run("echo")["id"])
        id = d.run("fail", {"retry": False, "message": "no use"})["id"]
        out, err = ctl(d, "follow", id, status=1)
        assert out == "" and err.count("\n") == 1 and "no use" in err


def test_watch_the_daemon():
    """watch tells of what becomes of jobs, in order."""
    with Daemon() as d:
        with start(d, "--json", "watch", "--pool=diag", "--kind=job") as p:
            seen, id = [], None
            reader = threading.Thread(target=lambda: seen.extend(
                iter(lambda: json.loads(p.stdout.readline() or "null"), None)))
            reader.start()
            until(lambda: d.run("echo") and seen, "it listens")
            id = d.run("echo")["id"]
            until(lambda: any(c["id"] == id and c["state"] == "succeeded" for c in seen), "the end")
            p.send_signal(signal.SIGINT)
            assert p.wait(slow(10)) == 0
            reader.join(slow(10))
            states = [c["state"] for c in seen if c["id"] == id]
            assert states[-1] == "succeeded" and len(states) == len(set(states)), states
            assert {c["kind"] for c in seen} == {"job"}


def test_why_of_a_job_that_waits():
    """why says what a job waits for, and how many are ahead."""
    with Daemon() as d:
        d.call("PausePool", pool="diag")
        ids = submit_many(d, 4)
        out, _ = ctl(d, "why", ids[3])
        assert out.startswith("queued: ") and "paused" in out, out
        assert "3 jobs are ahead of it" in out, out
        reply, = lines_of(ctl(d, "why", "--json", ids[1])[0])
        assert reply["state"] == "queued" and reply["ahead"] == 1 and reply["reason"]
        out, _ = ctl(d, "why", *ids)
        assert [line.split()[0] for line in out.splitlines()] == ids
        ctl(d, "why", LOST, status=4)


# --- the store ---

def store(d, *args, status=0, env=None):
    """Runs broodctl with no socket at all."""
    done = subprocess.run([CTL, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=slow(30),
                          env={**os.environ, "BROOD_SOCKET": "/no/such/socket", **(env or {})})
    assert done.returncode == status, (args, done)
    return done.stdout, done.stderr


def test_check_store_and_backup():
    """The store of a running daemon is found sound, and so is its copy."""
    with Daemon() as d:
        d.call("PausePool", pool="diag")
        submit_many(d, 3)
        out, _ = store(d, "check-store", d.path("state"))
        assert re.fullmatch(r"%s: sound: 3 jobs \(3 open\), [0-9.]+[BKM]\n" %
                            re.escape(d.path("state/brood.db")), out), out
        copy = d.path("copy.db")
        _, err = store(d, "backup", copy, "--state-directory=" + d.path("state"))
        assert copy in err
        assert "sound: 3 jobs (3 open)" in store(d, "check-store", copy)[0]
        before = os.stat(copy).st_mtime_ns
        _, err = store(d, "backup", copy, "--state-directory=" + d.path("state"), status=1)
        assert copy in err and os.stat(copy).st_mtime_ns == before
        _, err = store(d, "backup", d.path("other"), "--state-directory=" + d.path("run"), status=1)
        assert err and not os.path.exists(d.path("other"))
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
            db.execute("UPDATE job SET state = 99")
        out, err = store(d, "check-store", copy, status=1)
        assert out == "" and err.count("\n") >= 3 and err.startswith(copy + ": "), err
        ctl(d, "cancel", "--pool=diag")


def test_check_store_of_what_is_none():
    """What can not be read, or is no store, is exit status 1 with words."""
    d = Daemon(start=False)
    try:
        for name in d.path("state"), d.path("none"), d.write("text", "no database\n" * 100):
            out, err = store(d, "check-store", name, status=1)
            assert out == "" and name in err, err
    finally:
        d.end()


def test_where_the_store_is():
    """Without a name, it is the store of the user's daemon."""
    d = Daemon(start=False)
    try:
        for env, wanted in (({"XDG_STATE_HOME": d.path("x")}, "x/brood/brood.db"),
                            ({"XDG_STATE_HOME": "", "HOME": d.path("h")},
                             "h/.local/state/brood/brood.db")):
            assert d.path(wanted) in store(d, "--user", "check-store", status=1, env=env)[1]
        env = {"STATE_DIRECTORY": d.path("s") + ":/other"}
        assert d.path("s/brood.db") in store(d, "check-store", status=1, env=env)[1]
        assert "/var/lib/brood/brood.db" in store(d, "--system", "check-store", env=env,
                                                  status=1)[1]
    finally:
        d.end()

# SPDX-License-Identifier: MIT
"""Follow: what a job writes, as it is written."""

import base64
import contextlib
import os
import re
import select
import struct
import sys

from harness import *

MEGABYTE = 1 << 20
KEPT = 8 * MEGABYTE  # at least, for a follower that does not read
LEFT_OUT = re.compile(rb"\[brood: (\d+) bytes left out\]\n")
PYTHON = {"py": pool(handlers="add nap boom say", command="%s %s" % (
    sys.executable, os.path.join(HERE, "worker.py")), min_workers=1, spare_workers=0,
    kill_after="300ms", backoff="10ms")}


def sh(script, *args):
    return {"argv": ["/bin/sh", "-c", script, "sh", *map(str, args)]}


class Gate:
    """A fifo in which a command waits for a line: each go() lets one reader through. It stays open,
    so that no line is lost between two readers."""

    def __init__(self, d, name="gate"):
        self.path = d.path(name)
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def __str__(self):
        return self.path

    def go(self, word=""):
        os.write(self.fd, word.encode() + b"\n")

    def heard(self):
        """The other way round: waits for the word of a command."""
        assert select.select([self.fd], [], [], slow(20))[0], "no word from the command"
        return os.read(self.fd, 100).decode().rstrip("\n")


class Follower:
    """A connection with one Follow call, and all that came from it."""

    def __init__(self, d, id, connection=None):
        self.connection = connection or d.connect()
        self.pieces = []  # [(stream, bytes)]
        self.kinds = set()
        self.ended = False
        self.connection.send("Follow", {"id": id}, more=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        """Takes one reply."""
        message = self.connection.receive_message()
        if "error" in message:
            raise VarlinkError(message["error"], message.get("parameters") or {})
        p = message["parameters"]
        assert ("data" in p) != ("data_base64" in p), p
        data = p["data"].encode() if "data" in p else base64.b64decode(p["data_base64"],
                                                                      validate=True)
        self.ended = not message.get("continues")
        if self.ended:
            assert p == {"stream": "stdout", "data": ""}, p
        else:
            assert data, p
            self.kinds.add("data" if "data" in p else "data_base64")
            self.pieces.append((p["stream"], data))

    def text(self, stream=None):
        return b"".join(data for s, data in self.pieces if stream in (None, s))

    def until(self, text, stream=None):
        while text not in self.text(stream):
            assert not self.ended, self.pieces
            self.next()
        return self

    def take(self, size):
        """Takes replies with so many bytes of base 64."""
        while size > 0:
            self.next()
            size -= len(base64.b64encode(self.pieces[-1][1]))

    def to_end(self):
        while not self.ended:
            self.next()
        return self


def follow_surely(d, id):
    """A follower whose call has been read: what its connection asked for after it was done."""
    f = Follower(d, id)
    handler = d.get(id)["spec"]["handler"]
    marker = "follow-%d" % f.connection.socket.fileno()
    f.connection.send("Submit", {"job": {"handler": handler, "durability": "memory",
                                         "delay_usec": 3600 * 10**6, "tags": [marker]}},
                      oneway=True)
    until(lambda: d.call("List", tag=marker)["jobs"], "the connection has been read")
    return f


def is_wanted(worker):
    """Was the worker told to send output? It stands behind the first word of its slot's page."""
    with open("/proc/%d/maps" % worker, encoding="ascii") as f:
        line = next((line for line in f if "brood-slots" in line), None)
    assert line, "no page of slots"
    try:
        with open("/proc/%d/mem" % worker, "rb", buffering=0) as memory:
            memory.seek(int(line.split("-")[0], 16))
            return struct.unpack_from("=QI", memory.read(16))[1] != 0
    except PermissionError as error:
        raise Skip("no look into a worker's memory") from error


def test_lines_arrive_as_they_are_written():
    """stdout and stderr of a command come while it runs, in order, and then its end."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; for i in 1 2 3; do echo out $i; read l <$1;"
                                 "echo err $i >&2; read l <$1; done", gate))
        with follow_surely(d, id) as f:
            gate.go()
            for i in b"123":
                f.until(b"out %c\n" % i, "stdout")
                gate.go()
                f.until(b"err %c\n" % i, "stderr")
                assert d.get(id)["state"] == "running"
                gate.go()
            f.to_end()
            assert f.text() == b"".join(b"out %c\nerr %c\n" % (i, i) for i in b"123"), f.pieces
            assert f.kinds == {"data"}
            assert d.get(id)["state"] == "succeeded"  # it is shown as ended when the stream is
            assert d.get(id)["result"]["stdout"] == f.text("stdout").decode()
            assert d.get(id)["result"]["stderr"] == f.text("stderr").decode()


def test_two_followers_get_the_same():
    """Any number of followers may follow a job; each gets all of it."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; seq 20000; seq 5 >&2", gate))
        with follow_surely(d, id) as a, follow_surely(d, id) as b:
            gate.go()
            a.to_end()
            b.to_end()
            for f in a, b:
                assert f.text("stdout") == b"".join(b"%d\n" % i for i in range(1, 20001))
                assert f.text("stderr") == b"1\n2\n3\n4\n5\n"
            assert a.pieces == b.pieces


def test_two_calls_on_one_connection():
    """A second Follow behind the first gets the same; its replies wait until that one has ended."""
    with Daemon(EXEC) as d:
        d.call("PausePool", pool="exec")
        id = d.submit("exec", sh("echo one; echo two >&2"))
        with d.connect() as c:
            a, b = Follower(d, id, c), Follower(d, id, c)
            c.send("ResumePool", {"pool": "exec"})
            assert a.to_end().text("stdout") == b.to_end().text("stdout") == b"one\n"
            assert a.text("stderr") == b.text("stderr") == b"two\n"
            assert c.receive() == {}


def test_a_follower_that_joins_in_the_middle():
    """It gets what is written from then on; one that was there before has it all."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; echo first; read l <$1; echo second", gate))
        with follow_surely(d, id) as early:
            gate.go()
            early.until(b"first\n")
            with follow_surely(d, id) as late:
                gate.go()
                assert late.to_end().text() == b"second\n"
            assert early.to_end().text() == b"first\nsecond\n"


def test_a_job_that_waits():
    """Follow of a job that has not begun starts with its first word, and waits as long."""
    with Daemon(EXEC) as d:
        d.call("PausePool", pool="exec")
        id = d.submit("exec", sh("echo first word"))
        with Follower(d, id) as f:
            f.connection.send("ResumePool", {"pool": "exec"})
            assert f.to_end().text() == b"first word\n"


def test_bytes_of_any_kind():
    """All 256 values, in any order, arrive as they were written."""
    data = bytes(range(256)) * 500 + bytes(reversed(range(256))) * 3 + b"\xc3"
    with Daemon(EXEC) as d, Gate(d) as gate:
        with open(d.path("data"), "wb") as f:
            f.write(data)
        id = d.submit("exec", sh("read l <$1; cat $2; cat $2 >&2", gate, d.path("data")))
        with follow_surely(d, id) as f:
            gate.go()
            f.to_end()
            assert f.text("stdout") == data and f.text("stderr") == data
            assert "data_base64" in f.kinds


def test_characters_cut_in_two():
    """Text stays text, wherever the command cuts its characters."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        text = "a\u00e4\u20ac\U0001f600z"
        write = "".join("read l <$1; printf '\\%03o'; printf . >&2; " % byte
                        for byte in text.encode())
        id = d.submit("exec", sh(write, gate))
        with follow_surely(d, id) as f:
            for n in range(len(text.encode())):
                gate.go()
                f.until(b"." * (n + 1), "stderr")
            f.to_end()
            assert f.kinds == {"data"}, f.pieces
            assert f.text("stdout") == text.encode()
            assert [p for s, p in f.pieces if s == "stdout"] == [c.encode() for c in text]


def test_a_character_that_never_ends():
    """What was kept back for the rest of a character comes with the end of the job."""
    with Daemon(EXEC) as d:
        d.call("PausePool", pool="exec")
        id = d.submit("exec", sh(r"printf 'x\303'; printf '\360\237' >&2"))
        with Follower(d, id) as f:
            f.connection.send("ResumePool", {"pool": "exec"})
            f.to_end()
            assert f.text("stdout") == b"x\xc3" and f.text("stderr") == b"\xf0\x9f"


def test_five_megabytes():
    """Much output at once is exact for a follower that reads, also beyond what the result keeps."""
    size = 5 * MEGABYTE
    with Daemon({"exec": commands(output_max="1K")}) as d, Gate(d) as gate:
        # a line of 64 bytes with its number: whatever is lost or swapped shows
        id = d.submit("exec", sh("read l <$1; exec seq -f %063.0f $2", gate, size // 64))
        with follow_surely(d, id) as f:
            gate.go()
            lines = f.to_end().text().split(b"\n")
            assert lines == [b"%063d" % (i + 1) for i in range(size // 64)] + [b""]
            assert {s for s, _ in f.pieces} == {"stdout"} and f.kinds == {"data"}
        assert d.get(id)["result"]["truncated"] is True


@limit(120)
def test_a_follower_that_never_reads():
    """It neither stops the job nor others nor costs memory; later it hears what it has missed."""
    size = 50 * 1000 * 1000
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; head -c $2 /dev/zero | tr '\\0' x; echo end >&2",
                                 gate, size))
        with follow_surely(d, id) as slow_one, follow_surely(d, id) as other:
            before = rss(d.pid)
            gate.go()
            job = d.wait(id)
            assert job["state"] == "succeeded", job
            assert d.run("exec", {"argv": ["true"]})["state"] == "succeeded"
            if not SANITIZED:  # which keep what was freed for a while
                grown = rss(d.pid) - before
                assert grown < 3 * KEPT, "%d bytes more" % grown
            for f in slow_one, other:
                f.to_end()
                notes = [int(n) for n in LEFT_OUT.findall(f.text("stderr"))]
                assert notes, "nothing was left out"
                left = LEFT_OUT.sub(b"", f.text("stderr"))
                assert len(f.text("stdout")) + len(left) + sum(notes) == size + 4, notes
                assert set(f.text("stdout")) == set(b"x") and left in (b"", b"end\n")


def test_the_rest_after_what_was_left_out():
    """A follower that was too slow gets more when it has taken half, and the note before that."""
    size = 2 * KEPT
    with Daemon(EXEC) as d, Gate(d) as gate, Gate(d, "done") as done:
        id = d.submit("exec", sh("read l <$1; head -c $2 /dev/zero; echo big >$3; read l <$1;"
                                 "echo lost; read l <$1; echo rest; read l <$1", gate, size, done))
        with follow_surely(d, id) as f:
            gate.go()
            assert done.heard() == "big"  # of it only pipes and sockets can still hold some
            f.take(KEPT // 4)
            with follow_surely(d, id) as other:
                gate.go()
                other.until(b"lost\n")  # it has come so far, and not to the slow one
            f.take(KEPT * 3 // 4)  # so much was kept for it, and not much more
            gate.go()
            f.until(b"rest\n")
            notes = [int(n) for n in LEFT_OUT.findall(f.text("stderr"))]
            assert len(f.text("stdout")) + sum(notes) == size + 10, notes
            assert LEFT_OUT.sub(b"", f.text("stderr")) == b"" and len(notes) == 1, notes
            assert f.pieces[-2][0] == "stderr" and f.pieces[-1] == ("stdout", b"rest\n")
            assert set(f.text("stdout")[:-5]) == {0}
            gate.go()
            assert f.to_end().pieces[-1] == ("stdout", b"rest\n")


def test_output_of_a_handler():
    """What a handler in C writes by brood_job_output() is followed just so."""
    with Daemon() as d:
        d.call("PausePool", pool="diag")
        text = "a\u00e4\n\"\\"
        id = d.submit("output", {"stdout": text, "stderr": "e", "times": 1000})
        with Follower(d, id) as f:
            f.connection.send("ResumePool", {"pool": "diag"})
            f.to_end()
            assert f.text("stdout") == text.encode() * 1000 and f.text("stderr") == b"e" * 1000
            streams = [s for s, _ in f.pieces]
            assert streams == ["stdout", "stderr"] * 1000
        assert d.run("output", {"stdout": text, "times": 1000})["state"] == "succeeded"


def test_a_large_piece_of_a_handler():
    """A piece may be larger than a message; it comes in several."""
    with Daemon(conf="[Queue]\nMaxMessageSize=40K") as d:
        d.call("PausePool", pool="diag")
        text = "\x01\u20ac" * 3000  # 36000 bytes of JSON
        id = d.submit("output", {"stdout": text, "times": 2})
        with Follower(d, id) as f:
            f.connection.send("ResumePool", {"pool": "diag"})
            assert f.to_end().text() == text.encode() * 2
            assert f.kinds == {"data"}
            assert len(f.pieces) > 2
        assert d.get(id)["state"] == "succeeded"


def say(d, *pieces, **more):
    """A job of worker.py with these pieces of output, and a follower from its start."""
    d.call("PausePool", pool="py")
    id = d.submit("say", {"pieces": pieces}, **more)
    f = Follower(d, id)
    f.connection.send("ResumePool", {"pool": "py"})
    return id, f


def test_output_of_a_foreign_worker():
    """A worker in another language sends pieces as its interface has them."""
    with Daemon(PYTHON) as d:
        id, f = say(d, {"stream": "stdout", "data": "t\u00e4xt \"\n"},
                    {"stream": "stderr", "data_base64": "/wA="},
                    {"stream": "stdout", "data": ""}, {"stream": "stdout"},
                    {"stream": "stderr", "data": None, "data_base64": "/w=="})
        with f:
            assert f.to_end().pieces == [("stdout", "t\u00e4xt \"\n".encode()),
                                         ("stderr", b"\xff\0"), ("stderr", b"\xff")]
        assert d.get(id)["result"] == {"said": 5}
        # followed or not, it sends it
        assert d.run("say", {"pieces": [{"stream": "stdout", "data": "x"}]})["result"] == {
            "said": 1}
        assert d.pool_status("py")["deaths"] == 0


def test_nonsense_from_a_foreign_worker():
    """What is not base 64 reaches nobody; a stream that there is not ends the worker."""
    with Daemon(PYTHON) as d:
        id, f = say(d, {"stream": "stdout", "data_base64": "no base 64!"},
                    {"stream": "stdout", "data": "x"})
        with f:
            assert f.to_end().pieces == [("stdout", b"x")]
        assert d.get(id)["state"] == "succeeded"
        d.wait_log(r"worker=py\.0: output of job=%s is not base 64" % id)
        id, f = say(d, {"stream": "stdout", "data": "y"}, {"stream": "stdlog", "data": "x"},
                    max_attempts=1)
        with f:
            assert f.to_end().pieces == [("stdout", b"y")]
        assert d.get(id)["attempts"][0]["outcome"] == "worker_died"


def test_all_attempts():
    """One Follow spans the attempts of a job, and the waits between them."""
    with Daemon({"exec": commands(backoff="10ms")}) as d:
        d.call("PausePool", pool="exec")
        id = d.submit("exec", sh("echo attempt >>$1; wc -l <$1; exit 1", d.path("n")),
                      max_attempts=3)
        with Follower(d, id) as f:
            f.connection.send("ResumePool", {"pool": "exec"})
            assert f.to_end().text() == b"1\n2\n3\n"
        assert d.get(id)["state"] == "failed"


def test_a_worker_that_dies():
    """What was written before a worker's death has come; the next attempt follows in the stream."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; echo line; read l <$1", gate), max_attempts=2)
        with follow_surely(d, id) as f:
            gate.go()
            f.until(b"line\n")
            worker = d.worker_of(id)["pid"]
            command = children(worker)
            os.kill(worker, 9)
            wait_gone(command)  # it does not read any more
            gate.go()
            f.until(b"line\nline\n")
            gate.go()
            assert f.to_end().text() == b"line\nline\n"
        assert [a["outcome"] for a in d.get(id)["attempts"]] == ["worker_died", "succeeded"]


def test_cancel_ends_the_stream():
    """So it does where the job runs, and where it still waits."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("trap 'echo bye; exit' TERM; read l <$1; echo line;"
                                 "while :; do read l <$1; done", gate))
        with follow_surely(d, id) as f:
            gate.go()
            f.until(b"line\n")
            d.call("Cancel", id=id)
            assert f.to_end().text("stdout").startswith(b"line\n"), f.pieces
            assert d.get(id)["state"] == "cancelled"
        id = d.submit("exec", sh("echo never"), delay_usec=3600 * 10**6)
        with Follower(d, id) as f:
            f.connection.send("Cancel", {"id": id})
            assert f.to_end().text() == b""


def test_a_program_that_is_not_there():
    """What the result has as stderr, followers hear, too."""
    with Daemon(EXEC) as d:
        d.call("PausePool", pool="exec")
        id = d.submit("exec", {"argv": ["/no/such/program"]})
        with Follower(d, id) as f:
            f.connection.send("ResumePool", {"pool": "exec"})
            f.to_end()
            assert f.text("stderr").decode() == d.get(id)["result"]["stderr"] != ""


def test_a_job_that_has_ended():
    """There is nothing to follow: the last reply comes at once."""
    with Daemon(EXEC) as d:
        for script in "echo gone", "exit 3":
            id = d.run("exec", sh(script))["id"]
            with Follower(d, id) as f:
                f.next()
                assert f.ended and not f.pieces


def test_a_job_that_is_not_there():
    """NoSuchJob, as Get has it."""
    with Daemon(EXEC) as d:
        for id in "01920000-0000-7000-8000-000000000000", "x", "":
            with refused("NoSuchJob") as e:
                list(d.client.more("Follow", id=id))
            assert e["id"] == id
        with refused("org.varlink.service.InvalidParameter") as e:
            list(d.client.more("Follow", id=1))
        assert e["parameter"] == "id"


def test_without_more():
    """ExpectedMore; and a oneway call is nobody's."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; echo line", gate))
        with refused("org.varlink.service.ExpectedMore"):
            d.call("Follow", id=id)
        with d.connect() as c:
            c.send("Follow", {"id": id}, oneway=True)
            c.send("Follow", {"id": id}, more=True, oneway=True)
            assert c.call("Status")["state"] == "running"
            assert not is_wanted(d.worker_of(id)["pid"])
        gate.go()
        assert d.wait(id)["state"] == "succeeded"


def test_output_is_sent_only_while_somebody_follows():
    """The worker is told so: as the first comes, and as the last goes, also by its connection."""
    with Daemon({"exec": commands(min_workers=1)}) as d, Gate(d) as gate:
        id = d.submit("exec", sh("while read l <$1; do echo $l; [ $l = end ] && break; done", gate))
        worker = d.worker_of(id)["pid"]
        assert not is_wanted(worker)
        with Follower(d, id) as a:
            until(lambda: is_wanted(worker), "output is wanted")
            gate.go("go")
            a.until(b"go\n")
            with Follower(d, id):
                gate.go("go")
                a.until(b"go\ngo\n")
            # one is still there
            assert is_wanted(worker)
        until(lambda: not is_wanted(worker), "it is wanted no more")
        assert d.get(id)["state"] == "running"
        with Follower(d, id) as c:
            until(lambda: is_wanted(worker), "output is wanted again")
            gate.go("end")
            assert c.to_end().text() == b"end\n"
        until(lambda: not is_wanted(worker), "the job has ended")
        assert d.run("exec", sh("echo more"))["result"]["stdout"] == "more\n"
        assert not is_wanted(worker)


def test_followers_that_go():
    """Connections that close in the middle leave nothing behind, however many."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; seq 100000; read l <$1", gate))
        with d.steady_descriptors():
            with contextlib.ExitStack() as stack:
                for _ in range(30):
                    stack.enter_context(Follower(d, id))
                with follow_surely(d, id) as g:
                    with follow_surely(d, id) as f:
                        gate.go()
                        f.until(b"\n99\n")
                    g.until(b"\n99999\n")  # one that stays has it all
        gate.go()
        assert d.wait(id)["state"] == "succeeded"


def test_each_follower_gets_its_own_job():
    """Of short runs that were written ahead, each one's output reaches its own followers alone."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        for _ in range(50):  # short runs are known to be short
            d.run("output", {"stdout": "x"})
        d.call("PausePool", pool="diag")
        ids = [d.submit("output", {"stdout": "%d out\n" % i, "stderr": "%d err\n" % i, "times": 3})
               for i in range(200)]
        with d.connect() as c:
            # replies come in the order of the calls, jobs run in the order of their age
            asked = [i for i in range(200) if i % 3]
            followers = [(i, Follower(d, ids[i], c)) for i in asked]
            with follow_surely(d, ids[199]) as last:
                c.send("ResumePool", {"pool": "diag"})
                for i, f in followers:
                    f.to_end()
                    assert f.text("stdout") == b"%d out\n" % i * 3, (i, f.pieces)
                    assert f.text("stderr") == b"%d err\n" % i * 3, (i, f.pieces)
                assert last.to_end().text("stdout") == b"199 out\n" * 3
        worker, = d.pids("diag")
        assert not is_wanted(worker)


def test_a_followed_job_that_is_taken_back():
    """A followed run that stood behind a long one waits elsewhere: this one is not followed."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        for _ in range(50):  # its runs are known to be short
            d.run("sleep", {"seconds": 0})
        d.call("PausePool", pool="diag")
        long_one = d.submit("sleep", {"seconds": 1000})
        id = d.submit("sleep", {"seconds": 0})
        with follow_surely(d, id) as f:
            d.call("ResumePool", pool="diag")
            worker = d.worker_of(long_one)
            until(lambda: d.get(id)["state"] == "queued" and not is_wanted(worker["pid"]),
                  "it was taken back")
            d.call("Cancel", id=long_one)
            assert f.to_end().text() == b""
        assert d.get(id)["state"] == "succeeded"


def test_an_attached_command():
    """One with descriptors of its own writes there: its stream just ends."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        read_end, write_end = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        with d.connect() as c:
            c.send("Submit", {"job": {"handler": "exec", "attached": True, "args": sh(
                "read l <$1; echo out; echo err >&2", gate)}}, fds=(null, write_end, write_end))
            os.close(null)
            os.close(write_end)
            id = c.receive()["id"]
            with follow_surely(d, id) as f:
                gate.go()
                assert f.to_end().text() == b""
            with open(read_end, "rb") as pipe:
                assert pipe.read() == b"out\nerr\n"
            assert d.get(id)["state"] == "succeeded"


def test_the_daemon_stops():
    """Output of a job that runs to its end is heard to its end; one that waits is not heard of."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        runs = d.submit("exec", sh("read l <$1; echo line; seq 1000 >&2", gate))
        waits = d.submit("exec", sh("echo never"), delay_usec=3600 * 10**6, durability="memory")
        with follow_surely(d, runs) as f, follow_surely(d, waits) as g:
            d.worker_of(runs)
            d.signal(15)
            d.wait_log("stopping: SIGTERM")
            gate.go()
            f.to_end()
            assert f.text("stdout") == b"line\n" and f.text("stderr").endswith(b"\n1000\n")
            with refused("Draining"):
                g.to_end()
            assert d.wait_exit() == 0
            d.prove_clean()


def test_a_drain_lets_followers_be():
    """Drain and Resume end no stream."""
    with Daemon(EXEC) as d, Gate(d) as gate:
        id = d.submit("exec", sh("read l <$1; echo line; read l <$1; echo rest", gate))
        with follow_surely(d, id) as f, d.connect() as c:
            c.send("Drain")
            until(lambda: d.status()["state"] == "draining", "it drains")
            gate.go()
            f.until(b"line\n")
            d.call("Resume")
            gate.go()
            assert f.to_end().text() == b"line\nrest\n"

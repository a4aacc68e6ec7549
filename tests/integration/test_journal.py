# SPDX-License-Identifier: MIT
"""The journal: each event with its fields, and what jobs write with theirs."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from durable import write_tally
from harness import *
from journald import Journald, LoggingDaemon, RealJournald, message_ids

ID = message_ids()
TALKER = {"talk": pool(module="talker.so", min_workers=1, spare_workers=0, backoff="10ms",
                       max_attempts=1)}
CATALOG = source("packaging", "journal", "brood.catalog")


@contextlib.contextmanager
def logging(*args, journald=None, **keys):
    """(daemon, journald)"""
    with journald or Journald() as j, LoggingDaemon(j, *args, **keys) as d:
        yield d, j


def sh(script, *args):
    return {"argv": ["/bin/sh", "-c", script, "sh", *map(str, args)]}


def check(entry, **fields):
    """These fields, and a MESSAGE and an identifier."""
    for name, value in fields.items():
        wanted = None if value is None else str(value).encode()
        assert entry.get(name) == wanted, (name, value, entry)
    assert entry["MESSAGE"] and entry["SYSLOG_IDENTIFIER"], entry


# --- events ---

def test_ready_and_stop():
    """The daemon's lines are entries of its own, with level and identifier; none is on stderr."""
    with logging() as (d, j):
        ready = j.wait(MESSAGE_ID=ID["READY"])
        check(ready, PRIORITY=5, SYSLOG_IDENTIFIER="broodd", _PID=d.pid, BROOD_JOB=None)
        assert re.fullmatch(rb"broodd \S+ is ready: 1 pool", ready["MESSAGE"]), ready
        check(j.wait(PRIORITY=7, BROOD_WORKER="diag.0"), BROOD_POOL="diag", MESSAGE_ID=None)
        d.stop()
        check(j.wait(MESSAGE_ID=ID["STOPPING"]), PRIORITY=5, _PID=d.process.pid)
        check(j.wait(MESSAGE="stopped"), MESSAGE_ID=None)
        assert not [line for line in j.lines if b"broodd" in line], j.lines


def test_a_job_that_kills_its_worker():
    """Two obituaries with the job, each with its attempt; then it is in quarantine."""
    with logging({"diag": diag(poison_deaths=2, min_workers=1)}) as (d, j):
        job = d.run("crash", {"signal": "SEGV"})
        assert job["state"] == "quarantined"
        for n in 1, 2:
            died = j.wait(MESSAGE_ID=ID["WORKER_DIED"], BROOD_ATTEMPT=n)
            check(died, PRIORITY=4, BROOD_JOB=job["id"], BROOD_WORKER="diag.0", BROOD_POOL="diag",
                  BROOD_HANDLER="crash", BROOD_USER=os.getuid(), SYSLOG_IDENTIFIER="broodd")
            assert b"SEGV" in died["MESSAGE"] and job["id"].encode() in died["MESSAGE"], died
        end = j.wait(BROOD_JOB=job["id"], MESSAGE_ID=ID["JOB_QUARANTINED"])
        check(end, PRIORITY=4, BROOD_HANDLER="crash", BROOD_POOL="diag", BROOD_ATTEMPT=2,
              BROOD_USER=os.getuid())
        assert b"quarantined after 2 attempts: " in end["MESSAGE"], end
        os.kill(d.pids()[0], signal.SIGKILL)
        check(j.wait(MESSAGE_ID=ID["WORKER_DIED"], n=3), BROOD_JOB=None, BROOD_WORKER="diag.0")


def test_jobs_that_end_badly():
    """Failed for good and expired: one line each. Success, a retry and a cancel leave none."""
    with logging({"diag": diag(max_attempts=2, min_workers=1)}) as (d, j):
        good = d.run("echo", {"x": 1})
        failed = d.run("fail", {"message": "no\nluck <0>today"})
        ids = {"succeeded": good["id"]}
        assert failed["state"] == "failed" and len(failed["attempts"]) == 2
        busy = d.submit("sleep", {"seconds": 30})
        until(lambda: d.get(busy)["state"] == "running", "it runs")
        expired = d.run("echo", {}, ttl_usec=50000)
        assert expired["state"] == "expired"
        d.call("Cancel", id=busy)
        assert d.wait(busy)["state"] == "cancelled"
        entry = j.wait(MESSAGE_ID=ID["JOB_FAILED"])
        check(entry, PRIORITY=5, BROOD_JOB=failed["id"], BROOD_POOL="diag", BROOD_HANDLER="fail",
              BROOD_ATTEMPT=2, BROOD_USER=os.getuid())
        assert entry["MESSAGE"].endswith(b"failed after 2 attempts: no luck <0>today"), entry
        entry = j.wait(MESSAGE_ID=ID["JOB_EXPIRED"])
        check(entry, PRIORITY=5, BROOD_JOB=expired["id"], BROOD_HANDLER="echo", BROOD_ATTEMPT=None)
        d.stop()
        j.wait(MESSAGE="stopped")
        assert len(j.find(MESSAGE_ID=ID["JOB_FAILED"])) == 1
        assert len(j.find(MESSAGE_ID=ID["JOB_EXPIRED"])) == 1
        for id in (ids["succeeded"], busy):
            assert not j.find(BROOD_JOB=id), j.find(BROOD_JOB=id)


def test_many_that_end_badly():
    """Of thousands of failures in a second a hundred are named, the rest counted: all of them."""
    with logging({"diag": diag(max_attempts=1)}) as (d, j):
        jobs = [{"handler": "fail", "args": {"message": "no"}, "durability": "memory"}] * 1500
        ids = d.call("SubmitMany", jobs=jobs)["ids"]
        for id in ids:
            d.wait(id)
        j.wait(MESSAGE_ID=ID["JOBS_UNNAMED"])  # with nothing else to wake the daemon
        d.stop()
        j.wait(MESSAGE="stopped")
        named = j.find(MESSAGE_ID=ID["JOB_FAILED"])
        rest = j.find(MESSAGE_ID=ID["JOBS_UNNAMED"])
        told = sum(int(e["MESSAGE"].split()[0]) for e in rest)
        lost = sum(int(re.search(rb"take (\d+) lines", e["MESSAGE"])[1])
                   for e in j.find(MESSAGE_ID=ID["LINES_LOST"]))
        assert 100 <= len(named) + lost and len(named) <= 100 * (1 + len(rest)), len(named)
        assert rest and len(named) + told + lost >= 1500, (len(named), told, lost)
        check(rest[0], PRIORITY=4, BROOD_JOB=None)


def test_a_pool_that_can_not_start():
    """Its breaker opens, with what its workers had said; a reload with a mended one closes it."""
    python = {"handlers": "add", "min_workers": 1, "spare_workers": 0}
    worker = "python3 " + os.path.join(HERE, "worker.py")
    bad = pool(command="/bin/sh -c 'echo the-reason >&2; exit 3'", log_output="no", **python)
    with logging({"work": bad}, ready=False) as (d, j):
        d.await_socket()
        check(j.wait(MESSAGE_ID=ID["POOL_FAILED"]), PRIORITY=3, BROOD_POOL="work")
        check(j.wait(MESSAGE_ID=ID["WORKER_DIED"]), BROOD_POOL="work", BROOD_WORKER="work.0")
        check(j.wait(MESSAGE="the-reason"), BROOD_POOL="work", BROOD_WORKER="work.0",
              SYSLOG_IDENTIFIER="brood-worker", BROOD_JOB=None)
        good = d.write("worker.sh", "#!/bin/sh\ntest -e %s || exit 3\nexec %s\n" % (
            d.path("mended"), worker))
        os.chmod(good, 0o755)
        d.write_pool("work", pool(command=good, **python))
        d.call("Reload")
        check(j.wait(MESSAGE_ID=ID["RELOADED"]), PRIORITY=5)
        j.wait(MESSAGE_ID=ID["POOL_FAILED"], n=2, seconds=20)
        d.write("mended", "")
        check(j.wait(MESSAGE_ID=ID["POOL_RECOVERED"], seconds=30), PRIORITY=5, BROOD_POOL="work")


def test_a_fork_server_that_dies():
    with logging() as (d, j):
        os.kill(d.fork_servers()[0], signal.SIGKILL)
        check(j.wait(MESSAGE_ID=ID["FORK_SERVER_FAILED"]), PRIORITY=4, BROOD_POOL="diag")
        check(j.wait(MESSAGE_ID=ID["WORKER_DIED"]), BROOD_POOL="diag")
        until(lambda: d.pool_status()["idle"] == 2, "new workers")


@limit(90)
def test_a_handler_that_has_a_rest():
    """Its breaker opens after three jobs, closes when the one that is tried is well."""
    with Journald() as j, LoggingDaemon(j, {}, start=False) as d:
        os.mkdir(d.path("tallies"))
        write_tally(d, breaker_deaths=3, poison_deaths=1, spare_workers=2)
        d.start()
        for _ in range(3):
            last = d.run("tally", {"n": 1, "crash": 9})
        entry = j.wait(MESSAGE_ID=ID["HANDLER_RESTS"])
        check(entry, PRIORITY=3, BROOD_HANDLER="tally", BROOD_POOL="tally", BROOD_JOB=last["id"])
        assert b"3 different jobs" in entry["MESSAGE"], entry
        tried = d.run("tally", {"n": 1, "crash": 9})
        entry = j.wait(MESSAGE_ID=ID["HANDLER_RESTS"], n=2)
        check(entry, PRIORITY=4, BROOD_JOB=tried["id"])
        assert d.submit("tally", {"n": 2})
        check(j.wait(seconds=30, MESSAGE_ID=ID["HANDLER_RECOVERED"]), PRIORITY=5,
              BROOD_HANDLER="tally", BROOD_POOL="tally")


def test_the_store():
    """It fails, with why, once; and works again."""
    with Journald() as j, LoggingDaemon(j, start=False) as d:
        d.env.update(LD_PRELOAD=build("tests", "integration", "faulty_io.so"),
                     BROOD_FAULTS=d.path("faults"))
        if SANITIZED:
            os.environ["ASAN_OPTIONS"] = "verify_asan_link_order=0"
        d.start()
        d.run("echo")
        d.write("faults.new", "pwrite64 EIO wal")
        os.rename(d.path("faults.new"), d.path("faults"))
        for _ in range(3):
            try:
                d.run("echo")
                raise AssertionError("it was accepted")
            except VarlinkError as error:
                assert error.name.endswith("StoreFailed"), error
        entry = j.wait(MESSAGE_ID=ID["STORE_FAILS"])
        check(entry, PRIORITY=3)
        assert b"brood.db" in entry["MESSAGE"], entry
        os.unlink(d.path("faults"))
        check(j.wait(MESSAGE_ID=ID["STORE_WORKS"]), PRIORITY=5)
        assert len(j.find(MESSAGE_ID=ID["STORE_FAILS"])) == 1


def test_reload():
    """Refused, with file and line; then done."""
    with logging() as (d, j):
        path = d.write("config/brood.conf", "[Daemon]\n\nLogLevel=loud\n")
        with refused("ConfigInvalid"):
            d.call("Reload")
        entry = j.wait(MESSAGE_ID=ID["CONFIG_REFUSED"])
        check(entry, PRIORITY=3, CONFIG_FILE=path, CONFIG_LINE=3)
        assert entry["MESSAGE"].endswith(b"; the config in force stays"), entry
        d.write("config/brood.conf", "")
        d.call("Reload")
        check(j.wait(MESSAGE_ID=ID["RELOADED"]), PRIORITY=5)


def test_a_start_that_is_refused():
    with Journald() as j, LoggingDaemon(j, conf="[Daemon]\nLogLevel=loud\n", start=False) as d:
        d.start(ready=False)
        assert d.wait_exit() == 1
        check(j.wait(MESSAGE_ID=ID["CONFIG_REFUSED"]), PRIORITY=3, CONFIG_LINE=2,
              CONFIG_FILE=d.path("config/brood.conf"))
        d.end()


def test_a_client_that_does_not_read():
    with logging(conf="[Daemon]\nStallTimeout=300ms\n") as (d, j):
        with d.connect() as c:
            with contextlib.suppress(Closed, OSError):
                for _ in range(60):
                    c.send("Submit", {"job": {"handler": "echo", "args": {"x": "y" * 100000}},
                                      "wait": True})
            entry = j.wait(MESSAGE_ID=ID["CLIENT_DROPPED"])
            check(entry, PRIORITY=5, BROOD_USER=os.getuid(), BROOD_JOB=None)


def test_jobs_in_memory_are_dropped():
    """At the stop each of them leaves a line, and there is one for all; durable ones leave none."""
    with logging({"diag": diag(min_workers=1)}) as (d, j):
        d.call("PausePool", pool="diag")
        check(j.wait(BROOD_POOL="diag", BROOD_USER=os.getuid(), PRIORITY=5), BROOD_JOB=None)
        dropped = [d.submit("echo", durability="memory") for _ in range(3)]
        kept = d.submit("echo")
        d.stop()
        check(j.wait(MESSAGE_ID=ID["JOBS_DROPPED"]), PRIORITY=4)
        assert j.messages(MESSAGE_ID=ID["JOBS_DROPPED"])[0].endswith(b"dropped: 3")
        for id in dropped:
            check(j.wait(BROOD_JOB=id), MESSAGE_ID=ID["JOB_DROPPED"], BROOD_HANDLER="echo",
                  BROOD_POOL="diag", BROOD_USER=os.getuid(), PRIORITY=4)
        assert len(j.find(MESSAGE_ID=ID["JOB_DROPPED"])) == 3 and not j.find(BROOD_JOB=kept)


# --- what jobs write ---

def check_command(start_method):
    """Its lines, in order, by stream, sent by the worker itself; the last one is not finished."""
    with logging({"exec": commands(start_method=start_method, min_workers=1)}) as (d, j):
        job = d.run("exec", sh("echo one; echo; echo two >&2; printf three"))
        assert job["result"]["stdout"] == "one\n\nthree", job
        assert j.wait(BROOD_JOB=job["id"], MESSAGE="three")
        entries = j.find(BROOD_JOB=job["id"])
        for e in entries:
            check(e, BROOD_WORKER="exec.0", BROOD_POOL="exec", BROOD_ATTEMPT=1,
                  BROOD_HANDLER="exec", SYSLOG_IDENTIFIER="brood-worker", _PID=d.pids()[0],
                  PRIORITY=6 if e["BROOD_STREAM"] == b"stdout" else 5, MESSAGE_ID=None)
        assert j.messages(BROOD_JOB=job["id"], BROOD_STREAM="stdout") == [b"one", b"three"]
        assert j.messages(BROOD_JOB=job["id"], BROOD_STREAM="stderr") == [b"two"]
        other = d.run("exec", sh("echo four"))
        check(j.wait(BROOD_JOB=other["id"]), MESSAGE="four")
        gone = d.run("exec", {"argv": ["/no/such/program"]})
        check(j.wait(BROOD_JOB=gone["id"], BROOD_STREAM="stderr"), PRIORITY=5)
        assert d.fork_servers()


def test_a_command():
    check_command("forkserver")


def test_a_command_of_a_spawned_worker():
    check_command("spawn")


def test_lines_that_are_no_text():
    """Binary goes as it is; a long line is split between characters; nothing is missing."""
    euros = "\u20ac" * 10000
    with logging({"exec": commands(output_max="1M")}) as (d, j):
        job = d.run("exec", sh(r"printf 'a\000b\377\nnext\n'"))
        j.wait(BROOD_JOB=job["id"], n=2)
        assert j.messages(BROOD_JOB=job["id"]) == [b"a\0b\xff", b"next"]
        job = d.run("exec", {"argv": ["/bin/cat"], "stdin": euros + "\nend"})
        assert job["result"]["stdout"] == euros + "\nend"
        j.wait(BROOD_JOB=job["id"], MESSAGE="end")
        pieces = j.messages(BROOD_JOB=job["id"])
        assert b"".join(pieces).decode() == euros + "end"
        assert len(pieces) == 5 and all(p.decode() and len(p) <= 8192 for p in pieces)


def test_lines_of_each_attempt():
    with logging({"exec": commands(max_attempts=2, backoff="10ms")}) as (d, j):
        job = d.run("exec", sh("echo hello; exit 3"))
        assert job["state"] == "failed"
        for n in 1, 2:
            check(j.wait(BROOD_JOB=job["id"], BROOD_ATTEMPT=n, BROOD_STREAM="stdout"),
                  MESSAGE="hello")


def check_handler(start_method):
    """What it gives to brood_job_output(), and what it prints."""
    with logging({"talk": TALKER["talk"] + "StartMethod=%s\n" % start_method}) as (d, j):
        job = d.run("talk", {"output": "half", "errors": "uh\noh\n", "print": "printed\n",
                             "mutter": "<4>muttered\nrest"})
        j.wait(BROOD_JOB=job["id"], n=6)
        pid = job["result"]["pid"]
        common = {"BROOD_JOB": job["id"], "BROOD_POOL": "talk", "BROOD_WORKER": "talk.0",
                  "BROOD_ATTEMPT": 1, "BROOD_HANDLER": "talk",
                  "SYSLOG_IDENTIFIER": "brood-worker"}
        for text, stream, level, sender in (
                ("half", "stdout", 6, pid), ("uh", "stderr", 5, pid), ("oh", "stderr", 5, pid),
                ("printed", None, 6, d.pid), ("muttered", None, 4, d.pid),
                ("rest", None, 6, d.pid)):
            check(j.wait(MESSAGE=text), BROOD_STREAM=stream, PRIORITY=level, _PID=sender, **common)


def test_a_handler():
    check_handler("forkserver")


def test_a_handler_of_a_spawned_worker():
    check_handler("spawn")


def test_prints_are_of_the_job_that_runs():
    """One job after the other prints its number: no line is another's, none is missing."""
    with logging(TALKER) as (d, j):
        ids = {}
        for n in range(300):
            size = 1 if n % 10 else 6000  # more than is read at once
            text = ("%d " % n) * size
            ids[n] = d.run("talk", {"print": text + "\n"}, durability="memory")["id"]
        j.wait(MESSAGE="299 ")
        for n, id in ids.items():
            found = b"".join(j.messages(BROOD_JOB=id))
            assert found == (b"%d " % n) * (1 if n % 10 else 6000), (n, id, found[:100])


def test_last_words():
    """What a worker has said before it died is of the job that it died of."""
    with logging(TALKER) as (d, j):
        job = d.run("talk", {"mutter": "farewell", "die": True})
        check(j.wait(MESSAGE="farewell"), BROOD_JOB=job["id"], BROOD_ATTEMPT=1)


def test_log_output_no():
    """Nothing that a command or a handler writes is in the journal, but in the result; events are.
    A reload changes that."""
    pools = {"exec": commands(log_output="no"), "talk": TALKER["talk"] + "LogOutput=no\n"}
    with logging(pools) as (d, j):
        job = d.run("exec", sh("echo secret; echo secret >&2; exit 1"))
        assert job["result"]["stdout"] == "secret\n", job
        check(j.wait(BROOD_JOB=job["id"]), MESSAGE_ID=ID["JOB_FAILED"])
        talked = d.run("talk", {"output": "secret\n", "print": "secret\n", "mutter": "secret\n"})
        d.write_pool("exec", commands())
        d.call("Reload")
        until(lambda: d.run("exec", sh("echo open"))["state"] == "succeeded" and
              j.find(MESSAGE="open"), "it is in the journal")
        d.stop()
        j.wait(MESSAGE="stopped")
        assert not [e for e in j.entries if b"secret" in e["MESSAGE"]]
        assert len(j.find(BROOD_JOB=job["id"])) == 1 and not j.find(BROOD_JOB=talked["id"])


# --- a journald that is not well ---

def lost_of(j, **fields):
    return sum(int(re.search(rb"did not take (\d+) lines", e["MESSAGE"])[1])
               for e in j.find(MESSAGE_ID=ID["LINES_LOST"], **fields))


@alone
def test_a_journald_that_hangs():
    """A job that writes 20000 lines is done soon, as are others. When it goes on, each line is
    there or counted."""
    with logging({"exec": commands(min_workers=1, output_max="1M")}) as (d, j):
        d.run("exec", sh("echo before"))
        j.wait(MESSAGE="before")
        j.hang()
        began = time.monotonic()
        job = d.run("exec", sh("seq 1 20000"))
        assert job["result"]["stdout"].endswith("\n20000\n")
        assert time.monotonic() - began < slow(3)
        began = time.monotonic()
        for _ in range(5):
            assert d.run("exec", sh("echo again"))["state"] == "succeeded"
        assert time.monotonic() - began < slow(2)
        j.go_on()
        written = 1 + 20000 + 5

        def is_back():
            nonlocal written
            written += 1
            d.run("exec", sh("echo end"))
            return j.find(MESSAGE="end")
        until(is_back, "it writes again")
        lost, there = lost_of(j, BROOD_WORKER="exec.0"), len(j.find(BROOD_STREAM="stdout"))
        assert lost > 10000 and lost + there == written, (lost, there, written)
        check(j.find(MESSAGE_ID=ID["LINES_LOST"])[0], PRIORITY=4, BROOD_POOL="exec",
              BROOD_WORKER="exec.0", SYSLOG_IDENTIFIER="brood-worker")


@alone
def test_the_daemon_does_not_hang_with_journald():
    """Its own lines, and those of workers, wait in a bounded queue; the daemon answers, and stops.
    When journald goes on, each line is there, in order, or counted."""
    with logging(TALKER) as (d, j):
        j.wait(MESSAGE_ID=ID["READY"])
        j.hang()
        began, n = time.monotonic(), 4
        for i in range(n):
            d.run("talk", {"print": "".join("%06d %s\n" % (i * 800 + k, "x" * 1000)
                                            for k in range(800))}, durability="memory")
        assert time.monotonic() - began < slow(3)
        assert rss(d.pid) < (60 << 20) or SANITIZED, rss(d.pid)
        j.go_on()
        lost = j.wait(SYSLOG_IDENTIFIER="broodd", MESSAGE_ID=ID["LINES_LOST"])
        check(lost, PRIORITY=4, BROOD_JOB=None)
        d.run("talk", {"print": "the end\n"})
        j.wait(MESSAGE="the end")
        there = [int(m[:6]) for m in j.messages(SYSLOG_IDENTIFIER="brood-worker") if m[:1] == b"0"]
        assert there == sorted(there) and there[:500] == list(range(500)), there[:500]
        assert lost_of(j) + len(there) == n * 800, (lost_of(j), len(there))
        j.hang()
        d.run("talk", {"print": "more\n" * 100})
        began = time.monotonic()
        d.stop()
        assert time.monotonic() - began < slow(2)


def test_the_daemon_is_there_until_its_last_line_is_read():
    """journald asks /proc of which unit a line is: `journalctl -u` has the last one, too."""
    with logging(TALKER) as (d, j):
        j.wait(MESSAGE_ID=ID["READY"])
        workers = d.pids("talk")

        def read_late():
            until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in workers), "the end")
            time.sleep(0.05)
            j.go_on()
        j.hang()
        threading.Thread(target=read_late, daemon=True).start()
        d.stop()
        assert j.wait(MESSAGE="stopped")["there"]


@alone
def test_a_journald_that_is_slow():
    """It reads, but not fast: the job waits for it a little, and no line is lost."""
    with logging({"exec": commands(min_workers=1, output_max="1M")}) as (d, j):
        job = d.run("exec", sh("seq 1 1500"))
        j.wait(BROOD_JOB=job["id"], n=1500)
        assert j.messages(BROOD_JOB=job["id"]) == [b"%d" % n for n in range(1, 1501)]
        assert not j.find(MESSAGE_ID=ID["LINES_LOST"])


def test_a_journald_that_comes_later():
    """While there is none, lines go to stderr with their levels, and output nowhere; then as they
    should."""
    with logging({"exec": commands(min_workers=1)}, journald=Journald(listening=False)) as (d, j):
        j.wait_line(rb"^<5>broodd \S+ is ready")
        assert d.run("exec", sh("echo nobody hears"))["state"] == "succeeded"
        j.listen()
        job = d.run("exec", sh("echo somebody does"))
        check(j.wait(BROOD_JOB=job["id"], BROOD_STREAM="stdout"), MESSAGE="somebody does")
        d.call("PausePool", pool="exec")
        assert b"paused" in j.wait(BROOD_POOL="exec", PRIORITY=5)["MESSAGE"]


def test_a_worker_that_can_not_reach_journald():
    """Where it can not find the socket, as in another root directory, the fork server's will do."""
    with logging({"exec": commands(min_workers=1), "talk": TALKER["talk"] + "StartMethod=spawn\n"
                  }) as (d, j):
        j.wait(MESSAGE_ID=ID["READY"])
        j.hide()
        old = d.pids()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        until(lambda: all(p["idle"] for p in d.status()["pools"]) and not set(d.pids()) & set(old),
              "new workers")
        job = d.run("exec", sh("echo here"))
        check(j.wait(BROOD_JOB=job["id"]), MESSAGE="here", _PID=d.pids("exec")[0])
        job = d.run("talk", {"output": "there"})
        check(j.wait(BROOD_JOB=job["id"]), MESSAGE="there", _PID=d.pids("talk")[0])


def test_a_journald_that_is_another_one():
    """It was restarted, with a new socket: daemon and workers find it."""
    with logging({"exec": commands(min_workers=1)}) as (d, j):
        j.wait(MESSAGE_ID=ID["READY"])
        old = j.socket
        j.listen()
        old.shutdown(2)
        old.detach()  # its thread keeps it, and reads nothing more
        job = d.run("exec", sh("echo to the new one"))
        d.call("PausePool", pool="exec")
        check(j.wait(BROOD_JOB=job["id"], BROOD_STREAM="stdout"), MESSAGE="to the new one")


def test_a_real_journald():
    """systemd's own takes it all, and finds it by its fields."""
    with RealJournald() as j, LoggingDaemon(j, {"exec": commands(output_max="1M")}) as d:
        job = d.run("exec", sh("echo one; echo two >&2; seq 1 3000; exit 3"))
        mine = until(lambda: len(j.read("BROOD_JOB=" + job["id"])) > 3002 and
                     j.read("BROOD_JOB=" + job["id"]), "all of it")
        assert [e["MESSAGE"] for e in mine if e.get("BROOD_STREAM") == "stdout"] == [
            "one", *map(str, range(1, 3001))]
        worker, = {e["_PID"] for e in mine if "BROOD_STREAM" in e}
        assert int(worker) in d.pids("exec")
        ready, = j.read("MESSAGE_ID=" + ID["READY"], "SYSLOG_IDENTIFIER=broodd")
        assert ready["PRIORITY"] == "5" and int(ready["_PID"]) == d.pid
        failed, = j.read("BROOD_USER=%d" % os.getuid(), "MESSAGE_ID=" + ID["JOB_FAILED"])
        assert failed["BROOD_JOB"] == job["id"] and failed["BROOD_HANDLER"] == "exec"


# --- where there is none ---

def test_stderr_has_levels():
    """Without JOURNAL_STREAM lines have levels in front, and what jobs write is not there."""
    with Daemon({"exec": commands(min_workers=1), **TALKER}) as d:
        assert d.wait_log(r"^<5>broodd \S+ is ready: 2 pools$")
        job = d.run("exec", sh("echo quiet; exit 1"))
        assert job["result"]["stdout"] == "quiet\n"
        d.wait_log(r"^<5>job=%s handler=exec uid=%d failed after 1 attempt: " % (
            job["id"], os.getuid()))
        d.run("talk", {"output": "quiet\n", "print": "aloud\n", "mutter": "x" * 3000 + "\n"})
        d.wait_log(r"^<6>worker=talk\.0 pid=\d+: aloud$")
        d.wait_log(r"^<6>worker=talk\.0 pid=\d+: x{2048}$")
        d.wait_log(r"^<6>worker=talk\.0 pid=\d+: x{952}$")
        assert not re.search("BROOD_|MESSAGE|quiet", d.log()), d.log()


def test_stderr_of_a_pool_that_is_quiet():
    """LogOutput=no is for stderr, too."""
    with Daemon({"talk": TALKER["talk"] + "LogOutput=no\n"}) as d:
        d.run("talk", {"print": "secret\n"})
        d.run("talk", {"print": "secret\n"})
        d.stop()
        assert "secret" not in d.log()


def test_a_stream_that_is_not_stderr():
    """JOURNAL_STREAM speaks of another descriptor, or is nonsense: stderr it is."""
    with Journald() as j:
        for stream in "1:1", "nonsense", "8:1:2", "-1:-1":
            with LoggingDaemon(j, stream=stream) as d:
                j.wait_line(rb"^<5>broodd \S+ is ready")
            j.lines.clear()
        assert not j.entries, j.entries


def test_a_config_check_says_it_to_the_terminal():
    """--check-config is for people, wherever it runs."""
    with Journald() as j, LoggingDaemon(j, conf="[Daemon]\nLogLevel=loud\n", start=False) as d:
        r = subprocess.run([*Daemon.command(d), "--check-config"], env=d.environment(),
                           capture_output=True, text=True)
        assert r.returncode == 1 and "brood.conf:2: " in r.stderr, r
        assert not j.entries
        d.end()


# --- the catalog ---

def test_the_catalog():
    """An entry for every id, and none for others; journalctl takes it, and each says what it is
    and what to do, with fields that the messages have."""
    with open(CATALOG, encoding="utf-8") as f:
        entries = re.findall(r"^-- (\w{32})\n((?:[\w-]+: .*\n)+)\n((?:.|\n)*?)(?=\n-- |\Z)",
                             f.read(), re.M)
    assert sorted(id for id, _, _ in entries) == sorted(ID.values())
    assert len(set(ID.values())) == len(ID)
    fields = re.findall(r'"((?:BROOD|CONFIG)_\w+)"', open(
        source("daemon", "ops", "log.c"), encoding="utf-8").read())
    for id, head, text in entries:
        keys = dict(line.split(": ", 1) for line in head.splitlines())
        assert set(keys) == {"Subject", "Defined-By", "Support"}, (id, keys)
        assert len(text) > 80, id
        used = re.findall(r"@(\w+)@", keys["Subject"] + text)
        assert set(used) <= set(fields), (id, used)
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(root + "/usr/lib/systemd/catalog")
        os.makedirs(root + "/var/lib/systemd/catalog")
        shutil.copy(CATALOG, root + "/usr/lib/systemd/catalog")
        if shutil.which("journalctl") is None:
            raise Skip("no journalctl")
        subprocess.run(["journalctl", "--root=" + root, "--update-catalog"], check=True)
        listed = subprocess.run(["journalctl", "--root=" + root, "--list-catalog"], check=True,
                                capture_output=True, text=True).stdout
    assert sorted(line.split()[0] for line in listed.splitlines()) == sorted(ID.values())

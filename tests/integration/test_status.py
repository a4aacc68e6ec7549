# SPDX-License-Identifier: MIT
"""Status: what an operator should know of, and how broodctl lays it out."""

import ctypes
import json
import os
import re
import shutil
import signal

from durable import *
from metrics import *
from test_durability_disk import (CLONE_NEWNS, MNT_DETACH, MS_PRIVATE, MS_REC, SmallDisk, Submits,
                                  check_call, failing_disk)


def warnings(d, kind=None):
    """[(kind, subject, message)] of all, or of one kind."""
    return [(w["kind"], w.get("subject"), w["message"]) for w in d.status()["warnings"]
            if kind in (None, w["kind"])]


def await_warning(d, kind, seconds=20):
    """The one warning of this kind, when it is there: (subject, message)."""
    found = until(lambda: warnings(d, kind), "a warning " + kind, seconds)
    assert len(found) == 1, found
    return found[0][1:]


def await_none(d, seconds=30):
    until(lambda: not warnings(d), "no warning; there is %s" % warnings(d), seconds)


def check_shown(d, message):
    """broodctl status has it, in a line of its own, and says that all is not well."""
    text = ctl(d, "status")
    line, = (line for line in text.splitlines() if message in line)
    assert re.match(r" +(Warnings: )?▲ ", line), line
    return text


# --- each warning, and its end ---

def test_a_daemon_that_is_well():
    """No warning, no death."""
    with Daemon() as d:
        d.run("echo")
        assert d.status()["warnings"] == [] and d.status()["deaths"] == []
        text = ctl(d, "status")
        assert "Warnings" not in text and "with warnings" not in text


def test_a_pool_whose_workers_can_not_start():
    """pool_failed: which pool, and what its last worker died of."""
    bad = pool("count", "count.so", min_workers=1, spare_workers=0, settings="refuse=worker")
    good = pool("count", "count.so", min_workers=1, spare_workers=0)
    with Daemon({"count": bad, "diag": diag()}, ready=False) as d:
        d.await_socket()
        subject, message = await_warning(d, "pool_failed", 60)
        assert subject == "count" and message.startswith("pool count: its workers can not start: ")
        assert len(message) > len("pool count: its workers can not start: ") + 10, message
        assert figure(figures(text_of(d)), "brood_pool_failed", pool="count") == 1
        assert figure(figures(text_of(d)), "brood_pool_failed", pool="diag") == 0
        assert "running (with warnings)" in check_shown(d, message)
        d.write_pool("count", good)
        d.call("Reload")
        await_none(d)
        assert figure(figures(text_of(d)), "brood_pool_failed", pool="count") == 0


def test_a_paused_pool():
    """pool_paused: which one. Somebody has wanted it so: the state is not said to be bad."""
    with Daemon() as d:
        d.call("PausePool", pool="diag")
        assert warnings(d) == [("pool_paused", "diag", "pool diag is paused")]
        assert figure(figures(text_of(d)), "brood_pool_paused", pool="diag") == 1
        assert "with warnings" not in check_shown(d, "pool diag is paused")
        d.call("ResumePool", pool="diag")
        assert warnings(d) == []


def test_a_pool_that_is_short():
    """pool_short: how many it has of how many, while the others can not start."""
    with Daemon({}, start=False) as d:
        gate = d.path("gate")
        d.write_pool("moods", pool("mood", "moods.so", min_workers=3, spare_workers=0,
                                   start_timeout="300s", settings="hang=" + gate))
        d.start()
        assert warnings(d) == []
        d.write("gate", "")
        os.kill(d.fork_servers()[0], signal.SIGKILL)
        subject, message = await_warning(d, "pool_short")
        assert subject == "moods"
        assert re.match(r"pool moods has [012] of 3 workers", message), message
        check_shown(d, "pool moods has ")
        os.unlink(gate)
        await_none(d)


@limit(150)
def test_a_pool_that_gets_nothing_done():
    """pool_stuck: after half a minute in which jobs wait and none ends, with the worker and the job
    that keep it; and not where all that run began lately."""
    with durable(min_workers=1) as d:
        id = hold(d)
        assert warnings(d) == []
        waiting = [d.submit("tally", {"n": 1}) for _ in range(3)]
        subject, message = await_warning(d, "pool_stuck", 90)
        assert subject == "tally"
        said = re.fullmatch(r"pool tally gets nothing done: 3 jobs wait, and none has ended for "
                            r"(?:(\d+)min )?(\d+)s.*; worker tally\.0 has been at job (\S+) "
                            r"\((\w+)\) for .*s.*", message)
        assert said and said[3] == id and said[4] == "tally", message
        assert int(said[1] or 0) * 60 + int(said[2]) >= 30, message
        check_shown(d, "pool tally gets nothing done")
        open_gate(d)
        for one in waiting:
            assert d.wait(one)["state"] == "succeeded"
        assert warnings(d) == []


def test_a_handler_that_rests():
    """handler_resting: which one; and gone when one of its jobs is well."""
    with durable(breaker_deaths=2, poison_deaths=1, spare_workers=2) as d:
        for _ in range(2):
            assert d.run("tally", {"n": 1, "crash": 9})["state"] == "quarantined"
        subject, message = await_warning(d, "handler_resting")
        assert subject == "tally" and message == \
            "handler tally is given a rest: its jobs kill their workers"
        check_shown(d, message)
        got = figures(text_of(d))
        assert figure(got, "brood_handler_resting", pool="tally", handler="tally") == 1
        assert figure(got, "brood_handler_resting", pool="tally", handler="score") == 0
        assert d.run("tally", {"n": 1})["state"] == "succeeded"  # when its rest is over
        await_none(d)
        assert figure(figures(text_of(d)), "brood_handler_resting", pool="tally",
                      handler="tally") == 0


def test_a_store_that_fails():
    """store_fails: with the error of the disk; gone when it has recovered."""
    with failing_disk() as (d, faults):
        jobs = Submits(d, 3000)
        assert jobs.submit() and warnings(d) == []
        faults.begin("pwrite64 ENOSPC wal")
        assert not jobs.submit()
        subject, message = await_warning(d, "store_fails")
        assert subject is None and message.startswith("the store fails, and durable jobs are "
                                                      "refused: "), message
        assert "disk" in message and "full" in message, message
        check_shown(d, message)
        got = figures(text_of(d))
        assert figure(got, "brood_store_failing") == 1
        assert figure(got, "brood_store_failures_total") >= 1
        assert figure(got, "brood_refusals_total", reason="store_failed") >= 1
        faults.end()
        until(jobs.submit, "it is taken again", 30)
        await_none(d)
        assert figure(figures(text_of(d)), "brood_store_failing") == 0


def test_a_disk_with_little_room():
    """disk_low: the directory, and how much is left of how much."""
    d = durable(start=False)
    with SmallDisk(d, b"20m") as disk:
        d.start()
        assert warnings(d) == []
        filler = d.path("state/filler")
        with open(filler, "wb") as f:
            left = os.statvfs(d.path("state"))
            f.write(b"x" * (left.f_bavail * left.f_frsize - (900 << 10)))
        subject, message = await_warning(d, "disk_low")
        assert subject == d.path("state"), subject
        assert re.fullmatch(r"the disk of %s has 0 MiB of 20 MiB left: make room, or durable jobs "
                            r"will be refused" % re.escape(subject), message), message
        check_shown(d, message)
        got = figures(text_of(d))
        assert figure(got, "brood_disk_free_bytes") < 1 << 20
        assert figure(got, "brood_disk_size_bytes") == 20 << 20
        os.unlink(filler)
        assert warnings(d) == []
        disk.grow(b"40m")


def test_a_limit_that_was_hit():
    """limit_hit: which limit, and how often; each of its own."""
    with Daemon({"diag": diag(max_queued=1)}, conf="[Queue]\nMaxQueued=5\n") as d:
        d.submit("echo", delay_usec=HOUR)
        for n in range(1, 4):
            with refused("QueueFull"):
                d.submit("echo", delay_usec=HOUR)
            subject, message = await_warning(d, "limit_hit")
            assert subject == "queue_full"
            assert re.fullmatch(r"clients are refused by the limit queue_full: %d so far, the last "
                                r".*s ago" % n, message), message
        check_shown(d, "clients are refused by the limit queue_full: 3 so far")
        with refused("NoSuchHandler"):
            d.submit("nobody")  # no limit
        assert len(warnings(d)) == 1


@limit(200)
def test_a_limit_that_was_hit_long_ago():
    """After a minute it is no news."""
    with Daemon({"diag": diag(max_queued=1)}) as d:
        d.submit("echo", delay_usec=HOUR)
        with refused("QueueFull"):
            d.submit("echo", delay_usec=HOUR)
        assert warnings(d, "limit_hit")
        until(lambda: not warnings(d), "a minute is over", 120)
        assert figure(figures(text_of(d)), "brood_refusals_total", reason="queue_full") == 1


def test_a_reload_that_was_refused():
    """reload_refused: with file, line and what is wrong; gone with the next one that is well."""
    with Daemon() as d:
        conf = d.write("config/brood.conf", "[Queue]\n\nMaxQueued=many\n")
        with refused("ConfigInvalid"):
            d.call("Reload")
        subject, message = await_warning(d, "reload_refused")
        assert subject is None and conf + ":3" in message and "MaxQueued" in message, message
        check_shown(d, "the last reload was refused, and the config before it is in force")
        assert figure(figures(text_of(d)), "brood_reload_refused") == 1
        assert d.run("echo")["state"] == "succeeded"
        d.write("config/brood.conf", "")
        d.call("Reload")
        assert warnings(d) == []
        assert figure(figures(text_of(d)), "brood_reload_refused") == 0


def test_a_run_that_lasts():
    """job_slow: the worker, the job, for how long, and the setting that it is longer than."""
    with durable(min_workers=1, slow_after="100ms") as d:
        assert d.run("tally", {"n": 1})["state"] == "succeeded" and warnings(d) == []
        id = hold(d)
        subject, message = await_warning(d, "job_slow")
        assert subject == "tally", subject
        assert re.fullmatch(r"pool tally: worker tally\.0 has been at job %s \(tally\) for .*s, "
                            r"longer than SlowAfter=100ms" % id, message), message
        check_shown(d, message.partition(" for ")[0])
        open_gate(d)
        assert d.wait(id)["state"] == "succeeded"
        assert warnings(d) == []
        got = figures(text_of(d))
        assert figure(got, "brood_slow_runs_total", pool="tally", handler="tally") == 1


def test_more_than_one():
    """All of them are shown, that of the store first, each in a line."""
    with Daemon({"diag": diag(max_queued=1), "exec": commands()}) as d:
        d.call("PausePool", pool="diag")
        d.call("PausePool", pool="exec")
        d.submit("echo")
        with refused("QueueFull"):
            d.submit("echo")
        assert [w[0] for w in warnings(d)] == ["pool_paused", "pool_paused", "limit_hit"]
        text = ctl(d, "status")
        assert len(re.findall("▲", text)) == 3 and text.count("Warnings:") == 1, text


# --- deaths ---

def test_the_last_deaths():
    """Newest first, 16 at the most, with worker, pid, cause and reason; five are printed."""
    with Daemon({"diag": diag(min_workers=1, max_attempts=1)}) as d:
        pids = []
        for n in range(18):
            job = d.run(*(("crash", {"signal": "SEGV"}) if n % 2 else ("exit", {"status": 3})))
            pids.insert(0, job["attempts"][0]["pid"])
        deaths = until(lambda: len(d.status()["deaths"]) == 16 and d.status()["deaths"], "16", 20)
        assert [x["pid"] for x in deaths] == pids[:16]
        times = [x["time_usec"] for x in deaths]
        assert times == sorted(times, reverse=True)
        for n, x in enumerate(deaths):
            assert x["worker"] == "diag.0"
            assert x["cause"] == ("exit" if n % 2 else "signal"), x
            words = "ended with status 3" if n % 2 else "was killed by SIGSEGV"
            assert x["message"] == "worker diag.0 (pid %d) %s by itself" % (x["pid"], words), x
        text = ctl(d, "status")
        assert re.search(r"^ *Deaths: 18; the last:$", text, re.M), text
        lines = re.findall(r"^ {13}(.*) ago: worker diag\.0 \(pid (\d+)\) ", text, re.M)
        assert [int(pid) for _, pid in lines] == pids[:5], text


def test_deaths_that_were_asked_for_are_none():
    """A reload, a scale and a pool's restart end workers, and nobody died."""
    with Daemon() as d:
        d.call("RestartPool", pool="diag")
        d.await_workers(20)
        d.call("ScalePool", pool="diag", min_workers=1, max_workers=1)
        until(lambda: len(d.workers()) == 1, "one", 20)
        assert d.status()["deaths"] == [] and d.pool_status()["deaths"] == 0
        assert "Deaths: 0\n" in ctl(d, "status")


# --- what broodctl prints ---

def test_the_layout():
    """The dot, the state and since when, what it has, and a table of pools with bars."""
    with durable({"diag": diag(min_workers=4)}) as d:
        ids = [d.submit("sleep", {"seconds": 600}) for _ in range(2)]
        until(lambda: d.pool_status()["busy"] == 2, "two are busy", 20)
        lines = ctl(d, "status").splitlines()
        assert re.fullmatch(r"● broodd \d\S*", lines[0]), lines
        assert re.fullmatch(r"      State: running since .* \d\d:\d\d:\d\d.*; .* ago",
                            lines[1]), lines
        heads = [line.split(":")[0].strip() for line in lines[2:] if re.match(r" +\w+: ", line)]
        assert heads == ["Socket", "Memory", "Store", "Jobs", "Deaths", "Pools"], heads
        at = [line.index(":") for line in lines[1:] if re.match(r" +\w+: ", line)]
        assert len(set(at)) == 1, lines
        assert lines[2] == "     Socket: " + d.socket_path
        head, *rows = [line for line in lines[lines.index("") + 1:] if line]
        assert head.split() == ["POOL", "STATE", "BUSY", "STARTING", "SPARE", "QUEUED", "WAITING",
                                "DONE", "DEATHS", "HANDLERS"]
        rows = {row.split()[0]: row for row in rows}
        assert "████░░░░ 2/4" in rows["diag"] and "░░░░░░░░ 0/2" in rows["tally"], rows
        plain = ctl(d, "status", env={"LC_ALL": "C"})
        assert plain.startswith("* broodd") and "####---- 2/4" in plain, plain
        assert plain.isascii() and "\x1b" not in plain
        for id in ids:
            d.call("Cancel", id=id)


def test_json():
    """--json is the reply itself."""
    with Daemon() as d:
        d.call("PausePool", pool="diag")
        reply = json.loads(ctl(d, "--json", "status"))
        asked = d.status()
        for key in "version", "state", "pools", "jobs", "warnings", "deaths", "scoreboard":
            assert reply[key] == asked[key], key


ODD = "\x1b[31mred\x07\nnew line\x9b\x7f‮rtl"


def test_what_comes_from_outside_has_no_control_characters():
    """Whatever a worker's last words, a job or a disk put into a warning or a death."""
    bad = pool("count", "count.so", min_workers=1, spare_workers=0, settings="refuse=worker")
    with Daemon({"count": bad, "diag": diag(min_workers=1)}, ready=False) as d:
        d.await_socket()
        d.write("config/brood.conf", "[Queue]\nMaxQueued=%s\n" % ODD.replace("\n", ""))
        with refused("ConfigInvalid"):
            d.call("Reload")
        with refused("NoSuchHandler"):
            d.submit(ODD)
        await_warning(d, "pool_failed", 60)
        await_warning(d, "reload_refused")
        for env in {}, {"LC_ALL": "C"}:
            text = ctl(d, "status", env=env)
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]", text), repr(text)
        d.write("config/brood.conf", "")
        d.call("Reload")

# SPDX-License-Identifier: MIT
"""broodctl bench: all that it measures is there, and of its daemons nothing is left.

No figure is asserted that depends on how fast the machine is."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile

from harness import *

CTL = build("daemon", "ctl", "broodctl")
ROWS = {"c/process": 1, "c/thread": 2, "c/async": 2, "python/process": 1, "python/thread": 2,
        "python/async": 2, "python/subinterpreter": 2}  # how many of two jobs a crash hits
QUICK = ("--seconds=0.1", "--slots=2")
EMBEDDED = os.path.exists(build("lib", "modules", "python.so"))


class Place:
    """An empty $TMPDIR, and the environment of a build tree."""

    def __init__(self, **env):
        self.directory = tempfile.mkdtemp(prefix="brood-test-")
        self.env = {**os.environ, "TMPDIR": self.directory,
                    "BROOD_DAEMON": build("daemon", "broodd"), "BROOD_LIBEXEC": libexec(),
                    "BROOD_MODULE_PATH": build("lib", "modules"),
                    "PYTHONPATH": source("lib", "python"), "BROOD_SOCKET": "/nonexistent", **env}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def made(self):
        return os.listdir(self.directory)

    def start(self, *args, **keys):
        return Helpers.process([CTL, "bench", *args], stdin=subprocess.DEVNULL, env=self.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keys)

    def run(self, *args, status=0):
        with self.start(*args) as p:
            out, err = p.communicate(timeout=slow(50))
        assert p.returncode == status, (args, p.returncode, out, err)
        self.prove_clean()
        return out, err

    def prove_clean(self):
        """Nothing is left when it has ended by itself."""
        assert self.made() == [], self.made()
        left = [command_line(p) for p in descendants(os.getpid()) if alive(p)]
        assert left == [], left

    def await_clean(self):
        """The same for when it was killed: the keeper is at it."""
        def clean():
            return not self.made() and not any(alive(p) for p in descendants(os.getpid()))
        until(clean, "nothing left", 20)

    def await_daemons(self, n):
        """Waits until so many have a socket."""
        def there():
            found = [name for name in self.made()
                     if os.path.exists(os.path.join(self.directory, name, "sock"))]
            return len(found) >= n and found
        return until(there, "%d daemons" % n, 20)


def positive(values, n):
    assert len(values) == n and all(v > 0 for v in values), values


def check_figures(model):
    for kind in ("cpu", "waiting"):
        positive(model[kind]["one_slot_per_second"], 5)
        positive(model[kind]["all_slots_per_second"], 5)
        assert model[kind]["speedup"] > 0
    positive(model["cpus_left"], 5)
    assert model["parallel_from"] == (1 + min(2, sorted(model["cpus_left"])[2])) / 2, model
    positive(model["start_usec"], 3)
    positive(model["replace_usec"], 3)
    assert isinstance(model["slot_bytes"], int)
    assert model["parallel"] in (True, False, None)
    assert model["concurrent"] is True, model
    assert model["crash_hits"] == ROWS[model["model"]], model


@limit(120)
def test_models():
    """A row for each model, with all its figures; whom a crash hits is exact, and whoever waits
    waits at the same time."""
    with Place() as place:
        out, err = place.run("models", "--json", *QUICK)
        found = json.loads(out)
        assert out.count("\n") == 1 and err == "", err
        assert found["slots"] == 2 and found["cpus"] >= 1 and found["usec_each"] == 100000
        assert found["concurrent_from"] == 1.5
        assert [m["model"] for m in found["models"]] == list(ROWS)
        for model in found["models"]:
            if model["why"] is None:
                check_figures(model)
            else:
                assert not EMBEDDED and "Module=python.so: there is no such file" in model["why"]
        measured = [m["model"] for m in found["models"] if m["why"] is None]
        assert {"c/process", "c/thread", "c/async", "python/async"} <= set(measured)


def test_more_slots():
    """With four slots three neighbours are hit, or none; and the thresholds go with the slots."""
    with Place() as place:
        out, _ = place.run("--json", "--seconds=0.05", "--slots=4", "--only=c/async,c/process")
        found = json.loads(out)
        assert found["concurrent_from"] == 2.5
        for model in found["models"]:
            assert all(0 < left <= found["cpus"] for left in model["cpus_left"]), model
        assert [(m["model"], m["crash_hits"]) for m in found["models"]] == [("c/process", 1),
                                                                            ("c/async", 4)]


def test_one_cpu():
    """What may use one CPU only says that it cannot tell what is parallel."""
    with Place() as place:
        one = {min(os.sched_getaffinity(0))}
        with place.start("--only=c/thread", *QUICK,
                         preexec_fn=lambda: os.sched_setaffinity(0, one)) as p:
            out, err = p.communicate(timeout=slow(50))
        assert p.returncode == 0, err
        assert out.splitlines()[1].split()[2:6] == ["yes", "cannot", "be", "told"], out
        assert "on 1 CPU. " in out and "takes a second CPU" in out, out
        with place.start("--only=c/thread", "--json", *QUICK,
                         preexec_fn=lambda: os.sched_setaffinity(0, one)) as p:
            found = json.loads(p.communicate(timeout=slow(50))[0])
        assert found["models"][0]["parallel"] is None
        assert found["models"][0]["parallel_from"] == 1


def test_table():
    """For people: the table, what its columns mean, and progress on a terminal alone."""
    with Place() as place:
        out, err = place.run("--only=c/process,c/thread", *QUICK)
        lines = out.splitlines()
        assert lines[0].split() == ["MODEL", "CONCURRENT", "PARALLEL", "WAITING", "CPU", "START",
                                    "REPLACED", "SLOT", "CRASH"], lines
        assert lines[1].startswith("C process ") and lines[1].endswith(" 1 of 2"), lines
        assert lines[2].startswith("C thread ") and lines[2].endswith(" 2 of 2"), lines
        for line in lines[1:3]:
            cells = re.split("  +", line)
            assert len(cells) == 9 and cells[1] == "yes", cells
            assert cells[2] in ("yes", "no", "cannot be told"), cells
        assert "\nWAITING and CPU: how many times as fast 2 slots are as one" in out
        assert "CONCURRENT from 1.50 on" in out and err == "", err
        with open(source("docs", "models.md"), encoding="utf-8") as f:  # shows one as it is printed
            shown = f.read().split("## Measured", 1)[1]
        assert [line.split() for line in shown.splitlines() if "CONCURRENT  " in line] == \
            [lines[0].split()]
        for words in ("WAITING and CPU: ", "START: ", "REPLACED: ", "SLOT: ", "CRASH: "):
            assert words in shown and words in out, words
        ours, theirs = pty.openpty()
        with Helpers.process([CTL, "bench", "--only=c/thread", *QUICK], env=place.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=theirs) as p:
            os.close(theirs)
            heard = b""
            with contextlib.suppress(OSError):  # the other side is closed
                while select.select([ours], [], [], slow(20))[0]:
                    heard += os.read(ours, 4096)
            assert p.wait(slow(20)) == 0
        os.close(ours)
        assert b"C thread: " in heard and heard.endswith(b"\r\x1b[K"), heard
        place.prove_clean()


def test_a_model_that_cannot_be_had():
    """It has its row, and below the table stand the daemon's own words; none at all is a
    failure."""
    with Place() as place:
        modules = os.path.join(place.directory, "modules")
        os.mkdir(modules)
        place.env["BROOD_MODULE_PATH"] = modules
        place.prove_clean = lambda: None
        out, err = place.run("--only=c/thread", *QUICK, status=1)
        assert out.splitlines()[1].split() == ["C", "thread", *["-"] * 8], out
        words = "config/pools/bench.pool:2: Module=diag.so: there is no such file in " + modules
        assert err.startswith("broodctl: bench: c/thread could not be measured: " + words), err
        out, _ = place.run("--only=c/thread,python/async", "--json", *QUICK)
        found = json.loads(out)["models"]
        assert set(found[0]) == {"model", "why"} and found[0]["why"].startswith(words), found
        assert found[1]["why"] is None
        place.env["PYTHONPATH"] = "/nonexistent"
        out, _ = place.run("--only=python/async", "--json", *QUICK, status=1)
        why = json.loads(out)["models"][0]["why"]
        assert "bench.0" in why and "status 1" in why, why
        if EMBEDDED:
            place.env["BROOD_MODULE_PATH"] = build("lib", "modules")
            out, _ = place.run("--only=python/thread", "--json", *QUICK, status=1)
            why = json.loads(out)["models"][0]["why"]
            assert why.startswith("config/pools/bench.pool:") and "No module named 'brood'" in why
        assert place.made() == ["modules"], place.made()


def test_without_a_daemon():
    """No broodd, or one that is none, is said, with where it was looked for."""
    with Place(BROOD_DAEMON="/nonexistent/broodd") as place:
        for what in ("models", "throughput", "latency"):
            out, err = place.run(what, status=1)
            assert out == "" and err == ("broodctl: bench: there is no broodd at /nonexistent/"
                                         "broodd (BROOD_DAEMON= says where it is)\n"), err
        place.env["BROOD_DAEMON"] = "/bin/true"
        _, err = place.run("--only=c/thread", status=1)
        assert "c/thread could not be measured: the daemon has ended" in err, err
        place.env.update(BROOD_DAEMON=build("daemon", "broodd"), TMPDIR="/nonexistent")
        _, err = place.run("latency", status=1)
        assert err == ("broodctl: bench: cannot make a directory in /nonexistent: No such file or "
                       "directory\n"), err
        place.env["TMPDIR"] = "/tmp/" + "x" * 100
        _, err = place.run("latency", status=1)
        assert "File name too long" in err, err


def test_wrong_options():
    """Each mistake is said, with what would be right."""
    with Place() as place:
        for args, words in (
                (["speed"], "'speed' is not one of: models, throughput, latency"),
                (["--only=c/proces"], "--only: 'c/proces' is not one of: c/process, c/thread, "),
                (["--only=c/async,,"], "--only: '' is not one of: "),
                (["--slots=1"], "--slots: '1' is not a whole number from 2 to 128"),
                (["--slots=129"], "--slots: '129' is not a whole number from 2 to 128"),
                (["--seconds=0"], "--seconds: '0' is not from 0.01 to 60"),
                (["--seconds=61"], "--seconds: '61' is not from 0.01 to 60"),
                (["--seconds=x"], "--seconds: 'x' is not a time span"),
                (["latency", "--only=c/async"], "--only is for models"),
                (["--directory=/tmp"], "--directory is for throughput and latency"),
                (["models", "models"], "there are too many arguments"),
                (["--force"], "there is no option --force here")):
            out, err = place.run(*args, status=2)
            assert out == "" and words in err, (args, err)


def killed_by(number):
    with Place() as place:
        with place.start("--only=c/thread", "--seconds=20") as p:
            daemons = place.await_daemons(2)
            assert len(daemons) == 2
            p.send_signal(number)
            assert p.wait(slow(10)) == -number
            place.await_clean()


def test_terminated():
    """SIGTERM ends it; daemons and directories go, too."""
    killed_by(signal.SIGTERM)


def test_interrupted():
    """So does Ctrl-C."""
    killed_by(signal.SIGINT)


def test_killed():
    """And SIGKILL, of which it hears nothing."""
    killed_by(signal.SIGKILL)


def test_its_daemon_is_killed():
    """It says so, and leaves nothing behind."""
    with Place() as place:
        with place.start("--only=c/thread", "--seconds=20") as p:
            place.await_daemons(2)
            daemon = until(lambda: next((d for d in descendants(p.pid)
                                         if command_line(d).startswith("broodd ")), None),
                           "a daemon")
            os.kill(daemon, signal.SIGKILL)
            out, err = p.communicate(timeout=slow(30))
        assert p.returncode == 1 and "c/thread could not be measured: " in err, (out, err)
        place.prove_clean()


def test_its_keeper_is_killed():
    """Then its daemon goes with it, and broodctl removes what it had made."""
    with Place() as place:
        with place.start("--only=c/thread", "--seconds=20") as p:
            place.await_daemons(2)
            keeper = children(p.pid)[0]
            below = descendants(keeper)
            os.kill(keeper, signal.SIGKILL)
            wait_gone(below)
            out, err = p.communicate(timeout=slow(30))
        assert p.returncode == 1 and "c/thread could not be measured: " in err, (out, err)
        place.await_clean()


def test_burn():
    """What calculates does as much as it is told, each time the same, and refuses other things."""
    python = pool("burn_async", command="/usr/bin/python3 -m brood.worker brood.worker.models",
                  process="Environment=PYTHONPATH=" + source("lib", "python"))
    with Daemon({"c": pool("burn"), "python": python}) as d:
        for name in ("burn", "burn_async"):
            first = d.run(name, {"rounds": 1000})["result"]
            assert set(first) == {"value"} and d.run(name, {"rounds": 1000})["result"] == first
            assert d.run(name, {"rounds": 1001})["result"] != first
            wrong = d.run(name, {"round": 1000})
            assert wrong["state"] == "failed" and len(wrong["attempts"]) == 1, wrong


def test_throughput():
    """Jobs per second, for one connection and for eight, in memory and on the disk; and where."""
    with Place() as place:
        out, _ = place.run("throughput", "--json", *QUICK)
        found = json.loads(out)
        assert found["workers"] == 2 and found["directory"] == place.directory
        assert found["filesystem"] not in ("", "unknown")
        assert [(t["connections"], t["in_flight"]) for t in found["throughput"]] == [(1, 64),
                                                                                     (8, 64)]
        for rates in found["throughput"]:
            assert rates["memory_per_second"] > 0 and rates["fsync_per_second"] > 0
        out, err = place.run("throughput", *QUICK)
        assert out.splitlines()[0].split() == ["CONNECTIONS", "IN", "FLIGHT", "MEMORY", "FSYNC"]
        assert "2 workers; the store is on " in out and err == "", (out, err)


def test_latency():
    """Quantiles in order, of as many jobs as there were; --directory says where the store is, and
    is as it was afterwards."""
    with Place() as place, Place() as other:
        out, _ = place.run("latency", "--json", "--directory=" + other.directory, *QUICK)
        found = json.loads(out)
        assert found["directory"] == other.directory and other.made() == []
        assert [t["durability"] for t in found["latency"]] == ["memory", "fsync"]
        for times in found["latency"]:
            assert times["jobs"] > 0
            assert 0 < times["p50_usec"] <= times["p99_usec"] <= times["max_usec"], times
        out, _ = place.run("latency", *QUICK)
        assert out.splitlines()[0].split() == ["DURABILITY", "JOBS", "P50", "P99", "MAX"]
        _, err = place.run("latency", "--directory=/nonexistent", *QUICK, status=1)
        assert "cannot make a directory in /nonexistent: No such file or directory" in err, err

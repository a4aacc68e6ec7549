# SPDX-License-Identifier: MIT
"""Somebody who never saw brood is told "the thumbnails do not come", and finds out why.

All that he has is `broodctl status`, `broodctl why ID` and `broodctl inspect WORKER`, and the id
that the submit of one of his jobs has printed. What is at fault has to stand in what they print:
that is what is looked for here, and each is answered within a minute.
"""

import os
import re
import signal
import subprocess

from durable import *
from metrics import CTL, ctl
from test_durability_disk import SmallDisk, Submits, failing_disk

MINUTE = 60


class Operator:
    """What he types, and all that he has read."""

    def __init__(self, d):
        self.d, self.read = d, ""

    def types(self, *words, status=0):
        out = ctl(self.d, *words, status=status)
        self.read += out
        return out

    def looks(self, *ids):
        """Once round: the daemon, his jobs, and the workers that are named there."""
        self.types("status")
        for id in ids:
            self.types("why", id)
        for worker in sorted(set(re.findall(r"worker (\w+\.\d+) (?:has been|\(pid)", self.read))):
            self.types("inspect", worker, status=None)  # it may be dead

    def finds(self, *patterns, ids=(), seconds=MINUTE - 15):
        """Looks again and again until all of it has been read."""
        def read():
            self.read = ""
            self.looks(*ids)
            return all(re.search(p, self.read) for p in patterns)
        try:
            until(read, "he finds it", seconds)
        except AssertionError:
            missing = [p for p in patterns if not re.search(p, self.read)]
            raise AssertionError("not found: %s in\n%s" % (missing, self.read)) from None


def thumbnails(**keys):
    """A pool `thumbnails`, and others that are well."""
    given = {"min_workers": 2, "spare_workers": 0, "backoff": "10ms", "kill_after": "200ms"}
    given.update(keys)
    return {"thumbnails": pool(**given), "mail": pool("mood", "moods.so", min_workers=1)}


def await_queued(d, id):
    until(lambda: d.get(id)["state"] in ("queued", "scheduled", "blocked"), "it waits", 20)


# --- a pool whose module crashes ---

@limit(120)
def test_the_jobs_crash_their_workers():
    """The handler, the signal, the pool, and that it has a rest."""
    with Daemon(thumbnails(handlers="crash", module="diag.so", breaker_deaths=3, poison_deaths=0,
                           max_attempts=3)) as d:
        ids = [d.submit("crash") for _ in range(8)]
        until(lambda: any(w["kind"] == "handler_resting" for w in d.status()["warnings"]),
              "it rests", 30)
        waiting = next(id for id in ids if d.get(id)["state"] == "queued")
        Operator(d).finds(
            r"▲ handler crash .*its jobs kill their workers",
            r"ago: worker thumbnails\.\d \(pid \d+\) was killed by SIGSEGV by itself",
            r"handler 'crash' has a rest: \d+ jobs in a row killed their workers",
            r"thumbnails +running .* [1-9]\d* +crash\n", ids=[waiting])
        for id in ids:
            if d.get(id)["state"] in ("queued", "scheduled", "running"):
                d.call("Cancel", id=id)
        await_ends(d, ids)


def await_ends(d, ids):
    for id in ids:
        d.wait(id, 60)


@limit(120)
def test_one_job_crashes_its_workers():
    """Others are well, this one is quarantined: by which signal, and that it will not be tried."""
    with Daemon(thumbnails(handlers="crash echo", module="diag.so", max_attempts=9)) as d:
        id = d.submit("crash", {"signal": "ABRT"})
        d.wait(id, 60)
        Operator(d).finds(r"killed by SIGABRT", r"quarantined", "it has killed too many workers",
                          r"worker thumbnails\.\d", ids=[id])


@limit(120)
def test_the_module_can_not_start():
    """The pool, that its workers can not start, and what the module has said of it."""
    bad = {"thumbnails": pool("count", "count.so", min_workers=1, spare_workers=0,
                              settings="refuse=worker"),
           "mail": pool("mood", "moods.so", min_workers=1)}
    with Daemon(bad, ready=False) as d:
        d.await_socket()
        id = d.submit("count", {"directory": d.directory, "seconds": 0})
        Operator(d).finds(
            r"▲ pool thumbnails: its workers can not start: .*module count: worker_init refused",
            r"thumbnails +failed ",
            r"queued: the workers of pool 'thumbnails' do not start: .*worker_init refused",
            ids=[id])


@limit(120)
def test_the_module_is_gone():
    """Somebody has broken the file: which one."""
    with Daemon({}, start=False) as d:
        module = d.path("thumbnails.so")
        with open(build("lib", "modules", "diag.so"), "rb") as f, open(module, "wb") as to:
            to.write(f.read())
        d.write_pool("thumbnails", diag(module=module, min_workers=1))
        d.start()
        os.unlink(module)
        d.write("thumbnails.so", "half an upgrade")
        os.kill(d.fork_servers()[0], signal.SIGKILL)
        until(lambda: not d.workers(), "its worker is gone, too", 20)
        id = d.submit("echo")
        Operator(d).finds(r"▲ pool thumbnails: its workers can not start: .*" + re.escape(module),
                          r"pool 'thumbnails' do not start: .*" + re.escape(module), ids=[id])


# --- a paused pool ---

def test_a_paused_pool():
    """Which pool is paused, in the list of pools, in a warning and for the job."""
    with Daemon(thumbnails(handlers="echo", module="diag.so")) as d:
        d.call("PausePool", pool="thumbnails")
        id = d.submit("echo")
        Operator(d).finds(r"▲ pool thumbnails is paused", r"thumbnails +paused ", r"mail +running ",
                          r"queued: pool 'thumbnails' is paused", ids=[id])


def test_a_daemon_that_drains():
    """Nobody has resumed it."""
    with Daemon(thumbnails(handlers="echo", module="diag.so")) as d:
        d.call("PausePool", pool="thumbnails")
        id = d.submit("echo")
        d.call("Drain")
        d.call("ResumePool", pool="thumbnails")
        Operator(d).finds(r"State: draining", r"queued: the daemon is draining: no job begins",
                          ids=[id])
        d.call("Resume")
        d.wait(id)


# --- a full disk ---

def test_a_full_disk():
    """Which directory, that it is full, and that durable jobs are refused for it."""
    d = durable(start=False)
    with SmallDisk(d, b"2m"):
        d.start()
        d.call("PausePool", pool="tally")
        jobs = Submits(d, 4000)
        while jobs.submit() and len(jobs.kept) < 2000:
            pass
        assert jobs.refused
        operator = Operator(d)
        large = '{"n": 1, "pad": "%s"}' % ("x" * 4000)
        said = operator.types("submit", "tally", large, status=None)
        assert not said.strip(), said
        operator.finds(r"▲ the store fails, and durable jobs are refused: .*full",
                       r"▲ the disk of %s has 0 MiB of 2 MiB left: make room"
                       % re.escape(d.path("state")), r"State: running \(with warnings\)")
        d.call("ResumePool", pool="tally")


def test_a_disk_that_fails():
    """The same where the file system has room, but its writes fail."""
    with failing_disk() as (d, faults):
        d.call("PausePool", pool="tally")
        id = d.submit("tally", {"n": 1})
        faults.begin("pwrite64 EIO wal")
        assert not Submits(d, 3000).submit()
        d.call("ResumePool", pool="tally")
        Operator(d).finds(r"▲ the store fails, and durable jobs are refused: .*(I/O|disk)",
                          ids=[id])
        faults.end()
        assert d.wait(id, 60)["state"] == "succeeded"


# --- a stuck dependency ---

def test_a_job_that_waits_for_one_that_does_not_end():
    """Two steps away: which job it is, on which worker, and for how long it has run."""
    with durable(min_workers=2) as d:
        culprit = hold(d)
        between = d.submit("tally", {"n": 1}, after=[culprit])
        id = d.submit("tally", {"n": 1}, after=[between])
        worker = d.worker_of(culprit)
        operator = Operator(d)
        operator.finds(r"blocked: waits for job %s" % between,
                       r"the last of that chain is job %s, which is running" % culprit,
                       r"runs on worker %s \(pid %d\), for " % (worker["name"], worker["pid"]),
                       r"Jobs: .*2 blocked", r"Job: %s tally, attempt 1" % culprit, ids=[id])
        operator.types("cancel", culprit)
        assert d.wait(id, 60)["state"] == "cancelled"


def test_a_job_that_waits_for_one_that_is_paused():
    """The last of the chain waits itself: for what."""
    with Daemon({**thumbnails(handlers="echo", module="diag.so")}) as d:
        d.call("PausePool", pool="mail")
        culprit = d.submit("mood")
        id = d.submit("echo", after=[culprit])
        Operator(d).finds(r"blocked: waits for job %s" % culprit, r"▲ pool mail is paused",
                          ids=[id])
        d.call("ResumePool", pool="mail")
        assert d.wait(id, 60)["state"] == "succeeded"


def test_a_semaphore_that_is_held():
    """Which semaphore, how many hold it, and the job that does, with its worker."""
    with durable(conf="[Semaphores]\ncamera=1\n", min_workers=2) as d:
        culprit = hold(d, semaphores=["camera"])
        id = d.submit("tally", {"n": 1}, semaphores=["camera"])
        worker = d.worker_of(culprit)["name"]
        Operator(d).finds(r"blocked: waits for semaphore 'camera': 1 of 1 are held",
                          r"worker %s has been at job %s \(tally\) for" % (worker, culprit),
                          ids=[id])
        open_gate(d)
        assert d.wait(id, 60)["state"] == "succeeded"


def test_a_semaphore_that_is_gone():
    """A reload has taken it away."""
    with durable(conf="[Semaphores]\ncamera=1\n", min_workers=2) as d:
        hold(d, semaphores=["camera"])
        id = d.submit("tally", {"n": 1}, semaphores=["camera"])
        d.write("config/brood.conf", "")
        d.call("Reload")
        open_gate(d)
        Operator(d).finds(r"waits for semaphore 'camera', which the config does not have", ids=[id])
        d.write("config/brood.conf", "[Semaphores]\ncamera=1\n")
        d.call("Reload")
        assert d.wait(id, 60)["state"] == "succeeded"


# --- a slow handler ---

def test_a_slow_handler():
    """All workers are at work: at which job, of which handler, for how long; how many wait."""
    with durable(min_workers=2) as d:
        slow_ones = [hold(d), hold(d)]
        ids = [d.submit("tally", {"n": 1}) for _ in range(5)]
        operator = Operator(d)
        operator.finds(r"queued: all 2 workers of pool 'tally' are busy",
                       r"worker tally\.\d has been at job (%s) \(tally\) for "
                       % "|".join(slow_ones),
                       r"4 jobs are ahead of it", r"tally +running +████████ 2/2 +0 +0 +5 ",
                       r"Jobs: 5 queued, 2 running",
                       r"Job: (%s) tally, attempt 1" % "|".join(slow_ones), ids=[ids[-1]])
        open_gate(d)
        for id in ids:
            assert d.wait(id, 60)["state"] == "succeeded"


@limit(120)
def test_a_handler_that_hangs():
    """After half a minute in which nothing ended, status says it by itself, with the job."""
    with durable(min_workers=1) as d:
        culprit = hold(d)
        d.submit("tally", {"n": 1})
        Operator(d).finds(r"▲ pool tally gets nothing done: 1 job waits, and none has ended for "
                          r"[345]\ds.*; worker tally\.0 has been at job %s \(tally\)" % culprit)
        open_gate(d)


# --- nobody is there, and nobody asks ---

def test_nobody_serves_it():
    """The pool was taken out of the config."""
    with durable({"diag": diag()}) as d:
        d.call("PausePool", pool="tally")
        id = d.submit("tally", {"n": 1})
        os.unlink(d.path("config/pools/tally.pool"))
        d.call("Reload")
        Operator(d).finds(r"no pool of the config serves handler 'tally'", ids=[id])


def test_a_limit_refuses_them():
    """The submitter has no id at all: status says that clients are refused, by which limit."""
    with Daemon(thumbnails(handlers="echo", module="diag.so", max_queued=1)) as d:
        d.submit("echo", delay_usec=HOUR)
        operator = Operator(d)
        operator.types("submit", "echo", status=4)
        operator.finds(r"▲ clients are refused by the limit queue_full: 1 so far")


def test_the_daemon_is_stopped():
    """Nothing answers: broodctl workers says it, without waiting."""
    with durable() as d:
        id = hold(d)
        d.signal(signal.SIGSTOP)
        try:
            done = subprocess.run([CTL, "--socket=" + d.socket_path, "workers"], text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                  timeout=slow(30))
        finally:
            d.signal(signal.SIGCONT)
        assert "does not answer: it is stopped" in done.stderr and id in done.stdout, done
        open_gate(d)

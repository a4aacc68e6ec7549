# SPDX-License-Identifier: MIT
"""RecycleJobs=, RecycleMemory=, RecycleAge=: workers are replaced, successor first."""

import os
import re
import signal
import threading

from harness import Daemon, diag, until
from test_watch import Watcher


def recycled(d):
    return d.pool_status()["recycled"]


def steady(**keys):
    given = {"recycle_jitter": "0%"}
    given.update(keys)
    return {"diag": diag(**given)}


class Census:
    """Looks all the time how many workers are ready."""

    def __init__(self, d):
        self.d, self.least, self.over = d, 99, False

    def look(self):
        with self.d.connect() as c:
            while not self.over:
                p = c.call("Status")["pools"][0]
                self.least = min(self.least, p["idle"] + p["busy"])

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()


def test_jobs():
    """After so many jobs a worker is replaced: no death, and never fewer that are ready."""
    with Daemon(steady(recycle_jobs=10)) as d:
        first = set(d.pids())
        with Census(d) as census:
            for _ in range(50):
                pair = [d.submit("sleep", {"seconds": 0.005}, durability="memory")
                        for _ in range(2)]
                for job in map(d.wait, pair):
                    assert (job["state"], len(job["attempts"])) == ("succeeded", 1), job
            until(lambda: recycled(d) >= 4, "four replaced")
            until(lambda: not first & set(d.pids()), "none of the first is left")
        until(lambda: d.pool_status()["workers"] == 2, "two")
        assert d.pool_status()["deaths"] == 0
        assert census.least >= 2, census.least


def test_the_obituary_and_watchers_say_why():
    """The log line and Watch: recycled, after how many jobs; it says so before, too."""
    with Daemon(steady(min_workers=1, recycle_jobs=3)) as d:
        watcher = Watcher(d, kinds=["worker"])
        for _ in range(3):
            d.run("echo")
        d.wait_log(r"worker=diag.0 pid=\d+ gen=1 is to be replaced: RecycleJobs=3: it has done 3")
        d.wait_log(r"worker=diag.0 pid=\d+ gen=1 died: .* ended with status 0 after it was "
                   r"recycled \(RecycleJobs=3: it has done \d jobs\); state=idle")
        reason = watcher.read_until(lambda c: c["state"] == "dead")["reason"]
        assert "after it was recycled (RecycleJobs=3" in reason, reason
        assert d.workers()[0]["generation"] == 2


def test_a_spare_takes_over():
    """Where there is a spare it is the successor, and another spare is made."""
    with Daemon(steady(min_workers=1, spare_workers=1, recycle_jobs=2)) as d:
        spare = until(lambda: [w for w in d.workers() if w["state"] == "spare"], "a spare")[0]
        d.run("echo")
        d.run("echo")
        until(lambda: recycled(d) == 1, "one replaced")
        assert d.run("echo")["attempts"][0]["pid"] == spare["pid"]
        until(lambda: d.pool_status()["spare"] == 1, "a spare again")


def test_it_finishes_what_runs():
    """A worker whose age is up has a job: that goes on to its end, and new ones elsewhere."""
    with Daemon(steady(min_workers=1, recycle_age="200ms")) as d:
        held = d.submit("sleep", {"seconds": 0.6})
        pid = d.worker_of(held)["pid"]
        until(lambda: any(w["generation"] > 1 and w["state"] == "idle" for w in d.workers()),
              "the successor")
        assert any(w["pid"] == pid and w["state"] == "leaving" for w in d.workers())
        assert d.run("echo")["attempts"][0]["pid"] != pid
        job = d.wait(held)
        assert job["state"] == "succeeded" and job["attempts"][0]["pid"] == pid
        until(lambda: pid not in d.pids(), "the old one is gone")
        d.wait_log(r"after it was recycled \(RecycleAge=200ms\)")
        assert d.pool_status()["deaths"] == 0


def test_memory():
    """One whose own memory has grown is replaced; the others are not."""
    with Daemon(steady(recycle_memory="64M")) as d:
        job = d.run("leak", {"bytes": 100 << 20})
        pid = job["attempts"][0]["pid"]
        until(lambda: pid not in d.pids(), "it was replaced")
        assert recycled(d) == 1
        d.wait_log(r"pid=%d .*recycled \(RecycleMemory=: it has \d+ KiB of its own\)" % pid)


def test_memory_of_a_job_that_ends_soon_after_a_look():
    """The second job within a second is seen, too, though none follows."""
    with Daemon(steady(min_workers=1, recycle_memory="64M")) as d:
        d.run("echo")
        pid = d.run("leak", {"bytes": 100 << 20})["attempts"][0]["pid"]
        until(lambda: pid not in d.pids(), "it was replaced")


def test_one_at_a_time():
    """All are due at the same time; one successor is made after the other."""
    with Daemon(steady(min_workers=4, recycle_age="300ms")) as d:
        until(lambda: recycled(d) >= 4, "four replaced")
        lines = [line for line in d.log().splitlines() if line.startswith("<6>worker=")
                 and (" is to be replaced" in line or "after it was recycled" in line)]
        open_ones = most = 0
        for line in lines:
            open_ones += 1 if " is to be replaced" in line else -1
            most = max(most, open_ones)
        assert most == 1, lines


def test_jitter():
    """With jitter they do not have the same limits."""
    with Daemon({"diag": diag(min_workers=1, recycle_jobs=1000, recycle_jitter="90%")}) as d:
        for _ in range(15):
            d.call("SubmitMany", jobs=[{"handler": "echo", "durability": "memory"}] * 400)
        until(lambda: d.status()["jobs"]["succeeded"] == 6000, "all done")
        until(lambda: recycled(d) >= 3, "three replaced")
        done = {int(n) for n in re.findall(r"is to be replaced: .* done (\d+) jobs", d.log())}
        assert len(done) > 1 and min(done) < 1000, done


def test_with_a_job_that_kills():
    """A death is a death, with recycling, too."""
    with Daemon(steady(min_workers=1, recycle_jobs=1)) as d:
        job = d.run("crash", {}, max_attempts=1)
        assert job["attempts"][0]["outcome"] == "worker_died"
        assert d.pool_status()["deaths"] == 1


def test_every_scaling():
    """dynamic and ondemand pools replace theirs, too, and come to rest."""
    for keys in ({"scaling": "dynamic", "min_workers": 1, "max_workers": 3},
                 {"scaling": "ondemand", "max_workers": 3}):
        with Daemon(steady(recycle_jobs=2, idle_timeout="200ms", **keys), ready=False) as d:
            d.await_socket()
            for i in range(20):
                assert d.run("echo", {"i": i})["result"] == {"i": i}
            assert recycled(d) >= 2
            rest = 1 if "min_workers" in keys else 0
            until(lambda: d.pool_status()["workers"] == rest, "at rest")
            assert d.pool_status()["deaths"] == 0


def test_the_old_one_stays_while_no_successor_is_ready():
    """A successor that does not come costs nobody his worker."""
    with Daemon(steady(min_workers=1, recycle_jobs=1)) as d:
        pid, forker = d.pids()[0], d.fork_servers()[0]
        os.kill(forker, signal.SIGSTOP)
        for _ in range(20):
            assert d.run("echo")["attempts"][0]["pid"] == pid
        os.kill(forker, signal.SIGCONT)
        until(lambda: pid not in d.pids(), "it was replaced")
        assert d.pool_status()["deaths"] == 0


def test_a_reload_changes_the_limits():
    """Workers that are there take the new ones."""
    with Daemon(steady(min_workers=1)) as d:
        for _ in range(5):
            d.run("echo")
        assert recycled(d) == 0
        d.write_pool("diag", steady(min_workers=1, recycle_jobs=6)["diag"])
        d.call("Reload")
        d.run("echo")
        until(lambda: recycled(d) == 1, "replaced")

# SPDX-License-Identifier: MIT
"""tests/torture/torture: a short run of it, and the proof that its judge can say no."""

import subprocess
import sys

from durable import *
from judge import judge


@alone
@limit(180)
def test_a_short_torture():
    """Workers, fork servers and the supervisor are killed under load for 15 seconds: what was
    acknowledged has ended, and nothing was executed that is not recorded."""
    with Helpers.process(
            [sys.executable, source("tests", "torture", "torture"), "--seconds=15",
             "--bin=" + build()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True) as process:
        said, _ = process.communicate(timeout=slow(150))
        assert process.returncode == 0, "\n" + said
        assert "killed: " in said and "ok (seed" in said, said


def record(id="a", **more):
    made = {"id": id, "handler": "tally", "n": 3, "fail": 0, "swell": 0, "max_attempts": 2,
            "keep": None, "key": None, "after": [], "semaphores": [], "ttl": None, "known_as": id,
            "cancels": 0, "retries": 0, "leads": False, "seen": None}
    made.update(more)
    return made


def attempt(number, outcome="succeeded", started=100, ended=200):
    return {"number": number, "outcome": outcome, "started_usec": started, "ended_usec": ended}


def job(state="succeeded", attempts=None, result=None, **more):
    attempts = [attempt(1)] if attempts is None else attempts
    result = {"square": 9, "attempt": len(attempts)} if result is None else result
    return {"state": state, "attempts": attempts, "result": result, "submitted_usec": 50,
            "ended_usec": 250, **more}


class Lines(Tallies):
    """Tallies from text instead of files."""

    def __init__(self, text):
        self.begins, self.ends, self.executions = {}, {}, 0
        self.read(text.split(";"))


ONCE = "b a 1 110;e a 1 150"
DIED = attempt(1, "supervisor_died")

CASES = [  # what is wrong, records, jobs, lines
    (None, [record()], {"a": job()}, ONCE),
    ("is gone", [record()], {}, ONCE),
    ("has not ended", [record()], {"a": job("queued", [])}, "b b 1 1"),
    ("has not ended", [record()], {"a": job("running", [{"number": 1, "started_usec": 1}])}, ONCE),
    ("result is wrong", [record()], {"a": job(result={"square": 8, "attempt": 1})}, ONCE),
    ("not begun", [record()], {"a": job()}, "b a 2 1"),
    ("not ended by", [record()], {"a": job()}, "b a 1 1"),
    ("last attempt says", [record()], {"a": job(attempts=[DIED])}, ONCE),
    ("executed more than once", [record()], {"a": job()}, ONCE + ";b a 1 120"),
    ("are not recorded", [record()], {"a": job()}, ONCE + ";b a 2 160"),
    ("2 executions, but 1", [record()], {"a": job()}, ONCE + ";b a 2 160"),
    ("where 1 are allowed", [record(max_attempts=1)],
     {"a": job(attempts=[DIED, attempt(2)])}, "b a 1 1;b a 2 120;e a 2 130"),
    (None, [record(max_attempts=1)],  # what was never looked at costs nothing
     {"a": job(attempts=[attempt(1, "worker_died"), attempt(2)])}, "b a 2 120;e a 2 130"),
    ("where 1 are allowed", [record(max_attempts=1)],
     {"a": job("failed", [DIED, attempt(2, "error")])}, "b a 2 120"),
    (None, [record()], {"a": job("failed", [DIED, attempt(2, "error")])}, "b a 2 120"),
    ("failed after 1", [record()], {"a": job("failed", [DIED])}, "b a 1 120"),
    ("by nobody", [record()], {"a": job("cancelled", [])}, "b b 1 1"),
    (None, [record(cancels=1)], {"a": job("cancelled", [])}, "b b 1 1"),
    ("expired", [record()], {"a": job("expired", [])}, "b b 1 1"),
    ("quarantined", [record()], {"a": job("quarantined", [])}, "b b 1 1"),
    ("numbers of its attempts", [record()], {"a": job(attempts=[attempt(2)])}, ONCE),
    ("no outcome", [record()], {"a": job(attempts=[attempt(1, None)])}, ONCE),
    ("its client was told", [record(seen={"state": "failed", "attempts": 1})], {"a": job()}, ONCE),
    ("is there as well", [record(known_as="b", key="k")], {"a": job()}, ONCE),
    ("submitted by nobody", [record()], {"a": job()}, ONCE + ";b c 1 1"),
    ("open at the same time", [record(key="k"), record("b", key="k")],
     {"a": job(), "b": job(submitted_usec=200)}, ONCE + ";b b 1 210;e b 1 220"),
    (None, [record(key="k"), record("b", key="k")],
     {"a": job(), "b": job(submitted_usec=250)}, ONCE + ";b b 1 260;e b 1 270"),
    ("executed before", [record(), record("b", after=["a"])],
     {"a": job(), "b": job()}, ONCE + ";b b 1 140;e b 1 170"),
    (None, [record(), record("b", after=["a"])],
     {"a": job(), "b": job()}, ONCE + ";b b 1 160;e b 1 170"),
    ("had to succeed first", [record(max_attempts=1), record("b", after=["a"])],
     {"a": job("failed", [DIED]), "b": job()}, "b a 1 1;b b 1 160;e b 1 170"),
    ("was held 2 times", [record(semaphores=["narrow"]), record("b", semaphores=["narrow"])],
     {"a": job(), "b": job()}, ONCE + ";b b 1 140;e b 1 170"),
]


def test_the_judge_can_say_no():
    """Each thing that must not be is found, and nothing else is."""
    for expected, records, jobs, lines in CASES:
        lines = Lines(lines)
        for stranger in set(lines.begins) - {r["id"] for r in records} - {"c"}:
            del lines.begins[stranger]
        wrong = judge(records, jobs, lines, {"narrow": 1})
        if expected is None:
            assert not wrong, wrong
        else:
            assert any(expected in words for words in wrong), (expected, wrong)

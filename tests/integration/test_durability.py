# SPDX-License-Identifier: MIT
"""What was acknowledged outlives the daemon: kill -9, a new one, and everything is there."""

import contextlib
import random
import signal
import subprocess
import uuid

from durable import *


# --- the queue ---

def test_the_order_is_kept():
    """Jobs of mixed priorities are executed after a restart in the order they had before."""
    dice = random.Random(3)
    with durable(min_workers=1) as d:
        first = hold(d, priority=1000, max_attempts=5)
        specs = [{"handler": "tally", "args": {"n": i}, "priority": dice.choice([-7, 0, 0, 7])}
                 for i in range(40)]
        ids = d.call("SubmitMany", jobs=specs[:20])["ids"]
        ids += [d.call("Submit", job=s)["id"] for s in specs[20:]]
        expected = [id for _, id in sorted(enumerate(ids), key=lambda x: -specs[x[0]]["priority"])]
        before = [j["id"] for j in d.call("List")["jobs"]]
        again(d)
        assert [j["id"] for j in d.call("List")["jobs"]] == before
        open_gate(d)
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        assert in_order_begun(d, ids) == expected
        assert d.wait(first)["state"] == "succeeded"


def test_the_order_is_kept_over_many_restarts():
    """Killed four times without a worker, and once more amid the work: still in order."""
    with durable(start=False, min_workers=0) as d:
        d.start(ready=False)
        d.await_socket()
        dice, specs, ids = random.Random(4), [], []
        for _ in range(4):
            some = [{"handler": "tally", "args": {"n": 1}, "priority": dice.randrange(3),
                     "max_attempts": 100} for _ in range(10)]
            ids += d.call("SubmitMany", jobs=some)["ids"]
            specs += some
            again(d, ready=False)
            assert d.status()["jobs"]["queued"] == len(ids)
        expected = [id for _, id in sorted(enumerate(ids), key=lambda x: -specs[x[0]]["priority"])]
        write_tally(d, min_workers=1)
        again(d)
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        assert in_order_begun(d, ids) == expected


def test_a_retry_keeps_its_place_over_a_restart():
    """Age counts from when a job was first ready: what was tried before goes before the younger."""
    with durable(min_workers=1, backoff="1ms") as d:
        old = hold(d, max_attempts=5)
        young = [d.submit("tally", {"n": i}) for i in range(10)]
        again(d)
        open_gate(d)
        jobs = [d.wait(id) for id in [old, *young]]
        assert all(j["state"] == "succeeded" for j in jobs)
        place = in_order_begun(d, [old, *young]).index(old)
        assert place <= 3, place  # its backoff of a millisecond may let some pass


def test_delayed_jobs_keep_their_time():
    """What was to begin at a time begins at that time, however often the daemon dies before."""
    with durable() as d:
        late = d.submit("tally", {"n": 1}, delay_usec=2000000)
        now = d.get(late)["submitted_usec"]
        exact = d.submit("tally", {"n": 2}, run_at_usec=now + 2200000)
        never = d.submit("tally", {"n": 3}, delay_usec=HOUR)
        for _ in range(2):
            again(d)
            for id in late, exact, never:
                job = d.get(id)
                if time.time() * 1e6 < now + 1900000:
                    assert job["state"] == "scheduled" and job["attempts"] == [], job
        for id, due in (late, now + 2000000), (exact, now + 2200000):
            started = d.wait(id)["attempts"][0]["started_usec"]
            assert due <= started <= due + slow(1000000), (due, started)
        assert d.get(never)["state"] == "scheduled"


def test_what_came_due_meanwhile_runs_at_once():
    """A delay that ended while there was no daemon is over."""
    with durable() as d:
        id = d.submit("tally", {"n": 2}, delay_usec=400000)
        due = d.get(id)["submitted_usec"] + 400000
        crash(d)
        assert begun(d, id) == []
        await_clock(due)
        d.start()
        job = d.wait(id)
        assert job["state"] == "succeeded" and job["result"]["square"] == 4


def test_a_ttl_goes_on():
    """What had not started when its ttl was over expires, with or without a daemon meanwhile."""
    with durable(min_workers=1) as d:
        held = hold(d, max_attempts=5, priority=9)
        id = d.submit("tally", {"n": 2}, ttl_usec=600000, delay_usec=HOUR)
        long = d.submit("tally", {"n": 2}, ttl_usec=HOUR)
        due = d.get(id)["submitted_usec"] + 600000
        crash(d)
        await_clock(due)
        d.start()
        job = d.wait(id)
        assert job["state"] == "expired" and job["attempts"] == [], job
        open_gate(d)
        assert d.wait(long)["state"] == "succeeded" and d.wait(held)["state"] == "succeeded"


def test_blocked_jobs_stay_blocked_and_then_run():
    """A chain waits after a restart for what it waited for before, and ends in its order."""
    with durable(min_workers=2) as d:
        first = hold(d, max_attempts=5)
        done = d.run("tally", {"n": 1})["id"]
        second = d.submit("tally", {"n": 2}, after=[first, done])
        third = d.submit("tally", {"n": 3}, after=[second])
        again(d)
        assert d.get(second)["state"] == "blocked" and first in d.get(second)["reason"]
        assert d.get(third)["state"] == "blocked"
        await_begun(d, first, 2)
        again(d)
        open_gate(d)
        jobs = [d.wait(id) for id in (first, second, third)]
        assert [j["state"] for j in jobs] == ["succeeded"] * 3, jobs
        assert in_order_begun(d, [third, second, first]) == [first, second, third]
        assert [len(j["attempts"]) for j in jobs] == [3, 1, 1]


def test_dependants_of_what_fails_after_a_restart_are_cancelled():
    """A predecessor that fails for good takes with it what waits for it, and says so."""
    with durable() as d:
        first = hold(d, max_attempts=1)
        second = d.submit("tally", {"n": 2}, after=[first])
        third = d.submit("tally", {"n": 2}, after=[second])
        again(d)
        assert d.wait(first)["state"] == "failed"
        for id, why in (second, first), (third, second):
            job = d.wait(id)
            assert job["state"] == "cancelled" and why in job["reason"], job
            assert begun(d, id) == []


def test_what_waits_for_a_job_in_memory_ends_with_it():
    """Its predecessor is gone with the daemon: a durable job does not wait for ever, and says why;
    if it had succeeded before, all is well."""
    with durable({"diag": diag()}) as d:
        lost = hold(d, durability="memory")
        done = d.run("tally", {"n": 1}, durability="memory")["id"]
        one = d.submit("tally", {"n": 2}, after=[lost, done])
        two = d.submit("tally", {"n": 3}, after=[done], delay_usec=300000)
        again(d)
        job = d.wait(one)
        assert job["state"] == "cancelled" and lost in job["reason"], job
        assert d.wait(two)["state"] == "succeeded" and begun(d, one) == []


def test_semaphores_are_counted_again():
    """Units are of attempts: after a restart no semaphore is held twice, and none is lost."""
    with durable(conf="[Semaphores]\none=1\n", min_workers=4) as d:
        first = hold(d, semaphores=["one"], max_attempts=9)
        others = [d.submit("tally", {"n": i, "ms": 20}, semaphores=["one"], max_attempts=9)
                  for i in range(5)]
        assert d.get(others[0])["state"] == "blocked"
        again(d)
        open_gate(d)
        for id in [first, *others]:
            assert d.wait(id)["state"] == "succeeded"
        lines = tallies(d)
        spans = sorted((dict(lines.begins[id])[n], end) for id in [first, *others]
                       for n, end in lines.ends[id])
        assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:])), spans


def test_a_job_that_was_given_back_is_claimed_again():
    """Written ahead, called back, blocked by a semaphore that another one took, and begun at last:
    then a kill. The attempt that began is known, and the next one has another number."""
    with durable(conf="[Semaphores]\none=1\n", start=False, handlers="tally", min_workers=1) as d:
        write_tally(d, "other", "score", min_workers=1)
        d.start()
        for _ in range(3):
            many = [{"handler": "tally", "args": {"n": 1}}] * 50
            for id in d.call("SubmitMany", jobs=many)["ids"]:
                d.wait(id)
        slow_one, job, rival = d.call("SubmitMany", jobs=[
            {"handler": "tally", "args": {"n": 1, "until": d.path("slow")}},
            {"handler": "tally", "args": {"n": 2, "until": d.path("gate")}, "semaphores": ["one"]},
            {"handler": "score", "args": {"n": 3, "until": d.path("rival")}, "semaphores": ["one"],
             "delay_usec": 1000}])["ids"]
        await_begun(d, slow_one)
        await_begun(d, rival)
        assert d.get(job)["state"] == "blocked" and begun(d, job) == []
        open_gate(d, "rival")
        d.wait(rival)
        open_gate(d, "slow")
        await_begun(d, job)
        again(d)
        open_gate(d)
        ended_job = d.wait(job)
        assert outcomes(ended_job) == ["supervisor_died", "succeeded"], ended_job
        assert begun(d, job) == [1, 2]


def test_submit_many_is_all_or_nothing():
    """However far a SubmitMany came when the daemon was killed: all of its jobs are there, or none;
    and all if it was answered."""
    with durable() as d:
        for round in range(8):
            ids = [str(uuid.uuid4()) for _ in range(1500)]
            with d.connect() as c:
                c.send("SubmitMany", {"jobs": [{"handler": "tally", "id": id, "delay_usec": HOUR}
                                               for id in ids]})
                answered = False
                with contextlib.suppress(TimeoutError):
                    answered = c.receive(0.001 + round * 0.004)["ids"] == ids
                d.process.kill()
            again(d)
            there = sum(is_known(d, id) for id in ids)
            assert there == 1500 if answered else there in (0, 1500), (round, there, answered)


def test_a_unique_key_is_still_taken():
    """A key is its job's as long as that has not ended, whoever was killed; then it is free."""
    with durable() as d:
        id = hold(d, unique_key="k", max_attempts=5)
        waits = d.submit("tally", {"n": 2}, unique_key="ключ/2", delay_usec=HOUR)
        again(d)
        for key, holder in ("k", id), ("ключ/2", waits):
            reply = d.call("Submit", job={"handler": "tally", "unique_key": key})
            assert reply["id"] == holder and reply["duplicate"], reply
        assert d.submit("score", {"n": 1}, unique_key="k") != id  # of another handler
        open_gate(d)
        assert d.wait(id)["state"] == "succeeded"
        assert d.submit("tally", {"n": 2}, unique_key="k") != id
        again(d)
        assert d.wait(d.submit("tally", {"n": 2}, unique_key="k"))["state"] == "succeeded"


def test_the_same_id_is_the_same_job():
    """A Submit that is repeated after a restart returns the job, ended or not."""
    with durable() as d:
        ids = [str(uuid.uuid4()) for _ in range(3)]
        d.submit("tally", {"n": 2, "until": d.path("gate")}, id=ids[0], max_attempts=5)
        await_begun(d, ids[0])
        d.run("tally", {"n": 3}, id=ids[1])
        d.submit("tally", {"n": 4}, id=ids[2], delay_usec=HOUR)
        again(d)
        for id, state in zip(ids, ("running", "succeeded", "scheduled")):
            reply = d.call("Submit", job={"handler": "tally", "args": {"n": 5}, "id": id})
            assert reply["id"] == id and reply["duplicate"], reply
            d.await_state(id, state)
        assert d.call("SubmitMany", jobs=[{"handler": "tally", "id": i} for i in ids])["ids"] == ids
        open_gate(d)
        assert d.wait(ids[0])["result"]["square"] == 4
        assert d.get(ids[1])["result"]["square"] == 9 and begun(d, ids[1]) == [1]


def test_the_limit_of_the_queue_counts_what_was_there():
    """MaxQueued= holds for the jobs from before together with the new ones."""
    with durable(conf="[Queue]\nMaxQueued=5\n") as d:
        ids = [d.submit("tally", {"n": 1}, delay_usec=HOUR) for _ in range(5)]
        again(d)
        with refused("QueueFull"):
            d.submit("tally", {"n": 1})
        d.call("Cancel", id=ids[0])
        d.await_state(ids[0], "cancelled")
        assert d.run("tally", {"n": 1})["state"] == "succeeded"


# --- attempts ---

def test_what_was_running_is_tried_again():
    """Attempt 1 ends as supervisor_died, attempt 2 succeeds with its own number."""
    with durable() as d:
        id = hold(d, max_attempts=3)
        before = d.get(id)
        again(d)
        await_begun(d, id, 2)
        open_gate(d)
        job = d.wait(id)
        assert job["state"] == "succeeded" and numbers(job) == [1, 2], job
        assert outcomes(job) == ["supervisor_died", "succeeded"]
        assert job["result"] == {"square": 9, "attempt": 2} and begun(d, id) == [1, 2]
        first, second = job["attempts"]
        assert first["started_usec"] <= first["ended_usec"] <= second["started_usec"]
        # what is known of it is when it was claimed, a moment before it was begun
        assert 0 <= before["started_usec"] - job["started_usec"] < slow(1000000)


def test_every_death_of_the_supervisor_is_an_attempt():
    """Killed three times while it ran: three attempts say so, the fourth succeeds."""
    with durable() as d:
        id = hold(d, max_attempts=9)
        for n in 2, 3, 4:
            again(d)
            await_begun(d, id, n)
        open_gate(d)
        job = d.wait(id)
        assert outcomes(job) == ["supervisor_died"] * 3 + ["succeeded"], job
        assert numbers(job) == begun(d, id) == [1, 2, 3, 4]


def test_the_budget_holds_over_a_restart():
    """max_attempts=1 is executed once at the most: it failed with outcome supervisor_died."""
    with durable() as d:
        once, twice = hold(d, max_attempts=1), hold(d, max_attempts=2)
        again(d)
        job = d.wait(once)
        assert job["state"] == "failed" and outcomes(job) == ["supervisor_died"], job
        await_begun(d, twice, 2)
        again(d)
        job = d.wait(twice)
        assert job["state"] == "failed" and outcomes(job) == ["supervisor_died"] * 2, job
        assert begun(d, once) == [1] and begun(d, twice) == [1, 2]


def test_a_command_that_was_running_has_failed():
    """A command has one attempt: after the supervisor's death it failed, and is not run again."""
    with durable({"exec": commands()}) as d:
        marks = d.path("marks")
        id = d.submit("exec", {"argv": ["/bin/sh", "-c", "echo x >>%s; exec sleep 60" % marks]})
        until(lambda: os.path.exists(marks) and os.path.getsize(marks), "it runs")
        again(d)
        job = d.wait(id)
        assert job["state"] == "failed" and outcomes(job) == ["supervisor_died"], job
        assert os.path.getsize(marks) == 2


def test_earlier_attempts_are_kept():
    """The certificates of earlier attempts are the same after a restart, and the numbers go on."""
    with durable({"diag": diag(poison_deaths=0)}) as d:
        id = d.submit("tally", {"n": 2, "crash": 1, "until": d.path("gate")}, max_attempts=9)
        await_begun(d, id, 2)
        dead = d.run("crash", {"signal": "SEGV"}, max_attempts=2)
        before = d.get(id)["attempts"][0]
        again(d)
        await_begun(d, id, 3)
        open_gate(d)
        job = d.wait(id)
        assert outcomes(job) == ["worker_died", "supervisor_died", "succeeded"], job
        assert job["attempts"][0] == before
        assert d.get(dead["id"]) == dead and numbers(dead) == [1, 2]


def test_a_backoff_is_kept():
    """What waits before its next attempt waits until the same time after a restart."""
    with durable(backoff="1500ms") as d:
        id = d.submit("tally", {"n": 2, "fail": 1}, max_attempts=3)
        before = d.await_state(id, "scheduled")
        again(d)
        job = d.get(id)
        assert job["state"] in ("scheduled", "queued", "running") or job["attempts"][1:], job
        assert job["attempts"][0] == before["attempts"][0]
        job = d.wait(id)
        gap = job["attempts"][1]["started_usec"] - job["attempts"][0]["ended_usec"]
        assert 0.74 * 1.5e6 <= gap <= slow(2.5e6), gap
        assert outcomes(job) == ["error", "succeeded"], job


def test_a_backoff_goes_on_doubling():
    """The failures before a restart count for the backoff after it."""
    with durable(backoff="300ms", backoff_max="1min") as d:
        id = d.submit("tally", {"n": 2, "fail": 3}, max_attempts=9)
        until(lambda: len(d.get(id)["attempts"]) == 2 and d.get(id)["state"] == "scheduled",
              "two failures")
        again(d)
        job = d.wait(id)
        times = [(a["started_usec"], a["ended_usec"]) for a in job["attempts"]]
        gaps = [(times[i + 1][0] - times[i][1]) / 1e6 for i in range(3)]
        assert outcomes(job) == ["error"] * 3 + ["succeeded"], job
        assert gaps[1] >= 0.74 * 0.6 and gaps[2] >= 0.74 * 1.2, gaps


def test_deaths_of_workers_are_counted_over_a_restart():
    """PoisonDeaths= counts the workers that were killed before the restart."""
    with durable(poison_deaths=3, backoff="1500ms") as d:
        id = d.submit("tally", {"n": 2, "crash": 9}, max_attempts=20)
        until(lambda: len(d.get(id)["attempts"]) == 2 and d.get(id)["state"] == "scheduled",
              "two deaths")
        again(d)
        job = d.wait(id)
        assert job["state"] == "quarantined" and outcomes(job) == ["worker_died"] * 3, job


# --- what has ended ---

def a_job_of_each_end(d):
    """Jobs in every state that is final. Returns {state: id}."""
    ids = {"succeeded": d.run("tally", {"n": 12})["id"],
           "failed": d.run("fail", {"message": "no, «никогда»"}, max_attempts=2)["id"],
           "quarantined": d.run("crash", {"signal": "KILL"}, max_attempts=20)["id"],
           "cancelled": d.submit("tally", {"n": 1}, delay_usec=HOUR),
           "expired": d.run("tally", {"n": 1}, delay_usec=HOUR, ttl_usec=1000)["id"]}
    d.call("Cancel", id=ids["cancelled"])
    for state, id in ids.items():
        d.await_state(id, state)
    return ids


def test_what_has_ended_is_still_there():
    """State, reason, result and attempts of ended jobs are the same before and after."""
    with durable({"diag": diag(poison_deaths=2), "exec": commands()}) as d:
        ids = list(a_job_of_each_end(d).values())
        ids.append(d.run("exec", {"argv": ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]})
                   ["id"])
        ids.append(d.run("tally", {"n": 2, "fail": 2}, max_attempts=3)["id"])
        ids.append(d.run("fail", {"message": "x", "retry": False})["id"])
        before = [d.get(id) for id in ids]
        for _ in range(2):
            again(d)
            assert [d.get(id) for id in ids] == before
            assert all(d.wait(id) == job for id, job in zip(ids, before))
        counts = d.status()["jobs"]
        assert counts["succeeded"] == 2 and counts["quarantined"] == 1, counts


def test_what_has_ended_badly_can_be_retried_after_a_restart():
    """Retry gives a new budget; the numbers of the attempts go on."""
    with durable({"diag": diag(poison_deaths=2)}) as d:
        ids = a_job_of_each_end(d)
        again(d)
        with refused("WrongState"):
            d.call("Retry", id=ids["succeeded"])
        for state in "cancelled", "expired":
            d.call("Retry", id=ids[state])
            job = d.wait(ids[state])
            assert job["state"] == "succeeded", job
        d.call("Retry", id=ids["failed"])
        job = d.wait(ids["failed"])
        assert job["state"] == "failed" and numbers(job) == [1, 2, 3, 4], job
        d.call("Retry", id=ids["quarantined"])
        job = d.wait(ids["quarantined"])
        assert job["state"] == "quarantined" and numbers(job) == [1, 2, 3, 4], job


def test_ended_jobs_are_forgotten_in_time():
    """KeepFinished= and keep_usec count from the end, also where a restart lies between."""
    with durable(conf="[Queue]\nKeepFinished=2s\n") as d:
        usual, own = d.run("tally", {"n": 1}), d.run("tally", {"n": 2}, keep_usec=2500000)
        long, short = d.run("tally", {"n": 3}, keep_usec=HOUR), d.run("tally", {"n": 4},
                                                                      keep_usec=300000)
        again(d)
        for job, keep in (usual, 2000000), (own, 2500000):
            there = is_known(d, job["id"])
            assert there or time.time() * 1e6 >= job["ended_usec"] + keep
            until(lambda: not is_known(d, job["id"]), "it is forgotten")
            assert time.time() * 1e6 >= job["ended_usec"] + keep
        assert not is_known(d, short["id"])
        again(d)
        assert d.get(long["id"]) == long
        assert not [j for j in (usual, own, short) if is_known(d, j["id"])]


def test_what_was_to_be_forgotten_meanwhile_is_forgotten():
    """A keep time that is over while there was no daemon is over."""
    with durable(conf="[Queue]\nKeepFinished=300ms\n") as d:
        job = d.run("tally", {"n": 1})
        crash(d)
        await_clock(job["ended_usec"] + 300000)
        d.start()
        until(lambda: not is_known(d, job["id"]), "it is forgotten")


def test_no_more_ended_jobs_are_kept_than_may_be():
    """KeepFinishedMax= holds after a restart too, and the oldest go first."""
    with durable() as d:
        ids = [d.run("tally", {"n": i})["id"] for i in range(8)]
        d.write("config/brood.conf", "[Queue]\nKeepFinishedMax=3\n")
        again(d)
        until(lambda: [is_known(d, id) for id in ids] == [False] * 5 + [True] * 3,
              "five are forgotten")


def test_payloads_that_can_not_be_read_are_an_error():
    """Large payloads that are gone from the store: no call answers as if there were none, or waits
    for ever; everybody else is served."""
    with durable({"diag": diag()}) as d, d.connect() as c:
        text = "y" * 50000
        job = d.run("echo", {"text": text})["id"]
        assert d.get(job)["result"] == {"text": text}
        subprocess.run(["sqlite3", database(d), ".timeout 5000", "DELETE FROM large"], check=True)
        for method, parameters in [("Get", {"id": job}), ("Wait", {"id": job}),
                                   ("Submit", {"job": {"handler": "echo", "id": job},
                                               "wait": True})]:
            with refused("StoreFailed") as e:
                d.call(method, **parameters)
            assert "could not be read" in e["message"], e
        with refused("StoreFailed"):
            list(c.more("WaitMany", ids=[job]))
        assert d.run("echo", {"n": 1})["result"] == {"n": 1}
        assert d.call("List")["jobs"][-1]["id"] == job


# --- what was asked for ---

def test_everything_that_was_asked_for_is_kept():
    """All fields of a spec, and what the daemon added, are the same before and after in Get."""
    with durable(min_workers=1) as d:
        held = hold(d, max_attempts=5, priority=1000)
        ids = [d.submit(
            "tally", {"n": 5, "deep": {"a": [1, 2.5, None, True, "ü\u2028\U0001f600\\\"\x01"]}},
            id=str(uuid.uuid4()), priority=-3, delay_usec=HOUR, max_attempts=7, timeout_usec=12345,
            ttl_usec=2 * HOUR, keep_usec=3 * HOUR, unique_key="a \"key\" ü", after=[held],
            tags=["one", "two \"quoted\" ü", ""], durability="fsync")]
        ids.append(d.submit("tally", {}, run_at_usec=4102444800 * 10**6))
        ids.append(d.submit("tally", None, priority=0, tags=[], max_attempts=1, delay_usec=HOUR))
        ids.append(d.submit("score", {"n": 1}, after=[ids[0], ids[1]], priority=1000))
        before = [d.get(id) for id in ids]
        listed = [j["id"] for j in d.call("List", tag="one")["jobs"]]
        again(d)
        for job in before:
            now = d.get(job["id"])
            if job["state"] == "blocked":  # what it waits for may have another state
                assert now.pop("reason")[:50] == job.pop("reason")[:50]
            assert now == job, (now, job)
        assert [j["id"] for j in d.call("List", tag="one")["jobs"]] == listed == ids[:1]
        open_gate(d)
        d.wait(held)


def test_a_timeout_holds_after_a_restart():
    """The timeout that a job came with ends its next attempt too."""
    with durable() as d:
        id = hold(d, max_attempts=2, timeout_usec=20000000)
        again(d)
        await_begun(d, id, 2)
        assert d.get(id)["spec"]["timeout_usec"] == 20000000
        short = d.submit("tally", {"n": 1, "ms": 50000}, timeout_usec=200000, max_attempts=1,
                         delay_usec=500000)
        again(d)
        assert outcomes(d.wait(short)) == ["timeout"]


def test_large_arguments_and_results_survive():
    """Payloads far over what is kept in memory arrive as they were, before and after."""
    with durable({"diag": diag()}) as d:
        text = "".join(random.Random(1).choices("abcdefgh «ü»\"\\\n", k=250000))
        sizes = 300000, 900000
        waits = [d.submit("echo", {"n": i, "text": text}, delay_usec=1500000) for i in range(3)]
        done = [d.run("tally", {"n": n, "swell": n}) for n in sizes]
        echo = d.run("echo", {"text": text})
        assert echo["result"] == {"text": text}
        again(d)
        for n, job in zip(sizes, done):
            now = d.get(job["id"])
            assert now == job and now["result"]["text"] == "x" * n
        assert d.get(echo["id"]) == echo
        assert d.get(waits[0])["spec"]["args"]["text"] == text
        for i, id in enumerate(waits):
            job = d.wait(id)
            assert job["state"] == "succeeded" and job["result"] == {"n": i, "text": text}
        again(d)
        assert d.get(waits[1])["result"] == {"n": 1, "text": text}


def test_large_arguments_reach_the_handler():
    """Whether somebody waits or not, whether a slot is free or not, alone or with others, and
    whether they are tried again."""
    with durable({"diag": diag(min_workers=1)}) as d:
        texts = [str(i) * 50000 for i in range(8)]
        for text in texts[:3]:
            assert d.wait(d.submit("echo", {"text": text}))["result"] == {"text": text}
        ids = d.call("SubmitMany", jobs=[{"handler": "echo", "args": {"text": t}}
                                         for t in texts])["ids"]
        ids += [d.submit("echo", {"text": t}) for t in texts]
        ids += [d.submit("echo", {"text": t}, after=[ids[0]]) for t in texts]
        for id, text in zip(ids, texts * 3):
            assert d.wait(id)["result"] == {"text": text}, id
        again_and_again = [d.submit("tally", {"n": i, "fail": 2, "pad": texts[i]})
                           for i in range(8)]
        for i, id in enumerate(again_and_again):
            assert d.wait(id)["result"] == {"square": i * i, "attempt": 3}


def test_memory_jobs_are_gone():
    """Jobs with durability=memory end with the daemon; those beside them do not."""
    with durable(conf="[Queue]\nDurability=memory\n") as d:
        ids = [hold(d, durability="memory"), d.submit("tally", {"n": 1}, delay_usec=HOUR),
               d.run("tally", {"n": 1})["id"]]
        kept = [d.submit("tally", {"n": 1}, delay_usec=HOUR, durability="fsync"),
                d.run("tally", {"n": 2}, durability="fsync")["id"]]
        again(d)
        assert [is_known(d, id) for id in ids] == [False] * 3
        assert [d.get(id)["state"] for id in kept] == ["scheduled", "succeeded"]
        assert begun(d, ids[0]) == [1]
        assert sum(d.status()["jobs"].values()) == 2


def test_jobs_of_a_handler_that_is_gone_wait_for_it():
    """A config that lost a handler keeps its jobs; they run when it comes back."""
    with durable({"diag": diag()}, min_workers=1) as d:
        done = d.run("tally", {"n": 6})
        running = hold(d, max_attempts=5)
        waits = d.submit("tally", {"n": 4}, tags=["x"])
        late = d.submit("tally", {"n": 5}, delay_usec=100000)
        os.unlink(d.path("config/pools/tally.pool"))
        again(d)
        assert d.get(done["id"]) == done
        with refused("NoSuchHandler"):
            d.submit("tally", {"n": 1})
        assert d.run("echo")["state"] == "succeeded"
        d.await_state(late, "queued")
        assert d.get(waits)["state"] == "queued"
        job = d.await_state(running, "queued")
        assert outcomes(job) == ["supervisor_died"], job
        again(d)
        write_tally(d)
        open_gate(d)
        d.call("Reload")
        for id, square in (running, 9), (waits, 16), (late, 25):
            job = d.wait(id)
            assert job["state"] == "succeeded" and job["result"]["square"] == square, job
        assert numbers(d.get(running)) == [1, 2]


def test_a_handler_may_move_to_another_pool():
    """A job goes to whatever pool serves its handler now."""
    with durable({"diag": diag()}) as d:
        id = d.submit("tally", {"n": 4}, delay_usec=HOUR)
        done = d.run("tally", {"n": 5})
        os.rename(d.path("config/pools/tally.pool"), d.path("config/pools/moved.pool"))
        again(d)
        assert d.get(id)["pool"] == "moved"
        assert d.get(done["id"])["result"] == done["result"]
        soon = d.submit("tally", {"n": 4}, after=[done["id"]])
        assert d.wait(soon)["attempts"][0]["worker"].startswith("moved.")


# --- how it ended ---

def test_a_clean_stop_keeps_what_is_queued():
    """SIGTERM: the running job is finished, the others wait for the next daemon, untouched."""
    with durable(min_workers=1) as d:
        running = hold(d)
        ids = [d.submit("tally", {"n": i}) for i in range(5)]
        late = d.submit("tally", {"n": 1}, delay_usec=HOUR)
        d.disconnect()
        d.signal(signal.SIGTERM)
        d.wait_log("stopping")
        open_gate(d)
        assert d.wait_exit() == 0
        assert ended(d, running) == [1]
        d.start()
        job = d.get(running)
        assert job["state"] == "succeeded" and outcomes(job) == ["succeeded"], job
        for id in ids:
            job = d.wait(id)
            assert job["state"] == "succeeded" and outcomes(job) == ["succeeded"], job
        assert d.get(late)["state"] == "scheduled"


def test_what_a_stop_has_ended_is_tried_again():
    """A job that outlasts StopTimeout= has an attempt with outcome shutdown, and goes on later."""
    with durable(conf="[Daemon]\nStopTimeout=200ms\n") as d:
        id = hold(d, max_attempts=5)
        d.disconnect()
        d.signal(signal.SIGTERM)
        assert d.wait_exit() == 0
        d.start()
        open_gate(d)
        job = d.wait(id)
        assert outcomes(job) == ["shutdown", "succeeded"] and numbers(job) == [1, 2], job


def test_what_was_asked_of_a_job_is_kept():
    """A job that was cancelled or retried before the kill is so after it."""
    with durable({"diag": diag(backoff="1h")}, min_workers=1) as d:
        held = hold(d, max_attempts=5)
        victims = [d.submit("tally", {"n": 1}), d.submit("tally", {"n": 1}, delay_usec=HOUR),
                   d.submit("tally", {"n": 1}, after=[held])]
        for id in victims:
            d.call("Cancel", id=id)
            d.await_state(id, "cancelled")
        retried = d.run("fail", {"message": "x"}, max_attempts=1)["id"]
        d.call("Retry", id=retried)
        d.wait(retried)
        freed = d.run("fail", max_attempts=1, unique_key="k")["id"]
        d.call("Retry", id=freed)
        crash(d)
        d.start()
        assert [d.get(id)["state"] for id in victims] == ["cancelled"] * 3
        assert [begun(d, id) for id in victims] == [[]] * 3
        assert numbers(d.wait(retried)) == [1, 2]
        assert len(d.wait(freed)["attempts"]) == 2
        d.call("Cancel", id=held, force=True)
        d.wait(held)


def test_an_answer_to_cancel_is_true():
    """Who was told that a job is cancelled finds it so, even if the daemon died right then."""
    with durable() as d:
        for i in range(5):
            id = d.submit("tally", {"n": i}, delay_usec=HOUR)
            state = d.call("Cancel", id=id)["state"]
            d.process.kill()
            again(d)
            assert state != "cancelled" or d.get(id)["state"] == "cancelled", (i, d.get(id))


def test_an_answer_to_retry_is_true():
    """Who was told that a job is queued again finds it so, even if the daemon died right then."""
    with durable() as d:
        for i in range(5):
            id = d.run("tally", {"n": i, "fail": 1}, max_attempts=1)["id"]
            assert d.call("Retry", id=id)["state"] == "queued"
            d.process.kill()
            again(d)
            job = d.wait(id)
            assert job["state"] == "succeeded" or len(job["attempts"]) == 2, (i, job)


def test_a_wait_after_a_retry_waits():
    """A job that is to be tried again has not ended: Wait gives its new end, not the old one."""
    with durable() as d:
        for i in range(20):
            id = d.run("tally", {"n": i, "fail": 1}, max_attempts=1)["id"]
            d.call("Retry", id=id)
            job = d.wait(id)
            assert job["state"] == "succeeded" and job["ended_usec"], job


def test_a_cancel_of_a_running_job_is_not_forgotten():
    """A job that was to be cancelled, and whose supervisor died before that, ends cancelled."""
    with durable(min_workers=1, kill_after="1h") as d:
        id = d.submit("tally", {"n": 1, "until": d.path("gate")}, max_attempts=5)
        await_begun(d, id)
        worker = d.worker_of(id)
        os.kill(worker["pid"], signal.SIGSTOP)  # so that it does not hear it
        assert d.call("Cancel", id=id)["state"] in ("running", "cancelled")
        again(d)
        job = d.wait(id)
        assert job["state"] == "cancelled" and begun(d, id) == [1], job


def test_an_attached_job_goes_with_its_client():
    """The connection of an attached job is gone with the daemon: it is not run again."""
    with durable() as d:
        id = hold(d, attached=True, max_attempts=5)
        waits = d.submit("tally", {"n": 1}, attached=True, delay_usec=400000)
        due = d.get(waits)["submitted_usec"] + 400000
        again(d)
        await_clock(due + 100000)
        for job in id, waits:
            assert not is_known(d, job) or d.get(job)["state"] in ("cancelled", "failed"), (
                d.get(job))
        assert begun(d, id) == [1] and begun(d, waits) == []


def test_killed_while_it_starts():
    """A daemon that is killed again and again while it takes over loses nothing."""
    with durable(min_workers=1) as d:
        held = hold(d, max_attempts=100)
        ids = [d.submit("tally", {"n": i, "pad": "p" * 3000}, priority=i % 3) for i in range(200)]
        crash(d)
        for round in range(15):
            d.start(ready=False)
            time.sleep(round * 0.004)  # the moment is the case, not a wait
            assert d.process.poll() is None, d.log()[-1000:]
            crash(d)
            check_store(d)
        open_gate(d)
        d.start()
        for i, id in enumerate(ids):
            job = d.wait(id)
            assert job["state"] in ("succeeded", "failed"), job
            if job["state"] == "failed":  # it was claimed each time it might
                assert set(outcomes(job)) == {"supervisor_died"} and len(job["attempts"]) >= 3, job
            else:
                assert job["result"]["square"] == i * i
            assert set(begun(d, id)) <= set(numbers(job))
        assert d.wait(held)["state"] == "succeeded"


def test_waiting_for_a_job_from_before():
    """Wait, WaitMany and Submit with `wait` hear of the ends of jobs older than the daemon."""
    with durable(min_workers=1) as d:
        held = hold(d, max_attempts=5, id=str(uuid.uuid4()))
        ids = [d.submit("tally", {"n": i}) for i in range(3)]
        again(d)
        with d.connect() as one, d.connect() as two, d.connect() as three:
            one.send("Wait", {"id": held})
            two.send("WaitMany", {"ids": [*ids, held]}, more=True)
            three.send("Submit", {"job": {"handler": "tally", "id": held}, "wait": True})
            open_gate(d)
            assert one.receive()["job"]["state"] == "succeeded"
            assert {two.receive()["job"]["id"] for _ in range(4)} == {held, *ids}
            assert three.receive()["job"]["result"]["square"] == 9


@limit(90)
def test_commits_and_new_clients_at_the_same_moment():
    """Whoever connects while a commit comes back is heard, and so is the commit."""
    with durable() as d, d.connect() as c:
        for i in range(400):
            c.send("Submit", {"job": {"handler": "tally", "args": {"n": i}}})
            with d.connect() as other:
                other.send("Status", {})
                assert other.receive(slow(5))["state"] == "running"
            c.receive(slow(5))


# --- the file ---

def start_fails(d):
    """Starts it, which must fail with status 1. Returns what it says."""
    process = subprocess.run(d.command(), env=d.environment(), stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=slow(30), check=False)
    assert process.returncode == 1, (process.returncode, process.stderr)
    assert not os.path.exists(d.socket_path)
    return process.stderr


def database(d):
    return d.path("state", "brood.db")


@contextlib.contextmanager
def stopped_with_jobs(**keys):
    """A daemon that has been stopped, with some hundred jobs in its database."""
    d = durable(**keys)
    try:
        ids = d.call("SubmitMany", jobs=[
            {"handler": "tally", "args": {"n": i, "pad": "p" * 500}, "delay_usec": HOUR}
            for i in range(300)])["ids"]
        d.disconnect()
        d.signal(signal.SIGTERM)
        assert d.wait_exit() == 0
        yield d, ids
    finally:
        d.end()


def test_a_file_that_is_no_database_is_refused():
    """It does not start, says why and which file, and leaves the file as it is."""
    with stopped_with_jobs() as (d, _):
        for junk in b"this is no database\n" * 500, b"\0" * 10000:
            with open(database(d), "wb") as f:
                f.write(junk)
            assert "brood.db" in start_fails(d)
            with open(database(d), "rb") as f:
                assert f.read() == junk


def test_a_damaged_database_is_refused():
    """Pages full of junk: it does not start with the jobs that are left, as if all were well."""
    with stopped_with_jobs() as (d, ids):
        with open(database(d), "r+b") as f:
            whole = f.read()
            assert len(whole) > 40000, len(whole)
            for at in range(4096, len(whole), 3 * 4096):
                f.seek(at)
                f.write(b"\xa5" * 4096)
        assert "brood.db" in start_fails(d)
        with open(database(d), "wb") as f:
            f.write(whole)
        d.start()
        assert all(d.get(id)["state"] == "scheduled" for id in ids)
        d.stop()


def test_a_log_that_was_cut_anywhere():
    """After a loss of power the end of the log may be missing, or be junk: what is before it is
    there, each commit as a whole and none without those before it."""
    dice = random.Random(9)
    with durable(start=False, min_workers=0) as d:
        d.start(ready=False)
        d.await_socket()
        ids = [d.submit("tally", {"n": i, "pad": "p" * 300}) for i in range(60)]
        crash(d)
        with open(database(d), "rb") as f, open(database(d) + "-wal", "rb") as g:
            whole, log = f.read(), g.read()
        counts = []
        for at in sorted(dice.randrange(len(log.rstrip(b"\0"))) for _ in range(12)):
            rest = dice.choice([b"", dice.randbytes(100), dice.randbytes(20000), bytes(20000)])
            with open(database(d), "wb") as f, open(database(d) + "-wal", "wb") as g:
                f.write(whole)
                g.write(log[:at] + rest)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(database(d) + "-shm")
            d.start(ready=False)
            d.await_socket()
            known = [is_known(d, id) for id in ids]
            assert known == sorted(known, reverse=True), (at, known)
            counts.append(sum(known))
            crash(d)
            check_store(d)
        assert counts == sorted(counts) and len(set(counts)) > 3, counts
        d.start(ready=False)
        d.await_socket()


def test_a_database_of_a_later_version_is_refused():
    """What a newer brood has written, an older one does not touch."""
    try:
        import sqlite3
    except ImportError as error:
        raise Skip("this Python has no sqlite3") from error
    with stopped_with_jobs() as (d, ids):
        link = sqlite3.connect(database(d))
        version = link.execute("PRAGMA user_version").fetchone()[0]
        assert version >= 1
        link.execute("PRAGMA user_version = %d" % (version + 1000))
        link.close()
        said = start_fails(d)
        assert "brood.db" in said and str(version + 1000) in said, said
        link = sqlite3.connect(database(d))
        link.execute("PRAGMA user_version = %d" % version)
        link.close()
        d.start()
        assert is_known(d, ids[-1])
        d.stop()


def test_the_database_can_be_read_beside_the_daemon():
    """An operator looks at the jobs with SQL while the daemon works, which is not disturbed."""
    try:
        import sqlite3
    except ImportError as error:
        raise Skip("this Python has no sqlite3") from error
    with durable() as d:
        id = d.submit("tally", {"n": 1}, delay_usec=HOUR)
        link = sqlite3.connect("file:%s?mode=ro" % database(d), uri=True)
        link.execute("BEGIN")
        assert link.execute("SELECT state FROM jobs WHERE id = ?", [id]).fetchone()[0] == (
            "scheduled")
        for i in range(50):
            assert d.run("tally", {"n": i})["state"] == "succeeded"
        link.execute("COMMIT")
        assert link.execute("SELECT count(*) FROM jobs").fetchone()[0] == 51
        link.close()


def test_only_the_user_of_the_daemon_can_read_it():
    """The files of the database are nobody else's, and no worker has them open."""
    with durable({"exec": commands()}) as d:
        job = d.run("exec", {"argv": ["/bin/sh", "-c", "ls -l /proc/self/fd /proc/$PPID/fd"]})
        assert "brood.db" not in job["result"]["stdout"], job["result"]["stdout"]
        for pid in d.tree():
            for fd in os.listdir("/proc/%d/fd" % pid):
                with contextlib.suppress(OSError):
                    assert "brood.db" not in os.readlink("/proc/%d/fd/%s" % (pid, fd)), (
                        command_line(pid))
        for name in os.listdir(d.path("state")):
            mode = os.stat(d.path("state", name)).st_mode & 0o777
            assert mode & 0o077 == 0 or "brood.db" not in name, (name, oct(mode))


def commits(d):
    text = d.call("Metrics")["text"]
    return int(float(re.search(r"^brood_store_commit_seconds_count (\S+)$", text, re.M).group(1)))


def test_many_short_jobs_share_commits():
    """A long line of short runs is claimed together, and so is what they end with written."""
    with Daemon({"diag": diag(min_workers=2)}) as d:
        def run(n):
            jobs = [{"handler": "echo", "durability": "fsync"}] * n
            return d.call("SubmitMany", jobs=jobs)["ids"]
        for id in run(100):  # how long they take is learnt
            d.wait(id)
        before = commits(d)
        for id in run(1000):
            assert d.wait(id)["state"] == "succeeded"
        assert commits(d) - before < 250, commits(d) - before

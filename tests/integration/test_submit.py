# SPDX-License-Identifier: MIT
"""What a Spec can ask for, and how jobs are asked about: Submit, SubmitMany, Wait, Get, List."""

import time
import uuid

from harness import *


def uuid7():
    """A UUIDv7 (RFC 9562) of now."""
    value = int(time.time() * 1000) << 80 | uuid.uuid4().int & ((1 << 80) - 1)
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(3 << 62) | 2 << 62))


def hold(d, pool="diag", workers=2):
    """Keeps all workers of a pool busy; returns the jobs to cancel."""
    jobs = [d.submit("sleep", {"seconds": 50}, priority=1000) for _ in range(workers)]
    until(lambda: d.pool_status(pool)["busy"] == workers, "all busy")
    return jobs


def release(d, jobs):
    for job in jobs:
        d.call("Cancel", id=job)


def test_ids_are_uuid7_in_order():
    """Job ids are UUIDv7 strings, and their order is that of the Submits."""
    with Daemon() as d:
        ids = [d.submit("echo") for _ in range(50)]
        assert all(uuid.UUID(id).version == 7 for id in ids)
        assert ids == sorted(ids) and len(set(ids)) == 50
        assert all(id == id.lower() and len(id) == 36 for id in ids)


def test_submit_says_state_and_no_duplicate():
    """The reply to Submit names the job, its state, and that it is new."""
    with Daemon() as d:
        reply = d.call("Submit", job={"handler": "echo"})
        assert reply["duplicate"] is False and reply.get("job") is None
        assert reply["state"] in ("queued", "running", "succeeded")
        reply = d.call("Submit", job={"handler": "echo", "delay_usec": 10**9})
        assert reply["state"] == "scheduled"
        d.call("Cancel", id=reply["id"])


def test_submit_with_wait():
    """With wait the one reply comes at the end and carries the job."""
    with Daemon() as d:
        reply = d.call("Submit", job={"handler": "echo", "args": {"a": 1}}, wait=True)
        assert reply["state"] == "succeeded" and reply["job"]["result"] == {"a": 1}
        assert reply["job"]["id"] == reply["id"]


def test_submit_with_more():
    """With more the replies follow the job to its end; only the last one carries it."""
    with Daemon({"diag": diag(min_workers=1)}) as d, d.connect() as c:
        replies = list(c.more("Submit", job={"handler": "sleep", "args": {"seconds": 0.1}}))
        states = [r["state"] for r in replies]
        assert states[-1] == "succeeded" and "running" in states, states
        assert len({r["id"] for r in replies}) == 1
        assert replies[-1]["job"]["state"] == "succeeded"
        order = ["scheduled", "blocked", "queued", "running", "succeeded"]
        assert [order.index(s) for s in states] == sorted(order.index(s) for s in states), states


def test_more_follows_a_retry():
    """A job that is tried again shows it to who asked for more."""
    with Daemon() as d, d.connect() as c:
        replies = list(c.more("Submit", job={"handler": "fail", "max_attempts": 2}))
        states = [r["state"] for r in replies]
        assert states[-1] == "failed" and states.count("running") == 2, states
        assert "scheduled" in states


def test_client_made_id():
    """A Submit that is repeated with the same id returns that job."""
    with Daemon() as d:
        id = uuid7()
        first = d.call("Submit", job={"handler": "echo", "args": {"n": 1}, "id": id})
        assert first["id"] == id and first["duplicate"] is False
        again = d.call("Submit", job={"handler": "echo", "args": {"n": 1}, "id": id}, wait=True)
        assert again["id"] == id and again["duplicate"] is True
        assert again["job"]["result"] == {"n": 1} and len(again["job"]["attempts"]) == 1
        assert d.pool_status()["done"] == 1
        many = d.call("SubmitMany", jobs=[{"handler": "echo", "id": id}, {"handler": "echo"}])
        assert many["ids"][0] == id and len(set(many["ids"])) == 2
        d.wait(many["ids"][1])


def test_an_id_has_to_be_a_uuid():
    """An id that is no UUID is an invalid parameter."""
    with Daemon() as d:
        for id in "", "x", "0192", "g" * 36, "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f405", "a" * 1000:
            with refused("org.varlink.service.InvalidParameter") as e:
                d.submit("echo", id=id)
            assert e["parameter"] in ("id", "job.id"), e


def test_unique_key():
    """A second job with the key of one that has not ended is that one."""
    with Daemon() as d:
        first = d.call("Submit", job={"handler": "sleep", "args": {"seconds": 50},
                                      "unique_key": "k"})
        again = d.call("Submit", job={"handler": "sleep", "args": {"seconds": 1},
                                      "unique_key": "k"})
        assert again["id"] == first["id"] and again["duplicate"] is True
        other = d.call("Submit", job={"handler": "echo", "unique_key": "k"}, wait=True)
        assert other["id"] != first["id"] and not other["duplicate"]  # keys are per handler
        third = d.call("Submit", job={"handler": "sleep", "args": {"seconds": 0},
                                      "unique_key": "l"}, wait=True)
        assert not third["duplicate"]
        d.call("Cancel", id=first["id"])
        d.wait(first["id"])
        after = d.call("Submit", job={"handler": "sleep", "args": {"seconds": 0},
                                      "unique_key": "k"}, wait=True)
        assert after["id"] != first["id"] and not after["duplicate"]


def test_after_success():
    """A job waits, blocked, until all that it comes after have succeeded."""
    with Daemon() as d:
        gates = [d.submit("sleep", {"seconds": s}) for s in (0.1, 0.2)]
        reply = d.call("Submit", job={"handler": "echo", "after": gates})
        assert reply["state"] == "blocked"
        assert d.get(reply["id"])["reason"]
        job = d.wait(reply["id"])
        assert job["state"] == "succeeded"
        assert all(d.get(g)["ended_usec"] <= job["started_usec"] for g in gates)


def test_after_one_that_has_succeeded_before():
    """What has succeeded already blocks nothing."""
    with Daemon() as d:
        done = d.run("echo")["id"]
        assert d.run("echo", after=[done, done])["state"] == "succeeded"


def test_after_failure():
    """A job whose predecessor fails ends cancelled, with that reason, and so do its own."""
    with Daemon() as d:
        gate = d.submit("fail", {"retry": False}, delay_usec=200000)
        next = d.submit("echo", after=[gate])
        last = d.submit("echo", after=[next])
        for id in next, last:
            job = d.wait(id)
            assert job["state"] == "cancelled" and job["attempts"] == [], job
        assert gate in d.get(next)["reason"]
        assert next in d.get(last)["reason"]
        late = d.run("echo", after=[gate])
        assert late["state"] == "cancelled"


def test_after_a_cancelled_one():
    """A predecessor that is cancelled takes its successors with it."""
    with Daemon() as d:
        gate = d.submit("echo", delay_usec=10**10)
        next = d.submit("echo", after=[gate])
        assert d.call("Cancel", id=gate)["state"] == "cancelled"
        assert d.wait(next)["state"] == "cancelled"


def test_after_an_unknown_id():
    """A predecessor that nobody knows is NoSuchJob, and nothing is admitted."""
    with Daemon() as d:
        nobody = uuid7()
        with refused("NoSuchJob") as e:
            d.submit("echo", after=[nobody])
        assert e["id"] == nobody
        assert d.call("List")["jobs"] == []


def test_delay():
    """A job with a delay does not start before."""
    with Daemon() as d:
        began = time.time()
        job = d.run("echo", delay_usec=300000)
        assert job["state"] == "succeeded"
        assert job["started_usec"] >= (began + 0.3) * 1e6
        assert time.time() - began < 0.3 + slow(0.5)


def test_run_at():
    """A job starts at its time; a time that has passed is now."""
    with Daemon() as d:
        at = int(time.time() * 1e6) + 300000
        job = d.run("echo", run_at_usec=at)
        assert job["started_usec"] >= at
        assert d.run("echo", run_at_usec=1)["state"] == "succeeded"


def test_delay_and_run_at_together_are_refused():
    """At most one of delay_usec and run_at_usec."""
    with Daemon() as d:
        with refused("org.varlink.service.InvalidParameter") as e:
            d.submit("echo", delay_usec=1, run_at_usec=1)
        assert "usec" in e["parameter"]


def test_ttl():
    """A job that has not started when its ttl is over ends expired."""
    with Daemon() as d:
        held = hold(d)
        began = time.time()
        job = d.run("echo", ttl_usec=200000)
        assert job["state"] == "expired" and job["attempts"] == []
        assert 0.19 <= time.time() - began < 0.2 + slow(1)
        release(d, held)
        assert d.run("echo", ttl_usec=10**9)["state"] == "succeeded"


def test_ttl_is_over_before_the_delay():
    """A ttl counts from the Submit, through a delay too."""
    with Daemon() as d:
        assert d.run("echo", ttl_usec=100000, delay_usec=10**9)["state"] == "expired"


def test_priorities_and_age():
    """Higher priorities run first; equal ones in the order they came."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        held = hold(d, workers=1)
        order = [0, 0, 5, -1000, 5, 1000, -3, 0]
        ids = [d.submit("sleep", {"seconds": 0.002}, priority=p) for p in order]
        release(d, held)
        jobs = [d.wait(id) for id in ids]
        started = [i for _, i in sorted((j["started_usec"], i) for i, j in enumerate(jobs))]
        wanted = [i for _, i in sorted((-p, i) for i, p in enumerate(order))]
        assert started == wanted, (started, wanted)


def test_priority_of_the_pool():
    """Jobs that name no priority get the pool's."""
    with Daemon({"diag": diag(min_workers=1, priority=7)}) as d:
        held = hold(d, workers=1)
        ids = [d.submit("sleep", {"seconds": 0.002}, priority=6),
               d.submit("sleep", {"seconds": 0.002})]
        release(d, held)
        first, second = [d.wait(id)["started_usec"] for id in ids]
        assert second < first


def test_numbers_out_of_range():
    """A number that makes no sense is an invalid parameter, by its name."""
    wrong = [("priority", 1001), ("priority", -1001), ("max_attempts", 0), ("max_attempts", -1),
             ("delay_usec", -1), ("run_at_usec", -1), ("timeout_usec", -1), ("ttl_usec", -1),
             ("keep_usec", -1), ("priority", 2**63 - 1), ("max_attempts", 2**63 - 1)]
    with Daemon() as d:
        for name, value in wrong:
            with refused("org.varlink.service.InvalidParameter") as e:
                d.submit("echo", **{name: value})
            assert name in e["parameter"], e
        assert d.run("echo", priority=1000, delay_usec=0)["state"] == "succeeded"
        assert d.run("echo", priority=-1000)["state"] == "succeeded"


def test_submit_many():
    """Many jobs at once: their ids in order, and all run."""
    with Daemon() as d:
        ids = d.call("SubmitMany", jobs=[{"handler": "echo", "args": {"n": n}}
                                         for n in range(500)])["ids"]
        assert len(set(ids)) == 500
        assert [d.wait(id)["result"]["n"] for id in ids] == list(range(500))


def test_submit_many_is_all_or_none():
    """One job that cannot be admitted, and none is."""
    with Daemon() as d:
        good = {"handler": "echo", "tags": ["many"]}
        with refused("NoSuchHandler") as e:
            d.call("SubmitMany", jobs=[good, {"handler": "nothing"}, good])
        assert e["handler"] == "nothing"
        with refused("NoSuchJob"):
            d.call("SubmitMany", jobs=[good, {"handler": "echo", "after": [uuid7()]}])
        with refused("NoSuchSemaphore") as e:
            d.call("SubmitMany", jobs=[good, {"handler": "echo", "semaphores": ["s"]}])
        assert e["semaphore"] == "s"
        with refused("org.varlink.service.InvalidParameter"):
            d.call("SubmitMany", jobs=[good, {"handler": "echo", "priority": 5000}])
        assert d.call("List", tag="many")["jobs"] == []
        assert d.pool_status()["queued"] == 0


def test_submit_many_and_queue_full():
    """SubmitMany past MaxQueued admits none of them."""
    with Daemon({"diag": diag()}, "[Queue]\nMaxQueued=10\n") as d:
        held = hold(d)
        with refused("QueueFull") as e:
            d.call("SubmitMany", jobs=[{"handler": "echo"}] * 9)
        assert e["limit"] == 10
        ids = d.call("SubmitMany", jobs=[{"handler": "echo"}] * 8)["ids"]
        with refused("QueueFull"):
            d.submit("echo")
        release(d, held)
        for id in ids:
            d.wait(id)
        assert d.run("echo")["state"] == "succeeded"


def test_queue_full_of_a_pool():
    """A pool's own MaxQueued refuses for that pool alone."""
    with Daemon({"diag": diag(max_queued=3),
                 "celsius": pool("celsius", "celsius.so", min_workers=1)}) as d:
        held = hold(d)
        last = d.submit("echo")
        with refused("QueueFull") as e:
            d.submit("echo")
        assert e["limit"] == 3
        assert d.run("celsius", {"fahrenheit": 32})["result"]["celsius"] == 0
        release(d, held)
        d.wait(last)


def test_queue_full_by_bytes():
    """MaxBytes bounds the memory of what waits."""
    with Daemon({"diag": diag()}, "[Queue]\nMaxBytes=1M\nLargePayload=0\n") as d:
        held = hold(d)
        kept = []
        with refused("QueueFull"):
            for _ in range(100):
                kept.append(d.submit("echo", {"x": "y" * 100000}))
        assert 5 <= len(kept) <= 11, len(kept)
        release(d, held)
        until(lambda: d.pool_status()["queued"] + d.pool_status()["busy"] == 0, "all have run")
        assert d.run("echo")["state"] == "succeeded"


def test_arguments_too_large():
    """Arguments over MaxArgsSize are TooLarge; the connection goes on."""
    with Daemon({"diag": diag()}, "[Queue]\nMaxArgsSize=10K\n") as d:
        with refused("TooLarge") as e:
            d.submit("echo", {"x": "y" * 11000})
        assert e["limit_bytes"] == 10240
        assert d.run("echo", {"x": "y" * 10000})["state"] == "succeeded"


def test_no_such_handler():
    """A handler that no pool serves."""
    with Daemon() as d:
        with refused("NoSuchHandler") as e:
            d.submit("nothing")
        assert e["handler"] == "nothing"


def test_handlers_of_a_pool_are_the_ones_it_names():
    """A pool serves what Handlers= names of its module, and nothing else of it."""
    with Daemon({"diag": pool("echo", min_workers=1)}) as d:
        assert d.run("echo")["state"] == "succeeded"
        with refused("NoSuchHandler"):
            d.submit("sleep")


def test_no_such_semaphore():
    """A semaphore that the config does not name."""
    with Daemon() as d:
        with refused("NoSuchSemaphore") as e:
            d.submit("echo", semaphores=["printer"])
        assert e["semaphore"] == "printer"


def test_wait():
    """Wait answers when the job has ended, and at once when it had before."""
    with Daemon() as d:
        id = d.submit("sleep", {"seconds": 0.1})
        assert d.call("Wait", id=id)["job"]["state"] == "succeeded"
        assert d.call("Wait", id=id, timeout_usec=0)["job"]["state"] == "succeeded"


def test_wait_timeout():
    """WaitTimeout comes in time, and says the state."""
    with Daemon() as d:
        id = d.submit("sleep", {"seconds": 50})
        d.worker_of(id)
        began = time.monotonic()
        with refused("WaitTimeout") as e:
            d.call("Wait", id=id, timeout_usec=100000)
        assert 0.09 <= time.monotonic() - began < 0.1 + slow(0.5)
        assert e == {"id": id, "state": "running"}
        with refused("WaitTimeout"):
            d.call("Wait", id=id, timeout_usec=0)
        with refused("org.varlink.service.InvalidParameter"):
            d.call("Wait", id=id, timeout_usec=-1)
        d.call("Cancel", id=id)
        d.wait(id)


def test_many_waiters():
    """Everybody who waits for a job is told."""
    with Daemon() as d:
        id = d.submit("sleep", {"seconds": 0.2})
        clients = [d.connect() for _ in range(50)]
        for c in clients:
            c.send("Wait", {"id": id})
            c.send("Wait", {"id": id})
        for c in clients:
            assert c.receive()["job"]["id"] == id
            assert c.receive()["job"]["state"] == "succeeded"
            c.close()


def test_no_such_job():
    """Every method that takes an id says NoSuchJob for one that nobody has."""
    with Daemon() as d:
        nobody = uuid7()
        for method, more in (("Wait", 0), ("Get", 0), ("Cancel", 0), ("Retry", 0)):
            with refused("NoSuchJob") as e:
                d.call(method, id=nobody)
            assert e["id"] == nobody
        with refused("NoSuchJob"):
            list(d.client.more("WaitMany", ids=[nobody]))


def test_wait_many_as_they_end():
    """WaitMany gives each job as it ends."""
    with Daemon({"diag": diag(min_workers=3)}) as d:
        seconds = [0.6, 0.1, 0.35]
        ids = [d.submit("sleep", {"seconds": s}) for s in seconds]
        got = [r["job"]["id"] for r in d.client.more("WaitMany", ids=ids)]
        assert got == [ids[1], ids[2], ids[0]]


def test_wait_many_in_order():
    """WaitMany with ordered gives them in the order of the call."""
    with Daemon({"diag": diag(min_workers=3)}) as d:
        ids = [d.submit("sleep", {"seconds": s}) for s in [0.3, 0.1, 0.2]]
        got = [r["job"]["id"] for r in d.client.more("WaitMany", ids=ids, ordered=True)]
        assert got == ids


def test_wait_many_needs_more():
    """A method marked (more) answers ExpectedMore without it."""
    with Daemon() as d:
        id = d.run("echo")["id"]
        with refused("org.varlink.service.ExpectedMore"):
            d.call("WaitMany", ids=[id])


def test_wait_many_with_failed_and_repeated_jobs():
    """WaitMany tells of ends of every kind, and of an id that stands twice, twice."""
    with Daemon() as d:
        ids = [d.submit("echo"), d.submit("fail", {"retry": False})]
        got = [r["job"] for r in d.client.more("WaitMany", ids=[*ids, ids[0]], ordered=True)]
        assert [j["id"] for j in got] == [*ids, ids[0]]
        assert [j["state"] for j in got] == ["succeeded", "failed", "succeeded"]


def test_list_filters():
    """List gives the jobs that match every filter, newest first."""
    with Daemon({"diag": diag(), "celsius": pool("celsius", "celsius.so", min_workers=1)}) as d:
        a = d.run("echo", {"x": 1}, tags=["red", "blue"])["id"]
        b = d.run("fail", {"retry": False}, tags=["red"])["id"]
        c = d.run("celsius", {"fahrenheit": 1}, tags=["green"])["id"]
        e = d.submit("echo", delay_usec=10**10)

        def ids(**filters):
            return [j["id"] for j in d.call("List", **filters)["jobs"]]

        assert ids() == [e, c, b, a]
        assert ids(state="succeeded") == [c, a]
        assert ids(state="scheduled") == [e]
        assert ids(pool="diag") == [e, b, a]
        assert ids(handler="echo") == [e, a]
        assert ids(tag="red") == [b, a]
        assert ids(tag="red", state="failed") == [b]
        assert ids(tag="nothing") == []
        assert ids(limit=2) == [e, c]
        jobs = d.call("List")["jobs"]
        assert all(j.get("result") is None and j["spec"].get("args") is None for j in jobs)
        assert jobs[3]["spec"]["tags"] == ["red", "blue"]
        d.call("Cancel", id=e)


def test_list_pages():
    """before goes on where the last page ended."""
    with Daemon() as d:
        ids = d.call("SubmitMany", jobs=[{"handler": "echo"}] * 25)["ids"]
        for id in ids:
            d.wait(id)
        got, before = [], {}
        while True:
            page = [j["id"] for j in d.call("List", limit=10, **before)["jobs"]]
            if not page:
                break
            assert len(page) <= 10
            got += page
            before = {"before": page[-1]}
        assert got == ids[::-1]


def test_keep_finished_max():
    """Of ended jobs only so many are kept, the newest."""
    with Daemon({"diag": diag()}, "[Queue]\nKeepFinishedMax=5\n") as d:
        ids = [d.run("echo")["id"] for _ in range(12)]
        until(lambda: [j["id"] for j in d.call("List")["jobs"]] == ids[:-6:-1], "five are kept")
        with refused("NoSuchJob"):
            d.get(ids[0])


def test_keep_usec():
    """A job is forgotten when its time is over."""
    with Daemon() as d:
        id = d.run("echo", keep_usec=200000)["id"]
        assert d.get(id)["state"] == "succeeded"

        def gone():
            try:
                d.get(id)
            except VarlinkError as error:
                return error.name == "NoSuchJob"
            return False
        until(gone, "the job is forgotten", 5)


def test_durability_memory():
    """durability memory and fsync are both taken; another word is not."""
    with Daemon() as d:
        for word in "memory", "fsync":
            assert d.run("echo", durability=word)["state"] == "succeeded"
        with refused("org.varlink.service.InvalidParameter") as e:
            d.submit("echo", durability="stone")
        assert "durability" in e["parameter"]


def test_a_job_keeps_what_it_was_asked():
    """Get shows the whole Spec."""
    with Daemon() as d:
        spec = {"args": {"x": [1, {"y": None}]}, "priority": 3, "max_attempts": 4,
                "timeout_usec": 5000000, "tags": ["t", "u"], "durability": "memory",
                "unique_key": "\u00fc\"key", "keep_usec": 10**9}
        id = d.run("echo", **spec)["id"]
        got = d.get(id)["spec"]
        for name, value in spec.items():
            assert got[name] == value, (name, got[name])

# SPDX-License-Identifier: MIT
"""One suite for every concurrency model and language: what a job is promised does not depend on
what a slot is, or on who wrote the handler.

MODELS is the table of models, CASES the one of what each has to do; each pair is a test. A worker
in another language, or another model, is a row of MODELS: the pool has to offer the handlers echo,
sleep, spin, fail, crash, progress and output as diag.so has them; diag.py, diag.js and diag.go do.
"""

import os
import signal
import subprocess
import sys

import languages
from harness import (HERE, Daemon, build, command_line, diag, is_sanitized, pool, refused, slow,
                     source, until, wait_gone)
from users import ALICE, BOB, Users

SLOTS = 4
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) \
    else os.path.realpath(sys.executable)
DIAG = os.path.join(HERE, "diag")
DIAG_PY = DIAG + ".py"
HANDLERS = "echo sleep spin crash fail progress output"


class Model:
    """How a pool is made whose jobs run as this model says; `shared`: several in one process;
    `loop`: and in one thread, so that who does not wait keeps all others waiting."""

    def __init__(self, shared, loop=False, **keys):
        self.shared, self.loop, self.given = shared, loop, keys

    @property
    def keys(self):
        """Those of the pool's file. A command that has to be built first is a function."""
        return {name: value() if callable(value) else value for name, value in self.given.items()}

    def daemon(self, workers=1, slots=SLOTS, **keys):
        given = {"min_workers": workers if self.shared else workers * slots, **self.keys}
        if self.shared:
            given["slots"] = slots
        conf = keys.pop("conf", "")
        given.update(keys)
        return Daemon({"diag": diag(**given)}, conf=conf)


def python(shared, **keys):
    """Workers of diag.py: within python.so, if not by another way."""
    keys["settings"] = "Alone=" + ("no" if shared else "yes")
    if "command" not in keys:
        keys.update(module="python.so", settings=keys["settings"] + "\nImport=" + DIAG_PY)
    return Model(shared, process="Environment=PYTHONPATH=%s PYTHONDONTWRITEBYTECODE=1"
                 % source("lib", "python"), **keys)


MODELS = {
    "process": Model(False),
    "spawn": Model(False, start_method="spawn"),
    "thread": Model(True, concurrency="thread"),
    "thread_spawn": Model(True, concurrency="thread", start_method="spawn"),
    "async": Model(True, True, concurrency="async"),
    "async_spawn": Model(True, True, concurrency="async", start_method="spawn"),
    "python_command": python(False, command="%s -m brood.worker %s" % (PYTHON, DIAG_PY),
                             handlers=HANDLERS),
    "python": python(False),
    "python_spawn": python(False, start_method="spawn"),
    "python_thread": python(True, concurrency="thread"),
    "python_interpreter": python(True, concurrency="subinterpreter"),
    "node": Model(False, command=lambda: languages.node(DIAG + ".js"), handlers=HANDLERS),
    "go": Model(False, command=lambda: languages.go(DIAG + ".go"), handlers=HANDLERS),
}


def attempts(job):
    return [(a["outcome"], a.get("signal")) for a in job["attempts"]]


# --- what each has to do ---

def case_results(model):
    """Results come back, each to its job, in memory and durable, one by one and many at once."""
    with model.daemon() as d:
        for durability in "memory", "fsync":
            ids = d.call("SubmitMany", jobs=[
                {"handler": "echo", "args": {"i": i}, "durability": durability}
                for i in range(300)])["ids"]
            for i, id in enumerate(ids):
                job = d.wait(id)
                assert (job["state"], job["result"]) == ("succeeded", {"i": i}), job
            assert d.run("echo", {"x": "ü"}, durability=durability)["result"] == {"x": "ü"}
        assert d.pool_status()["deaths"] == 0


def case_at_a_time(model):
    """So many run at a time as there are slots, and the next when one is free."""
    with model.daemon() as d:
        ids = [d.submit("sleep", {"seconds": 30}) for _ in range(SLOTS + 1)]
        for id in ids[:SLOTS]:
            d.await_state(id, "running")
        assert d.get(ids[-1])["state"] == "queued"
        assert d.call("Why", id=ids[-1])["reason"].startswith(
            "all %d %s of pool 'diag' are busy" % (SLOTS, "slots" if model.shared else "workers"))
        assert len({w["pid"] for w in d.workers()}) == (1 if model.shared else SLOTS)
        assert sorted(id for w in d.workers() for id in w["jobs"]) == sorted(ids[:SLOTS])
        assert all(w["state"] == "busy" for w in d.workers())
        d.call("Cancel", id=ids[0])
        d.await_state(ids[-1], "running")
        for id in ids[1:]:
            d.call("Cancel", id=id)
        for id in ids:
            assert d.wait(id)["state"] == "cancelled"
        until(lambda: all(w["state"] == "idle" for w in d.workers()), "all are idle")
        assert d.pool_status()["deaths"] == 0


def case_errors(model):
    """A handler that fails: tried again or not, as it says, with its words and details."""
    with model.daemon() as d:
        job = d.run("fail", {"message": "no ü", "retry": False, "details": {"a": 1}})
        assert (job["state"], attempts(job)) == ("failed", [("error", None)]), job
        assert (job["attempts"][0]["error"], job["result"]) == ("no ü", {"a": 1}), job
        job = d.run("fail", {"message": "again", "retry": True}, max_attempts=3)
        assert attempts(job) == [("error", None)] * 3, job
        job = d.run("sleep", {"seconds": "x"})
        assert job["state"] == "failed" and "'seconds' has to be" in job["attempts"][0]["error"]


def case_timeouts(model):
    """A job that takes too long is asked, ends, and its worker lives; its neighbours go on."""
    with model.daemon() as d:
        pids = set(d.pids())
        held = d.submit("sleep", {"seconds": 30})
        job = d.run("sleep", {"seconds": 30}, timeout_usec=100000, max_attempts=2)
        assert (job["state"], attempts(job)) == ("failed", [("timeout", None)] * 2), job
        assert d.get(held)["state"] == "running"
        d.call("Cancel", id=held)
        assert d.wait(held)["state"] == "cancelled"
        assert set(d.pids()) == pids and d.pool_status()["deaths"] == 0


def case_cancel(model):
    """Each of several that run is cancelled by itself; one that waits, too."""
    with model.daemon() as d:
        ids = [d.submit("sleep", {"seconds": 30}) for _ in range(SLOTS)]
        for id in ids:
            d.await_state(id, "running")
        waits = d.submit("echo")
        d.call("Cancel", id=waits)
        assert d.wait(waits)["state"] == "cancelled"
        for n in (2, 0, 3, 1):
            d.call("Cancel", id=ids[n])
            job = d.wait(ids[n])
            assert (job["state"], attempts(job)) == ("cancelled", [("cancelled", None)]), job
        assert d.run("echo", {"x": 1})["result"] == {"x": 1}
        assert d.pool_status()["deaths"] == 0


def case_cancel_at_once(model):
    """A cancel that the worker may read before the run is not lost: no signal has to repeat it."""
    with model.daemon(kill_after="5s") as d:
        cancel_at_once(d, "sleep", {"seconds": 30})


def cancel_at_once(d, handler, args):
    with d.connect() as c:
        for _ in range(50):
            c.send("Submit", {"job": {"handler": handler, "args": args}}, more=True)
            id = c.receive_message()["parameters"]["id"]
            d.call("Cancel", id=id)
            while c.receive_message().get("continues"):
                pass
            job = d.get(id)
            assert job["state"] == "cancelled", job
            assert attempts(job) in ([], [("cancelled", None)]), job


def case_cancel_that_is_not_heard(model):
    """A handler that does not hear: asked, it goes on while others share its worker; by force all
    fall, and each is told why."""
    with model.daemon(kill_after="100ms") as d:
        held = d.submit("sleep", {"seconds": 30}, max_attempts=5)
        deaf = d.submit("spin", {"seconds": 60})
        pid = d.worker_of(deaf)["pid"]
        d.await_state(held, "running")
        if model.shared and not model.loop:
            d.call("Cancel", id=deaf)
            assert d.run("sleep", {"seconds": 0.5})["state"] == "succeeded"
            assert d.get(deaf)["state"] == "running" and d.worker_of(deaf)["pid"] == pid
        d.call("Cancel", id=deaf, force=True)
        job = d.wait(deaf)
        assert (job["state"], attempts(job)) == ("cancelled", [("cancelled", "KILL")]), job
        d.await_state(held, "running")
        neighbour = d.get(held)["attempts"]
        if model.shared:
            assert neighbour[0]["outcome"] == "worker_died", neighbour
            assert ("its worker was ended because another job of it was cancelled (job %s)" % deaf
                    in neighbour[0]["error"]), neighbour
            assert len(neighbour) == 2, neighbour
        d.call("Cancel", id=held)


def case_hard_timeout(model):
    """One that does not hear its timeout: its worker ends, with what shares it."""
    with model.daemon(kill_after="100ms") as d:
        held = d.submit("sleep", {"seconds": 30}, max_attempts=5)
        d.await_state(held, "running")
        job = d.run("spin", {"seconds": 60}, timeout_usec=100000, max_attempts=1)
        assert (job["state"], job["attempts"][0]["outcome"]) == ("failed", "timeout"), job
        if model.shared:
            until(lambda: len(d.get(held)["attempts"]) == 2, "the neighbour is tried again")
            first = d.get(held)["attempts"][0]
            assert first["outcome"] == "worker_died" and "because another job of it timed out" \
                in first["error"], first
        d.await_state(held, "running")
        d.call("Cancel", id=held)


def case_cancel_and_timeout(model):
    """A cancel that is not heard takes nothing from the timeout."""
    with model.daemon(kill_after="100ms") as d:
        deaf = d.submit("spin", {"seconds": 60}, timeout_usec=1000000, max_attempts=1)
        d.await_state(deaf, "running")
        d.call("Cancel", id=deaf)
        job = d.wait(deaf)
        assert (job["state"], len(job["attempts"])) == ("cancelled", 1), job
        assert job["attempts"][0]["outcome"] == ("timeout" if model.shared else "cancelled"), job


def case_progress(model):
    """Progress of several at a time, each its own."""
    with model.daemon() as d:
        with d.connect() as c:
            c.send("Submit", {"job": {"handler": "progress", "args": {"steps": 50}}}, more=True)
            seen = []
            while True:
                message = c.receive_message()
                job = message["parameters"].get("job") or {}
                seen.append(job.get("progress"))
                if not message.get("continues"):
                    break
        assert job["state"] == "succeeded" and job["result"] == {"steps": 50}, job
        assert job["progress"] == 1, job


def case_output(model):
    """What each of several jobs writes is told to those who follow it, and to nobody else."""
    with model.daemon() as d:
        held = [d.submit("sleep", {"seconds": 30}) for _ in range(SLOTS - 1)]
        for id in held:
            d.await_state(id, "running")
        d.call("PausePool", pool="diag")
        ids = [d.submit("output", {"stdout": "out %d\n" % i, "stderr": "err %d\n" % i, "times": 20})
               for i in range(3)]
        followers = [d.connect() for _ in ids]
        for c, id in zip(followers, ids):
            c.send("Follow", {"id": id}, more=True)
        until(lambda: all(follows(d, id) for id in ids), "all are followed")
        d.call("ResumePool", pool="diag")
        for i, c in enumerate(followers):
            text = {"stdout": "", "stderr": ""}
            while True:
                message = c.receive_message()
                piece = message["parameters"]
                if "data" in piece:
                    text[piece["stream"]] += piece["data"]
                if not message.get("continues"):
                    break
            assert text == {"stdout": "out %d\n" % i * 20, "stderr": "err %d\n" % i * 20}, text
            c.close()
        for id in held:
            d.call("Cancel", id=id)


def follows(d, id):
    """A later call on another connection is answered: the follower's has been read."""
    return d.get(id)["state"] == "queued"


def case_crash(model):
    """One job crashes: it is told so, and is the only one to which that counts; the others are
    told that another one did, and are tried again."""
    for name in "SEGV", "ABRT", "FPE", "BUS", "ILL":
        with model.daemon(poison_deaths=1, breaker_deaths=0) as d:
            held = [d.submit("sleep", {"seconds": 30}, max_attempts=2) for _ in range(SLOTS - 1)]
            for id in held:
                d.await_state(id, "running")
            job = d.run("crash", {"signal": name})
            assert (job["state"], attempts(job)) == ("quarantined", [("worker_died", name)]), job
            words = job["attempts"][0]["error"]
            if model.shared:
                assert words.startswith("its handler crashed: SIG" + name), words
                assert "diag: crash by " + name in job["attempts"][0]["stderr_tail"], job
            for id in held:
                until(lambda id=id: len(d.get(id)["attempts"]) == (2 if model.shared else 1)
                      and d.get(id)["state"] == "running", "it runs again")
                if not model.shared:
                    continue
                first = d.get(id)["attempts"][0]
                assert first["outcome"] == "worker_died" and first["error"].startswith(
                    "another job of its worker crashed: SIG%s (job %s)" % (name, job["id"])), first
                assert "stderr_tail" not in first, first
            for id in held:
                d.call("Cancel", id=id)
            assert d.pool_status()["deaths"] == 1


def case_killed_from_outside(model):
    """kill -9: nobody's fault that anybody knew; all are tried again."""
    with model.daemon(workers=2) as d:
        ids = [d.submit("sleep", {"seconds": 30}) for _ in range(SLOTS)]
        for id in ids:
            d.await_state(id, "running")
        victim = d.worker_of(ids[0])
        os.kill(victim["pid"], signal.SIGKILL)
        for id in victim["jobs"]:
            until(lambda id=id: len(d.get(id)["attempts"]) == 2, "the second attempt")
            a = d.get(id)["attempts"][0]
            assert (a["outcome"], a["signal"]) == ("worker_died", "KILL"), a
            if len(victim["jobs"]) > 1:
                assert "with one of %d jobs that it had" % len(victim["jobs"]) in a["error"], a
        for id in ids:
            d.await_state(id, "running")
            d.call("Cancel", id=id)


def case_retry(model):
    """Jobs that kill their workers again and again are quarantined; their neighbours are not."""
    with model.daemon(poison_deaths=2, breaker_deaths=0) as d:
        held = d.submit("sleep", {"seconds": 30}, max_attempts=50)
        job = d.run("crash", {}, max_attempts=9)
        assert (job["state"], len(job["attempts"])) == ("quarantined", 2), job
        job = d.run("crash", {}, max_attempts=9)
        assert (job["state"], len(job["attempts"])) == ("quarantined", 2), job
        assert d.await_state(held, "running")["state"] == "running"
        d.call("Retry", id=job["id"])
        assert d.wait(job["id"])["state"] == "quarantined"
        d.call("Cancel", id=held)
        assert d.wait(held)["state"] == "cancelled"


def case_orphan(model):
    """The daemon is killed in the middle: nothing of it is left, and the jobs are tried again."""
    with model.daemon() as d:
        ids = [d.submit("sleep", {"seconds": 0.2}, durability="fsync", max_attempts=3)
               for _ in range(SLOTS)]
        for id in ids:
            d.await_state(id, "running")
        tree = d.tree()
        d.kill()
        wait_gone(tree)
        d.start()
        for id in ids:
            job = d.wait(id)
            assert (job["state"], job["attempts"][0]["outcome"]) == \
                ("succeeded", "supervisor_died"), job


def case_drain(model):
    """A stop waits for all that run, and starts nothing more."""
    with model.daemon() as d:
        ids = [d.submit("sleep", {"seconds": 0.5}, durability="fsync") for _ in range(SLOTS)]
        for id in ids:
            d.await_state(id, "running")
        late = d.submit("echo", {"late": 1}, durability="fsync")
        with d.connect() as c:
            c.send("Drain")
            c.receive_message()
            for id in ids:
                assert c.call("Get", id=id)["job"]["state"] == "succeeded"
            assert c.call("Get", id=late)["job"]["state"] == "queued"
            c.call("Resume")
        assert d.wait(late)["state"] == "succeeded"


def case_restart(model):
    """RestartPool: new workers take over, what runs ends in the old ones."""
    with model.daemon() as d:
        old = set(d.pids())
        ids = [d.submit("sleep", {"seconds": 0.5}) for _ in range(SLOTS)]
        for id in ids:
            d.await_state(id, "running")
        d.call("RestartPool", pool="diag")
        assert d.run("echo")["attempts"][0]["pid"] not in old
        for id in ids:
            job = d.wait(id)
            assert job["state"] == "succeeded" and job["attempts"][0]["pid"] in old, job
        until(lambda: not old & set(d.pids()), "the old ones are gone")
        assert d.pool_status()["deaths"] == 0


def case_recycling(model):
    """Workers that have done enough are replaced, and no job is lost."""
    with model.daemon(recycle_jobs=20) as d:
        ids = d.call("SubmitMany", jobs=[{"handler": "sleep", "args": {"seconds": 0.002}}
                                         for _ in range(200)])["ids"]
        for id in ids:
            job = d.wait(id)
            assert (job["state"], len(job["attempts"])) == ("succeeded", 1), job
        until(lambda: d.pool_status()["recycled"] >= 1, "one is replaced")
        assert d.pool_status()["deaths"] == 0


def case_ondemand(model):
    """Scaling=ondemand counts slots: one worker for as many jobs as it has."""
    with Daemon({"diag": diag(scaling="ondemand", max_workers=SLOTS * 2, idle_timeout="100ms",
                              **model.keys, **({"slots": SLOTS} if model.shared else {}))},
                ready=False) as d:
        d.await_socket()
        ids = d.call("SubmitMany", jobs=[{"handler": "sleep", "args": {"seconds": 0.5}}
                                         for _ in range(SLOTS)])["ids"]
        until(lambda: d.status()["jobs"]["running"] == SLOTS, "all run")
        assert len(d.workers()) == (1 if model.shared else SLOTS)
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        until(lambda: not d.workers(), "none is left")


CASES = {name[len("case_"):]: case for name, case in list(globals().items())
         if name.startswith("case_")}


def make_test(name, model, case):
    def test():
        case(model)
    test.__name__ = "test_%s_%s" % (name, case.__name__[len("case_"):])
    test.__doc__ = "%s: %s" % (name, case.__doc__)
    return test


def make_tests():
    """One for each pair, for run.py to find."""
    for name, model in MODELS.items():
        for case in CASES.values():
            test = make_test(name, model, case)
            globals()[test.__name__] = test


make_tests()


# --- of some of them ---

def test_jobs_are_spread_over_workers():
    """With several slots each, half of the jobs go to each of two workers."""
    with MODELS["thread"].daemon(workers=2) as d:
        ids = [d.submit("sleep", {"seconds": 30}) for _ in range(SLOTS)]
        for id in ids:
            d.await_state(id, "running")
        assert sorted(len(w["jobs"]) for w in d.workers()) == [SLOTS // 2] * 2
        for id in ids:
            d.call("Cancel", id=id)


def test_as_many_threads_as_can_be():
    """Slots=128, by fork and as an image of its own."""
    for method in "forkserver", "spawn":
        with Daemon({"diag": diag(concurrency="thread", slots=128, min_workers=1,
                                  start_method=method)}) as d:
            ids = d.call("SubmitMany", jobs=[{"handler": "sleep", "args": {"seconds": 30}}] * 130,
                         )["ids"]
            until(lambda: d.status()["jobs"]["running"] == 128, "all slots are busy", 30)
            for id in ids:
                d.call("Cancel", id=id)
            for id in ids:
                assert d.wait(id)["state"] == "cancelled"


def refusal(text, env=None):
    """What broodd, check-config and a reload say of a pool file."""
    said = []
    d = Daemon({"diag": text}, start=False)
    environment = {**d.environment(), **(env or {})}
    done = subprocess.run([build("daemon", "ctl", "broodctl"), "check-config", d.path("config")],
                          env=environment, capture_output=True, text=True, timeout=slow(20))
    said.append((done.returncode, done.stderr))
    done = subprocess.run(d.command(), env=environment, capture_output=True, text=True,
                          timeout=slow(20), stdin=subprocess.DEVNULL)
    said.append((done.returncode, done.stderr))
    d.end()
    with Daemon({"diag": diag()}) as d:
        d.write_pool("diag", text)
        with refused("ConfigInvalid") as e:
            d.call("Reload")
        said.append((1, "%s:%d: %s" % (e["file"], e["line"], e["message"])))
        assert d.run("echo")["state"] == "succeeded"
    return said


def test_a_module_that_is_not_thread_safe():
    """It is refused with file, line and words: at start, by check-config, at a reload."""
    text = "[Pool]\nModule=moods.so\nMinWorkers=1\nConcurrency=thread\nSlots=2\n"
    for status, words in refusal(text):
        assert status == 1, words
        assert "diag.pool:4: Concurrency=thread: expected process, since module moods does not " \
            "declare that it is thread-safe (BROOD_THREAD_SAFE)" in words, words


def test_a_module_without_interpreters():
    text = "[Pool]\nModule=diag.so\nMinWorkers=1\nConcurrency=subinterpreter\nSlots=2\n"
    for status, words in refusal(text):
        assert status == 1, words
        assert "diag.pool:4: Concurrency=subinterpreter: expected process or thread, since module" \
            " diag has no interpreters" in words, words


def test_other_users_jobs_are_not_named():
    """A neighbour of another user is told that a job crashed, and not which; and nobody is shown
    words that may be another's."""
    pools = {"diag": diag(concurrency="thread", slots=SLOTS, min_workers=1)}
    with Users(pools, conf="[Access]\nSubmit=*\n") as d, d.connect_as(ALICE) as alice, \
            d.connect_as(BOB) as bob:
        held = alice.call("Submit", job={"handler": "sleep", "args": {"seconds": 30}})["id"]
        d.await_state(held, "running")
        job = bob.call("Submit", job={"handler": "crash", "args": {}, "max_attempts": 1},
                       wait=True)["job"]
        assert "stderr_tail" not in job["attempts"][0], job
        until(lambda: len(d.get(held)["attempts"]) == 2, "it is tried again")
        words = alice.call("Get", id=held)["job"]["attempts"][0]["error"]
        assert words.startswith("another job of its worker crashed: SIGSEGV; worker diag.0"), words
        assert job["id"] not in words
        alice.call("Cancel", id=held)


def test_a_handler_without_the_function_that_is_called():
    """Only `run` in an async pool, only `start` in another one: refused; Handlers= may leave it
    out."""
    head = "[Pool]\nModule=loops.so\nMinWorkers=1\nSpareWorkers=0\n"
    cases = [
        (head + "Concurrency=async\nSlots=2\n",
         "diag.pool:5: Concurrency=async: expected process or thread, or other Handlers=, since "
         "handler 'plain' of module loops has only a run function (brood/async.h)"),
        (head + "Concurrency=async\nHandlers=child plain\n",
         "diag.pool:5: Concurrency=async: expected process or thread, or other Handlers=, since "
         "handler 'plain'"),
        (head + "Handlers=child\n",
         "diag.pool:5: Concurrency=process: expected async, since handler 'child' of module loops "
         "has only a start function (brood/async.h)"),
    ]
    for text, expected in cases:
        for status, words in refusal(text):
            assert status == 1 and expected in words, words
    with Daemon({"loops": head + "Handlers=plain\n"}) as d:
        assert d.run("plain")["state"] == "succeeded"


WAITING = "child pipe base twice deaf stuck forks"


def waiting(slots=8, **keys):
    return {"loops": pool(WAITING, "loops.so", concurrency="async", slots=slots, min_workers=1,
                          spare_workers=0, kill_after="200ms", backoff="10ms", **keys)}


def test_a_hundred_at_a_time():
    """Slots=100: a hundred jobs sleep in one worker, in one thread."""
    with Daemon({"diag": diag(concurrency="async", slots=100, min_workers=1)}) as d:
        pid = d.pids()[0]
        ids = d.call("SubmitMany", jobs=[{"handler": "sleep", "args": {"seconds": 1}}] * 100)["ids"]
        until(lambda: d.status()["jobs"]["running"] == 100, "all run")
        assert len(os.listdir("/proc/%d/task" % pid)) == 2  # the loop's, and the one that watches
        for id in ids:
            job = d.wait(id)
            assert (job["state"], job["attempts"][0]["pid"]) == ("succeeded", pid), job
        first = min(job["attempts"][0]["ended_usec"] for job in map(d.get, ids))
        last = max(job["attempts"][0]["started_usec"] for job in map(d.get, ids))
        assert last < first, "all were in flight at once"


def test_what_a_job_can_wait_for():
    """Child processes, descriptors, timers, events of its own; many at once."""
    with Daemon(waiting()) as d:
        jobs = []
        for i in range(10):
            jobs += [({"argv": ["/bin/sh", "-c", "exit %d" % i]}, "child",
                      {"status": i << 8, "ours": True}),
                     ({"text": "hello %d" % i}, "pipe", {"read": "hello %d" % i}),
                     ({}, "base", {"own": True}), ({}, "twice", {"at": "once"}),
                     ({"seconds": 0.01}, "deaf", {})]
        ids = [d.submit(handler, args) for args, handler, _ in jobs]
        for id, (args, handler, expected) in zip(ids, jobs):
            job = d.wait(id)
            assert (job["state"], job["result"]) == ("succeeded", expected), (args, job)
        assert d.pool_status("loops")["deaths"] == 0


def test_a_fork_that_returns_ends():
    """At once, and not with its job: it would wait in the loop of its parent."""
    with Daemon(waiting()) as d:
        for _ in range(5):
            assert d.run("forks")["state"] == "succeeded"
            assert d.run("child", {"argv": ["/bin/true"]})["state"] == "succeeded"
        words = "a fork of worker loops.0 has returned from its handler"
        until(lambda: d.log().count(words) == 5, "all have ended")
        assert d.pool_status("loops")["deaths"] == 0


def test_a_cancel_finds_its_slot():
    """One that comes when its run begins, in whichever of many slots."""
    keys = dict(concurrency="thread", slots=64, min_workers=1, spare_workers=0, kill_after="60s")
    with Daemon({"work": diag(**keys)}) as d, d.connect() as c:
        for _ in range(200 if is_sanitized() else 1500):
            c.send("Submit", {"job": {"handler": "sleep", "args": {"seconds": 60}}}, more=True)
            id = c.receive_message()["parameters"]["id"]
            d.call("Cancel", id=id)
            while c.receive_message().get("continues"):
                pass
            assert d.get(id)["state"] == "cancelled", d.get(id)


def test_a_cancel_is_an_event():
    """A job that waits for a child hears of its cancel, and ends it; one that asked not to hear
    goes on."""
    with Daemon(waiting()) as d:
        deaf = d.submit("deaf", {"seconds": 1})
        held = d.submit("child", {"argv": ["/bin/sleep", "30"]})
        d.await_state(held, "running")
        until(lambda: any("sleep 30" in c for c in map(command_line, d.tree())), "the child")
        d.call("Cancel", id=held)
        job = d.wait(held)
        assert (job["state"], job["attempts"][0]["outcome"]) == ("cancelled", "cancelled"), job
        assert job["attempts"][0]["error"] == "cancelled: its child ended with %d" % signal.SIGTERM
        d.await_state(deaf, "running")
        d.call("Cancel", id=deaf)
        assert d.wait(deaf)["state"] == "succeeded"
        assert not any("sleep 30" in c for c in map(command_line, d.tree()))


def test_a_timeout_is_an_event_too():
    with Daemon(waiting()) as d:
        job = d.run("child", {"argv": ["/bin/sleep", "30"]}, timeout_usec=100000, max_attempts=1)
        assert job["attempts"][0]["outcome"] == "timeout", job
        assert d.pool_status("loops")["deaths"] == 0


def test_whose_callback_crashed():
    """In a callback that the worker calls, the job is known; in one of the loop's own, nobody is
    blamed alone."""
    with Daemon(waiting(poison_deaths=1, breaker_deaths=0)) as d:
        held = d.submit("deaf", {"seconds": 30}, max_attempts=9)
        d.await_state(held, "running")
        job = d.run("stuck", {"seconds": 0.05})
        assert job["state"] == "quarantined", job
        assert job["attempts"][0]["error"].startswith("its handler crashed: SIGABRT"), job
        until(lambda: len(d.get(held)["attempts"]) == 2, "the other one is tried again")
        assert d.get(held)["attempts"][0]["error"].startswith("another job of its worker crashed")
        d.await_state(held, "running")
        job = d.run("base", {"crash": True}, max_attempts=1)
        assert job["attempts"][0]["error"].endswith("with one of 2 jobs that it had"), job
        assert d.wait(held)["state"] == "quarantined"


def test_fork_servers_have_no_loop():
    """libevent is where the jobs wait, and nowhere above."""
    def has_libevent(pid):
        with open("/proc/%d/maps" % pid, encoding="ascii") as f:
            return "libevent" in f.read()
    with Daemon({"diag": diag(concurrency="async", slots=2, min_workers=1)}) as d:
        assert not any(map(has_libevent, d.fork_servers()))
        assert all(map(has_libevent, d.pids()))


def test_a_module_of_the_first_abi():
    """Its table has no start functions: it is read as it was written."""
    elder = "[Pool]\nModule=elder.so\nMinWorkers=1\nSpareWorkers=0\n"
    for text in elder, elder + "Concurrency=thread\nSlots=2\n", elder + "StartMethod=spawn\n":
        with Daemon({"elder": text}) as d:
            assert d.run("elder")["result"] == {"n": 1}
            assert d.run("elder2")["result"] == {"n": 2}
    for status, words in refusal(elder + "Concurrency=async\n"):
        assert status == 1 and "Concurrency=async: expected process" in words, words


SEVERAL = r"""
import json, os, socket, sys, threading, time
door = socket.socket(fileno=3)

def serve(c):
    data = b""
    while True:
        while b"\0" in data:
            text, _, data = data.partition(b"\0")
            call = json.loads(text)
            method, p = call["method"].rpartition(".")[2], call.get("parameters", {})
            if method == "Prepare":
                out = {"handlers": p["handlers"]}
            elif method == "Run":
                time.sleep(p["args"].get("seconds", 0))
                out = {"result": {"thread": threading.get_native_id()}}
            else:
                out = {}
            c.sendall(json.dumps({"parameters": out}).encode() + b"\0")
            if method == "Leave":
                os._exit(0)
        more = c.recv(65536)
        if not more:
            os._exit(0)
        data += more

while True:
    threading.Thread(target=serve, args=(door.accept()[0],)).start()
"""


def test_a_command_with_several_slots():
    """It gets a connection for each slot, and serves them at the same time if it can."""
    with Daemon(start=False) as d:
        path = d.write("several.py", SEVERAL)
        d.write_pool("diag", pool("nap", command="%s %s" % (sys.executable, path), slots=3,
                                  concurrency="thread", min_workers=1, spare_workers=0))
        d.start()
        ids = [d.submit("nap", {"seconds": 0.5}) for _ in range(3)]
        until(lambda: d.status()["jobs"]["running"] == 3, "all run")
        jobs = [d.wait(id) for id in ids]
        assert all(job["state"] == "succeeded" for job in jobs), jobs
        assert len({job["result"]["thread"] for job in jobs}) == 3
        assert len({job["attempts"][0]["pid"] for job in jobs}) == 1

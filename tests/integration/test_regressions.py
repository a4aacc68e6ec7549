# SPDX-License-Identifier: MIT
"""What a review found, on the side of the workers: lines, signals, deaths, changes of pools.

Each of these failed once; see docs/decisions/ for the reasons behind some of them.
"""

import contextlib
import os
import re
import resource
import signal
import time

from harness import *
from test_exec import read_pid
from test_pools import PYTHON


def moods(**keys):
    """A pool of the moods module."""
    given = {"module": "moods.so", "min_workers": 1, "spare_workers": 0, "kill_after": "200ms",
             "backoff": "10ms"}
    given.update(keys)
    return pool(**given)


def unruly(d, **keys):
    """A pool of unruly.py."""
    given = {"command": "%s %s %s" % (PYTHON, os.path.join(HERE, "unruly.py"), d.directory),
             "handlers": "add drag shut", "min_workers": 1, "spare_workers": 0,
             "kill_after": "200ms", "backoff": "10ms"}
    given.update(keys)
    return pool(**given)


def touch(path):
    with open(path, "w", encoding="ascii"):
        pass


def wait_many(d, ids, **keys):
    with d.connect(60) as c:
        return [r["job"] for r in c.more("WaitMany", ids=ids, **keys)]


def doze(seconds=0, **spec):
    return {"handler": "doze", "args": {"seconds": seconds} if seconds else {}, **spec}


def make_quick(d, n=400):
    """Runs of no time at all, so that doze is known as quick and is written ahead."""
    ids = d.call("SubmitMany", jobs=[doze()] * n)["ids"]
    assert {j["state"] for j in wait_many(d, ids)} == {"succeeded"}


def ran(job):
    """Seconds that the last attempt took."""
    last = job["attempts"][-1]
    return (last["ended_usec"] - last["started_usec"]) / 1e6


def test_a_recalled_run_that_comes_back():
    """A run that was recalled and comes back to the same worker runs to its end."""
    with Daemon({"moods": moods()}) as d:
        for _ in range(2):
            make_quick(d)
            first, second = d.call("SubmitMany", jobs=[doze(0.3), doze(1)])["ids"]
            assert d.wait(first)["state"] == "succeeded"
            job = d.wait(second)
            assert job["state"] == "succeeded" and ran(job) >= 0.99, job
            assert len(job["attempts"]) == 1, job


def test_a_sigterm_hits_no_other_job():
    """A worker that answers at SIGTERM and exits later takes no other job with it."""
    with Daemon({}, start=False) as d:
        d.write_pool("work", unruly(d))
        d.start()
        first = d.submit("drag")
        until(lambda: os.path.exists(d.path(first)), "it runs")
        pid = d.worker_of(first)["pid"]
        second = d.submit("add", {"a": 1, "b": 2})
        d.call("Cancel", id=first)
        job = d.wait(second)
        assert job["state"] == "succeeded" and job["result"]["sum"] == 3, job
        assert job["result"]["pid"] != pid, job
        assert d.wait(first)["state"] in ("succeeded", "cancelled")
        wait_gone([pid])


def cancel_among_neighbours(force):
    """Cancels a job whose answer its worker still holds, while the next one runs: nobody else is
    touched."""
    with Daemon({"moods": moods(poison_deaths=0)}) as d:
        for round in range(20):
            make_quick(d)
            jobs = [doze(), doze(0.1), *[doze()] * 5]
            first, *rest = d.call("SubmitMany", jobs=jobs)["ids"]
            time.sleep(round % 4 * 0.0005)  # the moment is the case, not a wait
            with contextlib.suppress(VarlinkError):
                d.call("Cancel", id=first, force=force)
            job = d.wait(first)
            assert job["state"] in ("succeeded", "cancelled"), (round, job)
            for id in rest:
                job = d.wait(id)
                begun = [a for a in job["attempts"] if a["outcome"] != "shutdown"]
                assert job["state"] == "succeeded" and len(begun) == 1, (round, job)


@limit(120)
def test_a_forced_cancel_among_neighbours():
    """A forced cancel may take its worker, but none of the jobs that were on the line with it."""
    cancel_among_neighbours(True)


def test_a_cancel_among_neighbours():
    """One that asks does not touch them."""
    cancel_among_neighbours(False)


def test_a_death_that_the_fork_server_never_tells():
    """A worker dies while its fork server is stopped, and then that one: the job is retried."""
    with Daemon() as d:
        id = d.submit("sleep", {"seconds": 0.3})
        worker = d.worker_of(id)
        server, = d.fork_servers()
        os.kill(server, signal.SIGSTOP)
        os.kill(worker["pid"], signal.SIGKILL)
        until(lambda: not alive(worker["pid"]), "it is dead")
        os.kill(server, signal.SIGKILL)
        job = d.wait(id)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 2, job
        assert job["attempts"][0]["outcome"] == "worker_died", job
        until(lambda: d.pool_status()["idle"] == 2, "all is as before")


def test_a_fork_server_dies_with_the_last_words():
    """The fork server reaps a worker and dies before it can tell: the job is retried."""
    with Daemon(start=False) as d:
        fuse = d.path("last-words")
        d.env.update(LD_PRELOAD=build("tests", "integration", "lastwords.so"),
                     BROOD_LAST_WORDS=fuse)
        if SANITIZED:  # its runtime wants to be the first of all libraries
            os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [
                os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        d.start()
        id = d.submit("sleep", {"seconds": 0.3})
        worker = d.worker_of(id)
        server, = d.fork_servers()
        touch(fuse)
        os.kill(worker["pid"], signal.SIGKILL)
        job = d.wait(id)
        assert not os.path.exists(fuse) and not alive(server)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 2, job
        first = job["attempts"][0]
        assert first["outcome"] == "worker_died" and first["pid"] == worker["pid"], first
        until(lambda: d.pool_status()["idle"] == 2 and len(d.tree()) == 3, "all is as before")


def test_arguments_of_nearly_a_message():
    """Arguments that fit the client's message only just do not kill the workers."""
    with Daemon(conf="[Queue]\nMaxMessageSize=16K\nMaxArgsSize=1M\n") as d:
        pids = d.pids()
        for size in [*range(16000, 16300, 50), *range(16300, 16385, 4)]:
            args = {"seconds": 0, "pad": ""}
            args["pad"] = "x" * (size - len('{"seconds": 0, "pad": ""}'))
            with d.connect() as c:
                try:
                    id = c.call("Submit", job={"handler": "sleep", "args": args})["id"]
                except VarlinkError as error:
                    assert error.name == "TooLarge" and size > 16200, (size, error)
                    continue
                assert c.call("Wait", id=id)["job"]["state"] == "succeeded", size
        assert d.pids() == pids and d.pool_status()["deaths"] == 0


def test_a_result_that_is_too_large():
    """A result larger than a message fails its job once, says so, and costs no worker."""
    with Daemon({"diag": diag(min_workers=1), "moods": moods()},
                "[Queue]\nMaxMessageSize=16K\nMaxArgsSize=1M\n") as d:
        pids = d.pids()
        failed = 0
        for size in [*range(15600, 16250, 25), 100000, 3000000]:
            if size < 16384:
                job = d.run("echo", {"x": "y" * size})
            else:
                job = d.run("swell", {"bytes": size})
            if job["state"] != "succeeded":
                failed += 1
                attempt, = job["attempts"]
                assert job["state"] == "failed" and attempt["outcome"] == "error", job
                assert "MaxMessageSize" in attempt["error"], attempt
        assert failed >= 2
        assert d.pids() == pids
        assert not any(p["deaths"] for p in d.status()["pools"])
        assert d.run("echo", {"x": 1})["result"] == {"x": 1}


def hanging(d, **keys):
    """A pool whose init waits while the file `hang` is there."""
    return moods(settings="\n".join(["hang=" + d.path("hang"), keys.pop("settings", "")]), **keys)


def test_a_module_that_hangs_at_start():
    """An init that does not return within StartTimeout= ends the daemon with an error."""
    with Daemon({}, start=False) as d:
        touch(d.path("hang"))
        d.write_pool("moods", hanging(d, start_timeout="500ms"))
        d.start(ready=False)
        assert d.wait_exit(5) not in (0, None)
        d.reader.join()
        assert re.search(r"<3>.*moods\.pool", d.log()) and "StartTimeout=" in d.log(), d.log()
        d.prove_clean()


def kill_the_one_that_hangs(d, before):
    """The fork server that loads the module is killed; whoever comes after it does not hang."""
    until(lambda: "moods: init waits" in d.log(), "its init waits")
    victim, = [p for p in children(d.pid) if p not in before and "forkserver" in command_line(p)]
    os.unlink(d.path("hang"))
    os.kill(victim, signal.SIGKILL)


def test_a_fork_server_that_is_killed_while_it_loads_at_start():
    """That says nothing of the config: another one loads the module, and the daemon starts."""
    with Daemon({}, start=False) as d:
        touch(d.path("hang"))
        d.write_pool("moods", hanging(d))
        d.start(ready=False)
        kill_the_one_that_hangs(d, [])
        d.await_socket()
        until(lambda: d.status()["state"] == "running", "it runs")
        assert d.run("mood")["state"] == "succeeded"


def test_a_fork_server_that_is_killed_while_it_loads_at_reload():
    """Nor is the new config refused for it."""
    with Daemon({"diag": diag()}) as d, d.connect() as c:
        touch(d.path("hang"))
        before = children(d.pid)
        d.write_pool("moods", hanging(d))
        c.send("Reload")
        kill_the_one_that_hangs(d, before)
        c.receive()
        assert d.run("mood")["state"] == "succeeded"


def test_a_module_that_hangs_at_reload():
    """At a reload it is ConfigInvalid, what was in force stays, and the next reload works."""
    with Daemon({"diag": diag()}) as d:
        pids = d.pids()
        touch(d.path("hang"))
        d.write_pool("moods", hanging(d, start_timeout="500ms"))
        with refused("ConfigInvalid") as e:
            d.call("Reload")
        assert e["file"].endswith("moods.pool") and e["message"], e
        assert [p["name"] for p in d.status()["pools"]] == ["diag"] and d.pids() == pids
        assert d.run("echo")["state"] == "succeeded"
        os.unlink(d.path("hang"))
        d.call("Reload")
        assert d.run("mood")["state"] == "succeeded" and d.pids("diag") == pids


def test_sigterm_while_a_module_hangs_at_start():
    """SIGTERM ends a daemon that waits for a module, long before StartTimeout=."""
    with Daemon({}, start=False) as d:
        touch(d.path("hang"))
        d.write_pool("moods", hanging(d, start_timeout="1min"))
        d.start(ready=False)
        d.wait_log("init waits")
        d.stop(seconds=5)


def test_sigterm_while_a_module_hangs_at_reload():
    """The same in the middle of a reload."""
    with Daemon({"diag": diag()}) as d, d.connect() as c:
        touch(d.path("hang"))
        d.write_pool("moods", hanging(d, start_timeout="1min"))
        c.send("Reload")
        d.wait_log("init waits")
        d.stop(seconds=5)


def test_a_fork_server_that_hangs_is_given_up():
    """A restart that hangs, and is overtaken by a reload, leaves no fork server behind."""
    with Daemon({}, start=False) as d, contextlib.ExitStack() as stack:
        d.write_pool("moods", hanging(d, start_timeout="500ms"))
        d.start()
        touch(d.path("hang"))
        at = len(d.lines)
        stack.enter_context(d.connect()).send("RestartPool", {"pool": "moods"})
        d.wait_log("init waits", start=at)
        hangs, = set(d.fork_servers()) - {parent_of(d.pids()[0])}
        d.write_pool("moods", moods(settings="mood=new"))
        d.call("Reload")
        until(lambda: d.run("mood")["result"]["mood"] == "new", "the new ones are there")
        wait_gone([hangs], 3)


def test_a_handler_moves_while_its_job_runs():
    """A job that runs while its handler goes to another pool is tried again by that one."""
    with Daemon({"old": moods(handlers="fumble mood")}) as d:
        file = d.path("go")
        id = d.submit("fumble", {"file": file}, max_attempts=3)
        worker = d.worker_of(id)
        d.write_pool("old", moods(handlers="mood"))
        d.write_pool("new", moods(handlers="fumble"))
        d.call("Reload")
        touch(file)
        job = d.wait(id)
        assert job["state"] == "succeeded" and job["pool"] == "new", job
        first, second = job["attempts"]
        assert first["outcome"] == "error" and first["pid"] == worker["pid"], first
        assert second["worker"] == "new.0" and second["pid"] in d.pids("new"), second


@alone
@limit(120)
def test_an_answer_does_not_wait_for_the_next_run():
    """What has ended is answered at once, whatever runs behind it."""
    with Daemon({"moods": moods()}) as d:
        for _ in range(5):
            make_quick(d)
            first, second = d.call("SubmitMany", jobs=[doze(), doze(2)])["ids"]
            began = time.monotonic()
            assert d.wait(first)["state"] == "succeeded"
            assert time.monotonic() - began < slow(0.5), time.monotonic() - began
            d.await_state(second, "running")
            d.call("Cancel", id=second)
            assert d.wait(second)["state"] == "cancelled"


def test_a_leaving_worker_closes_its_slot():
    """A worker that is to leave and closes its slot in the middle of a job does not live on."""
    with Daemon({}, start=False) as d:
        d.write_pool("work", unruly(d))
        d.start()
        file = d.path("go")
        id = d.submit("shut", {"file": file}, max_attempts=3)
        worker = d.worker_of(id)
        d.call("RestartPool", pool="work")
        touch(file)
        job = d.wait(id)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 2, job
        assert job["attempts"][0]["outcome"] == "worker_died", job
        assert job["result"]["pid"] != worker["pid"] and not alive(worker["pid"])
        until(lambda: len(d.workers()) == 1, "only the new one is there")


def test_a_pool_is_removed_while_it_restarts():
    """RestartPool of a pool that a reload removes is answered, and nothing is left of the call."""
    with Daemon({"diag": diag()}, start=False) as d:
        d.write_pool("moods", hanging(d, start_timeout="2s"))
        d.start()
        with d.connect() as restart, d.connect() as gone, d.connect() as reload:
            touch(d.path("hang"))
            at = len(d.lines)
            restart.send("RestartPool", {"pool": "moods"})
            d.wait_log("init waits", start=at)
            gone.send("RestartPool", {"pool": "moods"})
            d.wait_log("restart asked for", start=at)
            d.call("Status")
            gone.close()
            os.unlink(d.path("config/pools/moods.pool"))
            reload.send("Reload")
            d.call("Status")
            os.unlink(d.path("hang"))
            reload.receive()
            try:
                restart.receive()
            except VarlinkError as error:
                assert error.name in ("NoSuchPool", "ConfigInvalid"), error
            restart.close()
            until(lambda: [p["name"] for p in d.status()["pools"]] == ["diag"], "it is gone")
            assert d.run("echo")["state"] == "succeeded"


def test_a_pool_is_removed_while_its_restart_hangs():
    """So is it where the new fork server never gets ready."""
    with Daemon({"diag": diag()}, start=False) as d:
        d.write_pool("moods", hanging(d, start_timeout="1s"))
        d.start()
        with d.connect() as restart, d.connect() as reload:
            touch(d.path("hang"))
            at = len(d.lines)
            restart.send("RestartPool", {"pool": "moods"})
            d.wait_log("init waits", start=at)
            os.unlink(d.path("config/pools/moods.pool"))
            reload.send("Reload")
            try:
                restart.receive()
                raise AssertionError("there was nothing to restart")
            except VarlinkError as error:
                assert error.name in ("NoSuchPool", "ConfigInvalid"), error
            reload.receive()
            restart.close()
            until(lambda: [p["name"] for p in d.status()["pools"]] == ["diag"], "it is gone")
            assert d.run("echo")["state"] == "succeeded"


def test_two_pools_offer_one_handler_at_start():
    """Two modules that share a handler, in pools without Handlers=: an error that names it."""
    with Daemon({"one": diag(), "two": diag()}, ready=False) as d:
        assert d.wait_exit(10) == 1
        d.reader.join()
        assert re.search(r"(one|two)\.pool:\d+: .*'(echo|sleep|spin|crash)'", d.log()), d.log()
        d.prove_clean()


def test_two_pools_offer_one_handler_at_reload():
    """The same at a reload is ConfigInvalid; a pool without Handlers= keeps its workers."""
    with Daemon({"one": diag()}) as d:
        pids = d.pids()
        d.call("Reload")
        assert d.pids() == pids
        for handlers in None, "echo":
            d.write_pool("two", diag(handlers=handlers))
            with refused("ConfigInvalid") as e:
                d.call("Reload")
            assert re.search(r"/(one|two)\.pool$", e["file"]) and "'echo'" in e["message"], e
            assert d.pids() == pids and d.run("echo")["state"] == "succeeded"
        d.write_pool("two", moods())
        d.call("Reload")
        assert d.pids("one") == pids
        assert d.run("mood")["state"] == d.run("echo")["state"] == "succeeded"


def test_the_last_words_are_of_the_job():
    """stderr_tail of a death has nothing of what an earlier job wrote."""
    with Daemon({"moods": moods(), "diag": diag(min_workers=1)}) as d:
        for round in range(10):
            assert d.run("whisper", {"text": "secret %d" % round})["state"] == "succeeded"
            id = d.submit("fumble", {"file": d.path("never")}, max_attempts=1)
            d.await_state(id, "running")
            os.kill(d.worker_of(id)["pid"], signal.SIGKILL)
            attempt, = d.wait(id)["attempts"]
            assert attempt["outcome"] == "worker_died", attempt
            assert "secret" not in (attempt.get("stderr_tail") or ""), (round, attempt)
        job = d.run("crash", {"signal": "ABRT"}, max_attempts=1)
        assert "diag: crash by ABRT" in job["attempts"][0]["stderr_tail"], job


def test_attached_descriptors_reach_their_own_job():
    """What comes with an attached job never reaches another one, in whatever order they run."""
    with Daemon({"exec": commands(min_workers=1)}) as d, d.connect() as c, d.steady_descriptors():
        for trial in range(40):
            own, ids, ends = "own %d\n" % trial, [], []
            jobs = [{"handler": "exec", "args": {"argv": ["/nonexistent"]}}] * (20 + trial % 7)
            jobs += [{"handler": "exec", "args": {"argv": ["echo", "secret"]}}]
            jobs += [dict(jobs[0])] * (trial % 3)
            c.send("SubmitMany", {"jobs": jobs})
            for attached in range(2):
                null, (ours, theirs) = os.open("/dev/null", os.O_RDWR), os.pipe()
                c.send("Submit", {"job": {
                    "handler": "exec", "attached": True,
                    "args": {"argv": ["printf", own + str(attached)]}}}, fds=[null, theirs, null])
                os.close(null)
                os.close(theirs)
                ends.append(ours)
                c.send("Submit", {"job": {"handler": "exec",
                                          "args": {"argv": ["echo", "secret"]}}})
            ids += c.receive()["ids"]
            ids += [c.receive()["id"] for _ in range(4)]
            jobs = wait_many(d, ids)
            for attached, fd in enumerate(ends):
                with os.fdopen(fd, "rb") as f:
                    assert f.read().decode() == own + str(attached), trial
            for job in jobs:
                argv = job["spec"]["args"]["argv"]
                if argv == ["echo", "secret"]:
                    assert job["result"]["stdout"] == "secret\n", job
                elif argv == ["/nonexistent"]:
                    assert job["state"] == "failed", job
                else:
                    assert job["state"] == "succeeded", job


def test_somebody_holds_the_output_of_a_command():
    """A command's job ends with it, though a stranger has its stdout open."""
    with Daemon(EXEC) as d:
        path = d.path("pid")
        id = d.submit("exec", {"argv": ["/bin/sh", "-c",
                                        "echo out; echo $$ >%s; exec sleep 0.5" % path]})
        pid = read_pid(path)
        with open("/proc/%d/fd/1" % pid, "wb", buffering=0):
            job = d.wait(id, 5)
            assert job["state"] == "succeeded" and job["result"]["stdout"] == "out\n", job
            again = d.run("exec", {"argv": ["echo", "next"]})
            assert again["result"]["stdout"] == "next\n"


def changed_pool(first):
    """The two changes at once; `first` is sent first. Ends with the pool in a new mood."""
    with Daemon({}, start=False) as d:
        d.write_pool("moods", hanging(d, settings="mood=old", min_workers=2))
        d.start()
        assert d.run("mood")["result"]["mood"] == "old"
        old = d.pids()
        with d.connect() as one, d.connect() as two:
            touch(d.path("hang"))
            at = len(d.lines)
            if first == "Reload":
                d.write_pool("moods", hanging(d, settings="mood=new", min_workers=2))
                one.send("Reload")
                d.wait_log("init waits", start=at)
                two.send("RestartPool", {"pool": "moods"})
            else:
                one.send("RestartPool", {"pool": "moods"})
                d.wait_log("init waits", start=at)
                d.write_pool("moods", hanging(d, settings="mood=new", min_workers=2))
                two.send("Reload")
            d.call("Status")
            os.unlink(d.path("hang"))
            assert one.receive() == {} and two.receive() == {}
            for _ in range(20):
                job = d.run("mood")
                assert job["result"]["mood"] == "new" and job["result"]["pid"] not in old, job
        wait_gone(old)
        until(lambda: d.pool_status("moods")["idle"] == 2 and len(d.fork_servers()) == 1,
              "one fork server, two workers")


def test_restart_during_a_reload():
    """RestartPool while a Reload is pending: both are answered, the workers are of the new one."""
    changed_pool("Reload")


def test_reload_during_a_restart():
    """A Reload while RestartPool is pending: the same."""
    changed_pool("RestartPool")


def test_a_refused_reload_during_a_restart():
    """A Reload that is refused does not swallow the restart that went along with it."""
    with Daemon({}, start=False) as d:
        d.write_pool("moods", hanging(d, settings="mood=old"))
        d.start()
        old = d.pids()
        with d.connect() as one, d.connect() as two:
            touch(d.path("hang"))
            at = len(d.lines)
            one.send("RestartPool", {"pool": "moods"})
            d.wait_log("init waits", start=at)
            d.write_pool("moods", hanging(d, settings="mood=new\nrefuse=yes"))
            two.send("Reload")
            with refused("ConfigInvalid"):
                two.receive()
            os.unlink(d.path("hang"))
            assert one.receive() == {}
        job = d.run("mood")
        assert job["result"]["mood"] == "old" and job["result"]["pid"] not in old, job
        wait_gone(old)


@limit(120)
def test_hundreds_of_workers():
    """A large pool comes up without a word of complaint, though its fork server is slow to hear."""
    unless(not SANITIZED, "too large for the sanitized build")
    unless(resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 8192, "too few descriptors")
    with Daemon({"diag": diag(min_workers=300)}, ready=False) as d:
        d.await_socket()
        until(lambda: d.pool_status()["idle"] == 300, "300 workers", 60)
        server, = d.fork_servers()
        os.kill(server, signal.SIGSTOP)
        try:  # more requests than its channel holds
            d.call("ScalePool", pool="diag", min_workers=700, max_workers=700)
            until(lambda: d.pool_status()["starting"] > 200, "they are asked for")
        finally:
            os.kill(server, signal.SIGCONT)
        until(lambda: d.pool_status()["idle"] == 700, "700 workers", 60)
        assert d.run("echo")["state"] == "succeeded"
        assert "can not start a worker" not in d.log() and "breaker" not in d.log()
        assert d.pool_status()["deaths"] == 0


def test_an_attempt_that_its_worker_never_looked_at():
    """A job given to a worker that is stopped, and then killed, runs: the attempt costs nothing."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        pid, = d.pids()
        os.kill(pid, signal.SIGSTOP)
        id = d.submit("echo", {"x": 1}, max_attempts=1)
        until(lambda: any(w["state"] == "busy" for w in d.workers()), "the job is given to it")
        job = d.get(id)  # it has not begun, and nobody says so
        assert job["state"] == "queued" and job["attempts"] == [], job
        assert not any(w["jobs"] for w in d.workers())
        os.kill(pid, signal.SIGKILL)
        job = d.wait(id)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 2, job
        first, second = job["attempts"]
        assert first["outcome"] == "worker_died" and first["pid"] == pid, first
        assert second["outcome"] == "succeeded" and second["pid"] != pid, second


def test_a_quick_job_does_not_overtake_a_slow_one():
    """First come, first served, also where quick jobs are written ahead and slow ones are not."""
    with Daemon({"diag": diag(min_workers=1, spare_workers=0)}) as d:
        d.call("SubmitMany", jobs=[{"handler": "echo"}] * 400)
        d.run("echo")
        for _ in range(5):
            d.call("PausePool", pool="diag")
            ids = d.call("SubmitMany", jobs=[
                {"handler": "echo"}, {"handler": "sleep", "args": {"seconds": 0.02}},
                {"handler": "echo"}, {"handler": "echo"}])["ids"]
            d.call("ResumePool", pool="diag")
            jobs = [d.wait(id) for id in ids]
            started = [j["started_usec"] for j in jobs]
            assert started == sorted(started), started


def test_a_line_that_was_recalled_does_not_keep_its_worker():
    """A worker that is told to leave while short runs stand in its line: the last of them is
    recalled, and it goes."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        for _ in range(20):
            d.call("SubmitMany", jobs=[{"handler": "echo", "durability": "memory"}] * 300)
            d.call("ScalePool", pool="diag", min_workers=0, max_workers=0)
            until(lambda: not d.workers(), "it has left", 5)
            d.call("ScalePool", pool="diag", min_workers=1, max_workers=1)
        until(lambda: d.status()["jobs"]["succeeded"] == 6000, "all done")

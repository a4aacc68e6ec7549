# SPDX-License-Identifier: MIT
"""libbrood's client (brood/client.h) against the daemon, by the program client.c, which checks each
answer itself and prints what is looked at here."""

import json
import os
import subprocess
import threading

from harness import *

PROGRAM = build("tests", "integration", "client")
MANY = "[Queue]\nMaxQueued=100000\n"


def run(d, *args, limit=60, user=None):
    """Runs the program to its end; returns what it printed."""
    done = subprocess.run([PROGRAM, d.socket_path, *map(str, args)], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=slow(limit), check=False, user=user,
                          env=d.environment())
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr.decode())
    return done.stdout.decode()


def started(d, *args):
    """The program, running; its lines can be read."""
    return Helpers.process([PROGRAM, d.socket_path, *map(str, args)], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           env=d.environment())


def ended(process, limit=60):
    out, err = process.communicate(timeout=slow(limit))
    assert process.returncode == 0, (process.returncode, out[-500:], err)
    return out


def test_every_field_of_a_spec_arrives():
    """What is given is what the daemon has, what is not given is not; results come back as they
    were written; duplicates, get, why, cancel, retry and the time limit of wait."""
    with Daemon({"diag": diag()}, conf="[Semaphores]\nlicence=2\n") as d:
        with d.steady_descriptors():
            spec = json.loads(run(d, "spec"))["spec"]
        assert spec.pop("id") and len(spec.pop("after")) == 1
        assert spec == {
            "handler": "echo", "args": {"n": 1.5, "s": "ä\n"}, "priority": -7, "delay_usec": 1000,
            "max_attempts": 3, "timeout_usec": 0, "ttl_usec": 60000000, "keep_usec": 30000000,
            "unique_key": "key", "semaphores": ["licence"], "tags": ["red", 'blue "quoted"'],
            "durability": "memory", "attached": True}, spec


def test_errors_have_names_and_parameters():
    """An error of the daemon has its name and parameters, a job's its words; what is wrong here is
    not sent."""
    with Daemon() as d:
        run(d, "errors")


def test_ten_thousand_jobs_in_a_few_messages():
    """submit_many and wait_many; the same ids again make no job twice; one that is wrong is
    named."""
    with Daemon(conf=MANY) as d:
        run(d, "many", 10000)
        jobs = d.status()["jobs"]
        assert sum(jobs.values()) == 10000 and jobs["succeeded"] == 10000, jobs


def test_messages_shrink_to_what_the_daemon_takes():
    """A daemon that takes only small messages gets small ones."""
    with Daemon(conf="[Queue]\nMaxMessageSize=4096\nMaxArgsSize=1024\n") as d:
        run(d, "many", 90)
        assert sum(d.status()["jobs"].values()) == 90


def test_wait_many_in_order_and_not():
    """Jobs are told of as they end, or in the order of the ids; twice the same id is told of twice;
    a stop, a time limit and an unknown id end it."""
    with Daemon({"diag": diag(min_workers=4)}) as d:
        with d.steady_descriptors():
            parts = run(d, "order").split("-\n")
        order = [[int(line.split()[0]) for line in part.splitlines()] for part in parts]
        # 2 and 3 are the same job
        assert order[0] in ([2, 3, 1, 0], [3, 2, 1, 0]), order
        assert order[1] == [0, 1, 2, 3] and order[2] == [0], order


@limit(120)
def test_ten_thousand_submits_by_a_poll_loop():
    """Pipelined: 10,000 submits on one connection from a loop with poll(), their ends by one
    wait_many, and again 10,000 that wait for the end."""
    with Daemon(conf=MANY) as d:
        run(d, "loop", 10000, limit=100)
        assert d.status()["jobs"]["succeeded"] == 20100, d.status()["jobs"]


def test_the_example_with_a_loop():
    """lib/examples/client_loop.c does what it says."""
    with Daemon({**DIAG, "heat": pool(module="celsius.so", min_workers=1)}) as d:
        done = subprocess.run([build("tests", "integration", "client-loop"), "3"], timeout=slow(20),
                              capture_output=True, check=True, text=True,
                              env={**d.environment(), "BROOD_SOCKET": d.socket_path})
        lines = done.stdout.splitlines()
        assert len(lines) == 3 and all(line.startswith("succeeded {") for line in lines), lines
        assert any("43.3" in line for line in lines), lines  # 110 degrees Fahrenheit


def test_callbacks_may_start_and_close():
    """A callback starts calls and closes the client, may not wait, and the rest is cancelled."""
    with Daemon() as d, d.steady_descriptors():
        run(d, "nested")


def test_lists_in_pages():
    """All jobs of a tag, newest first, over several pages; a limit; on from where it stopped."""
    with Daemon(conf=MANY) as d:
        ids = []
        for _ in range(12):
            ids += d.call("SubmitMany", jobs=[
                {"handler": "echo", "args": {"a": 1}, "tags": ["t"]}] * 100)["ids"]
        d.submit("echo", {"a": 1}, tags=["other"])
        ids.reverse()
        for size in (0, 1100, 7):
            first, rest = run(d, "list", size, "t").split("-\n")[:2]
            assert first.split() == ids[:size or None], size
            assert rest.split() == (ids[size:] if size else [])


def test_follow_gives_bytes_of_any_kind():
    """What an exec job writes, each stream as bytes; a stop in the middle leaves the client
    usable."""
    with Daemon({**EXEC, **DIAG}) as d:
        go = d.path("go")
        script = (r"until [ -e %s ]; do echo wait; sleep 0.02; done; printf 'a\000b\377\n';"
                  r"seq 30000; printf 'oops\376' >&2" % go)
        id = d.submit("exec", {"argv": ["/bin/sh", "-c", script]}, max_attempts=1)
        with Helpers.process([PROGRAM, d.socket_path, "follow", id], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=d.environment()) as p:
            assert p.stdout.readline() == b"wait\n"  # it follows
            d.write("go", "")
            out, err = p.communicate(timeout=slow(30))
        assert p.returncode == 0, err
        expected = b"a\0b\xff\n" + b"".join(b"%d\n" % i for i in range(1, 30001))
        assert out.replace(b"wait\n", b"") == expected and err == b"oops\xfe", (len(out), err)

        script = "while :; do echo more; sleep 0.02; done"
        id = d.submit("exec", {"argv": ["/bin/sh", "-c", script]}, max_attempts=1)
        run(d, "follow", id, "stop")
        assert d.get(id)["state"] == "cancelled"


def test_watch_tells_of_changes():
    """Changes of jobs of a pool, until the callback stops it."""
    with Daemon() as d, started(d, "watch", 2) as p:
        assert p.stdout.readline() == "watching\n"
        # the call of Watch may be on its way yet
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(p.stdout.read().splitlines()))
        reader.start()
        until(lambda: d.run("echo") and p.poll() is not None, "the watcher has seen two", 20)
        reader.join()
        assert p.returncode == 0, p.stderr.read()
        assert len(lines) == 2 and all(line.startswith("job ") for line in lines), lines


@limit(120)
def test_no_job_twice_where_the_daemon_is_killed():
    """The daemon is killed again and again while jobs are handed in; each submit whose answer was
    lost is repeated with its id, and in the end there are just as many jobs, all succeeded."""
    n = 600
    with Daemon() as d:
        with started(d, "restart", n) as p:
            for at in (100, 250, 400):
                while int(p.stdout.readline()) < at:
                    pass
                d.kill()
                d.start()
            out = ended(p)
        assert int(out.split("lost ")[1]) > 0, out
        jobs = d.status()["jobs"]
        assert sum(jobs.values()) == n and jobs["succeeded"] == n, jobs


@limit(120)
def test_patience_outlives_restarts():
    """With patience set, a kill and a restart in good order go by without an error."""
    with Daemon() as d:
        with started(d, "patience", 100) as p:
            assert p.stdout.readline() == "submitted\n"
            until(lambda: d.status()["jobs"]["succeeded"] > 5, "some have ended")
            d.kill()
            d.start()
            until(lambda: d.status()["jobs"]["succeeded"] > 30, "more have ended")
            d.process.terminate()
            assert d.wait_exit() == 0
            d.start()
            assert ended(p) == "done\n"
        jobs = d.status()["jobs"]
        assert sum(jobs.values()) == 101 and jobs["succeeded"] == 101, jobs


def test_started_calls_hear_of_a_lost_connection():
    """Each call that was started is told once that the daemon has gone; then reconnect."""
    with Daemon() as d, started(d, "lost") as p:
        assert p.stdout.readline() == "started\n"
        until(lambda: d.pool_status()["busy"] == 1, "the job runs")
        d.kill()
        d.start()
        ended(p)
        for job in d.call("List")["jobs"]:
            d.call("Cancel", id=job["id"], force=True)


def test_a_fork_has_to_open_its_own():
    """In a child the parent's client is of no use, and ids are others than the parent's."""
    with Daemon() as d, d.steady_descriptors():
        run(d, "fork")


def test_descriptors_and_attached_jobs():
    """A command gets the descriptors of its client; an attached job ends with its connection."""
    with Daemon({**DIAG, **EXEC}) as d, d.steady_descriptors():
        run(d, "stdio")
        run(d, "attached")


def test_access_refused():
    """A socket that may not be used, one that is not there, and an operator's call by others."""
    unless(os.geteuid() == 0, "needs root, to become somebody else")
    nobody = 65534
    with Daemon() as d:
        os.chmod(d.directory, 0o755)
        os.chmod(d.path("run"), 0o755)
        os.chmod(d.socket_path, 0o600)
        assert run(d, "unreachable", user=nobody) == "Permission denied\n"
        os.chmod(d.socket_path, 0o666)
        run(d, "refused", user=nobody)
        os.rename(d.socket_path, d.socket_path + "-away")
        assert run(d, "unreachable") == "No such file or directory\n"
        os.rename(d.socket_path + "-away", d.socket_path)

# SPDX-License-Identifier: MIT
"""Who may do what: as several users, everything that they must not do is tried, and refused."""

import contextlib
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import time
import uuid

from harness import *
from users import *

OPEN = "[Access]\nSubmit=%d %d\nSee=%d\nOperate=%d\n" % (ALICE, BOB, SARA, OLGA)
POOLS = {
    "diag": diag(handlers="echo sleep crash fail output", min_workers=4, poison_deaths=0,
                 breaker_deaths=0, max_attempts=1),
    "moods": diag(module="moods.so", handlers="whisper", min_workers=1, max_attempts=1),
    "exec": commands(min_workers=1),
    "vault": diag(handlers="spin progress leak", min_workers=1, submit=str(OLGA)),
}
MODULES = {"BROOD_MODULE_PATH": ":".join((build("lib", "modules"), build("tests", "integration")))}
SECONDS = 2 * 10**8

# What alice's jobs carry, in every place that takes a text. It must not turn up with anybody else.
MARKERS = ["MARK-" + what for what in (
    "args", "tag", "key", "stderr", "message", "details", "stdout", "env")]


def contains_any(text, words):
    return [word for word in words if word in text]


class Spied:
    """A connection that looks at every byte that it gets."""

    def __init__(self, connection, world):
        self.c, self.world = connection, world
        receive = connection.receive_raw

        def receive_raw(limit=None):
            text = receive(limit)
            self.look(text.decode())
            return text
        connection.receive_raw = receive_raw
        self.sent = ""

    def look(self, text):
        assert not contains_any(text, MARKERS), text
        for id in self.world.ids:
            assert id not in text or id in self.sent, "an id that it was not told: " + text

    def send(self, method, parameters, more=False, fds=()):
        self.sent = json.dumps(parameters)
        self.c.send(method, parameters, more=more, fds=fds)

    def answer(self, method, parameters, more=False, fds=()):
        """The name of the error, or the parameters of the first reply."""
        self.send(method, parameters, more, fds)
        try:
            return self.c.receive()
        except VarlinkError as error:
            return error.name


class World:
    """A daemon in which alice has jobs of every kind."""

    def __init__(self, conf=OPEN, pools=POOLS):
        self.d = Users(pools, conf + "[Semaphores]\nsem=1\n", env=MODULES)
        self.ids = []

    def __enter__(self):
        self.d.__enter__()
        try:
            self.alice = self.d.connect_as(ALICE)
            self.fill()
        except BaseException:
            self.d.end()
            raise
        return self

    def __exit__(self, kind, *rest):
        try:
            if kind is None and not self.d.ended:
                self.end_jobs()
        finally:
            self.alice.close()
            self.d.__exit__(kind, *rest)

    def end_jobs(self):
        with self.d.connect() as root:
            for state in ("blocked", "scheduled", "queued", "running"):
                for job in root.call("List", state=state)["jobs"]:
                    with contextlib.suppress(VarlinkError):  # it has just ended
                        root.call("Cancel", id=job["id"], force=True)

    def submit(self, handler, args=None, wait=False, **spec):
        job = {"handler": handler, "args": args or {}, "tags": ["MARK-tag"], **spec}
        reply = self.alice.call("Submit", job=job, wait=wait)
        self.ids.append(reply["id"])
        return reply["id"]

    def fill(self):
        a = {"x": "MARK-args"}
        self.running = self.submit("sleep", {"seconds": 500, **a})
        self.done = self.submit("echo", a, wait=True, unique_key="MARK-done")
        self.failed = self.submit("fail", {"message": "MARK-message", "details": {"y": 1}, **a},
                                  wait=True)
        self.died = self.submit("crash", a, wait=True)
        self.whispered = self.submit("whisper", {"text": "MARK-stderr", **a}, wait=True)
        self.command = self.submit("exec", {"argv": ["sh", "-c", "echo $X; exit 3"],
                                            "env": {"X": "MARK-stdout"}}, wait=True)
        self.scheduled = self.submit("echo", a, delay_usec=SECONDS, unique_key="MARK-key")
        self.blocked = self.submit("echo", a, after=[self.running])
        self.holder = self.submit("sleep", {"seconds": 500, **a}, semaphores=["sem"])
        until(lambda: self.get(self.holder)["state"] == "running", "the semaphore is held")
        self.waiting = self.submit("sleep", {"seconds": 500, **a}, semaphores=["sem"])
        self.before = [self.get(id) for id in self.ids]

    def get(self, id):
        return self.alice.call("Get", id=id)["job"]

    def assert_untouched(self):
        """Alice's jobs are as they were."""
        for was in self.before:
            now = self.get(was["id"])
            if was["state"] == "scheduled":
                was["reason"] = now["reason"]  # it tells the time
            assert now == was, (was, now)


def new_id():
    return str(uuid.UUID(int=(int(time.time() * 1000) << 80) | 7 << 76 | 2 << 62 |
                         uuid.uuid4().int & ((1 << 62) - 1)))


# --- every method ---

# What bob tries, and what he is to be told: the name of an error, or what has to hold of the reply.
# {NAME} is one of alice's jobs. A method without a row fails the test: think of what it shows.
def is_own_and_new(w, reply):
    return reply["duplicate"] is False and reply["id"] not in w.ids


def none_of_hers(w, reply):
    return reply == {"jobs": []}


def only_counts(w, reply):
    assert reply["jobs"]["running"] == 2 and reply["jobs"]["failed"] == 3
    return "ids" not in json.dumps(reply)


def no_job_ids(w, reply):
    busy = [worker for worker in reply["workers"] if worker["state"] == "busy"]
    return len(busy) == 2 and all(worker["jobs"] == [] for worker in reply["workers"])


ROWS = {
    "Submit": [
        ({"job": {"handler": "spin", "args": {"seconds": 1}}}, "AccessDenied"),
        ({"job": {"handler": "spin"}, "wait": True}, "AccessDenied"),
        ({"job": {"handler": "no-such-handler"}}, "NoSuchHandler"),
        ({"job": {"handler": "echo", "after": ["{running}"]}}, "NoSuchJob"),
        ({"job": {"handler": "echo", "after": ["{done}"]}}, "NoSuchJob"),
        ({"job": {"handler": "echo", "after": ["{failed}"]}}, "NoSuchJob"),
        ({"job": {"handler": "echo", "unique_key": "MARK-key"}}, is_own_and_new),
        ({"job": {"handler": "echo", "uid": ALICE}}, "org.varlink.service.InvalidParameter"),
        ({"job": {"handler": "echo", "gid": 0}}, "org.varlink.service.InvalidParameter"),
        ({"job": {"handler": "echo"}, "uid": 0}, "org.varlink.service.InvalidParameter"),
        ({"job": {"handler": "echo", "pool": "vault"}}, "org.varlink.service.InvalidParameter"),
    ],
    "SubmitMany": [
        ({"jobs": [{"handler": "echo"}, {"handler": "spin"}]}, "AccessDenied"),
        ({"jobs": [{"handler": "echo"}, {"handler": "echo", "after": ["{done}"]}]}, "NoSuchJob"),
        ({"jobs": [{"handler": "echo", "uid": 0}]}, "org.varlink.service.InvalidParameter"),
        ({"jobs": [{"handler": "echo", "unique_key": "MARK-key"}]},
         lambda w, reply: not set(reply["ids"]) & set(w.ids)),
    ],
    "Wait": [
        ({"id": "{running}", "timeout_usec": 0}, "NoSuchJob"),
        ({"id": "{running}"}, "NoSuchJob"),
        ({"id": "{done}"}, "NoSuchJob"),
    ],
    "WaitMany": [
        ({"ids": ["{done}"]}, "NoSuchJob"),
        ({"ids": ["{done}", "{running}"], "ordered": True}, "NoSuchJob"),
    ],
    "Get": [({"id": "{%s}" % name}, "NoSuchJob")
            for name in ("running", "done", "failed", "died", "whispered", "command", "scheduled",
                         "blocked", "holder", "waiting")],
    "List": [
        ({"tag": "MARK-tag"}, none_of_hers),
        ({"state": "running"}, none_of_hers),
        ({"handler": "whisper"}, none_of_hers),
        ({"pool": "exec"}, none_of_hers),
        ({"before": "{done}"}, "NoSuchJob"),
    ],
    "Cancel": [({"id": "{%s}" % name, "force": force}, "NoSuchJob") for force in (False, True)
               for name in ("running", "scheduled", "blocked", "waiting", "done")],
    "Retry": [({"id": "{%s}" % name}, "NoSuchJob") for name in ("failed", "died", "done")],
    "Why": [({"id": "{%s}" % name}, "NoSuchJob")
            for name in ("running", "scheduled", "blocked", "waiting", "failed", "died")],
    "Follow": [({"id": "{running}"}, "NoSuchJob"), ({"id": "{done}"}, "NoSuchJob")],
    "Watch": [({"pool": "no-such-pool"}, "NoSuchPool")],  # what it tells: see below
    "Status": [({}, only_counts)],
    "ListWorkers": [({}, no_job_ids), ({"pool": "diag"}, no_job_ids)],
    "Inspect": [
        ({"worker": "diag.0"}, "AccessDenied"),
        ({"worker": "diag.0", "stack": True}, "AccessDenied"),
        ({"worker": "diag.99"}, "AccessDenied"),
        ({"worker": "{running}"}, "NoSuchJob"),
        ({"worker": "{done}", "stack": True}, "NoSuchJob"),
    ],
    "PausePool": [({"pool": "diag"}, "AccessDenied"), ({"pool": "none"}, "AccessDenied")],
    "ResumePool": [({"pool": "diag"}, "AccessDenied")],
    "ScalePool": [
        ({"pool": "diag", "min_workers": 0, "max_workers": 0}, "AccessDenied"),
        ({"pool": "diag", "min_workers": 9, "max_workers": 1}, "AccessDenied"),
    ],
    "RestartPool": [({"pool": "diag"}, "AccessDenied")],
    "Reload": [({}, "AccessDenied")],
    "Drain": [({}, "AccessDenied")],
    "Resume": [({}, "AccessDenied")],
    "Metrics": [({}, lambda w, reply: reply == "org.varlink.service.MethodNotImplemented" or
                 not contains_any(reply["text"], w.ids))],
}
MORE = ("WaitMany", "Follow", "Watch")


def filled(value, w):
    """The parameters with the ids in place of their names."""
    text = re.sub(r"\{(\w+)\}", lambda m: getattr(w, m.group(1)), json.dumps(value))
    return json.loads(text)


def try_rows(w, connect, rows, methods=None):
    for method, tries in rows.items():
        for parameters, wanted in tries:
            spied = Spied(connect(), w)
            got = spied.answer(method, filled(parameters, w), method in MORE)
            if callable(wanted):
                good = wanted(w, got)
            else:
                good = got in (wanted if isinstance(wanted, tuple) else (wanted,))
            assert good, "%s %s: %s" % (method, parameters, got)
            spied.c.close()


@limit(120)
def test_every_method_refuses_what_is_anothers():
    """Bob tries every method on alice's jobs and on the daemon: he learns and changes nothing."""
    with World() as w:
        missing = set(w.d.interface.methods) ^ set(ROWS)
        assert not missing, "methods without a row, or rows without a method: %s" % missing
        workers = w.d.workers()
        try_rows(w, lambda: w.d.connect_as(BOB), ROWS)
        w.assert_untouched()
        assert [x["pid"] for x in w.d.workers()] == [x["pid"] for x in workers]
        assert w.d.status()["state"] == "running"


def test_who_may_nothing_is_refused_even_more():
    """A user whom nothing names can connect, as the socket is open, and may submit nothing."""
    with World() as w:
        rows = {**ROWS, "Submit": [({"job": {"handler": h}}, "AccessDenied")
                                   for h in ("echo", "spin", "exec")],
                "SubmitMany": [({"jobs": [{"handler": "echo"}]}, "AccessDenied")]}
        try_rows(w, lambda: w.d.connect_as(NOBODY), rows)
        w.assert_untouched()


def test_who_may_see_all_sees_and_changes_nothing():
    """See= is to see everything of everybody, and to change nothing of anybody."""
    with World() as w, w.d.connect_as(SARA) as sara:
        job = sara.call("Get", id=w.done)["job"]
        assert job == w.get(w.done) and job["result"] == {"x": "MARK-args"}
        assert sara.call("Wait", id=w.done)["job"] == job
        assert [r["job"]["id"] for r in sara.more("WaitMany", ids=[w.failed, w.done])]
        assert {j["id"] for j in sara.call("List")["jobs"]} == set(w.ids)
        assert w.running in sara.call("Why", id=w.blocked)["reason"]
        assert sorted(sum((x["jobs"] for x in sara.call("ListWorkers")["workers"]), [])) == \
            sorted([w.running, w.holder])
        assert sara.call("Inspect", worker=w.running)["report"]["jobs"][0]["id"] == w.running
        with refused("WaitTimeout"):
            sara.call("Wait", id=w.running, timeout_usec=0)
        for id in (w.running, w.scheduled, w.failed, w.done):
            for method in ("Cancel", "Retry"):
                with refused("AccessDenied"):
                    sara.call(method, id=id)
            with refused("AccessDenied"):
                sara.call("Cancel", id=id, force=True)
        with refused("AccessDenied"):
            sara.call("Submit", job={"handler": "echo"})
        for method, tries in ROWS.items():
            for parameters, wanted in tries:
                if wanted == "AccessDenied" and method not in ("Submit", "SubmitMany", "Inspect"):
                    with refused("AccessDenied"):
                        sara.call(method, **parameters)
        w.assert_untouched()


def test_who_may_operate_may_do_everything():
    """Operate= is everything: pools, the daemon, and everybody's jobs."""
    with World() as w, w.d.connect_as(OLGA) as olga:
        assert olga.call("Get", id=w.done)["job"]["result"] == {"x": "MARK-args"}
        assert olga.call("Submit", job={"handler": "spin", "args": {"seconds": 0}}, wait=True)
        olga.call("Cancel", id=w.running)
        olga.call("Retry", id=w.failed)
        for method in ("PausePool", "ResumePool", "RestartPool"):
            olga.call(method, pool="moods")
        olga.call("ScalePool", pool="moods", min_workers=2, max_workers=2)
        olga.call("Reload")
        assert w.alice.call("Wait", id=w.running)["job"]["state"] == "cancelled"
        olga.call("Cancel", id=w.holder, force=True)
        olga.call("Cancel", id=w.waiting, force=True)
        olga.call("Drain")
        olga.call("Resume")


# --- nothing of others is shown ---

def test_watch_tells_of_ones_own_jobs_only():
    """A watcher hears of workers and pools, and of no job, tag, id or word of others, whatever
    becomes of those jobs."""
    with World() as w:
        watcher = Spied(w.d.connect_as(BOB), w)
        watcher.send("Watch", {}, more=True)
        sees_all = w.d.connect_as(SARA)
        sees_all.send("Watch", {}, more=True)
        w.submit("whisper", {"text": "MARK-stderr", "x": "MARK-args"}, wait=True)
        w.submit("crash", {"signal": "SEGV", "x": "MARK-args"}, wait=True)
        w.submit("fail", {"message": "MARK-message"}, wait=True)
        w.submit("sleep", {"seconds": 500}, timeout_usec=20000, wait=True)
        w.alice.call("Cancel", id=w.running, force=True)
        w.alice.call("Wait", id=w.running)
        w.alice.call("Wait", id=w.blocked)
        bob = w.d.connect_as(BOB)
        own = bob.call("Submit", job={"handler": "echo", "args": {"o": 1}}, wait=True)["id"]
        heard, all_heard = [], []
        while not heard or (heard[-1]["id"], heard[-1]["state"]) != (own, "succeeded"):
            heard.append(watcher.c.receive())
        while not all_heard or all_heard[-1]["id"] != own:
            all_heard.append(sees_all.receive())
        assert {h["id"] for h in heard if h["kind"] == "job"} == {own}
        assert any(h["kind"] == "worker" and "reason" in h for h in heard)
        assert set(w.ids) & {h["id"] for h in all_heard}


def test_why_and_reasons_name_no_job_of_others():
    """What keeps bob's job is said without a word of whose jobs those are."""
    pools = {**POOLS, "diag": diag(handlers="echo sleep crash fail output", min_workers=2,
                                   max_attempts=1)}
    with World(pools=pools) as w:
        bob = Spied(w.d.connect_as(BOB), w)
        held = bob.answer("Submit", {"job": {"handler": "echo", "semaphores": ["sem"]}})
        stuck = bob.answer("Submit", {"job": {"handler": "echo", "priority": -1000}})
        reply = bob.answer("Why", {"id": held["id"]})
        assert "sem" in reply["reason"] and reply["ahead"] == 1, reply
        reply = bob.answer("Why", {"id": stuck["id"]})
        assert reply["state"] == "queued", reply
        jobs = bob.answer("List", {})["jobs"]
        assert {j["id"] for j in jobs} == {held["id"], stuck["id"]}


def test_last_words_are_ones_own():
    """What one user's job wrote to stderr is in no death certificate of others, even where one
    worker runs them one after the other, and the answers are still under way."""
    pools = {"moods": diag(module="moods.so", handlers="whisper doze", min_workers=1,
                           max_attempts=1, poison_deaths=0, breaker_deaths=0),
             "diag": diag(handlers="echo", min_workers=1)}
    with Users(pools, OPEN, env=MODULES) as d, d.connect_as(ALICE) as alice, \
            d.connect_as(BOB) as bob:
        def whispers(c, n, text, **args):
            job = {"handler": "whisper", "args": {"text": text, **args}, "durability": "memory"}
            return c.call("SubmitMany", jobs=[job] * n)["ids"]

        for _ in range(15):
            d.call("PausePool", pool="moods")
            whispers(bob, 300, "mine")  # it becomes known to be quick: several go to it at once
            whispers(alice, 1, "MARK-stderr")
            id = whispers(bob, 1, "mine", die=True)[0]
            d.call("ResumePool", pool="moods")
            attempt = bob.call("Wait", id=id)["job"]["attempts"][-1]
            assert attempt["outcome"] == "worker_died", attempt
            assert "MARK" not in json.dumps(attempt), attempt


# --- lies ---

def test_a_guessed_id_is_ones_own():
    """Who submits with the id of another's job gets a job of his own, and the other keeps his."""
    with World() as w, w.d.connect_as(BOB) as bob:
        for id in (w.running, w.done, w.scheduled):
            spec = {"handler": "echo", "args": {"mine": 1}, "id": id, "unique_key": "k" + id}
            reply = bob.call("Submit", job=spec, wait=True)
            assert reply["duplicate"] is False and reply["job"]["uid"] == BOB
            assert reply["job"]["result"] == {"mine": 1}
            assert bob.call("Get", id=id)["job"]["uid"] == BOB
            assert w.get(id)["uid"] == ALICE
            with refused("WrongState"):
                bob.call("Cancel", id=id)
        w.assert_untouched()
        for _ in range(100):
            with refused("NoSuchJob"):
                bob.call("Get", id=new_id())
        for text in ("", "x", w.done[:-1], w.done + "0", "*", "%", "' OR 1=1 --"):
            with refused("NoSuchJob"):
                bob.call("Get", id=text)


def test_a_job_is_of_the_user_of_its_connection():
    """Whatever comes with a message: a job is of who has connected, as the kernel says."""
    with World() as w:
        bob = w.d.connect_as(BOB)
        bob.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        message = json.dumps({"method": "io.brood.Get", "parameters": {"id": w.done}}) + "\0"
        # we are root here: the kernel lets us send what bob could only wish to send
        for uid in (0, ALICE, OLGA):
            credentials = struct.pack("3i", os.getpid(), uid, uid)
            bob.socket.sendmsg([message.encode()],
                               [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
            bob.calls.append("io.brood.Get")
            with refused("NoSuchJob"):
                bob.receive()
        job = bob.call("Submit", job={"handler": "echo"}, wait=True)["job"]
        assert (job["uid"], job["gid"]) == (BOB, BOB)
        with refused("AccessDenied"):
            bob.call("Drain")


def test_descriptors_give_no_rights():
    """Descriptors are for attached commands: elsewhere they are refused, and not kept."""
    with World() as w:
        with w.d.steady_descriptors(), w.d.connect_as(BOB) as bob, open("/dev/null", "rb") as f:
            three = [f.fileno()] * 3
            for method, parameters in (("Get", {"id": w.done}), ("Cancel", {"id": w.running}),
                                       ("Submit", {"job": {"handler": "echo", "attached": True}}),
                                       ("Submit", {"job": {"handler": "exec"}}),
                                       ("Drain", {}), ("Reload", {})):
                bob.send(method, parameters, fds=three)
                with refused("org.varlink.service.InvalidParameter"):
                    bob.receive()
            bob.send("Submit", {"job": {"handler": "spin", "attached": True}}, fds=three)
            with refused("AccessDenied"):
                bob.receive()
        w.assert_untouched()


# --- groups, pools ---

def may_submit(d, uid, handler="echo", **who):
    with d.connect_as(uid, **who) as c:
        try:
            return bool(c.call("Submit", job={"handler": handler}))
        except VarlinkError as error:
            assert error.name == "AccessDenied", error
            return False


def test_groups_are_those_of_the_process():
    """A group has its right by the process's own groups, the first one and the others, however many
    there are; and not by a number that is a user's."""
    with Users(conf="[Access]\nSubmit=@7001 @7002 @root\n") as d:
        many = list(range(8000, 8200))
        for who, right in (({}, False), ({"gid": 7001}, True), ({"gid": 7003}, False),
                           ({"groups": [7002]}, True), ({"groups": [7003, 5]}, False),
                           ({"gid": 0}, True), ({"groups": [0]}, True),
                           ({"groups": many}, False), ({"groups": [*many, 7002]}, True),
                           ({"groups": [7001, *many]}, True),
                           ({"groups": list(range(10000, 70000))}, False),
                           ({"groups": [*range(10000, 70000), 7001]}, True)):
            short = str(who)[:60]
            assert may_submit(d, ALICE, **who) == right, short
        assert not may_submit(d, 7001, gid=5)
        assert may_submit(d, 0)


def test_a_pool_may_narrow_or_widen_who_submits():
    """Submit= of a pool counts for it instead of the one of [Access]; operators always may."""
    pools = {"diag": diag(handlers="echo", submit=""),
             "wide": diag(handlers="sleep", submit="*"),
             "narrow": diag(handlers="fail", submit="%d @7001" % BOB),
             "usual": diag(handlers="crash")}
    wanted = {  # handlers that each may
        ALICE: {"sleep", "crash"}, BOB: {"sleep", "fail"}, SARA: {"sleep"}, NOBODY: {"sleep"},
        OLGA: {"echo", "sleep", "fail", "crash"}, 0: {"echo", "sleep", "fail", "crash"}}
    with Users(pools, "[Access]\nSubmit=%d\nOperate=%d\n" % (ALICE, OLGA)) as d:
        for uid, handlers in wanted.items():
            for handler in ("echo", "sleep", "fail", "crash"):
                assert may_submit(d, uid, handler) == (handler in handlers), (uid, handler)
        assert may_submit(d, SARA, "fail", groups=[7001])


def test_retry_is_work_anew():
    """Who may not submit to a pool any more can not retry his old jobs there; he can see them."""
    pools = {"diag": diag(handlers="fail", max_attempts=1)}
    with Users(pools, OPEN) as d, d.connect_as(ALICE) as alice:
        id = alice.call("Submit", job={"handler": "fail"}, wait=True)["id"]
        alice.call("Retry", id=id)
        alice.call("Wait", id=id)
        d.write_pool("diag", diag(handlers="fail", max_attempts=1, submit=str(BOB)))
        d.call("Reload")
        with refused("AccessDenied"):
            alice.call("Retry", id=id)
        with refused("AccessDenied"):
            alice.call("Submit", job={"handler": "fail"})
        assert alice.call("Get", id=id)["job"]["state"] == "failed"


# --- reload ---

def test_a_reload_changes_the_rights_of_connections_that_are_there():
    """Rights that a config takes or gives are taken or given at once, connected or not."""
    nothing = "[Access]\nSubmit=%d\n" % BOB
    with World() as w, w.d.connect_as(OLGA, groups=[7001]) as olga, w.d.connect_as(BOB) as bob:
        olga.call("PausePool", pool="moods")
        w.d.configure(nothing)
        for call in (("ResumePool", {"pool": "moods"}), ("Reload", {}),
                     ("Submit", {"job": {"handler": "echo"}})):
            with refused("AccessDenied"):
                olga.call(call[0], **call[1])
        for method in ("Get", "Wait", "Cancel", "Retry", "Why"):
            with refused("NoSuchJob"):
                olga.call(method, id=w.done)
        with refused("AccessDenied"):
            w.alice.call("Submit", job={"handler": "echo"})
        assert w.get(w.done)["result"] == {"x": "MARK-args"}, "what is hers stays so"
        with refused("AccessDenied"):
            bob.call("PausePool", pool="diag")
        w.d.configure("[Access]\nSubmit=\nOperate=@7001 %d\n" % BOB)
        olga.call("ResumePool", pool="moods")  # by a group that no config named when she came
        bob.call("Submit", job={"handler": "echo"}, wait=True)
        bob.call("Cancel", id=w.running)
        with refused("AccessDenied"):
            w.alice.call("Submit", job={"handler": "echo"})


def test_calls_that_show_others_end_with_the_right_to_see():
    """Who may see no more is told so by every call that would have shown more; watches go on, and
    tell no more of others."""
    with World() as w:
        calls = []
        for method, parameters in (("Follow", {"id": w.running}), ("Wait", {"id": w.running}),
                                   ("WaitMany", {"ids": [w.running, w.holder]})):
            c = w.d.connect_as(SARA)
            c.send(method, parameters, more=method != "Wait")
            c.send("Status")
            calls.append(c)
        both = w.d.connect_as(SARA)
        for id in (w.running, w.holder):
            both.send("Wait", {"id": id})
        watcher = w.d.connect_as(SARA)
        watcher.send("Watch", {"kinds": ["job"]}, more=True)
        own = w.d.connect_as(ALICE)
        own.send("Wait", {"id": w.running})
        w.d.configure("[Access]\nSubmit=%d %d\n" % (ALICE, SARA))
        for c in calls:
            with refused("AccessDenied"):
                c.receive()
            assert c.receive()["state"] == "running", "the connection lives"
        for _ in range(2):
            with refused("AccessDenied"):
                both.receive()
        w.alice.call("Cancel", id=w.running)
        assert own.receive()["job"]["state"] == "cancelled", "her own wait goes on"
        w.d.call("Cancel", id=w.holder, force=True)
        w.alice.call("Wait", id=w.holder)
        with w.d.connect_as(SARA) as sara:
            id = sara.call("Submit", job={"handler": "echo"}, wait=True)["id"]
        assert watcher.receive()["id"] == id, "the watcher was told of what it may not see"
        for c in (*calls, both, watcher, own):
            c.close()


def test_unknown_names_are_refused():
    """A name that nobody has is an error with its place, at the start and at a reload, and the
    config in force stays."""
    with Users(conf=OPEN) as d:
        before = d.connect_as(ALICE)
        for text, line, words in (
                ("[Access]\nSubmit=no-such-user\n", 2, "there is no user 'no-such-user'"),
                ("[Access]\n\nSee=root @no-such-group\n", 3, "there is no group 'no-such-group'"),
                ("[Access]\nOperate=4294967295\n", 2, "4294967295 is no number of a user")):
            d.write("config/brood.conf", text)
            with refused("ConfigInvalid") as error:
                d.call("Reload")
            assert error["file"].endswith("/brood.conf") and error["line"] == line, error
            assert words in error["message"] and ("expected" in error["message"]), error
            assert before.call("Submit", job={"handler": "echo"})
            done = subprocess.run([build("daemon", "broodd"), "--check-config",
                                   "--config=" + d.path("config")], stderr=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, text=True, env=d.environment())
            assert done.returncode == 1 and words in done.stderr, done
        d.write("config/brood.conf", OPEN)
        d.write_pool("diag", diag(submit="@no-such-group"))
        with refused("ConfigInvalid") as error:
            d.call("Reload")
        assert error["file"].endswith("/diag.pool") and error["line"] > 1, error
    d = Users(conf="[Access]\nSubmit=no-such-user\n", start=False)
    d.start(ready=False)
    assert d.wait_exit() == 1
    d.wait_log(r"brood.conf:2: Submit=: there is no user 'no-such-user'")
    d.end()


# --- connections ---

def told(s):
    """What a refused connection is told."""
    with Connection(s, None, slow(10)) as c:
        try:
            c.call("Status")
        except VarlinkError as error:
            assert c.is_closed(slow(5))
            return error.name, error.parameters
        except (Closed, OSError):
            return "closed", None
    return "served", None


def test_connections_of_one_user_are_limited():
    """MaxConnections= of [Access]: one more is told so and closed; others, and root, come in."""
    conf = OPEN + "MaxConnections=5\n"
    with Users(conf=conf) as d, d.steady_descriptors():
        kept = d.sockets_of(ALICE, 5)
        assert [told(s) for s in d.sockets_of(ALICE, 2)] == \
            [("QuotaExceeded", {"quota": "connections", "limit": 5})] * 2
        assert told(d.sockets_of(BOB)[0])[0] == "served"
        # an operator by name is limited as a user; root is not
        assert [told(s)[0] for s in d.sockets_of(OLGA, 2)] == ["served"] * 2
        root = [d.connect() for _ in range(20)]
        assert all(c.call("Status") for c in root)
        for c in (*root, kept.pop()):
            c.close()
        until(lambda: told(d.sockets_of(ALICE)[0])[0] == "served", "there is room again")
        d.configure(OPEN + "MaxConnections=0\n")
        many = d.sockets_of(ALICE, 200)
        assert Connection(many[-1], None).call("Status")
        for s in (*kept, *many):
            s.close()


@limit(120)
def test_a_flood_of_connections_stops_at_its_user():
    """A user who connects without end has his share; what is refused is short-lived, bounded, and
    no flood of the log; others notice nothing."""
    with Users(conf=OPEN + "MaxConnections=10\n") as d:
        first, lines = fd_count(d.pid), len(d.log().splitlines())
        with d.steady_descriptors():
            flood = d.sockets_of(ALICE, 1000)
            bob = d.connect_as(BOB)
            assert bob.call("Submit", job={"handler": "echo"}, wait=True)["state"] == "succeeded"
            assert d.connect_as(OLGA).call("Status")
            assert fd_count(d.pid) <= first + 10 + 16 + 8, fd_count(d.pid)
            # those that wait to be told and say nothing are closed within a second
            until(lambda: fd_count(d.pid) <= first + 10 + 4, "the refused are gone", 5)
            alive = [s for s in flood if told(s)[0] == "served"]
            assert len(alive) == 10, len(alive)
            bob.close()
        assert len(d.log().splitlines()) - lines < 60
        # half a message, and one without an end, are no way to stay
        slow_ones = d.sockets_of(ALICE, 12)
        for s in slow_ones[10:]:
            s.sendall(b'{"method": "io.brood.Get"')
        for s in slow_ones[10:]:
            assert Connection(s, None).is_closed(slow(5))
        for s in slow_ones:
            s.close()


def test_who_may_operate_connects_to_a_full_daemon():
    """MaxConnections= of [Daemon] is used up by others: an operator still comes in."""
    conf = "[Daemon]\nMaxConnections=20\n" + OPEN
    with Users(conf=conf) as d:
        d.disconnect()
        crowd = [*d.sockets_of(ALICE, 12), *d.sockets_of(BOB, 12)]
        states = [told(s)[0] for s in d.sockets_of(SARA, 3)]
        assert states == ["closed"] * 3, states
        with d.connect() as root, d.connect_as(OLGA) as olga:
            assert root.call("Status") and olga.call("PausePool", pool="diag") == {}
        for s in crowd:
            s.close()
        until(lambda: told(d.sockets_of(BOB)[0])[0] == "served", "there is room again")


def test_a_connection_that_is_broken_is_given_back():
    """A connection that ends with an error, as of a message that is too large, is over: it counts
    no more, whatever the client does with its end."""
    with Users(conf=OPEN + "MaxConnections=3\n[Queue]\nMaxMessageSize=4096\n") as d, \
            d.steady_descriptors():
        kept = []
        for _ in range(10):
            c = d.connect_as(ALICE)
            c.send_raw(b"x" * 5000 + b"\0")
            with refused("TooLarge"):
                c.receive()
            kept.append(c)
        assert told(d.sockets_of(ALICE)[0])[0] == "served"
        for c in kept:
            c.close()


# --- the socket ---

def mode(d):
    return stat.S_IMODE(os.stat(d.socket_path).st_mode)


def test_the_socket_is_open_where_somebody_is_named():
    """0600 until Submit=, See= or Operate= names somebody, then 0666; a reload changes it."""
    with Users() as d:
        assert mode(d) == 0o600
        for uid in (ALICE, NOBODY):
            try:
                d.connect_as(uid)
            except PermissionError:
                continue
            raise AssertionError("user %d got in" % uid)
        for text, wanted in (("Submit=*", 0o666), ("Submit=", 0o600), ("See=%d" % SARA, 0o666),
                             ("Operate=@7001", 0o666), ("MaxConnections=3", 0o600),
                             ("Submit=\nSee=\nOperate=", 0o600), ("Submit=%d" % BOB, 0o666),
                             ("", 0o600)):
            d.configure("[Access]\n%s\n" % text)
            assert mode(d) == wanted, (text, oct(mode(d)))


def test_an_open_socket_is_no_right_to_submit():
    """See= and Operate= open the socket; they let nobody submit who is not named, neither then nor
    by what a later reload does to a connection that came in by that."""
    with Users(conf="[Access]\nSee=%d\n" % SARA) as d:
        bob, sara = d.connect_as(BOB), d.connect_as(SARA)
        for c in (bob, sara):
            with refused("AccessDenied"):
                c.call("Submit", job={"handler": "echo"})
        d.configure("")
        for c in (bob, sara):
            with refused("AccessDenied"):
                c.call("Submit", job={"handler": "echo"})
        d.configure("[Access]\nSubmit=%d\n" % BOB)
        bob.call("Submit", job={"handler": "echo"}, wait=True)


def test_a_passed_socket_keeps_its_mode():
    """Who may connect to the service manager's socket is the socket unit's: its mode stays, and
    without Submit= whoever can connect may submit."""
    d = Users(start=False)
    s = listener_at(d.socket_path)
    os.chmod(d.socket_path, 0o662)
    with s, d.start(listen_on=s):
        assert mode(d) == 0o662
        assert may_submit(d, ALICE)
        with d.connect_as(ALICE) as alice:
            with refused("AccessDenied"):
                alice.call("Drain")
        d.configure("[Access]\nSubmit=%d\nSee=%d\n" % (BOB, SARA))
        assert mode(d) == 0o662
        assert may_submit(d, BOB) and not may_submit(d, ALICE)
        d.configure("[Access]\nSee=%d\n" % SARA)
        assert may_submit(d, ALICE)
        d.process.terminate()
        assert d.wait_exit() == 0
        os.unlink(d.socket_path)
        d.prove_clean()


def test_what_took_the_sockets_place_is_not_opened():
    """The mode of what somebody has put where the socket was is left alone."""
    with Users() as d:
        d.call("Status")
        os.rename(d.socket_path, d.path("moved"))
        target = d.write("target", "secret")
        os.chmod(target, 0o600)
        for put in (lambda: os.symlink(target, d.socket_path),
                    lambda: shutil.copyfile(target, d.socket_path),
                    lambda: listener_at(d.socket_path).close()):
            put()
            os.chmod(d.socket_path, 0o600)
            d.configure("[Access]\nSubmit=*\n")
            assert mode(d) == 0o600
            os.unlink(d.socket_path)
            d.configure("")
        os.rename(d.path("moved"), d.socket_path)
        d.wait_log(r"its mode can not be changed to 0666: ")
        assert mode(d) == 0o600


# --- broodctl ---

def test_broodctl_says_what_was_refused_and_who_may():
    """Exit status 4, and words that name the setting."""
    with World(OPEN + "MaxConnections=3\n") as w:
        program = shutil.copy(build("daemon", "ctl", "broodctl"), w.d.path("broodctl"))
        os.chmod(program, 0o755)

        def ctl(uid, *args, status=4):
            done = subprocess.run([program, "--socket=" + w.d.socket_path, *args], cwd="/",
                                  user=uid, group=uid, extra_groups=[], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  timeout=slow(20))
            assert done.returncode == status, (args, done)
            assert done.stdout == "" and len(done.stderr.splitlines()) == 1, done
            return done.stderr

        lines = w.d.write("lines", "{}\n{}\n")
        for args in (("submit", "spin"), ("run", "--", "true"), ("map", "spin", lines)):
            assert "Submit=" in ctl(NOBODY, *args), args
        for uid, args, words in (
                (BOB, ("cancel", w.running), "there is no job " + w.running),
                (SARA, ("cancel", w.running), "another user's"),
                (SARA, ("retry", w.failed), "Operate= in [Access]"),
                (BOB, ("pause", "diag"), "'pause' is for who may operate"),
                (BOB, ("drain",), "Operate= in [Access] of brood.conf"),
                (BOB, ("reload",), "'reload' is for who may operate")):
            assert words in ctl(uid, *args), (args, words)
        crowd = w.d.sockets_of(BOB, 3)
        words = ctl(BOB, "status")
        assert "3 connections" in words and "MaxConnections= in [Access]" in words, words
        for s in crowd:
            s.close()
        w.d.configure("")
        assert "this user may not use it ([Access]" in ctl(BOB, "status", status=3)

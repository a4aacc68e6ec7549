# SPDX-License-Identifier: MIT
"""One client under torture: what it submits, and what it is told.

Each step is chosen by dice of its own, made from the seed, the client's number and the number of
the step, so that two runs with one seed do the same things, though not at the same moments. Every
job has an id made here; a call whose answer is lost, whatever the reason, is made again. What was
submitted and heard is a Record a job, for the judge.
"""

import contextlib
import json
import os
import random
import select
import time
import uuid

from target import SEMAPHORES, Fault
from varlink import Closed, Connection, VarlinkError

LIMIT = 30          # seconds that an answer may take
ABSENCE = 60        # seconds that nobody may answer
WINDOW = 150        # jobs that have not ended, before it waits for some
BACK_WITHIN = 0.01  # seconds until it tries again

# A command that counts as the handlers do; which attempt it is, it does not know.
SCRIPT = """printf 'b %s 0 %s\\n' "$1" "$(date +%s%6N)" >>"$0"
sleep "$2"
[ ! -e "$4.$1" ] && [ "$3" = 1 ] && { : >"$4.$1"; exit 3; }
printf 'e %s 0 %s\\n' "$1" "$(date +%s%6N)" >>"$0"
echo $(($5 * $5))"""

KINDS = {  # step: how often
    "one": 30, "burst": 14, "many": 12, "waited": 8, "chain": 10, "keyed": 10, "command": 4,
    "volatile": 4, "doomed": 3, "cancel": 6, "retry": 6, "look": 8, "expiring": 2,
}


# Of a handler, how many runs take no time, some milliseconds, or long. One has runs so short that
# they are written ahead, and still some that let those behind them wait.
SPEEDS = {"tally": (970, 25, 4, 1), "score": (60, 20, 18, 2), "exec": (70, 15, 13, 2)}


def ended(job):
    return job["state"] in ("succeeded", "failed", "quarantined", "cancelled", "expired")


class Client:
    """`say` prints; `tallies` is the folder in which commands count."""

    def __init__(self, number, seed, socket, tallies, semaphores, say):
        self.number, self.seed, self.socket, self.tallies = number, seed, socket, tallies
        self.semaphores, self.say = semaphores, say
        self.link = None
        self.records = {}   # by the id that we made
        self.open = {}      # acknowledged, and not yet known to have ended
        self.failed = []    # seen to have ended badly, to be retried perhaps
        self.counts = {"calls": 0, "repeated calls": 0, "duplicates": 0}
        self.dice = random.Random()

    # --- calls ---

    def connect(self):
        """A new connection, as soon as there is somebody."""
        end = time.monotonic() + ABSENCE
        while True:
            try:
                return Connection(self.socket, None, LIMIT)
            except OSError as error:
                if time.monotonic() > end:
                    raise Fault("nobody listens for %d s: %s" % (ABSENCE, error)) from None
                time.sleep(BACK_WITHIN)

    def disconnect(self):
        if self.link:
            self.link.close()
            self.link = None

    def exchange(self, calls):
        """Makes calls, pipelined, until all are answered. Returns [(error or None, parameters)]."""
        answers = []
        end = time.monotonic() + ABSENCE
        while len(answers) < len(calls):
            before = len(answers)
            try:
                self.exchange_once(calls, answers)
            except TimeoutError:
                raise Fault("no answer within %d s to %s" % (LIMIT, calls[len(answers)])) from None
            except (Closed, OSError):
                self.disconnect()
                self.counts["repeated calls"] += len(calls) - len(answers)
                time.sleep(BACK_WITHIN)
            if len(answers) > before:
                end = time.monotonic() + ABSENCE
            elif time.monotonic() > end:
                raise Fault("refused for %d s: %s" % (ABSENCE, calls[before]))
        self.counts["calls"] += len(calls)
        return answers

    def exchange_once(self, calls, answers):
        if not self.link:
            self.link = self.connect()
        for method, parameters in calls[len(answers):]:
            self.link.send(method, parameters)
        while len(answers) < len(calls):
            try:
                answers.append((None, self.link.receive()))
            except VarlinkError as error:
                if error.name == "Draining":  # it stops, and another one will start
                    raise Closed("draining") from None
                answers.append((error.name, error.parameters))

    def call(self, method, **parameters):
        return self.exchange([(method, parameters)])[0]

    # --- jobs ---

    def new_id(self):
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def arguments(self, handler):
        dice = self.dice
        args = {"n": dice.randrange(1000000),
                "ms": dice.choices([0, dice.randrange(1, 6), dice.randrange(20, 120),
                                    dice.randrange(300, 900)], SPEEDS[handler])[0]}
        trouble = dice.random()
        if trouble < 0.06:
            args["fail"] = dice.randrange(1, 4)
        elif trouble < 0.08:
            args["crash"] = dice.randrange(1, 3)
        if dice.random() < 0.02:
            args["pad"] = "p" * dice.randrange(1000, 150000)
        if dice.random() < 0.02:
            args["swell"] = dice.randrange(1000, 150000)
        return args

    def tally(self, **more):
        """The spec of a counting job, of which a record is made."""
        dice = self.dice
        handler = more.get("handler") or dice.choices(["tally", "score"], [85, 15])[0]
        spec = {"handler": handler, "id": self.new_id(), "args": self.arguments(handler),
                "max_attempts": dice.choices([1000, 1, 2], [85, 10, 5])[0],
                "priority": dice.choices([0, dice.randrange(-5, 6)], [70, 30])[0]}
        if dice.random() < 0.08:
            spec["delay_usec"] = dice.randrange(2000000)
        if self.semaphores and dice.random() < 0.1:
            spec["semaphores"] = dice.choice([["narrow"], ["wide"], ["narrow", "wide"]])
        if dice.random() < 0.03:
            spec["keep_usec"] = dice.randrange(100000, 1000000)
        spec.update(more)
        self.record(spec)
        return spec

    def record(self, spec):
        args = spec["args"]
        self.records[spec["id"]] = {
            "id": spec["id"], "handler": spec["handler"], "n": args["n"],
            "fail": args.get("fail", 0), "swell": args.get("swell", 0),
            "max_attempts": spec["max_attempts"], "keep": spec.get("keep_usec"),
            "key": spec.get("unique_key"), "after": spec.get("after", []),
            "semaphores": spec.get("semaphores", []), "ttl": spec.get("ttl_usec"),
            "known_as": None,  # the id that the daemon has answered
            "cancels": 0,      # calls of Cancel
            "retries": 0,      # calls of Retry, and those that were repeated
            "leads": False,    # another one waits for it
            "seen": None}      # how it ended, as we were told
        for id in spec.get("after", []):
            self.records[id]["leads"] = True

    def acknowledged(self, id, known_as, duplicate):
        self.records[id]["known_as"] = known_as
        self.counts["duplicates"] += bool(duplicate)
        if known_as == id:
            self.open[id] = self.records[id]
        elif not self.records[id]["key"]:
            raise Fault("submitted as %s, answered as %s" % (id, known_as))

    def submit(self, specs, wait=False):
        """Submits each by a call of its own."""
        parameters = [{"job": s, "wait": True} if wait else {"job": s} for s in specs]
        for spec in specs:
            self.say("submits %s %s" % (spec["handler"], spec["id"]))
        answers = self.exchange([("Submit", p) for p in parameters])
        for spec, (error, answer) in zip(specs, answers):
            if error:
                raise Fault("Submit of %s: %s %s" % (spec["id"], error, answer))
            self.acknowledged(spec["id"], answer["id"], answer["duplicate"])
            if answer.get("job"):
                self.heard(answer["job"])

    def submit_many(self, specs):
        self.say("submits %d at once, the first is %s" % (len(specs), specs[0]["id"]))
        error, answer = self.call("SubmitMany", jobs=specs)
        if error:
            raise Fault("SubmitMany of %s…: %s %s" % (specs[0]["id"], error, answer))
        for spec, id in zip(specs, answer["ids"]):
            self.acknowledged(spec["id"], id, False)

    def heard(self, job):
        """The end of a job."""
        record = self.open.pop(job["id"], None) or self.records.get(job["id"])
        if not record or not ended(job):
            return  # somebody else's, of the same key
        record["seen"] = {"state": job["state"], "attempts": len(job["attempts"])}
        if job["state"] in ("failed", "cancelled", "expired"):
            self.failed.append(record)

    def vanished(self, id):
        """A job of ours that is not there: only one that is not kept may do that."""
        record = self.open.pop(id, None) or self.records[id]
        if record["keep"] is None:
            raise Fault("job %s was acknowledged, and is not there" % id)

    # --- steps ---

    def step(self, number, until):
        self.dice = random.Random("%d/%d/%d" % (self.seed, self.number, number))
        kind = self.dice.choices(list(KINDS), KINDS.values())[0]
        getattr(self, "step_" + kind)()
        while len(self.open) > WINDOW and time.monotonic() < until:
            self.wait_for_some()

    def step_one(self):
        self.submit([self.tally()])

    def step_burst(self):
        self.submit([self.tally() for _ in range(self.dice.randrange(2, 30))])

    def step_many(self):
        self.submit_many([self.tally() for _ in range(self.dice.randrange(2, 60))])

    def step_waited(self):
        spec = self.tally(delay_usec=0)
        spec["args"].update(ms=0)
        self.submit([spec], wait=True)

    def step_chain(self):
        """Jobs that wait for each other, submitted at once or one after the other."""
        first, second = self.tally(keep_usec=None), self.tally(keep_usec=None)
        third = self.tally(after=[first["id"], second["id"]], keep_usec=None)
        specs = [first, second, third, self.tally(after=[third["id"]], keep_usec=None)]
        if self.dice.random() < 0.5:
            self.submit_many(specs)
        else:
            self.submit(specs[:2])
            self.submit(specs[2:])

    def step_keyed(self):
        self.submit([self.tally(handler="tally", unique_key="key-%d" % self.dice.randrange(4),
                                keep_usec=None)
                     for _ in range(self.dice.randrange(1, 4))])

    def step_command(self):
        spec = self.tally(handler="exec")
        fails = min(spec["args"].get("fail", 0), 1)
        spec["args"] = {"argv": [
            "/bin/sh", "-c", SCRIPT, os.path.join(self.tallies, "exec"), spec["id"],
            "%.3f" % (spec["args"]["ms"] / 1000), str(fails), os.path.join(self.tallies, "failed"),
            str(spec["args"]["n"])]}
        record = self.records[spec["id"]]
        record.update(fail=fails, swell=0)
        self.submit([spec])

    def step_volatile(self):
        """Jobs in memory, that nobody answers for: load, and no more."""
        jobs = [{"handler": "exec", "args": {"argv": ["/bin/true"]}, "durability": "memory"}
                for _ in range(self.dice.randrange(1, 4))]
        self.call("SubmitMany", jobs=jobs)

    def step_doomed(self):
        """A job that fails as often as it may."""
        spec = self.tally(max_attempts=self.dice.randrange(1, 5), delay_usec=0, keep_usec=None)
        spec["args"].update(fail=1000000, ms=0)
        self.records[spec["id"]]["fail"] = 1000000
        self.submit([spec])

    def step_expiring(self):
        """A job whose time is up before it may begin."""
        spec = self.tally(delay_usec=3600000000, ttl_usec=self.dice.randrange(1000, 300000))
        self.submit([spec])

    def step_cancel(self):
        if not self.open:
            return
        record = self.open[self.dice.choice(sorted(self.open))]
        record["cancels"] += 1
        self.say("cancels %s" % record["id"])
        error, answer = self.call("Cancel", id=record["id"],
                                  **({"force": True} if self.dice.random() < 0.3 else {}))
        if error == "NoSuchJob":
            self.vanished(record["id"])
        elif error not in (None, "WrongState"):  # it has ended meanwhile
            raise Fault("Cancel of %s: %s %s" % (record["id"], error, answer))

    def step_retry(self):
        """Of a job that ended badly, that nobody waits for and that has no key."""
        candidates = [r for r in self.failed if not r["leads"] and not r["key"]
                      and not r["after"] and r["retries"] < 3]
        self.failed = []
        if not candidates:
            return
        record = self.dice.choice(candidates)
        record["retries"] += 1 + self.repeats_of_retry(record)
        if record["seen"]:
            record["seen"] = None
            self.open[record["id"]] = record

    def repeats_of_retry(self, record):
        """Retry, and how often its answer was lost: each time it may have been done."""
        before = self.counts["repeated calls"]
        self.say("retries %s" % record["id"])
        error, answer = self.call("Retry", id=record["id"])
        if error == "NoSuchJob":
            self.vanished(record["id"])
        elif error not in (None, "WrongState"):
            raise Fault("Retry of %s: %s %s" % (record["id"], error, answer))
        return self.counts["repeated calls"] - before

    def step_look(self):
        ids = self.dice.sample(sorted(self.open), min(len(self.open), 5))
        calls = [("Get", {"id": id}) for id in ids]
        calls += [("List", {"limit": 20}), ("Status", {})]
        for id, (error, answer) in zip(ids, self.exchange(calls)):
            if error == "NoSuchJob":
                self.vanished(id)
            elif not error and ended(answer["job"]):
                self.heard(answer["job"])

    # --- waiting ---

    def wait_for_some(self):
        """Hears of the ends of the oldest jobs, by WaitMany on a connection of its own."""
        ids = list(self.open)[:WINDOW // 2]
        with self.connect() as link, contextlib.suppress(Closed, OSError):
            link.send("WaitMany", {"ids": ids, "ordered": self.dice.random() < 0.3}, more=True)
            end = time.monotonic() + 2
            while len(self.open) > WINDOW // 2:
                left = end - time.monotonic()
                if left <= 0 or not (link.buffer or select.select([link.socket], [], [], left)[0]):
                    return
                message = link.receive_message()
                if message.get("error", "").endswith("NoSuchJob"):
                    self.vanished(message["parameters"]["id"])
                    return
                if "error" in message:
                    return  # it drains
                self.heard(message["parameters"]["job"])
                if not message.get("continues"):
                    return


def run(number, options, until, journal):
    """The life of a client process. Returns its exit status."""
    def say(text):
        if options.verbose:
            os.write(1, ("client %d: %s\n" % (number, text)).encode())

    client = Client(number, options.seed, options.socket, options.tallies, options.semaphores, say)
    fault = None
    step = 0
    try:
        while time.monotonic() < until:
            client.step(step, until)
            step += 1
    except (Fault, AssertionError, VarlinkError, KeyError, ValueError) as error:
        fault = "client %d, step %d: %s: %s" % (number, step, type(error).__name__, error)
    with open(journal, "w", encoding="utf-8") as f:
        json.dump({"fault": fault, "steps": step, "counts": client.counts,
                   "records": list(client.records.values()),
                   "semaphores": SEMAPHORES if options.semaphores else {}}, f)
    return 1 if fault else 0

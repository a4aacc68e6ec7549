# SPDX-License-Identifier: MIT
"""What has to be true at the end, of every job.

    records   what the clients have submitted and heard
    jobs      {id: job} as the daemon tells them; a job that it does not know is not in there
    tallies   what the handlers have counted themselves

Each check is a function that yields what is wrong, in words.
"""

import os

COUNTED_ATTEMPTS = 100  # so many of a job are remembered
CLOCK_READING = 1000    # microseconds between two looks at the clock that were one event


class Tallies:
    """The lines of the handlers: per job its beginnings and ends, [(attempt, time)]."""

    def __init__(self, folder):
        self.begins, self.ends, self.executions = {}, {}, 0
        for name in os.listdir(folder):
            if name.startswith(("worker.", "exec")):
                with open(os.path.join(folder, name), encoding="ascii") as f:
                    self.read(f)

    def read(self, lines):
        for line in lines:
            what, id, attempt, usec = line.split()
            into = self.begins if what == "b" else self.ends
            into.setdefault(id, []).append((int(attempt), int(usec)))
            self.executions += what == "b"

    def times(self, id):
        return len(self.begins.get(id, ()))


class Case:
    """One job, from all sides. `job` None: the daemon does not know it."""

    def __init__(self, record, job, tallies):
        self.record, self.job, self.id = record, job, record["id"]
        self.begins = tallies.begins.get(self.id, [])
        self.ends = tallies.ends.get(self.id, [])
        self.attempts = job["attempts"] if job else []

    @property
    def state(self):
        return self.job["state"] if self.job else None

    @property
    def budget(self):
        return self.record["max_attempts"] * (1 + self.record["retries"])

    @property
    def last_number(self):
        return self.attempts[-1]["number"] if self.attempts else 0

    def is_forgotten_rightly(self):
        """It was not to be kept, and has run or was cancelled."""
        r = self.record
        return r["keep"] is not None and (self.ends or r["cancels"] or r["ttl"] is not None
                                          or len(self.begins) >= r["max_attempts"]
                                          or r["max_attempts"] < 3)


def check_presence(case, cases):
    """Every acknowledged job is there, and has ended."""
    if case.record["known_as"] is None:
        return  # its client ended with a fault before it was told
    if case.record["known_as"] != case.id:
        if case.job:
            yield "it was answered as %s, but is there as well" % case.record["known_as"]
    elif not case.job:
        if not case.is_forgotten_rightly():
            yield "it was acknowledged, and is gone"
    elif case.state in ("scheduled", "blocked", "queued", "running"):
        yield "it was acknowledged, and has not ended: %s, %s" % (case.state,
                                                                 case.job.get("reason"))


def check_end(case, cases):
    """It has ended for a reason that there was."""
    if case.state == "succeeded":
        yield from check_success(case)
    elif case.state == "failed":
        if len(case.attempts) < min(case.record["max_attempts"], COUNTED_ATTEMPTS):
            yield "it failed after %d attempts of %d" % (len(case.attempts),
                                                         case.record["max_attempts"])
    elif case.state == "cancelled":
        if not case.record["cancels"] and all(p in cases and cases[p].state == "succeeded"
                                              for p in case.record["after"]):
            yield "it was cancelled by nobody: %s" % case.job.get("reason")
    elif case.state == "expired":
        if case.record["ttl"] is None or case.begins:
            yield "it expired with a ttl of %s, after %d executions" % (case.record["ttl"],
                                                                        len(case.begins))
    elif case.state == "quarantined":
        yield "it was quarantined where PoisonDeaths= is off"


def check_success(case):
    """The result is right, and the attempt that says so was executed to its end."""
    record, result, last = case.record, case.job.get("result"), case.attempts[-1:]
    if not last or last[0].get("outcome") != "succeeded":
        yield "it succeeded, but its last attempt says %s" % (last and last[0].get("outcome"))
        return
    number = 0 if record["handler"] == "exec" else last[0]["number"]
    for what, lines in ("begun", case.begins), ("ended", case.ends):
        if not any(attempt == number for attempt, _ in lines):
            yield "its attempt %d succeeded, but was not %s by a handler" % (number, what)
    if record["handler"] == "exec":
        right = result and result.get("stdout") == "%d\n" % record["n"] ** 2
    else:
        right = result and result.get("square") == record["n"] ** 2 \
            and result.get("attempt") == number and number > record["fail"] \
            and len(result.get("text") or "") == record["swell"]
    if not right:
        yield "its result is wrong: %s" % str(result)[:200]


def check_executions(case, cases):
    """No attempt is executed twice, none that is not recorded, and no more than there may be."""
    if case.record["handler"] != "exec":
        numbers = [attempt for attempt, _ in case.begins]
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        if twice:
            yield "attempts %s were executed more than once" % twice
        known = {a["number"] for a in case.attempts}
        if case.job and case.last_number <= COUNTED_ATTEMPTS and not set(numbers) <= known:
            yield "attempts %s were executed and are not recorded" % sorted(set(numbers) - known)
    if case.job and len(case.begins) > case.last_number:
        yield "%d executions, but %d attempts" % (len(case.begins), case.last_number)
    if len(case.begins) > case.budget:
        yield "%d executions, where %d are allowed" % (len(case.begins), case.budget)


def check_attempts(case, cases):
    """Its attempts have growing numbers from 1, all have ended, and they keep to the budget."""
    numbers = [a["number"] for a in case.attempts]
    if numbers != sorted(set(numbers)) or (numbers and numbers[0] != 1):
        yield "the numbers of its attempts are %s" % numbers
    if case.state == "running":
        return
    for a in case.attempts:
        if not a.get("outcome") or \
                (a.get("ended_usec") or 0) < a["started_usec"] - CLOCK_READING:
            yield "its attempt %d has no outcome, or no times: %s" % (a["number"], a)
    # what a worker never looked at, or gave back, costs nothing, and is no execution
    executed = {attempt for attempt, _ in case.begins}
    counted = [a for a in case.attempts if a.get("outcome") not in ("worker_died", "shutdown")
               or a["number"] in executed or case.record["handler"] == "exec"]
    if len(counted) > case.budget and case.record["handler"] != "exec":
        yield "%d attempts that count, where %d are allowed" % (len(counted), case.budget)


def check_order(case, cases):
    """It began after those it had to wait for had succeeded."""
    for id in case.record["after"] if case.begins else ():
        before = cases.get(id)
        if not before or before.state != "succeeded":
            yield "it was executed, but %s, which had to succeed first, is %s" % (
                id, before and before.state)
        elif before.ends and min(t for _, t in case.begins) < min(t for _, t in before.ends):
            yield "it was executed before %s, which had to succeed first" % id


def check_memory(case, cases):
    """What a client has heard of its end is still so."""
    seen = case.record["seen"]
    if seen and case.job and not case.record["retries"]:
        if (seen["state"], seen["attempts"]) != (case.state, len(case.attempts)):
            yield "its client was told %s after %d attempts, now it is %s after %d" % (
                seen["state"], seen["attempts"], case.state, len(case.attempts))


CHECKS = [check_presence, check_end, check_executions, check_attempts, check_order, check_memory]


def unique_keys(cases):
    """No two jobs of one key were open at a time."""
    by_key = {}
    for case in cases.values():
        if case.record["key"] and case.job:
            by_key.setdefault(case.record["key"], []).append(case)
    for key, same in by_key.items():
        same.sort(key=lambda case: case.job["submitted_usec"])
        for one, other in zip(same, same[1:]):
            if one.job.get("ended_usec") is None or \
                    other.job["submitted_usec"] < one.job["ended_usec"]:
                yield "jobs %s and %s of key %s were open at the same time" % (
                    one.id, other.id, key)


def semaphores(cases, sizes):
    """No semaphore was held by more than its size. Of executions that were killed only the
    beginning is known for sure."""
    for name, size in sizes.items():
        changes = []
        for case in cases.values():
            if name not in case.record["semaphores"] or case.record["handler"] == "exec":
                continue
            ends = dict(case.ends)
            for attempt, usec in case.begins:
                if attempt in ends:
                    changes += [(usec, 1), (ends[attempt], -1)]
        held = 0
        for _, by in sorted(changes):
            held += by
            if held > size:
                yield "semaphore %s of %d was held %d times" % (name, size, held)
                break


def strangers(cases, tallies):
    """Nothing was executed that nobody submitted."""
    for id in set(tallies.begins) - set(cases):
        yield "job %s was executed, but submitted by nobody" % id


def judge(records, jobs, tallies, sizes):
    """Returns what is wrong, in words."""
    cases = {r["id"]: Case(r, jobs.get(r["id"]), tallies) for r in records}
    wrong = []
    for case in cases.values():
        for check in CHECKS:
            wrong += ["job %s: %s" % (case.id, words) for words in check(case, cases)]
    wrong += unique_keys(cases)
    wrong += semaphores(cases, sizes)
    wrong += strangers(cases, tallies)
    return wrong

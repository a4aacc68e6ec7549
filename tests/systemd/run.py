#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests under a real systemd.

    run.py [-jN] [--list] [--repeat=N] [--debs=DIR] [PATTERN]…

A test is a function test_…(m) of a file test_*.py here; it fails by raising. Each has a machine of
its own (machine.py), booted from an image where brood was installed once from its Debian packages:
those of --debs, or they are built first. A pattern is a part of "file.function".

Where no box can be run all tests are skipped; with CI=true and as root that is a failure.
"""

import argparse
import contextlib
import importlib
import inspect
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import box
from machine import SERVICE, SOCKET, Machine, Skip

sys.path.append(os.path.dirname(box.HERE))
from again import run_again  # noqa: E402

LIMIT = 60
PREFIX = "brood-"
SOURCE = os.path.normpath(os.path.join(box.HERE, "..", ".."))
PACKAGES = ("systemd", "dbus", "libpam-systemd", "util-linux", "iproute2", "procps")


def collect(patterns):
    """[(name, function)] in the order of the files."""
    found = []
    for file in sorted(os.listdir(box.HERE)):
        match = re.fullmatch(r"(test_\w+)\.py", file)
        if not match:
            continue
        module = importlib.import_module(match.group(1))
        functions = [f for n, f in vars(module).items()
                     if n.startswith("test_") and inspect.isfunction(f)
                     and f.__module__ == module.__name__]
        functions.sort(key=lambda f: f.__code__.co_firstlineno)
        found += [("%s.%s" % (match.group(1)[5:], f.__name__[5:]), f) for f in functions]
    if patterns:
        found = [(n, f) for n, f in found if any(p in n for p in patterns)]
    return found


# --- whether it can run, and what it begins with ---

def why_not():
    """Why no box can be run here; None if one can."""
    done = box.script("check", "%s%d-check" % (PREFIX, os.getpid()), check=False)
    if done.returncode == 77:
        return done.stderr.strip()
    missing = [p for p in PACKAGES if subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", p], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, check=False).stdout != b"install ok installed"]
    return "needs the packages %s" % " ".join(missing) if missing else None


def sweep():
    """Ends the boxes of runners that were killed before they could."""
    mount = subprocess.run(["findmnt", "-nrt", "cgroup2", "-o", "TARGET"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split()[0]
    for folder in os.listdir(mount):
        match = re.fullmatch(r"box-(%s(\d+)-.*)" % PREFIX, folder)
        if match and not os.path.exists("/proc/" + match.group(2)):
            box.script("stop", match.group(1), "now")


def build_packages(into):
    with open(os.path.join(into, "log"), "wb") as log:
        done = subprocess.run([os.path.join(SOURCE, "packaging", "build-deb.sh"), into],
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if done.returncode != 0:
        with open(os.path.join(into, "log"), errors="replace", encoding="utf-8") as log:
            print("".join(log.readlines()[-60:]), end="")
        raise box.Failed("packaging/build-deb.sh: status %d" % done.returncode)


def make_image(name, path):
    """What the machines of the tests begin with, as a tar file."""
    with Machine(name) as machine:
        machine.prepare()
        machine.save(path)


# --- one test ---

def show(machine):
    """What one wants to know of a machine on which a test has failed."""
    for command in (["systemctl", "status", "--no-pager", "-n0", SERVICE, SOCKET],
                    ["journalctl", "--no-pager", "-q", "-n60", "-o", "short-precise",
                     "-u", SERVICE, "-u", SOCKET, "-t", "broodd"]):
        with contextlib.suppress(Exception):
            print("--- " + " ".join(command))
            print(machine.run(*command, status=None).out)


def check_after(machine):
    """What holds after every test: no failed assertion, no core, no failed unit of brood."""
    bad = machine.messages("-g", "[Aa]ssertion [`'].*failed|runtime error:|AddressSanitizer")
    assert not bad, "in the journal: %s" % bad


def run_here(function, name, image):
    """Runs one test. Returns the exit status: 0, 1, or 77 if it was skipped."""
    machine = Machine(name, files=None if getattr(function, "bare", False) else image,
                      v1=getattr(function, "v1", False))
    try:
        with machine:
            try:
                function(machine)
                check_after(machine)
            except Skip:
                raise
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                show(machine)
                return 1
    except Skip as skip:
        print(skip)
        return 77
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class Run:
    """One test, in a process of its own."""

    count = 0

    def __init__(self, name, function, image):
        Run.count += 1
        self.name, self.function = name, function
        self.box = "%s%d-%d" % (PREFIX, os.getpid(), Run.count)
        self.output = tempfile.TemporaryFile()
        self.began = time.monotonic()
        self.end = self.began + getattr(function, "limit", LIMIT)
        self.timed_out = False
        self.pid = os.fork()
        if self.pid == 0:
            self.be(image)
        self.pidfd = os.pidfd_open(self.pid)

    def be(self, image):
        os.setpgid(0, 0)
        os.dup2(self.output.fileno(), 1)
        os.dup2(self.output.fileno(), 2)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
        status = 1
        try:
            status = run_here(self.function, self.box, image)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def out_of_time(self):
        if not self.timed_out:  # it shows where it is, and cleans up
            self.timed_out = True
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        else:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self.end = time.monotonic() + 20

    def result(self):
        _, wait_status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        self.close()
        status = os.waitstatus_to_exitcode(wait_status)
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")
        self.output.close()
        took = time.monotonic() - self.began
        word = {0: "ok", 77: "skip"}.get(status, "FAIL") if not self.timed_out else "FAIL"
        line = "%-4s %s (%.2f s)" % (word, self.name, took)
        if word == "skip":
            line += ": " + text.strip()
        print(line, flush=True)
        if word == "FAIL":
            sentence = (self.function.__doc__ or "").strip()
            print("     %s\n%s" % (sentence, "out of time\n" if self.timed_out else ""), end="")
            print("\n".join("     | " + part for part in text.splitlines()), flush=True)
        return word

    def close(self):
        """The box is gone, and what the test itself has started, whatever has happened."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            box.script("stop", self.box, "now")


def run_all(tests, jobs, image):
    """Runs them, `jobs` at a time; those that measure come last, one by one."""
    alone = [t for t in tests if getattr(t[1], "alone", False)]
    beside = [t for t in tests if t not in alone]
    return run_beside(beside, jobs, image) + run_beside(alone, 1, image)


def run_beside(tests, jobs, image):
    """Returns [(word, name)]."""
    todo, running, words = list(tests), [], []
    try:
        while todo or running:
            while todo and len(running) < jobs:
                running.append(Run(*todo.pop(0), image))
            wait = max(0, min(r.end for r in running) - time.monotonic())
            ready = select.select([r.pidfd for r in running], [], [], wait)[0]
            for run in list(running):
                if run.pidfd in ready:
                    running.remove(run)
                    words.append((run.result(), run.name))
                elif time.monotonic() >= run.end:
                    run.out_of_time()
    finally:
        for run in running:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(run.pidfd, signal.SIGKILL)
            run.close()
    return words


# --- all of them ---

def summary(words):
    failed = [name for word, name in words if word == "FAIL"]
    skipped = [name for word, name in words if word == "skip"]
    if failed:
        print("failed: " + " ".join(failed))
    print("%d passed, %d failed%s" % (len(words) - len(failed) - len(skipped), len(failed),
                                      ", %d skipped" % len(skipped) if skipped else ""))
    return 1 if failed else 0


def cannot(reason, tests):
    must = os.environ.get("CI", "") not in ("", "0", "false") and os.geteuid() == 0
    word = "FAIL" if must else "skip"
    print("%-4s all of it: %s" % (word, reason))
    return summary([(word, name) for name, _ in tests])


def run_in(work, tests, options):
    os.environ["BOX_DIR"] = os.path.join(work, "boxes")
    image = os.path.join(work, "image.tar")
    Machine.debs = options.debs
    sweep()
    began = time.monotonic()
    try:
        if not options.debs:
            Machine.debs = os.path.join(work, "debs")
            os.mkdir(Machine.debs)
            build_packages(Machine.debs)
        make_image("%s%d-image" % (PREFIX, os.getpid()), image)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        return summary([("FAIL", "prepare")])
    print("ok   prepared (%.2f s)" % (time.monotonic() - began), flush=True)
    words = run_all(tests * options.repeat, options.j, image)
    if options.j > 1 and options.repeat == 1:
        words = run_again(tests, words, lambda some: run_beside(some, 1, image))
    return summary(words)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int, default=2, metavar="N")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--debs", metavar="DIR", help="packages that are built already")
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()
    tests = collect(options.pattern)
    if options.list:
        for name, function in tests:
            print("%s: %s" % (name, (function.__doc__ or "").strip()))
        return 0
    reason = why_not()
    if reason:
        return cannot(reason, tests)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    work = tempfile.mkdtemp(prefix="brood-systemd-")
    try:
        return run_in(work, tests, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

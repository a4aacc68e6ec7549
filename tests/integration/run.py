#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the integration tests.

    run.py [-jN] [--list] [--repeat=N] [--but=FILE,…] [PATTERN]…

A test is a function test_… of a file test_*.py here; it fails by raising. Each runs in a process of
its own, which is a child subreaper; when it ends, nothing that it started may be left. The build
directory is $BROOD_BUILD. A pattern is a part of "file.function".
"""

import argparse
import contextlib
import importlib
import inspect
import os
import re
import select
import signal
import sys
import tempfile
import time
import traceback

import harness

sys.path.append(os.path.dirname(harness.HERE))
from again import run_again  # noqa: E402

LIMIT = 60
LOG_TAIL = 40


def collect(patterns):
    """[(name, function)] in the order of the files."""
    found = []
    for file in sorted(os.listdir(harness.HERE)):
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


def left_over():
    """What is still alive below this process."""
    return [p for p in harness.descendants(os.getpid()) if harness.alive(p)]


def end_all(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def run_here(function):
    """Runs one test in this process. Returns the exit status: 0, 1, or 77 if it was skipped."""
    harness.become_subreaper()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it
    status = 0
    try:
        function()
        for daemon in list(harness.Daemon.running):
            raise AssertionError("the test has left a daemon running: %s" % daemon.pid)
    except harness.Skip as skip:
        print(skip)
        status = 77
    except BaseException:
        traceback.print_exc()
        status = 1
        for daemon in list(harness.Daemon.running):
            show_log(daemon)
    for daemon in list(harness.Daemon.running):
        daemon.end()
    left = left_over()
    if left:
        if status == 0:
            print("left: %s" % [harness.command_line(p) for p in left])
            status = 1
        end_all(left)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


failed_logs = []


def show_log(daemon):
    lines = daemon.log().splitlines()
    print("--- the daemon's log (%d lines)" % len(lines))
    print("\n".join(lines[-LOG_TAIL:]))


def keep_log_on_failure():
    """A daemon that is ended because its test failed shows its log first."""
    end = harness.Daemon.end

    def shown(self):
        if sys.exc_info()[0] and not self.ended:
            show_log(self)
        end(self)

    harness.Daemon.end = shown


class Run:
    """One test, in a process of its own."""

    def __init__(self, name, function):
        self.name, self.function = name, function
        self.output = tempfile.TemporaryFile()
        factor = 3 if harness.SANITIZED else 1
        self.began = time.monotonic()
        self.end = self.began + getattr(function, "limit", LIMIT) * factor
        self.timed_out = False
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(self.output.fileno(), 1)
            os.dup2(self.output.fileno(), 2)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
            try:
                status = run_here(function)
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        self.pidfd = os.pidfd_open(self.pid)

    def out_of_time(self):
        if not self.timed_out:  # it shows where it is, and cleans up
            self.timed_out = True
            self.end = time.monotonic() + 20
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        else:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self.end = time.monotonic() + 20

    def result(self):
        _, wait_status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
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


def is_alone(test):
    return getattr(test[1], "alone", False)


def run_all(tests, jobs):
    """Runs them, `jobs` at a time; those that measure times come last, one by one."""
    if jobs == 1:
        return run_beside(tests, 1)
    return (run_beside([t for t in tests if not is_alone(t)], jobs)
            + run_beside([t for t in tests if is_alone(t)], 1))


def run_beside(tests, jobs):
    """Runs them, `jobs` at a time. Returns [(word, name)]."""
    todo, running, words = list(tests), [], []
    while todo or running:
        while todo and len(running) < jobs:
            running.append(Run(*todo.pop(0)))
        wait = max(0, min(r.end for r in running) - time.monotonic())
        ready = select.select([r.pidfd for r in running], [], [], wait)[0]
        for run in list(running):
            if run.pidfd in ready:
                running.remove(run)
                words.append((run.result(), run.name))
            elif time.monotonic() >= run.end:
                run.out_of_time()
        if not running:  # what a test that was killed has left came to us
            left = left_over()
            end_all(left)
            harness.reap()
    return words


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int, default=1, metavar="N")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--but", default="", metavar="BEGINNING,…",
                        help="not those whose file.function begins so")
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()
    sys.path.insert(0, harness.HERE)
    tests = [(name, function) for name, function in collect(options.pattern)
             if not name.startswith(tuple(filter(None, options.but.split(","))))]
    if options.list:
        for name, function in tests:
            print("%s: %s" % (name, (function.__doc__ or "").strip()))
        return 0
    if not os.access(harness.build("daemon", "broodd"), os.X_OK):
        sys.exit("no %s: build first, or set BROOD_BUILD" % harness.build("daemon", "broodd"))
    harness.become_subreaper()
    keep_log_on_failure()
    words = run_all(tests * options.repeat, options.j)
    if options.j > 1 and options.repeat == 1:
        words = run_again(tests, words, lambda some: run_beside(some, 1))
    failed = [name for word, name in words if word == "FAIL"]
    skipped = [name for word, name in words if word == "skip"]
    if failed:
        print("failed: " + " ".join(failed))
    print("%d passed, %d failed%s" % (len(words) - len(failed) - len(skipped), len(failed),
                                      ", %d skipped" % len(skipped) if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

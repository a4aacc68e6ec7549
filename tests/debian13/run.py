#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds brood in a root of Debian 13 (root.sh) and runs integration tests there.

    run.py [-jN] [--ahead] [PATTERN]…

A pattern is a part of "file.function" of tests/integration; without one it is those of TESTS.
The root is kept in /var/cache/brood-tests, what is built in build-test/debian13.

Only root can make it, and only with the network; else all is skipped. With CI=true and as root that
is a failure, but where the mirror does not answer.
"""

import argparse
import os
import re
import subprocess
import sys
import time

from checks import CHECKS
from root import SOURCE, Failed, Root, script

# What Debian 12 cannot test, or not in this way.
TESTS = ("models.python_interpreter", "python_module.")
LIMIT = 1200
TALLY = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*")


class Tally:
    """What has passed, failed and been skipped."""

    def __init__(self):
        self.numbers = [0, 0, 0]

    def add(self, passed=0, failed=0, skipped=0):
        self.numbers = [a + b for a, b in zip(self.numbers, (passed, failed, skipped))]

    def tell(self):
        """The last line; returns the exit status."""
        print("%d passed, %d failed" % tuple(self.numbers[:2])
              + (", %d skipped" % self.numbers[2] if self.numbers[2] else ""), flush=True)
        return 1 if self.numbers[1] else 0


def show(text):
    for line in text.splitlines():
        print("     | " + line, flush=True)


def why_not(root):
    """Why there can be no root; None when there is one."""
    with script("check", stderr=subprocess.PIPE) as check:
        reason = check.communicate()[1].strip()
    if check.returncode != 0:
        return reason
    try:
        root.make()
    except Failed as failed:
        return str(failed)
    return None


def cannot(reason, tally):
    must = os.environ.get("CI", "") not in ("", "0", "false") and os.geteuid() == 0 \
        and "is not to be had from" not in reason
    tally.add(failed=must, skipped=not must)
    print("%-4s all of it: %s" % ("FAIL" if must else "skip", reason.splitlines()[-1]))
    if "\n" in reason:
        show(reason)


def build(root, tally):
    """Returns whether there is something to be tested."""
    began = time.monotonic()
    try:
        warnings = root.build()
    except Failed as failed:
        print("FAIL debian13.build")
        show(str(failed))
        tally.add(failed=1)
        return False
    print("ok   debian13.build (%.2f s): %d warnings" % (time.monotonic() - began, len(warnings)))
    show("\n".join(warnings))
    tally.add(passed=1)
    return True


def check(root, tally):
    for function in CHECKS:
        name = "debian13." + function.__name__[len("check_"):]
        try:
            function(root)
        except AssertionError as wrong:
            print("FAIL %s\n     %s" % (name, function.__doc__))
            show(str(wrong))
            tally.add(failed=1)
        else:
            print("ok   " + name, flush=True)
            tally.add(passed=1)


def integration(root, options, tally):
    """The tests' own lines go out as they come; their tally goes into ours."""
    found = None
    with root.begin("python3", "/src/tests/integration/run.py", "-j%d" % options.j,
                    *(options.pattern or TESTS), seconds=LIMIT) as running:
        for line in running.stdout:
            match = TALLY.fullmatch(line)
            if match:
                found = [int(number or 0) for number in match.groups()]
            else:
                print(line, end="", flush=True)
    wrong = wrong_end(running.returncode, found)
    if wrong:
        print("FAIL debian13.integration: " + wrong)
        tally.add(failed=1)
    tally.add(*found or ())


def wrong_end(status, found):
    """What is wrong with the end of the tests, beside those that have failed."""
    if not found:
        return "status %d, and no tally" % status
    if not any(found):
        return "no test has such a name"
    if status != (1 if found[1] else 0):
        return "status %d, and %d failed" % (status, found[1])
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int, default=2, metavar="N")
    parser.add_argument("--ahead", action="store_true", help="only makes and builds what is needed")
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()
    root, tally = Root(os.path.join(SOURCE, "build-test", "debian13")), Tally()
    reason = why_not(root)
    if reason:
        cannot(reason, tally)
        return tally.tell()
    with root.locked():
        if build(root, tally) and not options.ahead:
            check(root, tally)
            integration(root, options, tally)
    return tally.tell()


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests that meson knows (unit, ground, interop, …), and shows those that fail.

    meson_tests.py TREE [ARGUMENT]…

The arguments are those of `meson test`. What all said is in TREE/meson-logs/testlog.txt.
"""

import json
import os
import subprocess
import sys

from again import run_again

TAIL = 100  # lines that are shown of what one said
WORDS = {"OK": "ok", "EXPECTEDFAIL": "ok", "SKIP": "skip"}


def read(path):
    """What meson wrote of each test. One that never ran is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return [json.loads(line) for line in f]
    except FileNotFoundError:
        return []


def tell(test):
    """Prints how it ended. Returns (word, name)."""
    name = test["name"].split(" / ")[-1]
    word = WORDS.get(test["result"], "FAIL")
    print("%-4s %s (%.2f s)%s" % (word, name, test["duration"],
                                  "" if word == "ok" else ": " + test["result"]))
    if word == "FAIL":
        said = (test.get("stdout", "") + test.get("stderr", "")).splitlines()
        print("\n".join("     | " + line for line in said[-TAIL:]), flush=True)
    return word, name


def run(tree, log, *arguments):
    """Returns [(word, name)]."""
    path = os.path.join(tree, "meson-logs", log + ".json")
    if os.path.exists(path):
        os.unlink(path)
    done = subprocess.run(["meson", "test", "-C", tree, "--no-rebuild", "--logbase", log,
                           "--timeout-multiplier", "3", *arguments], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    words = [tell(test) for test in read(path)]
    if not words or (done.returncode != 0 and "FAIL" not in [word for word, _ in words]):
        print(done.stdout)
        words.append(("FAIL", "meson test: status %d" % done.returncode))
    return words


def main():
    tree, arguments = sys.argv[1], sys.argv[2:]
    words = run(tree, "testlog", *arguments)
    words = run_again([(name, None) for _, name in words], words,
                      lambda some: run(tree, "again", "--num-processes=1", *[n for n, _ in some]))
    count = [sum(word == which for word, _ in words) for which in ("ok", "FAIL", "skip")]
    print("%d passed, %d failed, %d skipped" % tuple(count))
    return 1 if count[1] else 0


if __name__ == "__main__":
    sys.exit(main())

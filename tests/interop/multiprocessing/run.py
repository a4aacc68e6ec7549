#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""libbrood beside Python's multiprocessing: every case runs on both, and prints the same.

    run.py DRIVER [--python=PYTHON] [PATTERN]

DRIVER is the C program of the cases; driver.py has the same ones for Python. Where brood differs on
purpose, differences.py has both outputs, and why.
"""
import argparse
import concurrent.futures
import difflib
import os
import signal
import subprocess
import sys

sys.dont_write_bytecode = True

from differences import DIFFERENCES

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = next(filter(os.path.exists, ("/usr/bin/python3", sys.executable)))  # Debian's
LIMIT = 60  # seconds, of a case that takes less than three


# A case ends in the middle of things, as Python's do: that something is not freed says nothing.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


def run(argv):
    """What it printed. Its pipe has to be closed by all of its processes."""
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, errors="replace",
                         start_new_session=True, env=ENVIRONMENT)
    try:
        out, err = p.communicate("standard input\n", timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, err = p.communicate()
        return out, "it hung\n" + err
    if p.returncode:
        return out, "exit status %d\n%s" % (p.returncode, err)
    return out, "" if out else "it printed nothing\n" + err


def wrong(what, expected, got):
    return "\n".join(difflib.unified_diff(expected.splitlines(), got.splitlines(),
                                          "%s, expected" % what, what, lineterm="", n=99))


def judge(name, sides):
    """What is wrong with a case; "": nothing."""
    got, faults = {}, []
    for side, argv in sides.items():
        got[side], fault = run(argv + [name])
        if fault:
            faults.append("%s: %s%s" % (side, fault, got[side]))
    if faults:
        return "\n".join(faults)
    if name not in DIFFERENCES:
        return wrong("brood", got["python"], got["brood"])
    expected = DIFFERENCES[name]
    if expected["python"] == expected["brood"]:
        return "differences.py has it with like outputs"
    return "\n".join(filter(None, (wrong(side, "\n".join(expected[side]), got[side])
                                   for side in sides)))


def listed(argv):
    return subprocess.run(argv + ["--list"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.split()


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("driver")
    a.add_argument("pattern", nargs="?", default="")
    a.add_argument("--python", default=PYTHON,
                   help="default: %(default)s")
    o = a.parse_args()
    sides = {"python": [o.python, os.path.join(HERE, "driver.py")],
             "brood": [os.path.abspath(o.driver)]}
    names = listed(sides["python"])
    strangers = set(names) ^ set(listed(sides["brood"])) | set(DIFFERENCES) - set(names)
    for name in sorted(strangers):
        print("FAIL %s: not in both drivers" % name)
    names = [n for n in names if o.pattern in n and n not in strangers]
    failed = len(strangers)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for name, fault in zip(names, threads.map(lambda n: judge(n, sides), names)):
            failed += bool(fault)
            if fault:
                print("FAIL %s" % name)
                print("\n".join("     | " + line for line in fault.splitlines()))
            else:
                print("ok   %s%s" % (name, " (differs)" if name in DIFFERENCES else ""))
    print("%d passed, %d failed" % (len(names) + len(strangers) - failed, failed))
    return 1 if failed else 0


sys.exit(main())

# SPDX-License-Identifier: MIT
"""How the root is made and kept, with a debootstrap that takes no time."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

import checks
import run
from root import HERE

# It notes that it was called, and waits at $GATE when there is one.
DEBOOTSTRAP = """#!/bin/sh
for arg; do case $arg in *.new) target=$arg ;; esac; done
[ ! -e "$target" ] || { echo "there is something at $target"; exit 3; }
mkdir -p "$target/etc"
echo "$*" >>"$CALLS"
[ ! -e "$GATE" ] || { : >"$target/half"; read -r _ <"$GATE"; }
[ ! -e "$CALLS.fails" ] || { echo "no such mirror"; exit 1; }
"""


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class KeepingTheRoot(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="brood-root-")
        self.addCleanup(shutil.rmtree, self.home)
        self.cache = self.path("cache")
        os.mkdir(self.path("bin"))
        self.write("bin/debootstrap", DEBOOTSTRAP)
        os.mkdir(self.path("tests"))  # a copy, whose list can be changed
        shutil.copy(os.path.join(HERE, "..", "dev.sh"), self.path("tests"))
        os.mkdir(self.path("tests", "debian13"))
        shutil.copy(os.path.join(HERE, "root.sh"), self.path("tests", "debian13"))
        if self.start("check").wait() == 77:
            self.skipTest("needs root, and the right to make namespaces")

    def path(self, *parts):
        return os.path.join(self.home, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.path(name), 0o755)

    def start(self, *args):
        env = dict(os.environ, PATH=self.path("bin") + ":" + os.environ["PATH"],
                   BROOD_TEST_CACHE=self.cache, BROOD_TEST_MIRROR="http://nowhere",
                   CALLS=self.path("calls"), GATE=self.path("gate"))
        process = subprocess.Popen([self.path("tests", "debian13", "root.sh"), *args], env=env,
                                   text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def make(self, status=0):
        """What root.sh says of the root, or, where it has to fail, of why."""
        process = self.start("make")
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, status, err)
        return err if status else out

    def calls(self):
        try:
            with open(self.path("calls"), encoding="ascii") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def test_it_is_made_once_and_kept(self):
        first = self.make()
        self.assertEqual(self.make(), first)
        self.assertEqual(len(self.calls()), 1)
        self.assertIn(",python3-dev", self.calls()[0])
        self.assertTrue(first.startswith("trixie, "), first)

    def test_another_list_makes_it_anew(self):
        first = self.make()
        script = self.path("tests", "debian13", "root.sh")
        with open(script, encoding="ascii") as f:
            text = f.read()
        self.write(script, text.replace(" python3-dev", " python3-dev hello"))
        self.assertNotEqual(self.make(), first)
        self.assertEqual(self.make(), self.make())
        self.assertEqual(["hello" in call for call in self.calls()], [False, True])

    def test_one_that_was_interrupted_is_not_there(self):
        os.mkfifo(self.path("gate"))
        making = self.start("make")
        until(lambda: os.path.exists(self.path("cache", "trixie.new", "half")))
        making.send_signal(signal.SIGKILL)
        with open(self.path("cache", "lock"), encoding="ascii") as lock:  # nobody is left in it
            subprocess.run(["flock", "-w", "30", "-x", "0"], stdin=lock, check=True)
        self.assertFalse(os.path.exists(self.path("cache", "trixie")))
        os.unlink(self.path("gate"))
        self.make()
        self.assertFalse(os.path.exists(self.path("cache", "trixie", "half")))
        self.assertEqual(sorted(os.listdir(self.cache)), ["lock", "log", "trixie"])

    def test_one_that_failed_is_not_there_and_says_why(self):
        self.write("calls.fails", "")
        words = self.make(status=1)
        self.assertIn("no such mirror", words)
        self.assertIn("debootstrap of trixie from http://nowhere: status 1", words)
        self.assertFalse(os.path.exists(self.path("cache", "trixie")))
        os.unlink(self.path("calls.fails"))
        self.make()

    def test_of_two_at_the_same_time_one_makes_it(self):
        os.mkfifo(self.path("gate"))
        both = [self.start("make")]
        until(self.calls)
        both.append(self.start("make"))
        until(lambda: self.waits_for_the_lock(both[1].pid))
        with open(self.path("gate"), "w", encoding="ascii") as gate:
            os.unlink(self.path("gate"))
            gate.write("go on\n")
        said = [process.communicate(timeout=60)[0] for process in both]
        self.assertEqual(said[0], said[1])
        self.assertTrue(said[0])
        self.assertEqual(len(self.calls()), 1)

    def waits_for_the_lock(self, pid):
        """Whether flock, the child of that script, is blocked."""
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            children = f.read().split()
        with open("/proc/locks", encoding="ascii") as f:
            waiting = [line.split()[5] for line in f if " -> FLOCK" in line]
        return any(child in waiting for child in children)

    def test_only_root_may_write_where_it_is(self):
        self.make()
        self.assertEqual(stat.S_IMODE(os.stat(self.cache).st_mode), 0o700)
        os.chmod(self.cache, 0o777)
        self.assertIn("nobody else may write", self.make(status=1))
        os.chmod(self.cache, 0o755)
        self.make()
        os.chown(self.cache, 61001, -1)
        self.assertIn("has to be a directory of root's", self.make(status=1))
        os.chown(self.cache, 0, -1)
        os.symlink(self.cache, self.path("link"))
        self.cache = self.path("link")
        self.assertIn("has to be a directory of root's", self.make(status=1))


class Judging(unittest.TestCase):
    def test_a_root_is_what_it_has_to_be(self):
        for words, wrong in (("13 3.13 3.13 3.13", None),
                             ("13 3.13 3.13 3.12", None),
                             ("12 3.11 3.11 3.11", "Debian 12, not 13"),
                             ("13 3.11 3.13 3.13", "python3: 3.11; a GIL for each interpreter"),
                             ("13 3.13 3.13 3.9", "python3-embed.pc: 3.9;"),
                             ("13 3.13 3.13", "not 4 words")):
            said = checks.judge(words.split())
            self.assertTrue(said is None if wrong is None else said.startswith(wrong), said)

    def test_tests_that_did_not_run_have_not_passed(self):
        for status, found, wrong in ((0, [1, 0, 0], None), (1, [3, 1, 0], None),
                                     (0, [0, 0, 1], None), (137, None, "status 137, and no tally"),
                                     (0, [0, 0, 0], "no test has such a name"),
                                     (1, [1, 0, 0], "status 1, and 0 failed"),
                                     (0, [1, 1, 0], "status 0, and 1 failed")):
            self.assertEqual(run.wrong_end(status, found), wrong)


if __name__ == "__main__":
    unittest.main()

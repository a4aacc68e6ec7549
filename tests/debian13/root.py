# SPDX-License-Identifier: MIT
"""The root of Debian 13 (root.sh) and a build tree for it."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.normpath(os.path.join(HERE, "..", ".."))
SCRIPT = os.path.join(HERE, "root.sh")
# Of the tests' own programs only those that stand beside the integration tests are needed.
NOT_BUILT = re.compile(r"/src/tests/(?!integration/)")


class Failed(Exception):
    """What had to be made could not be made; the words are for who reads the tests' output."""


def script(*args, env=None, **kwargs):
    """Starts root.sh, which ends when this process does."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", SCRIPT, *args], text=True,
                            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            env=dict(os.environ, **(env or {})), **kwargs)


class Root:
    """`directory` keeps what is built; one process at a time may use it."""

    def __init__(self, directory):
        self.directory = directory
        self.tree = os.path.join(directory, "tree")

    def make(self):
        """Makes the root if it is not there; returns what it was made of."""
        with script("make", stderr=subprocess.PIPE) as made:
            out, err = made.communicate()
        if made.returncode != 0:
            raise Failed(err.strip())
        return out

    def run(self, *command, seconds=60, env=""):
        """Runs a command in it. Returns its status and all that it said."""
        with self.begin(*command, seconds=seconds, env=env) as running:
            out = running.communicate()[0]
        return running.returncode, out

    def begin(self, *command, seconds=60, env=""):
        return script("run", str(seconds), self.tree, *command, env={"TEST_ENV": env},
                      stderr=subprocess.STDOUT)

    @contextlib.contextmanager
    def locked(self):
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, "lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- the build tree ---

    def build(self):
        """Builds what the tests need. Returns the compiler's warnings."""
        self.drop_what_another_root_built()
        if not os.path.exists(os.path.join(self.tree, "build.ninja")):
            shutil.rmtree(self.tree, ignore_errors=True)
            self.must("meson", "setup", "/build", "/src")
        out = self.must("ninja", "-C", "/build", *self.targets(), seconds=1200)
        return [line for line in out.splitlines() if " warning: " in line]

    def drop_what_another_root_built(self):
        made_of, known = self.make(), os.path.join(self.directory, "root")
        with contextlib.suppress(FileNotFoundError), open(known, encoding="utf-8") as f:
            if f.read() == made_of:
                return
        shutil.rmtree(self.tree, ignore_errors=True)
        with open(known, "w", encoding="utf-8") as f:
            f.write(made_of)

    def targets(self):
        with open(os.path.join(self.tree, "meson-info", "intro-targets.json"),
                  encoding="utf-8") as f:
            return [os.path.relpath(name, "/build") for target in json.load(f)
                    if target["build_by_default"] and not NOT_BUILT.match(target["defined_in"])
                    for name in target["filename"]]

    def must(self, *command, seconds=300):
        status, out = self.run(*command, seconds=seconds)
        if status != 0:
            raise Failed("%s: status %d\n%s" % (" ".join(command[:3]), status,
                                                "\n".join(out.splitlines()[-60:])))
        return out

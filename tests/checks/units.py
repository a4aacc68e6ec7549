#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""units.py BUILD: what systemd says of the units and the drop-ins, as that build installs them.

systemd-analyze verify has nothing to say of any of them, systemd-analyze security finds the
system's daemon closed well enough, with each drop-in but the one for a root daemon, too, and above
each directive stands its reason. Prints what is wrong and exits 1 if there is anything.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

THRESHOLD = 25  # ten times the exposure that systemd-analyze calculates
THRESHOLD_ROOT = 25  # of a daemon that has to become other users
SELF_EVIDENT = ("Description", "Documentation")
INSTANCE = "check"


def run(*command, **environment):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60,
                          env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0",
                               "SYSTEMD_PAGER": "cat", **environment})
    return done.returncode, done.stdout.strip()


class Units:
    """The units of one kind, copied, with the programs named where the build has put them."""

    def __init__(self, root, kind, top):
        found, = glob.glob(root + "/**/systemd/%s/broodd.service" % kind, recursive=True)
        self.kind, self.installed, self.top = kind, os.path.dirname(found), top
        self.names = sorted(os.listdir(self.installed))
        self.folder = os.path.join(top, kind)
        os.mkdir(self.folder)
        for name in self.names:
            with open(os.path.join(self.installed, name), encoding="utf-8") as f:
                text = re.sub(r"^(Exec\w+=)/", r"\1%s/" % root, f.read(), flags=re.M)
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text)

    def drop_in(self, path):
        """Puts a drop-in beside broodd.service; returns where."""
        folder = os.path.join(self.folder, "broodd.service.d")
        os.makedirs(folder, exist_ok=True)
        return shutil.copy(path, folder)

    def verify(self, name):
        """What systemd finds wrong with a unit."""
        name = name.replace("@.", "@%s." % INSTANCE)
        status, output = run("systemd-analyze", "--" + self.kind, "verify", "--man=no",
                             os.path.join(self.folder, name),
                             SYSTEMD_UNIT_PATH=self.folder + ":", XDG_RUNTIME_DIR=self.top)
        return output or ("status %d" % status if status else "")

    def exposure(self, threshold):
        """Empty, or what systemd-analyze finds open when it is too much."""
        status, output = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                             "--threshold=%d" % threshold,
                             os.path.join(self.folder, "broodd.service"),
                             SYSTEMD_UNIT_PATH=self.folder + ":")
        found = [line for line in output.splitlines() if not line.startswith("\N{CHECK MARK}")]
        return "\n".join(found) if status else ""


def without_reason(path):
    """The lines of a unit that neither a comment nor the same directive stands above."""
    above = ""
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            key, is_directive, _ = line.partition("=")
            if not line.startswith("#") and is_directive and key not in SELF_EVIDENT:
                if not above.startswith(("#", key + "=")):
                    yield "%d: %s has no reason above it" % (number, line.strip())
            above = line


def check_units(units):
    for name in units.names:
        path = os.path.join(units.installed, name)
        yield from ("%s: %s" % (path, what) for what in without_reason(path))
        what = units.verify(name)
        if what:
            yield "%s: systemd-analyze verify: %s" % (path, what)


def check_drop_in(units, path):
    yield from ("%s: %s" % (path, what) for what in without_reason(path))
    copy = units.drop_in(path)
    what = units.verify("broodd.service")
    if what:
        yield "%s: systemd-analyze verify: %s" % (path, what)
    root = os.path.basename(path) == "users.conf"
    what = units.exposure(THRESHOLD_ROOT if root else THRESHOLD)
    if what:
        yield "%s: opens too much:\n%s" % (path, what)
    os.unlink(copy)


def check_check(units, top):
    """A drop-in that is wrong is noticed, and so is one that opens everything."""
    path = os.path.join(top, "wrong.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("[Service]\nNonsense=yes\nUser=root\nSystemCallFilter=\nProtectSystem=no\n"
                "CapabilityBoundingSet=~\nRestrictAddressFamilies=\nNoNewPrivileges=no\n"
                "RestrictNamespaces=no\nProtectHome=no\n")
    copy = units.drop_in(path)
    if "Nonsense" not in units.verify("broodd.service"):
        yield "systemd-analyze verify does not look at drop-ins: this check is none"
    if not units.exposure(THRESHOLD):
        yield "systemd-analyze security does not look at drop-ins: this check is none"
    if len(list(without_reason(path))) < 5:
        yield "directives without a reason are not noticed: this check is none"
    os.unlink(copy)


def check(build, top):
    root = os.path.join(top, "root")
    status, output = run("meson", "install", "-C", build, "--no-rebuild", "--quiet",
                         "--destdir", root)
    if status:
        yield "meson install: " + output
        return
    system, user = (Units(root, kind, top) for kind in ("system", "user"))
    yield from check_units(system)
    yield from check_units(user)
    what = system.exposure(THRESHOLD)
    if what:
        yield "broodd.service is too open:\n" + what
    drop_ins = sorted(glob.glob(root + "/**/drop-ins/*.conf", recursive=True))
    if len(drop_ins) < 5:
        yield "only these drop-ins: %s" % drop_ins
    for path in drop_ins:
        yield from check_drop_in(system, path)
    yield from check_check(system, top)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is not there: apt-get install systemd", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="brood-units.") as top:
        wrong = list(check(os.path.abspath(sys.argv[1]), top))
    for what in wrong:
        print(what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""A box with brood installed, and what an administrator does there.

A test is a function test_…(m) of a file test_*.py; m is a Machine that was booted for it. There are
the users member and colleague (in the group brood) and stranger (not), and a pool `diag`.
"""

import contextlib
import json
import os
import re

from box import HERE, Box, Failed, command_line, kill, until

__all__ = ["DIAG", "Failed", "Machine", "SERVICE", "SLOW", "SOCKET", "Skip", "alone", "bare",
           "command_line", "kill", "limit", "unless", "until", "v1"]

SERVICE = "broodd.service"
SOCKET = "broodd.socket"
SLICE = "system.slice/"

DIAG = """[Pool]
Module=diag.so
MinWorkers=2
SpareWorkers=0
"""

# Workers that take so many seconds to start; they serve `add` and `nap`.
SLOW = """[Pool]
Handlers=add nap
Command=/bin/sh -c "sleep %s; exec /usr/bin/python3 /usr/local/lib/brood-test/worker.py"
MinWorkers=2
SpareWorkers=0
"""


class Skip(Exception):
    """This test cannot run here; the reason says why."""


def unless(condition, why):
    """Skips the test unless the condition holds."""
    if not condition:
        raise Skip(why)


def bare(function):
    """Decorates a test that begins without brood."""
    function.bare = True
    return function


def v1(function):
    """Decorates a test that needs limits which work, by v1 controllers if need be."""
    function.v1 = True
    return function


def limit(seconds):
    """Decorates a test that may take longer than the usual time."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def alone(function):
    """Decorates a test that measures: no other runs beside it."""
    function.alone = True
    return function


class Machine(Box):
    debs = None  # the directory of the packages, set by run.py

    # --- packages ---

    def packages(self, *names):
        """The package files of these names, copied to where the box sees them."""
        found = []
        for file in sorted(os.listdir(self.debs)):
            if file.endswith(".deb") and file.split("_")[0] in names:
                self.copy(os.path.join(self.debs, file), "/tmp/debs/" + file)
                found.append("/tmp/debs/" + file)
        if len(found) != len(names):
            raise Failed("packages of %s: %s" % (names, os.listdir(self.debs)))
        return found

    def apt(self, *args, status=0):
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y",
                        "-o", "APT::Install-Recommends=0", *args, status=status, seconds=60)

    def install(self):
        """What the manual says: apt install ./libbrood0_*.deb ./broodd_*.deb"""
        return self.apt("install", *self.packages("libbrood0", "broodd"))

    def prepare(self):
        """All that the image has which the tests begin with."""
        self.install()
        for user in "member", "colleague", "stranger":
            self.run("useradd", "-m", "-s", "/bin/sh", user)
        for user in "member", "colleague":
            self.run("usermod", "-aG", "brood", user)
        self.pool("diag", DIAG)
        self.copy(os.path.join(HERE, "..", "integration", "worker.py"),
                  "/usr/local/lib/brood-test/worker.py")

    # --- configuration ---

    def pool(self, name, text):
        self.write("/etc/brood/pools/%s.pool" % name, text)

    def drop_in(self, text, unit=SERVICE, name="test"):
        self.write("/etc/systemd/system/%s.d/%s.conf" % (unit, name), text)
        self.run("systemctl", "daemon-reload")

    # --- systemctl ---

    def show(self, property, unit=SERVICE):
        return self.run("systemctl", "show", "-P", property, unit).out.strip()

    def start(self, unit=SERVICE):
        self.run("systemctl", "start", unit)

    def restart(self):
        self.run("systemctl", "restart", SERVICE)

    def systemctl(self, *args, status=0, seconds=30):
        return self.run("systemctl", *args, status=status, seconds=seconds)

    def is_active(self, unit=SERVICE):
        return self.show("ActiveState", unit)

    def await_state(self, state, unit=SERVICE, seconds=10):
        until(lambda: self.is_active(unit) == state, "%s is %s" % (unit, state), seconds)

    def main_pid(self):
        """As the box numbers it."""
        return int(self.show("MainPID"))

    def await_new_main(self, old, seconds=10):
        """Waits until another supervisor serves."""
        def new():
            if self.is_active() != "active":
                return 0
            pid = self.main_pid()
            return pid if pid != old else 0
        return until(new, "another main process than %d is active" % old, seconds)

    def kill_main(self, name):
        self.run("systemctl", "kill", "--signal=" + name, "--kill-who=main", SERVICE)

    # --- broodctl ---

    def ctl(self, *args, user="member", status=0, input=None, seconds=30):
        return self.run("broodctl", *args, user=None if user == "root" else user, status=status,
                        input=input, seconds=seconds)

    def submit(self, handler, args=None, *options, user="member"):
        """Returns the id."""
        return self.ctl("submit", handler, json.dumps(args or {}), *options,
                        user=user).out.strip()

    def call(self, handler, args=None, *options, user="member"):
        """Submits, waits; returns the result."""
        return json.loads(self.ctl("submit", handler, json.dumps(args or {}), "--wait", *options,
                                   user=user).out)


    def shell(self, text, *options, user="member"):
        """Runs a shell script as an exec job to its end. Returns exit_status, stdout, stderr …"""
        done = self.ctl("submit", "exec", json.dumps({"argv": ["/bin/sh", "-c", text]}), "--wait",
                        "--json", *options, user=user, status=None)
        if not done.out:
            raise Failed("%s: status %d\n%s" % (text, done.status, done.err))
        return json.loads(done.out.splitlines()[-1])["job"]["result"]

    def submit_shell(self, text, *options, user="member"):
        return self.submit("exec", {"argv": ["/bin/sh", "-c", text]}, *options, user=user)

    def get(self, job, user="member"):
        reply = json.loads(self.ctl("get", "--json", job, user=user).out)
        return reply.get("job", reply)

    def jobs(self, *filters, user="member"):
        out = self.ctl("list", "--json", *filters, user=user).out
        return [job for line in out.splitlines() for job in json.loads(line)["jobs"]]

    def worker_list(self, pool):
        return json.loads(self.ctl("workers", "--json", pool, user="root").out)["workers"]

    def workers(self, pool):
        """The pids of a pool's workers, as the box numbers them."""
        return [worker["pid"] for worker in self.worker_list(pool)]

    def await_job(self, job, state, user="member", seconds=10):
        def there():
            now = self.get(job, user=user)
            return now if now["state"] == state else None
        return until(there, lambda: "job %s is %s, but is %s" % (job, state, self.get(job, user)),
                     seconds)

    def await_line(self, path, seconds=10):
        """Waits for a line in a file that something in the box writes; returns the text."""
        def written():
            with contextlib.suppress(OSError):
                text = self.read(path)
                return text if text.endswith("\n") else None
            return None
        return until(written, "a line in %s" % path, seconds)

    # --- a user's own service manager ---

    def as_user(self, user, *argv, **kwargs):
        """Runs a command as in a session of the user, whose manager lingers."""
        uid = self.run("id", "-u", user).out.strip()
        if not self.exists("/var/lib/systemd/linger/" + user):
            self.run("loginctl", "enable-linger", user)
            self.run("systemctl", "start", "user@%s.service" % uid)
        return self.run("env", "XDG_RUNTIME_DIR=/run/user/" + uid, *argv, user=user, **kwargs)

    # --- what is left in a unit ---

    def processes(self, unit=SERVICE):
        """The pids outside of all in the unit's control group, with those of its leaves."""
        return self.pids(SLICE + unit)

    def command_lines(self, unit=SERVICE):
        return [command_line(pid) for pid in self.processes(unit)]

    def leaf_of(self, pid, unit=SERVICE):
        """The control group below the unit's of a process, by its pid in the box."""
        line, = [line for line in self.read("/proc/%d/cgroup" % pid).splitlines()
                 if line.startswith("0::")]
        return line.partition("/" + SLICE + unit)[2].strip("/")

    # --- the journal ---

    def journal(self, *matches):
        """[{field: value}] of the entries, oldest first; what was binary is text again."""
        self.run("journalctl", "--sync")
        done = self.run("journalctl", "-q", "--no-pager", "-o", "json", "--all", *matches,
                        status=None)
        if done.err or done.status not in (0, 1):  # 1: there is none
            raise Failed("journalctl %s: status %d\n%s" % (matches, done.status, done.err))
        return [{name: text(value) for name, value in json.loads(line).items()}
                for line in done.out.splitlines()]

    def messages(self, *matches):
        return [entry.get("MESSAGE", "") for entry in self.journal(*matches)]

    def await_message(self, pattern, *matches, seconds=10):
        """Waits for an entry whose message has the pattern; returns it."""
        def there():
            return [e for e in self.journal(*matches) if re.search(pattern, e.get("MESSAGE", ""))]
        return until(there, lambda: "%s in the journal, but there is only\n%s"
                     % (pattern, "\n".join(self.messages(*matches)[-20:])), seconds)[0]


def text(value):
    if isinstance(value, list) and all(isinstance(v, int) for v in value):
        return bytes(value).decode(errors="replace")
    return value

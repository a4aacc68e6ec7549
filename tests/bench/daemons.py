# SPDX-License-Identifier: MIT
"""The daemons that are measured: started in the foreground, ended by their pid, nothing left."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")

POOLS = {
    "noop": "[Pool]\nModule=diag.so\nHandlers=echo\nMinWorkers=2\nSpareWorkers=1\n",
    "kill": "[Pool]\nModule=diag.so\nHandlers=sleep\nMinWorkers=1\nSpareWorkers=1\n",
}
NOBODY = "[Pool]\nModule=diag.so\nHandlers=echo\nMinWorkers=0\nSpareWorkers=0\n"

# As much as comes is taken. What has ended is soon forgotten, so that forgetting is measured too.
QUEUE = "[Queue]\nMaxQueued=0\nMaxBytes=0\nKeepFinishedMax=1000\n"


def processes():
    """{pid: (ppid, start time, CPU seconds)} of all that live."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % name) as f:
                v = f.read().rsplit(")", 1)[1].split()
            if v[0] != "Z":
                found[int(name)] = (int(v[1]), int(v[19]), (int(v[11]) + int(v[12])) / TICK)
    return found


def descendants(pid):
    """{pid: (ppid, start time, CPU seconds)} of all that live below pid."""
    everything = processes()
    family, level = {}, {pid}
    while level:
        level = {p for p, facts in everything.items() if facts[0] in level}
        family.update((p, everything[p]) for p in level)
    return family


def wait_until(true, seconds, what, step=0.01):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("not within %d s: %s" % (seconds, what))
        time.sleep(step)


class Site:
    """Two directories, removed at the end: `run`, with a short name for sockets, and `disk`, on the
    file system that durable jobs are to go to."""
    def __init__(self, disk):
        self.run = tempfile.mkdtemp(prefix="brood-bench.")
        self.disk = tempfile.mkdtemp(prefix="data.", dir=disk)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.run)
        shutil.rmtree(self.disk)

    def bytes_on_disk(self):
        return sum(os.stat(os.path.join(d, name)).st_size
                   for d, _, names in os.walk(self.disk) for name in names)


class Daemon:
    """A program in the foreground, ended by its own pid; nothing below it may be left."""
    stopped = (0,)  # what it exits with after SIGTERM

    def __init__(self, argv, directory, **kw):
        self.name = os.path.basename(argv[0])
        self.log = os.path.join(directory, "log")
        self.over = False
        self.began = time.monotonic()
        with open(self.log, "ab") as f:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                                            **kw)
        self.pid = self.process.pid

    def when(self, true, seconds=20, step=0.01):
        """The seconds since it was started, when something has become true."""
        def look():
            if self.process.poll() is not None:
                with open(self.log) as f:
                    raise RuntimeError("%s ended: %s" % (self.name, f.read()[-2000:]))
            return true()
        try:
            wait_until(look, seconds, "%s is ready" % self.name, step)
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - self.began

    def cpu(self):
        """CPU seconds so far: (of the process, of its living descendants)."""
        return processes()[self.pid][2], sum(f[2] for f in descendants(self.pid).values())

    def stop(self, how=signal.SIGTERM):
        """Exit status; the seconds are more than any daemon here needs."""
        self.over = True
        family = descendants(self.pid)
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        end = time.monotonic() + 1
        while left := [p for p, facts in processes().items()
                       if p in family and family[p][1] == facts[1]]:
            if time.monotonic() > end:
                for p in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(p, signal.SIGKILL)
                raise RuntimeError("%s left processes behind: %s" % (self.name, left))
            time.sleep(0.01)
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if not self.over and (status := self.stop()) not in self.stopped and kind is None:
            raise RuntimeError("%s ended with status %d" % (self.name, status))


class Broodd(Daemon):
    def __init__(self, env, site, pools=None, queue=""):
        """`queue`: text of brood.conf. Its jobs are in site.disk."""
        pools = pools or POOLS
        self.site, self.socket = site, os.path.join(site.run, "sock")
        config, run = os.path.join(site.run, "config"), os.path.join(site.run, "run")
        shutil.rmtree(config, ignore_errors=True)  # there was another daemon on this site
        os.makedirs(os.path.join(config, "pools"))
        os.makedirs(run, exist_ok=True)
        for name, text in pools.items():
            with open(os.path.join(config, "pools", name + ".pool"), "w") as f:
                f.write(text)
        with open(os.path.join(config, "brood.conf"), "w") as f:
            f.write(queue)
        environment = dict(os.environ, BROOD_MODULE_PATH=os.path.join(env.build, "lib", "modules"),
                           BROOD_LIBEXEC=os.path.dirname(env.program("brood-forkserver")))
        super().__init__([env.program("broodd"), "--config=" + config, "--socket=" + self.socket,
                          "--state-directory=" + site.disk, "--runtime-directory=" + run,
                          "--log-level=warning"], site.run, env=environment)

    def call(self, method, **parameters):
        """The parameters of the reply; None: there is nobody to answer. RuntimeError: an error."""
        text = json.dumps({"method": "io.brood." + method, "parameters": parameters})
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(self.socket)
                s.sendall(text.encode() + b"\0")
                reply = b""
                while not reply.endswith(b"\0"):
                    reply += s.recv(1 << 16) or b"{}\0"
            except OSError:
                return None
        reply = json.loads(reply[:-1])
        if "error" in reply:
            raise RuntimeError("%s: %s" % (method, reply))
        return reply.get("parameters")

    def state(self):
        """In a word; None: no answer."""
        status = self.call("Status")
        return status and status["state"]

    def ready(self):
        """All workers are there, and warm."""
        status = self.call("Status")
        return status and status["state"] == "running" and all(
            p["spare"] >= 1 and p["idle"] >= (2 if p["name"] == "noop" else 1)
            for p in status["pools"])

    def queued(self):
        """How many jobs wait; None: no answer."""
        status = self.call("Status")
        return status and status["jobs"]["queued"]


class Redis(Daemon):
    """With `durable`, what it acknowledges is on the disk."""
    def __init__(self, program, site, durable):
        self.site, self.socket = site, os.path.join(site.run, "redis")
        super().__init__([program, "--port", "0", "--unixsocket", self.socket, "--save", "",
                          "--dir", site.disk, "--appendonly", "yes" if durable else "no",
                          "--appendfsync", "always"], site.run)
        self.when(lambda: os.path.exists(self.socket))


class Beanstalkd(Daemon):
    stopped = (0, -signal.SIGTERM)  # it has no handler

    def __init__(self, env, site, sync=None):
        """sync: None: jobs in memory; else the milliseconds of -f, with -b on site.disk."""
        self.site, self.socket = site, os.path.join(site.run, "sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        argv = [env.beanstalkd, "-l", "unix:" + self.socket]
        super().__init__(argv + ([] if sync is None else ["-b", site.disk, "-f", sync]), site.run)

    def queued(self):
        """How many jobs wait; None: no answer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(self.socket)
                s.sendall(b"stats\r\n")
                reply = b""
                while reply.count(b"\r\n") < 2:  # of `OK SIZE`, and at the end
                    reply += s.recv(1 << 16) or b"\r\n" * 2
            except OSError:
                return None
        facts = dict(line.split(": ") for line in reply.decode().splitlines() if ": " in line)
        return int(facts["current-jobs-ready"]) if "current-jobs-ready" in facts else None

    def state(self):
        return None if self.queued() is None else "running"

    def ready(self):
        return self.state() is not None

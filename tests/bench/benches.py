# SPDX-License-Identifier: MIT
"""What is measured: a list of benches. Each starts daemons of its own and yields figures."""
import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

from daemons import NOBODY, POOLS, QUEUE, Beanstalkd, Broodd, Daemon, Redis, Site

# figures(env) yields (metric, value, unit)
Bench = collections.namedtuple("Bench", "group peer name figures")

SIZES = 1000, 100000, 2000000  # of backlogs
SYNCS = {"fsync0": "0", "fsync50ms": "50"}  # beanstalkd's -f


class Env:
    """Where things are, and how much is measured."""
    def __init__(self, build, beanstalkd, disk, smoke, jobs):
        self.build, self.beanstalkd, self.disk, self.smoke = build, beanstalkd, disk, smoke
        self.seconds = 0.05 if smoke else 2.0
        self.sizes = sorted({min(s, jobs) for s in SIZES})

    def program(self, name):
        """The path of a program that was built."""
        for directory, _, names in os.walk(self.build):
            if name in names and os.access(os.path.join(directory, name), os.X_OK):
                return os.path.join(directory, name)
        sys.exit("%s has no %s" % (self.build, name))

    def run(self, program, arguments, seconds=300):
        """[(metric, value, unit)] that a client prints."""
        argv = [self.program(program)] + [str(a) for a in arguments]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=seconds)
        if done.returncode:
            raise RuntimeError("%s: exit status %d" % (" ".join(argv), done.returncode))
        lines = [line.split(" ") for line in done.stdout.splitlines()]
        return [(metric, float(value), unit) for metric, value, unit in lines]


# --- rates: a client, a number of jobs, one figure ---

def long_enough(run, jobs, seconds, most=2000000):
    """(jobs, figures) of a run that lasted about so long: the last of some, each of more jobs."""
    while True:
        figures = run(jobs)
        took = jobs / figures[0][1]
        if took >= seconds / 2 or jobs >= most:
            return jobs, figures
        jobs = min(most, int(jobs * min(20, seconds / took)) // 64 * 64)


def rate(group, name, start, client, arguments, jobs=640, timed=True, small=128):
    """Jobs per second, and the CPU time of each. `arguments` has SOCKET and JOBS in it; `jobs`: how
    many, or, where it is timed, how many to begin with; in a smoke run `small`."""
    def figures(env):
        with Site(env.disk) as site, start(env, site) as daemon:
            def run(n):
                nonlocal before
                words = {"SOCKET": daemon.socket, "JOBS": n}
                before = daemon.cpu()
                return env.run(client, [words.get(a, a) for a in arguments])
            before = None
            if env.smoke or not timed:
                n = small if env.smoke else jobs
                result = run(n)
            else:
                n, result = long_enough(run, jobs, env.seconds)
            after = daemon.cpu()
            yield name, result[0][1], result[0][2]
            for what, a, b in zip(("daemon-cpu", "children-cpu"), before, after):
                yield name + "/" + what, (b - a) / n * 1e6, "us/job"
    return Bench(group, "beanstalkd" if client == "beans" else "brood", name, figures)


def broodd(env, site):
    daemon = Broodd(env, site)
    daemon.when(daemon.ready)
    return daemon


def durable_broodd(env, site):
    daemon = Broodd(env, site, queue=QUEUE)
    daemon.when(daemon.ready)
    return daemon


def paused_broodd(env, site):
    daemon = durable_broodd(env, site)
    daemon.call("PausePool", pool="noop")
    return daemon


def beanstalkd(sync=None):
    def start(env, site):
        daemon = Beanstalkd(env, site, sync)
        daemon.when(daemon.ready)
        return daemon
    return start


def memory():
    def ours(name, *arguments, jobs=300000, small=10000):
        return rate("memory", "noop/memory/" + name, broodd, "brood-load",
                    [*arguments, "SOCKET", "JOBS"], jobs, False, small)

    def theirs(producers):
        return rate("memory", "noop/memory/pipe/p%d/w2" % producers, beanstalkd(), "beans",
                    ["SOCKET", "load", "pipe", producers, 2, "JOBS"], 150000, False, 5000)
    yield ours("pipe/p1/w2", "pipe")
    yield theirs(1)
    yield ours("pipe/p8/w2", "--processes=8", "pipe")
    yield theirs(8)
    yield ours("many/p1/w2", "many")
    yield ours("sync/p1/w2", "--in-flight=1", "pipe", jobs=20000, small=1000)
    for mode, jobs in ("pipe", 300000), ("sync", 20000):
        yield rate("memory", "noop/memory/libbrood/%s/p1/w2" % mode, broodd, "client-load",
                   [mode, "SOCKET", "JOBS"], jobs, False, jobs // 20)


def durable_submit():
    def ours(name, mode, in_flight):
        return rate("durable-submit", "submit/fsync/" + name, paused_broodd, "brood-load",
                    ["--durability=fsync", "--in-flight=%d" % in_flight, mode, "SOCKET", "JOBS"])
    for n in 1, 8, 64:
        yield ours("f%d" % n, "submit", n)
        for name, sync in SYNCS.items():
            yield rate("durable-submit", "submit/%s/f%d" % (name, n), beanstalkd(sync), "beans",
                       ["SOCKET", "put", n, "JOBS"])
    yield ours("many64", "batch", 64)


def durable_cycle():
    for style, n in ("pipe", 64), ("sync", 1):
        yield rate("durable-cycle", "noop/fsync/%s/p1/w2" % style, durable_broodd, "brood-load",
                   ["--durability=fsync", "--in-flight=%d" % n, "pipe", "SOCKET", "JOBS"])
        for name, sync in SYNCS.items():
            yield rate("durable-cycle", "noop/%s/%s/p1/w2" % (name, style), beanstalkd(sync),
                       "beans", ["SOCKET", "load", style, 1, 2, "JOBS"])


# --- times: the client prints p50, p99 and max ---

def times(name, start, client, arguments, jobs, small):
    def figures(env):
        with Site(env.disk) as site, start(env, site) as daemon:
            words = {"SOCKET": daemon.socket, "JOBS": small if env.smoke else jobs}
            for metric, value, unit in env.run(client, [words.get(a, a) for a in arguments]):
                yield name + "/" + metric, value, unit
    return Bench(name.partition("/")[0], "beanstalkd" if client == "beans" else "brood", name,
                 figures)


def latency():
    yield times("latency/submit-result", broodd, "brood-load", ["latency", "SOCKET", "JOBS"],
                3000, 300)
    yield times("latency/reply-tube", beanstalkd(), "beans", ["SOCKET", "latency", "JOBS"],
                3000, 300)
    yield times("kill", broodd, "brood-load", ["kill", "SOCKET", "JOBS"], 200, 5)


# --- looking: the rate of a daemon, and that of the same while people look at it ---

LOOKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "looker.py")
WATCHERS = 50


@contextlib.contextmanager
def looked_at(env, daemon, metrics):
    """While people look. RuntimeError if they did not see what they have to."""
    argv = [sys.executable, LOOKER, daemon.socket, metrics, str(WATCHERS),
            env.program("broodctl"), "--socket=" + daemon.socket, "top", "--batch"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as looker:
        try:
            if looker.stdout.readline() != "begun\n":
                raise RuntimeError("looker.py has not begun")
            yield
            looker.stdin.close()
            if looker.wait(60) != 0 or len(looker.stdout.read().split()) != 3:
                raise RuntimeError("looker.py: exit status %s" % looker.returncode)
        finally:
            looker.kill()


def median_of(values):
    return sorted(values)[len(values) // 2]


def looking_figures(env):
    """Runs alone and looked at, in pairs, every other pair in reverse; of one daemon."""
    pairs = 1 if env.smoke else 11
    with Site(env.disk) as site:
        metrics = os.path.join(site.run, "metrics")
        with Broodd(env, site, queue="[Metrics]\nListen=%s\n" % metrics) as daemon:
            daemon.when(daemon.ready)

            def run(jobs):
                return env.run("brood-load", ["pipe", daemon.socket, jobs])

            def measured(jobs):
                """(jobs per second, CPU time of the daemon for one)"""
                before = daemon.cpu()[0]
                rate = run(jobs)[0][1]
                return rate, (daemon.cpu()[0] - before) / jobs

            jobs, _ = (2000, None) if env.smoke else long_enough(run, 100000, env.seconds)
            got = {"alone": [], "looked-at": []}
            for pair in range(pairs):
                for how in list(got) if pair % 2 == 0 else list(got)[::-1]:
                    with (contextlib.nullcontext() if how == "alone"
                          else looked_at(env, daemon, metrics)):
                        got[how].append(measured(jobs))
    for how, values in got.items():
        yield "looking/" + how, median_of([rate for rate, _ in values]), "jobs/s"
    pairs = list(zip(got["looked-at"], got["alone"]))
    yield "looking/ratio", median_of([a[0] / b[0] for a, b in pairs]), "of-alone"
    yield "looking/cpu-ratio", median_of([a[1] / b[1] for a, b in pairs if b[1]] or [1]), "of-alone"


def looking():
    yield Bench("looking", "brood", "looking", looking_figures)


# --- backlogs ---

def size_name(size):
    for unit, factor in ("M", 1000000), ("k", 1000):
        if size % factor == 0:
            return "%d%s" % (size // factor, unit)
    return str(size)


def named(metric):
    size, _, what = metric.partition("/")
    return size_name(int(size)) + "/" + what


def start_up(name, start, jobs):
    """Starts the daemon on what another has left, and leaves the same."""
    with start() as daemon:
        yield name + "/answer", daemon.when(lambda: daemon.state(), 300, 0.002), "s"
        yield name + "/ready", daemon.when(lambda: daemon.state() == "running", 300, 0.002), "s"
        if (queued := daemon.queued()) != jobs:
            raise RuntimeError("of %d jobs %s are back" % (jobs, queued))


def backlog(peer, name, start, restart, client):
    """`restart` is None where nothing is kept, else it starts a daemon that runs no job."""
    name = "backlog/" + name

    def figures(env):
        with contextlib.ExitStack() as stack:
            sites = [stack.enter_context(Site(env.disk)) for _ in env.sizes]
            daemons = [stack.enter_context(start(env, site)) for site in sites]
            words = [word for d, size in zip(daemons, env.sizes) for word in (d.socket, size)]
            for m, value, unit in env.run(client[0], [*client[1:], env.seconds, *words], 900):
                yield "%s/%s" % (name, named(m)), value, unit
            if not restart:
                return
            daemons[-1].stop(signal.SIGKILL)
            yield name + "/store/at-kill", sites[-1].bytes_on_disk(), "B"
            for after in "kill", "stop":
                yield from start_up("%s/start-after-%s" % (name, after),
                                    lambda: restart(env, sites[-1]), env.sizes[-1])
            yield name + "/store/at-rest", sites[-1].bytes_on_disk(), "B"
    return Bench("backlog", peer, name, figures)


def backlogs():
    def start(env, site):
        daemon = Broodd(env, site, {"noop": POOLS["noop"]}, QUEUE)
        daemon.when(daemon.ready)
        return daemon

    def ours(durability, restart=None):
        return backlog("brood", durability, start, restart,
                       ["brood-load", "--durability=" + durability, "backlog"])

    def theirs(name, sync=None, restart=None):
        return backlog("beanstalkd", name, beanstalkd(sync), restart, ["beans", "backlog"])
    yield ours("memory")
    yield theirs("memory")
    yield ours("fsync", lambda env, site: Broodd(env, site, {"noop": NOBODY}, QUEUE))
    yield theirs("fsync50ms", "50", lambda env, site: Beanstalkd(env, site, "50"))


# --- libbrood's multiprocessing, and Python's ---

MP_PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mp_peer.py")
PYTHON = next(filter(os.path.exists, ("/usr/bin/python3", sys.executable)))  # Debian's
METHODS = "fork", "spawn", "forkserver"

# What, how many of them for libbrood, for Python, and in a smoke run: about a second each.
MULTIPROCESSING = [
    ("apply", 50000, 10000, 200),
    ("map", 2000000, 200000, 2000),
    ("queue", 1000000, 100000, 1000),
    ("pipe100", 500000, 100000, 1000),
    ("pipe1m", 3000, 1500, 20),
    ("recover", 20, 9, 2),
] + [(what, m, m, m) for what in ("start", "memory") for m in METHODS]


def multiprocessing():
    def figures(peer, program, what, n, small):
        def run(env):
            argv = [what, str(small if env.smoke else n)]
            if program:
                lines = env.run(program, argv)
            else:
                done = subprocess.run([PYTHON, "-B", MP_PEER, *argv], stdout=subprocess.PIPE,
                                      text=True, timeout=60)
                if done.returncode:
                    raise RuntimeError("mp_peer.py %s: exit status %d" % (argv, done.returncode))
                lines = [line.split() for line in done.stdout.splitlines()]
            for metric, value, unit in lines:
                yield "mp/" + metric, float(value), unit
        return Bench("multiprocessing", peer, what, run)
    for what, ours, theirs, small in MULTIPROCESSING:
        yield figures("brood", "brood-mp", what, ours, small)
        yield figures("cpython", None, what, theirs, small)


MP_METRICS = [w for w, *_ in MULTIPROCESSING if w not in ("start", "memory")] + [
    what + m for what in ("start8-", "memory-") for m in METHODS]


# --- pools of Python workers ---

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "lib", "python")
PYTHON_POOL = ("[Pool]\n%%s\nMinWorkers=2\nSpareWorkers=1\n"
               "[Process]\nEnvironment=PYTHONPATH=%s BENCH_HANDLER=1 PYTHONDONTWRITEBYTECODE=1\n"
               "[Settings]\nImport=%s/python_jobs.py\n" % (PACKAGE, HERE))
PYTHON_POOLS = {
    "module": PYTHON_POOL % "Module=python.so",
    "command": PYTHON_POOL % ("Handlers=noop\nCommand=%s -m brood.worker %s/python_jobs.py"
                              % (PYTHON, HERE)),
}


def python_run(env, name, words, n, small, **environment):
    """python_peer.py, and its rate."""
    argv = [PYTHON, "-B", os.path.join(HERE, "python_peer.py"), *words,
            str(small if env.smoke else n)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=300, cwd=HERE,
                          env=dict(os.environ, PYTHONPATH=PACKAGE, **environment))
    if done.returncode:
        raise RuntimeError("%s: exit status %d" % (" ".join(argv), done.returncode))
    _, value, unit = done.stdout.split()
    yield "python/" + name, float(value), unit


def has_module(name):
    return subprocess.run([PYTHON, "-c", "import " + name], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def python_brood(how, durability, n, workers="module"):
    name = "%s/%s" % (durability, how if workers == "module" else workers)

    def figures(env):
        pools = {"noop": PYTHON_POOLS[workers]}
        with Site(env.disk) as site, Broodd(env, site, pools, QUEUE) as daemon:
            daemon.when(daemon.ready)
            before = daemon.cpu()
            yield from python_run(env, name, [how, daemon.socket, durability], n, 200)
            for what, a, b in zip(("daemon-cpu", "children-cpu"), before, daemon.cpu()):
                yield ("python/%s/%s" % (name, what), (b - a) / (200 if env.smoke else n) * 1e6,
                       "us/job")
    return Bench("python", "brood", name, figures)


def python_own(how, n):
    return Bench("python", "cpython", how,
                 lambda env: python_run(env, "memory/" + how, [how], n, 200))


def python_redis(peer, durable, n, workers):
    """`workers`: the commands of the workers, for the path of the socket."""
    def figures(env):
        program = shutil.which("redis-server")
        with Site(env.disk) as site, Redis(program, site, durable) as redis:
            environment = {"C_FORCE_ROOT": "1"}
            if peer == "celery":
                environment["BENCH_REDIS"] = redis.socket
            started = [Peer(argv, site.run, cwd=HERE, env=dict(os.environ, **environment))
                       for argv in workers(redis.socket)]
            try:
                yield from python_run(env, ("fsync/" if durable else "memory/") + peer,
                                      [peer, redis.socket], n, 20, **environment)
            finally:
                for worker in started:
                    worker.stop(signal.SIGTERM)
    return Bench("python", peer, "fsync" if durable else "memory", figures)


class Peer(Daemon):
    """A worker of another's; how it ends says nothing."""


def celery_workers(_):
    return [[PYTHON, "-B", "-m", "celery", "-A", "python_jobs", "worker", "-P", "prefork", "-c",
             "2", "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]]


def rq_workers(path):
    """SimpleWorker: without a fork for each job, the faster one."""
    return [[PYTHON, "-B", "-m", "rq.cli", "worker", "-q", "-u", "unix://" + path, "-w",
             "rq.SimpleWorker"]] * 2


def python():
    for how in "map", "unordered", "many", "asyncio":
        yield python_brood(how, "memory", 40000)
    yield python_brood("map", "memory", 20000, "command")
    yield python_own("apply_async", 20000)
    yield python_own("executor", 8000)
    for how in "map", "unordered":
        yield python_brood(how, "fsync", 40000)
    if not shutil.which("redis-server") or not has_module("redis"):
        return
    for durable in False, True:
        if has_module("celery"):
            yield python_redis("celery", durable, 2000, celery_workers)
        if has_module("rq"):
            yield python_redis("rq", durable, 1000, rq_workers)


PYTHON_PAIRS = [("memory/map", "cpython", "memory/apply_async"),
                ("memory/map", "cpython", "memory/executor"),
                ("memory/map", "celery", "memory/celery"), ("memory/map", "rq", "memory/rq"),
                ("memory/command", "cpython", "memory/apply_async"),
                ("fsync/map", "celery", "fsync/celery"), ("fsync/map", "rq", "fsync/rq"),
                ("fsync/map", "cpython", "memory/apply_async"),
                ("fsync/map", "cpython", "memory/executor"),
                ("fsync/map", "celery", "memory/celery"), ("fsync/map", "rq", "memory/rq")]


# --- the machine ---

def synced_writes(path, new, n):
    """Seconds that each of n writes of 4 KiB takes with its fdatasync, sorted."""
    block, times_taken = b"x" * 4096, []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(0 if new else n):
            os.write(fd, block)
        os.fsync(fd)
        os.lseek(fd, 0, os.SEEK_SET)
        for _ in range(n):
            begin = time.monotonic()
            os.write(fd, block)
            os.fdatasync(fd)
            times_taken.append(time.monotonic() - begin)
    finally:
        os.close(fd)
    return sorted(times_taken)


def disk_figures(env):
    n = 20 if env.smoke else 500
    with Site(env.disk) as site:
        for name, new in ("append4k", True), ("overwrite4k", False):
            v = synced_writes(os.path.join(site.disk, name), new, n)
            yield "fdatasync/%s/p50" % name, v[n // 2] * 1e6, "us"


GROUPS = {
    "machine": lambda: [Bench("machine", "machine", "fdatasync", disk_figures)],
    "memory": memory,
    "latency": latency,
    "looking": looking,
    "durable-submit": durable_submit,
    "durable-cycle": durable_cycle,
    "backlog": backlogs,
    "multiprocessing": multiprocessing,
    "python": python,
}

# One of brood's figures over one of beanstalkd's, under like conditions.
PAIRS = [
    ("noop/memory/pipe/p1/w2", "noop/memory/pipe/p1/w2"),
    ("noop/memory/pipe/p8/w2", "noop/memory/pipe/p8/w2"),
    ("noop/memory/many/p1/w2", "noop/memory/pipe/p1/w2"),
    ("latency/submit-result/p50", "latency/reply-tube/p50"),
    ("latency/submit-result/p99", "latency/reply-tube/p99"),
] + [
    ("submit/fsync/" + ours, "submit/%s/%s" % (sync, theirs))
    for sync in SYNCS
    for ours, theirs in (("f1", "f1"), ("f8", "f8"), ("f64", "f64"), ("many64", "f64"))
] + [
    ("noop/fsync/%s/p1/w2" % style, "noop/%s/%s/p1/w2" % (sync, style))
    for sync in SYNCS for style in ("pipe", "sync")
]


def backlog_pairs(sizes):
    """The pairs of the backlogs, and of the sizes' rates."""
    for ours, theirs in ("memory", "memory"), ("fsync", "fsync50ms"):
        whats = ["%s/%s" % (size_name(s), what) for s in sizes for what in ("submit", "dispatch")]
        whats.append(size_name(sizes[-1]) + "/rss-per-job")
        if ours == "fsync":
            whats += ["start-after-kill/ready", "start-after-stop/ready", "store/at-rest"]
        for what in whats:
            yield "backlog/%s/%s" % (ours, what), "backlog/%s/%s" % (theirs, what)

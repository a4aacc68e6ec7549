# SPDX-License-Identifier: MIT
"""broodctl top: its figures, what it does without an answering daemon, and its screen on a real
terminal (tmux)."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time

from harness import *

CTL = build("daemon", "ctl", "broodctl")
POOLS = {"diag": diag(handlers="echo sleep crash fail"), "exec": commands()}


def top(d, *args, status=0, env=None):
    """Runs it without a terminal; returns (stdout, stderr)."""
    done = subprocess.run([CTL, "--socket=" + d.socket_path, "top", *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=slow(30), env=env)
    assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def look(d, *args):
    """The one object that --json gives."""
    return json.loads(top(d, "--json", *args)[0])


def named(rows, name):
    return next(row for row in rows if row["name"] == name)


def settled(d, condition, what):
    """What top shows when that is on the scoreboard; a row may yet have to come there."""
    def find():
        seen = look(d)
        try:
            return seen if condition(seen) else None
        except StopIteration:
            return None
    return until(find, what)


# --- figures ---

def test_figures_are_what_was_done():
    """Jobs, queues, deaths and states are those that the test made."""
    with Daemon(POOLS) as d:
        for i in range(20):
            d.run("echo", {"i": i})
        d.run("fail", {"retry": False})
        d.run("crash", {"signal": "SEGV"}, max_attempts=1)
        d.await_workers()
        long = [d.submit("sleep", {"seconds": 60}) for _ in range(2)]
        for id in long:
            d.await_state(id, "running")
        waiting = [d.submit("sleep", {"seconds": 60}) for _ in range(3)]
        late = d.submit("echo", run_at_usec=int((time.time() + 3600) * 1e6))
        d.call("PausePool", pool="exec")
        seen = settled(d, lambda s: named(s["pools"], "diag")["held"] == 1 and
                       named(s["pools"], "exec")["state"] == "paused", "all of it")
        daemon, diag_pool = seen["daemon"], named(seen["pools"], "diag")
        assert daemon["pid"] == d.pid and daemon["state"] == "running"
        assert daemon["ailment"] is None and daemon["socket"] == d.socket_path
        jobs = daemon["jobs"]
        assert (jobs["queued"], jobs["running"], jobs["scheduled"]) == (3, 2, 1), jobs
        assert jobs["succeeded"] == 20, jobs
        assert diag_pool["queued"] == 3 and diag_pool["running"] == 2
        assert (diag_pool["busy"], diag_pool["slots"], diag_pool["workers"]) == (2, 2, 2)
        assert diag_pool["deaths"] == d.pool_status()["deaths"] == 1
        assert diag_pool["done"] == d.pool_status()["done"]
        echo, fail = named(seen["handlers"], "echo"), named(seen["handlers"], "fail")
        assert echo["succeeded"] == 20 and echo["failed"] == 0 and echo["pool"] == "diag"
        assert fail["failed"] == 1 and named(seen["handlers"], "crash")["deaths"] == 1
        assert seen["since_start"] and echo["done_rate"] > 0
        assert abs(echo["done_rate"] * seen["window_usec"] / 1e6 - 20) < 0.01
        workers = {w["pid"]: w for w in seen["workers"]}
        for w in d.workers():
            assert workers[w["pid"]]["state"] == w["state"], w
            assert workers[w["pid"]]["done"] == w["jobs_done"], w
        assert sorted(j["id"] for j in seen["jobs"]) == sorted(long)
        for job in seen["jobs"]:
            worker = d.worker_of(job["id"])
            assert (job["worker"], job["pid"]) == (worker["name"], worker["pid"])
            assert job["handler"] == "sleep" and job["attempt"] == 1 and job["running_usec"] > 0
        for id in [*waiting, *long, late]:
            d.call("Cancel", id=id, force=True)


def test_the_last_change_is_shown():
    """Also what happens just before the daemon falls idle is on the scoreboard soon."""
    with Daemon({"diag": diag(handlers="echo")}) as d:
        for i in range(100):
            d.run("echo", durability="memory")
            settled(d, lambda s, n=i + 1: s["daemon"]["jobs"]["succeeded"] == n and
                    not s["jobs"], "job %d" % i)


def test_quantiles_are_within_an_eighth():
    """p50, p95 and p99 of running are those of the attempts, as Get has them, but for an eighth."""
    with Daemon({"diag": diag(handlers="sleep")}) as d:
        spans = []
        for ms in [20] * 10 + [100] * 9 + [400]:
            attempt = d.run("sleep", {"seconds": ms / 1000})["attempts"][0]
            spans.append(attempt["ended_usec"] - attempt["started_usec"])
        spans.sort()
        seen = settled(d, lambda s: named(s["handlers"], "sleep")["ended"] == 20, "all ended")
        for row in named(seen["handlers"], "sleep"), named(seen["pools"], "diag"):
            for share, place in ((50, 10), (95, 19), (99, 20)):
                is_, wanted = row["run_p%d_usec" % share], spans[place - 1]
                # the daemon counts from when it sends to when it hears: a little more
                assert wanted * 7 / 8 <= is_ <= wanted * 9 / 8 + 5000, (share, is_, wanted)
        assert named(seen["handlers"], "sleep")["wait_p50_usec"] is not None


def test_looks_again():
    """With --batch=N there are N of them, the first of all since the start; where nothing happened
    since, rates are 0 and there are no times."""
    with Daemon(POOLS) as d:
        d.run("echo")
        settled(d, lambda s: named(s["handlers"], "echo")["succeeded"] == 1, "the job")
        looks = [json.loads(line) for line in
                 top(d, "--json", "--batch=3", "--interval=30ms")[0].splitlines()]
        assert [s["since_start"] for s in looks] == [True, False, False]
        assert looks[0]["window_usec"] > looks[1]["window_usec"] >= 30000
        echo = [named(s["handlers"], "echo") for s in looks]
        assert echo[0]["run_p50_usec"] is not None and echo[0]["done_rate"] > 0
        assert echo[1]["run_p50_usec"] is None and echo[1]["done_rate"] == 0
        out, _ = top(d, "--batch=2", "--interval=20ms")
        assert out.count("broodd ") == 2 and out.count("(since its start)") == 1
        assert re.search(r"^diag +running ", out, re.M) and re.search(r"^echo +diag ", out, re.M)
        assert not re.search("\033", out)
        for args in (["--interval=1ms"], ["--batch=0"], ["--batch=x"], ["--interval="], ["diag"]):
            out, err = top(d, *args, status=2)
            assert out == "" and err, args


def test_ends_when_nobody_reads():
    """The end of its pipe is the end of it."""
    with Daemon(POOLS) as d:
        with Helpers.process([CTL, "--socket=" + d.socket_path, "top", "--batch=1000000000",
                              "--interval=20ms"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline().startswith("broodd ")
            process.stdout.close()
            process.wait(slow(20))


# --- a daemon that does not answer ---

def answers_nothing(d):
    """Nothing is heard on a connection of our own."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
        s.connect(d.socket_path)
        s.sendall(b'{"method":"org.varlink.service.GetInfo"}\0')
        return not select.select([s], [], [], 0.1)[0]


@alone
def test_daemon_that_is_stopped():
    """With the daemon SIGSTOPped, top and workers answer all the same, in 100 ms, with what it was
    at, and say that it does not answer."""
    with Daemon(POOLS) as d:
        id = d.submit("sleep", {"seconds": 60})
        d.await_state(id, "running")
        settled(d, lambda s: s["daemon"]["jobs"]["running"] == 1, "the job")
        d.signal(signal.SIGSTOP)
        try:
            until(lambda: "stopped" in (look(d)["daemon"]["ailment"] or ""), "its ailment")
            assert answers_nothing(d)
            seen = look(d)
            assert [job["id"] for job in seen["jobs"]] == [id]
            out, _ = top(d)
            assert out.startswith("broodd (pid %d) does not answer: it is stopped" % d.pid), out
            assert id in out
            for verb in "top", "workers":
                spans = []
                for _ in range(10):
                    begun = time.monotonic()
                    done = subprocess.run([CTL, "--socket=" + d.socket_path, verb],
                                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT, text=True, timeout=slow(30))
                    spans.append(time.monotonic() - begun)
                    assert done.returncode == 0 and "does not answer" in done.stdout, done
                assert min(spans) < slow(0.1), (verb, spans)
        finally:
            d.signal(signal.SIGCONT)
        until(lambda: look(d)["daemon"]["ailment"] is None, "that it is well again")
        d.call("Cancel", id=id, force=True)


def test_daemon_that_was_killed():
    """What a dead daemon has left is shown as such."""
    d = Daemon(POOLS)
    try:
        d.run("echo")
        settled(d, lambda s: s["daemon"]["jobs"]["succeeded"] == 1, "the job")
        d.kill()
        out, _ = top(d)
        assert re.match(r"broodd \(pid %d\) is dead: this is what it left, .* ago\n" % d.pid, out)
        seen = look(d)
        assert "is dead" in seen["daemon"]["ailment"]
        assert named(seen["handlers"], "echo")["succeeded"] == 1
    finally:
        d.end()


def test_no_scoreboard():
    """Where there is none that can be read, it is said which file, why, and what to do."""
    with Daemon(POOLS) as d:
        for make, why in (
                (lambda path: None, "No such file"),
                (lambda path: open(path, "wb").close(), "no scoreboard"),
                (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 26),
                 "no scoreboard"),
                (lambda path: shutil.copyfile(CTL, path), "no scoreboard"),
                (os.mkdir, "no scoreboard"),
                (os.mkfifo, "no scoreboard"),
                (lambda path: os.symlink("scoreboard", path), "Too many levels")):
            where = d.path("elsewhere")
            os.mkdir(where)
            make(os.path.join(where, "scoreboard"))
            out, err = top(d, "--runtime-directory=" + where, status=3)
            assert out == "" and where + "/scoreboard: " in err and why in err, err
            shutil.rmtree(where)
        out, err = top(d, "--runtime-directory=" + "x" * 4000, status=3)
        assert out == "" and err
    done = subprocess.run([CTL, "--socket=/no/such/socket", "top"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=slow(30))
    assert done.returncode == 3 and "/no/such/scoreboard" in done.stderr or \
        "/run/brood/daemon/scoreboard" in done.stderr, done


def test_not_for_everybody():
    """Who may not read it is told whom it is for."""
    unless(os.getuid() == 0 and shutil.which("setpriv"), "this needs root and setpriv")
    with Daemon(POOLS) as d:
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
                               CTL, "--socket=" + d.socket_path, "top",
                               "--runtime-directory=" + d.path("run")],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=slow(30))
        unless(done.returncode not in (126, 127), "the build is not for everybody")
        assert done.returncode == 3 and done.stdout == "", done
        assert d.path("run/scoreboard") in done.stderr, done
        assert "Permission denied" in done.stderr and "RuntimeDirectoryMode=" in done.stderr


# --- on a terminal ---

class Terminal:
    """A shell in a terminal of tmux, in which things are typed and seen."""

    def __init__(self, d, columns=80, rows=24):
        unless(shutil.which("tmux"), "there is no tmux")
        unless(shutil.which("bash"), "there is no bash")
        self.d = d
        self.path = d.path("tmux")
        env = d.environment()
        env.update(LC_ALL="C.UTF-8", HISTFILE="/dev/null", BROOD_SOCKET=d.socket_path,
                   PATH=":".join([build("daemon", "ctl"), env["PATH"]]))
        for name in "TMUX", "NO_COLOR", "COLUMNS", "LINES":
            env.pop(name, None)
        self.env = env
        self.server = Helpers.process([shutil.which("tmux"), "-S", self.path, "-f", "/dev/null",
                                       "-u", "-D"], env=env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, start_new_session=True)
        self.columns, self.rows = columns, rows

    def __enter__(self):
        self.server.__enter__()
        until(lambda: self.try_("-q", "show-options", "-g") == 0, "tmux")
        self.tmux("new-session", "-d", "-x", str(self.columns), "-y", str(self.rows),
                  "exec env 'PS1=$ ' bash --norc --noprofile -i")
        self.until("$")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.CalledProcessError):
            panes = self.tmux("list-panes", "-a", "-F", "#{pane_pid}").split()
            left = [int(p) for p in panes] + [c for p in panes for c in descendants(int(p))]
            self.tmux("kill-server")
            until(lambda: not any(alive(p) for p in left), "that nothing runs in it", 5)
        self.server.__exit__(None, None, None)

    def command(self, *args):
        return ["tmux", "-S", self.path, "-u", *args]

    def try_(self, *args):
        return subprocess.run(self.command(*args), env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def tmux(self, *args):
        return subprocess.run(self.command(*args), env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=True, timeout=slow(20)).stdout

    def screen(self, *args):
        return self.tmux("capture-pane", "-p", *args)

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def run(self, command):
        self.type(command)
        self.keys("Enter")

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def until(self, pattern, seconds=10):
        """Waits until the screen has it; returns the match."""
        seen = ""
        try:
            def find():
                nonlocal seen
                seen = self.screen()
                return re.search(pattern, seen, re.M)
            if pattern == "$":
                pattern = r"^\$ *$"
            return until(find, pattern, seconds)
        except AssertionError:
            raise AssertionError("not seen: %r in\n%s" % (pattern, seen)) from None

    def value(self, name):
        return self.tmux("display-message", "-p", "#{%s}" % name).strip()

    def start(self, *args):
        """Starts top, behind a mark and the state of the terminal."""
        before, after = self.d.path("stty-before"), self.d.path("stty-after")
        self.run("clear; echo ma''rk; stty -g >%s" % before)
        self.until("^mark$")
        self.run("%s broodctl top %s; echo \"ended:\" $?; stty -g >%s" %
                 (args[0] if args else "", " ".join(args[1:]), after))
        self.until(r"^(POOL|broodd) ")

    def ended(self, status):
        """It has ended with this status, and the terminal is as it was."""
        self.until("^ended: %d$" % status)
        until(lambda: os.path.exists(self.d.path("stty-after")) and
              os.path.getsize(self.d.path("stty-after")), "stty")
        assert self.value("alternate_on") == "0" and self.value("cursor_flag") == "1"
        assert re.search("^mark$", self.screen(), re.M), self.screen()
        with open(self.d.path("stty-before"), encoding="ascii") as a, \
                open(self.d.path("stty-after"), encoding="ascii") as b:
            assert a.read() == b.read()
        os.unlink(self.d.path("stty-after"))

    def top_pid(self):
        def find():
            shell = int(self.value("pane_pid"))
            return next((p for p in children(shell) if "broodctl" in command_line(p)), None)
        return until(find, "top")


def lines(text):
    return text.rstrip("\n").split("\n")


def test_screen():
    """At 80x24 all that the manual promises is on it; the other tables are a key away."""
    with Daemon(POOLS) as d, Terminal(d) as t:
        id = d.submit("sleep", {"seconds": 60})
        worker = d.worker_of(id)
        t.start()
        assert t.value("alternate_on") == "1"
        t.until(r"^broodd \S+ running, up .*client.*store .*since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d")
        t.until(r"^Jobs: 0 queued, 1 running")
        t.until(r"/s submitted, .*/s ended, .*/s failed; p99: turn .*commit .*\(last ")
        t.until(r"^POOL +STATE +BUSY +QUEUE DONE/S +DIED +W50 +W95 +W99 +R50 +R95 +R99$")
        t.until(r"^diag +running +██░░ 1/2 +0 ")
        assert re.search(r"^\? help.*q quit", lines(t.screen())[-1])
        t.keys("w")
        t.until(r"^%s +%d +busy +\S+ +sleep " % (re.escape(worker["name"]), worker["pid"]))
        t.keys("h")
        t.until(r"^HANDLER +POOL +STATE +SUB/S")
        t.until(r"^echo +diag ")
        t.keys("j")
        t.until(r"^%s +sleep +%s " % (id, re.escape(worker["name"])))
        t.keys("p")
        t.until("^POOL ")
        t.keys("q")
        t.ended(0)
        d.call("Cancel", id=id, force=True)


def test_any_size():
    """It is right at any size, also when that changes under it; what has no room is left out."""
    with Daemon(POOLS) as d:
        with Terminal(d, 40, 10) as t:
            t.start()
            t.until(r"^POOL +STATE +BUSY +QUEUE DONE/S$")
            for columns, rows in ((200, 60), (20, 5), (80, 24), (10, 2), (1, 1), (500, 5),
                                  (40, 10)):
                t.resize(columns, rows)
                if columns >= 200 and rows > 10:
                    t.until(r"^POOL .* HELD .* R99 +DONE$")
                elif columns >= 40:
                    t.until(r"^POOL +STATE +BUSY")
                elif columns >= 20:
                    t.until(r"^POOL +BUSY$")
                    t.until(r"^diag +░░░░ 0/2$")
                seen = lines(t.screen())
                assert len(seen) <= rows and all(len(line) <= columns for line in seen), seen
            t.until(r"^diag +running +░░░░ 0/2 ")
            t.keys("?")
            t.until("^Help")
            t.resize(60, 8)
            t.until("^q back")
            t.keys("q")
            t.until("^POOL ")
            t.keys("q")  # what tmux has kept of the shell's screen depends on its size
            until(lambda: t.value("alternate_on") == "0", "the end")


def order(t):
    """The names of the rows under the headers."""
    found = re.search(r"^(POOL|HANDLER) .*\n((?:\S+ .*\n)*)", t.screen(), re.M).group(2)
    return [line.split()[0] for line in found.splitlines() if not line.startswith("?")]


def test_sort_and_filter():
    """< > s r choose the order, / which rows."""
    pools = {"a": diag(handlers="echo"), "b": diag(handlers="sleep"), "c": diag(handlers="fail")}
    with Daemon(pools) as d, Terminal(d) as t:
        for name in "b", "c", "c":
            d.call("PausePool", pool=name)
            d.submit({"b": "sleep", "c": "fail"}[name], {"seconds": 0}, durability="memory")
        t.start()
        t.until(r"^c +paused .* 2 ")
        assert order(t)[:3] == ["a", "b", "c"]
        t.keys("r")
        t.until(r"^sorted by POOL .*greatest first")
        assert order(t)[:3] == ["c", "b", "a"]
        t.keys(">", ">", ">")
        t.until(r"^sorted by QUEUE .*greatest first")
        assert order(t)[:3] == ["c", "b", "a"]
        t.keys("r")
        t.until(r"^sorted by QUEUE .*least first")
        assert order(t)[:3] == ["a", "b", "c"]
        t.keys("<")
        t.until(r"^sorted by BUSY")
        t.keys("s")
        t.until(r"^sorted by QUEUE")
        t.type("/paus")
        t.until(r"^only: paus_")
        t.keys("Enter")
        until(lambda: order(t) == ["c", "b"], "two rows")
        t.keys("Escape")
        until(lambda: len(order(t)) == 3, "all rows")
        t.type("/nothing like it")
        t.until("^no such pools")
        t.keys("Escape", "q")
        t.ended(0)
        for name in "b", "c":
            d.call("ResumePool", pool=name)


def test_pause_and_cancel():
    """z pauses and resumes the pool, k cancels the job after a yes; Enter looks into a row."""
    with Daemon({"diag": diag(handlers="echo sleep crash")}) as d, Terminal(d, rows=40) as t:
        d.run("crash", {"signal": "SEGV"}, max_attempts=1)
        id = d.submit("sleep", {"seconds": 60})
        d.await_state(id, "running")
        t.start()
        t.keys("z")
        until(lambda: d.pool_status()["state"] == "paused", "the pause")
        t.until(r"^pool diag is paused")
        t.until(r"^diag +paused ")
        t.keys("z")
        until(lambda: d.pool_status()["state"] == "running", "its end")
        t.until(r"^diag +running ")
        t.keys("Enter")
        t.until("^Pool diag")
        t.until("Handler: sleep$")
        t.until("Died: 1: 1 signal$")
        t.until("^The last that died:")
        t.until("SIGSEGV")
        t.keys("q", "w", "Enter")
        t.until(r"^Worker diag\.\d")
        t.until("^ +Umask: ")  # it was asked of the daemon
        t.keys("q", "j")
        t.until("^" + id)
        t.keys("Enter")
        t.until("job " + id)
        t.until('"seconds": 60')
        t.keys("q")
        t.until("^JOB ")
        t.keys("k")
        t.until(r"^cancel job %s\? \(y/n\)" % id)
        t.keys("n")
        t.until("^not cancelled")
        assert d.get(id)["state"] == "running"
        t.keys("k")
        t.until(r"\(y/n\)")
        t.keys("y")
        d.await_state(id, "cancelled")
        t.until(r"^job %s is being cancelled" % id)
        t.until("^no jobs$")
        t.keys("k")
        t.until("^there is no job here")
        t.keys("?")
        t.until("^Help")
        t.until("pause the pool of the row")
        t.keys("q", "q")
        t.ended(0)


def test_screen_when_the_daemon_is_stopped():
    """It says so in the first line, goes on, and keeps nobody waiting; also when the daemon's queue
    of connections is full; and finds the daemon that follows a dead one."""
    d = Daemon({"diag": diag(handlers="echo sleep")})
    try:
        with Terminal(d) as t:
            t.start()
            d.signal(signal.SIGSTOP)
            t.until(r"\Abroodd \(pid %d\) does not answer: it is stopped" % d.pid)
            t.keys("z")
            t.until("^asking broodd")
            t.keys("w")  # all else goes on meanwhile
            t.until(r"^diag\.0 +\d+ idle ")
            t.keys("p", "z")
            t.until("^broodd did not answer within 2 s")
            with contextlib.ExitStack() as stack:
                while True:
                    s = stack.enter_context(socket.socket(socket.AF_UNIX))
                    s.setblocking(False)
                    try:
                        s.connect(d.socket_path)
                    except BlockingIOError:
                        break
                t.keys("z")
                t.until("^broodd takes no connections: its queue is full")
            d.kill()
            t.until(r"\Abroodd \(pid %d\) is dead: this is what it left" % d.pid)
            t.keys("z")
            t.until("^broodd cannot be reached: Connection refused")
            d.start()
            t.until(r"\Abroodd \S+ running, up ")
            t.keys("q")
            t.ended(0)
        d.stop()
    finally:
        d.end()


def test_every_way_out():
    """Ctrl-C, signals and stopping (Ctrl-Z) leave the terminal as it was."""
    with Daemon(POOLS) as d, Terminal(d) as t:
        t.start()
        t.keys("C-c")
        t.ended(0)
        for number in signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT:
            t.start()
            os.kill(t.top_pid(), number)
            t.ended(128 + number)
        t.start()
        os.kill(t.top_pid(), signal.SIGINT)
        t.ended(0)
        t.start()
        pid = t.top_pid()
        t.keys("C-z")
        t.until(r"Stopped")
        assert t.value("alternate_on") == "0" and t.value("cursor_flag") == "1"
        t.resize(100, 20)
        t.run("fg")
        t.until(r"^POOL .*HELD")
        assert t.value("alternate_on") == "1" and t.top_pid() == pid
        os.kill(pid, signal.SIGSTOP)
        t.until(r"Stopped")
        t.run("fg")
        t.until(r"^POOL .*HELD")
        t.keys("w")
        t.until(r"^WORKER ")
        t.keys("q")
        t.until(r"^\$ *$")
        assert t.value("alternate_on") == "0" and t.value("cursor_flag") == "1"


def test_a_scoreboard_that_is_cut_short():
    """That ends it, but not without giving back the terminal."""
    with Daemon(POOLS) as d, Terminal(d) as t:
        os.mkdir(d.path("copy"))
        shutil.copyfile(d.path("run/scoreboard"), d.path("copy/scoreboard"))
        # the signal is meant: it is no finding of the sanitizer
        t.start("ASAN_OPTIONS=handle_sigbus=0", "--runtime-directory=" + d.path("copy"))
        os.truncate(d.path("copy/scoreboard"), 0)
        t.until("^broodctl: top: the scoreboard was cut short")
        t.until("^ended: ")
        assert t.value("alternate_on") == "0" and t.value("cursor_flag") == "1"
        t.run("echo ty''ped")
        t.until("^typed$")


def test_colours():
    """Colours are there, unless NO_COLOR forbids them; a terminal that cannot be drawn on is told
    of."""
    with Daemon(POOLS) as d, Terminal(d) as t:
        d.call("PausePool", pool="exec")
        t.start()
        t.until(r"^exec +paused")
        assert "\033[33m" in t.screen("-e") or "\033[1m\033[33m" in t.screen("-e")
        t.keys("q")
        t.ended(0)
        t.start("NO_COLOR=1")
        t.until(r"^exec +paused")
        assert not re.search("\033\\[(?:[0-9;]*;)?3[1-7]m", t.screen("-e"))
        t.keys("q")
        t.ended(0)
        # curses itself forgets what it has made for a terminal that it does not know
        t.run("clear; ASAN_OPTIONS=detect_leaks=0 TERM=nonsense broodctl top; echo \"ended:\" $?")
        t.until(r"cannot draw on this terminal \(TERM is nonsense\)")
        t.until("^ended: 1")
        t.run("clear; LC_ALL=C broodctl top")
        t.until(r"^diag +running +---- 0/2 ")
        t.keys("q")
        t.until(r"^\$ *$")
        d.call("ResumePool", pool="exec")

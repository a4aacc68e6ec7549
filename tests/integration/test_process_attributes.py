# SPDX-License-Identifier: MIT
"""[Process]: what a worker is and may, as the kernel shows it; and what a daemon may not do.

The users are ones that every Debian has (games, daemon, nobody), so nothing of the machine changes.
"""

import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess

from harness import *

# a Python that other users can run, without a wrapper in front of it
PYTHON = os.path.realpath("/usr/bin/python3")
GAMES, OTHER, NOBODY = (pwd.getpwnam(name) for name in ("games", "daemon", "nobody"))
KEY_VALUE = re.compile(r"^(\w+):[ \t]*(.*)$", re.M)


def need_root():
    unless(os.geteuid() == 0, "only root can run workers as other users")
    for path in (libexec(), build("lib", "modules"), HERE, PYTHON):
        reachable = subprocess.run(["setpriv", "--reuid=5", "--clear-groups", "test", "-x", path],
                                   check=False)
        unless(reachable.returncode == 0, "other users cannot reach %s" % path)


def worker_program(process, **keys):
    return pool("add nap", command="%s %s" % (PYTHON, os.path.join(HERE, "worker.py")),
                min_workers=1, spare_workers=0, kill_after="300ms", process=process, **keys)


def each_kind(process):
    """A pool of each kind of worker."""
    return {"fork": diag(min_workers=1, process=process),
            "spawn": pool("celsius", "celsius.so", start_method="spawn", min_workers=1,
                          spare_workers=0, process=process),
            "command": worker_program(process),
            "exec": commands(min_workers=1, process=process)}


def read(*parts):
    with open(os.path.join("/proc", *map(str, parts)), encoding="utf-8", errors="replace") as f:
        return f.read()


def status_of(pid):
    return dict(KEY_VALUE.findall(read(pid, "status")))


def limit_of(pid, name):
    return re.search(r"^%s  +(\S+) +(\S+)" % name, read(pid, "limits"), re.M).groups()


def environ_of(pid):
    return dict(v.partition("=")[::2] for v in read(pid, "environ").split("\0") if v)


def nice_of(pid):
    return int(read(pid, "stat").rpartition(")")[2].split()[16])


def worker_pid(d, kind):
    return d.pids(kind)[0]


def run_command(d, *argv, **spec):
    job = d.run("exec", {"argv": list(argv)}, **spec)
    assert job["state"] == "succeeded", job
    return job["result"]["stdout"]


def as_nobody(d, *options):
    """The daemon's command line with no rights at all."""
    for folder, _, names in os.walk(d.directory):
        for name in (folder, *(os.path.join(folder, n) for n in names)):
            os.chown(name, NOBODY.pw_uid, NOBODY.pw_gid)
    return ["setpriv", "--reuid=%d" % NOBODY.pw_uid, "--regid=%d" % NOBODY.pw_gid,
            "--clear-groups", "--bounding-set=-all", *options, *d.command()]


def open_to_all(d):
    os.chmod(d.directory, 0o755)
    return d.directory


@contextlib.contextmanager
def stopped(pools):
    d = Daemon(pools, start=False)
    try:
        yield d
    finally:
        d.end()


def assert_refused(pools, pattern, line, command=None, prepare=None):
    """The daemon does not start and says why, and where."""
    with stopped(pools) as d:
        if prepare:
            prepare(d)
        d.start(ready=False, command=command and command(d))
        assert d.wait_exit() == 1
        d.reader.join(5)
        where = r"/%s\.pool:%d: " % (next(iter(pools)), line)
        assert re.search(where + pattern, d.log()), d.log()


# --- what a worker is ---

def assert_user(pid, user, gid, groups):
    status = status_of(pid)
    assert status["Uid"].split() == [str(user.pw_uid)] * 4, status["Uid"]
    assert status["Gid"].split() == [str(gid)] * 4, status["Gid"]
    assert sorted(map(int, status["Groups"].split())) == sorted(groups), status["Groups"]
    for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert int(status[name], 16) == 0, (name, status[name])


def test_user():
    """User=: the worker of each kind, and what it runs, is that user with that user's groups."""
    need_root()
    with Daemon(each_kind("User=games")) as d:
        for kind in "fork", "spawn", "command", "exec":
            pid = worker_pid(d, kind)
            assert_user(pid, GAMES, GAMES.pw_gid, os.getgrouplist("games", GAMES.pw_gid))
            assert_user(parent_of(pid), GAMES, GAMES.pw_gid,
                        os.getgrouplist("games", GAMES.pw_gid))
        status = dict(KEY_VALUE.findall(run_command(d, "cat", "/proc/self/status")))
        assert status["Uid"].split() == ["5"] * 4 and int(status["CapEff"], 16) == 0
        assert d.run("echo", {"a": 1})["result"] == {"a": 1}
        assert d.run("celsius", {"fahrenheit": 32})["state"] == "succeeded"
        assert d.run("add", {"a": 1, "b": 2})["result"]["sum"] == 3
        assert run_command(d, "sh", "-c", "echo x >/dev/stderr; id -un") == "games\n"


def test_group_and_more_groups():
    """Group= replaces the user's, SupplementaryGroups= adds; a number needs no entry then."""
    need_root()
    audio, video = (grp.getgrnam(name).gr_gid for name in ("audio", "video"))
    more = "Group=audio\nSupplementaryGroups=video 4242"
    with Daemon({"diag": diag(process="User=games\n" + more),
                 "exec": commands(process="User=54321\nGroup=54322"),
                 "celsius": pool("celsius", "celsius.so", process="Group=%d" % video)}) as d:
        for pid in d.pids("diag"):
            groups = set(os.getgrouplist("games", audio)) | {video, 4242}
            assert_user(pid, GAMES, audio, groups)
        for pid in d.pids("exec"):
            status = status_of(pid)
            assert status["Uid"].split() == ["54321"] * 4
            assert status["Gid"].split() == ["54322"] * 4 and not status["Groups"].split()
        for pid in d.pids("celsius"):
            status = status_of(pid)
            assert status["Uid"].split() == ["0"] * 4
            assert status["Gid"].split() == [str(video)] * 4
        assert run_command(d, "sh", "-c", "echo $USER:$LOGNAME:$HOME") == "54321:54321:\n"


def test_what_a_worker_may():
    """Limits, nice level, umask, OOM score, directory and no new privileges, for each kind."""
    need_root()
    score = int(read("self", "oom_score_adj")) + 50
    process = ("User=games\nUMask=0027\nNice=7\nOOMScoreAdjust=%d\nNoNewPrivileges=yes\n"
               "WorkingDirectory=/usr\nLimitNOFILE=100:200\nLimitCORE=0\nLimitCPU=1min:2min\n"
               "LimitFSIZE=1G\nLimitSTACK=4M:8M\nLimitAS=16T\nLimitDATA=8T\nLimitRSS=1T\n"
               "LimitLOCKS=11\nLimitMEMLOCK=32K\nLimitMSGQUEUE=4096\nLimitNICE=0\n"
               "LimitNPROC=3000:4000\nLimitRTPRIO=0\nLimitRTTIME=5000\nLimitSIGPENDING=99" % score)
    if SANITIZED:
        process = process.replace("LimitAS=16T\nLimitDATA=8T\n", "")
    with Daemon(each_kind(process)) as d:
        for kind in "fork", "spawn", "command", "exec":
            pid = worker_pid(d, kind)
            status = status_of(pid)
            assert status["Umask"] == "0027" and status["NoNewPrivs"] == "1", (kind, status)
            assert nice_of(pid) == 7
            assert int(read(pid, "oom_score_adj")) == score
            assert os.readlink("/proc/%d/cwd" % pid) == "/usr"
            for name, soft, hard in (
                    ("Max open files", 100, 200), ("Max core file size", 0, 0),
                    ("Max cpu time", 60, 120), ("Max file size", 1 << 30, 1 << 30),
                    ("Max stack size", 4 << 20, 8 << 20), ("Max resident set", 1 << 40, 1 << 40),
                    ("Max file locks", 11, 11), ("Max locked memory", 32768, 32768),
                    ("Max msgqueue size", 4096, 4096), ("Max nice priority", 0, 0),
                    ("Max processes", 3000, 4000), ("Max realtime priority", 0, 0),
                    ("Max realtime timeout", 5000, 5000), ("Max pending signals", 99, 99)):
                assert limit_of(pid, name) == (str(soft), str(hard)), (kind, name)
            if not SANITIZED:
                assert limit_of(pid, "Max address space") == (str(16 << 40), str(16 << 40))
                assert limit_of(pid, "Max data size") == (str(8 << 40), str(8 << 40))
        assert run_command(d, "sh", "-c", "umask; ulimit -n; nice; pwd") == "0027\n100\n7\n/usr\n"


def test_what_is_not_said_is_the_daemons():
    """Without Nice= and limits, a worker has the daemon's, also where it may not raise them."""
    with stopped({"diag": diag()}) as d:
        d.start(command=["prlimit", "--core=0:0", "--nofile=300:400", "--", "nice", "-n", "5",
                         *d.command()])
        for pid in d.pids():
            assert nice_of(pid) == 5 + nice_of(os.getpid())
            assert limit_of(pid, "Max open files") == ("300", "400")
            assert limit_of(pid, "Max core file size") == ("0", "0")
        d.stop()


def test_variables_of_the_user():
    """USER, LOGNAME, HOME and SHELL are the user's; then, in this order, PassEnvironment=,
    Environment= and EnvironmentFile= override; nothing else of the daemon's environment is seen."""
    need_root()
    process = ("User=backup\nPassEnvironment=P Q R\nEnvironment=Q=config R=config\n"
               "EnvironmentFile=%s\nEnvironmentFile=-/nonexistent/file")
    with stopped({}) as d:
        file = d.write("variables", "# a comment\nR=file\nLONG=\"a \\\n b\"\nONE='x\\y'  # z\n")
        for name, text in each_kind(process % file).items():
            d.write_pool(name, text)
        d.env.update(P="daemon", Q="daemon", R="daemon", SECRET="of the daemon")
        d.start()
        wanted = {"USER": "backup", "LOGNAME": "backup", "HOME": "/var/backups", "P": "daemon",
                  "Q": "config", "R": "file", "LONG": "a  b", "ONE": "x\\y# z"}
        for kind in "spawn", "command":
            got = environ_of(worker_pid(d, kind))
            assert {k: got.get(k) for k in wanted} == wanted, got
            assert "SHELL" not in got and "SECRET" not in got
        said = run_command(d, "env").splitlines()
        for name, value in wanted.items():
            assert "%s=%s" % (name, value) in said, said
        for pid in [worker_pid(d, "fork"), *d.fork_servers()]:
            assert "SECRET" not in environ_of(pid)
        d.stop()


def test_home_as_directory():
    """WorkingDirectory=~ is the user's home; - allows that the directory is missing."""
    need_root()
    with Daemon({"diag": diag(process="User=daemon\nWorkingDirectory=~"),
                 "exec": commands(process="WorkingDirectory=-/nonexistent")}) as d:
        for pid in d.pids("diag"):
            assert os.readlink("/proc/%d/cwd" % pid) == OTHER.pw_dir
        assert len(d.pids("exec")) == 2


def in_own_mounts(d, root, *mounts):
    """The daemon's command line in a mount namespace of its own, where something is mounted."""
    os.mkdir(root, 0o755)
    script = "".join("mount %s && " % m for m in mounts) + 'exec "$@"'
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", *d.command()]


def can_mount():
    need_root()
    done = subprocess.run(["unshare", "--mount", "--propagation=private", "true"], check=False,
                          stderr=subprocess.DEVNULL)
    unless(done.returncode == 0, "no mount namespace can be made")


def test_root_directory():
    """RootDirectory=: modules, programs and directories are looked for in it, by the user."""
    can_mount()
    with stopped({}) as d:
        open_to_all(d)
        root = d.path("root")
        for name, text in each_kind("User=games\nRootDirectory=%s\nWorkingDirectory=/usr/bin"
                                    % root).items():
            d.write_pool(name, text)
        d.start(command=in_own_mounts(d, root, "--rbind / " + root))
        for kind in "fork", "spawn", "command", "exec":
            pid = worker_pid(d, kind)
            assert os.readlink("/proc/%d/root" % pid) == root, kind
            assert os.readlink("/proc/%d/cwd" % pid) == root + "/usr/bin"
            assert_user(pid, GAMES, GAMES.pw_gid, os.getgrouplist("games", GAMES.pw_gid))
        assert run_command(d, "pwd") == "/usr/bin\n"
        assert d.run("add", {"a": 1, "b": 2})["result"]["sum"] == 3
        # what is left behind is found there, too
        left = int(run_command(d, "sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"))
        wait_gone([left])
        d.stop()


def test_root_directory_that_lacks_something():
    """Without /proc or /dev/null in it, or the module, the daemon says so and does not start."""
    need_root()
    with stopped({}) as d:
        root = d.path("root")
        os.mkdir(root)
        assert_refused({"exec": commands(process="RootDirectory=" + root)},
                       r"RootDirectory= \(it has to have /proc mounted", 7)
        assert_refused({"p": pool("celsius", "celsius.so", process="RootDirectory=" + root)},
                       r"Module=celsius.so: there is no such file in .*, within RootDirectory=", 3)
        assert_refused({"p": pool("x", command="/bin/sh", process="RootDirectory=" + root)},
                       r"Command=/bin/sh: expected .*, within RootDirectory=", 3)
        assert_refused({"p": commands(process="RootDirectory=/nonexistent")},
                       r"RootDirectory=/nonexistent: expected a directory", 7)


# --- as another user, everything goes on working ---

def test_two_users_in_one_daemon():
    """Two pools with two users: neither can signal the other's, both work, and a death is told."""
    need_root()
    with Daemon({"diag": diag(process="User=daemon"),
                 "exec": commands(process="User=games")}) as d:
        victim = d.pids("diag")[0]
        job = d.run("exec", {"argv": ["kill", "-9", str(victim)]})
        assert job["state"] == "failed" and "not permitted" in job["result"]["stderr"], job
        assert victim in d.pids("diag")
        job = d.run("crash", {"signal": "SEGV"}, max_attempts=1)
        assert job["state"] == "failed", job
        assert d.run("echo")["state"] == "succeeded"


def test_the_fork_server_is_out_of_reach():
    """Its worker, of the same user, cannot look into the fork server; others can into workers of a
    module."""
    need_root()
    with Daemon({"exec": commands(process="User=games"),
                 "diag": diag(process="User=games")}) as d:
        server = parent_of(d.pids("exec")[0])
        for what in "fd", "mem", "environ":
            job = d.run("exec", {"argv": ["cat" if what != "fd" else "ls",
                                          "/proc/%d/%s" % (server, what)]})
            assert job["state"] == "failed" and "Permission denied" in job["result"]["stderr"], job
        for pid in d.pids("diag"):
            assert os.stat("/proc/%d/fd" % pid).st_uid == GAMES.pw_uid


def test_cancel_and_timeout():
    """The ladder goes up to SIGKILL for a command of another user, and what it left goes, too."""
    need_root()
    deaf = ["sh", "-c", "trap '' TERM; setsid sleep 600 & echo $!; while :; do sleep 1; done"]
    with Daemon({"exec": commands(process="User=games"),
                 "diag": diag(process="User=daemon")}) as d:
        id = d.submit("exec", {"argv": deaf})
        worker = d.worker_of(id)
        until(lambda: len(descendants(worker["pid"])) >= 2, "the command and its child run")
        below = descendants(worker["pid"])
        d.call("Cancel", id=id)
        assert d.wait(id)["state"] == "cancelled"
        wait_gone(below)
        job = d.run("exec", {"argv": deaf}, timeout_usec=300000)
        assert job["state"] == "failed", job
        job = d.run("spin", {"seconds": 60}, timeout_usec=300000, max_attempts=1)
        assert job["state"] == "failed", job
        assert d.run("echo")["state"] == "succeeded"


def test_when_the_daemon_or_the_fork_server_is_killed():
    """As another user, the tree ends as it does otherwise."""
    need_root()
    for who in "daemon", "server":
        with stopped(each_kind("User=games")) as d:
            d.start()
            id = d.submit("exec", {"argv": ["sh", "-c", "setsid sleep 600 & sleep 600"]})
            d.worker_of(id)
            pid = worker_pid(d, "exec")
            until(lambda: len(descendants(pid)) >= 2, "the command runs")
            tree = d.tree()
            assert all(status_of(p)["Uid"].startswith("5\t") for p in tree)
            if who == "daemon":
                d.kill()
                wait_gone(tree, 5)
                continue
            server = parent_of(pid)
            below = descendants(server)
            os.kill(server, signal.SIGKILL)
            wait_gone(below, 5)
            until(lambda: d.pool_status("exec")["idle"] + d.pool_status("exec")["busy"] > 0,
                  "a new worker")
            assert d.wait(id)["state"] == "failed"
            d.stop()


def test_what_has_become_root_does_not_hold_up():
    """A set-user-ID program that a command leaves behind cannot be killed by its worker: the
    attempt ends all the same, and the daemon ends it when the pool ends."""
    need_root()
    with stopped({"exec": commands(min_workers=1, process="User=games")}) as d:
        open_to_all(d)
        sudo = d.path("sudo")
        shutil.copy(shutil.which("setpriv"), sudo)
        os.chmod(sudo, 0o4755)
        d.start()
        script = "%s --reuid=0 --regid=0 --clear-groups sleep 600 >/dev/null 2>&1 & echo $!" % sudo
        pid = int(run_command(d, "sh", "-c", script + "; sleep 0.3"))
        unless(status_of(pid)["Uid"].split()[0] == "0", "set-user-ID programs do not count here")
        assert run_command(d, "echo", "on") == "on\n"
        d.process.terminate()
        assert d.wait_exit() == 0
        wait_gone([pid])


def test_a_fork_server_that_hangs_goes_with_the_daemon():
    """While it loads the module nothing but its parent-death signal ends it, and a change of user
    has cleared that one: it is set again."""
    need_root()
    with stopped({}) as d:
        open_to_all(d)
        text = pool("mood", "moods.so", min_workers=1, settings="hang=" + d.write("hang", ""),
                    process="User=games")
        d.write_pool("moods", text)
        d.start(ready=False)
        d.wait_log("moods: init waits")
        server = d.fork_servers()[0]
        assert status_of(server)["Uid"].split() == ["5"] * 4
        d.kill()
        wait_gone([server], 5)


def test_a_module_is_not_checked_by_root():
    """--check-config loads a module as the user of its pool, and says what that user cannot."""
    need_root()
    with stopped({}) as d:
        open_to_all(d)
        shutil.copy(build("lib", "modules", "celsius.so"), d.path("m.so"))
        d.write_pool("p", pool("celsius", d.path("m.so"), process="User=games"))
        command = [*d.command(), "--check-config"]
        for mode, status in (0o700, 1), (0o755, 0):
            os.chmod(d.path("m.so"), mode)
            checked = subprocess.run(command, env=d.environment(), check=False,
                                     capture_output=True, text=True)
            assert checked.returncode == status, checked.stderr
            assert status == 0 or "m.so: cannot open shared object file: Permission denied" in \
                checked.stderr, checked.stderr


def test_attached_descriptors():
    """Descriptors that a client hands over reach a command of another user."""
    need_root()
    with Daemon({"exec": commands(process="User=games")}) as d, d.connect() as c:
        ends = os.pipe()
        with open(os.devnull, "rb") as null:
            c.send("Submit", {"job": {"handler": "exec", "attached": True,
                                      "args": {"argv": ["id", "-un"]}}, "wait": True},
                   fds=[null.fileno(), ends[1], ends[1]])
        os.close(ends[1])
        with os.fdopen(ends[0], "rb") as out:
            assert out.read() == b"games\n"
        assert c.receive()["job"]["state"] == "succeeded"


def test_a_directory_that_is_closed_to_the_command():
    """A job whose directory its user may not enter fails, and the directory is named."""
    need_root()
    with Daemon({"exec": commands(process="User=games")}) as d:
        job = d.run("exec", {"argv": ["true"], "cwd": d.directory})
        assert job["state"] == "failed" and job["result"]["exit_status"] == 126, job
        assert d.directory + ": Permission denied" in job["result"]["stderr"], job


# --- reload ---

def test_reload_with_another_user_or_file():
    """A reload with another user or a changed file makes new workers; with the same none."""
    need_root()
    with stopped({}) as d:
        file = d.write("variables", "A=1\n")
        text = commands(min_workers=1, process="User=%s\nEnvironmentFile=" + file)
        d.write_pool("exec", text % "games")
        d.start()
        before = d.pids()
        d.call("Reload")
        assert d.pids() == before
        d.write("variables", "A=2\n")
        assert run_command(d, "sh", "-c", "echo $A") == "1\n"
        d.call("Reload")
        until(lambda: d.pids() and not set(d.pids()) & set(before), "new workers")
        assert run_command(d, "sh", "-c", "echo $A; id -un") == "2\ngames\n"
        before = d.pids()
        d.write_pool("exec", text % "daemon")
        d.call("Reload")
        until(lambda: d.pids() and not set(d.pids()) & set(before), "workers of another user")
        assert run_command(d, "id", "-un") == "daemon\n"
        os.remove(file)
        with refused("ConfigInvalid") as e:
            d.call("Reload")
        assert "EnvironmentFile=" + file in e["message"] and e["line"] == 8, e
        assert run_command(d, "sh", "-c", "echo $A") == "2\n"
        d.stop()


# --- what is wrong ---

def test_names_that_are_not_there():
    """A user or group that does not exist is an error with the line."""
    for process, pattern in (
            ("User=no-such-user", r"User=no-such-user: there is no such user; expected a name"),
            ("User=54321", r"User=54321: a number without an entry .* needs a Group="),
            ("User=4294967295\nGroup=1", r"User=4294967295: there is no such user"),
            ("Group=no-such-group", r"Group=no-such-group: there is no such group; expected"),
            ("SupplementaryGroups=0 nix", r"SupplementaryGroups=nix: there is no such group"),
            ("WorkingDirectory=~", r"WorkingDirectory=~: expected a User= that has a home"),
            ("RootDirectory=usr", r"RootDirectory=usr: expected an absolute path"),
            ("EnvironmentFile=/nonexistent", r"EnvironmentFile=/nonexistent: cannot be read: No"),
            ("EnvironmentFile=rel", r"EnvironmentFile=rel: expected an absolute path"),
            ("LimitNOFILE=2:1", r"LimitNOFILE=2:1: expected .* soft not above hard")):
        assert_refused({"exec": commands(process=process)}, pattern, 7)


def test_rights_that_are_missing():
    """An unprivileged daemon says at its start what it may not do, and which right it lacks."""
    need_root()
    refuse = [
        ("User=games", r"User=games: this daemon \(uid 65534\) may not do that: it needs "
                       r"CAP_SETUID; expected the daemon's own user, or none"),
        ("Group=games", r"Group=games: .* it needs CAP_SETGID"),
        ("SupplementaryGroups=games", r"SupplementaryGroups=games: .* it needs CAP_SETGID"),
        ("RootDirectory=/usr", r"RootDirectory=/usr: .* it needs CAP_SYS_CHROOT"),
        ("Nice=-5", r"Nice=-5: .* it needs CAP_SYS_NICE; expected at least 0"),
        ("OOMScoreAdjust=-900", r"OOMScoreAdjust=-900: .* CAP_SYS_RESOURCE; expected at least"),
        ("LimitNOFILE=64", None),
        ("LimitNOFILE=1000", r"LimitNOFILE=1000: .* CAP_SYS_RESOURCE; expected at most 500"),
        ("LimitCORE=infinity", r"LimitCORE=infinity: .* CAP_SYS_RESOURCE; expected at most 0, the"),
        ("User=nobody", None),
        ("User=nobody\nGroup=nogroup\nNice=0\nLimitNOFILE=64:500", None),
    ]
    for process, pattern in refuse:
        with stopped({"exec": commands(process=process)}) as d:
            command = ["prlimit", "--core=0:0", "--nofile=400:500", "--", *as_nobody(d)]
            d.start(ready=not pattern, command=command)
            if not pattern:
                assert_user(d.pids()[0], NOBODY, NOBODY.pw_gid, [])
                d.stop()
                continue
            assert d.wait_exit() == 1
            d.reader.join(5)
            assert re.search(r"/exec\.pool:7: " + pattern, d.log()), d.log()


def test_a_file_that_the_daemon_may_not_read():
    """A closed EnvironmentFile= is an error of the daemon, but not of who checks the config."""
    need_root()
    with stopped({}) as d:
        d.write_pool("exec", commands(process="User=nobody\nEnvironmentFile=" + d.path("secret")))
        command = as_nobody(d)
        d.write("secret", "A=1\n")
        os.chmod(d.path("secret"), 0o600)
        d.start(ready=False, command=command)
        assert d.wait_exit() == 1
        d.reader.join(5)
        assert re.search(r"/exec\.pool:8: EnvironmentFile=.*/secret: this daemon \(uid 65534\) may "
                         r"not read it", d.log()), d.log()
        checked = subprocess.run([*command, "--check-config"], env=d.environment(), check=False,
                                 capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def test_check_config_by_somebody_else():
    """--check-config asks for no right: it is another process that will need it."""
    need_root()
    with stopped({"exec": commands(process="User=games\nNice=-20\nLimitNOFILE=infinity")}) as d:
        checked = subprocess.run([*as_nobody(d), "--check-config"], env=d.environment(),
                                 capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and "in order" in checked.stdout, checked.stderr


def test_reload_that_lacks_a_right():
    """A reload that asks for what the daemon may not do is refused, and nothing changes."""
    need_root()
    with stopped({"exec": commands()}) as d:
        d.start(command=as_nobody(d))
        before = d.pids()
        d.write_pool("exec", commands(process="Nice=3\nUser=games"))
        with refused("ConfigInvalid") as e:
            d.call("Reload")
        assert e["line"] == 8 and "it needs CAP_SETUID" in e["message"], e
        assert d.pids() == before and nice_of(before[0]) == nice_of(os.getpid())
        d.stop()


def test_rights_of_the_daemon_stay_with_it():
    """What an unprivileged daemon is given to change users does not reach its workers."""
    need_root()
    ambient = "+setuid,+setgid,+kill"
    with stopped({"exec": commands(process="User=games"), "diag": diag()}) as d:
        command = [w.replace("--bounding-set=-all", "--inh-caps=" + ambient) for w in as_nobody(d)]
        command.insert(4, "--ambient-caps=" + ambient)
        d.start(command=command)
        assert status_of(d.pid)["Uid"].split()[0] == str(NOBODY.pw_uid)
        assert int(status_of(d.pid)["CapEff"], 16) == 0xe0
        for pid in d.pids("exec"):
            assert_user(pid, GAMES, GAMES.pw_gid, os.getgrouplist("games", GAMES.pw_gid))
        for pid in d.pids("diag"):
            assert_user(pid, NOBODY, NOBODY.pw_gid, [])
        status = dict(KEY_VALUE.findall(run_command(d, "cat", "/proc/self/status")))
        assert all(int(status["Cap" + s], 16) == 0 for s in ("Eff", "Prm", "Inh", "Amb"))
        job = d.run("exec", {"argv": ["sleep", "60"]}, timeout_usec=200000)
        assert job["state"] == "failed"
        d.stop()


def test_files_that_the_user_may_not_read():
    """A module, program or directory that is closed to the user: the path, the user and why."""
    need_root()
    with stopped({}) as files:
        open_to_all(files)
        shutil.copy(build("lib", "modules", "celsius.so"), files.path("m.so"))
        shutil.copy("/bin/true", files.path("program"))
        for name in "m.so", "program":
            os.chmod(files.path(name), 0o700)
        os.mkdir(files.path("closed"), 0o700)
        user = "User=games"
        for start in "forkserver", "spawn":
            assert_refused({"p": pool("celsius", files.path("m.so"), start_method=start,
                                      process=user)},
                           r".*/m\.so: .*Permission denied \(as User=games\)", 2)
        assert_refused({"p": pool("x", command=files.path("program"), process=user)},
                       r".*/program can not be executed by User=games: Permission denied", 2)
        assert_refused({"p": commands(process=user + "\nWorkingDirectory=" + files.path("closed"))},
                       r"WorkingDirectory= can not be applied: Permission denied", 8)


def test_what_only_the_kernel_refuses():
    """Where root is root of a user namespace only, the fork server says what could not be done."""
    need_root()
    inside = ["unshare", "--user", "--map-root-user"]
    tried = subprocess.run([*inside, "true"], check=False, stderr=subprocess.DEVNULL)
    unless(tried.returncode == 0, "no user namespace can be made")
    for process, what in (("User=games", r"User= \(its groups\)"), ("Group=games", "Group="),
                          ("LimitCORE=infinity", "LimitCORE=")):
        with stopped({"exec": commands(process=process)}) as d:
            d.start(ready=False, command=["prlimit", "--core=0:0", "--", *inside, *d.command()])
            assert d.wait_exit() == 1
            d.reader.join(5)
            found = re.search(r"/exec\.pool:(\d+): %s can not be applied: " % what, d.log())
            assert found, d.log()
            with open(d.path("config", "pools", "exec.pool"), encoding="utf-8") as f:
                assert f.readlines()[int(found[1]) - 1].strip() == process

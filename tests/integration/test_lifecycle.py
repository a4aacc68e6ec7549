# SPDX-License-Identifier: MIT
"""The daemon as a service: its options, its socket, its lock, signals, Reload, Drain."""

import os
import signal
import socket
import subprocess
import time

from harness import *


def broodd(*args, env=None, seconds=20):
    """Runs broodd to its end; returns (status, stdout, stderr)."""
    done = subprocess.run([build("daemon", "broodd"), *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=slow(seconds), env={**os.environ, **(env or {})})
    return done.returncode, done.stdout, done.stderr


MODULES = {"BROOD_MODULE_PATH": build("lib", "modules"), "BROOD_LIBEXEC": libexec()}


def test_version_and_help():
    """--version and --help answer on stdout; an unknown option is an error."""
    status, out, _ = broodd("--version")
    assert status == 0 and "brood" in out and any(c.isdigit() for c in out)
    status, out, _ = broodd("--help")
    assert status == 0 and "--config" in out and "--socket" in out and "--state-directory" in out
    status, out, err = broodd("--nonsense")
    assert status != 0 and not out and "nonsense" in err
    status, _, err = broodd("stray")
    assert status != 0 and err


def test_check_config():
    """--check-config says whether a configuration is good, and starts nothing."""
    d = Daemon(start=False)
    try:
        status, out, err = broodd("--check-config", "--config=" + d.path("config"), env=MODULES)
        assert status == 0, err
        d.write_pool("broken", "[Pool]\nModule=diag.so\nHandlers=echo\nNonsense=1\n")
        status, out, err = broodd("--check-config", "--config=" + d.path("config"), env=MODULES)
        assert status != 0 and "broken.pool" in out + err and "4" in out + err, (out, err)
        assert os.listdir(d.path("run")) == []
    finally:
        d.end()


# what is wrong, where (file, line), a word of the message
FAULTS = [
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nNonsense=1\n", 3, "Nonsense"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\n[Nonsense]\nx=1\n", None, "Nonsense"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nMinWorkers=many\n", 3, "MinWorkers"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nMinWorkers=-1\n", 3, "MinWorkers"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nKillAfter=soon\n", 3, "KillAfter"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nPriority=1001\n", 3, "Priority"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nStartMethod=fork\n", 3, "StartMethod"),
    ("config/pools/a.pool", "[Pool]\nModule=no-such-module.so\n", 2, "no-such-module"),
    ("config/pools/a.pool", "[Pool]\nCommand=/no/such/program\nHandlers=x\n", 2, "program"),
    ("config/pools/a.pool", "[Pool]\nBuiltin=nothing\n", 2, "nothing"),
    ("config/pools/a.pool", "[Pool]\nHandlers=celsius\n", None, "Module"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nCommand=/bin/true\n", None, "ommand"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\nHandlers=celsius kelvin\n", 3, "kelvin"),
    ("config/pools/z.pool", "[Pool]\nModule=diag.so\nHandlers=echo\n", None, "echo"),
    ("config/pools/a.pool", "[Pool]\nModule=celsius.so\n[Process]\nUMask=9\n", 4, "UMask"),
    ("config/pools/a.pool", "Module=celsius.so\n", None, ""),
    ("config/pools/a.pool", "[Pool\nModule=celsius.so\n", None, ""),
    ("config/brood.conf", "[Queue]\nMaxArgsSize=1X\n", 2, "MaxArgsSize"),
    ("config/brood.conf", "[Queue]\nWhatever=1\n", 2, "Whatever"),
    ("config/brood.conf", "[Daemon]\nLogLevel=loud\n", 2, "LogLevel"),
]


def names(name, text, where):
    """Is the file named? (Of two pools with one handler, either.)"""
    return os.path.basename(name) in where or "Handlers=echo" in text and "diag.pool" in where


def test_faults_at_start():
    """With a fault in its configuration the daemon does not start, and says where it is."""
    d = Daemon(start=False)
    try:
        for name, text, line, word in FAULTS:
            d.write(name, text)
            status, _, err = broodd(
                "--config=" + d.path("config"), "--socket=" + d.socket_path,
                "--state-directory=" + d.path("state"), "--runtime-directory=" + d.path("run"),
                env=MODULES)
            assert status not in (0, -6, -11), (text, status, err)
            assert names(name, text, err) and word in err, (text, err)
            if line:
                assert ":%d" % line in err or "line %d" % line in err or "line=%d" % line in err, (
                    text, err)
            assert os.listdir(d.path("run")) == [], os.listdir(d.path("run"))
            d.write(name, "")
            if "pools" in name:
                os.unlink(d.path(name))
    finally:
        d.end()


def test_faults_at_reload():
    """With a fault, Reload is ConfigInvalid with file and line, and nothing changes."""
    with Daemon() as d:
        pids = d.pids()
        for name, text, line, word in FAULTS:
            d.write(name, text)
            with refused("ConfigInvalid") as e:
                d.call("Reload")
            assert names(name, text, e["file"]), (text, e)
            assert word in e["message"] or word in e["file"], (text, e)
            if line:
                assert e["line"] == line, (text, e)
            d.write(name, "")
            if "pools" in name:
                os.unlink(d.path(name))
            assert d.pids() == pids and d.status()["state"] == "running"
        d.call("Reload")
        assert d.pids() == pids
        assert d.run("echo")["state"] == "succeeded"


def test_a_missing_brood_conf_means_defaults():
    """No brood.conf at all is fine; brood.conf.d/ adds to it."""
    d = Daemon(start=False)
    os.unlink(d.path("config/brood.conf"))
    os.mkdir(d.path("config/brood.conf.d"))
    d.write("config/brood.conf.d/10-size.conf", "[Queue]\nMaxArgsSize=1K\n")
    with d:
        d.start()
        with refused("TooLarge") as e:
            d.submit("echo", {"x": "y" * 2000})
        assert e["limit_bytes"] == 1024


def test_reload_changes_a_pool():
    """A reload that changes what a worker is made from brings new workers; jobs go on."""
    with Daemon() as d:
        old = d.pids()
        held = d.submit("sleep", {"seconds": 0.5})
        d.worker_of(held)
        d.write_pool("diag", diag(process="Environment=A=1", min_workers=3))
        d.call("Reload")
        job = d.wait(held)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 1
        until(lambda: d.pool_status()["idle"] == 3 and not set(d.pids()) & set(old), "new ones")
        wait_gone(old, 5)


def test_reload_keeps_workers_that_need_not_change():
    """A reload that changes limits of jobs alone keeps the workers."""
    with Daemon() as d:
        old = d.pids()
        d.write_pool("diag", diag(max_attempts=2))
        d.call("Reload")
        assert d.pids() == old
        assert len(d.run("fail")["attempts"]) == 2
        d.write("config/brood.conf", "[Queue]\nMaxArgsSize=1K\n")
        d.call("Reload")
        with refused("TooLarge"):
            d.submit("echo", {"x": "y" * 2000})
        assert d.pids() == old


def test_reload_adds_a_pool():
    """A new pool file is a new pool."""
    with Daemon() as d:
        with refused("NoSuchHandler"):
            d.submit("celsius")
        d.write_pool("celsius", pool("celsius", "celsius.so", min_workers=1))
        d.call("Reload")
        assert d.run("celsius", {"fahrenheit": 212})["result"]["celsius"] == 100


def test_sighup():
    """SIGHUP reloads; with a fault in the configuration everything stays as it is."""
    with Daemon() as d:
        d.write_pool("celsius", pool("celsius", "celsius.so", min_workers=1))
        d.signal(signal.SIGHUP)
        until(lambda: len(d.status()["pools"]) == 2, "the new pool")
        d.write_pool("celsius", "[Pool]\nModule=celsius.so\nFahrenheit=451\n")
        at = len(d.lines)
        d.signal(signal.SIGHUP)
        d.wait_log("celsius.pool.*(Fahrenheit|3)", start=at)
        assert d.run("celsius", {"fahrenheit": 32})["state"] == "succeeded"


def test_sigterm_finishes_what_is_running():
    """SIGTERM: no new jobs, the running ones are finished, the queued ones are told of."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        running = d.submit("sleep", {"seconds": 0.6})
        d.worker_of(running)
        queued = d.submit("echo", durability="memory")
        with d.connect() as c:
            c.send("Wait", {"id": running})
            c.send("Submit", {"job": {"handler": "echo"}})
            until(lambda: len(d.call("List")["jobs"]) == 3, "both calls are read")
            began = time.monotonic()
            d.signal(signal.SIGTERM)
            assert c.receive()["job"]["state"] == "succeeded"
        assert d.wait_exit() == 0
        assert time.monotonic() - began < 0.6 + slow(1)
        assert queued
        log = d.log()
        assert "drop" in log and "memory" in log, log[-2000:]
        d.prove_clean()


def test_no_new_jobs_while_stopping():
    """While it stops, a Submit is refused with Draining or cannot connect."""
    with Daemon() as d:
        running = d.submit("sleep", {"seconds": 0.6})
        d.worker_of(running)
        with d.connect() as c:
            c.call("Status")
            d.signal(signal.SIGTERM)
            until(lambda: _refuses(d, c), "it takes no more")
        assert d.wait_exit() == 0
        d.prove_clean()


def _refuses(d, c):
    try:
        c.call("Submit", job={"handler": "echo"})
    except VarlinkError as error:
        assert error.name == "Draining", error
        return True
    except (Closed, OSError):
        return True
    return False


def test_a_second_sigterm_stops_now():
    """A second signal does not wait for the running ones."""
    for first, second in (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT):
        with Daemon({"diag": diag(), "exec": commands()}) as d:
            ids = [d.submit("sleep", {"seconds": 50}), d.submit("spin", {"seconds": 50}),
                   d.submit("exec", {"argv": ["sleep", "1000"]})]
            for id in ids:
                d.worker_of(id)
            tree = d.tree()
            with d.connect() as c:
                d.signal(first)
                until(lambda: _refuses(d, c), "it stops")
            assert d.process.poll() is None
            began = time.monotonic()
            d.signal(second)
            assert d.wait_exit() == 0
            assert time.monotonic() - began < slow(2)
            assert not [p for p in tree if alive(p)]
            d.prove_clean()


def test_stop_timeout():
    """After StopTimeout= running jobs are ended."""
    with Daemon(conf="[Daemon]\nStopTimeout=300ms\n") as d:
        ids = [d.submit("spin", {"seconds": 50}), d.submit("sleep", {"seconds": 50})]
        for id in ids:
            d.worker_of(id)
        began = time.monotonic()
        d.signal(signal.SIGTERM)
        assert d.wait_exit() == 0
        assert 0.29 <= time.monotonic() - began < 0.3 + slow(2.5)
        d.prove_clean()


def test_drain():
    """Drain: takes no new jobs, answers when the running ones are done; Resume takes it back."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        running = d.submit("sleep", {"seconds": 0.5})
        d.worker_of(running)
        waiting = d.submit("echo")
        with d.connect() as c:
            c.send("Drain", {})
            until(lambda: d.status()["state"] == "draining", "it drains")
            with refused("Draining"):
                d.submit("echo")
            assert d.get(running)["state"] == "running"
            c.receive()
            assert d.get(running)["state"] == "succeeded"
            assert d.get(waiting)["state"] == "queued"
        with refused("Draining"):
            d.call("SubmitMany", jobs=[{"handler": "echo"}])
        d.call("Resume")
        assert d.status()["state"] == "running"
        assert d.wait(waiting)["state"] == "succeeded"
        assert d.run("echo")["state"] == "succeeded"


def test_drain_with_nothing_running():
    """Drain with nothing to finish answers at once; a stop while draining is a stop."""
    with Daemon() as d:
        d.call("Drain")
        d.call("Drain")
        assert d.status()["state"] == "draining"


def test_one_daemon_per_state_directory():
    """A second daemon with the same state directory says who holds it, and exits."""
    with Daemon() as d:
        began = time.monotonic()
        status, _, err = broodd(
            "--config=" + d.path("config"), "--socket=" + d.path("second.sock"),
            "--state-directory=" + d.path("state"), "--runtime-directory=" + d.path("config"),
            env=MODULES, seconds=60)
        assert status > 0 and str(d.pid) in err, (status, err)
        assert time.monotonic() - began < slow(20)
        assert not os.path.exists(d.path("second.sock"))
        assert d.run("echo")["state"] == "succeeded"


def test_a_new_daemon_after_a_killed_one():
    """After a SIGKILL a new daemon starts at once in the same directories."""
    with Daemon({"diag": diag(), "exec": commands()}) as d:
        ids = [d.submit("spin", {"seconds": 50}, durability="memory"),
               d.submit("exec", {"argv": ["sleep", "1000"]})]
        for id in ids:
            d.worker_of(id)
        tree = d.tree()
        assert os.path.exists(d.socket_path)
        d.kill()
        d.disconnect()
        d.start()
        assert not [p for p in tree if alive(p)]
        assert d.run("echo")["state"] == "succeeded"


def test_a_stale_socket_is_replaced():
    """A socket file that nobody listens on is replaced; the socket of a living one is not."""
    d = Daemon(start=False)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(d.socket_path)
    stale.close()
    with d:
        d.start()
        assert d.run("echo")["state"] == "succeeded"
        other = d.path("other")
        os.mkdir(other)
        status, _, err = broodd("--config=" + d.path("config"), "--socket=" + d.socket_path,
                                "--state-directory=" + other, "--runtime-directory=" + other,
                                env=MODULES)
        assert status > 0 and err
        assert d.run("echo")["state"] == "succeeded"
        with d.connect() as c:
            assert c.call("Status")["state"] == "running"


def test_no_file_that_is_no_socket_is_replaced():
    """A plain file where the socket should be is left alone."""
    d = Daemon(start=False)
    try:
        d.write("run/brood.sock", "precious")
        status, _, err = broodd("--config=" + d.path("config"), "--socket=" + d.socket_path,
                                "--state-directory=" + d.path("state"),
                                "--runtime-directory=" + d.path("run"), env=MODULES)
        assert status > 0 and "brood.sock" in err
        with open(d.socket_path, encoding="utf-8") as f:
            assert f.read() == "precious"
    finally:
        d.end()


def test_socket_activation():
    """A socket of LISTEN_FDS is used, and left where it is at the end."""
    d = Daemon(start=False)
    path = d.path("activated.sock")
    listener = listener_at(path)
    with d:
        with Connection(path, d.interface) as early:  # before there is a daemon
            early.send("Submit", {"job": {"handler": "echo", "args": {"x": 1}}, "wait": True})
            d.start(ready=False, listen_on=listener)
            assert early.receive()["job"]["result"] == {"x": 1}
        assert not os.path.exists(d.socket_path)
        d.stop()
        assert not os.path.exists(d.socket_path)
    listener.close()


def test_directories_of_systemd():
    """$STATE_DIRECTORY and $RUNTIME_DIRECTORY are used where no option is given."""
    d = Daemon(start=False, env={})
    d.env = {"STATE_DIRECTORY": d.path("state"), "RUNTIME_DIRECTORY": d.path("run")}
    with d:
        d.start(command=[build("daemon", "broodd"), "--config=" + d.path("config"),
                         "--socket=" + d.socket_path])
        assert d.run("echo")["state"] == "succeeded"
        assert os.listdir(d.path("state"))


def test_log_lines():
    """One event, one line; a death is an answer: worker, pid, signal, job."""
    with Daemon(log_level="info") as d:
        job = d.run("crash", {"signal": "SEGV"}, max_attempts=1)
        line = d.wait_log(r"died.*SEGV").string
        attempt = job["attempts"][0]
        for word in "worker=" + attempt["worker"], "pid=%d" % attempt["pid"], job["id"]:
            assert word in line, (word, line)
        assert line.startswith("<")  # stderr is no terminal: levels for the journal
        assert not [x for x in d.log().splitlines() if x.startswith("<7>")], "debug lines"


def test_the_environment_stays_outside():
    """Workers get PATH, LANG, the library path and what their pool says, and no more."""
    with Daemon({"diag": diag(process="PassEnvironment=GIVEN"), "exec": commands()},
                env={"SECRET": "x", "GIVEN": "y"}) as d:
        job = d.run("exec", {"argv": ["env"]})
        names = {line.partition("=")[0] for line in job["result"]["stdout"].splitlines()}
        assert "PATH" in names and "SECRET" not in names and "BROOD_TEST" not in names, names

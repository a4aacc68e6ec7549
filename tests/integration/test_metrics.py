# SPDX-License-Identifier: MIT
"""Metrics: its text in both formats, what labels can be, and the same by HTTP."""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import uuid

from harness import *
from metrics import *
from users import *

BROODD = build("daemon", "broodd")
PARSER = source("tests", "integration", "parse_openmetrics.py")
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
SILENCE = 5  # seconds, after which a client that says nothing is dropped; compiled in


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def listen(where):
    return "[Metrics]\nListen=%s\n" % where


def configure(d, conf):
    d.write("config/brood.conf", conf)
    d.call("Reload")


def refused_there(at):
    """Nobody listens there."""
    try:
        scrape(at)
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def tcp_listeners(pid):
    """The sockets of a process that listen on TCP."""
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
    found = []
    for name in "tcp", "tcp6":
        with open("/proc/%d/net/%s" % (pid, name), encoding="ascii") as f:
            found += [line.split()[1] for line in f.readlines()[1:]
                      if line.split()[3] == "0A" and "socket:[%s]" % line.split()[9] in inodes]
    return found


# --- the text ---

def busy_daemon():
    """Handlers that have done something of everything."""
    d = Daemon()
    d.run("echo", {"x": 1})
    d.run("fail", {"message": "no", "retry": False}, max_attempts=1)
    d.run("crash", {"signal": "SEGV"}, max_attempts=1)
    d.run("echo", {}, durability="memory")
    with refused("NoSuchHandler"):
        d.submit("nobody")
    return d


def test_promtool_has_nothing_to_say():
    """promtool check metrics, of what broodctl metrics prints: no error, and no advice."""
    promtool = shutil.which("promtool")
    unless(promtool, "promtool is not there: apt-get install prometheus")
    with busy_daemon() as d:
        for args in ["metrics"], ["metrics", "--format=prometheus"]:
            text = ctl(d, *args)
            done = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                  timeout=slow(60))
            assert (done.returncode, done.stdout) == (0, ""), done.stdout
            assert "# EOF" not in text


def test_openmetrics_is_strict():
    """The parser of Prometheus' Python client, which takes nothing that OpenMetrics does not
    allow, takes it, and finds the numbers that the other format has."""
    python = "/usr/bin/python3"
    done = subprocess.run([python, "-c", "import prometheus_client.openmetrics.parser"],
                          stderr=subprocess.DEVNULL, check=False, timeout=slow(60)) \
        if os.path.exists(python) else None
    unless(done and done.returncode == 0, "needs python3-prometheus-client")
    with busy_daemon() as d:
        text = ctl(d, "metrics", "--format=openmetrics")
        assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run([python, PARSER], input=text, text=True, capture_output=True,
                              env=env, check=False, timeout=slow(60))
        assert done.returncode == 0, done.stderr
        parsed = figures(done.stdout)
        assert set(parsed) == set(figures(text)) == set(figures(text_of(d)))
        assert figure(parsed, "brood_jobs_submitted_total", pool="diag", handler="echo") == 2
        bad = subprocess.run([python, PARSER], input=text.replace("# EOF\n", ""), text=True,
                             capture_output=True, env=env, check=False, timeout=slow(60))
        assert bad.returncode != 0, "the parser takes everything: this test is none"


def test_the_default_is_openmetrics():
    """Who calls Metrics without a format gets OpenMetrics."""
    with Daemon() as d:
        assert d.call("Metrics")["text"].endswith("# EOF\n")
        assert "# EOF" not in d.call("Metrics", format="prometheus")["text"]
        with refused("org.varlink.service.InvalidParameter"):
            d.call("Metrics", format="json")


def test_the_two_formats_differ_in_counters_and_in_the_end():
    """The families of the older format are those of the newer, with _total at counters."""
    with busy_daemon() as d:
        new, old = families(text_of(d, "openmetrics")), families(text_of(d))
        assert {n + "_total" if t == "counter" else n: t for n, t in new.items()} == old
        assert len(old) >= 25 and set(old.values()) == {"gauge", "counter", "histogram"}


def test_histograms_are_what_they_have_to_be():
    """Buckets only grow, the last is the count, and there is a sum."""
    with busy_daemon() as d:
        got = figures(text_of(d))
        for name, kind in families(text_of(d)).items():
            if kind != "histogram":
                continue
            of = {}
            for (sample, labels), value in got.items():
                if sample == name + "_bucket":
                    le, = (v for k, v in labels if k == "le")
                    rest = frozenset(pair for pair in labels if pair[0] != "le")
                    of.setdefault(rest, []).append((float(le), value))
            assert of, name
            for labels, buckets in of.items():
                values = [value for _, value in sorted(buckets)]
                assert values == sorted(values) and len(values) == 16, (name, buckets)
                assert values[-1] == got[name + "_count", labels], (name, labels)
                assert got[name + "_sum", labels] >= 0


def label_values(text):
    found = {}
    for _, labels in figures(text):
        for name, value in labels:
            if name != "le":
                found.setdefault(name, set()).add(value)
    return found


ODD = ['a"b', "a\\b", "a\nb", "x" * 60, "{}=,#", "µ日", "' OR 1=1"]


def test_labels_are_bounded():
    """Whatever clients name their jobs, tags, keys, handlers and pools, and whoever they are: no
    label has a value of theirs."""
    with Daemon({"diag": diag(min_workers=2), "exec": commands()}) as d:
        before = label_values(text_of(d))
        assert before["pool"] == {"diag", "exec"}
        assert before["handler"] == {*d.pool_status("diag")["handlers"], "exec"}
        for odd in ODD:
            d.run("echo", {odd: odd}, tags=[odd], unique_key=odd, id=str(uuid.uuid4()))
            d.run("exec", {"argv": ["sh", "-c", "exit 3", odd]})
            d.run("fail", {"message": odd, "retry": False}, max_attempts=1)
            for call in (lambda o: d.submit(o), lambda o: d.call("PausePool", pool=o),
                         lambda o: d.submit("echo", semaphores=[o]), d.get):
                with contextlib.suppress(VarlinkError):
                    call(odd)
        after = label_values(text_of(d))
        del before["state"], after["state"]  # of the daemon, too
        assert after == before
        assert set(after) == {"pool", "handler", "outcome", "reason", "cause", "version"}, after


def test_users_are_no_label():
    """Nor is who submits, or is refused."""
    with Users(conf="[Access]\nSubmit=*\nMaxQueued=1\n", pools={"diag": diag()}) as d:
        before = set(figures(text_of(d)))
        for uid in ALICE, BOB, SARA, OLGA, NOBODY:
            with d.connect_as(uid) as c:
                c.call("Submit", job={"handler": "echo", "delay_usec": 10**9})
                with refused("QuotaExceeded"):
                    c.call("Submit", job={"handler": "echo", "delay_usec": 10**9})
        got = figures(text_of(d))
        assert set(got) == before
        assert figure(got, "brood_refusals_total", reason="quota_queued") == 5


def test_pools_come_and_go():
    """A reload that takes a pool away takes its figures away, and not those of its handlers."""
    with Daemon({"diag": diag(), "extra": pool("mood", "moods.so", min_workers=1,
                                               spare_workers=0)}) as d:
        d.run("mood")
        assert figure(figures(text_of(d)), "brood_jobs_submitted_total", pool="extra",
                      handler="mood") == 1
        os.unlink(d.path("config/pools/extra.pool"))
        d.call("Reload")
        until(lambda: len(d.status()["pools"]) == 1, "the pool is gone", 20)
        values = label_values(text_of(d))
        assert values["pool"] == {"diag", ""}
        assert figure(figures(text_of(d)), "brood_jobs_submitted_total", pool="",
                      handler="mood") == 1


def test_names_with_quotes_are_none():
    """A pool or handler whose name would need quotes in a label is no name in a config."""
    for name in 'a"b', "a\\b":
        with Daemon({}, start=False) as d:
            d.write_pool("x", pool(handlers=name))
            done = subprocess.run([CTL, "check-config", d.path("config")], env=d.environment(),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=slow(60), check=False)
            assert done.returncode == 1 and "x.pool" in done.stderr + done.stdout, done
            d.end()


# --- by HTTP ---

def test_off_by_default():
    """Without Listen= and without a socket that is passed there is no listener."""
    with Daemon() as d:
        assert not tcp_listeners(d.pid)
        with open("/proc/%d/net/unix" % d.pid, encoding="utf-8") as f:
            paths = [line.split()[-1] for line in f if d.directory in line]
        assert set(paths) <= {d.socket_path, d.path("run/scoreboard")}, paths


def test_a_unix_socket():
    """Listen=/PATH: mode 0660, answers, and is gone after the stop."""
    d = Daemon(start=False)
    path = d.path("metrics.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        st = os.lstat(path)
        assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o660, oct(st.st_mode)
        d.run("echo")
        got = scrape(path)
        assert (got.status, got.type) == (200, PROMETHEUS), vars(got)
        assert figure(figures(got.body), "brood_jobs_ended_total", pool="diag", handler="echo",
                      state="succeeded") == 1
        assert set(figures(got.body)) == set(figures(text_of(d)))
        assert not tcp_listeners(d.pid)
        d.signal(15)
        assert d.wait_exit() == 0
        assert not os.path.lexists(path)
        d.prove_clean()


def test_loopback_addresses():
    """Listen= of 127.0.0.1, another of 127/8, and ::1: answers there, and nowhere else."""
    for host, address in (("127.0.0.1", "0100007F"), ("127.9.8.7", "0708097F"),
                          ("::1", "00000000000000000000000001000000")):
        try:
            port = free_port(host)
        except OSError:
            assert host == "::1"  # a machine without IPv6
            continue
        where = "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)
        with Daemon(conf=listen(where)) as d:
            assert tcp_listeners(d.pid) == ["%s:%04X" % (address, port)], tcp_listeners(d.pid)
            got = scrape((host, port))
            assert got.status == 200 and "brood_jobs" in got.body


WRONG = ["0.0.0.0:9469", "10.0.0.1:9469", "192.168.1.1:80", "[::]:9469", "[fe80::1]:9469",
         "[::ffff:127.0.0.1]:9469", "128.0.0.1:9469", "127.0.0.1:0", "127.0.0.1:65536",
         "127.0.0.1:", "127.0.0.1", ":9469", "9469", "[::1]", "[::1]:0", "::1:9469", "[::1:9469",
         "localhost:9469", "metrics.sock", "./metrics.sock", "127.0.0.1:80x", "127.0.0.1:-1",
         "127.1:80", "*:9469", "/" + "x" * 200]


def test_what_is_no_address():
    """Another address than a loopback one, no port, rubbish: check-config says file and line, and
    so does a daemon, which does not start; a reload is refused."""
    with Daemon() as d:
        for where in WRONG:
            conf = d.write("config/brood.conf", "# one\n[Metrics]\n# three\nListen=%s\n" % where)
            done = subprocess.run([CTL, "check-config", d.path("config")], env=d.environment(),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=slow(60), check=False)
            said = done.stdout + done.stderr
            assert done.returncode == 1 and conf + ":4" in said and "Listen=" in said, (where, said)
            with refused("ConfigInvalid") as error:
                d.call("Reload")
            assert error["file"] == conf and error["line"] == 4, error
        assert not tcp_listeners(d.pid)
        with Daemon(conf=listen("0.0.0.0:80"), start=False) as other:
            other.start(ready=False)
            assert other.wait_exit() != 0
            other.wait_log(r"brood\.conf:2.*Listen=")
            other.end()
        d.write("config/brood.conf", "")
        d.call("Reload")


def test_a_reload_switches_it_on_moves_it_and_switches_it_off():
    """Each reload, and what was there before is closed."""
    with Daemon() as d:
        first, second, port = d.path("a.sock"), d.path("b.sock"), free_port()
        configure(d, listen(first))
        assert scrape(first).status == 200
        same = os.lstat(first)
        d.call("Reload")
        assert os.lstat(first).st_ino == same.st_ino, "it was opened anew for nothing"
        configure(d, listen(second))
        assert scrape(second).status == 200 and not os.path.lexists(first)
        configure(d, listen("127.0.0.1:%d" % port))
        assert scrape(("127.0.0.1", port)).status == 200 and not os.path.lexists(second)
        configure(d, "")
        assert refused_there(("127.0.0.1", port)) and not tcp_listeners(d.pid)
        configure(d, listen("127.0.0.1:%d" % port))
        assert scrape(("127.0.0.1", port)).status == 200
        with d.steady_descriptors():
            for _ in range(5):
                configure(d, listen(first))
                configure(d, listen("127.0.0.1:%d" % port))


def test_what_accept_asks_for():
    """OpenMetrics for who names it, the older format for all others."""
    d = Daemon(start=False)
    path = d.path("m.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        for accept, kind in ((None, PROMETHEUS), ("*/*", PROMETHEUS), ("text/plain", PROMETHEUS),
                             ("application/json", PROMETHEUS),
                             ("application/openmetrics-text", OPENMETRICS),
                             ("application/openmetrics-text;version=1.0.0;q=0.75,"
                              "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS)):
            got = scrape(path, **({"Accept": accept} if accept else {}))
            assert (got.status, got.type) == (200, kind), (accept, got.type)
            assert got.body.endswith("# EOF\n") == (kind == OPENMETRICS), accept
            assert int(got.size) == len(got.body.encode())


def test_other_paths_and_methods():
    """404 elsewhere; HEAD has no body; what changes things is not done."""
    d = Daemon(start=False)
    path = d.path("m.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        for other in "/", "/metric", "/metrics/", "/metrics/x", "/../etc/passwd", "/Status":
            assert scrape(path, other).status == 404, other
        assert scrape(path, "/metrics?name=x").status == 200
        got = scrape(path, method="HEAD")
        assert (got.status, got.body, got.type) == (200, "", PROMETHEUS), vars(got)
        for method in "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH":
            got = scrape(path, method=method, body="x=1" if method == "POST" else None)
            assert got.status in (405, 501), (method, got.status)
            assert "brood_jobs" not in got.body
        assert scrape(path).status == 200


def raw(path, data):
    """What comes back for these bytes, until it is closed."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(slow(30))
        s.connect(path)
        got = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            s.sendall(data)
            while data := s.recv(65536):
                got += data
        return got


def test_what_is_no_http():
    """Rubbish, a header without an end and a body without a limit are refused or dropped."""
    d = Daemon(start=False)
    path = d.path("m.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        before = rss(d.pid)
        with d.steady_descriptors():
            for data in (b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"{}\0\r\n\r\n",
                         b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * 100000,
                         b"GET /metrics HTTP/9.9\r\n\r\n",
                         b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 99,
                         b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n\r\n"):
                got = raw(path, data)
                assert b" 200 " not in got.split(b"\r\n")[0] or b"HTTP/9.9" in data, data[:40]
                assert scrape(path).status == 200, data[:40]
        assert SANITIZED or rss(d.pid) - before < 8 << 20


def test_connections_are_kept_for_who_asks_again():
    """Two questions on one connection, as a scraper has it."""
    d = Daemon(start=False)
    path = d.path("m.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        client = Client(path, slow(20))
        with contextlib.closing(client):
            client.request("GET", "/metrics")
            first = client.sock
            assert Scrape(client.getresponse()).status == 200
            client.request("HEAD", "/metrics")
            assert Scrape(client.getresponse()).status == 200
            client.request("GET", "/metrics")
            assert "brood_jobs" in Scrape(client.getresponse()).body and client.sock is first


def test_who_says_nothing_is_dropped():
    """Clients that connect and say nothing, or half of it, go after their time; meanwhile others
    are served."""
    d = Daemon(start=False)
    path = d.path("m.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        with d.steady_descriptors(), contextlib.ExitStack() as stack:
            silent = []
            for i in range(20):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.settimeout(slow(SILENCE * 6))
                s.connect(path)
                if i % 2:
                    s.sendall(b"GET /metrics HTT")
                silent.append(s)
            assert scrape(path).status == 200
            assert d.run("echo")["state"] == "succeeded"
            for s in silent:
                with contextlib.suppress(ConnectionResetError):
                    while s.recv(65536):
                        pass
        assert scrape(path).status == 200


def test_who_does_not_read_is_dropped():
    """Nor does one that asks and asks and takes no answer hold memory for ever."""
    d = Daemon(start=False)
    path = d.path("m.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        d.call("Status")
        before, descriptors = rss(d.pid), fd_count(d.pid)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(10000):
                    s.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
            assert d.run("echo")["state"] == "succeeded"
            assert scrape(path).status == 200
            assert SANITIZED or rss(d.pid) - before < 16 << 20
            until(lambda: fd_count(d.pid) <= descriptors, "it is dropped", SILENCE * 6)


@limit(180)
def test_a_flood_of_connections():
    """Hundreds of clients that connect, again and again: the daemon's own socket is served, and so
    is the scraper, when they have gone."""
    d = Daemon(start=False)
    port = free_port()
    d.write("config/brood.conf", listen("127.0.0.1:%d" % port))
    flood = ("import socket, sys\n"
             "held = []\n"
             "print('begun', flush=True)\n"
             "while True:\n"
             "    s = socket.socket()\n"
             "    s.setblocking(False)\n"
             "    try:\n"
             "        s.connect(('127.0.0.1', int(sys.argv[1])))\n"
             "    except OSError:\n"
             "        pass\n"
             "    held.append(s)\n"
             "    if len(held) > 300:\n"
             "        held.pop(0).close()\n")
    with d:
        d.start()
        with Helpers.process([sys.executable, "-c", flood, str(port)], stdout=subprocess.PIPE) as p:
            p.stdout.readline()
            for _ in range(200):
                assert d.run("echo", durability="memory")["state"] == "succeeded"
            ids = d.call("SubmitMany", jobs=[{"handler": "echo"}] * 100)["ids"]
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
            assert fd_count(d.pid) < 1000, fd_count(d.pid)
        def answered():
            with contextlib.suppress(OSError):
                return scrape(("127.0.0.1", port), limit=5).status == 200
            return False
        until(answered, "the scraper is answered", 60)


def test_a_socket_of_the_service_manager():
    """LISTEN_FDNAMES=brood:metrics, in either order: both are served; Listen= is not looked at."""
    for names in ["brood", "metrics"], ["metrics", "brood"]:
        d = Daemon(start=False)
        paths = {"brood": d.path("activated.sock"), "metrics": d.path("metrics.sock")}
        own = d.path("own.sock")
        d.write("config/brood.conf", listen(own))
        with d, contextlib.ExitStack() as stack:
            sockets = {n: stack.enter_context(listener_at(paths[n])) for n in names}
            d.socket_path = paths["brood"]
            d.start(listen_on=sockets)
            for s in sockets.values():
                s.close()
            assert d.run("echo")["state"] == "succeeded"
            assert scrape(paths["metrics"]).status == 200
            assert not os.path.lexists(own)
            d.call("Reload")
            assert scrape(paths["metrics"]).status == 200


def test_a_socket_of_the_service_manager_outlives_the_daemon():
    """It is not ours to remove, and who connects before there is a daemon is answered by it."""
    d = Daemon(start=False)
    with d, socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(16)
        at = s.getsockname()
        early = socket.create_connection(at, slow(60))
        early.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        brood = listener_at(d.path("activated.sock"))
        d.socket_path = d.path("activated.sock")
        with brood, early:
            d.start(listen_on={"brood": brood, "metrics": s})
            got = b""
            while data := early.recv(65536):
                got += data
            assert b" 200 " in got.split(b"\r\n")[0] and b"brood_jobs" in got, got[:200]
        d.signal(15)
        assert d.wait_exit() == 0
        socket.create_connection(at, slow(20)).close()  # it waits for the next one
        d.prove_clean()


def test_the_metrics_socket_alone_is_passed():
    """Then the daemon makes its own socket as without any."""
    d = Daemon(start=False)
    path = d.path("metrics.sock")
    with d, listener_at(path) as s:
        d.start(listen_on={"metrics": s})
        s.close()
        assert d.run("echo")["state"] == "succeeded"
        assert stat.S_IMODE(os.lstat(d.socket_path).st_mode) == 0o600
        assert scrape(path).status == 200


def test_two_sockets_and_neither_is_for_metrics():
    """Two sockets of which none has the name are too many, and it says so."""
    d = Daemon(start=False)
    with listener_at(d.path("a")) as a, listener_at(d.path("b")) as b:
        d.start(ready=False, listen_on={"brood": a, "other": b})
        assert d.wait_exit() != 0
        d.wait_log(r"LISTEN_FDS: expected one listening Unix stream socket .*got 2")
    d.end()


def test_where_it_can_not_listen():
    """A directory that is not there, a port that is taken, a file that is no socket: one line, and
    the daemon serves on; what is in the way stays."""
    d = Daemon(start=False)
    precious = d.write("precious", "text")
    with d, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        d.write("config/brood.conf", listen("/nonexistent/metrics.sock"))
        d.start()
        d.wait_log(r"\[Metrics\] Listen=/nonexistent/metrics.sock: No such file or directory: "
                   r"there are no metrics by HTTP")
        assert d.run("echo")["state"] == "succeeded"
        port = "127.0.0.1:%d" % taken.getsockname()[1]
        configure(d, listen(port))
        d.wait_log(r"Listen=%s: Address already in use" % port)
        configure(d, listen(precious))
        d.wait_log(r"Listen=%s: Address already in use" % precious)
        with open(precious, encoding="utf-8") as f:
            assert f.read() == "text"
        assert d.run("echo")["state"] == "succeeded"
        path = d.path("good.sock")
        configure(d, listen(path))
        assert scrape(path).status == 200


def test_a_stale_socket_is_replaced():
    """What a daemon that was killed has left there is no obstacle for the next."""
    d = Daemon(start=False)
    path = d.path("metrics.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        tree = d.tree()
        d.disconnect()
        d.kill()
        wait_gone(tree)
        assert os.path.lexists(path) and refused_there(path)
        d.start()
        assert scrape(path).status == 200


def test_a_socket_that_somebody_replaced_is_not_removed():
    """At the stop, only the very file that the daemon made goes."""
    d = Daemon(start=False)
    path = d.path("metrics.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        os.unlink(path)
        with open(path, "w", encoding="utf-8") as f:
            f.write("somebody's")
        d.signal(15)
        assert d.wait_exit() == 0
        assert os.path.exists(path)
        d.prove_clean()


def test_a_scrape_while_it_drains():
    """The figures can be had while the daemon lets its jobs finish, and say that it stops."""
    d = Daemon(start=False)
    path = d.path("metrics.sock")
    d.write("config/brood.conf", listen(path))
    with d:
        d.start()
        id = d.submit("sleep", {"seconds": 600})
        d.await_state(id, "running", 20)
        d.signal(15)
        def stopping():
            states = {dict(labels).get("state") for name, labels in figures(scrape(path).body)
                      if name == "brood_build"}
            return states == {"stopping"} or states == {"draining"}
        until(stopping, "it says that it stops", 20)
        d.kill()
        wait_gone(d.tree())
        d.end()

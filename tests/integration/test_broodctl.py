# SPDX-License-Identifier: MIT
"""broodctl: its verbs, its exit statuses, its --json."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from harness import *

CTL = build("daemon", "ctl", "broodctl")


def ctl(d, *args, input=None, status=0, cwd=None):
    """Runs broodctl; checks its exit status; returns (stdout, stderr)."""
    done = subprocess.run([CTL, "--socket=" + d.socket_path, *args],
                          input=input, stdin=None if input is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=slow(30), cwd=cwd)
    assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def start(d, *args, **kwargs):
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
             "text": True}
    given.update(kwargs)
    return Helpers.process([CTL, "--socket=" + d.socket_path, *args], **given)


def test_submit_and_wait():
    """submit prints the id; wait waits for it; get shows it."""
    with Daemon() as d:
        out, err = ctl(d, "submit", "echo", '{"x":1}')
        id = out.strip()
        assert re.fullmatch(r"[0-9a-f-]{36}", id) and err == ""
        ctl(d, "wait", id)
        out, _ = ctl(d, "get", id)
        assert id in out and "succeeded" in out


def test_submit_with_wait():
    """submit --wait prints the result, and says by its status whether the job failed."""
    with Daemon() as d:
        out, _ = ctl(d, "submit", "echo", '{"x":[1,2]}', "--wait")
        assert json.loads(out) == {"x": [1, 2]}
        out, _ = ctl(d, "--json", "submit", "--wait", "echo", '{"x":1}')
        reply, = lines_of(out)
        assert reply["state"] == "succeeded" and reply["job"]["result"] == {"x": 1}
        _, err = ctl(d, "submit", "fail", '{"message":"no use","retry":false}', "--wait", status=1)
        assert "no use" in err


def test_submit_from_file_and_stdin():
    """@FILE and - read the arguments."""
    with Daemon() as d:
        path = d.write("args.json", '{"from": "file"}\n')
        out, _ = ctl(d, "submit", "echo", "@" + path, "--wait")
        assert json.loads(out) == {"from": "file"}
        out, _ = ctl(d, "submit", "echo", "-", "--wait", input='{"from":\n"stdin"}')
        assert json.loads(out) == {"from": "stdin"}


def test_submit_options():
    """Each option becomes a field of the Spec."""
    with Daemon() as d:
        first = ctl(d, "submit", "echo", "--delay=1h")[0].strip()
        id = ctl(d, "submit", "sleep", '{"seconds":0}', "--priority=5", "--timeout=3s",
                 "--max-attempts=7", "--ttl=2h", "--unique=k", "--after=" + first, "--tag=a",
                 "--tag=b", "--durability=memory")[0].strip()
        job = d.get(id)
        spec = job["spec"]
        assert spec["priority"] == 5 and spec["timeout_usec"] == 3000000
        assert spec["max_attempts"] == 7 and spec["ttl_usec"] == 7200 * 10**6
        assert spec["unique_key"] == "k" and spec["after"] == [first]
        assert spec["tags"] == ["a", "b"] and spec["durability"] == "memory"
        assert job["state"] == "blocked"
        again = ctl(d, "submit", "sleep", "--unique=k")[0].strip()
        assert again == id
        ctl(d, "submit", "echo", "--semaphore=none", status=4)
        wanted = "01890a5d-ac96-774b-bcce-b302099a8057"
        assert ctl(d, "submit", "echo", "--id=" + wanted)[0].strip() == wanted
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 3600))
        late = ctl(d, "submit", "echo", "--at=" + at)[0].strip()
        assert d.get(late)["state"] == "scheduled"
        for job in first, late:
            ctl(d, "cancel", job)


def test_options_before_and_after_the_verb():
    """Options stand before or after the verb; -- ends them."""
    with Daemon() as d:
        for args in (["--json", "submit", "echo", "--wait"], ["submit", "--json", "--wait", "echo"],
                     ["submit", "echo", "--wait", "--json"], ["submit", "--wait", "--json", "--",
                                                              "echo", "{}"]):
            out, _ = ctl(d, *args)
            assert lines_of(out)[0]["state"] == "succeeded"


def test_wrong_usage():
    """Wrong usage is exit status 2, with words on stderr and nothing on stdout."""
    with Daemon() as d:
        for args in ([], ["nonsense"], ["submit"], ["submit", "echo", "{}", "{}"], ["wait"],
                     ["get"], ["get", "a", "b"], ["cancel"], ["retry"], ["status", "x"], ["pause"],
                     ["scale", "diag"], ["scale", "diag", "x"], ["submit", "echo", "{"],
                     ["submit", "echo", "[]"], ["submit", "echo", "--priority=high"],
                     ["submit", "echo", "--delay=soon"], ["submit", "echo", "--nonsense"],
                     ["submit", "echo", "--delay=1s", "--at=now"], ["run"], ["run", "--"],
                     ["map"], ["map", "echo", "--window=0"], ["list", "--state=dead"],
                     ["submit", "echo", "@/no/such/file"]):
            out, err = ctl(d, *args, status=2)
            assert out == "" and err, args


def test_help_and_version():
    """--help and --version answer on stdout."""
    with Daemon() as d:
        out, _ = ctl(d, "--help")
        for verb in "submit run map wait get list cancel retry status pools workers".split():
            assert verb in out
        assert any(c.isdigit() for c in ctl(d, "--version")[0])


def test_no_daemon():
    """No daemon to be reached is exit status 3."""
    done = subprocess.run([CTL, "--socket=/no/such/socket", "status"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=slow(30))
    assert done.returncode == 3 and "/no/such/socket" in done.stderr and not done.stdout


def test_refused():
    """What the daemon refuses is exit status 4, in words."""
    with Daemon() as d:
        _, err = ctl(d, "submit", "nothing", status=4)
        assert "nothing" in err
        ctl(d, "get", "01890a5d-ac96-774b-bcce-b302099a8057", status=4)
        ctl(d, "pause", "nothing", status=4)


def test_wait_for_several():
    """wait takes several ids; one that failed makes it 1."""
    with Daemon() as d:
        good = [d.submit("sleep", {"seconds": 0.1}) for _ in range(2)]
        ctl(d, "wait", *good)
        bad = d.submit("fail", {"retry": False})
        out, _ = ctl(d, "--json", "wait", good[0], bad, status=1)
        got = {reply["job"]["id"]: reply["job"]["state"] for reply in lines_of(out)}
        assert got == {good[0]: "succeeded", bad: "failed"}


def test_list():
    """list shows jobs, filtered."""
    with Daemon() as d:
        a = d.run("echo", tags=["t"])["id"]
        b = d.run("fail", {"retry": False})["id"]
        out, _ = ctl(d, "list")
        assert a in out and b in out and "succeeded" in out and "failed" in out
        assert b not in ctl(d, "list", "--state=succeeded")[0]
        assert b not in ctl(d, "list", "--tag=t")[0]
        assert a not in ctl(d, "list", "--handler=fail")[0]
        assert a in ctl(d, "list", "--pool=diag")[0]
        out, _ = ctl(d, "--json", "list", "--limit=1")
        jobs = [j for reply in lines_of(out) for j in reply["jobs"]]
        assert [j["id"] for j in jobs] == [b]


def test_cancel_and_retry():
    """cancel takes several ids; retry brings one back."""
    with Daemon() as d:
        ids = [d.submit("sleep", {"seconds": 50}) for _ in range(3)]
        d.worker_of(ids[0])
        ctl(d, "cancel", *ids)
        for id in ids:
            assert d.wait(id)["state"] == "cancelled"
        spin = d.submit("spin", {"seconds": 50})
        d.worker_of(spin)
        ctl(d, "cancel", "--force", spin)
        assert d.wait(spin)["state"] == "cancelled"
        id = d.run("fail", max_attempts=1)["id"]
        ctl(d, "retry", id)
        assert len(d.wait(id)["attempts"]) == 2


def test_pools_and_workers():
    """status, pools and workers show what is there; pause, resume, scale and restart act."""
    with Daemon({"diag": diag(), "celsius": pool("celsius", "celsius.so", min_workers=1)}) as d:
        out, _ = ctl(d, "status")
        assert "diag" in out and "celsius" in out and "running" in out
        assert lines_of(ctl(d, "status", "--json")[0])[0]["state"] == "running"
        assert "diag" in ctl(d, "pools")[0]
        out, _ = ctl(d, "workers")
        assert all(str(pid) in out for pid in d.pids())
        out, _ = ctl(d, "workers", "celsius")
        assert all(str(pid) not in out for pid in d.pids("diag"))
        ctl(d, "pause", "diag")
        assert d.pool_status()["state"] == "paused"
        ctl(d, "resume", "diag")
        assert d.pool_status()["state"] == "running"
        ctl(d, "scale", "diag", "4")
        until(lambda: d.pool_status()["idle"] == 4, "four workers")
        old = d.pids("diag")
        ctl(d, "restart", "diag")
        until(lambda: not set(old) & set(d.pids("diag")), "new ones")
        ctl(d, "drain")
        assert d.status()["state"] == "draining"
        ctl(d, "resume")
        assert d.status()["state"] == "running"


def test_reload():
    """reload reads the configuration; a fault is refused with file and line."""
    with Daemon() as d:
        ctl(d, "reload")
        d.write_pool("bad", "[Pool]\nModule=celsius.so\nNonsense=1\n")
        _, err = ctl(d, "reload", status=4)
        assert "bad.pool" in err and "3" in err and "Nonsense" in err


def test_check_config():
    """check-config checks a directory without a daemon."""
    d = Daemon(start=False)
    env = {**os.environ, "BROOD_MODULE_PATH": build("lib", "modules"),
           "BROOD_LIBEXEC": libexec()}
    try:
        def check():
            done = subprocess.run([CTL, "check-config", d.path("config")], env=env, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=slow(30))
            return done.returncode, done.stdout + done.stderr
        assert check()[0] == 0
        d.write_pool("bad", "[Pool]\nModule=celsius.so\nNonsense=1\n")
        status, text = check()
        assert status == 1 and "bad.pool" in text and "Nonsense" in text, (status, text)
    finally:
        d.end()


def test_run():
    """run runs a command here and now, with our own stdin, stdout and stderr."""
    with Daemon(EXEC) as d, d.steady_descriptors():
        out, err = ctl(d, "run", "--", "sh", "-c", "cat; echo err >&2; pwd", input="in\n",
                       cwd=d.path("config"))
        assert out == "in\n%s\n" % os.path.realpath(d.path("config")) and err == "err\n"


def test_run_exit_statuses():
    """run ends as the command does: its status, 128+N, 127, 126."""
    with Daemon(EXEC) as d:
        ctl(d, "run", "--", "true")
        ctl(d, "run", "--", "sh", "-c", "exit 42", status=42)
        ctl(d, "run", "--", "sh", "-c", "kill -TERM $$", status=143)
        ctl(d, "run", "--", "sh", "-c", "kill -KILL $$", status=137)
        ctl(d, "run", "--", "/no/such/program", status=127)
        ctl(d, "run", "--", d.path("config/brood.conf"), status=126)


def test_run_streams():
    """What the command writes is there at once, not at its end."""
    with Daemon(EXEC) as d:
        with start(d, "run", "--", "sh", "-c", "echo first; read x; echo $x",
                   stdin=subprocess.PIPE) as p:
            assert p.stdout.readline() == "first\n"
            p.stdin.write("second\n")
            p.stdin.flush()
            assert p.stdout.readline() == "second\n"
            assert p.wait(slow(5)) == 0


def test_run_is_cancelled_by_ctrl_c():
    """SIGINT to run cancels the command; so does the end of the client by any signal."""
    with Daemon(EXEC) as d:
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
            with start(d, "run", "--", "sh", "-c", "echo $$; exec sleep 1000") as p:
                pid = int(p.stdout.readline())
                assert alive(pid)
                p.send_signal(number)
                status = p.wait(slow(5))
                assert status != 0, status
            wait_gone([pid], 3)
            until(lambda: d.pool_status("exec")["busy"] == 0, "the job is over")


def test_run_detached():
    """run --detach prints the id and leaves."""
    with Daemon(EXEC) as d:
        id = ctl(d, "run", "--detach", "--", "sh", "-c", "echo hello")[0].strip()
        assert d.wait(id)["result"]["stdout"] == "hello\n"


def test_run_on_a_terminal():
    """A command of run sees the caller's terminal."""
    with Daemon(EXEC) as d:
        leader, follower = pty.openpty()
        with start(d, "run", "--", "sh", "-c", "test -t 0 && test -t 1 && echo yes",
                   stdin=follower, stdout=follower, stderr=follower) as p:
            assert p.wait(slow(10)) == 0
        os.close(follower)
        assert b"yes" in read_terminal(leader)
        os.close(leader)


def read_terminal(fd, seconds=5):
    """What was written to a terminal whose other side is closed."""
    data = b""
    while select.select([fd], [], [], seconds)[0]:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        data += piece
    return data


def test_map():
    """map: JSON lines in, JSON lines out, in order."""
    with Daemon() as d:
        lines = "".join('{"n":%d}\n' % n for n in range(500))
        out, err = ctl(d, "map", "echo", input=lines)
        assert lines_of(out) == [{"n": n} for n in range(500)] and err == ""


def test_map_of_values():
    """A line that is no object is sent as {"value": x}."""
    with Daemon() as d:
        out, _ = ctl(d, "map", "echo", input='1\n"two"\n[3]\nnull\n{"n":4}\n')
        assert lines_of(out) == [{"value": 1}, {"value": "two"}, {"value": [3]}, {"value": None},
                                 {"n": 4}]


def test_map_from_a_file():
    """map FILE reads the lines there; the last one needs no newline."""
    with Daemon() as d:
        path = d.write("lines", '{"n":1}\n{"n":2}')
        assert lines_of(ctl(d, "map", "echo", path)[0]) == [{"n": 1}, {"n": 2}]
        assert ctl(d, "map", "echo", d.write("empty", ""))[0] == ""


def test_map_keeps_the_order():
    """Results come in the order of the lines, whatever order the jobs end in."""
    with Daemon() as d:
        lines = '{"seconds":0.3}\n{"seconds":0.01}\n{"seconds":0.02}\n'
        out, _ = ctl(d, "map", "sleep", "--window=3", input=lines)
        assert [r["seconds"] for r in lines_of(out)] == [0.3, 0.01, 0.02]


def test_map_unordered():
    """--unordered gives each result as it comes; --json says which it is."""
    with Daemon() as d:
        lines = '{"seconds":0.4}\n{"seconds":0.01}\n{"seconds":0.02}\n'
        out, _ = ctl(d, "map", "sleep", "--unordered", input=lines)
        assert [r["seconds"] for r in lines_of(out)] == [0.01, 0.02, 0.4]
        out, _ = ctl(d, "--json", "map", "sleep", "--unordered", input=lines)
        replies = lines_of(out)
        assert [r["index"] for r in replies] == [1, 2, 0], replies
        assert all(r["state"] == "succeeded" and r["id"] and "result" in r for r in replies)


def test_map_with_a_line_that_fails():
    """A job that fails is told of, the others' results are there, the exit status is 1."""
    with Daemon() as d:
        lines = '{"retry":false,"message":"bad line"}\n' * 2
        _, err = ctl(d, "map", "fail", input=lines, status=1)
        assert "bad line" in err
    with Daemon({"celsius": pool("celsius", "celsius.so", min_workers=2)}) as d:
        lines = '{"fahrenheit":32}\n{"fahrenheit":"x"}\n{"fahrenheit":212}\n'
        out, err = ctl(d, "map", "celsius", input=lines, status=1)
        got = [r["celsius"] for r in lines_of(out) if r and "celsius" in r]
        assert got == [0, 100] and err, (out, err)
        out, _ = ctl(d, "--json", "map", "celsius", input=lines, status=1)
        replies = lines_of(out)
        assert [r["index"] for r in replies] == [0, 1, 2]
        assert [r["state"] for r in replies] == ["succeeded", "failed", "succeeded"]
        assert replies[1].get("error")


def test_map_of_a_line_that_is_no_json():
    """A line that is no JSON at all is said with its number."""
    with Daemon() as d:
        done = subprocess.run([CTL, "--socket=" + d.socket_path, "map", "echo"],
                              input='{"n":1}\n{oops\n', stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=slow(30))
        assert done.returncode in (1, 2) and "2" in done.stderr, done


def test_map_of_many():
    """10,000 lines go through a window, through deaths of workers too."""
    with Daemon({"diag": diag(poison_deaths=0)}, log_level="info") as d:
        lines = "".join('{"n":%d}\n' % n for n in range(10000))
        out, _ = ctl(d, "map", "echo", "--window=200", input=lines)
        assert [r["n"] for r in lines_of(out)] == list(range(10000))


def test_progress_only_on_a_terminal():
    """map shows a progress bar on a terminal, and there alone."""
    with Daemon() as d:
        path = d.write("lines", '{"seconds":0.05}\n' * 20)
        _, err = ctl(d, "map", "sleep", path)
        assert err == ""
        leader, follower = pty.openpty()
        env = {**os.environ, "TERM": "xterm"}
        with start(d, "map", "sleep", path, stderr=follower, env=env) as p:
            os.close(follower)
            shown = read_terminal(leader, 10)
            out = p.stdout.read()
            assert p.wait(slow(10)) == 0
        os.close(leader)
        assert len(lines_of(out)) == 20
        assert b"20" in shown, shown


def test_no_colour():
    """Colours on a terminal only, and not with NO_COLOR."""
    with Daemon() as d:
        assert "\x1b" not in ctl(d, "status")[0]
        for env, wanted in (({"NO_COLOR": "1"}, False),):
            leader, follower = pty.openpty()
            with start(d, "status", "--no-pager", stdout=follower, stderr=follower,
                       env={**os.environ, "TERM": "xterm", **env}) as p:
                assert p.wait(slow(10)) == 0
            os.close(follower)
            text = read_terminal(leader)
            os.close(leader)
            assert b"diag" in text
            assert (re.search(rb"\x1b\[[0-9;]*[1-9][0-9;]*m", text) is not None) == wanted, text


def test_json_of_every_verb():
    """--json prints the parameters of each reply, one object a line."""
    with Daemon() as d:
        id = lines_of(ctl(d, "--json", "submit", "echo")[0])[0]["id"]
        assert lines_of(ctl(d, "--json", "wait", id)[0])[0]["job"]["id"] == id
        assert lines_of(ctl(d, "--json", "get", id)[0])[0]["job"]["id"] == id
        assert lines_of(ctl(d, "--json", "list")[0])[0]["jobs"][0]["id"] == id
        assert lines_of(ctl(d, "--json", "workers")[0])[0]["workers"]
        assert lines_of(ctl(d, "--json", "pools")[0])[0]["pools"]
        slow_one = d.submit("echo", delay_usec=10**10)
        assert lines_of(ctl(d, "--json", "cancel", slow_one)[0])[0]["state"] == "cancelled"
        for verb in (["pause", "diag"], ["resume", "diag"], ["reload"]):
            assert lines_of(ctl(d, "--json", *verb)[0]) in ([{}], [])


def test_output_that_nobody_reads():
    """A reader that leaves early ends broodctl, without a word of panic."""
    with Daemon() as d:
        with start(d, "map", "echo", stdin=subprocess.PIPE) as p:
            p.stdin.write("".join('{"n":%d}\n' % n for n in range(2000)))
            p.stdin.close()
            p.stdin = None
            p.stdout.readline()
            p.stdout.close()
            p.stdout = None
            p.wait(slow(20))
        assert d.run("echo")["state"] == "succeeded"

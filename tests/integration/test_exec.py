# SPDX-License-Identifier: MIT
"""The built-in handler exec: commands as jobs."""

import base64
import os
import signal
import time

from harness import *


def sh(d, script, *args, **spec):
    """Runs a shell script as a job; returns the job."""
    return d.run("exec", {"argv": ["/bin/sh", "-c", script, *args]}, **spec)


def read_pid(path):
    """Waits for a pid in a file."""
    def ready():
        try:
            with open(path, encoding="ascii") as f:
                text = f.read()
        except FileNotFoundError:
            return None
        return int(text) if text.endswith("\n") else None
    return until(ready, "a pid in " + path)


# A grandchild that leaves its process group, session and parent, and holds no pipe.
DAEMONIZE = "setsid sh -c 'exec >/dev/null 2>&1 </dev/null; echo $$ >%s; exec sleep 1000' &\n"


def test_output_and_exit_status():
    """stdout, stderr and exit status of a command are its result."""
    with Daemon(EXEC) as d:
        job = sh(d, "echo out; echo err >&2")
        assert job["state"] == "succeeded"
        assert job["result"] == {"exit_status": 0, "signal": None, "stdout": "out\n",
                                 "stderr": "err\n", "truncated": False}, job["result"]


def test_a_status_other_than_0_is_a_failure():
    """The job failed, and what the command wrote is there all the same."""
    with Daemon(EXEC) as d:
        job = sh(d, "echo out; echo err >&2; exit 3")
        assert job["state"] == "failed"
        assert job["result"]["exit_status"] == 3 and job["result"]["stdout"] == "out\n"
        attempt, = job["attempts"]  # MaxAttempts=1 for exec
        assert attempt["outcome"] == "command_failed" and attempt["exit_status"] == 3, attempt


def test_a_command_ended_by_a_signal():
    """A command's signal is named."""
    with Daemon(EXEC) as d:
        job = sh(d, "kill -KILL $$")
        assert job["state"] == "failed" and job["result"]["signal"] in ("KILL", "SIGKILL"), job
        assert job["result"].get("exit_status") is None
        assert job["attempts"][0]["outcome"] == "command_failed"
        assert d.pool_status("exec")["deaths"] == 0


def test_programs_that_are_not_there_or_not_executable():
    """127 and 126, as a shell says it."""
    with Daemon(EXEC) as d:
        job = d.run("exec", {"argv": ["/no/such/program"]})
        assert job["state"] == "failed" and job["result"]["exit_status"] == 127, job
        job = d.run("exec", {"argv": ["no-such-program-in-path"]})
        assert job["result"]["exit_status"] == 127, job
        job = d.run("exec", {"argv": [d.path("config/brood.conf")]})
        assert job["state"] == "failed" and job["result"]["exit_status"] == 126, job
        job = d.run("exec", {"argv": ["/"]})
        assert job["result"]["exit_status"] == 126, job


def test_path_is_searched():
    """A program without a slash is looked for in PATH."""
    with Daemon(EXEC) as d:
        assert d.run("exec", {"argv": ["true"]})["state"] == "succeeded"


def test_binary_output():
    """Output that is no text comes as base64."""
    with Daemon(EXEC) as d:
        job = sh(d, r"printf '\377\000\001'; printf 'a\000b' >&2")
        assert job["state"] == "succeeded"
        assert "stdout" not in job["result"] or job["result"]["stdout"] is None
        assert base64.b64decode(job["result"]["stdout_base64"]) == b"\xff\x00\x01"
        assert base64.b64decode(job["result"]["stderr_base64"]) == b"a\0b"


def test_output_is_capped():
    """Of stdout and stderr OutputMax= bytes are kept; the command is not stopped by it."""
    with Daemon({"exec": commands(output_max="1K")}) as d:
        job = sh(d, "head -c 100000 /dev/zero | tr '\\0' x; echo done >&2")
        assert job["state"] == "succeeded"
        assert job["result"]["stdout"] == "x" * 1024 and job["result"]["truncated"] is True
        assert job["result"]["stderr"] == "done\n"
        job = sh(d, "head -c 1024 /dev/zero | tr '\\0' x")
        assert len(job["result"]["stdout"]) == 1024 and job["result"]["truncated"] is False


def test_a_character_cut_in_two():
    """Text that is cut inside a character is still delivered, one way or the other."""
    with Daemon({"exec": commands(output_max="3")}) as d:
        result = sh(d, "printf '\\303\\244\\303\\244'")["result"]
        assert result["truncated"] is True
        assert result.get("stdout") in ("\u00e4", None), result
        if result.get("stdout") is None:
            assert base64.b64decode(result["stdout_base64"]) == b"\xc3\xa4\xc3"


def test_stdin():
    """stdin and stdin_base64 are what the command reads; without them it reads nothing."""
    with Daemon(EXEC) as d:
        run = lambda **args: d.run("exec", {"argv": ["cat"], **args})["result"]
        assert run(stdin="a\u00e4\n")["stdout"] == "a\u00e4\n"
        assert run()["stdout"] == ""
        data = bytes(range(256)) * 10
        result = run(stdin_base64=base64.b64encode(data).decode())
        assert base64.b64decode(result["stdout_base64"]) == data
        big = "x" * 200000
        assert run(stdin=big)["stdout"] == big
        # one that does not read it is not harmed
        job = d.run("exec", {"argv": ["true"], "stdin": big})
        assert job["state"] == "succeeded", job


def test_cwd_and_env():
    """cwd and env are the command's; the daemon's environment is not."""
    with Daemon(EXEC, env={"BROOD_SECRET": "s3cr3t"}) as d:
        job = d.run("exec", {"argv": ["/bin/sh", "-c", "pwd; echo $A; env"],
                             "cwd": d.path("config"), "env": {"A": "b c"}})
        lines = job["result"]["stdout"].splitlines()
        assert lines[:2] == [os.path.realpath(d.path("config")), "b c"]
        assert "s3cr3t" not in job["result"]["stdout"]
        assert any(line.startswith("PATH=") for line in lines)
        job = d.run("exec", {"argv": ["pwd"], "cwd": "/no/such/directory"})
        assert job["state"] == "failed"


def test_environment_of_the_pool():
    """Environment= and PassEnvironment= of the pool reach commands."""
    process = 'Environment=A=1 "B=x y"\nPassEnvironment=BROOD_GIVEN\nUMask=0027'
    with Daemon({"exec": commands(process=process)}, env={"BROOD_GIVEN": "g"}) as d:
        job = sh(d, "echo $A,$B,$BROOD_GIVEN; umask")
        assert job["result"]["stdout"] == "1,x y,g\n0027\n", job


def test_wrong_arguments():
    """Arguments of a wrong shape fail the job at once and say what is wrong."""
    wrong = [{}, {"argv": []}, {"argv": "ls"}, {"argv": [1]}, {"argv": ["true"], "env": {"A": 1}},
             {"argv": ["true"], "cwd": 1}, {"argv": ["true"], "stdin": 1},
             {"argv": ["cat"], "stdin_base64": "*"},
             {"argv": ["cat"], "stdin": "a", "stdin_base64": "YQ=="}]
    with Daemon(EXEC) as d:
        for args in wrong:
            job = d.run("exec", args, max_attempts=3)
            assert job["state"] == "failed" and len(job["attempts"]) == 1, (args, job)
            assert job["attempts"][0]["error"], (args, job)
        assert d.pool_status("exec")["deaths"] == 0


def test_no_descriptor_comes_through():
    """A command has stdin, stdout and stderr and no other descriptor."""
    with Daemon(EXEC) as d:
        job = sh(d, "ls /proc/self/fd")
        assert job["result"]["stdout"].split() == ["0", "1", "2", "3"], job  # 3: ls itself


def test_own_process_group():
    """A command leads a process group of its own, and no signal is blocked or ignored."""
    with Daemon(EXEC) as d:
        job = sh(d, "cut -d ' ' -f 1,5 /proc/$$/stat; grep -E 'Sig(Blk|Ign)' /proc/self/status")
        words = job["result"]["stdout"].split()
        assert words[0] == words[1], words
        assert int(words[3], 16) == 0 and int(words[5], 16) == 0, words


def test_limits_of_files_are_put_back():
    """The soft limit of open files is what it was before the daemon raised its own."""
    with Daemon(EXEC) as d:
        import resource
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert sh(d, "ulimit -Sn")["result"]["stdout"].strip() == str(soft)


def test_leftovers_end_with_the_attempt():
    """What a command started in the background is gone when its job is over."""
    with Daemon(EXEC) as d:
        path = d.path("pid")
        job = sh(d, "sleep 1000 >/dev/null 2>&1 & echo $! >%s" % path)
        pid = read_pid(path)
        assert job["state"] == "succeeded" and not alive(pid), job


def test_daemonized_grandchildren_end_with_the_attempt():
    """A grandchild with a session of its own is gone too, when the job is over."""
    with Daemon(EXEC) as d:
        path = d.path("pid")
        job = sh(d, DAEMONIZE % path + "while ! [ -s %s ]; do sleep 0.01; done" % path)
        pid = read_pid(path)
        assert job["state"] == "succeeded", job
        assert not alive(pid)


def test_a_leftover_that_holds_the_pipe():
    """A leftover that holds stdout does not hold up the job."""
    with Daemon(EXEC) as d:
        began = time.monotonic()
        job = sh(d, "sleep 1000 & echo hello")
        assert job["state"] == "succeeded" and job["result"]["stdout"] == "hello\n"
        assert time.monotonic() - began < slow(2)


def test_cancel_ends_command_and_leftovers():
    """Cancel ends a command that answers SIGTERM, its group and its daemonized grandchild."""
    with Daemon(EXEC) as d:
        path, main = d.path("pid"), d.path("main")
        id = d.submit("exec", {"argv": ["/bin/sh", "-c", DAEMONIZE % path
                                        + "echo $$ >%s; exec sleep 1000" % main]})
        pids = [read_pid(path), read_pid(main)]
        workers = d.pids()
        d.call("Cancel", id=id)
        job = d.wait(id)
        assert job["state"] == "cancelled" and job["attempts"][0]["outcome"] == "cancelled", job
        assert not any(alive(p) for p in pids)
        assert d.pids() == workers  # the worker itself need not die for it


def test_cancel_of_a_command_that_ignores_sigterm():
    """A command that ignores SIGTERM is killed, and its job is cancelled."""
    with Daemon(EXEC) as d:
        main = d.path("main")
        id = d.submit("exec", {"argv": ["/bin/sh", "-c",
                                        "trap '' TERM; echo $$ >%s; while :; do sleep 0.1; done"
                                        % main]})
        pid = read_pid(main)
        d.call("Cancel", id=id)
        assert d.wait(id)["state"] == "cancelled"
        assert not alive(pid)


def test_timeout_of_a_command():
    """A command that takes too long is ended, and says that it timed out."""
    with Daemon(EXEC) as d:
        main = d.path("main")
        job = sh(d, "echo $$ >%s; echo begun; exec sleep 1000" % main, timeout_usec=300000)
        assert job["state"] == "failed" and job["attempts"][0]["outcome"] == "timeout", job
        assert not alive(read_pid(main))


def test_a_worker_killed_under_a_command():
    """When the worker is killed, the command and its daemonized grandchild go with it."""
    with Daemon(EXEC) as d:
        path, main = d.path("pid"), d.path("main")
        id = d.submit("exec", {"argv": ["/bin/sh", "-c", DAEMONIZE % path
                                        + "echo $$ >%s; exec sleep 1000" % main]})
        pids = [read_pid(path), read_pid(main)]
        os.kill(d.worker_of(id)["pid"], signal.SIGKILL)
        job = d.wait(id)
        assert job["state"] == "failed" and job["attempts"][0]["outcome"] == "worker_died", job
        assert job["attempts"][0]["signal"] in ("KILL", "SIGKILL")
        wait_gone(pids, 1)


def test_attached_descriptors():
    """An attached job may come with three descriptors: the command's stdin, stdout, stderr."""
    with Daemon(EXEC) as d, d.steady_descriptors(), d.connect() as c:
        ins, outs, errs = os.pipe(), os.pipe(), os.pipe()
        job = {"handler": "exec", "attached": True,
               "args": {"argv": ["/bin/sh", "-c", "read line; echo got $line; echo bad >&2"]}}
        c.send("Submit", {"job": job, "wait": True}, fds=[ins[0], outs[1], errs[1]])
        for fd in ins[0], outs[1], errs[1]:
            os.close(fd)
        os.write(ins[1], b"something\n")
        job = c.receive()["job"]
        assert job["state"] == "succeeded", job
        # the write ends are closed everywhere: reading comes to an end
        with os.fdopen(outs[0], "rb") as out, os.fdopen(errs[0], "rb") as err:
            assert out.read() == b"got something\n" and err.read() == b"bad\n"
        os.close(ins[1])


def test_attached_closing_ends_the_command():
    """When the client of an attached job leaves, its command is ended."""
    with Daemon(EXEC) as d:
        main = d.path("main")
        with d.connect() as c:
            id = c.call("Submit", job={
                "handler": "exec", "attached": True,
                "args": {"argv": ["/bin/sh", "-c", "echo $$ >%s; exec sleep 1000" % main]}})["id"]
            pid = read_pid(main)
        assert d.wait(id)["state"] == "cancelled"
        assert not alive(pid)


def test_descriptors_of_a_job_that_waits():
    """Descriptors wait with their job, and are closed when it is cancelled."""
    with Daemon({"exec": commands(min_workers=1)}) as d, d.steady_descriptors():
        held = d.submit("exec", {"argv": ["sleep", "1000"]})
        d.worker_of(held)
        with d.connect() as c:
            ends = os.pipe()
            job = {"handler": "exec", "attached": True, "args": {"argv": ["true"]}}
            c.send("Submit", {"job": job}, fds=[ends[1], ends[1], ends[1]])
            id = c.receive()["id"]
            os.close(ends[1])
            d.call("Cancel", id=id)
            d.wait(id)
            with os.fdopen(ends[0], "rb") as out:
                assert out.read() == b""  # it ends: nobody has the other end any more
        d.call("Cancel", id=held)
        d.wait(held)


def test_many_commands():
    """Hundreds of commands leave nothing behind."""
    with Daemon(EXEC) as d, d.steady_descriptors():
        ids = d.call("SubmitMany", jobs=[
            {"handler": "exec", "args": {"argv": ["/bin/sh", "-c", "echo %d" % n]}}
            for n in range(300)])["ids"]
        for n, id in enumerate(ids):
            assert d.wait(id)["result"]["stdout"] == "%d\n" % n
        assert d.pool_status("exec")["deaths"] == 0

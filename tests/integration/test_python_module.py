# SPDX-License-Identifier: MIT
"""python.so: what a pool has of CPython in its workers. What every job is promised is in
test_models.py; here is what is Python's own."""

import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile

from harness import *
from test_models import PYTHON, refusal
from users import ALICE, Users

CLI = build("daemon", "ctl", "broodctl")
MODELS = {"process": {}, "thread": {"concurrency": "thread", "slots": 3},
          "subinterpreter": {"concurrency": "subinterpreter", "slots": 3}}
HEAD = "from brood.worker import *\nimport os, random, sys, threading, time\n"


def environment(*more):
    return "Environment=" + " ".join(["PYTHONPATH=" + source("lib", "python"),
                                      "PYTHONDONTWRITEBYTECODE=1", *more])


def work(path, variables=(), settings="", **keys):
    """A pool of one worker with the handlers of a file."""
    given = {"module": "python.so", "min_workers": 1, "spare_workers": 0, "backoff": "10ms",
             "kill_after": "%dms" % (slow(2) * 1000), "process": environment(*variables),
             "settings": ("Import=%s\n%s" % (path, settings)).strip()}
    given.update(keys)
    return pool(**given)


@contextlib.contextmanager
def file_of(code):
    """A file that everybody can read."""
    with tempfile.TemporaryDirectory(prefix="brood-python-") as directory:
        os.chmod(directory, 0o755)
        path = os.path.join(directory, "work.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write(HEAD + code)
        yield path


@contextlib.contextmanager
def served(code, **keys):
    with file_of(code) as path, Daemon({"work": work(path, **keys)}) as d:
        yield d


def result(d, handler, args=None, **spec):
    job = d.run(handler, args or {}, **spec)
    assert job["state"] == "succeeded", job
    return job["result"]


# --- from three lines to a pool ---

def test_three_lines_and_five():
    """A function of three lines, a pool file of five, and one line to change how it runs."""
    code = "@handler\ndef shrink(name, width=100):\n    return {'pixels': width * width}\n"
    for model in MODELS:
        with file_of(code) as path:
            text = ("[Pool]\nModule=python.so\nConcurrency=%s\n[Settings]\nImport=%s\n"
                    % (model, path))
            assert text.count("\n") == 5
            # where a package is installed needs no word; here it is in the tree
            with Daemon({"work": text + "[Process]\n" + environment() + "\n"}) as d:
                job = d.run("shrink", {"name": "x", "width": 3}, durability="fsync")
                assert (job["state"], job["result"]) == ("succeeded", {"pixels": 9}), job
                assert d.pool_status("work")["handlers"] == ["shrink"]


def test_pools_say_whose_lock_it_is():
    with file_of("@handler\ndef f(): pass\n") as path:
        for model, keys in MODELS.items():
            with Daemon({"work": work(path, **keys)}) as d:
                about = d.pool_status("work")["about"]
                out = subprocess.run([CLI, "--socket=" + d.socket_path, "pools"],
                                     capture_output=True, text=True, timeout=slow(20))
                assert "work: Concurrency=%s, %s\n" % (model, about) in out.stdout, out
            version = re.match(r"CPython (\d+)\.(\d+)\.\d+", about)
            own = (int(version.group(1)), int(version.group(2))) >= (3, 12)
            words = {"process": "", "thread": ", its threads share one lock",
                     "subinterpreter": ", each interpreter has a lock of its own" if own
                     else ", its interpreters share one lock"}
            assert about == version.group() + words[model], about


# --- warm ---

WARM = """
imported_by = os.getpid()
ballast = bytearray(64 << 20)
@handler
def where(seconds=0):
    import gc
    time.sleep(seconds)
    return {"imported_by": imported_by, "frozen": gc.get_freeze_count(), "pid": os.getpid(),
            "random": random.random(), "ident": threading.get_native_id(), "interpreter": id(sys)}
"""


def test_forks_are_warm():
    """The fork server has imported the code; its forks share that memory, frozen, and not its
    random numbers."""
    with served(WARM, min_workers=2) as d:
        ids = [d.submit("where", {"seconds": 0.5}) for _ in range(2)]
        seen = {}
        for id in ids:
            r = d.wait(id)["result"]
            seen[r["pid"]] = r
            assert r["imported_by"] == d.fork_servers()[0] and r["frozen"] > 1000
        assert len(seen) == len({r["random"] for r in seen.values()}) == 2
        for pid in seen:
            assert private_memory(pid) < 24 << 20
    with served(WARM, start_method="spawn") as d:
        r = result(d, "where")
        assert r["imported_by"] == r["pid"]


def private_memory(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return sum(int(line.split()[1]) << 10 for line in f if line.startswith("Private_"))


def test_interpreters_are_apart():
    """Each slot has modules of its own; threads share theirs."""
    code = "n = 0\n@handler\ndef count():\n    global n\n    n += 1\n    time.sleep(0.2)\n" \
        "    return {'n': n}\n"
    for model, expected in ("thread", {3}), ("subinterpreter", {1}):
        with served(code, **MODELS[model]) as d:
            ids = [d.submit("count") for _ in range(3)]
            assert {d.wait(id)["result"]["n"] for id in ids} == expected, model


# --- what does not import ---

def test_what_is_wrong_with_the_code():
    """With file and line: by check-config, at the start, at a reload."""
    cases = [
        ("@handler\ndef f(:\n    pass\n", r"work\.py:4: SyntaxError: "),
        ("\nimport nothing_of_that_name\n",
         r"work\.py:4: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("import json\njson.loads('{')\n",
         r"work\.py:4: json\.decoder\.JSONDecodeError: .* \(in \S+json/decoder\.py:\d+\)"),
        ("def f(): pass\n", r"Import=\S+work\.py has no handler: a function with the decorator"),
        ("@handler\ndef f(): pass\n@handler('f')\ndef g(): pass\n",
         r"work\.py:5: ValueError: there are two handlers of the name f"),
        ("sys.exit('not today')\n", r"work\.py:3: SystemExit: not today"),
    ]
    for code, expected in cases:
        with file_of(code) as path:
            for status, words in refusal(work(path)):
                assert status == 1 and "module python: " in words, words
                assert re.search(expected, words), (expected, words)


def test_what_is_wrong_with_the_pool():
    with file_of("@handler\ndef f(): pass\n") as path:
        cases = [
            (work("/nowhere/x.py"), "there is no file /nowhere/x.py"),
            (work("nowhere.to.be.found"), "No module named 'nowhere'"),
            (pool(module="python.so", process=environment()), "[Settings] Import= is missing"),
            (work(path, handlers="f g"), "has no handler 'g'; it has: f"),
            (work(path, process="Environment=PYTHONPATH=/nowhere"),
             "the Python package brood is not where CPython looks"),
            (work(path, concurrency="async", slots=2),
             "Concurrency=async: expected process or thread"),
        ]
        for text, expected in cases:
            said = refusal(text)
            for status, words in said[:1] if "offers no handler" in str(said) else said:
                assert status == 1, words
                assert expected in words or "offers no handler 'g'" in words, (expected, words)


def test_what_an_interpreter_can_not_import():
    """It is found out before there are workers."""
    code = "import threading\nif %s:\n    raise ImportError('only in the first one')\n" \
        "@handler\ndef f(): pass\n" % OTHER
    with file_of(code) as path:
        for status, words in refusal(work(path, **MODELS["subinterpreter"])):
            assert status == 1 and "work.py:5: ImportError: only in the first one" in words, words
        with Daemon({"work": work(path, **MODELS["thread"])}) as d:
            result(d, "f")


OTHER = "__import__('_xxsubinterpreters').get_current() != " \
    "__import__('_xxsubinterpreters').get_main()" if sys.version_info < (3, 13) else \
    "__import__('_interpreters').get_current()[0] != 0"


def test_prepare_that_fails():
    """The worker says why, and the breaker opens."""
    with file_of("@prepare\ndef p(given):\n    raise OSError(given['why'])\n"
                 "@handler\ndef f(): pass\n") as path:
        with Daemon({"work": work(path, settings="why=no database")}, ready=False) as d:
            d.await_socket()
            d.wait_log(r"module python: \S+work.py:5: OSError: no database")
            until(lambda: d.pool_status("work")["state"] == "failed", "the breaker is open", 20)


def test_the_code_is_imported_as_its_user():
    """By check-config, too: root runs nothing of a user's."""
    code = "who = os.getuid()\nassert who == %d\n" \
        "@handler\ndef f():\n    return {'who': who}\n" % ALICE
    with file_of(code) as path:
        text = work(path, process="%s\nUser=%d\nGroup=%d" % (environment(), ALICE, ALICE))
        with Users({"work": text}) as d:
            assert result(d, "f") == {"who": ALICE}
            out = subprocess.run([CLI, "check-config", d.path("config")], capture_output=True,
                                 text=True, timeout=slow(20), env=d.environment())
            assert out.returncode == 0, out


def test_packages_of_a_virtual_environment():
    with tempfile.TemporaryDirectory(prefix="brood-venv-") as directory, \
            file_of("import only_there\n@handler\ndef f():\n"
                    "    return {'x': only_there.x, 'prefix': sys.prefix}\n") as path:
        subprocess.run([PYTHON, "-c", "import sys, venv; venv.create(sys.argv[1], symlinks=True)",
                        directory], check=True, timeout=slow(60))
        site = next(os.path.join(root, "site-packages") for root, names, _ in os.walk(directory)
                    if "site-packages" in names)
        with open(os.path.join(site, "only_there.py"), "w", encoding="ascii") as f:
            f.write("x = 4711\n")
        settings = "Python=%s/bin/python3" % directory
        with Daemon({"work": work(path, settings=settings)}) as d:
            assert result(d, "f") == {"x": 4711, "prefix": directory}


# --- jobs ---

JOBS = """
import asyncio, atexit, multiprocessing, signal, subprocess

@handler
def nap(seconds):
    time.sleep(seconds)

@handler
def miss(*, job):
    heard = signal.signal(signal.SIGURG, signal.SIG_IGN)
    print("deaf", file=sys.stderr)
    while not job.cancelled:
        time.sleep(0.001)
    time.sleep(0.05)
    signal.signal(signal.SIGURG, heard)
    time.sleep(60)

@handler
def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

@handler
async def anap(seconds, *, job):
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        print("woken")
        raise
    return {"slept": seconds}

@handler
def noop(): pass

@handler
def steps(n, *, job):
    for i in range(n):
        print("step", i, file=job)
        job.progress((i + 1) / n)
    return {"id": job.id, "attempt": job.attempt, "handler": job.handler, "left": job.time_left()}

@handler
def hold(log2):
    return {"bits": (3 ** (1 << log2)).bit_length()}

@handler
def leave(status=None):
    sys.exit(status)

@handler
def odd(what):
    return {"big": 1 << 80, "nul": {"a": "\\0"}, "set": {1, 2}, "nan": float("nan"),
            "nothing": None, "list": [1], "text": "ä\U0001f600"}[what]

@handler
def bug():
    return [][1]

@handler
def child():
    out = subprocess.run(["echo", "hi"], stdout=subprocess.PIPE, text=True).stdout
    return {"out": out}

@handler
def fork():
    with multiprocessing.get_context("fork").Pool(2) as p:
        return {"squares": p.map(abs, range(-3, 3))}

@handler
def settled(): return dict(settings)

keep = []

@handler
def haunt(*, job):  # its thread says things when it is over
    def talk():
        for _ in range(200):
            job.progress(0.25)
            job.output("secret\\n")
            time.sleep(0.005)
    threading.Thread(target=talk, daemon=True).start()

@handler
def fork_and_return():
    return {"child": os.fork() == 0}

@handler
def shout(how):
    if how == "words":
        raise ValueError("x" * (20 << 20))
    if how == "details":
        raise NoRetry("x", {"a": "x" * (20 << 20)})
    if how == "list":
        raise Retry("x", [1, 2])
    class Mute(Exception):
        def __str__(self):
            raise OSError("no")
    raise Mute

@handler
async def aleave():
    sys.exit(7)

@handler
async def astop():
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
    await asyncio.sleep(0.05)

@handler
async def astray():
    raise asyncio.CancelledError

@handler
def anything(**args): return {"n": len(args)}

@handler
def close_stdout():
    sys.stdout.close()
    sys.stderr = None

@atexit.register
def bye(): print("bye from", os.getpid(), flush=True)
"""


def test_results_and_errors():
    for model, keys in MODELS.items():
        with served(JOBS, settings="colour=red", **keys) as d:
            def error(handler, args=None, **spec):
                job = d.run(handler, args or {}, max_attempts=2, **spec)
                assert job["state"] == "failed", job
                return job["attempts"][0]["error"], job
            assert result(d, "odd", {"what": "nothing"}) == {}
            assert result(d, "odd", {"what": "list"}) == {"value": [1]}
            assert result(d, "odd", {"what": "text"}) == {"value": "ä\U0001f600"}
            assert result(d, "settled")["colour"] == "red"
            for what, words in [("big", "more than 64 bits"), ("nul", "NUL"), ("set", "set"),
                                ("nan", "not JSON compliant")]:
                message, job = error("odd", {"what": what})
                assert message.startswith("the handler's result is no message: "), message
                assert words in message and len(job["attempts"]) == 1, job
            message, job = error("bug")
            assert message == "IndexError: list index out of range" and len(job["attempts"]) == 2
            lines = job["result"]["traceback"].splitlines()
            assert "work.py" in lines[1] and "in bug" in lines[1], lines
            message, job = error("nap", {"secs": 1})
            assert message == "missing a required argument: 'seconds'" \
                and len(job["attempts"]) == 1, job
            assert result(d, "child") == {"out": "hi\n"}, model
            if model != "subinterpreter":  # CPython has no forks of those
                assert result(d, "fork") == {"squares": [3, 2, 1, 0, 1, 2]}
            r = result(d, "steps", {"n": 3}, timeout_usec=50000000)
            assert r["attempt"] == 1 and r["handler"] == "steps" and 40 < r["left"] <= 50, r


def test_what_it_says_meanwhile():
    """Output to those who follow, progress to all, and what is printed to the log."""
    for keys in MODELS.values():
        with served(JOBS, **keys) as d, d.connect() as c:
            c.send("Submit", {"job": {"handler": "steps", "args": {"n": 20}}}, more=True)
            while True:
                message = c.receive_message()
                if not message.get("continues"):
                    break
            assert message["parameters"]["job"]["progress"] == 1
            result(d, "anap", {"seconds": 0.01})


def test_interrupts():
    """A sleep in the one slot of a process, byte code anywhere, an `await` anywhere."""
    for model, keys in MODELS.items():
        with served(JOBS, **keys) as d:
            pids = d.pids()
            for handler in ("nap", "busy", "anap") if model == "process" else ("busy", "anap"):
                job = d.run(handler, {"seconds": 60}, timeout_usec=100000, max_attempts=1)
                attempt = job["attempts"][0]
                assert (attempt["outcome"], attempt["error"]) == \
                    ("timeout", "the handler timed out"), (model, handler, job)
                id = d.submit(handler, {"seconds": 60})
                d.await_state(id, "running")
                d.call("Cancel", id=id)
                assert d.wait(id)["state"] == "cancelled", (model, handler)
            assert d.pids() == pids and d.pool_status("work")["deaths"] == 0


def test_a_signal_that_is_lost():
    """One that comes between a step of the interpreter and its system call does not end that: it is
    sent again. Here it is ignored at first."""
    with served(JOBS) as d:
        id = d.submit("miss", {})
        until(lambda: "deaf" in d.log(), "it does not hear")
        d.call("Cancel", id=id)
        assert d.wait(id)["state"] == "cancelled"
        assert d.pool_status("work")["deaths"] == 0


def test_interrupts_at_the_beginning():
    """Cancels that come when their jobs begin, with threads that take turns at every step."""
    code = "sys.setswitchinterval(1e-9)\n" + JOBS
    for model, keys in MODELS.items():
        with served(code, **keys) as d, d.connect() as c:
            for _ in range(150):
                c.send("Submit", {"job": {"handler": "busy", "args": {"seconds": 30}}}, more=True)
                id = c.receive_message()["parameters"]["id"]
                d.call("Cancel", id=id)
                while c.receive_message().get("continues"):
                    pass
                assert d.get(id)["state"] == "cancelled", (model, d.get(id))
            assert d.pool_status("work")["deaths"] == 0, model


def test_interrupts_hit_nobody_else():
    """Cancels that come when their jobs end: those that come after them are not hurt."""
    rng = random.Random(4711)
    for keys in MODELS.values():
        with served(JOBS, **keys) as d:
            pids = d.pids()
            for _ in range(60):
                ids = d.call("SubmitMany", jobs=[
                    {"handler": h, "args": a, "max_attempts": 1} for h, a in
                    [("busy", {"seconds": rng.random() * 0.004}), ("noop", {}), ("noop", {})] * 2
                ])["ids"]
                with contextlib.suppress(VarlinkError):  # it is over
                    d.call("Cancel", id=ids[0])
                for id in ids[1:]:
                    job = d.wait(id)
                    assert job["state"] == "succeeded", job
                assert d.wait(ids[0])["state"] in ("succeeded", "cancelled")
            assert d.pids() == pids and d.pool_status("work")["deaths"] == 0


def test_streams_may_be_closed():
    for keys in MODELS.values():
        with served(JOBS, **keys) as d:
            for _ in range(4):
                result(d, "close_stdout")
                assert result(d, "noop") == {}
            job = d.run("bug", max_attempts=1)
            assert job["attempts"][0]["error"].startswith("IndexError"), job
            assert d.pool_status("work")["deaths"] == 0


def kinds_of_workers(path):
    """python.so in all its models, and a program of its own: pool texts."""
    names = re.findall(r"^(?:async )?def (\w+)\(", JOBS, re.M)
    for keys in MODELS.values():
        yield work(path, **keys)
    yield pool(" ".join(n for n in names if n not in ("bye", "talk")),
               command="%s -m brood.worker %s" % (PYTHON, path), min_workers=1, spare_workers=0,
               backoff="10ms", process=environment())


def test_what_others_say_is_not_a_jobs():
    """A thread that outlives its job is not heard, also while another one runs there."""
    with file_of(JOBS) as path:
        for text in kinds_of_workers(path):
            with Daemon({"work": text}) as d, d.connect() as c:
                result(d, "haunt")
                c.send("Submit", {"job": {"handler": "anap", "args": {"seconds": 0.3}}}, more=True)
                heard = ""
                while True:
                    message = c.receive_message()
                    heard += str(message)
                    if not message.get("continues"):
                        break
                assert "succeeded" in heard, heard
                assert "0.25" not in heard and "secret" not in heard, heard
                assert d.pool_status("work")["deaths"] == 0


def test_a_fork_that_returns_ends():
    """It answers nothing, and takes no job of its parent's."""
    with file_of(JOBS) as path:
        for text in list(kinds_of_workers(path))[::3]:  # interpreters have no forks
            with Daemon({"work": text}) as d:
                for n in range(5):
                    assert result(d, "fork_and_return") == {"child": False}
                    assert result(d, "anything", {str(i): 0 for i in range(n)}) == {"n": n}
                d.wait_log("a fork of .*worker .*has returned from its handler")
                assert d.pool_status("work")["deaths"] == 0


def test_failures_of_many_words():
    """They are cut, and no worker dies of them."""
    with file_of(JOBS) as path:
        for text in kinds_of_workers(path):
            with Daemon({"work": text}) as d:
                for how, words in [("words", "ValueError: xxx"), ("details", "x"), ("list", "x"),
                                   ("mute", "Mute: (what it says can not be had: OSError)")]:
                    job = d.run("shout", {"how": how}, max_attempts=1)
                    attempt = job["attempts"][0]
                    assert attempt["outcome"] == "error", (how, str(job)[:500])
                    assert attempt["error"].startswith(words), (how, attempt["error"][:200])
                    assert len(attempt["error"]) < 10000 and len(str(job)) < 1 << 20, how
                assert job["result"]["exception"] == "Mute"
                job = d.run("shout", {"how": "list"}, max_attempts=1)
                assert job["result"] == {"details": [1, 2]}, job


def test_ends_within_a_loop():
    """sys.exit() ends the worker there, too; a loop that is stopped goes on; a CancelledError that
    nobody sent is a failure."""
    with file_of(JOBS) as path:
        for text in kinds_of_workers(path):
            with Daemon({"work": text}) as d:
                attempt = d.run("aleave", max_attempts=1)["attempts"][0]
                assert attempt["exit_status"] == 7, attempt
                if "Concurrency=thread" in text:
                    result(d, "astop")
                assert result(d, "anap", {"seconds": 0.01}) == {"slept": 0.01}
                job = d.run("astray", max_attempts=1)
                assert job["state"] == "failed" and "nobody had asked" in \
                    job["attempts"][0]["error"], job


def test_arguments_that_are_nested_deep():
    """What is too deep for a Python (not for 3.13) is refused, and harms no worker."""
    with file_of(JOBS) as path:
        for text in kinds_of_workers(path):
            with Daemon({"work": text}) as d, d.connect() as c:
                args = "".join(['{"a":'] * 1500 + ["{}"] + ["}"] * 1500)
                c.send_raw(b'{"method":"io.brood.Submit","parameters":{"wait":true,"job":{'
                           b'"handler":"anything","args":%s}}}\0' % args.encode())
                raw = c.receive_raw()
                assert b'"state":"succeeded"' in raw or \
                    b'"state":"failed"' in raw and b"nested too deep for Python" in raw, raw[-999:]
                assert result(d, "noop") == {}
                assert d.pool_status("work")["deaths"] == 0


def test_a_comma_for_a_point():
    """A locale that the code sets does not reach what is told."""
    with tempfile.TemporaryDirectory() as directory:
        place = directory + "/de_DE.UTF-8"
        made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", place],
                              capture_output=True, timeout=slow(60))
        unless(os.path.exists(place + "/LC_NUMERIC"), "no locale can be made: %s" % made.stderr)
        os.chmod(directory, 0o755)
        code = JOBS + "import locale\nlocale.setlocale(locale.LC_ALL, 'de_DE.UTF-8')\n"
        with served(code, variables=["LOCPATH=" + directory]) as d:
            assert result(d, "steps", {"n": 3})["attempt"] == 1
            assert d.pool_status("work")["deaths"] == 0


def test_threads_that_nobody_waits_for():
    """They do not crash a worker that leaves."""
    unless(not SANITIZED, "the leak checker wants the process whole at its end")
    code = JOBS + """
import hashlib, ssl
def churn():
    while True:
        ssl.create_default_context()
        hashlib.sha256(b"x" * 4096).hexdigest()
@prepare
def begin(given):
    for _ in range(4):
        threading.Thread(target=churn, daemon=True).start()
"""
    with served(code) as d:
        for _ in range(6):
            pid = d.pids()[0]
            result(d, "noop")
            d.call("RestartPool", pool="work")
            until(lambda pid=pid: pid not in d.pids(), "the old one is gone")
        d.wait_log("ended with status 0")
        assert "SIGSEGV" not in d.log() and "SIGABRT" not in d.log(), d.log()


def test_names_of_handlers():
    for name in "a\\0b", "a\\nb", "a b", " ":
        with file_of("@handler('%s')\ndef f(): pass\n" % name) as path:
            for status, words in refusal(work(path)):
                assert status == 1 and "the name of a handler is a word, not" in words, words
    code = "for i in range(400):\n    handler(lambda: None, name='handler_of_a_long_name_%d' % i)\n"
    with file_of(code) as path, \
            Daemon({"work": work(path, handlers="handler_of_a_long_name_399")}) as d:
        out = subprocess.run([CLI, "check-config", d.path("config")], capture_output=True,
                             text=True, timeout=slow(20), env=d.environment())
        assert out.returncode == 0, out
        assert result(d, "handler_of_a_long_name_399") == {}


def test_what_is_printed_at_the_import():
    """Once, by the fork server; and no handler in a check."""
    code = "os.system('echo loading')\nprint('imported')\n@handler\ndef f(): pass\n"
    with file_of(code) as one, file_of(code.replace("def f", "def g")) as two:
        with Daemon({"one": work(one, min_workers=2), "two": work(two)}) as d:
            out = subprocess.run([CLI, "check-config", d.path("config")], capture_output=True,
                                 text=True, timeout=slow(20), env=d.environment())
            assert out.returncode == 0 and "2 handlers" in out.stderr, out
            result(d, "f")
            assert d.log().count("imported") <= 2, d.log()
    with file_of("os._exit(0)\n") as path:
        for status, words in refusal(work(path)):
            assert status == 1, words


def test_sys_exit_ends_the_worker():
    for keys in MODELS.values():
        with served(JOBS, **keys) as d:
            for status, expected in (3, 3), (None, 0), ("words", 1):
                job = d.run("leave", {"status": status}, max_attempts=1)
                attempt = job["attempts"][0]
                assert attempt["outcome"] == "worker_died", job
                assert attempt["exit_status"] == expected, job
                if status == "words":
                    assert "words" in attempt["stderr_tail"]


def test_a_worker_that_leaves_says_good_bye():
    """atexit has its turn, in each interpreter."""
    for model, keys in MODELS.items():
        with served(JOBS, **keys) as d:
            pid = d.pids()[0]
            d.call("RestartPool", pool="work")
            d.wait_log("bye from %d" % pid)
            until(lambda: pid not in d.pids(), "it is gone")
            n = len(re.findall("bye from %d" % pid, d.log()))
            assert n == (keys["slots"] + 1 if model == "subinterpreter" else 1), (model, n)
            assert d.pool_status("work")["deaths"] == 0


def test_one_that_computes_lets_others_run():
    """Also where interpreters share one lock."""
    for model in "thread", "subinterpreter":
        with served(JOBS, **MODELS[model]) as d:
            long = d.submit("busy", {"seconds": 60})
            d.await_state(long, "running")
            for _ in range(20):
                result(d, "noop")
                result(d, "nap", {"seconds": 0.001})
            assert d.get(long)["state"] == "running"
            d.call("Cancel", id=long)
            assert d.wait(long)["state"] == "cancelled"


def test_whose_lock_it_is():
    """One call that never gives its lock back: other interpreters run meanwhile, if theirs is
    another; else after it."""
    with served(JOBS, kill_after="60s", **MODELS["subinterpreter"]) as d:
        own = "a lock of its own" in d.pool_status("work")["about"]
        for _ in range(4):  # what runs may not have come to that call yet
            held = d.submit("hold", {"log2": 23})
            d.await_state(held, "running")
            other = d.run("noop")
            state = d.get(held)["state"]
            held = d.wait(held)
            assert (other["state"], held["state"]) == ("succeeded", "succeeded"), (other, held)
            if own or other["ended_usec"] >= held["ended_usec"] - 1000:
                break
        else:
            raise AssertionError((other, held))
        assert not own or state == "running", "it did not run beside it"


def test_many_interpreters():
    with served(JOBS, concurrency="subinterpreter", slots=16) as d:
        ids = [d.submit("nap", {"seconds": 2}) for _ in range(16)]
        until(lambda: d.status()["jobs"]["running"] == 16, "all run")
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"


def test_threads_of_the_import():
    """What the code starts at its import stays in the fork server, and its forks work."""
    unless(not SANITIZED, "the leak checker can not stop such a thread")
    code = JOBS + "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
    with served(code) as d:
        assert result(d, "fork") == {"squares": [3, 2, 1, 0, 1, 2]}
        assert result(d, "odd", {"what": "nothing"}) == {}

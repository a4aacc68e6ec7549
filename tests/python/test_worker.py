# SPDX-License-Identifier: MIT
"""The worker, with the supervisor's part played here."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ID = "01890a5d-ac96-774b-bcce-b302099a8057"

PROGRAM = '''
import asyncio, os, signal, sys, threading, time
from brood import worker
from brood.worker import *

meeting = threading.Barrier(2, timeout=20)

@prepare
def begin(given):
    if given.get("refuse"):
        raise SystemExit("no")

@handler
def add(a, b=1):
    return {"sum": a + b}

@handler("whole")
def takes_job(job):
    return {"args": job.args, "id": job.id, "attempt": job.attempt, "settings": dict(settings),
            "left": job.time_left()}

@handler
def both(a, *, job):
    return {"a": a, "id": job.id}

@handler
def give(what):
    return eval(what)

@handler
def fail(what):
    raise eval(what)

@handler
def nap(seconds):
    time.sleep(seconds)

@handler
def slow(*, job):
    job.progress(0)
    time.sleep(0.2)

@handler(interrupt=False)
def deaf(job):
    assert job.cancel_event.wait(20)
    try:
        job.progress(0.5)
    except Cancelled as c:
        job.progress(1)
        return {"heard": c.reason, "cancelled": job.cancelled}

@handler
def miss(*, job):
    """A signal is lost, and then it sleeps."""
    heard = signal.signal(signal.SIGURG, signal.SIG_IGN)
    print("deaf", file=sys.stderr)
    while not job.cancelled:
        time.sleep(0.001)
    time.sleep(0.05)
    signal.signal(signal.SIGURG, heard)
    time.sleep(50)

@handler
def say(*, job):
    job.progress(0.25)
    job.output("a\\n")
    job.output(b"\\xff", "stderr")
    print("b", file=job)

@handler
async def anap(seconds):
    await asyncio.sleep(seconds)
    return {"slept": True}

@handler
def meet():
    return {"place": meeting.wait()}

@handler
async def ameet():
    global event
    try:
        event.set()
    except NameError:
        event = asyncio.Event()
        await asyncio.wait_for(event.wait(), 20)

serve()
'''


class Worker:
    """The program, with so many slots; the last connection is for control."""

    def __init__(self, slots=1, control=True):
        self.directory = tempfile.TemporaryDirectory()
        program = os.path.join(self.directory.name, "program.py")
        with open(program, "w", encoding="utf-8") as f:
            f.write(PROGRAM)
        path = os.path.join(self.directory.name, "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(16)
        self.buffers = {}
        self.path = path
        self.slots = [self.connect() for _ in range(slots)]
        self.control = self.connect() if control else None
        code = ("import os, sys; os.dup2(int(sys.argv[1]), 3); "
                "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1',"
                "                  LISTEN_FDNAMES='varlink'); "
                "os.execv(sys.executable, [sys.executable, sys.argv[2]])")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(listener.fileno()), program],
            pass_fds=[listener.fileno()], stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, PYTHONPATH=os.path.join(TREE, "lib", "python")))
        listener.close()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(self.path)
        self.buffers[s] = b""
        return s

    def send(self, s, method, more=False, **parameters):
        message = {"method": method if "." in method[:5] else "io.brood.Worker." + method,
                   "parameters": parameters}
        if more:
            message["more"] = True
        s.sendall(json.dumps(message).encode() + b"\0")

    def receive(self, s):
        while b"\0" not in self.buffers[s]:
            data = s.recv(65536)
            if not data:
                raise EOFError
            self.buffers[s] += data
        text, _, self.buffers[s] = self.buffers[s].partition(b"\0")
        return json.loads(text)

    def call(self, s, method, **parameters):
        self.send(s, method, **parameters)
        return self.receive(s)

    def prepare(self, **settings):
        return self.call(self.slots[0], "Prepare", pool="p", worker="p.0", generation=1,
                         handlers=["add", "whole", "both", "give", "fail", "nap", "slow", "deaf",
                                   "miss", "say", "anap", "meet", "ameet", "strange"],
                         settings=settings)

    def run(self, handler, args, **more):
        return self.call(self.slots[0], "Run", id=ID, attempt=1, handler=handler, args=args, **more)

    def end(self):
        for s in self.buffers:
            s.close()
        try:
            _, self.said = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        self.directory.cleanup()
        return self.process.returncode


class Prepared(unittest.TestCase):
    slots = 1

    def setUp(self):
        self.w = Worker(self.slots)
        self.addCleanup(self.w.end)
        offered = self.w.prepare(colour="red")["parameters"]["handlers"]
        self.assertIn("add", offered)
        self.assertNotIn("strange", offered)


class Answers(Prepared):
    def result(self, handler, **args):
        reply = self.w.run(handler, args)
        self.assertNotIn("error", reply, reply)
        return reply["parameters"]["result"]

    def refusal(self, error, handler, **args):
        reply = self.w.run(handler, args)
        self.assertEqual(reply.get("error"), "io.brood.Worker." + error, reply)
        return reply["parameters"]

    def test_arguments(self):
        self.assertEqual(self.result("add", a=1), {"sum": 2})
        self.assertEqual(self.result("both", a=1), {"a": 1, "id": ID})
        got = self.w.run("whole", {"x": 1}, timeout_usec=50000000)["parameters"]["result"]
        self.assertEqual((got["args"], got["id"], got["attempt"], got["settings"]),
                         ({"x": 1}, ID, 1, {"colour": "red"}))
        self.assertTrue(0 < got["left"] <= 50)
        self.assertIsNone(self.result("whole")["left"])

    def test_arguments_that_do_not_fit(self):
        for args in ({}, {"a": 1, "c": 2}):
            self.assertIn("argument", self.refusal("BadArguments", "add", **args)["message"])
        self.assertTrue(self.refusal("HandlerFailed", "add", a="x")["retry"])  # it had begun
        self.refusal("BadArguments", "fail", what="BadArguments('no')")
        self.assertEqual(self.refusal("NoSuchHandler", "strange")["handler"], "strange")

    def test_results(self):
        self.assertEqual(self.result("give", what="None"), {})
        self.assertEqual(self.result("give", what="[1, 'ä']"), {"value": [1, "ä"]})
        self.assertEqual(self.result("give", what="{'a': 2**63 - 1, 'b': -2**63}"),
                         {"a": 2**63 - 1, "b": -2**63})
        self.assertEqual(self.result("give", what=r"'\\u0000'"), {"value": "\\u0000"})

    def test_results_that_can_not_be_said(self):
        for what in ("object()", "{'a': float('nan')}", "2**63", "-2**63-1", r"'\0'",
                     r"{'\0': 1}", r"'\ud800'", "(x := [], x.append(x))[0]", "'x' * (17 << 20)"):
            said = self.refusal("HandlerFailed", "give", what=what)
            self.assertEqual((said["kind"], said["retry"]), ("result", False), what)

    def test_failures(self):
        said = self.refusal("HandlerFailed", "fail", what="KeyError('k')")
        self.assertEqual((said["message"], said["retry"]), ("KeyError: 'k'", True))
        self.assertIn("raise eval(what)", said["details"]["traceback"])
        self.assertNotIn("_serve.py", said["details"]["traceback"])
        said = self.refusal("HandlerFailed", "fail", what="NoRetry('never', {'a': 1})")
        self.assertEqual((said["message"], said["retry"], said["details"]), ("never", False,
                                                                           {"a": 1}))
        self.assertTrue(self.refusal("HandlerFailed", "fail", what="Retry('soon')")["retry"])
        for what in (r"ValueError('\0')", r"ValueError('\ud800')", "Retry('x', {'a': 2**64})",
                     "NoRetry('x', {'a': object()})"):
            self.refusal("HandlerFailed", "fail", what=what)

    def test_asyncio(self):
        self.assertEqual(self.result("anap", seconds=0.001), {"slept": True})

    def test_progress_and_output(self):
        self.w.send(self.w.slots[0], "Run", more=True, id=ID, attempt=1, handler="say", args={})
        got = [self.w.receive(self.w.slots[0]) for _ in range(6)]
        self.assertEqual([r.get("continues", False) for r in got], [True] * 5 + [False])
        self.assertEqual([r["parameters"] for r in got], [
            {"progress": 0.25}, {"output": {"stream": "stdout", "data": "a\n"}},
            {"output": {"stream": "stderr", "data_base64": "/w=="}},
            {"output": {"stream": "stdout", "data": "b"}},
            {"output": {"stream": "stdout", "data": "\n"}}, {"result": {}}])
        self.assertEqual(self.w.run("say", {}), {"parameters": {"result": {}}})  # without more

    def test_many_runs_in_one_write(self):
        runs = [json.dumps({"method": "io.brood.Worker.Run", "parameters": {
            "id": ID, "attempt": i, "handler": "add", "args": {"a": i}}}) for i in range(300)]
        self.w.slots[0].sendall("".join(r + "\0" for r in runs).encode())
        for i in range(300):
            reply = self.w.receive(self.w.slots[0])
            self.assertEqual(reply["parameters"]["result"], {"sum": i + 1})

    def test_introspection(self):
        said = self.w.call(self.w.control, "org.varlink.service.GetInfo")["parameters"]
        self.assertIn("io.brood.Worker", said["interfaces"])
        for name in said["interfaces"]:
            text = self.w.call(self.w.control, "org.varlink.service.GetInterfaceDescription",
                               interface=name)["parameters"]["description"]
            self.assertTrue(re.search(r"^interface %s$" % re.escape(name), text, re.M))
        for method, error in (("org.varlink.service.Strange", "MethodNotFound"),
                              ("com.example.Strange", "InterfaceNotFound"),
                              ("io.brood.Worker.Strange", "MethodNotFound"),
                              ("io.brood.Worker.Cancel", "InvalidParameter")):
            self.assertEqual(self.w.call(self.w.control, method).get("error"),
                             "org.varlink.service." + error, method)


class Ends(Prepared):
    def cancel(self, reason="cancel"):
        self.assertEqual(self.w.call(self.w.control, "Cancel", id=ID, attempt=1, reason=reason),
                         {"parameters": {}})

    def test_cancel(self):
        for handler in ("nap", "anap"):
            for reason, kind in (("cancel", "cancelled"), ("timeout", "timeout"),
                                 ("shutdown", None)):
                self.w.send(self.w.slots[0], "Run", id=ID, attempt=1, handler=handler,
                            args={"seconds": 50})
                self.cancel(reason)
                reply = self.w.receive(self.w.slots[0])
                self.assertEqual(reply["error"], "io.brood.Worker.HandlerFailed")
                self.assertEqual(reply["parameters"].get("kind"), kind)

    def test_a_signal_that_is_lost(self):
        """As one is that comes between a step of the interpreter and its system call."""
        self.w.send(self.w.slots[0], "Run", id=ID, attempt=1, handler="miss", args={})
        self.assertEqual(self.w.process.stderr.readline(), "deaf\n")
        self.cancel()
        self.assertEqual(self.w.receive(self.w.slots[0])["parameters"]["kind"], "cancelled")

    def test_cancel_before_the_run(self):
        self.cancel()
        self.assertEqual(self.w.run("nap", {"seconds": 50})["parameters"]["kind"], "cancelled")
        self.assertEqual(self.w.run("add", {"a": 1})["parameters"]["result"], {"sum": 2})

    def test_who_hears_at_safe_points(self):
        self.w.send(self.w.slots[0], "Run", more=True, id=ID, attempt=1, handler="deaf", args={})
        self.cancel("timeout")
        for _ in range(2):
            self.assertIn("progress", self.w.receive(self.w.slots[0])["parameters"])
        self.assertEqual(self.w.receive(self.w.slots[0])["parameters"]["result"],
                         {"heard": "timeout", "cancelled": True})

    def test_leave(self):
        self.assertEqual(self.w.call(self.w.control, "Leave"), {"parameters": {}})
        self.assertEqual(self.w.process.wait(20), 0)

    def test_leave_in_the_middle(self):
        self.w.send(self.w.slots[0], "Run", more=True, id=ID, attempt=1, handler="slow", args={})
        self.assertIn("progress", self.w.receive(self.w.slots[0])["parameters"])
        self.w.send(self.w.control, "Leave")
        self.assertEqual(self.w.receive(self.w.slots[0])["parameters"], {"result": {}})
        self.assertEqual(self.w.process.wait(20), 0)

    def test_orphan(self):
        self.w.send(self.w.slots[0], "Run", id=ID, attempt=1, handler="nap", args={"seconds": 50})
        self.w.control.close()
        self.w.slots[0].close()
        self.w.process.wait(20)

    def test_sys_exit_ends_the_worker(self):
        self.w.send(self.w.slots[0], "Run", id=ID, attempt=1, handler="fail",
                    args={"what": "SystemExit(3)"})
        self.assertEqual(self.w.process.wait(20), 3)


class Slots(Prepared):
    """Several slots: a thread each."""

    slots = 2

    def test_two_at_a_time(self):
        for handler in ("meet", "ameet"):
            for i, s in enumerate(self.w.slots):
                self.w.send(s, "Run", id=ID, attempt=i + 1, handler=handler, args={})
            for s in self.w.slots:
                self.assertIn("result", self.w.receive(s)["parameters"])

    def test_leave(self):
        self.w.call(self.w.control, "Leave")
        self.assertEqual(self.w.process.wait(20), 0)


class Alone(unittest.TestCase):
    def test_by_hand(self):
        """One connection after the other, as a varlink tool makes them."""
        w = Worker(control=False)
        self.assertIn("add", w.prepare()["parameters"]["handlers"])
        for i in range(3):
            w.slots[0].close()
            w.slots[0] = w.connect()
            self.assertEqual(w.run("add", {"a": i})["parameters"]["result"], {"sum": i + 1})
        w.call(w.slots[0], "Leave")
        self.assertEqual(w.end(), 0)

    def test_refuses_to_prepare(self):
        w = Worker()
        with self.assertRaises((EOFError, ConnectionResetError)):
            w.prepare(refuse="1")
        self.assertNotEqual(w.end(), 0)

    def test_nobody_has_started_it(self):
        with tempfile.NamedTemporaryFile("w", suffix=".py") as f:
            f.write(PROGRAM)
            f.flush()
            done = subprocess.run([sys.executable, f.name], stderr=subprocess.PIPE, text=True,
                                  env=dict(os.environ, PYTHONPATH=os.path.join(TREE, "lib",
                                                                               "python")))
        self.assertEqual(done.returncode, 1)
        self.assertIn("broodctl try-worker", done.stderr)


class Decorators(unittest.TestCase):
    def test_whether_it_wants_its_job(self):
        """As inspect would say, for whatever can be called."""
        import functools
        from brood.worker._serve import Handler

        class Thing:
            def method(self, job):
                pass

            async def patient(self, a, *, job):
                pass

        async def patient(job):
            pass

        @functools.wraps(patient)
        def wrapped(*args, **kwargs):
            pass

        for function, wants, too in (
                (lambda job: 0, True, False), (lambda a, job: 0, False, False),
                (lambda *, job: 0, False, True), (lambda job, *, a=1: 0, False, False),
                (lambda a=1, *, b, job: 0, False, True), (lambda job, **k: 0, False, False),
                (lambda *job: 0, False, False), (lambda: 0, False, False),
                (Thing().method, True, False), (Thing().patient, False, True),
                (functools.partial(lambda a, job: 0, 1), True, False), (wrapped, True, False)):
            h = Handler(function, True)
            self.assertEqual((h.wants_job, h.job_too), (wants, too), function)
        self.assertTrue(Handler(patient, True).is_async)
        self.assertTrue(Handler(Thing().patient, True).is_async)
        self.assertFalse(Handler(wrapped, True).is_async)

    def test_names(self):
        from brood.worker import _serve, handler

        @handler
        def one():
            pass

        @handler(name="two")
        def other():
            pass

        handler(other, name="three")
        self.assertIn("one", _serve.HANDLERS)
        self.assertIs(_serve.HANDLERS["three"].function, other)
        self.assertIs(_serve.HANDLERS["two"].function, other)
        with self.assertRaises(ValueError):
            handler("one")(other)


if __name__ == "__main__":
    unittest.main()

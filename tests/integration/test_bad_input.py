# SPDX-License-Identifier: MIT
"""What bad or strange clients send: a typed error where one can be given, else the connection is
dropped; memory stays bounded, and everybody else goes on being served."""

import array
import json
import os
import random
import resource
import socket
import threading
import time

from harness import *

CALL = b'{"method":"io.brood.Submit","parameters":{"job":{"handler":"echo","args":%s}}}\0'


def served(d):
    """Somebody else is served, quickly."""
    began = time.monotonic()
    with d.connect() as c:
        job = c.call("Submit", job={"handler": "echo", "args": {"x": 1}}, wait=True)["job"]
        assert job["state"] == "succeeded"
    assert time.monotonic() - began < slow(1)


def bounded(d, before, limit):
    """The daemon's memory has grown by less than the limit. (ASan keeps what was freed.)"""
    grown = rss(d.pid) - before
    assert SANITIZED or grown < limit, "%d bytes more" % grown


def answer(d, data, half_close=False):
    """What comes back for these bytes: a message, or None if the connection was dropped."""
    with d.connect() as c:
        try:
            c.send_raw(data)
            if half_close:
                c.socket.shutdown(socket.SHUT_WR)
            return json.loads(c.receive_raw())
        except (Closed, ConnectionError):
            return None


def test_not_json():
    """What is not JSON, or no object, drops the connection and nothing else."""
    bad = [b"\0", b"x\0", b"{\0", b"}\0", b"nul\0", b'"x"\0', b"[]\0", b"1\0", b"null\0",
           b'{"method":}\0', b'{"method":"io.brood.Status",}\0', b'{"a" 1}\0', b"{'a':1}\0",
           b'{"method":"io.brood.Status"} x\0', b'{"method":"io.brood.Status"}{}\0',
           b"\xef\xbb\xbf{}\0", b'{"method":"io.brood.Sta\ntus"}\0', b"GET / HTTP/1.1\r\n\r\n\0",
           CALL % b"{\"a\":01}", CALL % b'{"a":.5}', CALL % b'{"a":NaN}', CALL % b'{"a":+1}',
           CALL % b'{"a":"\\x"}', CALL % b'{"a":"\\u12"}', CALL % b'{"a":tru}']
    with Daemon() as d, d.steady_descriptors():
        for data in bad:
            reply = answer(d, data)
            assert reply is None or "error" in reply, (data, reply)
        served(d)
        assert [j for j in d.call("List")["jobs"] if j["spec"]["handler"] != "echo"] == []


def test_an_object_that_is_no_call():
    """An object without a method, or with one of a wrong type, is refused or dropped."""
    with Daemon() as d:
        for data in b"{}\0", b'{"method":1}\0', b'{"method":null}\0', b'{"method":""}\0', \
                b'{"method":"x"}\0', b'{"method":"."}\0', b'{"method":"io.brood."}\0', \
                b'{"method":"io.brood.Status","more":1}\0', \
                b'{"method":"io.brood.Status","parameters":[]}\0', \
                b'{"method":"io.brood.Status","parameters":1}\0', \
                b'{"method":"io.brood.Status","strange":1}\0':
            reply = answer(d, data)
            assert reply is None or reply["error"].startswith("org.varlink.service."), (data, reply)
        served(d)


def test_invalid_utf8():
    """Bytes that are no UTF-8 are refused wherever they stand."""
    bad = [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"]
    with Daemon() as d:
        for bytes_ in bad:
            for data in (CALL % (b'{"a":"%s"}' % bytes_), CALL % (b'{"%s":1}' % bytes_),
                         b'{"method":"io.brood.%s"}\0' % bytes_):
                reply = answer(d, data)
                assert reply is None or "error" in reply, (data, reply)
        served(d)


def test_nul_inside():
    """A NUL byte ends a message; an escaped one is refused in arguments."""
    with Daemon() as d:
        assert answer(d, b'{"method":"io.brood.Sta\0tus"}\0') is None
        reply = answer(d, CALL % b'{"a":"x\\u0000y"}')
        assert reply is None or "error" in reply, reply
        served(d)


def test_deep_nesting():
    """100,000 levels are refused without harm."""
    with Daemon() as d:
        for n in 3000, 100000:
            for text in (b"[" * n + b"]" * n, b'{"a":' * n + b"1" + b"}" * n):
                reply = answer(d, CALL % (b'{"a":%s}' % text))
                assert reply is None or "error" in reply
            reply = answer(d, b'{"method":"io.brood.Status","parameters":' + b"[" * n + b"\0")
            assert reply is None or "error" in reply
        served(d)


def test_nesting_that_is_allowed():
    """A hundred levels go through to the worker and back."""
    with Daemon() as d:
        value = {}
        for _ in range(100):
            value = {"a": [value]}
        assert d.run("echo", value)["result"] == value


def test_duplicate_keys():
    """A key that stands twice is refused, at every level."""
    with Daemon() as d:
        for data in (CALL % b'{"a":1,"a":2}', CALL % b'{"a":{"b":1,"b":1}}',
                     CALL % b'{"a":1,"\\u0061":2}',
                     b'{"method":"io.brood.Status","method":"io.brood.Status"}\0',
                     b'{"method":"io.brood.Submit","parameters":{"job":{"handler":"echo",'
                     b'"handler":"fail"}}}\0'):
            reply = answer(d, data)
            assert reply is None or "error" in reply, (data, reply)
        assert d.call("List")["jobs"] == []
        served(d)


def test_message_over_the_limit():
    """A message over MaxMessageSize is TooLarge or dropped, without being kept."""
    with Daemon(conf="[Queue]\nMaxMessageSize=100K\nMaxArgsSize=1M\n") as d:
        before = rss(d.pid)
        for size in 102400, 10 << 20:
            reply = answer(d, CALL % (b'{"a":"%s"}' % (b"x" * size)))
            assert reply is None or reply["error"] == "io.brood.TooLarge", reply
            if reply:
                assert reply["parameters"]["limit_bytes"] == 102400
        served(d)
        assert d.run("echo", {"a": "x" * 90000})["state"] == "succeeded"
        bounded(d, before, 20 << 20)


def test_endless_message():
    """A message without an end is dropped at the limit."""
    with Daemon(conf="[Queue]\nMaxMessageSize=1M\n") as d:
        before, sent = rss(d.pid), 0
        with d.connect() as c:
            c.send_raw(b'{"method":"')
            try:
                while sent < 64 << 20:
                    sent += c.socket.send(b"x" * 65536)
            except OSError:
                pass
            assert sent < 64 << 20
        served(d)
        bounded(d, before, 16 << 20)


def test_numbers_that_are_too_large():
    """Integers beyond 64 bits and reals beyond double are refused."""
    with Daemon() as d:
        for number in b"9223372036854775808", b"-9223372036854775809", b"1e999", b"9" * 400:
            for data in (CALL % (b'{"a":%s}' % number),
                         b'{"method":"io.brood.Submit","parameters":{"job":{"handler":"echo",'
                         b'"priority":%s}}}\0' % number):
                reply = answer(d, data)
                assert reply is None or "error" in reply, (data, reply)
        served(d)


def test_half_a_message_and_then_nothing():
    """Half a message is waited for, costs nobody anything, and goes with its client."""
    with Daemon() as d, d.steady_descriptors():
        clients = [d.connect() for _ in range(20)]
        for c in clients:
            c.send_raw(b'{"method":"io.brood.Sub')
        served(d)
        for c in clients[:10]:
            c.socket.shutdown(socket.SHUT_WR)
            assert c.is_closed()
        clients[10].send_raw(b'mit","parameters":{"job":{"handler":"echo"}}}\0')
        assert json.loads(clients[10].receive_raw())["parameters"]["id"]
        for c in clients:
            c.close()


def test_half_closed_client_gets_its_answers():
    """A client that has said all it had to say still gets its replies."""
    with Daemon() as d, d.connect() as c:
        c.send("Submit", {"job": {"handler": "sleep", "args": {"seconds": 0.1}}, "wait": True})
        c.socket.shutdown(socket.SHUT_WR)
        try:
            assert c.receive()["job"]["state"] == "succeeded"
        except Closed:
            pass  # or it is taken for one that has left: then the job runs all the same
        served(d)


def test_descriptors_nobody_asked_for():
    """Descriptors that come with a call that takes none are closed, and refused or ignored."""
    with Daemon() as d, d.steady_descriptors():
        ends = os.pipe()
        with d.connect() as c:
            for fds in [ends[1]], [ends[1]] * 3, [ends[1]] * 200:
                try:
                    c.send("Status", {}, fds=fds)
                    c.receive()
                except (VarlinkError, Closed, OSError):
                    c.close()
                    c = d.connect()
            try:
                for _ in range(50):  # with a byte that begins no message
                    c.send_raw(b" ", fds=[ends[1]] * 250)
            except OSError:
                pass
            c.close()
        os.close(ends[1])
        with os.fdopen(ends[0], "rb") as f:
            until(lambda: f.read() == b"", "all are closed")
        served(d)


def test_wrong_number_of_descriptors():
    """An attached exec job takes three descriptors, not one, two or four."""
    with Daemon({**DIAG, **EXEC}) as d, d.steady_descriptors():
        for n in 1, 2, 4, 10:
            ends = os.pipe()
            with d.connect() as c:
                job = {"handler": "exec", "attached": True, "args": {"argv": ["true"]}}
                try:
                    c.send("Submit", {"job": job, "wait": True}, fds=[ends[1]] * n)
                    c.receive()
                except (VarlinkError, Closed, OSError):
                    pass
            os.close(ends[1])
            with os.fdopen(ends[0], "rb") as f:
                assert f.read() == b""
        served(d)


def test_descriptors_on_a_job_that_is_not_exec():
    """Descriptors with a job of another handler are closed."""
    with Daemon() as d, d.steady_descriptors():
        ends = os.pipe()
        with d.connect() as c:
            try:
                c.send("Submit", {"job": {"handler": "echo", "attached": True}, "wait": True},
                       fds=[ends[1]] * 3)
                c.receive()
            except (VarlinkError, Closed, OSError):
                pass
            os.close(ends[1])
            with os.fdopen(ends[0], "rb") as f:
                assert f.read() == b""
        served(d)


def test_two_thousand_idle_connections():
    """2,000 idle connections cost little, and others are served meanwhile."""
    with Daemon() as d, d.steady_descriptors():
        served(d)
        before = rss(d.pid)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # ours; the daemon raises its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        idle = [d.connect() for _ in range(2000)]
        served(d)
        until(lambda: fd_count(d.pid) > 2000, "all are accepted")
        bounded(d, before, 16 << 20)
        for c in idle[::100]:
            assert c.call("Status")["state"] == "running"
        served(d)
        for c in idle:
            c.close()


def test_max_connections():
    """One connection more than MaxConnections, and the eight that are kept for who may operate, as
    this test may, is closed at once; the others live."""
    with Daemon(conf="[Daemon]\nMaxConnections=2\n") as d:
        d.disconnect()
        kept = []
        for _ in range(10):
            kept.append(d.connect())
        for c in kept:
            assert c.call("Status")["state"] == "running"
        for _ in range(5):
            with d.connect() as c:
                assert c.is_closed(5)
        for c in kept:
            assert c.call("Status")["state"] == "running"
            c.close()
        served(d)


def test_a_client_that_never_reads():
    """A client that never reads its replies costs bounded memory, and is then dropped."""
    with Daemon(conf="[Daemon]\nStallTimeout=1s\n") as d, d.steady_descriptors():
        big = d.run("echo", {"x": "y" * 200000})["id"]
        before = rss(d.pid)
        text = json.dumps({"method": "io.brood.Get", "parameters": {"id": big}}).encode() + b"\0"
        c = socket.socket(socket.AF_UNIX)
        c.connect(d.socket_path)
        c.setblocking(False)
        end, dropped = time.monotonic() + slow(20), False
        while time.monotonic() < end and not dropped:
            try:
                c.send(text * 100)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                dropped = True
            bounded(d, before, 64 << 20)
        assert dropped, "never dropped"
        c.close()
        served(d)


def test_a_client_that_reads_slowly_is_served():
    """Who reads now and then gets everything."""
    with Daemon(conf="[Daemon]\nStallTimeout=1s\n") as d, d.connect(60) as c:
        big = d.run("echo", {"x": "y" * 100000})["id"]
        n = 50
        for _ in range(n):
            c.send("Get", {"id": big})
        for _ in range(n):
            time.sleep(0.03)
            assert len(c.receive()["job"]["result"]["x"]) == 100000


def test_a_client_that_asks_for_much_and_reads_it():
    """Who asks for 200 MB in one breath, and reads it, gets it; it is not all made at once."""
    with Daemon() as d, d.connect(5) as c:  # no wait may be as long as StallTimeout=
        big = d.run("echo", {"x": "y" * 100000})["id"]
        before = rss(d.pid)
        text = json.dumps({"method": "io.brood.Get", "parameters": {"id": big}}).encode() + b"\0"
        sender = threading.Thread(target=c.send_raw, args=(text * 2000,))
        sender.start()
        try:
            for _ in range(2000):
                assert len(c.receive_raw()) > 100000
        finally:
            c.socket.shutdown(socket.SHUT_RDWR)
            sender.join()
        bounded(d, before, 64 << 20)


def test_many_clients_that_never_read():
    """Many such clients at once are bounded in sum, and others are served."""
    with Daemon(conf="[Daemon]\nStallTimeout=1s\n") as d, d.steady_descriptors():
        big = d.run("echo", {"x": "y" * 100000})["id"]
        text = json.dumps({"method": "io.brood.Get", "parameters": {"id": big}}).encode() + b"\0"
        before, first = rss(d.pid), fd_count(d.pid)
        clients = []
        for _ in range(30):
            c = socket.socket(socket.AF_UNIX)
            c.connect(d.socket_path)
            c.setblocking(False)
            try:
                while True:
                    c.send(text * 50)
            except BlockingIOError:
                clients.append(c)
        served(d)
        bounded(d, before, 300 << 20)
        until(lambda: fd_count(d.pid) <= first, "all are dropped", 10)
        for c in clients:
            c.close()
        served(d)


def test_leaving_in_the_middle_of_wait():
    """A client that leaves while it waits takes nothing with it, neither job nor daemon."""
    with Daemon() as d, d.steady_descriptors():
        id = d.submit("sleep", {"seconds": 0.5})
        for _ in range(50):
            c = d.connect()
            c.send("Wait", {"id": id})
            c.send("Status", {})
            c.send("Submit", {"job": {"handler": "echo", "delay_usec": 1000}}, more=True)
            c.close()
        assert d.wait(id)["state"] == "succeeded"
        served(d)


def test_leaving_in_the_middle_of_a_reply():
    """A client that leaves while a large reply is on its way."""
    with Daemon() as d, d.steady_descriptors():
        big = d.run("echo", {"x": "y" * 500000})["id"]
        for _ in range(20):
            c = d.connect()
            for _ in range(10):
                c.send("Get", {"id": big})
            c.socket.recv(10)
            c.close()
        served(d)


def test_garbage():
    """Random bytes, and calls with random damage, harm nobody."""
    dice = random.Random(4711)
    good = CALL % b'{"a":[1,2.5,"x\\u00e4",null,true,{"b":{}}]}'
    with Daemon() as d, d.steady_descriptors():
        for _ in range(300):
            data = bytearray(good * dice.randint(1, 3))
            for _ in range(dice.randint(1, 6)):
                at = dice.randrange(len(data))
                if dice.random() < 0.5:
                    data[at] = dice.randrange(256)
                else:
                    del data[at:at + dice.randint(1, 5)]
            c = d.connect()
            try:
                c.send_raw(bytes(data))
            except OSError:
                pass
            c.close()
        for _ in range(50):
            c = d.connect()
            try:
                c.send_raw(dice.getrandbits(8 * 2000).to_bytes(2000, "little"))
            except OSError:
                pass
            c.close()
        served(d)


def test_a_flood_of_connections():
    """Connections that come and go at once leave nothing."""
    with Daemon() as d, d.steady_descriptors():
        for _ in range(2000):
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.socket_path)
            s.close()
        served(d)


@alone
def test_others_are_served_meanwhile():
    """While bad clients do all this, a good one's jobs are answered in time."""
    with Daemon(conf="[Queue]\nMaxMessageSize=1M\n") as d:
        stop = threading.Event()

        def nuisance(seed):
            dice = random.Random(seed)
            while not stop.is_set():
                s = socket.socket(socket.AF_UNIX)
                try:
                    s.connect(d.socket_path)
                    s.sendall(dice.choice([
                        b"x" * 2000000, b"[" * 100000 + b"\0", b"{}\0" * 1000, b"\xff\0",
                        CALL % b'{"a":1,"a":1}', b'{"method":"io.brood.List"}\0' * 200]))
                except OSError:
                    pass
                s.close()

        threads = [threading.Thread(target=nuisance, args=(n,)) for n in range(3)]
        for t in threads:
            t.start()
        try:
            times = []
            with d.connect() as c:
                for n in range(200):
                    began = time.monotonic()
                    job = c.call("Submit", job={"handler": "echo", "args": {"n": n}}, wait=True)
                    assert job["job"]["result"] == {"n": n}
                    times.append(time.monotonic() - began)
            assert sorted(times)[100] < slow(0.1), sorted(times)[100]
        finally:
            stop.set()
            for t in threads:
                t.join()

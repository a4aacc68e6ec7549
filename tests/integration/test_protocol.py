# SPDX-License-Identifier: MIT
"""Varlink as clients see it: errors, oneway, more, pipelining."""

import json
import time

from harness import *


def test_unknown_interface():
    """InterfaceNotFound names the interface; the connection goes on."""
    with Daemon() as d:
        for method in "org.example.Nothing", "io.brooder.Status", "io.brood.Worker.Run":
            with refused("org.varlink.service.InterfaceNotFound") as e:
                d.client.call(method)
            assert e["interface"] == method.rpartition(".")[0]
        with refused("org.varlink.service.InterfaceNotFound") as e:
            d.client.call("org.varlink.service.GetInterfaceDescription", interface="x.y")
        assert e["interface"] == "x.y"
        assert d.status()["state"] == "running"


def test_unknown_method():
    """MethodNotFound names the method."""
    with Daemon() as d:
        for method in "io.brood.Nothing", "io.brood.submit", "org.varlink.service.Nothing":
            with refused("org.varlink.service.MethodNotFound") as e:
                d.client.call(method)
            assert e["method"] in (method, method.rpartition(".")[2])


def test_wrong_parameters():
    """A parameter of a wrong type, unknown or missing is named in InvalidParameter."""
    wrong = [
        ("Submit", {}, "job"),
        ("Submit", {"job": 1}, "job"),
        ("Submit", {"job": {}}, "job.handler"),
        ("Submit", {"job": {"handler": 1}}, "job.handler"),
        ("Submit", {"job": {"handler": None}}, "job.handler"),
        ("Submit", {"job": {"handler": "echo", "args": []}}, "job.args"),
        ("Submit", {"job": {"handler": "echo", "args": "{}"}}, "job.args"),
        ("Submit", {"job": {"handler": "echo", "priority": "1"}}, "job.priority"),
        ("Submit", {"job": {"handler": "echo", "priority": 1.5}}, "job.priority"),
        ("Submit", {"job": {"handler": "echo", "after": "x"}}, "job.after"),
        ("Submit", {"job": {"handler": "echo", "tags": [1]}}, "job.tags"),
        ("Submit", {"job": {"handler": "echo", "attached": 1}}, "job.attached"),
        ("Submit", {"job": {"handler": "echo", "durability": "never"}}, "job.durability"),
        ("Submit", {"job": {"handler": "echo", "what": 1}}, "job.what"),
        ("Submit", {"job": {"handler": "echo"}, "what": 1}, "what"),
        ("Submit", {"job": {"handler": "echo"}, "wait": "yes"}, "wait"),
        ("SubmitMany", {"jobs": {}}, "jobs"),
        ("SubmitMany", {"jobs": [{"handler": "echo"}, 7]}, "jobs"),
        ("Get", {}, "id"),
        ("Get", {"id": 1}, "id"),
        ("Wait", {"id": "x", "timeout_usec": True}, "timeout_usec"),
        ("List", {"state": "dead"}, "state"),
        ("List", {"limit": -1}, "limit"),
        ("Status", {"x": 1}, "x"),
        ("ScalePool", {"pool": "diag", "min_workers": -1, "max_workers": 1}, "min_workers"),
    ]
    with Daemon() as d:
        for method, parameters, name in wrong:
            with refused("org.varlink.service.InvalidParameter") as e:
                d.call(method, **parameters)
            got = e["parameter"]
            assert got == name or got.startswith(name + "[") or got.startswith(name + "."), (
                method, parameters, got)
        assert d.call("List")["jobs"] == []


def test_null_is_absent():
    """A parameter that is null is one that is not there."""
    with Daemon() as d:
        reply = d.call("Submit", job={"handler": "echo", "args": None, "id": None, "after": None,
                                      "attached": None}, wait=None)
        d.wait(reply["id"])
        assert len(d.call("List", state=None, pool=None, limit=None)["jobs"]) == 1
        d.client.send("Status")
        assert d.client.receive()["state"] == "running"
        d.client.send_raw(b'{"method":"io.brood.Status","parameters":null}\0')
        assert json.loads(d.client.receive_raw())["parameters"]["state"] == "running"


def test_members_in_any_order():
    """The envelope's members may come in any order, with any white space and escapes."""
    with Daemon() as d, d.connect() as c:
        c.send_raw(b' \n{ "parameters" : { "wait":true ,"job" : {"args":{"b":[1 , 2]},\r\n'
                   b'"h\\u0061ndler":"ec\\u0068o"} }\t, "method":"io.brood.Submit" }\n\0')
        reply = json.loads(c.receive_raw())
        assert reply["parameters"]["job"]["result"] == {"b": [1, 2]}, reply


def test_oneway():
    """A oneway call is carried out and gets no reply, whatever comes of it."""
    with Daemon() as d, d.connect() as c:
        c.send("Submit", {"job": {"handler": "echo", "tags": ["one"]}}, oneway=True)
        c.send("Submit", {"job": {"handler": "nothing"}}, oneway=True)
        c.send("Nothing", {}, oneway=True)
        c.send("Submit", {"job": {"handler": "sleep", "args": {"seconds": 0.05},
                                  "tags": ["one"]}, "wait": True}, oneway=True)
        assert c.call("Status")["state"] == "running"  # the first reply is this one's
        jobs = until(lambda: d.call("List", tag="one", state="succeeded")["jobs"], "it ran")
        until(lambda: len(d.call("List", tag="one", state="succeeded")["jobs"]) == 2, "both ran")
        assert jobs


def test_pipelining():
    """Calls may be sent ahead; replies come in the order of the calls."""
    with Daemon() as d, d.connect() as c:
        for n in range(200):
            c.send("Submit", {"job": {"handler": "echo", "args": {"n": n}}, "wait": True})
            if n % 10 == 0:
                c.send("Status", {})
        for n in range(200):
            assert c.receive()["job"]["result"] == {"n": n}
            if n % 10 == 0:
                assert "pools" in c.receive()


def test_a_held_wait_holds_replies_not_actions():
    """Behind a Wait that is held, calls are carried out, and their replies wait."""
    with Daemon() as d, d.connect() as c:
        id = d.submit("sleep", {"seconds": 50})
        c.send("Wait", {"id": id})
        c.send("Submit", {"job": {"handler": "echo", "args": {"n": 1}, "tags": ["behind"]}})
        until(lambda: d.call("List", tag="behind", state="succeeded")["jobs"],
              "the job behind the Wait has run")
        c.send("Cancel", {"id": id})
        first = c.receive()
        assert first["job"]["id"] == id and first["job"]["state"] == "cancelled"
        assert "id" in c.receive()
        assert c.receive()["state"] in ("running", "cancelled")


def test_more_holds_replies_too():
    """The replies of a call with more come together, before those of later calls."""
    with Daemon() as d, d.connect() as c:
        c.send("Submit", {"job": {"handler": "sleep", "args": {"seconds": 0.2}}}, more=True)
        c.send("Status", {})
        while True:
            message = c.receive_message()
            assert "pools" not in message["parameters"]
            if not message.get("continues"):
                break
        assert "pools" in c.receive()


def test_more_where_one_reply_is_enough():
    """A method that has one reply gives it, with more set, too."""
    with Daemon() as d, d.connect() as c:
        replies = list(c.more("Status"))
        assert len(replies) == 1 and replies[0]["state"] == "running"


def test_many_outstanding_calls():
    """Thousands of held calls on one connection are answered in the end."""
    with Daemon() as d, d.connect(60) as c:
        id = d.submit("sleep", {"seconds": 50})
        text = json.dumps({"method": "io.brood.Wait", "parameters": {"id": id}}).encode() + b"\0"
        c.socket.setblocking(False)
        sent, data = 0, text * 5000
        end = time.monotonic() + 1
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += c.socket.send(data[sent:sent + 65536])
            except BlockingIOError:
                break  # it has stopped reading: enough is outstanding
        c.socket.setblocking(True)
        assert d.status()["state"] == "running"  # others are served
        d.call("Cancel", id=id)
        sender = __import__("threading").Thread(target=c.socket.sendall, args=(data[sent:],))
        sender.start()
        for _ in range(5000):
            assert json.loads(c.receive_raw())["parameters"]["job"]["id"] == id
        sender.join()


def test_messages_in_pieces():
    """A call that comes byte by byte is a call."""
    with Daemon() as d, d.connect() as c:
        for byte in b'{"method":"io.brood.Submit","parameters":{"job":{"handler":"echo"}}}\0':
            c.send_raw(bytes([byte]))
        assert "id" in json.loads(c.receive_raw())["parameters"]


def test_upgrade_is_not_offered():
    """A call that asks for an upgrade is answered as any other, or refused; nothing hangs."""
    with Daemon() as d, d.connect() as c:
        c.send_raw(b'{"method":"io.brood.Status","parameters":{},"upgrade":true}\0')
        assert json.loads(c.receive_raw())
        assert c.call("Status")["state"] == "running"

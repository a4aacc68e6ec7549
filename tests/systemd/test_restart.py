# SPDX-License-Identifier: MIT
"""What clients see of a restart: nothing but a little time."""

import collections
import json

from machine import *

# Clients that connect anew for each job; a call whose answer was lost is repeated with its id.
CLIENTS = r"""
import json, os, socket, sys, threading, time, uuid
N, SECONDS = int(sys.argv[1]), float(sys.argv[2])
refused, sent, lost = [], [], [0]
end = time.monotonic() + SECONDS
def call(method, parameters):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    try:
        try:
            s.connect("/run/brood/brood.sock")
        except OSError as e:
            refused.append(str(e))
            raise
        s.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        data = b""
        while not data.endswith(b"\0"):
            part = s.recv(65536)
            if not part:
                raise ConnectionResetError("no answer")
            data += part
        return json.loads(data[:-1])
    finally:
        s.close()
def submit(spec):
    while True:
        try:
            answer = call("io.brood.Submit", {"job": spec})
        except OSError:
            lost[0] += 1
            time.sleep(0.01)
            continue
        if "error" not in answer:
            return
        if answer["error"] != "io.brood.Draining":
            refused.append(json.dumps(answer))
            return
        time.sleep(0.01)
def client():
    while time.monotonic() < end:
        id = str(uuid.uuid4())
        submit({"id": id, "handler": "exec", "max_attempts": 10, "args": {
            "argv": ["/bin/sh", "-c", "echo %s >>/var/lib/brood-worker/ran" % id]}})
        sent.append(id)
        time.sleep(0.02)
threads = [threading.Thread(target=client) for _ in range(N)]
[t.start() for t in threads]
[t.join() for t in threads]
print(json.dumps({"refused": refused, "sent": sent, "repeated": lost[0]}))
"""


def run_clients(m, seconds, act):
    """Clients submit for so long, while act(m, round) goes on. Returns what they tell."""
    m.drop_in("[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=50ms\n")
    m.restart()
    m.write("/tmp/clients.py", CLIENTS)
    clients = m.begin("python3", "/tmp/clients.py", "8", str(seconds), user="member")
    rounds = 0
    while clients.poll() is None and rounds < seconds / 0.6:
        m.run("sleep", "0.4")
        act(m, rounds)
        rounds += 1
    out, err = clients.communicate(timeout=40)
    assert clients.returncode == 0, err
    told = json.loads(out)
    assert not told["refused"], told["refused"][:10]
    assert len(told["sent"]) > 100
    return told


def check_each_is_done_once(m, told):
    """Each job is there, and ran as often as its attempts tell, the last time to its end."""
    until(lambda: not [j for j in m.jobs("--handler=exec", "--limit=100000", user="root")
                       if j["state"] not in ("succeeded", "failed")], "every job has ended", 30)
    jobs = {job["id"]: job for job in m.jobs("--handler=exec", "--limit=100000", user="root")}
    assert set(jobs) == set(told["sent"]), (len(jobs), len(told["sent"]))
    runs = collections.Counter(m.read("/var/lib/brood-worker/ran").split())
    for id, job in jobs.items():
        assert job["state"] == "succeeded", job
        assert 1 <= runs[id] <= len(job["attempts"]), (runs[id], job)


def restart(m, _):
    m.restart()


def restart_or_kill(m, round):
    if round % 2:
        old = m.main_pid()
        m.kill_main("KILL")
        m.await_new_main(old)
    else:
        m.restart()


@alone
def test_a_restart_refuses_nobody(m):
    """8 clients submit while it is restarted: the old or the new daemon answers each call."""
    told = run_clients(m, 4, restart)
    check_each_is_done_once(m, told)
    assert told["repeated"] == 0, told["repeated"]


@alone
def test_deaths_among_clients(m):
    """8 clients submit while it is restarted and killed: none refused, lost or done twice."""
    check_each_is_done_once(m, run_clients(m, 4, restart_or_kill))


@alone
def test_broodctl_has_patience(m):
    """broodctl submit while it is restarted, and has a job to wait for: no one fails."""
    m.restart()
    slow = m.submit("sleep", {"seconds": 3})
    m.await_job(slow, "running")
    loop = m.begin("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do "
                   "broodctl submit echo '{}' >/dev/null || echo refused; sleep 0.3; done",
                   user="member")
    m.restart()
    out, err = loop.communicate(timeout=60)
    assert "refused" not in out + err and loop.returncode == 0, (out, err)
    assert m.get(slow)["state"] == "succeeded"
    until(lambda: len(m.jobs("--handler=echo", user="root")) == 12, "all were taken", 10)

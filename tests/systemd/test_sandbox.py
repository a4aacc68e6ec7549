# SPDX-License-Identifier: MIT
"""What is closed to jobs, and what the documented drop-ins open."""

import json
import os
import re

from machine import *

DROP_INS = "/usr/share/doc/broodd/drop-ins/"


def drop_in(m, name, change=lambda text: text):
    """Takes a drop-in as its own comment says."""
    m.write("/etc/systemd/system/%s.d/%s" % (SERVICE, name), change(m.read(DROP_INS + name)))
    m.systemctl("daemon-reload")
    m.restart()


def refused(m, text):
    """The script must fail; returns what it wrote to stderr."""
    done = m.shell(text)
    assert done["exit_status"] != 0, (text, done)
    return done["stderr"]


def output(m, text, user="member"):
    done = m.shell(text, user=user)
    assert done["exit_status"] == 0, (text, done)
    return done["stdout"].strip()


def test_a_command_is_confined(m):
    """It has no rights and gains none, writes nothing but its own, and sees nobody's files."""
    for path in "/usr/x", "/etc/x", "/etc/brood/x", "/run/brood/x", "/boot/x", "/home/x":
        refused(m, "echo x >" + path)
    assert "Read-only" in refused(m, "echo x >/var/x")
    status = output(m, "cat /proc/self/status")
    for line in "NoNewPrivs:\t1", "Seccomp:\t2":
        assert line in status, line
    for kind in "Inh", "Prm", "Eff", "Amb":
        assert "Cap%s:\t0000000000000000" % kind in status, status
    m.write("/home/member/secret", "x", 0o644)
    os.chmod(m.path("/home/member"), 0o755)
    refused(m, "cat /home/member/secret")
    refused(m, "cat /proc/1/environ")
    refused(m, "kill -0 1")
    refused(m, "kill -0 %d" % m.main_pid())
    refused(m, "cat /proc/%d/environ" % m.main_pid())
    m.write("/tmp/of-others", "x")
    refused(m, "cat /tmp/of-others")
    output(m, "echo x >/tmp/mine && echo y >/var/tmp/mine && echo z >/var/lib/brood-worker/mine")
    assert not m.exists("/tmp/mine") and m.exists("/var/lib/brood-worker/mine")


def test_a_command_has_no_network_and_no_namespaces(m):
    """Sockets of other families, namespaces, devices and foreign system calls are refused."""
    for code in ("import socket; socket.socket(socket.AF_INET)",
                 "import mmap; mmap.mmap(-1, 4096, prot=7)",
                 "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"):
        refused(m, "python3 -c '%s'" % code)
    refused(m, "unshare -U true")
    refused(m, "mount -t tmpfs x /tmp")
    refused(m, "chmod u+s /var/lib/brood-worker/x || touch /var/lib/brood-worker/x && chmod u+s "
            "/var/lib/brood-worker/x")
    devices = output(m, "ls /dev").split()
    assert "null" in devices and "mem" not in devices and "kmsg" not in devices, devices


def test_home_conf_opens_people_s_files(m):
    """home.conf: a job reads and writes in /home, where its user may."""
    m.run("install", "-d", "-o", "brood-worker", "/home/shared")
    refused(m, "echo x >/home/shared/x")
    drop_in(m, "home.conf")
    output(m, "echo x >/home/shared/x && echo x >/tmp/seen")
    assert m.exists("/home/shared/x") and m.exists("/tmp/seen")
    refused(m, "echo x >/usr/x")


def test_network_conf_opens_the_network(m):
    """network.conf: a job listens and connects."""
    talk = ('python3 -c \'import socket; s = socket.create_server(("127.0.0.1", 0)); '
            'c = socket.create_connection(s.getsockname(), 5); c.send(b"x"); '
            'print(s.accept()[0].recv(1))\'')
    refused(m, talk)
    drop_in(m, "network.conf")
    assert output(m, talk) == "b'x'"


def look(m, pool):
    """What is found by a look into the first worker of a pool."""
    name = m.worker_list(pool)[0]["name"]
    return json.loads(m.ctl("--json", "inspect", "--stack", name, user="root").out)["report"]


def test_inspect_conf_opens_workers(m):
    """inspect.conf: workers that run commands can be looked into, and the stacks of all; without it
    only those of modules, and no stack. Jobs have no more rights than before."""
    closed = look(m, "exec")
    assert {"memory", "descriptors"} <= set(closed["denied"]["what"]), closed
    assert re.search(r"/broodd\.service/pool-exec/\d+\.\d+$", closed["cgroup"]["path"]), closed
    assert closed["cgroup"]["cpu_usec"] > 0, closed
    module = look(m, "diag")
    assert "denied" not in module and module["descriptors"]["total"] > 3, module
    assert not module["stack"].get("threads") and module["stack"]["error"], module
    drop_in(m, "inspect.conf")
    for pool in "exec", "diag":
        opened = look(m, pool)
        assert "denied" not in opened and opened["descriptors"]["total"] > 3, opened
        assert opened["stack"]["threads"] or "elfutils" in opened["stack"]["error"], opened
    for kind in "Inh", "Prm", "Eff", "Amb":
        assert "Cap%s:\t0000000000000000" % kind in output(m, "cat /proc/self/status")


def test_jit_conf_opens_writable_code(m):
    """jit.conf: memory may be written and executed."""
    drop_in(m, "jit.conf")
    output(m, "python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'")


def test_device_conf_opens_a_device(m):
    """device.conf: the device that it names is there, for a pool that has its group."""
    os.mknod(m.path("/dev/ttyUSB0"), 0o20660, os.makedev(1, 3))
    os.chmod(m.path("/dev/ttyUSB0"), 0o660)
    m.run("chown", "root:dialout", "/dev/ttyUSB0")
    m.pool("exec", "[Pool]\nHandlers=exec\nBuiltin=exec\nMinWorkers=1\n[Process]\n"
           "SupplementaryGroups=dialout\n")
    m.systemctl("reload", SERVICE)
    refused(m, "echo x >/dev/ttyUSB0")
    drop_in(m, "device.conf")
    output(m, "echo x >/dev/ttyUSB0")


def test_a_pool_has_a_user_of_its_own(m):
    """User= of a pool: its jobs run as that user, and the others as before."""
    m.pool("exec", "[Pool]\nHandlers=exec\nBuiltin=exec\nMinWorkers=1\n[Process]\nUser=colleague\n"
           "Group=colleague\n")
    m.systemctl("reload", SERVICE)
    assert output(m, "id -un") == "colleague"
    assert m.call("echo", {"x": 1}) == {"x": 1}
    refused(m, "echo x >/usr/x")
    refused(m, "cat /var/lib/brood/brood.db")
    told = json.loads(m.ctl("workers", "--json", "exec", user="root").out)["workers"]
    assert told and all(w["memory_bytes"] > 0 for w in told), told


def test_users_conf_opens_what_needs_root(m):
    """users.conf: a nice level below the daemon's; without it that is an error, and nothing
    changes."""
    m.pool("exec", "[Pool]\nHandlers=exec\nBuiltin=exec\nMinWorkers=1\n[Process]\nUser=colleague\n"
           "Group=colleague\nNice=-5\n")
    done = m.systemctl("reload", SERVICE, status=None)
    assert done.status != 0
    m.await_message(r"exec\.pool.*Nice=", "-u", SERVICE)
    assert output(m, "id -un") == "brood-worker"
    drop_in(m, "users.conf")
    assert output(m, "id -un; nice") == "colleague\n-5"
    refused(m, "cat /var/lib/brood/brood.db")


def test_the_units_are_correct_and_hardened(m):
    """systemd-analyze: no word from verify, and security at 2.5 or better."""
    done = m.run("systemd-analyze", "verify", "--man=no", SERVICE, SOCKET, "brood-submit@x.service",
                 "brood-submit@x.timer", status=None)
    assert "brood" not in done.out + done.err, done
    done = m.run("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=25",
                 "/lib/systemd/system/" + SERVICE, status=None)
    assert done.status == 0, done.out[-300:] + done.err
    for property, value in (("Type", "notify"), ("Restart", "on-failure"), ("KillMode", "mixed"),
                            ("OOMPolicy", "continue"), ("Delegate", "yes"),
                            ("NotifyAccess", "main"), ("StateDirectory", "brood")):
        assert m.show(property) == value, (property, m.show(property))
    assert m.show("WatchdogUSec") not in ("0", "infinity")

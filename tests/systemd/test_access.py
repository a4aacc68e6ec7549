# SPDX-License-Identifier: MIT
"""Access by the users and groups of the machine: members of the group brood among themselves."""

import json

from machine import *

SECRET = "what nobody else may know"


def conf(m, text):
    m.write("/etc/brood/brood.conf", text)
    m.systemctl("reload", SERVICE)


def test_a_member_sees_its_own_jobs_only(m):
    """Another member's job is not listed, shown, waited for, followed, cancelled or retried."""
    mine = m.submit("sleep", {"seconds": 30, "note": SECRET}, "--tag=" + SECRET.replace(" ", "-"))
    done = m.submit("echo", {"note": SECRET})
    m.ctl("wait", done)
    m.await_job(mine, "running")
    for verb in ("get", mine), ("get", done), ("wait", done), ("follow", mine), ("why", mine), \
            ("cancel", mine), ("cancel", "--force", mine), ("retry", done):
        refused = m.ctl(*verb, user="colleague", status=None)
        assert refused.status not in (0, 2, 3), (verb, refused)
        assert SECRET not in refused.out + refused.err, (verb, refused)
    for verb in ("list",), ("list", "--json"), ("workers", "--json"), ("status", "--json"), \
            ("pools", "--json"):
        shown = m.ctl(*verb, user="colleague", status=None)
        for secret in SECRET, SECRET.replace(" ", "-"), mine, done:
            assert secret not in shown.out + shown.err, (verb, shown)
    assert m.get(mine)["state"] == "running"
    assert mine in m.ctl("list", user="root").out
    m.ctl("cancel", "--force", mine)


def test_a_member_does_not_operate(m):
    """Pausing, scaling, reloading, draining: refused, and nothing of it happens."""
    for verb in ("pause", "diag"), ("scale", "diag", "0"), ("restart", "diag"), ("reload",), \
            ("drain",), ("resume",):
        refused = m.ctl(*verb, status=4)
        assert refused.err, verb
    assert m.call("echo", {"x": 1}) == {"x": 1}
    assert len(m.workers("diag")) == 2


def test_a_group_may_operate(m):
    """Operate=@GROUP: its members see everybody's jobs and may reload; the others still may not."""
    m.run("groupadd", "operators")
    m.run("usermod", "-aG", "operators", "colleague")
    conf(m, "[Access]\nSubmit=@brood\nOperate=@operators\n")
    job = m.submit("echo", {"x": "y"}, "--delay=1h")
    assert job in m.ctl("list", user="colleague").out
    m.ctl("cancel", job, user="colleague")
    m.ctl("reload", user="colleague")
    m.ctl("reload", user="member", status=4)


def test_a_name_that_does_not_exist_is_an_error(m):
    """A user who is not there is an error of the config, with file and line."""
    m.write("/etc/brood/brood.conf", "[Access]\nOperate=nobody-of-that-name\n")
    assert m.systemctl("reload", SERVICE, status=None).status != 0
    m.await_message(r"brood\.conf:2:.*nobody-of-that-name", "-u", SERVICE)


def test_a_users_limit_stops_a_flood(m):
    """MaxQueued= of [Access]: one user's flood is refused with the limit's name; others go on."""
    conf(m, "[Access]\nMaxQueued=5\n")
    for _ in range(5):
        m.submit("echo", {}, "--delay=1h")
    refused = m.ctl("submit", "echo", "{}", status=4)
    assert "queued" in refused.err.lower() and "5" in refused.err, refused.err
    assert m.call("echo", {"x": 1}, user="colleague") == {"x": 1}


def test_a_pool_for_some_only(m):
    """Submit= of a pool: who is not named there is refused, by name of what they asked for."""
    m.pool("diag", DIAG + "Submit=colleague\n")
    m.systemctl("reload", SERVICE)
    m.ctl("submit", "echo", "{}", status=4)
    assert m.call("echo", {"x": 1}, user="colleague") == {"x": 1}
    assert json.loads(m.ctl("submit", "--wait", "celsius", '{"fahrenheit": 32}').out)

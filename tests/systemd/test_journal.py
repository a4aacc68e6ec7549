# SPDX-License-Identifier: MIT
"""The journal: what a job writes and what happens to it is found by its id."""

from machine import *

FIELDS = "BROOD_POOL", "BROOD_WORKER", "BROOD_ATTEMPT"


def entries(m, job):
    return m.journal("BROOD_JOB=" + job)


def await_entries(m, job, *texts):
    """Waits until the journal has these messages of the job; returns them in that order."""
    def there():
        found = [[e for e in entries(m, job) if e["MESSAGE"] == t] for t in texts]
        return [e[0] for e in found] if all(found) else None
    return until(there, lambda: "%s of job %s in the journal, but: %s" % (
        texts, job, [e["MESSAGE"] for e in entries(m, job)]))


def test_what_a_command_writes_is_found_by_its_job(m):
    """journalctl BROOD_JOB=ID shows stdout and stderr, with pool, worker and attempt."""
    other = m.submit_shell("echo of another job; sleep 0.3; echo its end")
    job = m.submit_shell("echo first line; sleep 0.2; echo second line >&2; printf 'no newline'")
    m.ctl("wait", job, other)
    found = await_entries(m, job, "first line", "second line", "no newline")
    for entry in found:
        for field in FIELDS:
            assert entry.get(field), (field, entry)
        assert entry["BROOD_POOL"] == "exec" and entry["BROOD_ATTEMPT"] == "1", entry
        assert entry["_SYSTEMD_UNIT"] == SERVICE, entry
    assert not [e for e in entries(m, job) if "another" in e["MESSAGE"]]
    shown = m.run("journalctl", "--no-pager", "-u", "broodd", "BROOD_JOB=" + job).out
    assert "first line" in shown and "second line" in shown, shown


def test_what_a_worker_writes_is_found_by_its_job(m):
    """What a handler writes to stderr has the fields of the job that it worked for."""
    m.pool("own", "[Pool]\nHandlers=add boom\nMinWorkers=1\nSpareWorkers=0\nMaxAttempts=1\n"
           "Command=/usr/bin/python3 /usr/local/lib/brood-test/worker.py\n")
    m.restart()
    job = m.submit("boom")
    m.await_job(job, "failed")
    entry, = await_entries(m, job, "boom goes the worker")
    assert entry["BROOD_POOL"] == "own" and entry["_SYSTEMD_UNIT"] == SERVICE, entry


def test_events_have_fields_and_a_catalog(m):
    """A worker's death and a job's end have a MESSAGE_ID, which journalctl -x explains."""
    job = m.submit("crash", {"signal": "SEGV"}, "--max-attempts=1")
    m.await_job(job, "failed")
    told = until(lambda: [e for e in entries(m, job) if e.get("MESSAGE_ID")],
                 lambda: "an entry with MESSAGE_ID, but: %s" % entries(m, job))
    died = [e for e in told if "SEGV" in e["MESSAGE"] and "diag" in e.get("BROOD_WORKER", "")]
    assert died, [(e["MESSAGE"], e.get("BROOD_WORKER")) for e in told]
    assert int(died[0]["PRIORITY"]) <= 5, died
    for message_id in {e["MESSAGE_ID"] for e in told}:
        shown = m.run("journalctl", "--no-pager", "-x", "MESSAGE_ID=" + message_id).out
        assert "░░" in shown or "\n-- Subject:" in shown, shown
        assert m.run("journalctl", "--list-catalog", message_id).out.strip()


def test_journalctl_u_tells_the_story(m):
    """journalctl -u broodd: it is ready, it reloads, it stops; each line with its level."""
    m.systemctl("reload", SERVICE)
    m.systemctl("stop", SERVICE)
    lines = m.journal("-u", SERVICE, "_COMM=broodd")
    text = "\n".join(e["MESSAGE"] for e in lines)
    assert "is ready" in text and "stopping" in text and "stopped" in text, text
    assert {e["PRIORITY"] for e in lines} <= {"4", "5", "6"}, text
    assert not [e for e in lines if e["MESSAGE"].startswith("<")], text


def test_a_journal_that_restarts_loses_no_later_line(m):
    """systemd-journald is restarted: what is written afterwards is found."""
    m.systemctl("restart", "systemd-journald.service")
    job = m.submit_shell("echo after the restart")
    m.ctl("wait", job)
    await_entries(m, job, "after the restart")

# SPDX-License-Identifier: MIT
"""Recurring jobs: brood-submit@NAME.timer and .service."""

from machine import *

# No more than five starts in ten seconds: more would be systemd's own start limit.
OFTEN = """[Timer]
OnCalendar=
OnActiveSec=100ms
OnUnitInactiveSec=1s
AccuracySec=50ms
"""


def recurring(m, name, text, timer=OFTEN):
    m.write("/etc/brood/recurring/%s.conf" % name, text)
    m.drop_in(timer, unit="brood-submit@%s.timer" % name)


def test_a_timer_submits_a_recurring_job(m):
    """Each time a job with its handler, arguments and options, also if the daemon does not run."""
    recurring(m, "tick", "HANDLER=echo\nARGS='{\"tick\": [1, 2]}'\n"
              "OPTIONS=--tag=tick --max-attempts=2\n")
    m.systemctl("stop", SERVICE)
    m.systemctl("enable", "--now", "brood-submit@tick.timer")
    jobs = until(lambda: [j for j in m.jobs("--tag=tick", user="root")
                          if j["state"] == "succeeded"][2:] and m.jobs("--tag=tick", user="root"),
                 "three jobs are done", 15)
    job = m.get(jobs[-1]["id"], user="root")
    assert job["result"] == {"tick": [1, 2]} and job["spec"]["max_attempts"] == 2, job
    m.systemctl("stop", "brood-submit@tick.timer")


def test_oncalendar_in_seconds(m):
    """A timer by the calendar, as the manual shows it."""
    recurring(m, "cal", "HANDLER=celsius\nARGS='{\"fahrenheit\": 32}'\nOPTIONS=--tag=cal\n",
              "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nAccuracySec=50ms\n")
    m.start("brood-submit@cal.timer")
    until(lambda: len([j for j in m.jobs("--tag=cal", user="root")
                       if j["state"] == "succeeded"]) >= 2, "two jobs are done", 15)


def test_a_slow_job_does_not_pile_up(m):
    """As long as the last job of the name has not ended, there is no second one."""
    recurring(m, "slow", "HANDLER=sleep\nARGS='{\"seconds\": 30}'\nOPTIONS=--tag=slow\n")
    m.start("brood-submit@slow.timer")
    until(lambda: len(m.journal("UNIT=brood-submit@slow.service", "JOB_TYPE=start",
                                "JOB_RESULT=done")) >= 3, "it was submitted three times", 15)
    job, = m.jobs("--tag=slow", user="root")
    assert job["state"] == "running", job


def test_a_recurring_job_without_a_description_says_so(m):
    """No recurring/NAME.conf: the start fails at once, and says why."""
    done = m.systemctl("start", "brood-submit@none.service", status=None)
    assert done.status != 0 and "Assertion failed" in done.err, done
    assert m.show("AssertResult", "brood-submit@none.service") == "no"


def test_wrong_options_are_not_tried_again(m):
    """Wrong usage stays wrong: it fails, with the reason in the journal."""
    m.write("/etc/brood/recurring/wrong.conf", "HANDLER=echo\nOPTIONS=--nonsense\n")
    done = m.systemctl("start", "brood-submit@wrong.service", status=None)
    assert done.status != 0
    assert m.is_active("brood-submit@wrong.service") == "failed"
    m.await_message("nonsense", "-u", "brood-submit@wrong.service")

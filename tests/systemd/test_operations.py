# SPDX-License-Identifier: MIT
"""docs/operations.md: every command of root is run, in its order, on a machine that has brood."""

import os
import sys

from box import HERE
from machine import *

sys.path.append(os.path.join(HERE, "..", "integration"))

from pages import chapters, fits

PAGE = os.path.join(HERE, "..", "..", "docs", "operations.md")


@limit(150)
def test_commands_do_what_is_shown(m):
    """Each ends well and prints what stands below it; jobs that were accepted are there at the
    end, and the figures are served."""
    later = m.submit("echo", {"x": "kept"}, "--delay=1h")
    n = 0
    for title, commands in chapters(PAGE, "$#"):
        for prompt, command, shown in commands:
            if prompt != "#":
                continue
            old = m.main_pid()
            done = m.run("bash", "-c", command, seconds=60)
            assert not shown or fits(shown, done.out), (title, command, done.out)
            if "--signal=KILL" in command:
                m.await_new_main(old, 20)
            n += 1
    assert n >= 20, n
    assert m.get(later)["state"] == "scheduled"
    assert m.exists("/var/backups/brood.db") and m.exists("/var/lib/brood/old/brood.db")
    assert m.is_active("broodd-metrics.socket") == "active"
    m.ctl("cancel", later)

# SPDX-License-Identifier: MIT
"""docs/how-it-works.md: every command prints what the page shows."""

import os
import shutil
import subprocess

from harness import *
from pages import *

PAGE = source("docs", "how-it-works.md")


def typed(command):
    """What it prints, with CPython 3.11 as python3, where the examples are."""
    python = next((p for p in ("/usr/bin/python3", shutil.which("python3")) if p and version(p)),
                  None)
    unless(python, "there is no CPython 3.11")
    env = {**os.environ, "PATH": "%s:%s" % (os.path.dirname(python), os.environ["PATH"]),
           "LC_ALL": "C.UTF-8"}
    for name in [name for name in env if name.startswith("PYTHON")]:
        del env[name]
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
                          cwd=build("lib", "examples"), timeout=slow(30))
    return done.stdout


def version(python):
    try:
        return subprocess.run([python, "--version"], stdout=subprocess.PIPE, text=True, check=True,
                              timeout=slow(10)).stdout.startswith("Python 3.11.")
    except (OSError, subprocess.CalledProcessError):
        return False


def unless_traced():
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False,
                          stderr=subprocess.DEVNULL, timeout=slow(10)) \
        if shutil.which("strace") else None
    unless(done and done.returncode == 0, "strace is not there, or may not trace")
    unless(not SANITIZED, "a program with sanitizers makes calls of its own")


def test_every_question_has_an_answer_that_is_shown():
    """Each of the page's questions has at least one command."""
    questions = [title for title, commands in chapters(PAGE) if commands]
    assert len(questions) == len(list(chapters(PAGE))) >= 9, questions


@limit(150)
def test_commands_print_what_is_shown():
    """Each command, typed as it stands, prints what stands below it."""
    unless_traced()
    n = 0
    for title, commands in chapters(PAGE):
        for _, command, shown in commands:
            assert shown, (title, command)
            got = typed(command)
            assert fits(shown, got), "\n".join([title, command, "prints", got, "and not", shown])
            n += 1
    wait_gone(descendants(os.getpid()))  # a child whose parent is killed outlives the command
    assert n >= 25, n

# SPDX-License-Identifier: MIT
"""docs/python.md: every file that it shows is written, every command typed, in its order."""

import os
import re
import subprocess

from harness import *

PAGE = source("docs", "python.md")


def blocks():
    """The indented blocks, in order: ("file", name, text), ("command", command, output)."""
    with open(PAGE, encoding="utf-8") as f:
        text = f.read()
    for block in re.findall(r"(?:^    .*\n(?:^\n(?=    ))?)+", text, re.M):
        lines = [line[4:] for line in block.split("\n")]
        for part in re.split(r"\n(?=# \S+\.(?:py|pool)\n|\$ )", "\n".join(lines).strip("\n")):
            part = part.strip("\n")
            first, _, rest = part.partition("\n")
            if first.startswith("$ "):
                yield "command", first[2:], rest + "\n" if rest else ""
            else:
                yield "file", first[2:], rest + "\n"


def place(d, name):
    return d.path("config", name[len("/etc/brood/"):]) if name.startswith("/etc/") \
        else d.path("srv", name)


def as_here(d, text):
    """What is at other places here: the handlers, and the package that is not installed."""
    text = text.replace("/srv/", d.path("srv") + "/").replace("/etc/brood/", d.path("config/"))
    if text.startswith("[Pool]"):
        process = "[Process]\nEnvironment=PYTHONPATH=%s\n" % source("lib", "python")
        text = text.replace("[Pool]\n", process + "[Pool]\n")
    return text


def fits(shown, got):
    return re.fullmatch(".*".join(re.escape(part) for part in shown.split("…")), got, re.S)


@limit(120)
def test_all_that_is_shown():
    """Every command prints what stands below it."""
    unless(os.access("/usr/bin/python3", os.X_OK), "there is no /usr/bin/python3")
    n = 0
    with Daemon({}) as d:
        os.mkdir(d.path("srv"))
        env = {**d.environment(), "BROOD_SOCKET": d.socket_path, "LC_ALL": "C.UTF-8",
               "PYTHONPATH": source("lib", "python"), "PYTHONDONTWRITEBYTECODE": "1",
               "PATH": ":".join([build("daemon", "ctl"), "/usr/bin", os.environ["PATH"]])}
        for kind, what, text in blocks():
            if kind == "file":
                os.makedirs(os.path.dirname(place(d, what)), exist_ok=True)
                d.write(place(d, what), as_here(d, text))
                continue
            done = subprocess.run(["bash", "-c", as_here(d, what)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  cwd=d.path("srv"), env=env, timeout=slow(30))
            assert fits(text, done.stdout), "\n".join([what, "prints", done.stdout, "not", text])
            n += 1
    assert n >= 10, n


def test_the_handler_and_its_pool_are_short():
    """A function of three lines, a pool file of five."""
    files = {what: text for kind, what, text in reversed(list(blocks())) if kind == "file"}
    handler = files["photos.py"].split("\n\n")[1].strip().splitlines()
    assert len(handler) == 3, handler
    assert len(files["/etc/brood/pools/photos.pool"].splitlines()) == 5


def test_names_are_those_of_the_package():
    """What the page names of brood is there."""
    import sys
    sys.path.insert(0, source("lib", "python"))
    import brood
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    for name in re.findall(r"brood\.([A-Z]\w+)", page):
        assert hasattr(brood, name), name
    for name in re.findall(r"client\.(\w+)\(", page):
        assert hasattr(brood.Client, name), name

# SPDX-License-Identifier: MIT
"""docs/operations.md: every command is run, and it knows every warning, alert and setting.

Those of root, which need systemd, are run by tests/systemd/test_operations.py.
"""

import os
import re
import subprocess

from harness import *
from metrics import CTL
from pages import *

PAGE = source("docs", "operations.md")
LATER = 10**10


class Desk:
    """A daemon with something of everything, and a shell beside it."""

    def __init__(self, d):
        self.d = d
        for _ in range(3):
            d.run("fail", {"message": "no", "retry": False})
        d.call("PausePool", pool="diag")
        d.submit("echo")
        d.call("ResumePool", pool="diag")

    def real(self, command):
        """With names that there are, in place of those that stand for them. A job is a new one."""
        words = {"POOL": "diag", "HANDLER": "fail", "WORKER": "diag.0"}
        if re.search(r"\bID\b", command):
            words["ID"] = self.d.submit("echo", delay_usec=LATER)
        return re.sub(r"\b(%s)\b" % "|".join(words), lambda m: words[m[1]], command)

    def type(self, command):
        env = self.d.environment()
        env.update(BROOD_SOCKET=self.d.socket_path, LC_ALL="C.UTF-8",
                   PATH=os.path.dirname(CTL) + ":" + env["PATH"])
        return subprocess.run(["bash", "-c", command], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=slow(60), check=False)


@limit(120)
def test_commands_do_what_is_shown():
    """Each command of an operator, typed as it stands, ends well and prints what stands below."""
    with Daemon() as d:
        desk, n = Desk(d), 0
        for title, commands in chapters(PAGE, "$#"):
            for prompt, command, shown in commands:
                if prompt == "#":
                    continue
                done = desk.type(desk.real(command))
                assert done.returncode == 0, (title, command, done)
                assert not shown or fits(shown, done.stdout), (title, command, done.stdout)
                n += 1
        assert n >= 17, n
        assert {p["state"] for p in d.status()["pools"]} == {"running"}


def test_every_command_is_run():
    """What stands alone in a line is a command that a test types, and no other."""
    text = read_page(PAGE)
    typed = [c for _, commands in chapters(PAGE, "$#") for _, c, _ in commands]
    assert len(typed) == len(re.findall(r"^ {4,6}[$#] ", text, re.M)) >= 40
    for command in typed:
        assert command.split()[0] in ("broodctl", "broodd", "systemctl", "journalctl", "df", "du",
                                      "mkdir", "mv", "install"), command


def test_every_warning_is_there():
    """Each kind of warning has its row, and there is no row of another."""
    with open(source("daemon", "api", "warnings.h"), encoding="utf-8") as f:
        kinds = set(re.findall(r'X\([A-Z_]+, "(\w+)"\)', f.read()))
    table = read_page(PAGE).partition("\n## Warnings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", table, re.M)
    assert {row[0] for row in rows} == kinds and len(rows) == len(kinds), kinds
    assert all(len(meaning) > 10 and len(remedy) > 10 for _, meaning, remedy in rows)


def test_every_alert_is_there():
    """The same for alerts, with their severity."""
    with open(source("packaging", "prometheus", "brood.rules.yml"), encoding="utf-8") as f:
        rules = re.findall(r"alert: (\w+)\n.*?severity: (\w+)", f.read(), re.S)
    rows = re.findall(r"^\| `(Brood\w+)` \| (\w+) \| .+ \| .+ \|$", read_page(PAGE), re.M)
    assert sorted(rows) == sorted(rules), (rows, rules)


def test_settings_and_verbs_are_real():
    """Every setting that it names is one, and every verb and option of broodctl, too."""
    text = read_page(PAGE)
    with open(source("config", "settings.def"), encoding="utf-8") as f:
        settings = set(re.findall(r"_SETTING\(\w+, (\w+),", f.read()))
    named = set(re.findall(r"`([A-Z]\w+)=\w*`", text))
    assert len(named) >= 20 and named <= settings, named - settings
    verbs = set(re.findall(r"^  ([a-z-]+) ", subprocess.run(
        [CTL, "--help"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
        timeout=slow(20)).stdout, re.M))
    used = set(re.findall(r"`broodctl ([a-z-]+)", text)) | set(
        re.findall(r"^ {4,6}[$#] broodctl ([a-z-]+)", text, re.M))
    assert len(used) >= 15 and used <= verbs, used - verbs


def test_what_it_refers_to_is_there():
    """Other pages, and chapters of this one that stand in italics."""
    text = read_page(PAGE)
    for page in re.findall(r"`([a-z-]+\.md)`", text):
        assert os.path.exists(source("docs", page)), page
    titles = {title for title, _ in chapters(PAGE, "$#")}
    tables = [part for line in text.splitlines() if line.startswith("| ") for part in
              re.findall(r"\*([A-Z][a-z ]+)\*", line)]
    assert tables and set(tables) <= titles, set(tables) - titles

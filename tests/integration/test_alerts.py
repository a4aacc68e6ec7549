# SPDX-License-Identifier: MIT
"""packaging/prometheus/brood.rules.yml: alerts that fire when they have to."""

import os
import re
import shutil
import subprocess
import tempfile

from harness import *
from metrics import *

RULES = source("packaging", "prometheus", "brood.rules.yml")
TESTS = source("tests", "prometheus", "brood.test.yml")
DOCS = source("docs", "operations.md")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def rules():
    """{alert: the text of its rule}"""
    parts = re.split(r"^ +- alert: (\w+)\n", read(RULES), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def promtool(*args):
    """(status, output)"""
    program = shutil.which("promtool")
    unless(program, "promtool is not there: apt-get install prometheus")
    done = subprocess.run([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=slow(170), check=False)
    return done.returncode, done.stdout


def test_the_rules_are_rules():
    """promtool check rules."""
    status, output = promtool("check", "rules", RULES)
    assert status == 0 and "SUCCESS: %d rules found" % len(rules()) in output, output


@limit(180)
def test_each_alert_fires_where_it_must_and_only_there():
    """promtool test rules; each alert has a series in which it fires, and one in which not."""
    status, output = promtool("test", "rules", TESTS)
    assert status == 0, output
    text = read(TESTS)
    for alert in rules():
        asked = re.findall(r'"%s: .*?exp_samples:( \[\])?' % alert, text, re.S)
        assert "" in asked and " []" in asked, (alert, asked)


def with_conditions(expression, folder):
    """What promtool says of all tests when each alert has this condition."""
    text = re.sub(r"expr: (>\n(?: {10,}.*\n)+|.*\n)", "expr: %s\n" % expression, read(RULES))
    with open(os.path.join(folder, "rules.yml"), "w", encoding="utf-8") as f:
        f.write(text)
    with open(os.path.join(folder, "test.yml"), "w", encoding="utf-8") as f:
        f.write(re.sub(r"^rule_files:.*$", "rule_files: [ rules.yml ]", read(TESTS), flags=re.M))
    assert text.count("expr: " + expression) == len(rules())
    status, output = promtool("test", "rules", os.path.join(folder, "test.yml"))
    assert status != 0
    return output


@limit(180)
def test_a_rule_that_is_wrong_is_noticed():
    """An alert that never fires fails a test of its own, and so does one that always does."""
    with tempfile.TemporaryDirectory(prefix="brood-rules.") as folder:
        for expression in "vector(0) > 1", "vector(1)":
            output = with_conditions(expression, folder)
            for alert in rules():
                assert re.search(r"ALERTS{alertname=.{0,2}%s\W" % alert, output), alert


def test_each_alert_says_what_to_do():
    """Summary, description, action and severity; and a chapter in docs/operations.md."""
    pages = read(DOCS)
    for alert, text in rules().items():
        for key in "summary", "description", "action":
            found = re.search(r'^ +%s: "(.+)"$' % key, text, re.M)
            assert found and len(found[1]) > 20, (alert, key)
        assert re.search(r"severity: (page|ticket) }", text), alert
        assert "`%s`" % alert in pages, alert + " is not in docs/operations.md"


def test_rules_name_what_there_is():
    """Every figure, label and value of a label in them is one that a daemon shows."""
    with Daemon() as d:
        shown = figures(text_of(d))
        names = {name for name, _ in shown}
        values = {}
        for _, labels in shown:
            for label, value in labels:
                values.setdefault(label, set()).add(value)
    text = "\n".join(line for line in read(RULES).splitlines() if not line.startswith("#"))
    used = set(re.findall(r"\bbrood_[a-z_]+", "\n".join(
        re.search(r"expr:(.*?)\n +(?:for|labels):", rule, re.S)[1] for rule in rules().values())))
    assert len(used) >= 18 and used <= names, used - names
    for label, how, pattern in re.findall(r'\b(\w+)(=~|!~|=)"([^"]*)"', text):
        if label == "job":
            continue
        found = [v for v in values[label] if re.fullmatch(pattern, v)]
        assert found, (label, how, pattern)
        for word in pattern.split("|"):
            assert any(re.fullmatch(word, v) for v in values[label]), (label, word)
    for label in re.findall(r"\$labels\.(\w+)", text):
        assert label == "instance" or label in values, label

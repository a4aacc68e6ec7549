# SPDX-License-Identifier: MIT
"""The manual pages as their source is after the build, taken apart."""

import os
import re

from harness import build, source, unless

HEADERS = ("async", "client", "connection", "handler", "pool", "process", "queue", "semaphore",
           "shared")
PAGES = ("broodctl.1", "brood.conf.5", "brood.pool.5", "io.brood.7", "broodd.8",
         *("brood_%s.3" % name for name in HEADERS))


def page_path(page):
    path = build("packaging", "man", page)
    unless(os.path.exists(path), "built without manual pages (scdoc)")
    return path


def read(page):
    """The page as scdoc gets it."""
    with open(page_path(page) + ".made.scd", encoding="utf-8") as f:
        return f.read()


def plain(text):
    """Without scdoc's escapes."""
    return re.sub(r"\\(.)", r"\1", text)


def section(text, title):
    """What stands under a heading, "# NAME" or "## Name"."""
    level = title.split()[0]
    text = re.sub(r"^\t*```\n.*?^\t*```$", lambda block: block.group(0).replace("\n#", "\n\0#"),
                  text, flags=re.M | re.S)  # what begins with # there is no heading
    found = re.search(r"^%s\n(.*?)(?=^#{1,%d} |\Z)" % (re.escape(title), len(level)), text,
                      re.M | re.S)
    assert found, "no heading %r" % title
    return found.group(1).replace("\0", "")


def literals(page):
    """The blocks of literal text."""
    blocks = re.findall(r"^\t*```\n(.*?)^\t*```$", read(page), re.M | re.S)
    return [plain(block) for block in blocks]


def settings():
    """The rows of config/settings.def: (page, section, key, default or None, help)."""
    with open(source("config", "settings.def"), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    row = re.compile(r'^(DAEMON|POOL)_SETTING\((\w+), (\w+), \w+, \w+,\s*("[^"]*"|NULL),'
                     r'\s*[^,"]+,\s*[^,"]+,\s*((?:"[^"]*"\s*)+)\)', re.M)
    rows = []
    for kind, where, key, default, words in row.findall(text):
        rows.append(("brood.conf.5" if kind == "DAEMON" else "brood.pool.5", where, key,
                     None if default == "NULL" else default.strip('"'),
                     "".join(re.findall(r'"([^"]*)"', words))))
    assert len(rows) == len(re.findall(r"^(?:DAEMON|POOL)_SETTING\(", text, re.M)), \
        "a row of settings.def is written as no other is"
    return rows

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What every source has to keep: a licence line, 100 columns, #pragma once, no dangerous calls.

Prints what is wrong as file:line and exits 1 if there is anything.
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("lib", "daemon", "config", "tests", "packaging", "docs", ".ci")
SOURCES = (".c", ".h", ".def", ".map", ".py", ".sh", ".build")
NAMED = ("meson.build", "meson_options.txt", "run")
FORBIDDEN = re.compile(r"\b(atoi|atol|strtok|sprintf|vsprintf|strcpy|gets)\s*\(")
MAX_COLUMNS = 100


def sources():
    for name in NAMED:
        if os.path.isfile(os.path.join(ROOT, name)):
            yield name
    for top in FOLDERS:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = sorted(f for f in folders if f not in ("__pycache__", "corpus"))
            for name in sorted(names):
                if name.endswith(SOURCES) or name in NAMED:
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def without_comments(text):
    """The same lines, without what stands in comments and strings."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def check(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    lines = text.splitlines()
    if path.endswith(".map") or not text:
        return
    if not any("SPDX-License-Identifier: MIT" in line for line in lines[:3]):
        yield 1, "no SPDX-License-Identifier in the first lines"
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            yield number, "%d columns, more than %d" % (len(line), MAX_COLUMNS)
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
        if "\t" in line and path.endswith((".c", ".h", ".py")):
            yield number, "a tab"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
        yield 1, "a header without #pragma once"
    if path.endswith((".c", ".h")) and not path.startswith("tests/bench/"):
        for number, line in enumerate(without_comments(text).splitlines(), 1):
            match = FORBIDDEN.search(line)
            if match:
                yield number, "calls %s()" % match.group(1)


def main():
    wrong = 0
    for path in sources():
        for number, what in check(path):
            print("%s:%d: %s" % (path, number, what))
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Includes point only down.

The folders of the tree are layers; each may include itself and what is under it. Prints each
include that points elsewhere, as file:line, and exits 1 if there is one.
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUPERVISOR = ["daemon/" + part for part in ("api", "pool", "store", "ops")]

# What a folder (or the files that begin so) may include of ours, beside itself. The first entry
# that fits a file is the one that counts.
LAYERS = [
    ("lib/base", []),
    ("lib/include", []),
    ("lib/varlink", ["lib/base"]),
    ("lib/process", ["lib/base", "lib/include"]),
    ("lib/modules", ["lib/include"]),
    ("lib/examples", ["lib/include"]),
    ("lib", ["lib"]),
    ("daemon/core", ["lib/base"]),
    ("daemon/settings", ["lib", "config/settings.def"]),
    ("daemon/async", ["lib"]),
    ("daemon/child", ["lib", "daemon/ops/journal", "daemon/ops/message_ids"]),
    ("daemon/ctl", ["lib", "daemon/settings", "daemon/store/tools", "daemon/store/schema",
                    "daemon/ops/board_read", "daemon/ops/board_layout"]),
    *((part, ["lib", "daemon/core", "daemon/settings", *SUPERVISOR]) for part in SUPERVISOR),
    ("daemon/main.c", ["lib", "daemon"]),
    ("daemon", ["lib", "daemon/core", "daemon/settings", "daemon/supervisor", "daemon/lifecycle",
                *SUPERVISOR]),
]

EVENT = ["lib/varlink/event.", "daemon/async/", "daemon/supervisor.", "daemon/lifecycle."] + [
    part + "/" for part in SUPERVISOR]

# Core is pure: it decides, and makes no system call and reads no clock.
CORE_HEADERS = re.compile(r"(event2/|jansson|sys/socket|sys/un\b|unistd|poll|sys/epoll|signal|"
                          r"fcntl|pthread|sys/wait|stdio|systemd/)")
CORE_CALLS = re.compile(r"\b(clock_gettime|clock_monotonic|clock_realtime|gettimeofday|time|"
                        r"random|rand|getrandom|entropy_\w+|fork|read|write|open|close)\s*\(")

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def sources():
    for top in ("lib", "daemon"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def layer_of(path):
    for layer, may in LAYERS:
        if path == layer or path.startswith((layer + "/", layer + ".")):
            return layer, may
    raise AssertionError("%s belongs to no layer" % path)


def resolve(path, name):
    """The file of ours that `#include "name"` means, or None: it is made, or it is not ours."""
    for base in (os.path.dirname(path), "lib", "lib/include", "daemon", "config", ""):
        found = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(ROOT, found)):
            return found
    return None


def may_include(path, target):
    layer, may = layer_of(path)
    return any(target == m or target.startswith((m + "/", m + ".")) for m in [layer, *may])


def without_comments(text):
    """The same lines, without what stands in comments and strings."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def check(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, name = match.groups()
        target = resolve(path, name) if kind == '"' or name.startswith("brood/") else None
        if target and not may_include(path, target):
            yield number, "includes %s, which is not under %s" % (target, layer_of(path)[0])
        if re.match(r"event2/|event\.h", name) and not path.startswith(tuple(EVENT)):
            yield number, "includes libevent (<%s>), which only the event loop's parts do" % name
        if path.startswith("daemon/core/") and kind == "<" and CORE_HEADERS.match(name):
            yield number, "core is pure, and includes <%s>" % name
    if path.startswith("daemon/core/"):
        for number, line in enumerate(without_comments(text).splitlines(), 1):
            match = CORE_CALLS.search(line)
            if match and not re.search(r"[.>]\s*%s\s*\(" % match.group(1), line):
                yield number, "core is pure, and calls %s()" % match.group(1)


def main():
    wrong = 0
    for path in sources():
        for number, what in check(path):
            print("%s:%d: %s" % (path, number, what))
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

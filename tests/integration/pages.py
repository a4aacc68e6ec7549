# SPDX-License-Identifier: MIT
"""Commands of a page in docs/, with what it shows below them."""

import re

__all__ = ["chapters", "fits", "read_page"]


def read_page(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def chapters(path, prompts="$"):
    """The page's chapters, each with its commands: (title, [[prompt, command, what it prints]]).
    A line that begins with "> " goes on with the command above it."""
    parts = re.split(r"^##+ (.*)\n", read_page(path), flags=re.M)
    for title, text in zip(parts[1::2], parts[2::2]):
        commands, indent = [], 4
        for line in re.findall(r"^ {4}.*$", text, re.M):
            begin = re.fullmatch(r"( {4}| {6})([%s]) (.*)" % prompts, line)
            if begin:
                indent = len(begin[1])
                commands.append([begin[2], begin[3], ""])
            elif line[indent:].startswith("> "):
                commands[-1][1] += "\n" + line[indent + 2:]
            elif commands:
                commands[-1][2] += line[indent:] + "\n"
        yield title, commands


def fits(shown, got):
    """… stands for anything."""
    return re.fullmatch(".*".join(re.escape(part) for part in shown.split("…")), got, re.S)

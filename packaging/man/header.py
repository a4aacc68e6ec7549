#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the manual page of a public header of libbrood, brood_NAME(3), from its comments.

    header.py names HEADER              the functions that it declares, one a line
    header.py page VERSION HEADER OUT   the page, as scdoc(5) source
    header.py links DIR HEADER          for each function a page that is the header's

What a header says is what its page says: its first comment is the description; a comment, and the
declarations straight below it, are an entry; a comment /* --- words --- */ is a heading, with what
follows in it; a comment that nothing stands below is text between entries. Types and constants are
shown with what was said of them.
"""

import os
import re
import sys


class Entry:
    """Declarations that belong together, and what was said of them."""

    def __init__(self, words, code):
        self.words, self.code = words, code

    def bare(self):
        """The declarations alone: no comment, no macro."""
        code = re.sub(r"^(?:#define |BROOD_).*\n?", "", self.code, flags=re.M)
        return re.sub(r"[ \t]*/\*.*?\*/", "", code, flags=re.S).strip("\n")

    def functions(self):
        """The names of the functions."""
        return re.findall(r"^(?!typedef)\w[\w *]*?\b(brood_\w+)\(", self.bare(), re.M)

    def title(self):
        """What it is found by: functions and macros that are called, else the name of the type or
        the constants."""
        names = re.findall(r"^(?:#define )?(BROOD_\w+)\(", self.code, re.M) + self.functions()
        if names:
            return ", ".join("*%s*()" % name for name in names)
        named = re.findall(r"^(?:typedef .*|\}) ?\*?(Brood\w+);|\(\*(Brood\w+)\)|"
                           r"^#define (BROOD_\w+)|^enum \{ (BROOD_\w+)", self.code, re.M)
        if not named:
            raise SystemExit("what is this? " + self.code)
        return ", ".join("*%s*" % next(filter(None, names)) for names in named)

    def python(self):
        """What the same is called in Python: all "(Python: …)" of the words and of the code."""
        found, text = [], " ".join((self.words + " " + " ".join(
            re.findall(r"/\*(.*?)\*/", self.code, re.S))).replace("\n *", " ").split())
        for m in re.finditer(r"Python: ", text):
            depth, end = 0, m.end()
            while end < len(text) and depth >= 0:
                depth += (text[end] == "(") - (text[end] == ")")
                end += 1
            name = text[m.end():end - (depth < 0)]
            name = re.split(r"[;.] |, (?:and|but|which|with|of|from|in) ", name)[0].strip()
            if not name.endswith("Error") and (" " not in name or re.search("[(,]", name)):
                found.append(name)
        return found


class Text:
    """A heading ("": none), and words that belong to no declaration."""

    def __init__(self, heading, words):
        self.heading, self.words = heading, words


def shown(code):
    """A macro is shown as it is used: what it is made of is nobody's business."""
    if code.startswith("#define") and "\\\n" in code:
        return re.match(r"#define ([^)]*\))", code).group(1)
    return code


def words_of(comment):
    """A comment without its marks; lines keep what they are indented by."""
    lines = comment.strip()[2:-2].strip().split("\n")
    return "\n".join([lines[0]] + [re.sub(r"^ ?\* ?", "", line) for line in lines[1:]]).strip()


def pieces(text):
    """The header's comments and declarations in their order: (blank line before, kind, text)."""
    token = re.compile(r"(\s*)(?:(/\*.*?\*/)[ \t]*(?=\n)|(#(?:[^\n]*\\\n)*[^\n]*))", re.S)
    at = 0
    while at < len(text):
        m = token.match(text, at)
        if m:
            kind = "comment" if m.group(2) else "directive"
            yield "\n\n" in m.group(1), kind, m.group(2) or m.group(3)
            at = m.end()
            continue
        blank = re.match(r"\s*", text[at:]).group(0)
        start = at + len(blank)
        if start == len(text):
            return
        at = end_of_declaration(text, start)
        yield "\n\n" in blank, "code", text[start:at]


def end_of_declaration(text, at):
    """One behind its semicolon, and behind a comment on the same line."""
    depth = 0
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        depth += (text[at] in "({") - (text[at] in ")}")
        at += 1
        if text[at - 1] == ";" and depth == 0:
            rest = re.match(r"[ \t]*/\*.*?\*/", text[at:], re.S)
            return at + (rest.end() if rest else 0)
    raise SystemExit("a declaration has no end: " + text[-200:])


def parse(path):
    """(what the header is, [Text or Entry])."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    body = text.split("#pragma once\n", 1)[1]
    body = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", body, flags=re.S)
    essay, parts, words, last = None, [], "", None
    for blank, kind, piece in pieces(body):
        heading = re.fullmatch(r"/\* --- (.*?) ---(?:\n \*)?(.*?)\*/", piece, re.S)
        if kind == "comment" and words:
            parts.append(Text("", words))
        if kind == "comment" and essay is None:
            essay = words_of(piece)
        elif heading:
            parts.append(Text(" ".join(heading.group(1).replace("\n *", " ").split()),
                              re.sub(r"^ ?\* ?", "", heading.group(2), flags=re.M).strip("\n")
                              .rstrip()))
            words, last = "", None
        elif kind == "comment":
            words, last = words_of(piece), None
        elif kind == "code" or piece.startswith("#define"):
            if last and not blank:
                last.code += "\n" + shown(piece)
            else:
                last = Entry(words, shown(piece))
                parts.append(last)
            words = ""
    return essay, parts + [Text("", words)] * bool(words)


# --- scdoc ---

def escaped(text):
    """Words in which scdoc finds no markup of its own; functions are bold."""
    text = re.sub(r"([\\*`])", r"\\\1", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
    text = re.sub(r"\b(brood_\w*\w)(?=\()", r"*\1*", text)
    return re.sub(r"^([^\w\s*\\])", r"\\\1", text)


def literal(code, tab=""):
    lines = code.replace("\\", "\\\\").split("\n")
    return "".join(tab + line + "\n" for line in ["```", *lines, "```"])


def paragraphs(words, tab=""):
    """Words as scdoc has them; what is indented is shown as it is."""
    out = ""
    for block in re.split(r"\n\s*\n(?!    )|(?<=\S)\n\s*\n(?=    )", words):
        if block.startswith("    "):
            out += literal(re.sub(r"^    ", "", block, flags=re.M).rstrip(), tab)
        else:
            out += "".join(tab + escaped(line.strip()) + "\n" for line in block.split("\n"))
        out += "\n"
    return out


def entry(part):
    return part.title() + "\n" + literal(part.code, "\t") + (
        "\n" + paragraphs(part.words, "\t") if part.words else "\n")


def section(text):
    heading = text.heading and text.heading[0].upper() + text.heading[1:]
    return ("## %s\n\n" % escaped(heading) if heading else "") + (
        paragraphs(text.words) if text.words else "")


def page(version, path):
    name = os.path.basename(path)[:-2]
    essay, parts = parse(path)
    entries = [part for part in parts if isinstance(part, Entry)]
    what = re.split(r"[.:](?:\s|$)", essay)[0].replace("\n", " ")
    what = what[0].lower() + what[1:]
    out = 'brood_%s(3) "brood %s" "brood"\n\n# NAME\n\n' % (name, version)
    out += "brood_%s - %s\n\n" % (name, escaped(what))
    out += "# SYNOPSIS\n\n*#include <brood/%s.h>*++\n" % name
    out += "*cc* … *$(pkg-config --cflags --libs brood)*\n\n"
    out += literal("\n".join(part.bare() for part in entries if part.functions()))
    out += "\n# DESCRIPTION\n\n" + paragraphs(essay)
    for part in parts:
        out += section(part) if isinstance(part, Text) else entry(part)
    python = [(part.functions(), part.python()) for part in entries]
    python = [(names, said) for names, said in python if names and said]
    if python:
        out += "# PYTHON\n\nWhat corresponds to it in Python's multiprocessing:\n\n"
        for names, said in python:
            out += ", ".join("*%s*()" % n for n in names) + "\n"
            out += "\t" + escaped(", ".join(said)) + "\n\n"
    others = [n for n in ("async", "client", "connection", "handler", "pool", "process", "queue",
                          "semaphore", "shared") if n != name]
    return out + "# SEE ALSO\n\n" + ", ".join("*brood_%s*(3)" % n for n in others) + \
        ", *broodd*(8), *io.brood*(7)\n"


def names(path):
    return [name for part in parse(path)[1] if isinstance(part, Entry)
            for name in part.functions()]


def main(argv):
    if argv[:1] == ["names"] and len(argv) == 2:
        print("\n".join(names(argv[1])))
    elif argv[:1] == ["page"] and len(argv) == 4:
        with open(argv[3], "w", encoding="utf-8") as f:
            f.write(page(argv[1], argv[2]))
    elif argv[:1] == ["links"] and len(argv) == 3:
        for name in names(argv[2]):
            with open(os.path.join(argv[1], name + ".3"), "w", encoding="ascii") as f:
                f.write(".so man3/brood_%s.3\n" % os.path.basename(argv[2])[:-2])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

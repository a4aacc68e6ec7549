# SPDX-License-Identifier: MIT
"""The manual of the library, section 3: complete, and made of the headers as they are."""

import os
import re
import subprocess
import sys

import manual
from harness import *

GENERATOR = source("packaging", "man", "header.py")


def header(name):
    with open(source("lib", "include", "brood", name + ".h"), encoding="utf-8") as f:
        return f.read()


def declared(name):
    """The declarations of functions in a header: name to text. Macros, types and comments are taken
    out first, and this is all that is left."""
    text = re.sub(r"/\*.*?\*/", "", header(name), flags=re.S)
    text = re.sub(r"^#(?:.*\\\n)*.*\n", "", text, flags=re.M)
    text = re.sub(r"^(?:typedef )?(?:struct|enum)\b[^;{]*\{.*?\}[^;]*;", "", text,
                  flags=re.M | re.S).replace('extern "C" {', "")
    found = {}
    for declaration in re.findall(r"^[a-z][^;]*;", text, re.M):
        if not declaration.startswith("typedef"):
            found[re.search(r"(brood_\w+)\(", declaration).group(1)] = " ".join(declaration.split())
    return found


def entries(name):
    """The entries of a page: names of what is declared, its declaration, its words."""
    text = manual.section(manual.read("brood_%s.3" % name), "# DESCRIPTION")
    found = re.findall(r"^(\*[^\n]*)\n\t```\n(.*?)\n\t```\n((?:\t[^\n]*\n|\n(?=\t))*)", text,
                       re.M | re.S)
    return [(re.findall(r"\*(\w+)\*", title), " ".join(code.split()), words.strip())
            for title, code, words in found]


def make(*argv):
    return subprocess.run([sys.executable, "-B", GENERATOR, *argv], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=slow(20))


def test_every_header_has_a_page():
    """And there is no header without."""
    names = {file[:-2] for file in os.listdir(source("lib", "include", "brood"))}
    assert names == set(manual.HEADERS)


def test_every_function_is_in_its_page_with_words():
    """As it is declared, in the synopsis and with what was said of it."""
    for name in manual.HEADERS:
        functions = declared(name)
        assert len(functions) >= 6, name
        synopsis = " ".join(manual.section(manual.read("brood_%s.3" % name), "# SYNOPSIS").split())
        assert "#include <brood/%s.h>" % name in synopsis
        said = {n: (code, words) for names, code, words in entries(name) for n in names}
        for function, declaration in functions.items():
            assert declaration in synopsis, (function, declaration)
            assert function in said, "no entry for " + function
            code, words = said[function]
            assert declaration in re.sub(r" /\*.*?\*/", "", code), (function, code)
            assert words, "nothing is said of " + function


def test_the_words_are_those_of_the_header():
    """All words of all comments are in the page."""
    for name in manual.HEADERS:
        page = set(re.findall(r"\w+", manual.plain(manual.read("brood_%s.3" % name))))
        lower = {word.lower() for word in page}
        for comment in re.findall(r"/\*(.*?)\*/", header(name), re.S)[1:]:
            missing = set(re.findall(r"\w+", comment)) - page
            assert not {word for word in missing if word.lower() not in lower}, (name, missing)


def test_headings_and_what_stands_alone():
    """A heading may have words, and a comment that nothing stands below is not lost."""
    d = Daemon({}, start=False)
    try:
        path, out = d.write("some.h", """#pragma once
/* Some. Thing. */

/* Stands alone. */

/* --- a heading ---
 *
 * With words:
 *
 *     and(code);
 */

/* Does it. */
int brood_some(void);

/* The last. */
"""), d.path("page")
        assert make("page", "0", path, out).returncode == 0
        with open(out, encoding="utf-8") as f:
            text = f.read()
        text = text.split("# DESCRIPTION\n\n", 1)[1].split("# SEE ALSO", 1)[0]
        assert text == ("Some. Thing.\n\nStands alone.\n\n## A heading\n\nWith words:\n\n"
                        "```\nand(code);\n```\n\n*brood_some*()\n\t```\n\tint brood_some(void);"
                        "\n\t```\n\n\tDoes it.\n\nThe last.\n\n"), text
    finally:
        d.end()


def test_python_names():
    """What corresponds to it in Python stands at the end of the page."""
    for name, function, python in (("queue", "brood_queue_put",
                                    "put(block, timeout), put_nowait()"),
                                   ("pool", "brood_pool_map", "map()"),
                                   ("process", "brood_process_join", "join()"),
                                   ("connection", "brood_poll", "poll()"),
                                   ("semaphore", "brood_semaphore_new",
                                    "Semaphore(value), BoundedSemaphore(value)"),
                                   ("shared", "brood_shared_new",
                                    "RawArray, SharedMemory(create=True)")):
        text = manual.plain(manual.section(manual.read("brood_%s.3" % name), "# PYTHON"))
        assert re.search(r"^\*%s\*\(\)(, .*)?\n\t%s$" % (function, re.escape(python)), text,
                         re.M), (name, text)


def test_every_function_has_a_page_of_its_name():
    """`man brood_queue_put` shows brood_queue(3); and no other links are there."""
    manual.page_path("brood_queue.3")
    links = {}
    for file in os.listdir(build("packaging", "man")):
        if re.fullmatch(r"brood_\w+\.3", file) and file not in manual.PAGES:
            with open(build("packaging", "man", file), encoding="ascii") as f:
                links[file[:-2]] = f.read()
    assert links == {function: ".so man3/brood_%s.3\n" % name
                     for name in manual.HEADERS for function in declared(name)}


def test_the_library_exports_what_is_documented():
    """Every function of the headers is a symbol of libbrood, and every symbol is in a header."""
    done = subprocess.run(["nm", "-D", "--defined-only", build("lib", "libbrood.so")],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                          timeout=slow(20))
    symbols = dict(re.findall(r" T (brood_\w+)@@(\w+)$", done.stdout, re.M))
    assert set(symbols) == {f for name in manual.HEADERS for f in declared(name)}, \
        set(symbols) ^ {f for name in manual.HEADERS for f in declared(name)}
    assert set(symbols.values()) == {"BROOD_0"} or set(symbols.values()) == {"LIBBROOD_0"}, symbols


def test_what_the_generator_refuses():
    """A header that it does not understand ends the build."""
    d = Daemon({}, start=False)
    try:
        out = d.path("page")
        for text, wanted in (("/* A */\n#pragma once\n/* Essay. */\nint brood_x(void)\n",
                              "a declaration has no end"),
                             ("#pragma once\n/* Essay. */\n\nint other;\n", "what is this?")):
            done = make("page", "0", d.write("odd.h", text), out)
            assert done.returncode == 1 and wanted in done.stderr, (text, done.stderr)
        assert make("nonsense").returncode == 1
        done = make("names", d.write("some.h", "#pragma once\n/* Essay. */\n\n/* One. */\n"
                                     "int brood_one(void);\nint brood_two(int (*f)(void));\n"
                                     "typedef int (*BroodF)(int brood_three(void));\n"))
        assert done.stdout == "brood_one\nbrood_two\n", done.stdout
    finally:
        d.end()

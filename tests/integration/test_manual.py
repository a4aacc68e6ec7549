# SPDX-License-Identifier: MIT
"""The manual pages: that they are well formed and complete, and that their examples work."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import manual
from harness import *

CTL = build("daemon", "ctl", "broodctl")
POOLS = {"celsius": pool("celsius", "celsius.so"), "exec": commands()}


def output_of(*argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          timeout=slow(30))
    assert done.returncode == 0, argv
    return done.stdout


def environment(d):
    env = d.environment()
    env["PATH"] = ":".join([build("daemon"), build("daemon", "ctl"), env["PATH"]])
    env["BROOD_SOCKET"] = d.socket_path
    env["STATE_DIRECTORY"] = d.path("state")
    return env


def test_pages_are_well_formed():
    """man formats every page without a warning, and nothing of scdoc's markup is left in it."""
    unless(shutil.which("man"), "there is no man program")
    for page in manual.PAGES:
        path = manual.page_path(page)
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=slow(30),
                              env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100",
                                   "MAN_KEEP_FORMATTING": "", "GROFF_NO_SGR": "1"})
        assert done.returncode == 0 and done.stderr == "", (page, done.stderr)
        text = re.sub(r".\x08", "", done.stdout)
        name, number = page.rsplit(".", 1)
        assert "%s(%s)" % (name, number) in text and "NAME" in text, page
        assert not re.search(r"^@", text, re.M), (page, "a directive was not replaced")
        if number == "3":  # ** is C there
            text = text.replace("**", "*")
        assert not re.search(r"[\w.]\*_|_\*[\w.]|\*\*", text), (page, "markup is left")
        for line in text.splitlines():
            assert len(line) <= 140, (page, line)


def make(d, template):
    """What brood-manual makes of a template: exit status, messages, and the text."""
    path, out = d.write("page.scd", template), d.path("made")
    done = subprocess.run([build("config", "brood-manual"), path, out], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=slow(30))
    with open(out, encoding="utf-8") as f:
        return done.returncode, done.stderr.replace(path, "page.scd"), f.read()


def test_templates():
    """A section that the tables do not have is left out with its words; whatever would leave out a
    setting, and whatever is not understood, is an error with its line."""
    manual.page_path("broodd.8")
    d = Daemon({}, start=False)
    try:
        status, err, text = make(d, "@page brood.conf\n@section Nothing\nWords.\n@end\n"
                                    "@section Queue\nOther words.\n@end\n@sections\nEnd.\n")
        assert status == 0 and err == "" and "## [Nothing]" not in text and "\nWords." not in text
        assert text.startswith("## [Queue]\n\nOther words.\n*MaxQueued=*\n"), text[:200]
        assert text.index("## [Queue]") < text.index("## [Daemon]") < text.index("End.")
        for template, wanted in (
                ("@page brood.conf\n@section Queue\n@end\n", "3: no @sections"),
                ("@page brood.conf\n@section Queue\n", "2: no @end"),
                ("@page brood.conf\n@section Queue\n@section Daemon\n", "3: an @end is missing"),
                ("@page brood.conf\n@section Queue\n@end\n@section Queue\n@end\n", "4: once too"),
                ("@end\n", "1: no @section before"),
                ("@page brood.other\n", "1: no table for brood.other"),
                ("@nonsense\n", "1: unknown: @nonsense")):
            status, err, _ = make(d, template)
            assert status == 1 and err.startswith("page.scd:" + wanted[:1]), (template, err)
            assert wanted[3:] in err, (template, err)
    finally:
        d.end()


def test_pages_refer_to_pages_that_exist():
    """A reference in bold to one of our pages names one that is made."""
    ours = {"%s(%s)" % tuple(page.rsplit(".", 1)) for page in manual.PAGES}
    for page in manual.PAGES:
        for name, number in re.findall(r"\*(brood[\w.]*|io\.brood)\*\((\d)\)", manual.read(page)):
            assert "%s(%s)" % (name, number) in ours, (page, name, number)


def entries(text):
    """The entries of a list of settings: key to words."""
    found = re.findall(r"^\*(\w+)=\*\n((?:\t.*\n|\n)*)", text, re.M)
    return {key: " ".join(words.split()) for key, words in found}


def test_every_setting_is_in_its_page():
    """Each row of settings.def stands in its page, under its section, with help and default; and no
    other does."""
    known = {}
    for page, where, key, default, words in manual.settings():
        text = manual.plain(manual.section(manual.read(page), "## [%s]" % where))
        given = entries(text)
        assert key in given, (page, where, key)
        assert " ".join(words.split())[1:] in given[key], (key, words, given[key])
        assert given[key].endswith("not set by default" if default is None
                                   else "default: *%s*" % default), (key, given[key])
        assert re.search(r"Expected: \S", given[key]), (key, given[key])
        known.setdefault((page, where), set()).add(key)
    for (page, where), keys in known.items():
        text = manual.section(manual.read(page), "## [%s]" % where)
        assert set(entries(text)) == keys, (page, where)


def test_every_verb_is_in_broodctl_1():
    """The page has the verbs that the program has, with the usage of each, and no other."""
    verbs = re.findall(r"^  (\S+) ", section_of(output_of(CTL, "--help"), "Verbs:"), re.M)
    text = manual.plain(manual.section(manual.read("broodctl.1"), "# JOBS") +
                        manual.section(manual.read("broodctl.1"), "# THE DAEMON"))
    in_page = re.findall(r"^\*([a-z-]+)\*", text, re.M)
    assert sorted(set(in_page)) == sorted(verbs), set(in_page) ^ set(verbs)
    for verb in verbs:
        usage = output_of(CTL, verb, "--help").splitlines()[0]
        lines = " ".join(re.findall(r"^\*%s\*.*" % verb, text, re.M))
        for word in re.findall(r"[A-Z]{2,}", usage.replace("OPTION", "")):
            assert word in lines, (verb, word, lines)


def section_of(help_text, title):
    """The lines of a help text under a title, up to an empty one."""
    return help_text.split(title, 1)[1].lstrip("\n").split("\n\n")[0] + "\n"


def options_of(help_text):
    """The long options that a help text lists: name to whether it has a value."""
    return {name: bool(equals) for name, equals in
            re.findall(r"(?:^  |, )--([a-z-]+)(=?)", help_text, re.M)}


def options_in(page):
    found = {}
    for line in re.findall(r"^\*-.*$", manual.section(manual.read(page), "# OPTIONS"), re.M):
        found.update({name: bool(equals) for name, equals in
                      re.findall(r"\*--([a-z-]+)(=?)\*", manual.plain(line))})
    return found


def test_every_option_is_in_broodctl_1():
    """The page has the options of all verbs, and no other; those for some verbs name them."""
    verbs = re.findall(r"^  (\S+) ", section_of(output_of(CTL, "--help"), "Verbs:"), re.M)
    known, users = {}, {}
    for verb in verbs:
        own = output_of(CTL, verb, "--help").split("Options of every verb:")
        known.update(options_of(own[0]))
        known.update(options_of(own[1]))
        for name in options_of(own[0]):
            users.setdefault(name, set()).add(verb)
    assert options_in("broodctl.1") == known
    jobs = {"submit", "run", "map"}
    text = manual.plain(manual.section(manual.read("broodctl.1"), "# OPTIONS"))
    for name, verbs in users.items():
        said = set()
        for words in re.findall(r"^\*--%s(?:=.*|\*(?:\[=.*\])?)\n((?:\t.*\n)*)" % name, text, re.M):
            named = re.search(r"\((\*[a-z*, -]+\*)[;)]", words)
            said |= set(re.findall(r"[a-z-]+", named.group(1))) if named else jobs
        assert said | ({"run"} if name == "wait" else set()) == verbs, (name, said, verbs)


def test_every_option_is_in_broodd_8():
    """The page has the options of broodd, and no other."""
    assert options_in("broodd.8") == options_of(output_of(build("daemon", "broodd"), "--help"))


def test_io_brood_7_is_complete():
    """Every type, method and error of the interface is in the page as it is defined, with what was
    said of it; and for every error there is advice."""
    with open(source("lib", "io.brood.varlink"), encoding="utf-8") as f:
        interface = f.read()
    text = manual.read("io.brood.7")
    for kind, title in (("type", "# TYPES"), ("method", "# METHODS"), ("error", "# ERRORS")):
        part = manual.section(text, title)
        members = re.findall(r"((?:^#.*\n)*)^(%s (\w+) ?\([^\n]*\n(?:[ )].*\n)*)" % kind,
                             interface, re.M)
        assert len(members) == len(re.findall("^%s " % kind, interface, re.M)) > 5
        for comment, definition, name in members:
            assert "\n*%s*\n" % name in part, name
            shown = "".join("\t" + line + "\n" for line in definition.splitlines())
            assert "\t```\n%s\t```\n" % shown in part, (name, definition)
            for line in comment.splitlines():
                assert "\t%s\n" % line.lstrip("# ") in manual.plain(part), (name, line)
    advice = manual.section(text, "# ERRORS").split("All of io.brood", 1)[0]
    for name in re.findall(r"^error (\w+)", interface, re.M):
        assert "*%s*" % name in advice, "no advice for " + name


def here(d, text):
    """Handlers in Python are files, and their package may not be installed."""
    for file in re.findall(r"^Import=(/srv/\S+)$", text, re.M):
        d.write("handler.py", "from brood.worker import handler\nhandler(lambda: 1, name='h')\n")
        text = text.replace(file, d.path("handler.py")) + "[Process]\nEnvironment=PYTHONPATH=%s\n" \
            % source("lib", "python")
    return text


def test_examples_of_configs_are_in_order():
    """Every config that a page shows passes broodd --check-config, each in a directory alone."""
    shown = re.compile(r"# (?:.*/etc/brood|~/\.config/brood)/(.*\.(?:conf|pool))\n")
    n = 0
    for page in manual.PAGES:
        for text in manual.literals(page):
            name = shown.match(text)
            if not name or name.group(1).startswith("recurring/"):
                continue
            d = Daemon({}, start=False)
            try:
                os.makedirs(os.path.dirname(d.path("config", name.group(1))), exist_ok=True)
                d.write(os.path.join("config", name.group(1)), here(d, text))
                done = subprocess.run([*d.command(), "--check-config"], env=d.environment(),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, timeout=slow(30))
                assert done.returncode == 0, (page, name.group(1), done.stdout)
            finally:
                d.end()
            n += 1
    assert n >= 6, n


def fits(shown, got):
    """Is it what the page shows? There an ellipsis stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, got, re.S) is not None


def sessions(page):
    """Blocks of `$ command` lines with what each prints: lists of (command, output)."""
    for block in manual.literals(page):
        if block.startswith("$ "):
            yield re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M)


@limit(120)
def test_examples_of_broodctl():
    """What broodctl(1) shows as typed works as it is, and prints what is shown."""
    with Daemon(POOLS) as d:
        n = 0
        for session in sessions("broodctl.1"):
            script = "".join("%s\necho \"=$?=\"\n" % command for command, _ in session)
            done = subprocess.run(["bash", "-c", script], env=environment(d), cwd=d.path(),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=slow(60))
            results = re.findall(r"(.*?)=(\d+)=\n", done.stdout, re.S)
            assert len(results) == len(session), (session, done.stdout, done.stderr)
            for (command, shown), (got, status) in zip(session, results):
                assert status == "0", (command, status, done.stderr)
                assert fits(shown, got), (command, shown, got)
                n += 1
        assert n >= 10, n


def test_example_of_a_recurring_job():
    """The file that broodctl(1) shows for brood-submit@.timer makes a job."""
    with Daemon(POOLS) as d:
        text, = [t for t in manual.literals("broodctl.1") if re.match("#.*/recurring/", t)]
        given = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
        id = output_of(CTL, "--socket=" + d.socket_path, "submit", *given["OPTIONS"].split(), "--",
                       given["HANDLER"], given["ARGS"].strip("'")).strip()
        spec = d.get(id)["spec"]
        assert spec["tags"] == ["report"] and spec["timeout_usec"] == 600 * 10**6, spec
        d.wait(id)  # there is no such program: it fails


def interface_example(beginning, d):
    text, = [t for t in manual.literals("io.brood.7") if t.startswith(beginning)]
    assert "/run/brood/brood.sock" in text
    return text.replace("/run/brood/brood.sock", d.socket_path)


def test_example_in_python():
    """The Python program of io.brood(7) gets its result."""
    with Daemon(POOLS) as d:
        out = output_of(sys.executable, "-c", interface_example("import json", d))
        assert "'celsius': 43.3" in out, out


def test_example_with_socat():
    """The shell command of io.brood(7) gets the status."""
    unless(shutil.which("socat"), "there is no socat")
    with Daemon(POOLS) as d:
        reply = json.loads(output_of("sh", "-c", interface_example("printf", d)))
        assert reply["parameters"]["state"] == "running", reply


def test_example_of_a_daemon():
    """The daemon that broodd(8) shows how to start serves a job."""
    d = Daemon({}, start=False)
    try:
        text, = [t for t in manual.literals("broodd.8") if t.startswith("mkdir ")]
        assert text.endswith(" &\n")
        script = "set -e\n" + text + "echo $! >pid\n"
        done = subprocess.run(["sh", "-c", script], env=environment(d), cwd=d.path(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=slow(30))
        assert done.returncode == 0
        with open(d.path("pid"), encoding="ascii") as f:
            pid = int(f.read())
        until(lambda: os.path.exists(d.path("trial", "sock")), "the socket")
        out = output_of(CTL, "--socket=" + d.path("trial", "sock"), "submit", "--wait", "celsius",
                        '{"fahrenheit": 212}')
        assert json.loads(out)["celsius"] == 100, out
        os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0) # it came to us when its shell ended
        assert status == 0, status
    finally:
        d.end()

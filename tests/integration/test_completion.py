# SPDX-License-Identifier: MIT
"""Completions: in a real bash and a real zsh, with a daemon and without one."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time

from harness import *

CTL = build("daemon", "ctl", "broodctl")
SCRIPTS = source("packaging", "completions")
POOLS = {"diag": diag(handlers="echo sleep fail"), "exec": commands()}
VERBS = re.findall(r"^  ([a-z][a-z-]+) +\S", subprocess.run([CTL, "--help"], stdout=subprocess.PIPE,
                                                       text=True, check=True).stdout, re.M)


class Shell:
    """An interactive shell on a terminal of its own. What is typed is completed in it as it is for
    people; then a key of ours has the shell print its line."""

    def __init__(self, argv, setup, d=None):
        env = d.environment() if d else dict(os.environ)
        env.pop("BROOD_SOCKET", None)
        env.update(PATH=":".join([build("daemon"), build("daemon", "ctl"), env["PATH"]]),
                   TERM="dumb", LC_ALL="C.UTF-8", HISTFILE="/dev/null", INPUTRC="/dev/null")
        if d:
            env["BROOD_SOCKET"] = d.socket_path
        self.pty, slave = pty.openpty()
        self.context = Helpers.process(argv, stdin=slave, stdout=slave, stderr=slave, env=env,
                                       cwd=SCRIPTS, start_new_session=True)
        self.context.__enter__()
        os.close(slave)
        self.heard = ""
        os.write(self.pty, (setup + "\necho re''ady\n").encode())
        self.read_until(r"ready\r?\n")

    def read_until(self, pattern):
        end = time.monotonic() + slow(20)
        while True:
            found = re.search(pattern, self.heard)
            if found:
                self.heard = self.heard[found.end():]
                return found
            ready, _, _ = select.select([self.pty], [], [], max(0, end - time.monotonic()))
            assert ready, "not heard: %r in %r" % (pattern, self.heard[-2000:])
            self.heard += os.read(self.pty, 65536).decode(errors="replace")

    def line(self, typed, key="\t"):
        """What the line is after it was typed and the key pressed."""
        os.write(self.pty, ("\x15" + typed + key + "\x18\x10").encode())
        return self.read_until(r"<<<([^>]*)>>>").group(1)

    def all(self, typed):
        """All that fits, as words behind what stood before."""
        line = self.line(typed, "\x18\x01")
        before = typed[:typed.rindex(" ") + 1]
        if line == typed:
            return set()
        assert line.startswith(before), (typed, line)
        return set(line[len(before):].split())

    def close(self):
        self.context.__exit__(None, None, None)
        os.close(self.pty)


BASH = r"""PS1= PS2=; bind 'set bell-style none' 'set enable-bracketed-paste off'
bind 'set completion-query-items -1'; bind 'set page-completions off'
show() { printf '<%s%s>>>\n' '<<' "$READLINE_LINE"; }; bind -x '"\C-x\C-p": show'
bind '"\C-x\C-a": insert-completions'
for f in broodctl broodd; do source ./$f.bash; done"""

ZSH = r"""PS1= PS2= RPS1=; unsetopt zle_bracketed_paste prompt_sp prompt_cr beep; LISTMAX=1000
fpath=($PWD $fpath); autoload -U compinit; compinit -D -u; bindkey -e
show() { print -r -- "<""<<${BUFFER}>>>" }; zle -N show; bindkey '^X^P' show
zle -C every complete-word _generic; bindkey '^X^A' every
zstyle ':completion:every:*' completer _all_matches _complete
zstyle ':completion:every:*' insert true; bindkey '^U' kill-whole-line"""


@contextlib.contextmanager
def shell(name, d=None):
    unless(shutil.which(name), "there is no " + name)
    argv, setup = {"bash": (["bash", "--norc", "--noprofile", "-i"], BASH),
                   "zsh": (["zsh", "-f", "-i"], ZSH)}[name]
    s = Shell(argv, setup, d)
    try:
        yield s
    finally:
        s.close()


def complete(*args, status=0, socket_path="/nonexistent"):
    done = subprocess.run([CTL, "--socket=" + socket_path, "complete", *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=slow(10))
    assert done.returncode == status, (args, done)
    return done.stdout.splitlines(), done.stderr


def test_words():
    """complete prints what it is asked for, a word a line; jobs by their states."""
    with Daemon(POOLS) as d:
        def words(*args):
            lines, err = complete(*args, socket_path=d.socket_path)
            assert err == "", err
            return lines
        good = d.run("echo", {"x": 1}, tags=["nightly", "x y"])["id"]
        bad = d.run("fail", {"message": "no", "retry": False})["id"]
        late = d.submit("echo", delay_usec=3600 * 10**6)
        assert words("pools") == ["diag", "exec"]
        assert sorted(words("handlers")) == ["echo", "exec", "fail", "sleep"]
        assert sorted(words("workers")) == sorted(w["name"] for w in d.workers())
        assert words("jobs") == [late, bad, good]
        assert words("jobs", "failed") == [bad]
        assert words("jobs", "scheduled", "succeeded") == [late, good]
        assert words("jobs", "nonsense") == []
        assert sorted(words("tags")) == ["nightly", "x y"]
        assert words("verbs") == VERBS
        assert "--state=" in words("options", "list") and "--wait" not in words("options", "list")
        assert words("options") == words("options", "status")
        d.call("Cancel", id=late)


def test_words_are_bounded_and_harmless():
    """There are some hundred ids at the most, the newest; a name with a control character, which a
    client may give a tag, is no word."""
    with Daemon(POOLS) as d:
        ids = d.call("SubmitMany", jobs=[{"handler": "echo", "durability": "memory",
                                          "tags": ["evil\n--force", "\x1b[2J", "good"]}
                                         for _ in range(1000)])["ids"]
        for id in ids[-1:]:
            d.wait(id)
        lines, _ = complete("jobs", socket_path=d.socket_path)
        assert 100 <= len(lines) <= 500 and set(lines) <= set(ids), len(lines)
        lines, _ = complete("tags", socket_path=d.socket_path)
        assert lines == ["good"], lines


def test_no_daemon():
    """Without a daemon, or with one that does not answer, complete says nothing, and soon."""
    for what in ("pools", "handlers", "workers", "jobs", "semaphores", "tags"):
        assert complete(what) == ([], ""), what
    with Daemon(POOLS) as d:
        os.kill(d.pid, signal.SIGSTOP)
        began = time.monotonic()
        assert complete("jobs", socket_path=d.socket_path) == ([], "")
        assert complete("line", "--", "cancel", "", socket_path=d.socket_path) == ([], "")
        assert time.monotonic() - began < slow(6)
        os.kill(d.pid, signal.SIGCONT)


def test_a_socket_that_is_full():
    """A socket that takes no connection any more does not hold it up."""
    with Daemon(POOLS, start=False) as d:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(d.socket_path)
        listener.listen(0)
        waiting = []
        with contextlib.suppress(BlockingIOError):
            while len(waiting) < 100:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(d.socket_path)
        assert complete("jobs", socket_path=d.socket_path) == ([], "")
        for s in [listener, *waiting]:
            s.close()
        d.end()


def test_a_stranger_at_the_socket():
    """What answers nonsense, or an error, offers nothing."""
    for answer in (b"nonsense\0", b"{}\0", b'{"error":"io.brood.AccessDenied"}\0',
                   b'{"parameters":{"pools":[1,{"name":2},{"name":"\\u0000"},{}]}}\0', b""):
        d = Daemon(POOLS, start=False)
        try:
            with listener_at(d.socket_path) as listener:
                with Helpers.process([CTL, "--socket=" + d.socket_path, "complete", "pools"],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
                    connection, _ = listener.accept()
                    connection.recv(1000)
                    connection.sendall(answer)
                    connection.close()
                    assert p.stdout.read() == b"" and p.stderr.read() == b"", answer
                    assert p.wait(slow(5)) == 0, answer
        finally:
            d.end()


def test_wrong_usage():
    """What there is nothing to say of is wrong usage, and the help does not show the verb."""
    _, err = complete("nonsense", status=2)
    assert "nonsense" in err and "pools" in err
    assert "complete" not in VERBS


def test_line():
    """A line is understood: options before and after the verb, values, words that stand already."""
    def line(*words):
        return complete("line", "--", *words)[0]

    def names(*words):
        lines = line(*words)
        assert lines[0] == "words", lines
        return [text.split("\t")[0] for text in lines[1:]]
    assert names("") == VERBS
    assert names("--json", "ca") == ["cancel"]
    assert names("--socket", "x", "ca") == ["cancel"]
    assert names("--so") == ["--socket="]
    assert names("list", "--state=qua") == ["--state=quarantined"]
    assert names("list", "--state", "qua") == ["quarantined"]
    assert names("submit", "x", "--durability=") == ["--durability=fsync", "--durability=memory"]
    assert names("status", "") == [] and names("nonsense", "") == []
    assert names("scale", "p", "1", "") == []
    assert names("bench", "") == ["models", "throughput", "latency"]
    assert names("bench", "th") == ["throughput"] and names("bench", "models", "") == []
    assert line("map", "x", "") == ["files"]
    assert line("submit", "x", "@") == ["files @"]
    assert line("check-config", "") == ["directories"]
    assert line("backup", "--state-directory=/v") == ["directories"]
    assert line("run", "--wait", "--", "") == ["command 3"]
    assert line("run", "--", "ls", "--st") == ["command 2"]
    assert line("run", "--tag", "t", "ls", "x") == ["command 3"]
    assert "hand in a job" in line("subm")[1]


def both(function):
    """Runs a test in each shell."""
    def test():
        for name in ("bash", "zsh"):
            function(name)
    test.__name__, test.__doc__, test.__module__ = (function.__name__, function.__doc__,
                                                    function.__module__)
    test.__code__ = test.__code__.replace(co_firstlineno=function.__code__.co_firstlineno)
    return limit(150)(test)


@both
def test_shell_with_daemon(name):
    """Verbs, options, their values, and what the daemon knows are completed."""
    with Daemon(POOLS) as d, shell(name, d) as s:
        bad = d.run("fail", {"message": "no", "retry": False})["id"]
        late = d.submit("echo", delay_usec=3600 * 10**6, tags=["a:b@c=d"])
        assert s.line("broodctl pau") == "broodctl pause "
        assert s.line("broodctl pause di") == "broodctl pause diag "
        assert s.line("broodctl --json submit sl") == "broodctl --json submit sleep "
        assert s.line("broodctl list --sta") == "broodctl list --state="
        assert s.line("broodctl list --state=qua") == "broodctl list --state=quarantined "
        assert s.line("broodctl list --pool=di") == "broodctl list --pool=diag "
        assert s.line("broodctl list --pool di") == "broodctl list --pool diag "
        assert s.line("broodctl list --tag=a").replace("\\", "") == \
            "broodctl list --tag=a:b@c=d "
        assert s.line("broodctl list --tag=a:b@").replace("\\", "") == \
            "broodctl list --tag=a:b@c=d "
        assert s.line("broodctl cancel ") == "broodctl cancel %s " % late
        assert s.line("broodctl retry ") == "broodctl retry %s " % bad
        assert s.line("broodctl submit echo --after=" + bad[:-1]) == \
            "broodctl submit echo --after=%s " % bad
        assert s.all("broodctl pause ") == {"diag", "exec"}
        assert s.all("broodctl ") == set(VERBS)
        assert s.all("broodctl get ") == {bad, late}
        assert s.all("broodctl get %s " % bad[:-1]) == set()
        assert "--dry-run" in s.all("broodctl retry --")
        assert "--force" not in s.all("broodctl retry --")
        d.call("Cancel", id=late)


@both
def test_shell_without_daemon(name):
    """Verbs and options are completed, and in the place of what a daemon would know is nothing."""
    with shell(name) as s:
        opened = "broodctl --socket=/nonexistent "
        assert s.line(opened + "pau") == opened + "pause "
        assert s.line(opened + "pause ") == opened + "pause "
        assert s.line(opened + "cancel --f") == opened + "cancel --force "
        assert "cannot" not in s.heard, s.heard


@both
def test_shell_follows_the_socket_of_the_line(name):
    """The daemon that is asked is the one that the line names."""
    with Daemon({"other": diag(handlers="echo")}) as d, shell(name) as s:
        for how in ("--socket=" + d.socket_path, "--socket " + d.socket_path):
            line = "broodctl %s pause oth" % how
            assert s.line(line) == line + "er ", how
        line = "broodctl pause --socket=%s oth" % d.socket_path
        assert s.line(line) == line + "er "


@both
def test_shell_files_and_commands(name):
    """Where a file, a directory or a command is expected, the shell offers its own."""
    with shell(name) as s:
        assert s.line("broodctl map x ./broodctl.b") == "broodctl map x ./broodctl.bash "
        assert s.line("broodctl submit x @./broodctl.b") == "broodctl submit x @./broodctl.bash "
        assert s.line("broodctl submit x @/us") == "broodctl submit x @/usr/"
        assert s.line("broodctl backup --state-directory=/us") == \
            "broodctl backup --state-directory=/usr/"
        assert s.line("broodctl check-config /us") == "broodctl check-config /usr/"
        assert s.line("broodctl run -- sha256s") == "broodctl run -- sha256sum "
        assert s.line("broodctl run --tag=x -- cat ./broodctl.b") == \
            "broodctl run --tag=x -- cat ./broodctl.bash "


@both
def test_shell_broodd(name):
    """broodd's own options, directories and levels are completed."""
    with shell(name) as s:
        assert s.line("broodd --check") == "broodd --check-config "
        assert s.line("broodd --sock") == "broodd --socket="
        assert s.line("broodd --log-level=wa") == "broodd --log-level=warning "
        assert s.line("broodd --config=/us") == "broodd --config=/usr/"
        assert s.line("broodd --version --state-directory=/us") == \
            "broodd --version --state-directory=/usr/"

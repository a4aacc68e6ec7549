# SPDX-License-Identifier: MIT
"""The programs of lib/examples print what they promise, and what is installed is enough to build
them."""

import collections
import contextlib
import glob
import os
import re
import signal
import string
import subprocess
import tempfile

from harness import *

SQUARES = "%d\n" % sum(i * i for i in range(100000))


def example(name):
    return build("lib", "examples", name)


def run(*argv, status=0, env=None, cwd=None):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=slow(30), env=env, cwd=cwd)
    assert done.returncode == status, (argv[:4], done.returncode, done.stdout[-999:], done.stderr)
    return done.stdout


def killing_workers(*argv, before=0):
    """Runs a program that has a pool, and kills a worker of it again and again until it ends.
    Returns its output and how many were killed."""
    killed = 0
    with tempfile.TemporaryFile("w+") as output:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output)
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.wait(before)
        for _ in range(50000):
            for pid in children(p.pid)[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            try:
                p.wait(0.003)
                break
            except subprocess.TimeoutExpired:
                pass
        else:
            p.kill()
        assert p.wait() == 0, (argv[0], p.returncode)
        output.seek(0)
        return output.read(), killed


def test_every_example_is_short():
    """Short enough to be read whole: a screen (60 lines), and the one of the README 31."""
    paths = glob.glob(source("lib", "examples", "*.c"))
    assert len(paths) >= 10
    for path in paths:
        with open(path, encoding="utf-8") as f:
            assert len(f.readlines()) <= (31 if path.endswith("squares.c") else 60), path


def test_every_header_has_an_example():
    """Each header that is installed is included by one of them."""
    included = set()
    for path in glob.glob(source("lib", "examples", "*.c")):
        with open(path, encoding="utf-8") as f:
            included |= set(re.findall(r"^#include <brood/(\w+\.h)>$", f.read(), re.M))
    assert included == set(os.listdir(source("lib", "include", "brood")))


def test_celsius():
    """The temperatures of the children are right, by each start method; each is a process of its
    own, and the parent another."""
    for method in ("fork", "spawn", "forkserver"):
        lines = run(example("celsius"), "4", method).splitlines()
        found = {}
        for line in lines:
            m = re.fullmatch(r"(\d+\.\d{6}) F is (\d+\.\d{6}) C \(pid (\d+)\)", line)
            if m:
                found[m.group(1)] = (m.group(2), m.group(3))
        assert {f: c for f, (c, _) in found.items()} == {
            "110.000000": "43.333333", "120.000000": "48.888889",
            "130.000000": "54.444444", "140.000000": "60.000000"}, (method, lines)
        parent, = re.findall(r"^Spawned 4 processes from (\d+)$", "\n".join(lines), re.M)
        assert len(lines) == 5 and len({parent} | {pid for _, pid in found.values()}) == 5, lines
    run(example("celsius"), status=2)
    run(example("celsius"), "65", status=2)


def test_same_address():
    """One address, two memories: the child sees nothing of what the parent has written, nor the
    parent of the child's."""
    out = run(example("same_address"))
    m = re.fullmatch(r"parent: (0x\w+) has 1\nchild:  (0x\w+) has 0\nparent: (0x\w+) still has 1\n",
                     out)
    assert m and len(set(m.groups())) == 1, out


def test_pipe():
    """Questions, answers, and an end."""
    assert run(example("pipe")) == "".join("doubled: %d\n" % 2 ** i for i in range(1, 5))


def test_queue():
    """Nothing is lost, and nothing is there twice."""
    assert run(example("queue")) == "2 producers, 3 consumers, sum 1001000\n"


def test_semaphore():
    """The lock of a process that was killed is to be had, and its next owner is told."""
    assert run(example("semaphore")) == ("exit code -9\nits owner died: 70 + 0\n"
                                         "put right: 70 + 30\n")


def test_shared():
    """Four processes have counted all letters."""
    path = source("README.md")
    with open(path, encoding="utf-8") as f:
        counted = collections.Counter(c for c in f.read().lower() if c in string.ascii_lowercase)
    assert run(example("shared"), path) == "".join("%s %d\n" % (c, counted[c])
                                                   for c in string.ascii_lowercase)
    run(example("shared"), "/nonexistent", status=1)


def expected_counts(paths):
    def line(path):
        with open(path, "rb") as f:
            data = f.read()
        return "%d %d %s\n" % (data.count(b"\n"), len(data), path)
    return "".join(line(path) for path in paths)


def test_map_files():
    """Lines and bytes of files, in the order of the arguments; what cannot be read is named."""
    paths = sorted(glob.glob(source("lib", "*", "*.c")))
    assert run(example("map_files"), *paths) == expected_counts(paths)
    done = subprocess.run([example("map_files"), paths[0], "/nonexistent", paths[1]],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=slow(30))
    assert done.stdout == expected_counts(paths[:2])
    assert done.stderr == "/nonexistent: No such file or directory\n", done.stderr


def test_map_files_while_its_workers_are_killed():
    """kill -9 of its workers changes nothing."""
    unless(not SANITIZED, "a worker takes longer to be born than it is left alone")
    paths = sorted(glob.glob(source("lib", "*", "*.[ch]"))) * 40
    wanted, killed = expected_counts(paths), 0
    for _ in range(20):
        out, n = killing_workers(example("map_files"), *paths)
        assert out == wanted, len(out)
        killed += n
        if killed >= 20:
            break
    assert killed >= 20, killed


def test_client():
    """Jobs are handed in, and their results come back in order; a daemon that is not there is
    named."""
    env = {**os.environ, "BROOD_SOCKET": "/nonexistent/sock"}
    done = subprocess.run([example("client"), "3"], env=env, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=slow(30))
    assert done.returncode == 1 and done.stderr == "client: broodd cannot be reached\n"
    with Daemon({"celsius": pool("celsius", "celsius.so")}) as d:
        out = run(example("client"), "3", env={**os.environ, "BROOD_SOCKET": d.socket_path})
        assert re.findall(r'"celsius":\s*([\d.]{5})', out) == ["43.33", "48.88", "54.44"], out


def test_hello():
    """The handler greets; bad arguments are refused for good."""
    with Daemon({"hello": pool("hello", example("hello.so"))}) as d:
        assert d.run("hello", {"name": "bob"})["result"]["hello"] == "bob"
        id = d.submit("hello", {"name": 4})
        job = d.wait(id)
        assert job["state"] == "failed" and len(job["attempts"]) == 1, job
        assert "'name' has to be a string" in str(job), job


def shared_names():
    """What has a name that outlives processes: POSIX shared memory and semaphores, System V's."""
    names = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    for kind in ("msg", "sem", "shm"):
        with open("/proc/sysvipc/" + kind, encoding="ascii") as f:
            names |= {kind + " " + line.split()[1] for line in f.readlines()[1:]}
    return names


def test_nap():
    """A handler that waits on the loop: many at a time, and a cancel that wakes one."""
    text = pool("nap", example("nap.so"), concurrency="async", slots=20, min_workers=1)
    with Daemon({"nap": text}) as d:
        ids = [d.submit("nap", {"seconds": 0.2}) for _ in range(20)]
        held = d.submit("nap", {"seconds": 30})
        for id in ids:
            assert d.wait(id)["result"] == {"slept": True}
        d.await_state(held, "running")
        d.call("Cancel", id=held)
        assert d.wait(held)["state"] == "cancelled"
        assert d.run("nap", {"seconds": -1})["state"] == "failed"


def test_nothing_is_left_of_a_program_that_is_killed():
    """The parent is killed at some moment: its children end, and nothing with a name is left."""
    before = shared_names()
    for name in ("queue", "celsius", "squares", "map_files"):
        arguments = {"celsius": ["64", "forkserver"],
                     "map_files": glob.glob(source("lib", "*", "*"))}
        for moment in range(1, 9):
            p = subprocess.Popen([example(name), *arguments.get(name, [])],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.wait(moment * 0.002)
            family = descendants(p.pid)
            p.kill()
            p.wait()
            wait_gone(family + descendants(os.getpid()))
    until(lambda: shared_names() <= before, "no names but those of before")  # of others, too


# --- as somebody has it who has installed brood ---

@contextlib.contextmanager
def installed():
    """An environment for cc and for programs, of a prefix that `meson install` has filled."""
    with tempfile.TemporaryDirectory(prefix="brood-examples.") as root:
        run("meson", "install", "-C", build(), "--no-rebuild", "--quiet", "--destdir", root)
        pc, = glob.glob(root + "/**/brood.pc", recursive=True)
        library = os.path.dirname(os.path.dirname(pc))
        # by itself it says where it is from, so it is not asked to find the destdir
        with open(pc, encoding="utf-8") as f:
            prefix = re.search(r"^prefix=(.*)$", f.read(), re.M).group(1)
        env = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc), "LD_LIBRARY_PATH": library}
        if prefix.startswith("/"):
            with open(pc, encoding="utf-8") as f:
                text = f.read()
            with open(pc, "w", encoding="utf-8") as f:
                f.write(text.replace("prefix=" + prefix, "prefix=" + root + prefix))
        yield root, env


def readme_program():
    """squares.c as the README shows it."""
    with open(source("README.md"), encoding="utf-8") as f:
        text = f.read()
    return "".join(line[4:] + "\n" for line in re.search(
        r"^    #include <brood/pool\.h>\n(?:    .*\n|\n)*?    }\n(?=\n[^ ])", text, re.M)
        .group(0).splitlines())


def test_readme_shows_squares():
    """The README's program is the one that is tested."""
    with open(source("lib", "examples", "squares.c"), encoding="utf-8") as f:
        assert readme_program() == f.read().split("\n", 1)[1]


@limit(180)
def test_squares_against_the_installed_library():
    """`cc squares.c $(pkg-config --cflags --libs brood)` against what meson install has put into a
    directory; the program squares 100,000 numbers on all CPUs while its workers are killed with
    kill -9, and its answer is right."""
    unless(not SANITIZED, "a program without sanitizers cannot load a library with them")
    with installed() as (root, env):
        program = os.path.join(root, "squares")
        run("sh", "-c", "cc -Wall -Werror %s -o %s $(pkg-config --cflags --libs brood)"
            % (source("lib", "examples", "squares.c"), program), env=env)
        os.environ["LD_LIBRARY_PATH"] = env["LD_LIBRARY_PATH"]
        assert run(program) == SQUARES
        maps = run("ldd", program)
        assert re.search(r"libbrood\.so\.0 => " + re.escape(root), maps), maps
        killed = 0
        for _ in range(100):
            out, n = killing_workers(program)
            assert out == SQUARES, (out[-99:], n)
            killed += n
            if killed >= 40:
                break
        assert killed >= 40, killed


@limit(120)
def test_every_example_builds_against_the_installed_library():
    """Headers, pkg-config file and symbols are all there: no example needs this tree."""
    unless(not SANITIZED, "a program without sanitizers cannot be linked with such a library")
    with installed() as (root, env):
        for path in sorted(glob.glob(source("lib", "examples", "*.c"))):
            kind = ["-shared", "-fPIC"] if path.endswith(("hello.c", "nap.c")) else []
            run("sh", "-c", 'cc -Wall -Werror "$@" $(pkg-config --cflags --libs brood)', "cc",
                *kind, path, "-o", os.path.join(root, "program"), env=env)

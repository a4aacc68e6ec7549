# SPDX-License-Identifier: MIT
"""Compiles and runs what a mutant changes, and nothing else.

All of the core, and what it needs of the rest of the tree, is one shared object; each test program
is linked to that once. For a mutant the objects that include the mutated file are compiled into a
directory of its own, and the shared object is linked anew; a program is made anew only if it
includes the file itself (a header with code)."""
import dataclasses
import hashlib
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time

CC = os.environ.get("CC", "gcc")
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-fno-strict-aliasing", "-fno-common", "-fPIC", "-w",
         "-pipe"]
INCLUDES = ["lib", "lib/include", "daemon", "config", "tests/unit", "tests/sim"]
LIBRARIES = ["-lcmocka", "-lm", "-lpthread"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]
CORE = "daemon/core"
COPIED = ("lib", "daemon", "config", "tests")
MEMORY = 1 << 30  # bytes; of address space, and with the sanitizers of memory
OUTPUT = 1 << 20  # bytes of what a program says that are looked at
BAD_WORDS = re.compile(rb"\[  FAILED  \]|\[  ERROR   \]|broken invariant")


class Trouble(Exception):
    """The unmutated tree does not build, or does not pass; the words say what."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One way to run a test program."""
    program: str
    args: tuple = ()
    env: tuple = ()  # pairs

    def __str__(self):
        return " ".join([*("%s=%s" % pair for pair in self.env), self.program, *self.args])


@dataclasses.dataclass
class Program:
    sources: list
    runs: list
    pure: bool = True  # taken only if it uses the core, and nothing that stands above it


@dataclasses.dataclass
class Result:
    how: str      # "passed", "skipped" (as meson has it), "failed", "crashed", "time", "sanitizer"
    cpu: float    # seconds
    output: str


def gcc(arguments, cwd, text=None):
    """The end of a compiler's run."""
    return subprocess.run([CC, *arguments], cwd=cwd, input=text, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def must(done):
    if done.returncode:
        raise Trouble("the tree does not build:\n" + done.stderr[-4000:])
    return done.stdout


def run(argv, env, cwd, cpu, memory, until=BAD_WORDS):
    """Runs a program until it ends, has used up `cpu` seconds, or has said that a test failed. The
    clock on the wall only counts for who waits: the machine may be busy."""
    limits = "ulimit -c 0; ulimit -t %d; %s exec \"$@\"" % (
        cpu, "ulimit -v %d;" % (memory >> 10) if memory else "")
    end = time.monotonic() + 20 * cpu + 60
    child = subprocess.Popen(["sh", "-c", limits, "sh", *argv], env=env, cwd=cwd,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    output, how = b"", None
    with child.stdout as pipe:
        while not how:
            if not select.select([pipe], [], [], max(0, end - time.monotonic()))[0]:
                how = "time"
                break
            some = os.read(pipe.fileno(), 1 << 16)
            if not some:
                break
            output = (output + some)[-OUTPUT:]
            if until and until.search(output):
                how = "failed"
    if how:
        os.killpg(child.pid, signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if not how:
        how = ending(child.returncode, output)
    return Result(how, usage.ru_utime + usage.ru_stime, output.decode(errors="replace"))


def ending(code, output):
    if b"Sanitizer" in output or b"runtime error:" in output:
        return "sanitizer"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "time"
    return {0: "passed", 77: "skipped"}.get(code, "crashed" if code < 0 else "failed")


class Variant:
    """Everything unmutated, with some flags: plain, or with sanitizers."""

    def __init__(self, bench, name, flags, memory, env):
        self.bench, self.name = bench, name
        self.flags, self.memory = flags, memory
        self.env = dict(os.environ, **env)
        self.directory = os.path.join(bench.directory, name)
        self.tried = self.path("libtried.so")
        self.lock = threading.Lock()
        self.expected = None  # {run: CPU seconds}, when it is ready

    def path(self, name):
        return os.path.join(self.directory, name)

    def object(self, source):
        return self.path(source.replace("/", "_") + ".o")

    def ready(self):
        """Builds all, once, and runs it; raises Trouble if that fails."""
        with self.lock:
            if self.expected is None:
                self.build()
                self.expected = self.measure()
        return self.expected

    def compile(self, source, target, first=None):
        """`first`: where a mutated file is to be found before all others."""
        tree, paths = self.bench.tree, []
        for root in filter(None, (first, tree)):
            paths += ["-I" + os.path.join(root, i) for i in INCLUDES]
        root = first if first and os.path.exists(os.path.join(first, source)) else tree
        return gcc([*FLAGS, *self.flags, *paths, "-c", source, "-o", target], root)

    def link_shared(self, objects, target):
        return gcc([*self.flags, "-shared", "-Wl,-Bsymbolic", "-Wl,-soname,libtried.so", *objects,
                    "-o", target, "-lm", "-lpthread"], self.directory)

    def link_program(self, objects, library, target):
        return gcc([*self.flags, *objects, library, "-o", target, *LIBRARIES], self.directory)

    def build(self):
        if os.path.exists(self.path("complete")):
            return
        os.makedirs(self.directory, exist_ok=True)
        b = self.bench
        b.each(lambda s: must(self.compile(s, self.object(s))),
               sorted({*b.shared, *(s for own in b.programs.values() for s in own)}))
        must(self.link_shared([self.object(s) for s in b.shared], self.tried))
        b.each(lambda p: must(self.link_program([self.object(s) for s in b.programs[p]],
                                                self.tried, self.path(p))), b.programs)
        with open(self.path("complete"), "w"):
            pass

    def measure(self):
        """CPU seconds of each run, which has to pass, or is skipped for ever."""
        def one(r):
            if self.run(r, self.bench.tree, 600).how == "passed":
                raise Trouble("%s passes without the library that mutants are linked to" % r)
            result = self.run(r, self.directory, 600)
            if result.how not in ("passed", "skipped"):
                raise Trouble("%s, without any mutant: %s\n%s" % (r, result.how,
                                                                  result.output[-4000:]))
            return r, result
        found = self.bench.each(one, self.bench.runs)
        return {r: result.cpu for r, result in found if result.how == "passed"}

    def run(self, r, directory, cpu=None):
        """One run with the library, and the program if it is there, of this directory; with `cpu`
        seconds to the end, otherwise to the first failure."""
        own = os.path.join(directory, r.program)
        env = dict(self.env, LD_LIBRARY_PATH=directory, **dict(r.env))
        argv = [own if os.path.exists(own) else self.path(r.program), *r.args]
        if cpu:
            return run(argv, env, directory, cpu, self.memory, None)
        return run(argv, env, directory, 2 + int(10 * self.expected[r]), self.memory)

    def make(self, mutant, directory):
        """Compiles and links a mutant, the file of which lies in the directory; False if it does
        not compile."""
        changed = [s for s, d in self.bench.depends.items() if mutant.path in d]

        def objects(sources):
            return [os.path.join(directory, self.name + "_" + s.replace("/", "_") + ".o")
                    if s in changed else self.object(s) for s in sources]
        for source, target in zip(changed, objects(changed)):
            if self.compile(source, target, directory).returncode:
                return False
        library = os.path.join(directory, "libtried.so")
        if self.link_shared(objects(self.bench.shared), library).returncode:
            return False
        for program, sources in self.bench.programs.items():
            if set(sources) & set(changed):
                must(self.link_program(objects(sources), library,
                                       os.path.join(directory, program)))
        return True


class Bench:
    """A copy of the tree, and what is made of it."""

    def __init__(self, top, build, programs, each):
        """`programs`: {name: Program} by a function of the copy; `each`: map, on some threads."""
        self.each = each
        key = self.digest(top)
        self.directory = os.path.join(build, "base-" + key)
        self.tree = os.path.join(self.directory, "tree")
        self.copy(top, build)
        found = {n: p for n, p in programs(self.tree).items()
                 if not p.pure or self.is_of_core(p.sources)}
        if not found:
            raise Trouble("there is no test that uses %s" % CORE)
        self.programs = {n: p.sources for n, p in found.items()}
        self.runs = [r for p in found.values() for r in p.runs]
        self.shared = self.find_shared()
        self.plain = Variant(self, "plain", ["-O1"], MEMORY, {
            "MALLOC_PERTURB_": "165"})  # what is freed, or never written, is not 0
        self.sanitized = Variant(self, "sanitized", ["-O1", *SANITIZE], 0, {
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1:"
                            "hard_rss_limit_mb=%d" % (MEMORY >> 20),
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=0"})
        self.originals = {}  # {path: object code with -O2}
        self.lock = threading.Lock()

    # --- the copy ---

    @staticmethod
    def files(top):
        for part in COPIED:
            for folder, folders, names in os.walk(os.path.join(top, part)):
                folders[:] = sorted(f for f in folders if f not in ("__pycache__", "corpus"))
                for name in sorted(names):
                    if name.endswith((".c", ".h", ".def", ".build")):
                        yield os.path.relpath(os.path.join(folder, name), top)

    def digest(self, top):
        """Of all that could matter."""
        digest = hashlib.sha256(repr((CC, FLAGS, SANITIZE, INCLUDES)).encode())
        for path in [*self.files(top), __file__]:
            with open(os.path.join(top, path), "rb") as f:
                digest.update(path.encode() + b"\0" + f.read())
        return digest.hexdigest()[:12]

    def copy(self, top, build):
        """Of older copies none is left."""
        os.makedirs(build, exist_ok=True)
        for name in os.listdir(build):
            if name.startswith("base-") and name != os.path.basename(self.directory):
                shutil.rmtree(os.path.join(build, name), ignore_errors=True)
        if os.path.exists(self.tree):
            return
        new = self.tree + ".new"
        shutil.rmtree(new, ignore_errors=True)
        for path in self.files(top):
            os.makedirs(os.path.dirname(os.path.join(new, path)), exist_ok=True)
            shutil.copyfile(os.path.join(top, path), os.path.join(new, path))
        os.rename(new, self.tree)

    # --- what needs what ---

    def includes(self, source):
        """The files of the tree that a source is made of, itself first."""
        done = gcc(["-MM", "-MG", *FLAGS, *("-I" + i for i in INCLUDES), source], self.tree)
        if done.returncode:
            raise Trouble("%s: %s" % (source, done.stderr[-2000:]))
        names = done.stdout.replace("\\\n", " ").split()[1:]
        return [os.path.normpath(n) for n in names]

    def is_of_core(self, sources):
        """Do they use the core, and nothing of what stands above it?"""
        ours = [p.startswith(CORE + "/") for s in sources for p in self.includes(s)
                if p.startswith("daemon/")]
        return any(ours) and all(ours)

    def find_shared(self):
        """The core, and the source of each header of lib/ that somebody includes, and so on."""
        core = sorted(os.path.join(CORE, n) for n in os.listdir(os.path.join(self.tree, CORE))
                      if n.endswith(".c"))
        own = [s for sources in self.programs.values() for s in sources]
        todo, shared, self.depends = [*own, *core], [], {}
        while todo:
            source = todo.pop()
            if source in self.depends:
                continue
            self.depends[source] = self.includes(source)
            if source not in own:
                shared.append(source)
            for header in self.depends[source]:
                other = header[:-2] + ".c"
                if re.match(r"lib/.*\.h$", header) and \
                        os.path.exists(os.path.join(self.tree, other)):
                    todo.append(other)
        return sorted(shared)

    def text(self, path):
        with open(os.path.join(self.tree, path), encoding="utf-8") as f:
            return f.read()

    def mutable(self):
        return sorted(os.path.join(CORE, n) for n in os.listdir(os.path.join(self.tree, CORE))
                      if n.endswith((".c", ".h")))

    def headers(self):
        """All headers of the core as the preprocessor sees them."""
        text = "".join('#include "%s"\n' % os.path.relpath(p, "daemon")
                       for p in self.mutable() if p.endswith(".h"))
        return must(gcc(["-E", *FLAGS, *("-I" + i for i in INCLUDES), "-xc", "-"], self.tree,
                        text))

    # --- a mutant ---

    def same_code(self, mutant, directory):
        """Does the optimizer make the same of it? (Of a header: of all its inline functions.)"""
        with self.lock:
            if mutant.path not in self.originals:
                self.originals[mutant.path] = self.object_code(mutant.path, self.tree, directory)
        return self.object_code(mutant.path, directory, directory) == self.originals[mutant.path]

    def object_code(self, path, root, scratch):
        roots = dict.fromkeys((root, self.tree))
        paths = ["-I" + os.path.join(r, i) for r in roots for i in INCLUDES]
        source, text = [path], None
        if path.endswith(".h"):
            source, text = ["-fkeep-inline-functions", "-xc", "-"], '#include "%s"\n' % path
        with tempfile.NamedTemporaryFile(dir=scratch, suffix=".o") as f:
            must(gcc([*FLAGS, "-O2", "-g0", *paths, "-I.", *source, "-c", "-o", f.name], root,
                     text))
            return f.read()

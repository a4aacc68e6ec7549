# SPDX-License-Identifier: MIT
"""Command= lines of workers in other languages: for Node.js, and in Go, which is built first.

A test whose language is not installed is skipped.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile

from harness import build, slow, unless

GO_PATH = "/usr/share/gocode"


def node(script):
    program = shutil.which("nodejs") or shutil.which("node")
    unless(program, "nodejs is not installed")
    return "%s %s" % (os.path.realpath(program), script)


def digest(paths):
    """Another one where anything of these files changes."""
    found = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            found.update(hashlib.sha256(f.read()).digest())
    return found.hexdigest()[:16]


def go(main, *beside):
    """`main` with the files that it embeds. Built once: all tests share what is in the build tree,
    and one that comes while another one builds waits for it."""
    program = shutil.which("go")
    unless(program, "golang-go is not installed")
    unless(os.path.isdir(GO_PATH + "/src/github.com/varlink/go/varlink"),
           "golang-github-varlink-go-dev is not installed")
    folder = build("tests", "go")
    os.makedirs(folder, exist_ok=True)
    built = os.path.join(folder, "%s-%s" % (os.path.basename(main)[:-len(".go")],
                                            digest([os.path.realpath(program), main, *beside])))
    with open(os.path.join(folder, "lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever holds it and is killed lets it go
        if not os.path.exists(built):
            compile_go(program, folder, [main, *beside], built)
    return built


def compile_go(program, folder, sources, built):
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": GO_PATH, "GOFLAGS": "",
           "GOCACHE": os.path.join(folder, "cache")}
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        for path in sources:
            shutil.copy(path, directory)
        done = subprocess.run([program, "build", "-o", "worker", os.path.basename(sources[0])],
                              cwd=directory, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=slow(120))
        assert done.returncode == 0, done.stdout
        os.rename(os.path.join(directory, "worker"), built)  # whole, or not at all

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""installed.py BUILD: meson install puts there what packages and scripts count on, and no more.

Prints what is missing, what is there and nobody was told of, and what has the wrong mode; exits 1
if there is anything.
"""

import os
import re
import stat
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Below the prefix; LIB is lib, or lib/x86_64-linux-gnu. Units and config may be outside of it.
PROMISED = """
bin/broodctl
bin/broodd
etc/brood/brood.conf
etc/brood/pools/celsius.pool
etc/brood/pools/exec.pool
etc/brood/recurring/
include/brood/async.h
include/brood/client.h
include/brood/connection.h
include/brood/handler.h
include/brood/pool.h
include/brood/process.h
include/brood/queue.h
include/brood/semaphore.h
include/brood/shared.h
LIB/brood/modules/celsius.so
LIB/brood/modules/diag.so
LIB/brood/modules/python.so
LIB/libbrood.so
LIB/libbrood.so.0
LIB/libbrood.so.0.N.N
LIB/pkgconfig/brood.pc
lib/systemd/system/brood-submit@.service
lib/systemd/system/brood-submit@.timer
lib/systemd/system/broodd-metrics.socket
lib/systemd/system/broodd.service
lib/systemd/system/broodd.socket
lib/systemd/user/brood-submit@.service
lib/systemd/user/brood-submit@.timer
lib/systemd/user/broodd-metrics.socket
lib/systemd/user/broodd.service
lib/systemd/user/broodd.socket
lib/sysusers.d/brood.conf
lib/tmpfiles.d/brood.conf
libexec/brood/brood-async.so
libexec/brood/brood-forkserver
libexec/brood/brood-inspect
libexec/brood/brood-worker
share/brood/io.brood.Worker.varlink
share/brood/io.brood.varlink
share/doc/brood/drop-ins/device.conf
share/doc/brood/drop-ins/home.conf
share/doc/brood/drop-ins/inspect.conf
share/doc/brood/drop-ins/jit.conf
share/doc/brood/drop-ins/network.conf
share/doc/brood/drop-ins/users.conf
share/doc/brood/prometheus/brood.rules.yml
share/doc/brood/recurring/example.conf
""".split()

# Below PY, lib/python3…/(site|dist)-packages: what is in the tree, and the interface file.
PYTHON_SOURCES = os.path.join(ROOT, "lib", "python", "brood")

# Where the sources of these are in the tree, so have to be what is made of them.
PROMISED_OF = {
    "packaging/man": """
share/man/man1/broodctl.1
share/man/man3/brood_async.3
share/man/man3/brood_client.3
share/man/man3/brood_connection.3
share/man/man3/brood_handler.3
share/man/man3/brood_pool.3
share/man/man3/brood_pool_map.3
share/man/man3/brood_process.3
share/man/man3/brood_queue.3
share/man/man3/brood_semaphore.3
share/man/man3/brood_shared.3
share/man/man5/brood.conf.5
share/man/man5/brood.pool.5
share/man/man7/io.brood.7
share/man/man8/broodd.8
""".split(),
    "packaging/completions": """
share/bash-completion/completions/broodctl
share/zsh/site-functions/_broodctl
""".split(),
}
# May be there: what the parts above add beside it, and what the journal is told.
MAY_BE = re.compile(r"share/man/man\d/.*|lib/systemd/catalog/.*\.catalog|share/doc/brood/.*|"
                    r"share/(bash-completion|zsh)/.*")


def python_package():
    """All that is a file of the package, as PROMISED would have it."""
    for folder, folders, names in os.walk(PYTHON_SOURCES):
        folders[:] = [f for f in folders if f != "__pycache__"]
        for name in names:
            yield "PY/brood/" + os.path.relpath(os.path.join(folder, name), PYTHON_SOURCES)


def install(build, root):
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root],
                   check=True, stdin=subprocess.DEVNULL, timeout=60)


def plain(path, prefix):
    """A path as PROMISED has it."""
    path = path[len(prefix):] if path.startswith(prefix) else path
    path = re.sub(r"^/?lib/[a-z0-9_]+-linux-[a-z0-9]+/|^/?lib64/", "LIB/", path).lstrip("/")
    path = re.sub(r"^lib/python[0-9.]+/(site|dist)-packages/", "PY/", path)
    path = re.sub(r"^lib/(?=libbrood|brood/|pkgconfig)", "LIB/", path)
    return re.sub(r"(?<=\.so\.0)\.\d+\.\d+$", ".N.N", path)


def tree(root):
    """All files and empty directories: path in the root, path on the disk."""
    for folder, folders, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            yield path[len(root):], path
        if not folders and not names:
            yield folder[len(root):] + "/", folder


def wrong_mode(inside, path):
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return not os.path.exists(path)
    runs = stat.S_ISDIR(mode) or "/bin/" in inside or "/libexec/" in inside
    # a library may run or not, as the linker made it
    wanted = (0o755,) if runs else (0o644, 0o755) if ".so" in inside else (0o644,)
    return stat.S_IMODE(mode) not in wanted


def check(root):
    found = dict(tree(root))
    binary, = (path for path in found if path.endswith("/bin/broodd"))
    prefix = binary[:-len("bin/broodd")]
    here = {plain(inside, prefix): inside for inside in found}
    promised = set(PROMISED) | set(python_package())
    for source, files in PROMISED_OF.items():
        if os.path.isdir(os.path.join(ROOT, source)):
            promised |= set(files)
    for path in sorted(promised - set(here)):
        yield "%s is not installed" % path
    for path in sorted(set(here) - promised):
        if not MAY_BE.fullmatch(path):
            yield "%s is installed, and installed.py does not know it" % here[path]
    for inside, path in sorted(found.items()):
        if wrong_mode(inside, path):
            yield "%s has mode %o, or points nowhere" % (inside, os.lstat(path).st_mode)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="brood-installed.") as root:
        install(os.path.abspath(sys.argv[1]), root)
        wrong = list(check(root))
    for what in wrong:
        print(what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

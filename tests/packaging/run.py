#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py [PATTERN]: makes the Debian packages of this tree and looks at what is in them.

What they do on a machine that runs systemd, tests/systemd says. The last line is "N passed, N
failed"; the exit status is 0 if none failed.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = ("broodd", "broodd-python", "libbrood0", "libbrood-dev", "python3-brood")
# Until the manual pages are in the tree.
KNOWN_WARNINGS = () if os.path.isdir(ROOT + "/packaging/man") else ("no-manual-page",)


def run(*command, **options):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, **options).stdout


class Packages:
    """The packages, made once, and what dpkg says of them."""

    def __init__(self, top):
        self.top = top
        # root can take the network away, to prove that the build asks for nothing
        alone = ["unshare", "--net"] if os.getuid() == 0 else []
        run(*alone, "sh", ROOT + "/packaging/build-deb.sh", top)
        self.files, self.fields, self.extracted = {}, {}, {}
        for name in PACKAGES:
            deb, = glob.glob(top + "/%s_*.deb" % name)
            self.fields[name] = dict(re.findall(r"^([\w-]+): (.*)$",
                                                run("dpkg-deb", "--field", deb), re.M))
            self.files[name] = [(line.split()[0], line.split()[1], line.split(None, 5)[5][1:])
                                for line in run("dpkg-deb", "--contents", deb).splitlines()]
            self.extracted[name] = top + "/" + name
            run("dpkg-deb", "--raw-extract", deb, self.extracted[name])

    def path(self, package, pattern):
        """The one file of a package whose path fits."""
        found, = glob.glob(self.extracted[package] + pattern)
        return found

    def control(self, package, name):
        try:
            with open(self.extracted[package] + "/DEBIAN/" + name, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def depends(self, package):
        return {re.split(r"[ :(]", d)[0]: d
                for d in re.split(r", | \| ", self.fields[package].get("Depends", ""))}


def test_these_packages_and_no_other(p):
    """As many as debian/control names, all of one version."""
    names = sorted(os.path.basename(f).split("_")[0] for f in glob.glob(p.top + "/*.deb"))
    assert names == sorted(PACKAGES), names
    assert len({p.fields[name]["Version"] for name in PACKAGES}) == 1


def test_version_is_that_of_the_tree(p):
    """Changelog, meson.build and the program say the same."""
    with open(ROOT + "/meson.build", encoding="utf-8") as f:
        version = re.search(r"version: '([^']+)'", f.read()).group(1)
    assert p.fields["broodd"]["Version"] == version, (p.fields["broodd"]["Version"], version)
    assert run(p.path("broodd", "/usr/bin/broodd"), "--version") == "broodd %s\n" % version


def test_lintian_finds_nothing(p):
    """No error, and no warning that is not known."""
    changes, = glob.glob(p.top + "/*.changes")
    done = subprocess.run(["lintian", "--allow-root", changes], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, timeout=120)
    found = [line for line in done.stdout.splitlines()
             if re.match(r"[EW]:", line) and line.split()[2] not in KNOWN_WARNINGS]
    assert not found, "\n".join(found)


def test_what_helps_people_is_in_the_package(p):
    """Manual pages and completions, where programs of Debian look for them."""
    paths = {path for _, _, path in p.files["broodd"]}
    wanted = {
        "packaging/man": ["/usr/share/man/man1/broodctl.1.gz", "/usr/share/man/man8/broodd.8.gz",
                          "/usr/share/man/man5/brood.conf.5.gz",
                          "/usr/share/man/man5/brood.pool.5.gz",
                          "/usr/share/man/man7/io.brood.7.gz"],
        "packaging/completions": ["/usr/share/bash-completion/completions/broodctl",
                                  "/usr/share/zsh/vendor-completions/_broodctl"],
    }
    for source, files in wanted.items():
        if os.path.isdir(os.path.join(ROOT, source)):
            assert set(files) <= paths, sorted(set(files) - paths)
    assert not any("site-functions" in path for path in paths)


def test_the_librarys_manual_comes_with_its_headers(p):
    """Section 3 is in libbrood-dev: a page for each header, and one for each of its functions."""
    paths = {path.split(" -> ")[0] for _, _, path in p.files["libbrood-dev"]}
    headers = {os.path.basename(path)[:-2] for path in paths if path.endswith(".h")}
    for name in headers | {"pool_map", "queue_put", "task_fail"}:
        assert "/usr/share/man/man3/brood_%s.3.gz" % name in paths, name
    assert "/usr/share/doc/libbrood-dev/examples/squares.c" in paths, sorted(paths)
    assert not any("/man3/" in path for _, _, path in p.files["broodd"])


def test_each_file_is_in_one_package(p):
    """Two packages with one file can not be installed together."""
    all_files = [path for name in PACKAGES for mode, _, path in p.files[name] if mode[0] != "d"]
    assert len(all_files) == len(set(all_files))


def test_files_are_in_their_packages(p):
    """The daemon, the library and what programs are built with."""
    wanted = {
        "broodd": r"/usr/bin/broodd /usr/bin/broodctl /usr/libexec/brood/brood-forkserver"
                  r" /usr/libexec/brood/brood-inspect /usr/libexec/brood/brood-worker"
                  r" /lib/systemd/system/broodd\.service"
                  r" /lib/systemd/system/broodd-metrics\.socket"
                  r" /usr/lib/systemd/user/broodd-metrics\.socket"
                  r" /usr/share/doc/broodd/prometheus/brood\.rules\.yml"
                  r" /lib/systemd/system/broodd\.socket /lib/systemd/system/brood-submit@\.timer"
                  r" /lib/systemd/system/brood-submit@\.service"
                  r" /usr/lib/systemd/user/broodd\.service /usr/lib/systemd/user/broodd\.socket"
                  r" /usr/lib/sysusers\.d/brood\.conf"
                  r" /usr/lib/tmpfiles\.d/brood\.conf /etc/brood/brood\.conf"
                  r" /etc/brood/pools/exec\.pool /etc/brood/pools/celsius\.pool"
                  r" /etc/brood/recurring/ /usr/lib/[^/]+/brood/modules/celsius\.so"
                  r" /usr/lib/[^/]+/brood/modules/diag\.so /usr/share/brood/io\.brood\.varlink"
                  r" /usr/share/doc/broodd/drop-ins/network\.conf"
                  r" /usr/share/doc/broodd/recurring/example\.conf"
                  r" /usr/share/doc/broodd/copyright",
        "broodd-python": r"/usr/lib/[^/]+/brood/modules/python\.so",
        "libbrood0": r"/usr/lib/[^/]+/libbrood\.so\.0 /usr/lib/[^/]+/libbrood\.so\.0\.\d+\.\d+",
        "libbrood-dev": r"/usr/include/brood/async\.h"
                        r" /usr/include/brood/client\.h /usr/include/brood/handler\.h"
                        r" /usr/include/brood/connection\.h /usr/include/brood/pool\.h"
                        r" /usr/include/brood/process\.h /usr/include/brood/queue\.h"
                        r" /usr/include/brood/semaphore\.h /usr/include/brood/shared\.h"
                        r" /usr/lib/[^/]+/libbrood\.so /usr/lib/[^/]+/pkgconfig/brood\.pc",
    }
    for name, patterns in wanted.items():
        paths = [path.split(" -> ")[0] for _, _, path in p.files[name]]
        for pattern in patterns.split():
            assert any(re.fullmatch(pattern, path) for path in paths), (name, pattern, paths)


def test_all_is_roots_and_nothing_gains_rights(p):
    """Owner root, no setuid bit, nothing that others may write."""
    for name in PACKAGES:
        for mode, owner, path in p.files[name]:
            assert owner == "root/root", (path, owner)
            assert mode[0] == "l" or not re.search("[sStT]", mode), (path, mode)
            assert mode[0] == "l" or mode[5] == mode[8] == "-", (path, mode)


def test_config_files_are_conffiles(p):
    """All below /etc, so that an administrator's changes survive an upgrade, and nothing else."""
    files = {path for mode, _, path in p.files["broodd"] if mode[0] != "d"}
    conffiles = set(p.control("broodd", "conffiles").split())
    assert conffiles == {path for path in files if path.startswith("/etc/")}
    assert not p.control("libbrood0", "conffiles") and not p.control("libbrood-dev", "conffiles")


def test_dependencies(p):
    """Libraries by what is linked; the daemon does without libbrood, -dev wants the same one."""
    broodd = p.depends("broodd")
    for wanted in ("libc6", "libevent-core-2.1-7", "libinih1", "libjansson4", "libsqlite3-0",
                   "libsystemd0", "systemd"):
        assert wanted in broodd, (wanted, broodd)
    assert "libbrood0" not in broodd
    assert not [name for name in broodd if "python" in name], broodd
    assert set(p.depends("libbrood0")) == {"libc6", "libjansson4"}, p.depends("libbrood0")
    dev = p.depends("libbrood-dev")
    assert dev["libbrood0"] == "libbrood0 (= %s)" % p.fields["broodd"]["Version"], dev
    assert "libjansson-dev" in dev
    python = p.depends("broodd-python")
    for name in ("broodd", "python3-brood"):  # of the same source: they speak to each other
        assert python[name] == "%s (= %s)" % (name, p.fields[name]["Version"]), python
    libpython, = [name for name in python if re.fullmatch(r"libpython3\.\d+", name)]
    assert set(python) == {"broodd", "python3-brood", "libc6", "libjansson4", libpython}, python
    assert p.fields["python3-brood"]["Architecture"] == "all"
    assert set(p.depends("python3-brood")) == {"python3"}, p.depends("python3-brood")


def test_the_config_is_in_order(p):
    """The pools that come with it are served by the modules that come with it."""
    modules = os.path.dirname(p.path("broodd", "/usr/lib/*/brood/modules/celsius.so"))
    with tempfile.TemporaryDirectory() as config:
        shutil.copytree(p.path("broodd", "/etc/brood"), config, dirs_exist_ok=True)
        user = os.path.join(config, "brood.conf.d", "pool-user.conf")
        with open(user, encoding="utf-8") as f:
            assert "\n[Daemon]\nPoolUser=brood-worker\n" in f.read()
        os.unlink(user)  # the account is made when the package is installed
        said = run(p.path("broodd", "/usr/bin/broodd"), "--check-config", "--config=" + config,
                   env={**os.environ, "BROOD_MODULE_PATH": modules,
                        "BROOD_LIBEXEC": p.path("broodd", "/usr/libexec/brood")})
    assert "in order: 2 pools" in said, said


def test_programs_find_what_is_theirs(p):
    """Modules and fork server are looked for where the package has them, and so is the config."""
    with open(p.path("broodd", "/usr/bin/broodd"), "rb") as f:
        image = f.read()
    modules = os.path.dirname(p.path("broodd", "/usr/lib/*/brood/modules/celsius.so"))
    for path in ("/usr/libexec/brood", modules[len(p.extracted["broodd"]):]):
        assert path.encode() + b"\0" in image, path
    with open(p.path("broodd", "/lib/systemd/system/broodd.service"), encoding="utf-8") as f:
        assert "\nExecStart=/usr/bin/broodd --config=/etc/brood\n" in f.read()
    assert "RUNPATH" not in run("readelf", "-d", p.path("broodd", "/usr/bin/broodd"))


def test_the_account_is_there_before_the_service(p):
    """postinst makes the account and the directory first, then starts socket and service."""
    postinst = p.control("broodd", "postinst")
    order = [postinst.index(what) for what in (
        "systemd-sysusers", "systemd-tmpfiles", "start 'broodd.socket'",
        "$_dh_action 'broodd.service'")]
    assert order == sorted(order), order
    assert re.search(r"chown brood:root /etc/brood", postinst)


def test_an_upgrade_restarts_the_service_and_not_the_socket(p):
    """Clients that connect meanwhile wait in the socket."""
    postinst, prerm = p.control("broodd", "postinst"), p.control("broodd", "prerm")
    assert "_dh_action=restart" in postinst
    assert not re.search(r"restart.*broodd\.socket|_dh_action '?broodd\.socket", postinst)
    for stop in re.finditer(r"^if (.*)\n.*deb-systemd-invoke stop", prerm, re.M):
        assert '"$1" = remove' in stop.group(1), stop.group(0)
    assert prerm.count("deb-systemd-invoke stop") == 3, prerm


def test_nobody_gets_a_daemon_unasked(p):
    """The user's units are there, and are enabled again for who had enabled them, at the most."""
    postinst = p.control("broodd", "postinst")
    for unit in ("broodd.service", "broodd.socket", "broodd-metrics.socket"):
        had_it = (r"if deb-systemd-helper --user debian-installed '%s' ; then\n(?:\t{3}.*|\n)*"
                  r"\t{4}deb-systemd-helper --user enable '%s'")
        assert re.search(had_it % (unit, unit), postinst), (unit, postinst)
    assert postinst.count("--user enable") == 3, postinst


def test_a_purge_takes_the_state(p):
    """And nothing in a removal does."""
    postrm = p.control("broodd", "postrm")
    purge = re.search(r'if \[ "\$1" = purge \]; then\n(.*?)\nfi', postrm, re.S).group(1)
    assert "rm -rf /var/lib/brood /var/lib/brood-worker /run/brood" in purge
    assert "rm " not in postrm.replace(purge, ""), postrm


def test_maintainer_scripts_are_shell(p):
    """Each can be read, and ends at the first error."""
    for name in PACKAGES:
        for script in ("preinst", "postinst", "prerm", "postrm"):
            text = p.control(name, script)
            if text:
                run("sh", "-n", p.extracted[name] + "/DEBIAN/" + script)
                assert re.search(r"^set -e$", text, re.M), (name, script)


def test_symbols_are_those_of_the_library(p):
    """What libbrood exports is in libbrood0.symbols: programs depend on the right version."""
    said = run("nm", "-D", "--defined-only", p.path("libbrood0", "/usr/lib/*/libbrood.so.0"))
    exported = set(re.findall(r" [A-Z] (\w+)", said))
    with open(ROOT + "/packaging/debian/libbrood0.symbols", encoding="utf-8") as f:
        listed = set(re.findall(r"^ (\S+)@BROOD", f.read(), re.M))
    assert exported == listed, exported ^ listed


def test_the_library_says_its_name(p):
    """Programs that are linked with libbrood.so ask for libbrood.so.0."""
    library = p.path("libbrood0", "/usr/lib/*/libbrood.so.0.*.*")
    assert "soname: [libbrood.so.0]" in run("readelf", "-d", library)
    link = p.path("libbrood-dev", "/usr/lib/*/").rstrip("/") + "/libbrood.so"
    assert os.readlink(link) == "libbrood.so.0"


def test_a_program_is_built_with_the_library(p):
    """With the flags that brood.pc gives, on files of the packages alone; and it runs."""
    both = p.top + "/sysroot"
    for name in ("libbrood0", "libbrood-dev"):
        shutil.copytree(p.extracted[name] + "/usr", both + "/usr", symlinks=True,
                        dirs_exist_ok=True)
    pc, = glob.glob(both + "/usr/lib/*/pkgconfig")
    with open(p.top + "/first.c", "w", encoding="utf-8") as f:
        f.write('#include <brood/client.h>\n#include <brood/handler.h>\n'
                '#include <stdio.h>\n\n'
                'int main(void)\n{\n        BroodClient *c;\n'
                '        return puts(brood_client_open(&c, "/no") < 0 ? "none" : "some") < 0;\n'
                '}\n')
    flags = run("pkg-config", "--cflags", "--libs", "brood",
                env={**os.environ, "PKG_CONFIG_PATH": pc}).split()
    assert "-lbrood" in flags and "-ljansson" in flags, flags
    flags += ["-I" + both + "/usr/include", "-L" + os.path.dirname(pc)]
    run("cc", "-o", p.top + "/first", p.top + "/first.c", *flags)
    said = run(p.top + "/first", env={**os.environ, "LD_LIBRARY_PATH": os.path.dirname(pc)})
    assert said == "none\n", said


def test_the_python_package_is_whole(p):
    """Every file of it in the tree, no more; it is imported, and a worker answers."""
    inside = "/usr/lib/python3/dist-packages/brood/"
    got = {path[len(inside):] for mode, _, path in p.files["python3-brood"]
           if path.startswith(inside) and mode[0] != "d"}
    tree = ROOT + "/lib/python/brood"
    wanted = {os.path.relpath(os.path.join(folder, name), tree)
              for folder, _, names in os.walk(tree) for name in names if not name.endswith(".pyc")}
    assert got == wanted, got ^ wanted
    handler = p.top + "/handlers.py"
    with open(handler, "w", encoding="utf-8") as f:
        f.write("from brood.worker import handler\n\n@handler\ndef add(a, b):\n"
                "    return {'sum': a + b}\n")
    said = run(p.path("broodd", "/usr/bin/broodctl"), "try-worker", "--handler=add",
               '--args={"a": 1, "b": 2}', "--", "/usr/bin/python3", "-m", "brood.worker", handler,
               env={**os.environ, "PYTHONPATH": os.path.dirname(p.path(
                   "python3-brood", inside.rstrip("/")))})
    assert "FAIL" not in said, said


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    tests = [(name, test) for name, test in globals().items()
             if name.startswith("test_") and pattern in name]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="brood-packages.") as top:
        try:
            packages = Packages(top)
        except subprocess.CalledProcessError as e:
            print("FAIL the build of the packages\n%s" % e.stdout)
            print("0 passed, 1 failed")
            return 1
        for name, test in tests:
            try:
                test(packages)
                print("ok   %s" % name)
            except Exception as e:  # whatever it is, it is the test's failure
                failed += 1
                print("FAIL %s\n%s%s" % (name, traceback.format_exc(), getattr(e, "stdout", "")))
    print("%d passed, %d failed" % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())

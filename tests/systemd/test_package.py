# SPDX-License-Identifier: MIT
"""The Debian packages: install, upgrade, remove, purge."""

import os
import re
import shutil
import subprocess
import tempfile

from machine import *


def newer(m, version="99.0", change=None):
    """The packages again, of a higher version; change(name, folder) may change what is in them."""
    paths = []
    for path in m.packages("libbrood0", "broodd"):
        work = tempfile.mkdtemp(prefix="brood-deb-")
        try:
            folder = work + "/x"
            subprocess.run(["dpkg-deb", "-R", m.path(path), folder], check=True)
            control = folder + "/DEBIAN/control"
            with open(control, encoding="utf-8") as f:
                text = f.read()
            old = re.search(r"^Version: (.*)$", text, re.M).group(1)
            text = re.sub(r"^Version: .*$", "Version: " + version, text, flags=re.M)
            text = text.replace("(= %s)" % old, "(= %s)" % version)
            with open(control, "w", encoding="utf-8") as f:
                f.write(text)
            name = os.path.basename(path).split("_")[0]
            if change:
                change(name, folder)
            subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", folder,
                            work + "/y.deb"], check=True, stdout=subprocess.DEVNULL)
            m.copy(work + "/y.deb", "/tmp/newer/%s_%s_all.deb" % (name, version))
            paths.append("/tmp/newer/%s_%s_all.deb" % (name, version))
        finally:
            shutil.rmtree(work)
    return paths


def installed_version(m):
    return m.run("dpkg-query", "-W", "-f", "${Version}", "broodd").out


@bare
def test_install(m):
    """apt install of the two files, without a network: units enabled, the first submit answered."""
    assert m.is_active(SOCKET) == "inactive"
    m.install()
    assert m.is_active(SOCKET) == "active"
    for unit in SOCKET, SERVICE:
        assert m.systemctl("is-enabled", unit).out.strip() == "enabled", unit
    assert "brood" in m.run("getent", "passwd", "brood").out
    m.run("useradd", "-m", "member")
    m.ctl("submit", "celsius", '{"fahrenheit":110}', status=3)
    m.run("usermod", "-aG", "brood", "member")
    assert round(m.call("celsius", {"fahrenheit": 110})["celsius"], 2) == 43.33
    assert m.is_active() == "active"
    assert m.run("broodctl", "check-config", "/etc/brood").status == 0
    m.write("/etc/brood/secret.env", "PASSWORD=xyzzy\n")
    assert m.run("runuser", "-u", "brood", "cat", "/etc/brood/secret.env").out == "PASSWORD=xyzzy\n"
    assert m.run("runuser", "-u", "member", "cat", "/etc/brood/secret.env", status=None).status != 0
    assert "brood" not in m.systemctl("--failed", "--no-pager", "--plain", "--no-legend").out


@bare
def test_the_first_submit_after_an_install_starts_it(m):
    """An administrator who stops the service keeps the socket, and the next submit starts it."""
    m.install()
    m.systemctl("stop", SERVICE)
    assert m.is_active() == "inactive" and m.is_active(SOCKET) == "active"
    assert m.call("celsius", {"fahrenheit": 212}, user="root")["celsius"] == 100
    assert m.is_active() == "active"


def test_upgrade(m):
    """The service is restarted with the new files; config, queue and running job are not lost."""
    m.write("/etc/brood/brood.conf", "# changed by the administrator\n[Daemon]\nStopTimeout=20s\n")
    m.pool("mine", "[Pool]\nModule=celsius.so\nHandlers=celsius\nMinWorkers=1\n")
    os.unlink(m.path("/etc/brood/pools/celsius.pool"))
    m.systemctl("reload", SERVICE)
    later = m.submit("echo", {"x": "later"}, "--delay=4s")
    running = m.submit("sleep", {"seconds": 3})
    m.await_job(running, "running")
    old, before = m.main_pid(), installed_version(m)

    def change(name, folder):
        if name == "broodd":
            with open(folder + "/etc/brood/pools/exec.pool", "a", encoding="utf-8") as f:
                f.write("\n# of the new version\n")
    m.apt("install", *newer(m, change=change))
    assert installed_version(m) == "99.0" != before
    assert m.await_new_main(old)
    assert "changed by the administrator" in m.read("/etc/brood/brood.conf")
    assert not m.exists("/etc/brood/pools/celsius.pool") and m.exists("/etc/brood/pools/mine.pool")
    assert "of the new version" in m.read("/etc/brood/pools/exec.pool")
    job = m.await_job(running, "succeeded")
    assert len(job["attempts"]) == 1, job
    assert m.await_job(later, "succeeded")["result"] == {"x": "later"}
    assert m.call("celsius", {"fahrenheit": 32})["celsius"] == 0


def test_upgrade_keeps_what_is_disabled(m):
    """What the administrator has disabled and stopped is so after an upgrade, too."""
    m.systemctl("disable", "--now", SOCKET, SERVICE)
    m.apt("install", *newer(m))
    for unit in SOCKET, SERVICE:
        assert m.systemctl("is-enabled", unit, status=1).out.strip() == "disabled", unit
    assert m.is_active() == "inactive"
    m.apt("install", "--reinstall", "/tmp/newer/broodd_99.0_all.deb")
    assert m.systemctl("is-enabled", SERVICE, status=1).out.strip() == "disabled"


# A broodctl of before the upgrade, which connects anew for each job; 4 is "draining": said by a
# daemon that is about to go, to whom it had let in before.
LOOP = """
while [ ! -e /tmp/enough ]; do
        /tmp/broodctl submit --wait celsius '{"fahrenheit":32}' >/tmp/answer
        case $? in 0) cat /tmp/answer >>/tmp/answered ;; 4) ;; *) exit 1 ;; esac
done
"""


def test_upgrade_refuses_no_client(m):
    """Clients that come during an upgrade wait; none is refused."""
    m.copy(m.path("/usr/bin/broodctl"), "/tmp/broodctl", 0o755)
    m.write("/tmp/loop.sh", LOOP)
    loop = m.begin("bash", "/tmp/loop.sh")
    until(lambda: m.exists("/tmp/answered"), "a first answer")
    old = m.main_pid()
    m.apt("install", *newer(m))
    m.await_new_main(old)
    size = os.path.getsize(m.path("/tmp/answered"))
    until(lambda: os.path.getsize(m.path("/tmp/answered")) > size or loop.poll() is not None,
          "an answer after it")
    m.write("/tmp/enough", "")
    _, err = loop.communicate(timeout=20)
    assert loop.returncode == 0, err


def test_remove_stops_and_keeps(m):
    """apt remove: nothing runs and nothing listens; config and queue stay for a reinstall."""
    later = m.submit("echo", {"x": "kept"}, "--delay=1s")
    job = m.submit_shell("setsid setsid sleep 1001 & sleep 1002", "--max-attempts=1")
    m.await_job(job, "running")
    m.write("/etc/brood/brood.conf", "[Daemon]\nStopTimeout=1s\n")
    m.systemctl("reload", SERVICE)
    m.apt("remove", "broodd")
    assert not m.processes() and not m.exists("/run/brood/brood.sock")
    assert m.run("pgrep", "-f", "sleep 100", status=1).out == ""
    assert not m.exists("/usr/bin/broodd") and not m.exists("/lib/systemd/system/" + SERVICE)
    assert m.exists("/etc/brood/brood.conf") and m.exists("/var/lib/brood/brood.db")
    m.install()
    assert m.await_job(later, "succeeded")["result"] == {"x": "kept"}
    assert "StopTimeout=1s" in m.read("/etc/brood/brood.conf")


def test_purge_leaves_nothing(m):
    """apt purge: state, config, links and runtime files are gone, and a new install works."""
    m.call("echo", {"x": 1})
    m.apt("purge", "broodd", "libbrood0")
    assert not m.processes()
    left = m.run("sh", "-c", "find /etc /var /run /usr/bin /usr/lib /lib /usr/libexec /usr/share"
                 " -xdev -name '*brood*' -not -path '/usr/local/*' -not -path '*/journal/*'"
                 " -not -path '/var/lib/apt/*' -not -path '/var/cache/*' -not -path '/var/log/*'"
                 " -not -path '/run/box-changes*' -not -path '*/python3*'").out.split()
    assert not [path for path in left if "brood-test" not in path and path != "/etc/brood"
                and not path.startswith("/etc/brood/")], left
    assert not [path for path in left if path.startswith("/etc/brood")
                and path not in ("/etc/brood", "/etc/brood/pools")], left
    links = m.run("sh", "-c", "find /etc/systemd -lname '*brood*'; systemctl list-unit-files "
                  "--no-legend '*brood*' || :").out
    assert links.strip() == "", links
    m.install()
    assert m.call("celsius", {"fahrenheit": 212})["celsius"] == 100

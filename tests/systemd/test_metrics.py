# SPDX-License-Identifier: MIT
"""The socket for the figures: off until it is enabled, and then on the loopback address."""

from machine import *

METRICS = "broodd-metrics.socket"
SCRAPE = """
import sys, urllib.request
try:
    with urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=20) as answer:
        sys.stdout.write(answer.read().decode())
except OSError as error:
    sys.exit(str(error))
"""


def scrape(m, status=0):
    return m.run("/usr/bin/python3", "-c", SCRAPE, user="stranger", status=status, seconds=40)


def test_the_figures_of_a_daemon_without_a_network(m):
    """Not enabled by the package; enabled, a restart opens it; any user of the machine gets the
    figures at the loopback address, though the service has no network of its own."""
    assert m.systemctl("is-enabled", METRICS, status=1).out.strip() == "disabled"
    assert m.is_active(METRICS) == "inactive"
    assert m.show("PrivateNetwork") == "yes"
    m.run("ip", "link", "set", "lo", "up")
    assert "refused" in scrape(m, status=1).err
    m.systemctl("enable", METRICS)
    m.restart()
    m.await_state("active", METRICS)
    m.call("celsius", {"fahrenheit": 212})
    text = scrape(m).out
    assert 'brood_jobs_ended_total{pool="celsius",handler="celsius",state="succeeded"} 1\n' in text
    m.restart()
    assert "brood_jobs" in scrape(m).out
    m.systemctl("disable", "--now", METRICS)
    m.restart()
    assert m.call("celsius", {"fahrenheit": 32})["celsius"] == 0
    assert "refused" in scrape(m, status=1).err


def test_a_scrape_starts_the_daemon(m):
    """As a client does, when it is down; and both sockets are served afterwards."""
    m.run("ip", "link", "set", "lo", "up")
    m.systemctl("enable", METRICS)
    m.restart()
    m.systemctl("stop", SERVICE)
    assert m.is_active(METRICS) == "active" and m.is_active() == "inactive"
    assert "brood_jobs" in scrape(m).out
    assert m.is_active() == "active"
    assert m.call("celsius", {"fahrenheit": 32})["celsius"] == 0

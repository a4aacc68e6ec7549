# SPDX-License-Identifier: MIT
"""Reads OpenMetrics from stdin, strictly, and prints its samples; for the python3 that has
prometheus_client."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def shown(labels):
    def escaped(text):
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    inside = ",".join('%s="%s"' % (name, escaped(value)) for name, value in labels.items())
    return "{%s}" % inside if inside else ""


for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print("%s%s %s" % (sample.name, shown(sample.labels), sample.value))

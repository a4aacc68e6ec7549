# SPDX-License-Identifier: MIT
"""python3 -m brood.worker MODULE_OR_FILE…: serves the handlers that they define."""

from __future__ import annotations

import sys

from . import serve
from ._load import NoSuchFile, load


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python3 -m brood.worker MODULE_OR_FILE...")
    for name in sys.argv[1:]:
        try:
            load(name)
        except NoSuchFile as error:
            sys.exit("brood.worker: %s" % error)
    serve()


main()

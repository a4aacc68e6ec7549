# SPDX-License-Identifier: MIT
"""python3 -m brood.worker MODULE_OR_FILE…: serves the handlers that they define."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

from . import serve


def load(name: str) -> None:
    """Imports a module, or a file, which may import what lies beside it."""
    if not name.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        importlib.import_module(name)
        return
    path = os.path.abspath(name)
    sys.path.insert(0, os.path.dirname(path))
    module_name = os.path.basename(path)[:-3]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not os.path.exists(path):
        sys.exit("brood.worker: there is no file %s" % name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python3 -m brood.worker MODULE_OR_FILE...")
    for name in sys.argv[1:]:
        load(name)
    serve()


main()

# SPDX-License-Identifier: MIT
"""Finding the handlers: a module by its name, or a file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys


class NoSuchFile(Exception):
    """There is no file of that name."""


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
        raise NoSuchFile("there is no file %s" % name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)

# SPDX-License-Identifier: MIT
"""driver.py CASE: runs one case with Python's multiprocessing; --list: their names."""
import sys

sys.dont_write_bytecode = True

import case_connection  # noqa: F401, each fills the table
import case_pool  # noqa: F401
import case_process  # noqa: F401
import case_queue  # noqa: F401
import case_semaphore  # noqa: F401
import case_shared  # noqa: F401
from cases import CASES

if __name__ == "__main__":
    if sys.argv[1] == "--list":
        print("\n".join(CASES))
    else:
        CASES[sys.argv[1]]()

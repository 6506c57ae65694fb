"""Whether what a test starts is measured along with it, as `tests/run coverage` has it.

That is asked for in the environment. Who is measured reads modules, opens files and writes more of
them at its end: nothing that is counted of such a process is its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

ASKED = "COVERAGE_PROCESS_CONFIG"


def measured(env: Mapping[str, str]) -> dict[str, str]:
    """An environment that was made from nothing, in which a process is measured if this one is."""
    return {**{name: value for name, value in os.environ.items() if name == ASKED}, **env}


def unmeasured(env: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process whose calls, writes or modules are counted, or which is killed
    at one of them."""
    return {name: value for name, value in env.items() if name != ASKED}


def modules(program: str) -> set[str]:
    """What a Python of its own has read by the end of that text."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"],
        env=unmeasured(os.environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {*done.stdout.split()}

"""The process that forks a worker's drives, and a signal that comes while it is begun."""

from __future__ import annotations

import subprocess
import sys

BEGINS = """
import os, signal
from backout.commands.nursery import Nursery

def handle(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, handle)
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGTERM))
try:
    Nursery(lambda run: 0)
except KeyboardInterrupt:
    print("heard")
"""


def test_a_signal_that_comes_while_it_forks_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGINS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("heard\n", "")

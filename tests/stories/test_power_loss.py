"""The power fails: what a host, or the machine that deploys, knows afterwards is what had reached
its disk, and a run is ended from that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench" / "powerloss.py"


def test_a_run_is_done_or_undone_whichever_disk_had_lost_its_power_between_two_steps() -> None:
    words = ("--disks", "ext4", "--moments", "12", "--instants", "0")
    said = subprocess.run(
        [sys.executable, str(BENCH), *words], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("ext4, moment 12, abort: 2 instants: 1 all done, 1 all undone") == 2

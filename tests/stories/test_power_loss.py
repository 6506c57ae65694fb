"""The power fails: what a host, or the machine that deploys, knows afterwards is what had reached
its disk, and a run is ended from that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.sshd import SshdBed
from support.yard import Yard

BENCH = Path(__file__).parents[2] / "bench" / "powerloss.py"


def test_a_run_is_done_or_undone_whichever_disk_had_lost_its_power_between_two_steps() -> None:
    words = ("--disks", "ext4", "--moments", "12", "--instants", "0")
    said = subprocess.run(
        [sys.executable, str(BENCH), *words], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("ext4, moment 12, abort: 2 instants: 1 all done, 1 all undone") == 2


def test_a_lease_that_lost_its_words_is_told_as_such_and_unlocked(
    sshd_bed: SshdBed, tmp_path: Path
) -> None:
    with Yard(tmp_path, sshd_bed) as yard:
        yard.runbook(yard.step("There"))
        lock = sshd_bed["web1"].home / ".backout" / "prod" / "lock"
        lock.mkdir(parents=True)
        for name in ("owner", "run", "since", "expires", "token"):
            (lock / name).touch()
        refused = yard.deploy()
        assert refused.code == 7
        assert refused.data["error"]["what"] == (
            "the lease on web1 names no run: it is just being written, or a power cut left it so"
        )
        assert yard.say("unlock", "--yes").code == 0
        assert yard.deploy().code == 0

"""After `kill -9` at any instant, `resume` and `abort` end in one of two worlds.

`python bench/soak.py` does the same 200 times.
"""

from __future__ import annotations

from pathlib import Path

from support.soak import Soak
from support.sshd import SshdBed


def test_killed_at_random_on_this_machine_all_is_done_or_all_is_undone(tmp_path: Path) -> None:
    tally = Soak(tmp_path / "soak", {"here": {"connection": "local"}}, seed=1).run(4)
    assert tally.violations == []
    assert tally.kills > 0


def test_killed_at_random_over_ssh_all_is_done_or_all_is_undone(
    sshd_bed: SshdBed, tmp_path: Path
) -> None:
    hosts = sshd_bed.inventory_hosts()
    tally = Soak(tmp_path / "soak", hosts, sshd_bed.inventory_ssh(), seed=2).run(4)
    assert tally.violations == []
    assert tally.kills > 0

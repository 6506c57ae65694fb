"""After `kill -9` at any instant, over a known-good release, `resume` and `abort` end in one of two
worlds, and a rollback in the one before.

`python bench/soak.py` does the same 200 times.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.soak import Soak, over
from support.sshd import SshdBed


@pytest.mark.matrix  # what crashes leave on one machine alone is met at every point elsewhere
def test_killed_at_random_on_this_machine_all_is_done_or_all_is_undone(
    bed_directory: Path,
) -> None:
    tally = Soak(bed_directory / "soak", {"here": {"connection": "local"}}, seed=1).run(1)
    assert tally.violations == []


def test_killed_at_random_over_ssh_each_host_is_done_or_undone(
    sshd_bed: SshdBed, bed_directory: Path
) -> None:
    tally = Soak(bed_directory / "soak", **over(sshd_bed), seed=2).run(1)
    assert tally.violations == []

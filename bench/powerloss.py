"""The power of a host, or of the deploying machine, fails in mid-deploy: what is left is what had
reached the disk at that instant, on ext4, XFS and Btrfs. Prints what became of each.

python bench/powerloss.py --disks ext4 xfs btrfs --instants 50 --seed 1

At every moment of the journal the deploying machine dies, with its own disk or with the host's; at
random instants the host alone does. Needs root and loop devices.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tallies import tell

from support.lossy_disk import KINDS
from support.power_loss import Room, Tally
from support.scratch import scratch
from support.tools import program

_INSIDE = "BACKOUT_BENCH_INSIDE"


def main() -> int:
    """1 when anything was neither done nor undone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disks", nargs="+", default=[*KINDS], choices=[*KINDS])
    parser.add_argument("--moments", type=int, nargs="+", default=[], help="only these of a run")
    parser.add_argument("--instants", type=int, default=20, help="random ones, for each disk")
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    _alone()
    bad = 0
    for kind in words.disks:
        tallies = {name: Tally() for name in ("deploying machine", "both", "host alone")}
        with scratch() as place:
            with _room(place / "here", kind, host=False) as here:
                _told(here.moments(tallies["deploying machine"], words.moments))
            with _room(place / "there", kind, host=True) as there:
                _told(there.moments(tallies["both"], words.moments))
                _told(there.instants(tallies["host alone"], words.instants, words.seed))
        for name, tally in tallies.items():
            bad += tell(f"{kind}, {name}", tally)
    return 1 if bad else 0


def _room(directory: Path, kind: str, *, host: bool) -> Room:
    directory.mkdir()
    return Room(directory, kind, host=host)


def _alone() -> None:
    """In a mount namespace of its own: another's copy of a mount would keep a disk in use."""
    if not os.environ.get(_INSIDE):
        os.environ[_INSIDE] = "1"
        unshare = program("unshare")
        os.execv(unshare, [unshare, "--mount", sys.executable, *sys.argv])  # noqa: S606 - no text is given to a shell


def _told(lines: Iterator[str]) -> None:
    for line in lines:
        print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

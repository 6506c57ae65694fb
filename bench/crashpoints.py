"""A deploy of every built-in kind of step but `traffic`, over real hosts, met by a fault at the
N-th of its writes, syncs, renames and sends, for every N. Prints what was seen of each.

python bench/crashpoints.py --modes kill-resume --scenes files --hosts 0 1 2 3 --every 1
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.crashpoints import Ground, Mode, Tally, modes
from support.scenes import SCENES
from support.scratch import scratch
from support.sshd import SshdBed

NAMES = ("web1", "web2", "web3")


def main() -> int:
    """1 when anything was neither done nor undone, or not told as it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modes", nargs="+", default=[*modes()], choices=[*modes()])
    parser.add_argument("--scenes", nargs="+", default=[*SCENES], choices=[*SCENES])
    parser.add_argument(
        "--hosts", type=int, nargs="+", default=[0, 1, 2, 3], help="0 is this machine, without SSH"
    )
    parser.add_argument("--every", type=int, default=1, help="only one in so many of the points")
    parser.add_argument(
        "--seed", type=int, default=0, help="which of them: a shard of as many as EVERY"
    )
    parser.add_argument("--first", type=int, default=0, help="begin at this point")
    parser.add_argument("--most", type=int, default=0, help="no more than so many")
    parser.add_argument("--each", action="store_true", help="a line for each point")
    words = parser.parse_args()
    violations = 0
    for hosts in words.hosts:
        for scene in words.scenes:
            with Place(scene, hosts) as place:
                for mode in (modes()[name] for name in words.modes):
                    violations += _run(mode, place, words) if hosts or not mode.there else 0
    return 1 if violations else 0


class Place:
    """A scene over its hosts, which is made anew when a point has spoilt it."""

    def __init__(self, scene: str, hosts: int) -> None:
        self.scene = scene
        self.hosts = hosts
        self._stack = ExitStack()
        self._ground: Ground | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ground(self) -> Ground:
        if self._ground is None:
            place = self._stack.enter_context(scratch())
            bed = SshdBed(place / "bed", NAMES[: self.hosts]) if self.hosts else None
            if bed:
                self._stack.enter_context(bed)
            ground = Ground(place, self.scene, bed, self.hosts)
            self._ground = self._stack.enter_context(ground)
        return self._ground

    def spoilt(self) -> None:
        self._stack.close()
        self._ground = None


def _run(mode: Mode, place: Place, words: argparse.Namespace) -> int:
    """Points until there are no more, or as many as are wanted."""
    tally, began = Tally(), time.monotonic()
    first = words.first or words.seed % words.every + 1
    while True:
        known = len(tally.violations)
        for line in place.ground().points(mode, tally, words.every, first, words.most):
            if words.each:
                print(f"  {line}", flush=True)
        if len(tally.violations) == known:
            break
        place.spoilt()
        if words.most and tally.run >= words.most:
            break
    where = f"{place.hosts} hosts" if place.hosts else "here"
    took = time.monotonic() - began
    print(f"{place.scene}, {where}, {mode.name}: {tally}, {took:.0f} s", flush=True)
    for violation in tally.violations:
        print(f"  {violation}", flush=True)
    return len(tally.violations)


if __name__ == "__main__":
    sys.exit(main())

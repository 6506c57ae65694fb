"""A deploy of every built-in kind of step over real hosts, met by a fault at the N-th of its
writes, syncs, renames and sends, for every N. Prints what was seen of each.

python bench/crashpoints.py --modes kill-resume --scenes files --hosts 0 1 2 3 --every 1
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

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
            for name in (name for name in words.modes if hosts or not modes()[name].there):
                violations += _run(modes()[name], scene, hosts, words)
    return 1 if violations else 0


def _run(mode: Mode, scene: str, hosts: int, words: argparse.Namespace) -> int:
    tally, began = Tally(), time.monotonic()
    first = words.first or words.seed % words.every + 1
    while _on_new_ground(mode, scene, hosts, words, tally, first):
        pass
    where = f"{hosts} hosts" if hosts else "here"
    took = time.monotonic() - began
    print(f"{scene}, {where}, {mode.name}: {tally}, {took:.0f} s", flush=True)
    for violation in tally.violations:
        print(f"  {violation}", flush=True)
    return len(tally.violations)


def _on_new_ground(
    mode: Mode, scene: str, hosts: int, words: argparse.Namespace, tally: Tally, first: int
) -> bool:
    """Points until there are no more, or until one spoilt the ground: True then."""
    with ExitStack() as stack:
        place = stack.enter_context(scratch())
        bed = stack.enter_context(SshdBed(place / "bed", NAMES[:hosts])) if hosts else None
        ground = stack.enter_context(Ground(place, scene, bed, hosts))
        known = len(tally.violations)
        for line in ground.points(mode, tally, words.every, first, words.most):
            if words.each:
                print(f"  {line}", flush=True)
        return len(tally.violations) > known and (not words.most or tally.run < words.most)


if __name__ == "__main__":
    sys.exit(main())

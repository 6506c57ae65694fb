"""Worlds of the real product over machines, links and time that are pretended, one for each seed.
Prints how many a second, what went wrong in them, and every violation with the seed that plays it
again.

    python bench/worlds.py --worlds 100000 --seed 1
    python bench/worlds.py --seed 17 --story        # that world again, and what happens in it
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from proof.worlds.story import Told, ground


def main() -> int:
    """1 when there was a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the first one")
    parser.add_argument("--story", action="store_true", help="print what happens")
    parser.add_argument("--seconds", type=float, default=0.0, help="begin none after so long")
    words = parser.parse_args()
    began, used = time.monotonic(), time.process_time()
    seen: Counter[str] = Counter()
    with ground() as worlds:
        for seed in range(words.seed, words.seed + words.worlds):
            told = worlds.play(seed)
            _count(seen, told)
            if told.violations or words.story:
                _show(told, story=words.story)
            if words.seconds and time.monotonic() - began > words.seconds:
                break
    wall, used = time.monotonic() - began, time.process_time() - used
    number = seen["worlds"]
    print(
        f"{number} worlds from seed {words.seed}, {seen['violating']} with violations;"
        f" {number / wall:.1f} a second, {used / number * 1000:.0f} ms of CPU each"
    )
    for name, count in sorted(seen.items()):
        print(f"  {count:8} {name}")
    return 1 if seen["violating"] else 0


def _count(seen: Counter[str], told: Told) -> None:
    seen["worlds"] += 1
    seen["violating"] += bool(told.violations)
    seen["points where somebody else may go on"] += told.points
    for verb, code in told.codes:
        seen[f"{verb.partition(' ')[2]} -> {'killed' if code is None else code}"] += 1


def _show(told: Told, *, story: bool) -> None:
    print(f"seed {told.seed}: {told.shape}", *told.faults, sep="\n    ")
    for line in told.trace if story else ():
        print(f"  {line}")
    for verb, code in told.codes:
        print(f"  {verb} -> {'killed' if code is None else code}")
    for violation in told.violations:
        print(f"  VIOLATION: {violation}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

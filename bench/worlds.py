"""Worlds of the real product over machines, links and time that are pretended, one for each seed.
Prints how many a second, what went wrong in them, and every violation with the seed that plays it
again, as soon as it is found.

    python bench/worlds.py --worlds 100000 --at-once 8    # in so many processes
    python bench/worlds.py --seed 17 --story              # that world again, and what happens
    python bench/worlds.py --worlds 10000 --back          # rollbacks, every other one to a release
                                                          # that is not well any more
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from proof.worlds.story import Told, ground

PIECE = 100
"""So many worlds a process plays before it is given the next ones."""
CPU = "ms of CPU"


def main() -> int:
    """1 when there was a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the first one")
    parser.add_argument("--at-once", type=int, default=1, help="in so many processes")
    parser.add_argument("--back", action="store_true", help="rollbacks alone")
    parser.add_argument("--story", action="store_true", help="print what happens")
    parser.add_argument("--seconds", type=float, default=0.0, help="begin none after so long")
    words = parser.parse_args()
    began = time.monotonic()
    until = began + words.seconds if words.seconds else float("inf")
    seeds = range(words.seed, words.seed + words.worlds)
    play = partial(_played, until=until, story=words.story, back=words.back)
    seen = _played_by(words.at_once, seeds, play)
    wall, number = time.monotonic() - began, seen["worlds"]
    print(
        f"{number} worlds from seed {words.seed}, {seen['violating']} with violations;"
        f" {number / wall:.1f} a second, {seen.pop(CPU) / max(1, number):.1f} ms of CPU each"
    )
    for name, count in sorted(seen.items()):
        print(f"  {count:8} {name}")
    return 1 if seen["violating"] else 0


def _played_by(at_once: int, seeds: range, play: partial[Counter[str]]) -> Counter[str]:
    if at_once == 1:
        return play(seeds)
    pieces = [seeds[at : at + PIECE] for at in range(0, len(seeds), PIECE)]
    with ProcessPoolExecutor(at_once) as pool:
        return _together(pool.map(play, pieces))


def _together(counts: Iterable[Counter[str]]) -> Counter[str]:
    seen: Counter[str] = Counter()
    for each in counts:
        seen.update(each)
    return seen


def _played(seeds: Sequence[int], *, until: float, story: bool, back: bool) -> Counter[str]:
    """What became of those worlds."""
    shape = {"back": True, "ends": "well"} if back else {}
    seen: Counter[str] = Counter()
    used = time.process_time()
    with ground() as worlds:
        for seed in seeds:
            if time.monotonic() > until:
                break
            if back:
                shape |= {"spoilt": seed % 2 == 0, "ruined": seed % 6 == 0}
            told = worlds.play(seed, shape=shape)
            _count(seen, told)
            if told.violations or story:
                print(_shown(told, story=story), flush=True)
    seen[CPU] = round((time.process_time() - used) * 1000)
    return seen


def _count(seen: Counter[str], told: Told) -> None:
    seen["worlds"] += 1
    seen["violating"] += bool(told.violations)
    seen["points where somebody else may go on"] += told.points
    for verb, code in told.codes:
        seen[f"{verb.partition(' ')[2]} -> {'killed' if code is None else code}"] += 1


def _shown(told: Told, *, story: bool) -> str:
    """As one text, for others print too."""
    lines = [f"seed {told.seed}: {told.shape}", *(f"    {fault}" for fault in told.faults)]
    lines += [f"  {line}" for line in told.trace if story]
    lines += [f"  {verb} -> {'killed' if code is None else code}" for verb, code in told.codes]
    return "\n".join([*lines, *(f"  VIOLATION: {each}" for each in told.violations)])


if __name__ == "__main__":
    sys.exit(main())

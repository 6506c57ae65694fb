"""Two operators on one target, their ledger one PostgreSQL (or one each), real SSH hosts in
networks of their own: killed, frozen beyond every lease, cut off from hosts or database, the
database restarted, their clocks wrong by hours. Prints what became of it; a checker holds what the
hosts have against one order of the recorded runs.

python bench/operators.py --rounds 300 --seed 1
python bench/operators.py --seed 17            # round 17 alone, again
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.operators import arena


def main() -> int:
    """1 when anything was there that no order explains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first round; the next has the next"
    )
    parser.add_argument("--ledger", choices=["postgres", "own"], default="postgres")
    parser.add_argument(
        "--slow", type=float, default=0.0, help="seconds between two looks of a command"
    )
    parser.add_argument("--without", nargs="*", default=[], choices=["token", "void", "epoch"])
    words = parser.parse_args()
    shared = words.ledger == "postgres"
    with arena(shared=shared, slow=words.slow, without=words.without) as each:
        for seed in range(words.seed, words.seed + words.rounds):
            before = len(each.tally.violations)
            tally = each.round(seed)
            print(f"seed {seed}: {tally}", flush=True)
            for violation in tally.violations[before:]:
                print(f"  {violation}", flush=True)
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())

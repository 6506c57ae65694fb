"""Two operators on one target, their ledger one PostgreSQL (or one each), real SSH hosts in
networks of their own: killed, frozen beyond every lease, cut off from hosts or database, the
database restarted, their clocks wrong by hours. Prints what became of it; a checker holds what the
hosts have against one order of the recorded runs.

python bench/operators.py --rounds 300 --seed 1
python bench/operators.py --seed 17            # round 17 alone, again
python bench/operators.py --workers --rounds 300
python bench/operators.py --carriers --rounds 300
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.arena import Tally
from support.carriers import ZONE, Carriers
from support.crews import Crew
from support.rounds import FAULTS, OTHERS, Draw, rounds


def main() -> int:
    """1 when anything was there that no order explains."""
    words = parsed()
    all_of_them = Tally()

    def told(seed: int, tally: Tally) -> None:
        all_of_them.add(tally)
        print(f"seed {seed}: {all_of_them}", flush=True)
        for violation in tally.violations:
            print(f"  {violation}", flush=True)

    kind = Carriers if words.carriers else Crew if words.workers else None
    others = tuple(each for each in OTHERS if not words.other or each[0] in words.other)
    rounds(
        range(words.seed, words.seed + words.rounds),
        told,
        Draw(tuple(words.faults), others, late=words.late) if kind is None else None,
        at_once=words.at_once,
        shared=words.ledger == "postgres",
        slow=words.slow,
        without=words.without,
        kind=kind,
        workers=2 if kind else 0,
        zone=ZONE if words.carriers else "",
    )
    return 1 if all_of_them.violations else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first round; the next has the next"
    )
    parser.add_argument("--at-once", type=int, default=1, help="in so many arenas")
    parser.add_argument("--ledger", choices=["postgres", "own"], default="postgres")
    parser.add_argument(
        "--slow",
        type=float,
        default=0.0,
        help="seconds between two looks of a command, and before a transaction",
    )
    parser.add_argument(
        "--workers",
        action="store_true",
        help="a deploy that two workers drive, and they are struck",
    )
    parser.add_argument(
        "--carriers",
        action="store_true",
        help="a deploy to hosts that two workers alone reach, and both sides are struck",
    )
    parser.add_argument("--without", nargs="*", default=[], choices=["token", "void", "epoch"])
    parser.add_argument("--faults", nargs="*", default=[], help=f"only these: {FAULTS}")
    parser.add_argument("--late", action="store_true", help="not before the last step is at work")
    parser.add_argument("--other", nargs="*", default=[], help="what the other one types first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

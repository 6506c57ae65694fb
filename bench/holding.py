"""A run that is held, on this machine: killed with `kill -9` before and after each of its records,
while it holds or while an answer is acted upon, and ended by `resume`, `abort` or another answer.

python bench/holding.py [--ways holding answering] [--answers again done back-out]
    [--verbs resume abort hold] [--each]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tallies import tell

from support.held import ANSWERS, VERBS, Tally, moments

WAYS = ("holding", "answering")


def main() -> int:
    """1 when a run was neither done nor undone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--answers", nargs="+", choices=ANSWERS, default=ANSWERS)
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=VERBS)
    parser.add_argument("--each", action="store_true", help="a line for each moment")
    words = parser.parse_args()
    bad = 0
    for way in words.ways:
        for answer in words.answers:
            for verb in words.verbs:
                tally = Tally()
                with tempfile.TemporaryDirectory(prefix="held-", dir="/tmp") as name:
                    for line in moments(Path(name), way, answer, verb, tally):
                        if words.each:
                            print(f"  {line}", flush=True)
                bad += tell(f"{way}, {answer}, then {verb}", tally)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

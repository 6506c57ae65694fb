"""Random `kill -9` of deploy, resume, abort and rollback, here and over SSH, always over a
known-good release. Prints what was seen.

python bench/soak.py --trials 200 --seed 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tallies import tell

from support.soak import Soak, Tally, over
from support.sshd import SshdBed


def main() -> int:
    """Half of the trials here, half over SSH; 1 when anything was neither done nor undone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as name:
        here = {"here": {"connection": "local"}}
        place = Path(name)
        local = Soak(place / "here", here, seed=words.seed).run(words.trials // 2, progress)
        tell("here", local)
        with SshdBed(place / "bed") as bed:
            soak = Soak(place / "ssh", **over(bed), seed=words.seed)
            remote = soak.run(words.trials - words.trials // 2, progress)
        tell("over SSH", remote)
    return 1 if local.violations or remote.violations else 0


def progress(tally: Tally) -> None:
    if tally.trials % 10 == 0:
        tell("so far", tally)


if __name__ == "__main__":
    sys.exit(main())

"""The deploying machine burnt at every record of its journal, over one to three SSH hosts; another
machine ends the run from their mirrors. Prints what became of each.

python bench/takeover.py --hosts 1 2 3 [--ledger postgresql] [--moments 35:60]

With the ledger in PostgreSQL the other machine is a second operator, who takes the run from there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tallies import tell

from support.journals import empty_ledger
from support.postgres import Postgres
from support.sshd import SshdBed
from support.takeover import Laptops, Tally


def moments(text: str) -> range:
    """`7`, `7:12` without the twelfth, or `7:` to the end of the journal."""
    first, more, end = text.partition(":")
    return range(int(first), int(end) if end else sys.maxsize if more else int(first) + 1)


def main() -> int:
    """1 when anything was neither done nor undone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--ledger", choices=["none", "postgresql"], default="none")
    parser.add_argument(
        "--moments", type=moments, default="1:", help="FROM:TO, or FROM: to the last one; or one"
    )
    words = parser.parse_args()
    bad = 0
    with ExitStack() as beds:
        name = beds.enter_context(tempfile.TemporaryDirectory(prefix="burnt-", dir="/tmp"))
        ledger = None
        if words.ledger == "postgresql":
            Path(name).chmod(0o755)  # the server is another user's
            server = beds.enter_context(Postgres(Path(name) / "postgres"))
            ledger = partial(empty_ledger, server)
        for hosts in words.hosts:
            tally = Tally()
            known = tuple(f"web{number}" for number in range(1, hosts + 1))
            with SshdBed(Path(name) / f"bed{hosts}", known) as bed:
                place = Path(name) / str(hosts)
                place.mkdir()
                for line in Laptops(place, bed, hosts, ledger).moments(tally, words.moments):
                    print(f"  {line}", flush=True)
            bad += tell(f"{hosts} hosts", tally)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

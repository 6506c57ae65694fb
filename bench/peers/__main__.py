"""Peers, side by side in one run: Backout, Ansible, pyinfra, Fabric, Capistrano and PM2's own
deploy, pinned, with the same application on the same hosts.

    python bench/peers                      three hosts: figures, then scenes
    python bench/peers --hosts 100 --rounds 3 --no-scenes
    python bench/peers --delay 40 --no-scenes
    python bench/peers --only Backout,Fabric --scenes smoke,kill --say

First a deploy that goes well, in turns: wall, processor of what runs on the laptop, and lines of
configuration; ratios are to Backout's own deploy of that round. Then what goes wrong, scene by
scene. Ends with 1 where Backout is not right in a row. Needs root: the machines are namespaces.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[0:1] = [str(HERE.parent), str(HERE.parent.parent / "tests")]

from peers.contenders import Seat, contenders  # noqa: E402 - the path comes first
from peers.estate import Estate  # noqa: E402
from peers.figures import contest  # noqa: E402
from peers.scenes import SCENES, Row  # noqa: E402
from peers.tables import of_figures, of_scenes  # noqa: E402
from scale import apart  # noqa: E402


def main() -> int:
    words = arguments()
    who = [each for each in contenders() if each.name.startswith(words.only)]
    apart()  # with all that is to be fetched
    with (
        tempfile.TemporaryDirectory(prefix="peers-", dir="/tmp") as name,
        Estate(Path(name), words.hosts).up(words.delay) as estate,
    ):
        seats = [Seat(estate, each) for each in who]
        if words.rounds:
            print(f"{words.hosts} hosts, {words.rounds} rounds, {words.delay:g} ms more")
            timed = [seat for seat in seats if seat.contender.timed]
            print(of_figures(contest(timed, words.rounds)), flush=True)
        rows = play(seats, words)
    if rows:
        print(of_scenes(rows))
    return 0 if all(row.right for row in rows if row.contender == "Backout") else 1


def play(seats: Sequence[Seat], words: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    for scene in words.scenes:
        for seat in (each for each in seats if each.contender.plays(scene)):
            seat.anew()
            seat.ship(), seat.ship()
            rows.append(SCENES[scene](seat))
            print(rows[-1].line, file=sys.stderr, flush=True)
            if words.say:
                print(rows[-1].said, file=sys.stderr, flush=True)
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.0, help="more ms of an SSH round trip")
    parser.add_argument(
        "--only", type=lambda text: tuple(text.split(",")), default="", help="Backout,Ansible,…"
    )
    parser.add_argument("--scenes", type=lambda text: text.split(","), default=",".join(SCENES))
    parser.add_argument("--no-scenes", dest="scenes", action="store_const", const=[])
    parser.add_argument("--say", action="store_true", help="what each tool printed, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

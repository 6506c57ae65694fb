"""Many hosts of another zone, over its workers, beside the same ones from one machine: the clock,
processor and memory of whoever drives, of each worker and of the database.

    python bench/zones.py [--hosts 100 1000 5000] [--workers 4] [--real 300] [--plot docs/img]

Hosts are pretended (`bench/pretended.py`), and told apart by what they themselves take of a
processor; those of `--real` are one sshd under so many addresses, as in `bench/scale.py`. Both ways
have the ledger in the same PostgreSQL. A deploy is three steps and a check, in three batches. One
host of a hundred fails at the last step: within `max_failures` it goes back alone. Over the fewest
hosts it is deployed once more with half as many failures allowed: all of it must go back then. Exit
1 when the budget was not held, or a worker of real hosts is above its memory: of pretended ones it
holds the machines as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from scale import Fleet, apart

from support.ports import free_port
from support.postgres import Postgres
from support.zoned import Deployed, Team

MEMORY = 200
"""Megabytes that a worker may take."""
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def tell(title: str, deployed: Deployed) -> None:
    print(f"  {title:11} {deployed}", flush=True)


def compare(
    place: Path, server: Postgres, count: int, workers: int, fleet: Fleet | None = None
) -> tuple[Deployed, Deployed]:
    """The same hosts from one machine, and over workers of another zone."""
    found = []
    for zone, crew in (("", 0), ("us", workers)):
        team = Team(place / f"team-{count}-{crew}", server, fleet)
        team.fill(count, zone=zone, failures=count // 50)
        with team.crew(crew):
            deployed = team.deploy()
        found.append(team.told(deployed))
        tell(f"{crew} workers" if crew else "one machine", found[-1])
    return found[0], found[1]


def overrun(place: Path, server: Postgres, count: int, workers: int) -> Deployed:
    """More hosts fail than may: all of it goes back."""
    team = Team(place / f"over-{count}", server, None)
    team.fill(count, zone="us", failures=count // 200)
    with team.crew(workers):
        deployed = team.deploy()
    tell("too many", team.told(deployed))
    return deployed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="*", default=[100, 1000, 5000])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--real", type=int, default=0)
    parser.add_argument("--plot", type=Path)
    words = parser.parse_args()
    if words.real:
        apart()
    with tempfile.TemporaryDirectory(prefix="zones-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        with Postgres(Path(name) / "postgres", QUICK) as server:
            return contest(Path(name), server, words)


def contest(place: Path, server: Postgres, words: argparse.Namespace) -> int:
    found: dict[int, tuple[Deployed, Deployed]] = {}
    for count in words.hosts:
        print(f"{count} pretended hosts", flush=True)
        found[count] = compare(place, server, count, words.workers)
    well = all(each.code == 0 and each.failed == n // 100 for n in found for each in found[n])
    if words.hosts:
        well = overrun(place, server, min(words.hosts), words.workers).code == 4 and well
    if words.real:
        print(f"{words.real} real hosts", flush=True)
        fleet = Fleet(place, free_port())
        fleet.host.start()
        fleet.host.configure(**fleet.options)
        try:
            real = compare(place / "real", server, words.real, words.workers, fleet)
        finally:
            fleet.host.end()
        well = well and all(each.code == 0 for each in real)
    if words.plot and len(found) > 1:
        picture(found, words.plot)
    most = max((w.megabytes for w in (real[1].workers if words.real else ())), default=0.0)
    said = f"; a worker of real hosts took {most:.0f} MB" if words.real else ""
    print(f"budgets of failures {'held' if well else 'NOT HELD'}{said}")
    return int(not well or most > MEMORY)


def picture(found: Mapping[int, tuple[Deployed, Deployed]], place: Path) -> None:
    from plots import draw

    curves: dict[str, list[tuple[float, float]]] = {}
    for count, both in found.items():
        for name, each in zip(("one machine", "over workers"), both, strict=True):
            own = each.driver.processor - each.driver.pretended
            busiest = max((w.processor for w in each.workers), default=0.0)
            values = {"by the clock": each.seconds, "processor of the driver": own}
            if busiest:
                values["processor of the busiest worker"] = busiest
            for what, value in values.items():
                curves.setdefault(f"{name}: {what}", []).append((count, value))
    title = "A deploy over hosts of another zone, beside one machine"
    draw(place / "zones.svg", title, ("hosts", "seconds"), curves, log="xy")


if __name__ == "__main__":
    sys.exit(main())

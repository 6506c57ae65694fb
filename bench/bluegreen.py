"""The way back of a service that has two slots, behind HAProxy: a release that goes red once
traffic has moved, again and again, while somebody asks all the while. Told are the seconds until
the old release answers again, from the verdict (its record in the journal) and from the first
answer of the red one; and how many requests were lost. With `--kills` deployers are killed
instead, at every record of the journal, and resumed or aborted: either world, no request lost.

python bench/bluegreen.py [--by systemd pm2] [--trials 100] [--to FILE]
python bench/bluegreen.py --kills [--every 1]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.balancers import Front, haproxy
from support.dockerd import DockerEngine
from support.slots import Asking, release_at
from support.systemd_host import SystemdBed
from support.takeover import burnt
from support.twin_sites import ByPm2, Site
from support.twin_units import TwinUnits

BY = ("systemd", "pm2")
MARKS = ("from the verdict", "from the first red answer")
Service = TwinUnits | Site


def main() -> int:
    """1 when a request was lost, or a run did not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--by", nargs="+", choices=BY, default=BY)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--to", type=Path, help="a file of trials that these are added to")
    parser.add_argument("--kills", action="store_true")
    parser.add_argument("--every", type=int, default=1, help="only one in so many of the moments")
    words = parser.parse_args()
    if words.kills:
        return killed(words.every)
    lost = 0
    for by in words.by:
        rows = [] if words.to is None or not words.to.exists() else read(words.to, by)
        with served(by) as (service, edge):
            for _ in range(words.trials):
                if not (row := trial(service, edge)):
                    continue  # the machine was too slow for it: it never came to its traffic
                rows.append(row | {"by": by})
                if words.to:
                    with words.to.open("a") as kept:
                        kept.write(json.dumps(rows[-1]) + "\n")
        lost += tell(by, rows)
    return 1 if lost else 0


def read(kept: Path, by: str) -> list[dict[str, object]]:
    rows = map(json.loads, kept.read_text().splitlines())
    return [row for row in rows if row["by"] == by]


def tell(by: str, rows: list[dict[str, object]]) -> int:
    for mark in MARKS:
        seconds = [float(str(row[mark])) for row in rows]
        cuts = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else seconds * 19
        print(
            f"{by:8} {mark}: p50 {cuts[9]:.3f} s, p95 {cuts[18]:.3f} s, worst {max(seconds):.3f} s"
        )
    lost = sum(int(str(row["lost"])) for row in rows)
    print(f"{by:8} {len(rows)} trials, {lost} requests lost", flush=True)
    return lost


@contextmanager
def served(by: str) -> Iterator[tuple[Service, Front]]:
    """A release that serves behind HAProxy."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service: Service
        if by == "pm2":
            service, address = ByPm2(place, stack), "127.0.0.1"
            service.ship()
        else:
            engine = stack.enter_context(DockerEngine(place / "docker"))
            volumes = {str(place): str(place)}
            bed = stack.enter_context(SystemdBed(engine, place / "bed", volumes=volumes))
            service = stack.enter_context(TwinUnits(place / "twins", bed))
            address = service.host.address
        members = {name: f"{address}:{port}" for name, port in service.ports.items()}
        off = {"green": "disabled"}
        edge = stack.enter_context(haproxy(place, members, each=off))
        describe(service, edge)
        said = service.deploy()
        assert said.code == 0, said.out + said.err
        yield service, edge


def describe(service: Service, edge: Front, red: str = "none") -> None:
    entry = {"edge": edge.entry}
    service.describe(red=red, front=edge.port, balancers=entry, switch={"balancer": "edge"})


def trial(service: Service, edge: Front) -> dict[str, object]:
    """One release that goes red, and back."""
    red = service.ship()
    describe(service, edge, red)
    with Asking(partial(release_at, "127.0.0.1", edge.port), every=0.005) as asking:
        said = service.deploy()
    assert said.code == 4, said.out + said.err
    seen = [at for at, release in asking.seen if release == red]
    if not seen:
        return {}
    back = next(at for at, release in asking.seen if at > seen[-1] and release)
    marks = (back - verdict(service, said.data["run"]), back - seen[0])
    return {**dict(zip(MARKS, marks, strict=True)), "lost": asking.failed}


def verdict(service: Service, run: str) -> float:
    """When it was on record that a check is red."""
    with sqlite3.connect(service.project.state / "journal.db") as journal:
        rows = journal.execute(
            "SELECT at, body FROM record WHERE run = ? AND kind = 'end' ORDER BY seq", (run,)
        ).fetchall()
    ends = ((at, json.loads(body)) for at, body in rows)
    return next(datetime.fromisoformat(at).timestamp() for at, b in ends if b["state"] == "failed")


# --- killed --------------------------------------------------------------------------------


def killed(every: int) -> int:
    """Every moment, once resumed and once aborted."""
    bad = 0
    with served("systemd") as (service, edge):
        for number in itertools.count(1, every):
            ended = [ends(service, edge, number, verb) for verb in ("resume", "abort")]
            print(f"moment {number}: {', '.join(ended)}", flush=True)
            bad += sum(each not in ("over", "done", "undone") for each in ended)
            if "over" in ended:
                break
    print(f"{bad} bad")
    return 1 if bad else 0


def ends(service: Service, edge: Front, number: int, verb: str) -> str:
    """Which world it is, once a deployer that died at that moment is told to go on."""
    now = partial(release_at, "127.0.0.1", edge.port)
    before, after = now(), service.ship()
    with Asking(now) as asking:
        left, out, err = burnt(number, service.project, "deploy", "--yes")
        if left == 0:
            return "over"
        if left > 0:
            return f"refused: {out}{err}"
        said = service.project.say(verb, "--target", "prod", "--yes", "--json")
    worlds = {(0, after): "done", (4, before): "undone"}
    if said.code in (2, 3) and now() == before:
        return "undone"  # it died before anything was open
    found = worlds.get((said.code, now()), f"{verb}: {said.code}, {now()}: {said.out}")
    return f"{asking.failed} requests lost" if asking.failed else found


if __name__ == "__main__":
    sys.exit(main())

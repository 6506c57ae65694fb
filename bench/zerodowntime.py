"""Three hosts behind HAProxy, nginx and Caddy under a steady load, while releases come and go:

a good deploy, one that fails and backs out, a rollback, and deployers that are killed with
`kill -9` on the way and resumed or aborted. Every failed request is counted, by the client and by
the balancer; beside the same restarts without a balancer that knows of them.

python bench/zerodowntime.py [--backend haproxy …] [--rate 200] [--slow 3] [--kills 3] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import balancers
from support.fronted import Fronted
from support.load import Load
from support.sshd import SshdBed

HOSTS = ("web1", "web2", "web3", "lb1")
FRONTS = {"haproxy": balancers.haproxy, "nginx": balancers.nginx, "caddy": balancers.caddy}
Scene = tuple[str, Callable[[], object]]


def main() -> int:
    """1 when a request failed, or a run did not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", nargs="+", choices=[*FRONTS], default=[*FRONTS])
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--slow", type=float, default=3.0)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    bad = 0
    with (
        tempfile.TemporaryDirectory(prefix="front-", dir="/tmp") as name,
        SshdBed(Path(name) / "bed", HOSTS) as bed,
    ):
        for backend in words.backend:
            place = Path(name) / backend
            place.mkdir()
            with Fronted(place, bed, FRONTS[backend]) as site:
                edge = {**site.changes["balancers"]["edge"], "at_limit": "proceed"}
                edge["drain_timeout"] = f"{words.slow + 1}s"
                site.inventory(balancers={"edge": edge})
                chance = random.Random(words.seed)  # noqa: S311 - it only says when to kill
                for title, scene in scenes(site, words.kills, chance):
                    bad += told(f"{backend:8} {title}", site, scene, words.rate, words.slow)
                site.inventory(rollout={"batches": [1], "soak": "0s"})
                title = f"{backend:8} the same without drain"
                told(title, site, partial(ended, site, "deploy", 0), words.rate, words.slow)
    return 1 if bad else 0


def told(title: str, site: Fronted, scene: Callable[[], object], rate: float, slow: float) -> int:
    """Run a scene under load, print what became of it, and return how many requests failed."""
    before, began = site.front.errors(), time.monotonic()
    with Load(site.front.port, rate, slow) as load:
        time.sleep(0.5)
        scene()
    there = site.front.errors() - before
    took = time.monotonic() - began
    print(f"{title}: {took:.0f} s; {load.tally}; by the balancer {there}", flush=True)
    return load.tally.failed + there


def scenes(site: Fronted, kills: int, chance: random.Random) -> Iterator[Scene]:
    """What is done under load, one after the other."""
    ended(site, "deploy", 0)
    yield "a good deploy", partial(ended, site, "deploy", 0)
    yield "a rollback", partial(ended, site, "rollback", 0)
    site.runbook(site.update("bad"), settle=site.settling())
    yield "a deploy that fails and backs out", partial(ended, site, "deploy", 4)
    site.runbook(site.update(), settle=site.settling())
    began = time.monotonic()
    ended(site, "deploy", 0)
    took = time.monotonic() - began
    for verb, code in (("resume", 0), ("abort", 4)):
        for _ in range(kills):
            after = chance.uniform(0.1, 0.9) * took
            title = f"killed after {after:.1f} s, then {verb}"
            yield title, partial(killed, site, after, verb, code)


def killed(site: Fronted, after: float, verb: str, code: int) -> None:
    process = site.start()
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    said = site.say(verb)
    if said.code not in (code, 2, 3):  # 2 and 3: it had not begun, or had ended already
        raise SystemExit(f"{verb} ended with {said.code}: {said.out}{said.err}")


def ended(site: Fronted, verb: str, code: int) -> None:
    said = site.say(verb)
    if said.code != code:
        raise SystemExit(f"{verb} ended with {said.code}: {said.out}{said.err}")


if __name__ == "__main__":
    sys.exit(main())

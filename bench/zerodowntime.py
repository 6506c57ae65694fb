"""Three hosts behind HAProxy, nginx and Caddy under a steady load, while releases come and go:

a good deploy, one that fails and backs out, a rollback, and deployers that are killed with
`kill -9` at records all along the run, and resumed or aborted. Every failed request is counted, by
the client and by the balancer. Beside it, `plain` is the same restarts without a balancer that
knows of them, and `pm2` is `pm2 reload` of as many Node processes on one machine.

python bench/zerodowntime.py [--backend haproxy nginx caddy pm2] [--scenes good resume …]
    [--rate 200] [--slow 3] [--kills 3]
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import ports
from support.balancers import FRONTS
from support.fronted import NODE_APP, Fronted
from support.load import Load
from support.pm2 import Pm2
from support.sshd import SshdBed
from support.takeover import burnt
from support.wait import eventually

BACKENDS = ("haproxy", "nginx", "caddy", "pm2")
HOSTS = ("web1", "web2", "web3", "lb1")
SCENES = ("good", "rollback", "failing", "resume", "abort", "plain")
"""A deployer that is killed at a moment of its journal."""
Scene = tuple[str, Callable[[], object]]


def main() -> int:
    """1 when a request failed, or a run did not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--slow", type=float, default=3.0)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="none before that moment")
    words = parser.parse_args()
    bad = 0
    for backend in words.backend:
        if backend == "pm2":
            reloads(words.rate, words.slow)
            continue
        with fronted(backend, words.slow) as site:
            for title, scene in scenes(site, words.scenes, words.kills, words.first):
                failed = told(f"{backend:8} {title}", site, scene, words.rate, words.slow)
                bad += failed if title != PLAIN else 0
    return 1 if bad else 0


@contextmanager
def fronted(backend: str, slow: float) -> Iterator[Fronted]:
    """A site of its own: three hosts, and one balancer before them. What is open gets the time
    that a slow request takes; what outlives it, the WebSocket, is cut off."""
    with (
        tempfile.TemporaryDirectory(prefix="front-", dir="/tmp") as name,
        SshdBed(Path(name) / "bed", HOSTS) as bed,
    ):
        place = Path(name) / "site"
        place.mkdir()
        with Fronted(place, bed, FRONTS[backend]) as site:
            edge = {**site.changes["balancers"]["edge"], "at_limit": "proceed"}
            site.inventory(balancers={"edge": {**edge, "drain_timeout": f"{slow + 1}s"}})
            yield site


def told(title: str, site: Fronted, scene: Callable[[], object], rate: float, slow: float) -> int:
    """Run a scene under load, print what became of it, and return how many requests failed."""
    before = site.front.errors()
    took, load = under_load(site.front.port, rate, slow, scene)
    there = site.front.errors() - before
    print(f"{title}: {took:.0f} s; {load.tally}; by the balancer {there}", flush=True)
    return load.tally.failed + there


def under_load(
    port: int, rate: float, slow: float, scene: Callable[[], object]
) -> tuple[float, Load]:
    """A scene that begins when requests have come for a moment; how many seconds it took."""
    began = time.monotonic()
    with Load(port, rate, slow) as load:
        eventually(lambda: load.tally.answered >= rate / 2, saying="half a second of load")
        scene()
    return time.monotonic() - began, load


# --- what is done under load ---------------------------------------------------------------

PLAIN = "the same without drain"


def scenes(site: Fronted, wanted: Sequence[str], kills: int, first: int) -> Iterator[Scene]:
    """One after the other."""
    ended(site, "deploy", 0)
    moments = 2 * len(site.records())
    if "good" in wanted:
        yield "a good deploy", partial(ended, site, "deploy", 0)
    if "rollback" in wanted:
        yield "a rollback", partial(ended, site, "rollback", 0)
    if "failing" in wanted:
        yield "a deploy that fails and backs out", partial(failing, site)
    for verb, code in (("resume", 0), ("abort", 4)):
        found = (1 + int((number + 0.5) / kills * moments) for number in range(kills))
        for at in (each for each in found if each >= first and verb in wanted):
            title = f"killed at moment {at} of {moments}, then {verb}"
            yield title, partial(killed, site, at, verb, code)
    if "plain" in wanted:
        site.inventory(rollout={"batches": [1], "soak": "0s"})
        yield PLAIN, partial(ended, site, "deploy", 0)


def failing(site: Fronted) -> None:
    site.runbook(site.update("bad"), settle=site.settling())
    ended(site, "deploy", 4)
    site.runbook(site.update(), settle=site.settling())


def killed(site: Fronted, at: int, verb: str, code: int) -> None:
    left, out, err = burnt(at, site.project, "deploy")
    if left != -signal.SIGKILL:
        raise SystemExit(f"a deploy was not killed, but left with {left}: {out}{err}")
    said = site.say(verb)
    had_succeeded = said.code == 0 and said.data["outcome"] == "succeeded"
    if said.code not in (code, 3) and not had_succeeded:  # 3: it had not begun, or had ended
        raise SystemExit(f"{verb} ended with {said.code}: {said.out}{said.err}")


def ended(site: Fronted, verb: str, code: int) -> None:
    said = site.say(verb)
    if said.code != code:
        raise SystemExit(f"{verb} ended with {said.code}: {said.out}{said.err}")


# --- beside --------------------------------------------------------------------------------


def reloads(rate: float, slow: float) -> None:
    """`pm2 reload`, as PM2 has it by default, and with time for what is open."""
    port = ports.free_port()
    with (
        tempfile.TemporaryDirectory(prefix="pm2-", dir="/tmp") as name,
        Pm2(Path(name)) as pm2,
    ):
        for title, patience in (("by default", 1600), ("with kill_timeout", slow * 1000 + 1000)):
            app = {"name": "api", "script": str(NODE_APP), "interpreter": "node", "instances": 3}
            app |= {"exec_mode": "cluster", "kill_timeout": patience, "env": {"PORT": str(port)}}
            pm2.run("start", str(pm2.ecosystem(Path(name) / "ecosystem.config.js", **app)))
            eventually(partial(ports.accepts, "127.0.0.1", port), within=30)
            took, load = under_load(port, rate, slow, partial(pm2.run, "reload", "api"))
            pm2.run("delete", "api")
            print(f"pm2      reload {title}: {took:.0f} s; {load.tally}", flush=True)
    ports.release(port)


if __name__ == "__main__":
    sys.exit(main())

"""One deploy of one host over SSH, beside the same by hand: commit, push, reset, `supervisorctl
restart`, and curl until the new release answers.

    python bench/deploy.py [--rounds 5]     exit 1 when the difference is over its budget

Both act on the same working copy, origin, checkout and program, in turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import sample_app
from support.git_origin import GitOrigin
from support.ports import free_port
from support.project import Project
from support.sshd import SshdBed
from support.supervisord import Program, Supervisord

BUDGET = 0.5
"""Seconds that a deploy may take longer than by hand."""
RUNBOOK = {
    "summary": "Ship it.",
    "steps": [
        {"name": "Commit", "commit": {"message": "Next"}},
        {"name": "Push", "push": {}},
        {"name": "Update", "update": {}, "on": "all"},
    ],
    "settle": [
        {"name": "Restart", "restart": {}, "on": "all"},
        {"name": "Prove it", "verify": "all"},
    ],
}
BY_HAND = """\
set -e
git -C {copy} commit -qam Next
git -C {copy} push -q origin main
ssh -F {config} web1 'git -C {checkout} fetch -q && git -C {checkout} reset -q --hard origin/main'
ssh -F {config} web1 '{ctl} restart api' >/dev/null
until curl -sf {url} | grep -q '"release": "{release}"'; do sleep 0.05; done
"""


@dataclass(frozen=True)
class Shop:
    """A service on a host, and the project that deploys it."""

    project: Project
    repository: GitOrigin
    checkout: Path
    bed: SshdBed
    supervisord: Supervisord
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"

    def prepare(self) -> None:
        source = {
            "repository": str(self.repository.copy),
            "strategy": "checkout",
            "directory": str(self.checkout),
        }
        service = {
            "name": "api",
            "backend": "supervisor",
            "config": str(self.supervisord.config),
            "command": self.supervisord.supervisorctl,
        }
        self.project.inventory(
            "prod",
            {
                "hosts": self.bed.inventory_hosts(),
                "ssh": self.bed.inventory_ssh(),
                "service": service,
                "source": source,
                "rollout": {"soak": "0s"},
                "checks": {
                    "alive": {
                        "http": self.url,
                        "expect": ["status == 200"],
                        "retry": {"for": "20s", "every": "50ms"},
                    }
                },
            },
        )
        self.project.runbook("deploy", RUNBOOK)

    def deploy(self) -> float:
        self.repository.good_change()
        return self._timed([sys.executable, "-m", "backout", "deploy", "--target", "prod", "--yes"])

    def by_hand(self) -> float:
        release = self.repository.good_change()
        script = BY_HAND.format(
            copy=self.repository.copy,
            config=self.bed.ssh_config,
            checkout=self.checkout,
            ctl=f"{self.supervisord.supervisorctl} -c {self.supervisord.config}",
            url=self.url,
            release=release,
        )
        return self._timed(["sh", "-c", script])

    def _timed(self, argv: list[str]) -> float:
        env = {**self.project.env, "PYTHONDONTWRITEBYTECODE": ""}
        started = time.perf_counter()
        done = subprocess.run(
            argv, cwd=self.project.directory, env=env, capture_output=True, text=True, check=False
        )
        took = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{argv[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return took


@contextmanager
def shop(place: Path) -> Iterator[Shop]:
    repository = GitOrigin(place / "git")
    checkout = repository.clone(place / "checkout")
    port = free_port()
    variables = {"HOST": "127.0.0.1", "PORT": str(port)}
    command = sample_app.command(checkout / "app.py")
    program = Program("api", command, variables, {"startsecs": "0"})
    with (
        SshdBed(place / "bed", ["web1"]) as bed,
        Supervisord(place / "supervisor", [program], machine=bed["web1"].machine) as supervisord,
    ):
        sample_app.wait_healthy("127.0.0.1", port)
        made = Shop(Project(place / "project"), repository, checkout, bed, supervisord, port)
        made.prepare()
        yield made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="deploy-", dir="/tmp") as name,
        shop(Path(name)) as made,
    ):
        made.by_hand(), made.deploy()
        rounds = [(made.by_hand(), made.deploy()) for _ in range(words.rounds)]
    hand, backout = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(
        f"by hand {hand:.2f} s   Backout {backout:.2f} s   {backout - hand:+.2f} s"
        f"   (median of {words.rounds} rounds; budget {BUDGET:+.2f} s)"
    )
    return int(backout - hand > BUDGET)


if __name__ == "__main__":
    sys.exit(main())

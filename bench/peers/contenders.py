"""Who deploys, with what, and what each has its operator type. The configuration is in a folder by
each one's name, and is what its own documentation would have a careful person write.

All ship what is pushed, restart, and ask the service; the same question everywhere: 200.
What each is given besides, because it has it:

- Backout: its own defaults (one host, then all others), without a pause (`soak`) between the two;
  for the figures also with all hosts at once, to stand beside those that have no batches.
- Ansible: `serial` with one host first, `max_fail_percentage: 0`, a `rescue` that switches back,
  pipelining, 50 forks, no facts; SSH's ControlPersist is its default.
- pyinfra: its own default, all hosts at once, and `--fail-percent 0`; it has no batches but
  `--serial`, host by host.
- Fabric: a script, `ThreadingGroup`, one host first.
- Capistrano: releases of its own; its task restarts one host first. Its link is switched before,
  on all hosts: that is its `deploy:publishing`.
- PM2: `pm2 deploy`, host by host, which is all that it does; the service stays supervisord's.

Deployer is in none of the registries that a test may reach, and mina 0.3 knows a single host.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from peers.estate import Ended, Estate, Typed
from peers.fetched import program

from support.tools import node_program, venv_program

HERE = Path(__file__).parent
Words = Sequence[str]


@dataclass(frozen=True)
class Contender:
    """One tool. Of `deploy` and `back`, {new} is the release to ship, {old} the one before."""

    name: str
    folder: str
    argv: tuple[str, ...]
    deploy: tuple[str, ...]
    back: tuple[str, ...]
    killed: tuple[str, ...] = ()
    """What its operator types after it was killed; else that is `back`."""
    forward: tuple[tuple[str, ...], ...] = ()
    """What brings the newest release once more after a rollback that failed; else `deploy`."""
    setup: tuple[str, ...] = ()
    hosts: Callable[[Path, Sequence[str]], None] = lambda _, __: None
    """Writes other hosts into its configuration."""

    timed: bool = True
    """Whether its deploys are timed."""
    scenes: Sequence[str] | None = None
    """The scenes that are played with it; all, where it does not say."""

    @property
    def slug(self) -> str:
        """Its name as that of a folder."""
        return self.name.lower().replace(" ", "-").replace(",", "")

    def plays(self, scene: str) -> bool:
        return self.scenes is None or scene in self.scenes

    @property
    def lines(self) -> int:
        """Of configuration: what a person wrote, without blank lines and remarks."""
        files = [path for path in (HERE / self.folder).rglob("*") if path.is_file()]
        rows = (row.strip() for path in files for row in path.read_text().splitlines())
        return sum(1 for row in rows if row and not row.startswith(("#", '"""')))


class Seat:
    """A contender on an estate, with a tree of its own on the hosts."""

    def __init__(self, estate: Estate, contender: Contender) -> None:
        self.estate = estate
        self.contender = contender
        self.directory = estate.laptop.home / contender.slug
        self._trees = 0
        self.tree = ""
        self.past: list[str] = []
        """The releases that it has shipped."""

    def anew(self) -> None:
        """It has never deployed to these hosts; two healthy releases follow, then it is ready."""
        self._trees += 1
        self.tree = f"{self.contender.slug}-{self._trees}"
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(HERE / self.contender.folder, self.directory)
        self.contender.hosts(self.directory, self.estate.names)
        self.past = []
        self.estate.give(self.tree)
        if self.contender.setup:
            _well(self._begin(self.contender.setup).end(), self.contender.setup)

    def take(self) -> None:
        """The hosts have what it shipped last."""
        self.estate.give(self.tree)

    def ship(self, *, fragile: bool = False) -> Ended:
        """A healthy release, which has to arrive."""
        number = self.estate.publish(fragile=fragile)
        self.estate.cool()
        ended = self.deploy(number).end()
        _well(ended, self.contender.deploy)
        for name in self.estate.names:
            seen = self.estate.disk(name), self.estate.answer(name)
            assert seen == (number, number), f"{self.contender.name}: {name} has {seen}"
        return ended

    def deploy(self, number: str) -> Typed:
        """Type what ships this release."""
        self.past.append(number)
        return self._begin(self.contender.deploy)

    def back(self, old: str, *, killed: bool = False) -> Typed:
        """Type what goes back to this release."""
        return self._begin(self.back_words(killed=killed), old)

    def back_words(self, *, killed: bool = False) -> tuple[str, ...]:
        return (self.contender.killed if killed else ()) or self.contender.back

    def told(self, words: Words) -> str:
        """A command as it is told: without what every run of it has."""
        command, *rest = (*self.contender.argv, *words)
        kept = (word for word in rest if word not in (*PROD, "-y"))
        said = " ".join((Path(command).name, *kept))
        return said.replace("{old}", "OLD").replace("{new}", "NEW")

    def forward(self) -> tuple[tuple[str, ...], ...]:
        return self.contender.forward or (self.contender.deploy,)

    def type(self, words: Words) -> Typed:
        """Type a command that concerns the newest release."""
        return self._begin(words)

    def _begin(self, words: Words, old: str = "") -> Typed:
        new = self.past[-1] if self.past else "1"
        commits = {"new": self.estate.commit_of(new), "old": self.estate.commit_of(old or new)}
        argv = [word.format(**commits) for word in (*self.contender.argv, *words)]
        return self.estate.begin(argv, self.directory)


def _well(ended: Ended, words: Words) -> None:
    if ended.code:
        raise SystemExit(f"{' '.join(words)} left with {ended.code}: {ended.said[-3000:]}")


def _backout_hosts(directory: Path, names: Sequence[str]) -> None:
    file = directory / "inventories" / "prod.yaml"
    hosts, first = "hosts:\n", "service:"
    rest = file.read_text().partition(first)[2]
    rows = (f"  {name}: {{address: {name}, groups: [web]}}\n" for name in names)
    file.write_text("".join([hosts, *rows, first, rest]))


def _backout_at_once(directory: Path, names: Sequence[str]) -> None:
    _backout_hosts(directory, names)
    file = directory / "inventories" / "prod.yaml"
    file.write_text(file.read_text().replace("batches: [1, 100%]", "batches: [100%]"))


def _written(file: str, text: Callable[[Sequence[str]], str]) -> Callable[..., None]:
    def write(directory: Path, names: Sequence[str]) -> None:
        (directory / file).write_text(text(names))

    return write


def _pm2_hosts(directory: Path, names: Sequence[str]) -> None:
    file = directory / "ecosystem.config.js"
    file.write_text(file.read_text().replace('"web1", "web2", "web3"', str(list(names))[1:-1]))


def _servers(names: Sequence[str]) -> str:
    return "".join(f'server "{name}", user: "root", roles: %w[app]\n' for name in names)


def _ansible_hosts(names: Sequence[str]) -> str:
    return yaml.safe_dump({"web": {"hosts": dict.fromkeys(names)}})


PROD = ("--target", "prod", "--yes")


def contenders() -> list[Contender]:
    """All of them, fetched."""
    return [
        Contender(
            "Backout",
            "backout",
            (venv_program("backout"),),
            deploy=("deploy", *PROD),
            back=("rollback", *PROD),
            killed=("abort", *PROD),
            forward=(("unlock", "--force", *PROD), ("deploy", "--accept-red", "alive", *PROD)),
            hosts=_backout_hosts,
        ),
        Contender(
            "Backout, all at once",
            "backout",
            (venv_program("backout"),),
            deploy=("deploy", *PROD),
            back=("rollback", *PROD),
            killed=("abort", *PROD),
            hosts=_backout_at_once,
            scenes=(),
        ),
        Contender(
            "Backout, deploy --ref",
            "backout",
            (venv_program("backout"),),
            deploy=("deploy", *PROD),
            back=("deploy", "--ref", "{old}", *PROD),
            hosts=_backout_hosts,
            timed=False,
            scenes=("back",),
        ),
        Contender(
            "Ansible",
            "ansible",
            (program("ansible-playbook"), "deploy.yml"),
            deploy=("-e", "release={new}"),
            back=("-e", "release={old}"),
            hosts=_written("hosts.yml", _ansible_hosts),
        ),
        Contender(
            "pyinfra",
            "pyinfra",
            (program("pyinfra"), "-y", "inventory.py"),
            deploy=("deploy.py", "--data", "release={new}", "--fail-percent", "0"),
            back=("rollback.py", "--data", "release={old}", "--fail-percent", "0"),
            hosts=_written("inventory.py", lambda names: f"web = {list(names)}\n"),
        ),
        Contender(
            "Fabric",
            "fabric",
            (venv_program("fab"),),
            deploy=("deploy", "--release", "{new}"),
            back=("rollback", "--release", "{old}"),
            hosts=_written("hosts.py", lambda names: f"HOSTS = {list(names)}\n"),
        ),
        Contender(
            "Capistrano",
            "capistrano",
            (program("cap"), "production"),
            deploy=("deploy",),
            back=("deploy:rollback",),
            hosts=_written("config/deploy/production.rb", _servers),
        ),
        Contender(
            "PM2 deploy",
            "pm2",
            (node_program("pm2"), "deploy", "ecosystem.config.js", "production"),
            deploy=("--force",),
            back=("revert", "1", "--force"),
            setup=("setup",),
            hosts=_pm2_hosts,
        ),
    ]

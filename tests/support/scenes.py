"""Small runbooks that together hold every kind of step, each over real parts, and what is to be
seen of them: read off the disks, the repository and the database, by nothing of Backout's.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from .git_origin import GitOrigin
from .machine import Machine
from .postgres import Postgres
from .supervisord import Program, Supervisord
from .tools import venv_program

N, HOST = "{{ params.n }}", "{{ host.name }}"
WEB = "web"
GATE = {"retry": {"for": "5s", "every": "100ms"}, "timeout": "20s"}

Seen = dict[str, Any]


class Scene(ABC):
    """One runbook. What it ships has a number, `params.n`; at `params.bad` its last step fails."""

    kinds: ClassVar[frozenset[str]]
    """The kinds of step that it holds: see the test that holds this against the runbook."""

    def __init__(self, place: Path, hosts: Sequence[str], machines: Mapping[str, Machine]) -> None:
        self.place = place
        self.hosts = tuple(hosts)
        self.machines = machines

    @abstractmethod
    def steps(self) -> list[dict[str, Any]]:
        """The steps, but for the last, which may fail."""

    def settle(self) -> list[dict[str, Any]]:
        return [{"name": "Prove it", "verify": "all"}]

    def inventory(self) -> dict[str, Any]:
        """What the inventory has beside the hosts."""
        return {"checks": {"well": {"command": "true", "expect": ["exit_code == 0"]}}}

    def service(self, host: str) -> dict[str, str]:  # noqa: ARG002 - for those that have one
        """The service of a host, if it has one."""
        return {}

    def parts(self) -> list[AbstractContextManager[Any]]:
        """What has to run beside it."""
        return []

    @abstractmethod
    def prepare(self, number: int) -> None:
        """What is about to be shipped."""

    @abstractmethod
    def seen(self) -> Seen:
        """What there is."""

    @abstractmethod
    def expected(self, force: Sequence[int]) -> Seen:
        """What there should be when the releases of these numbers are in force, and no others."""

    def runbook(self) -> dict[str, Any]:
        last = {"name": "Last", "run": "test {{ params.bad }} != yes", "undo": "true", "on": WEB}
        return {
            "summary": "What can be seen.",
            "params": {"n": {"default": "0"}, "bad": {"default": "no"}},
            "steps": [*self.steps(), last],
            "settle": self.settle(),
        }

    def _places(self, name: str) -> dict[str, Path]:
        return {host: self.place / f"{name}-{host}" for host in self.hosts}


class Code(Scene):
    """What ships code: from the working copy to a release that is live."""

    kinds = frozenset({"commit", "push", "build", "update", "run", "verify"})

    def __init__(self, place: Path, hosts: Sequence[str], machines: Mapping[str, Machine]) -> None:
        super().__init__(place, hosts, machines)
        self.git = GitOrigin(place / "git")
        self.file = self.git.copy / "SHIPPED"
        self.directory = "app" if machines else str(place / "app")
        homes = {host: machine.home for host, machine in machines.items()}
        self.apps = {host: homes.get(host, place) / "app" for host in hosts}

    def inventory(self) -> dict[str, Any]:
        source = {
            "repository": str(self.git.copy),
            "strategy": "releases",
            "directory": self.directory,
            "keep": 2,
        }
        alike = f"cd {self.directory}/current && cmp SHIPPED BUILT"
        there = {"command": alike, "on": WEB, "expect": ["exit_code == 0"], **GATE}
        return {"source": source, "checks": {"built": there}}

    def steps(self) -> list[dict[str, Any]]:
        return [
            {"name": "Commit", "commit": {"paths": ["SHIPPED"], "message": f"Ship {N}"}},
            {"name": "Push", "push": {}},
            {"name": "Build", "build": "cp SHIPPED BUILT", "on": WEB},
            {"name": "Update", "update": {}, "on": WEB},
        ]

    def prepare(self, number: int) -> None:
        self.file.write_text(f"{number}\n")

    def seen(self) -> Seen:
        head = self.git.published()
        subjects = self.git.git("log", "--format=%s", head).splitlines()
        net = {s: subjects.count(s) - subjects.count(f'Revert "{s}"') for s in subjects}
        apps = self.apps.items()
        unfinished = [path.name for _, app in apps for path in (app / "releases").glob(".*")]
        return {
            "shipped": sorted(s for s, n in net.items() if n and s.startswith("Ship ")),
            "twice": [s for s, n in net.items() if n > 1],
            "origin": self.git.git("show", f"{head}:SHIPPED").strip(),
            "copy": self.git.head() == head,
            "live": {h: _text(app / "current/BUILT") for h, app in apps},
            "unfinished": unfinished,
        }

    def expected(self, force: Sequence[int]) -> Seen:
        return {
            "shipped": sorted(f"Ship {n}" for n in force),
            "twice": [],
            "origin": str(force[-1]),
            "copy": True,
            "live": dict.fromkeys(self.hosts, str(force[-1])),
            "unfinished": [],
        }


class Files(Scene):
    """What leaves files and rows, and what asks a person."""

    kinds = frozenset({"run", "upload", "template", "sql", "wait", "approve", "manual", "verify"})

    def __init__(self, place: Path, hosts: Sequence[str], machines: Mapping[str, Machine]) -> None:
        super().__init__(place, hosts, machines)
        self.effects = place / "effects"
        self.effects.mkdir()
        self.postgres = Postgres(place / "postgres")

    def parts(self) -> list[AbstractContextManager[Any]]:
        return [self.postgres]

    def steps(self) -> list[dict[str, Any]]:
        conf, page, database = self.place / "conf", self.place / "page", "{{ vars.database }}"
        rows = f"FROM shipped WHERE n = {N}"
        return [
            self._effect("here", None),
            {
                "name": "Row",
                "sql": {"database": database, "script": f"INSERT INTO shipped VALUES ({N})"},
                "undo": f"DELETE {rows}",
                "check": f"SELECT count(*) = 1 {rows}",
            },
            {"name": "Ask", "approve": "Go on?"},
            {"name": "By hand", "manual": {"text": "Look at it"}, "undo": "Look away"},
            self._effect("there", WEB),
            {"name": "Conf", "upload": {"from": str(conf), "to": f"{conf}-{HOST}"}, "on": WEB},
            {"name": "Page", "template": {"from": str(page), "to": f"{page}-{HOST}"}, "on": WEB},
            {
                "name": "A while",
                "wait": {"for": "5s", "until": f"test -e {page}-{HOST}"},
                "on": WEB,
            },
        ]

    def _effect(self, name: str, on: str | None) -> dict[str, Any]:
        """Leaves one line; says so when it finds itself running beside itself."""
        place = f"{self.effects}/{N}-{name}" + (f"-{HOST}" if on else "")
        step = {
            "name": name,
            "run": f"mkdir {place}.busy || echo {place} >> {self.place}/beside\n"
            f"echo once >> {place}\nrmdir {place}.busy",
            "undo": f"rm -f {place}\nrm -rf {place}.busy",
        }
        return {**step, "on": on} if on else step

    def inventory(self) -> dict[str, Any]:
        return {**super().inventory(), "vars": {"database": self.postgres.dsn()}}

    def prepare(self, number: int) -> None:
        if number == 1:
            self.postgres.sql("CREATE TABLE shipped (n int)")
        (self.place / "conf").write_text(f"{number}\n")
        (self.place / "page").write_text(f"{N}\n")

    def seen(self) -> Seen:
        effects = {path.name: _text(path) for path in self.effects.iterdir() if path.is_file()}
        rows = self.postgres.sql("SELECT n FROM shipped ORDER BY n")
        strange = [
            p.name for p in self.place.iterdir() if p.name.startswith((".", "conf-", "page-"))
        ]
        strange += [p.name for p in self.effects.iterdir() if p.is_dir()]
        return {
            "beside": _text(self.place / "beside"),
            "effects": effects,
            "rows": [int(row[0]) for row in rows],
            "conf": {h: _text(path) for h, path in self._places("conf").items()},
            "page": {h: _text(path) for h, path in self._places("page").items()},
            "strange": sorted(strange),
        }

    def expected(self, force: Sequence[int]) -> Seen:
        names = ["here", *(f"there-{host}" for host in self.hosts)]
        return {
            "beside": "",
            "effects": {f"{n}-{name}": "once" for n in force for name in names},
            "rows": list(force),
            "conf": dict.fromkeys(self.hosts, str(force[-1])),
            "page": dict.fromkeys(self.hosts, str(force[-1])),
            "strange": sorted(f"{name}-{host}" for name in ("conf", "page") for host in self.hosts),
        }


class Service(Scene):
    """What runs, and is restarted."""

    kinds = frozenset({"run", "restart", "verify"})

    def __init__(self, place: Path, hosts: Sequence[str], machines: Mapping[str, Machine]) -> None:
        super().__init__(place, hosts, machines)
        for path in self._places("code").values():
            path.write_text("0\n")
        self.supervisors = {host: self._supervisor(host) for host in hosts}

    def _supervisor(self, host: str) -> Supervisord:
        code = self.place / f"code-{host}"
        start = f"cat {code} > {code}.runs; exec sleep 100000"
        app = Program("app", ["/bin/sh", "-c", start], options={"startsecs": "0"})
        place = self.place / f"supervisor-{host}"
        return Supervisord(place, [app], machine=self.machines.get(host))

    def parts(self) -> list[AbstractContextManager[Any]]:
        return list(self.supervisors.values())

    def service(self, host: str) -> dict[str, str]:
        config = str(self.supervisors[host].config)
        command = venv_program("supervisorctl")
        return {"name": "app", "backend": "supervisor", "config": config, "command": command}

    def inventory(self) -> dict[str, Any]:
        code = f"{self.place}/code-{HOST}"
        alike = {"command": f"cmp {code} {code}.runs", "on": WEB, "expect": ["exit_code == 0"]}
        return {"checks": {"alike": {**alike, **GATE}}}

    def steps(self) -> list[dict[str, Any]]:
        code = f"{self.place}/code-{HOST}"
        before = f"{code}.before-{N}"
        change = f"[ -e {before} ] || cp {code} {before}\necho {N} > {code}"
        back = f"if [ -e {before} ]; then cp {before} {code}; fi"
        return [{"name": "Code", "run": change, "undo": back, "on": WEB}]

    def settle(self) -> list[dict[str, Any]]:
        return [{"name": "Restart", "restart": {"within": "60s"}, "on": WEB}, *super().settle()]

    def prepare(self, number: int) -> None:
        """The number is all that it ships."""

    def seen(self) -> Seen:
        code = self._places("code").items()
        return {
            "code": {host: _text(path) for host, path in code},
            "runs": {host: _text(path.with_name(f"{path.name}.runs")) for host, path in code},
            "up": {host: each.state("app") for host, each in self.supervisors.items()},
        }

    def expected(self, force: Sequence[int]) -> Seen:
        now = dict.fromkeys(self.hosts, str(force[-1]))
        return {"code": now, "runs": now, "up": dict.fromkeys(self.hosts, "RUNNING")}


SCENES: Mapping[str, type[Scene]] = {"code": Code, "files": Files, "service": Service}


def _text(path: Path) -> str:
    """What a file says; words in brackets where there is none."""
    return path.read_text().strip() if os.path.lexists(path) else ""

"""A project whose ledger is in a database of its own, and workers of it."""

from __future__ import annotations

import sys
from typing import Any

from . import warm
from .journals import empty_ledger
from .postgres import Postgres
from .wait import eventually
from .warm import Started
from .yard import Yard

TEAM = """\
ledger: {{secret: TEAM_LEDGER, wait: 1m}}
workers: {{after: {after}, grace: {grace}, rescue: {rescue}}}
"""


AS_ANOTHER = (
    "import os, sys; os.setresuid(23456, 0, 0); sys.argv[0] = 'invoke';"
    " from backout.tasks import main; main()"
)


class Team:
    """One project whose ledger is in a database of its own, and workers of it. Each has a working
    copy of its own; the hosts are this machine."""

    def __init__(self, yard: Yard, postgres: Postgres) -> None:
        self.yard, self.postgres = yard, postgres
        self.env = yard.project.env
        self.env["TEAM_LEDGER"] = address = empty_ledger(postgres)
        self.database = address.rpartition("/")[2]
        # The notes of the host are where it is, whoever drives: it stands for one elsewhere.
        yard.inventory(state=str(yard.files.parent / "notes"))
        self.rule()

    def rule(
        self, *, rescue: str = "resume", grace: str = "20s", after: str = "30s", more: str = ""
    ) -> None:
        text = TEAM.format(rescue=rescue, grace=grace, after=after) + more
        (self.yard.project.directory / "backout.yaml").write_text(text)

    def sql(self, text: str) -> list[list[str]]:
        return self.postgres.sql(text, self.database)

    def deploy(self, *words: str) -> str:
        """Hand one over: its run."""
        said = self.yard.deploy("--detach", *words)
        assert said.code == 0, said.out + said.err
        return str(said.data["run"])

    def deploy_of(self, target: str) -> str:
        """Hand one of another target over, whose notes on the host are its own: its run."""
        own = {"state": str(self.yard.files.parent / f"notes-{target}")}
        self.yard.project.inventory(target, self.yard.plain() | self.yard.changes | own)
        words = ("deploy", "--target", target, "--detach", "--json")
        return str(self.yard.project.say(*words).data["run"])

    def worker(self, *words: str, of: Yard | None = None) -> Started:
        """One that is there, in the project's own working copy, or in another one."""
        before = len(self.sql("SELECT id FROM backout_queue.worker")) if self._queue() else 0
        yard = of or self.yard
        started = yard.project.start("worker", *words)
        self.yard._started.append(started)
        eventually(
            lambda: self._queue() and len(self.sql("SELECT id FROM backout_queue.worker")) > before,
            within=60,
            saying="a worker",
        )
        return started

    def elsewhere(self) -> Yard:
        other = self.yard.elsewhere()
        other.project.env.update(self.env)
        return other

    def approved(self, by: str) -> None:
        """Somebody else, of an account of their own, says yes to what was asked."""
        ((request,),) = self.sql("SELECT id FROM backout.request")
        program = (sys.executable, "-c", AS_ANOTHER)
        words, env = ("approve", request, "--yes"), {**self.env, "BACKOUT_PERSON": by}
        code, out, err = warm.run(words, self.yard.project.directory, env, 120, program)
        assert code == 0, out + err

    def _queue(self) -> bool:
        return bool(self.sql("SELECT 1 FROM pg_tables WHERE schemaname = 'backout_queue'"))

    def wish(self, run: str) -> None:
        """Somebody wants it to stop."""
        self.sql(f"INSERT INTO backout.wish VALUES ('{run}', '{run}', 'stop', 'ann', '2026-01-01')")

    def ended(self, run: str) -> tuple[str, int]:
        """How it ended, once it has."""
        query = f"SELECT outcome, exit_code FROM backout.run WHERE id = '{run}' AND ended <> ''"
        rows = eventually(lambda: self.sql(query), within=90, saying="the end of the run")
        return rows[0][0], int(rows[0][1])

    def kinds(self, run: str) -> list[str]:
        return [
            kind
            for (kind,) in self.sql(
                f"SELECT kind FROM backout.record WHERE run = '{run}' ORDER BY seq"
            )
        ]

    def shown(self) -> list[dict[str, Any]]:
        zones: list[dict[str, Any]] = self.yard.project.say("workers", "--json").data["zones"]
        return zones

    def zone_of(self, run: str) -> str:
        """Whose workers it was handed over to."""
        ((zone,),) = self.sql(f"SELECT zone FROM backout.run WHERE id = '{run}'")
        return zone

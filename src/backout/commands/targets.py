"""`targets`: what there is to act on."""

from __future__ import annotations

from pathlib import Path

from backout.commands import freezes
from backout.commands.options import Targets
from backout.config import loading
from backout.config.files import shown
from backout.errors import Mistakes
from backout.model import RunRow, Target
from backout.ports import Screen
from backout.project.project import TABLES, Workplace
from backout.reports.answer import Answer
from backout.reports.data import stamp
from backout.reports.objects import LastRun, TargetLine, TargetList


class Listing:
    """Reads files and the journal; asks no host."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def targets(self, _: Targets) -> Answer:
        folder = self.workplace.root / "inventories"
        whole = set(loading.targets(folder))
        rows = (self._line(name, folder) for name in loading.names(folder))
        kept = tuple(row for row in rows if row.hosts or row.target in whole)
        following = "invoke lint" if any(row.problem for row in kept) else ""
        return Answer("targets", TargetList(kept, following if kept else "invoke init"))

    def _line(self, name: str, folder: Path) -> TargetLine:
        path = loading.resolve(name, folder)
        newest = next(iter(self.workplace.journal.runs(name, limit=1)), None)
        last = _last(newest) if newest else None
        try:
            target = loading.load_target(path, TABLES, self.workplace.root)
        except Mistakes as error:
            return TargetLine(name, shown(path), last_run=last, problem=error.what.split("\n")[0])
        current = self.workplace.journal.current(name)
        return TargetLine(
            target=name,
            file=shown(path),
            hosts=tuple(target.hosts),
            protected=bool(target.protected),
            approvals=target.protection.approvals,
            example=target.example,
            frozen=self._frozen(target),
            release=current.release if current else None,
            known_good=bool(current and current.known_good),
            checks=tuple(target.checks),
            last_run=last,
        )

    def _frozen(self, target: Target) -> str:
        found = freezes.now(self.workplace, target)
        return found.words if found else ""


def _last(row: RunRow) -> LastRun:
    return LastRun(
        run=row.id,
        verb=row.verb,
        runbook=row.runbook,
        outcome=row.outcome,
        exit_code=row.exit_code,
        started_at=stamp(row.started),
        by=row.owner,
    )

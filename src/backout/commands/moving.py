"""`history.export`, `history.import` and `prune`: the journal elsewhere, and smaller."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backout.adapters.storage import moving, pruning
from backout.adapters.transports.shell_text import run_name
from backout.commands.options import HistoryExport, HistoryImport, Prune
from backout.errors import Held, Mistakes, Refused
from backout.model import seconds
from backout.model.operands import at_home
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports import objects
from backout.reports.answer import Answer

LONGEST = 64 << 20
"""Letters of a line of an export; what has longer ones is none, and may never end."""


class Moving:
    """The journal as a thing that is carried and cleared up."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def export(self, options: HistoryExport) -> Answer:
        name = self.workplace.target_name(options.target) if options.target else None
        packed = self._packed(name)
        if not packed.targets:
            raise Refused(
                f"there is no run {f'of {name} ' if name else ''}to export", next="invoke history"
            )
        path = self._path(options.file)
        _write(path, "".join(f"{line}\n" for line in packed.lines()))
        return self._moved(path, packed.targets, len(packed.rows["run"]))

    def _packed(self, name: str | None) -> moving.Packed:
        journal = self.workplace.journal
        try:
            return journal.look(lambda db: moving.pack(db, name))
        except Held as error:
            if row := journal.open_run_of(error.where):
                error.next = self.workplace.going_on(row)
            raise

    def import_(self, options: HistoryImport) -> Answer:
        path = self._path(options.file)
        try:
            with path.open(encoding="utf-8") as file:
                lines = iter(lambda: file.readline(LONGEST), "")
                packed = moving.unpack(lines, str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise Mistakes(f"{path} cannot be read: {error}", where="command line") from error
        new = self.workplace.journal.change(lambda db: moving.take_up(db, packed))
        return self._moved(path, packed.targets, len(new))

    def _path(self, typed: str) -> Path:
        return self.workplace.started_in / at_home(typed)

    def _moved(self, path: Path, targets: tuple[str, ...], runs: int) -> Answer:
        following = "invoke status"
        if len(targets) == 1:
            following += f" --target {targets[0]}"
        return Answer("moved", objects.Moved(str(path), targets, runs, following))

    # --- clearing up ---------------------------------------------------------------------

    def prune(self, options: Prune) -> Answer:
        before = datetime.now(UTC) - timedelta(seconds=_age(options.older))
        name = self.workplace.target_name(options.target) if options.target else None
        journal = self.workplace.journal
        what = journal.look(lambda db: pruning.needless(db, name, before))
        size = journal.size()
        if what:
            self._confirm(what, before)
            journal.change(lambda db: pruning.forget(db, what))
            for run in what.runs:
                notes = self.workplace.state / "here" / "notes" / run_name(run)
                shutil.rmtree(notes, ignore_errors=True)
            journal.compact()
        freed = max(0, size - journal.size())
        told = objects.Pruned(
            *(before.isoformat(), what.runs, len(what.outputs), freed),
            requests=len(what.requests),
            letters=len(what.letters),
        )
        return Answer("pruned", told)

    def _confirm(self, what: pruning.Needless, before: datetime) -> None:
        question = (
            f"forget the records of {len(what.runs)} runs and the output of"
            f" {len(what.outputs)} steps, {len(what.requests)} approvals and {len(what.letters)}"
            f" delivered messages from before {before:%Y-%m-%d}?"
        )
        if not self.screen.operator.confirm(question):
            raise Refused("not confirmed", next="invoke prune --older 90d --yes")


def _age(words: str | None) -> float:
    try:
        return seconds(words or "")
    except ValueError as error:
        raise Mistakes(
            "--older needs an age: 90d, 12h" if not words else f"--older {words}: {error}",
            where="command line",
            next="invoke prune --older 90d",
        ) from error


def _write(path: Path, text: str) -> None:
    """A file of one's own, private and new. Raises Refused."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Refused(
            f"{path} cannot be written: {error.strerror}", next="name another file"
        ) from error

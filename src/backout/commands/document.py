"""The verbs between notes and runbooks: document.import, document.render."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from backout.adapters.terminal import ui
from backout.commands.import_report import import_report
from backout.commands.imported import Imported, place
from backout.commands.interview import Interview
from backout.commands.options import DocumentImport, DocumentRender, Rehearse
from backout.commands.rehearse import Rehearsing
from backout.commands.shipment import shipment
from backout.config import following, loading, yaml_tree
from backout.documents.building import build
from backout.documents.draft import Built
from backout.documents.files import alone, sound
from backout.documents.reading import read
from backout.documents.rendered import taken
from backout.documents.rendering import render
from backout.errors import BackoutError, Mistakes
from backout.model import Release, RunRow
from backout.model.operands import at_home
from backout.ports import Screen
from backout.project.project import TABLES, Workplace
from backout.reports import notes
from backout.reports.answer import Answer
from backout.reports.executed_text import executed
from backout.reports.notes import Merged, Rendered
from backout.reports.plans import Ships
from backout.reports.report import Report
from backout.reports.story import story

LARGEST = 2_000_000
"""Bytes of a note."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9][A-Za-z0-9_.-]*)*")


class Document:
    """One verb about a note. The note itself is only ever read."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def import_(self, options: DocumentImport) -> Answer:
        """Raises Mistakes when there is no such note. A rehearsal that is refused leaves what was
        imported, and is told beside it."""
        report = self._import(options)
        if not options.rehearse:
            return Answer("import", report)
        name = options.as_ or following.imported_as(options.file)
        words = Rehearse(target=options.rehearse, runbook=name, yes=options.yes)
        try:
            shown = Rehearsing(self.workplace, self.screen).rehearsed(words)
        except BackoutError as error:
            told = replace(report, not_rehearsed=error.what, next=error.next)
            return Answer("import", told, error.exit_code)
        report = replace(report, rehearsal=shown, next=shown.next)
        return Answer("import", report, shown.exit_code)

    def _import(self, options: DocumentImport) -> notes.Imported:
        path = self.workplace.started_in / at_home(options.file)
        name = _named(options.as_ or following.imported_as(options.file))
        text, source = _text(path, options.file), self._source(path)
        interview = Interview(self.screen.operator, TABLES) if options.interactive else None
        files = Imported(self.workplace.root, name)
        if interview and not options.update and files.path("runbook").exists():
            raise Mistakes(
                f"{files.shown('runbook')} is there already",
                where="--interactive",
                next="with --update too, the answers go into it; or --as NAME, for another one",
            )
        decided = files.decided if options.update else {}
        built = self._built(text, source, decided)
        if interview and (said := interview.choices(built.reading, built.reading.questions)):
            decided = {**decided, **said}
            built = self._built(text, source, decided)
        if options.update:
            return self._update(files, built, decided, interview)
        told = interview.rest(built) if interview else built
        written, kept = files.write(told, built, decided)
        report = import_report(told)
        next = _next(name, told, report.questions)
        return replace(report, written=tuple(written), kept=tuple(kept), next=next)

    def _update(
        self,
        files: Imported,
        built: Built,
        decided: Mapping[str, str],
        interview: Interview | None,
    ) -> notes.Imported:
        update = files.update(built, decided)
        merged = Built(
            replace(update.built.reading, questions=update.questions),
            update.runbook,
            update.inventory,
        )
        merged = interview.rest(merged) if interview else merged
        written = files.write_update(update, merged)
        report = import_report(merged)
        return replace(
            report,
            found=tuple(
                replace(row, into=place(row.into, update.built.runbook, merged.runbook))
                for row in report.found
            ),
            updated=Merged(tuple(update.merge.taken), tuple(update.merge.kept)),
            written=tuple(written),
            next=_next(files.name, built, report.questions),
        )

    def _built(self, text: str, source: str, decided: Mapping[str, str]) -> Built:
        reading = read(text, source)
        if again := taken(text, reading):
            alone(again.runbook, TABLES)
            return again
        return sound(build(reading, decided), TABLES)

    def _source(self, path: Path) -> str:
        """As the project calls the note: by its path below the root, where it lies there."""
        whole, root = path.resolve(), self.workplace.root.resolve()
        return str(whole.relative_to(root)) if whole.is_relative_to(root) else str(whole)

    def render(self, options: DocumentRender) -> Answer:
        """Raises Mistakes, with every mistake of the files."""
        if options.run:
            return self._executed(options.run, options.runbook)
        path = self.workplace.runbook_file(options.runbook or "")
        loading.load_runbook(path, TABLES, self.workplace.root)
        target = self.workplace.target(options.target) if options.target else None
        data = yaml_tree.read(path, str(path), []).data()
        return Answer("render", Rendered(options.runbook or "", render(data, target)))

    def _executed(self, run: str, runbook: str | None) -> Answer:
        journal = self.workplace.journal
        row = journal.run(run)
        if runbook and runbook != row.runbook:
            raise Mistakes(f"run {row.id} is of {row.runbook}, not of {runbook}", where="--run")
        report = story(row, journal.recall(row.id), row.going_on)
        plan = row.plan.get("runbook") or {}
        steps = [step for phase in ("preflight", "steps") for step in plan.get(phase) or ()]
        scripts = {s["name"]: str(s["options"].get("script") or "") for s in steps}
        ships = self._shipped(row, report)
        text = executed(str(plan.get("summary") or ""), report, scripts, ships)
        return Answer("render", Rendered(row.runbook, ui.clean(text), row.id))

    def _shipped(self, row: RunRow, report: Report) -> Ships:
        """The commits and files between the releases of a run, as far as the working copy has
        them."""
        before, after = report.previous, report.release
        known = before and after and before.commit and after.commit
        if not (before and after and known) or "target" not in row.plan:
            return Ships()
        target = loading.thaw(row.plan, TABLES)[0]
        here = self.workplace.machines(target).reach("")
        try:
            return shipment(target, here, Release(0, before.commit), after.commit)
        except Mistakes:
            return Ships()


def _next(name: str, built: Built, questions: Sequence[object]) -> str:
    target = name if built.inventory else "TARGET"
    following = f"invoke plan --runbook {name} --target {target}"
    answer = f"answer what is open in runbooks/{name}.yaml, then: invoke lint, and {following}"
    return answer if questions else following


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        what = f"{name!r} is no name: letters, digits, '.', '_', '-' and '/'"
        raise Mistakes(what, where="--as", next="invoke --help document.import")
    return name


def _text(path: Path, said: str) -> str:
    """A note's text. Raises Mistakes."""
    try:
        if not path.is_file():
            raise FileNotFoundError
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        what = f"the note cannot be read: {error.strerror or 'no such file'}"
        raise Mistakes(what, where=said, next="invoke --help document.import") from None
    if len(content) > LARGEST:
        raise Mistakes("the note is larger than 2 MB", where=said, next="split it")
    return content.decode("utf-8", "replace").removeprefix("\ufeff")

"""A plan, with every undo and every point of no return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from backout.reports.checks_text import check_lines
from backout.reports.lines import one_line, page
from backout.reports.parts import block, count_of, next_lines, note_lines, release_text, titled
from backout.reports.plans import PlannedAction, PlannedStage, PlanReport
from backout.reports.ships_text import ships_lines

SHORT = 3
"""Lines of an undo that are shown where the step stands."""
WIDTH = 100
"""Characters of a text that stands for all of it."""
CUT = "--verbose shows every command and every undo whole"


def plan_text(plan: PlanReport, *, whole: bool = False) -> str:
    """What would run where, with every undo and every point of no return: a line for each step
    and one for its way back, or the `whole` of both."""
    ways: Detail = WaysBack() if whole else Outline()
    parts = (
        _summary(plan),
        [f"refused: {one_line(words)}" for words in plan.refused],
        ships_lines(plan.ships) if plan.ships else [],
        _group("Before any change, reads only", plan.preflight, ways),
        *[part for stage in plan.stages for part in _stage(stage, ways)],
        _group("At the end, whatever happens", plan.finals, ways),
        titled("What the checks say now", check_lines(plan.checks)),
        *ways.paragraphs(),
    )
    last = [words for words in (_needs(plan), _named(plan)) if words]
    notes = note_lines((*plan.notes, *ways.notes()))
    return page(*parts, notes, last, next_lines(plan.next))


def _needs(plan: PlanReport) -> str:
    others = count_of(plan.approvals, "approval")
    return f"It needs {others} by somebody else." if plan.approvals else ""


def _named(plan: PlanReport) -> str:
    saved = f", saved in {one_line(plan.saved)}" if plan.saved else ""
    return f"This plan is {plan.digest[:12]}{saved}." if plan.digest else ""


def _summary(plan: PlanReport) -> list[str]:
    release, now = release_text(plan.ends.to), release_text(plan.ends.start)
    would = "Would be REFUSED" if plan.refused else "Would run"
    what = f"{one_line(plan.runbook)} on {one_line(plan.target)}"
    points = [one_line(each.name) for each in plan.actions if each.irreversible]
    hosts = f"{count_of(len(plan.hosts), 'host')}: {', '.join(map(one_line, plan.hosts))}."
    return [
        f"{would}: {what}, making {release}; now: {now}. Nothing was changed.",
        hosts if plan.hosts else "On this machine only.",
        f"POINT OF NO RETURN: {', '.join(dict.fromkeys(points))}."
        if points
        else "Every step can be undone.",
    ]


def _stage(stage: PlannedStage, ways: Detail) -> Iterable[list[str]]:
    yield _group("On this machine", stage.here, ways)
    for batch in stage.batches:
        hosts = f": {', '.join(map(one_line, batch.hosts))}" if batch.hosts else ""
        title = f"Batch {batch.number} of {len(stage.batches)}{hosts}"
        yield _group(title, batch.actions, ways)
        yield _group(f"Batch {batch.number}, settle", batch.settle, ways)


def _group(title: str, actions: Sequence[PlannedAction], ways: Detail) -> list[str]:
    """Actions under a title; one that is the same on several hosts stands there once."""
    merged: dict[PlannedAction, list[str]] = {}
    for each in actions:
        merged.setdefault(replace(each, host=None), []).append(each.host or "")
    return titled(title, [line for each, on in merged.items() for line in _step(each, on, ways)])


def _step(action: PlannedAction, hosts: Sequence[str], ways: Detail) -> list[str]:
    places = ", ".join(one_line(host) for host in hosts if host)
    name = f"  {one_line(action.name)}{f'  (on {places})' if places else ''}"
    lines = ways.step(name, action.does)
    lines += block("only when: ", action.when, "    ") if action.when else []
    if action.irreversible:
        lines.append(f"    POINT OF NO RETURN: {one_line(action.irreversible)}")
        lines += [f"    right before it must pass: {', '.join(action.net)}"] if action.net else []
    elif action.undo:
        lines += ways.told(action.name, action.undo, action.undo_summary)
    elif action.readonly:
        lines.append("    reads only")
    return lines


class Detail(Protocol):
    """How much of a step and of its way back is shown."""

    def step(self, title: str, does: str) -> list[str]:
        """A step under its title."""

    def told(self, name: str, undo: str, summary: str = "") -> list[str]:
        """Its way back."""

    def paragraphs(self) -> Iterable[list[str]]:
        """What stands below all steps."""

    def notes(self) -> Sequence[str]:
        """What is to be known of it."""


class Outline:
    """A line for what a step does, and one for its way back."""

    def __init__(self) -> None:
        self._cut = False

    def step(self, title: str, does: str) -> list[str]:
        return [f"{title}: {self._short(does)}" if does else title]

    def told(self, name: str, undo: str, summary: str = "") -> list[str]:  # noqa: ARG002
        self._cut |= bool(summary.strip()) and summary.strip() != undo.strip()
        return [f"    undo: {self._short(summary.strip() or undo)}"]

    def paragraphs(self) -> Iterable[list[str]]:
        return ()

    def notes(self) -> Sequence[str]:
        return [CUT] if self._cut else ()

    def _short(self, text: str) -> str:
        first, *more = text.strip().splitlines()
        line = one_line(first)
        if not more and len(line) <= WIDTH:
            return line
        self._cut = True
        return f"{line[:WIDTH].rstrip()} …" + (f" ({len(more) + 1} lines)" if more else "")


class WaysBack:
    """Undos: short ones where they belong, long ones in full at the end."""

    def __init__(self) -> None:
        self.long: dict[str, str] = {}

    def step(self, title: str, does: str) -> list[str]:
        return [title, *(block("does: ", does, "    ") if does else [])]

    def notes(self) -> Sequence[str]:
        return ()

    def told(self, name: str, undo: str, summary: str = "") -> list[str]:
        lines, summary = undo.strip().splitlines(), one_line(summary)
        if len(lines) <= SHORT:
            same = summary in ("", undo.strip())
            return block("undo: ", undo if same else f"{summary}\n{undo}", "    ")
        title = self.long.setdefault(undo, f"[{len(self.long) + 1}] undo of {one_line(name)}")
        number = title.split()[0]
        if summary:
            return [f"    undo: {summary} {number}"]
        return [f"    undo: {len(lines)} lines, in full below: {number}"]

    def paragraphs(self) -> Iterable[list[str]]:
        for undo, title in self.long.items():
            yield [f"{title}:", *(f"    {line}" for line in undo.strip().splitlines())]

"""A plan, with every undo and every point of no return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from backout.reports.checks_text import check_lines
from backout.reports.lines import Report, one_line, page
from backout.reports.parts import block, count_of, next_lines, note_lines, release_text, titled
from backout.reports.ships_text import ships_lines

SHORT = 3
"""Lines of an undo that are shown where the step stands."""
WIDTH = 100
"""Characters of a text that stands for all of it."""
CUT = "--verbose shows every command and every undo whole"


def plan_text(plan: Report, *, whole: bool = False) -> str:
    """What would run where, with every undo and every point of no return: a line for each step
    and one for its way back, or the `whole` of both.

    `{"verb", "target", "runbook", "release": {"from", "to"}, "hosts": […], "preflight": [action],
    "stages": [{"here": [action]} | {"batches": [{"number", "hosts", "actions": [action],
    "settle": [action]}]}], "finally": [action], "checks": […], "refused": [words]}`, where an
    action is `{"name", "host", "does", "undo", "undo_summary", "irreversible", "readonly",
    "when"}`.
    """
    refused, ways = plan.get("refused") or (), WaysBack() if whole else Outline()
    return page(
        _summary(plan, bool(refused)),
        [f"refused: {one_line(words)}" for words in refused],
        ships_lines(plan.get("ships") or {}),
        _group("Before any change, reads only", plan.get("preflight") or (), ways),
        *[part for stage in plan["stages"] for part in _stage(stage, ways)],
        _group("At the end, whatever happens", plan.get("finally") or (), ways),
        titled("What the checks say now", check_lines(plan.get("checks") or ())),
        *ways.paragraphs(),
        note_lines({**plan, "notes": [*(plan.get("notes") or ()), *ways.notes()]}),
        next_lines(plan),
    )


def _summary(plan: Report, refused: bool) -> list[str]:
    release = release_text(plan["release"].get("to"))
    now = release_text(plan["release"].get("from"))
    would = "Would be REFUSED" if refused else "Would run"
    what = f"{one_line(plan['runbook'])} on {one_line(plan['target'])}"
    points = [each for each in _actions(plan) if each.get("irreversible")]
    names = ", ".join(dict.fromkeys(one_line(each["name"]) for each in points))
    hosts = f"{count_of(len(plan['hosts']), 'host')}: {', '.join(map(one_line, plan['hosts']))}."
    return [
        f"{would}: {what}, making {release}; now: {now}. Nothing was changed.",
        hosts if plan["hosts"] else "On this machine only.",
        f"POINT OF NO RETURN: {names}." if points else "Every step can be undone.",
    ]


def _actions(plan: Report) -> Iterable[Report]:
    for stage in plan["stages"]:
        yield from stage.get("here") or ()
        for batch in stage.get("batches") or ():
            yield from batch["actions"]
            yield from batch.get("settle") or ()


def _stage(stage: Report, ways: Detail) -> Iterable[list[str]]:
    yield _group("On this machine", stage.get("here") or (), ways)
    batches = stage.get("batches") or ()
    for batch in batches:
        hosts = f": {', '.join(map(one_line, batch['hosts']))}" if batch["hosts"] else ""
        yield _group(f"Batch {batch['number']} of {len(batches)}{hosts}", batch["actions"], ways)
        yield _group(f"Batch {batch['number']}, settle", batch.get("settle") or (), ways)


def _group(title: str, actions: Sequence[Report], ways: Detail) -> list[str]:
    """Actions under a title; one that is the same on several hosts stands there once."""
    merged: dict[tuple[Any, ...], list[str]] = {}
    for each in actions:
        known = ("name", "does", "undo", "undo_summary", "irreversible", "readonly", "when")
        key = tuple(each.get(name) or "" for name in known)
        merged.setdefault(key, []).append(each.get("host") or "")
    lines: list[str] = []
    for (name, does, undo, summary, irreversible, readonly, when), hosts in merged.items():
        places = ", ".join(one_line(host) for host in hosts if host)
        lines += ways.step(f"  {one_line(name)}{f'  (on {places})' if places else ''}", does)
        lines += block("only when: ", when, "    ") if when else []
        if irreversible:
            lines.append(f"    POINT OF NO RETURN: {one_line(irreversible)}")
        elif undo:
            lines += ways.told(name, undo, summary)
        elif readonly:
            lines.append("    reads only")
    return titled(title, lines)


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

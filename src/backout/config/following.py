"""Steps and checks held against the lines of the note that they were made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from backout.config.yaml_tree import Node, Trail, shown_path
from backout.errors import Mistake
from backout.model import Follows, Runbook, Target
from backout.model.files import refuse_endless

LARGEST = 2_000_000
Lines = Callable[[str], tuple[str, ...] | None]


def notes(root: Path) -> Lines:
    """Reads each note once; None where there is none."""
    known: dict[str, tuple[str, ...] | None] = {}

    def lines(name: str) -> tuple[str, ...] | None:
        if name not in known:
            known[name] = _lines(root / name)
        return known[name]

    return lines


def _lines(path: Path) -> tuple[str, ...] | None:
    try:
        refuse_endless(path)
        with path.open("rb") as stream:
            text = stream.read(LARGEST).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None
    return tuple(re.split(r"\r\n?|\n", text.removeprefix("\ufeff")))


def of_runbook(runbook: Runbook, tree: Node, lines: Lines) -> Iterator[Mistake]:
    """Every step that no longer follows its note."""
    phases = {
        "preflight": runbook.preflight, "steps": runbook.steps,
        "settle": runbook.settle, "finally": runbook.finally_,
    }  # fmt: skip
    for phase, steps in phases.items():
        for at, step in enumerate(steps):
            if step.follows:
                trail = (phase, at, "follows")
                note = step.follows.document or runbook.document
                yield from _held(
                    step.follows, note, f"step {step.name!r}", tree, trail, lines, runbook.name
                )


def of_target(target: Target, tree: Node, lines: Lines) -> Iterator[Mistake]:
    """Every check that no longer follows its note."""
    for name, check in target.checks.items():
        if check.follows:
            trail = ("checks", name, "follows")
            note = check.follows.document
            yield from _held(check.follows, note, f"check {name}", tree, trail, lines, target.name)


def imported_as(note: str) -> str:
    """What the runbook of a note is called where nobody says otherwise."""
    return re.sub(r"[^a-z0-9]+", "-", Path(note).stem.lower()).strip("-") or "note"


def _as(note: str, name: str) -> str:
    return "" if name == imported_as(note) else f" --as {name}"


def _held(
    follows: Follows, note: str, who: str, tree: Node, trail: Trail, lines: Lines, name: str
) -> Iterator[Mistake]:
    node = tree.find(trail)
    place = node.file, node.line, shown_path(trail)
    text = lines(note) if note else None
    if text is None:
        missing = f"the note {note} is not there" if note else "no document: says which note"
        yield Mistake(*place, f"{missing}; bring it back, or take `follows` out")
        return
    first, _, last = follows.lines.partition("-")
    now = text[int(first) - 1 : int(last or first)]
    if sha256("\n".join(now).encode("utf-8", "surrogatepass")).hexdigest() == follows.sha256:
        return
    said = f"said {follows.said!r}" if follows.said else "said something else"
    says = f"says {now[0].strip()[:80]!r}" if now else "is no longer there"
    yield Mistake(
        *place,
        f"{note}:{first} {said} and now {says}: {who} no longer follows it;"
        f" merge the note in: invoke document.import {note} --update{_as(note, name)}",
    )

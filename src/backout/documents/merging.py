"""A note that was edited, merged into what people made of it by hand: three ways, never guessed.

What the import made then, what the file says now, what the note gives now. Where only one side has
changed, its word stands. Where both have, the people's word stays, and becomes a question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backout.documents.bindings import Data
from backout.documents.draft import Built
from backout.documents.nouns import Question
from backout.documents.pairing import arranged, lines_of, same_step, step_pairs
from backout.documents.pieces import OPEN
from backout.documents.rendering import PHASES

GONE: Any = object()
"""Stands for what is not there."""


@dataclass(slots=True)
class Merge:
    """Merges value by value, and keeps what it did."""

    source: str
    taken: list[str] = field(default_factory=list)
    """What the note brought."""
    kept: list[str] = field(default_factory=list)
    """What people changed, and stays."""
    conflicts: list[Question] = field(default_factory=list)

    # --- the whole -----------------------------------------------------------------------

    def runbook(self, base: Data, ours: Data, new: Data) -> Data:
        """Without the step that refuses: what is open is told apart."""
        merged: Data = {}
        for key in dict.fromkeys((*ours, *new)):
            if key in PHASES:
                three = (_closed(each.get(key)) for each in (base, ours, new))
                value: Any = self._steps(key, *three)
            else:
                value = self.value(key, *(each.get(key, GONE) for each in (base, ours, new)))
            if value is not GONE and (value != [] or ours.get(key) == []):
                merged[key] = value
        return merged

    def mapping(self, where: str, base: Any, ours: Data, new: Data, line: int = 1) -> Data:
        """Key by key, in the order of what is there."""
        merged: Data = {}
        known = base if isinstance(base, dict) else {}
        for key in dict.fromkeys((*ours, *new)):
            three = [each.get(key, GONE) for each in (known, ours, new)]
            path = f"{where}.{key}" if where else key
            followed = key == "follows"
            value = self._followed(three) if followed else self.value(path, *three, line=line)
            if value is not GONE:
                merged[key] = value
        return merged

    def value(self, where: str, base: Any, ours: Any, new: Any, *, line: int = 1) -> Any:
        """One value: the word of whoever changed it."""
        if isinstance(ours, dict) and isinstance(new, dict):
            return self.mapping(where, base, ours, new, lines_of(new) or line)
        if self.alike(ours, new) or self.alike(new, base):
            if not self.alike(ours, base) and not self.alike(ours, new):
                self.kept.append(where)
            return ours
        if self.alike(ours, base):
            self.taken.append(where)
            return new
        if _words(ours) and _words(new) and (base is GONE or _words(base)):
            before = [] if base is GONE else base
            left = [each for each in ours if each in new or each not in before]
            return [*left, *(each for each in new if each not in (*before, *ours))]
        if new is GONE and isinstance(ours, dict) and "follows" in ours:
            asked = f"{where} was changed by hand, and its lines are gone: is it still needed?"
            self.conflicts.append(Question(1, asked, "yes"))
            return {key: each for key, each in ours.items() if key != "follows"}
        told = f"the note now gives {_told(new)}, and by hand it is {_told(ours)}: which one?"
        self.conflicts.append(Question(lines_of(new) or line, f"{where}: {told}", "yes"))
        return ours

    def alike(self, one: Any, other: Any) -> bool:
        """Whether two values say the same, wherever the lines that they name stand by now."""
        return one is other or self._plain(one) == self._plain(other)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(rf"{re.escape(self.source)}:\d+", self.source, value)
        if isinstance(value, Mapping):
            return {k: self._plain(v) for k, v in value.items() if k != "follows"}
        return [self._plain(each) for each in value] if isinstance(value, list) else value

    def _followed(self, three: Sequence[Any]) -> Any:
        """It follows the note as that is now, unless people said that it follows none."""
        _, ours, new = three
        return new if ours is not GONE and new is not GONE else ours

    # --- steps ---------------------------------------------------------------------------

    def _steps(self, phase: str, base: list[Data], ours: list[Data], new: list[Data]) -> list[Data]:
        mine, theirs = step_pairs(base, ours), step_pairs(base, new, gaps=True)
        merged: dict[int, Data] = {}
        came: dict[int, int] = {}
        for at, step in enumerate(base):
            o, n = mine.get(at), theirs.get(at)
            if o is not None and n is not None:
                came[n] = o
                merged[o] = self._step(step, ours[o], new[n])
            elif o is not None:
                self._without_lines(step, ours[o], merged, o)
            elif n is not None:
                came[n] = -1
                self._taken_out(step, new[n])
        free = [n for n in range(len(new)) if n not in came]
        for o in (o for o in range(len(ours)) if o not in mine.values()):
            merged[o] = ours[o]
            if twin := next((n for n in free if same_step(ours[o], new[n])), None):
                merged[o] = self._step(GONE, ours[o], new[twin])
                free.remove(twin)
                came[twin] = o
        for n in free:
            self.taken.append(f"{phase}: {new[n].get('name')}")
        return arranged(len(base), mine, merged, dict(sorted(came.items())), new)

    def _step(self, base: Any, ours: Data, new: Data) -> Data:
        name = str(ours.get("name", "a step"))
        return self.mapping(f"step {name!r}", base, ours, new, lines_of(new) or 1)

    def _without_lines(self, base: Data, ours: Data, merged: dict[int, Data], at: int) -> None:
        name = ours.get("name")
        if self.alike(base, ours):
            self.taken.append(f"step {name!r} is left out: its lines are gone")
            return
        merged[at] = {key: value for key, value in ours.items() if key != "follows"}
        asked = f"step {name!r} was changed by hand, and its lines are gone: is it still needed?"
        self.conflicts.append(Question(1, asked, "yes"))

    def _taken_out(self, base: Data, new: Data) -> None:
        name = new.get("name")
        if self.alike(base, new):
            self.kept.append(f"step {name!r} stays out")
            return
        asked = f"step {name!r} was taken out by hand, and its lines have changed: is it needed?"
        self.conflicts.append(Question(lines_of(new) or 1, asked, "yes"))


def open_now(
    source: str, base: Sequence[str], ours: Data, new: Sequence[Question], merge: Merge
) -> tuple[Question, ...]:
    """What is open after a merge: what nobody has decided yet, what is asked for the first time,
    and where both sides have changed. `base` has the words of what was asked then."""
    asked = dict(_asked(source, ours))
    still = [q for q in new if q.ask in asked or q.ask not in base]
    words = {q.ask for q in still}
    earlier = [
        Question(line, ask, "yes") for ask, line in asked.items() if ask not in {*base, *words}
    ]
    found = (*still, *earlier, *merge.conflicts)
    return tuple(dict.fromkeys(sorted(found, key=lambda q: q.line)))


def _asked(source: str, runbook: Data) -> Iterator[tuple[str, int]]:
    """The questions that stand in the step that refuses, with their lines."""
    for step in runbook.get("preflight") or ():
        if step.get("name") == OPEN:
            text = str(step.get("run", "")).replace("'\"'\"'", "'")
            form = rf"'?{re.escape(source)}:(\d+): (.*?)'?(?: \\)?$"
            for line, ask in re.findall(form, text, re.MULTILINE):
                yield ask, int(line)


def same_names(base: Data, new: Data) -> dict[str, str]:
    """What a check of the note now was called then: a request to another address is the same
    check, if it stands where that stood."""
    before, now = (
        [{**check, "name": name} for name, check in (each.get("checks") or {}).items()]
        for each in (base, new)
    )
    pairs = step_pairs(before, now, gaps=True)
    return {now[n]["name"]: before[b]["name"] for b, n in pairs.items()}


def called(built: Built, names: Mapping[str, str]) -> Built:
    """The same with its checks under the names that they had."""
    checks = built.inventory.get("checks")
    if not checks:
        return built
    taken = {*names.values()}
    names = {name: name for name in checks if name not in taken} | dict(names)
    renamed = {names.get(name, f"{name}-now"): check for name, check in checks.items()}

    def place(into: str) -> str:
        kind, _, name = into.partition(".")
        return f"checks.{names.get(name, name)}" if kind == "checks" else into

    found = tuple(each.led(map(place, each.places)) for each in built.reading.found)
    reading = replace(built.reading, found=found)
    return replace(built, inventory={**built.inventory, "checks": renamed}, reading=reading)


def assumed(ours: Any, new: Any) -> Any:
    """What an import may have made of which nothing is on record: what is the same on both sides,
    and where lines have not changed, what they give now."""
    if isinstance(ours, dict) and isinstance(new, dict):
        mine, theirs = (each.get("follows", {}).get("sha256") for each in (ours, new))
        if mine != theirs:
            return {key: ours[key] for key in ("name", "follows") if key in ours}
        return {key: assumed(ours[key], new[key]) for key in ours if key in new}
    if _steps(ours) and _steps(new):
        pairs = step_pairs(ours, new, gaps=True)
        return [assumed(ours[o], new[n]) for o, n in pairs.items()]
    return new


def _steps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _closed(steps: Any) -> list[Data]:
    return [step for step in steps or () if step.get("name") != OPEN]


def _words(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(each, dict | list) for each in value)


def _told(value: Any) -> str:
    if value is GONE:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return repr(text if len(text) <= 80 else f"{text[:79]}…")

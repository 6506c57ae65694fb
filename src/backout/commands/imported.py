"""The files of an import: the runbook, the inventory, and the record of what was made then."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backout.config import yaml_edit, yaml_tree
from backout.documents.answering import refusing
from backout.documents.bindings import Data
from backout.documents.draft import Built
from backout.documents.files import dumped
from backout.documents.merging import Merge, assumed, called, open_now, same_names
from backout.documents.nouns import Question
from backout.documents.pairing import same_step
from backout.documents.rendering import PHASES
from backout.errors import Mistakes

FOLDERS = {"runbook": "runbooks", "inventory": "inventories"}


@dataclass(frozen=True, slots=True)
class Update:
    """What an edited note comes to."""

    built: Built
    """What the note gives by itself."""
    runbook: Data
    inventory: Data
    merge: Merge
    questions: tuple[Question, ...]
    """What is open."""
    decided: Mapping[str, str]
    """Which of alternatives are meant."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Where the files of one import are."""

    root: Path
    name: str

    def path(self, part: str) -> Path:
        return self.root / FOLDERS[part] / f"{self.name}.yaml"

    def shown(self, part: str) -> str:
        return f"{FOLDERS[part]}/{self.name}.yaml"

    @property
    def record(self) -> Path:
        return self.root / "runbooks" / f"{self.name}.imported.json"

    # --- writing -------------------------------------------------------------------------

    def write(
        self, built: Built, pristine: Built, decided: Mapping[str, str]
    ) -> tuple[list[str], list[str]]:
        """What was written, and what was there and is kept. `pristine` is what the note alone
        gives, of which a record is kept, with what was `decided` of its alternatives. Whoever
        interrupts this finds nothing of it."""
        head = f"# Made from {built.reading.source}, line by line: invoke document.import\n"
        parts = {"runbook": built.runbook, "inventory": built.inventory}
        made = list[str]()
        kept = list[str]()
        try:
            for part, content in parts.items():
                if content and _put(self.path(part), head + dumped(content), anew=True):
                    made.append(part)
                elif content:
                    kept.append(self.shown(part))
            written = [self.shown(part) for part in made]
            if "runbook" in made and "sha256: " in dumped(built.runbook):
                written += self._keep(pristine, made, decided)
        except BaseException:
            for part in made:
                self.path(part).unlink(missing_ok=True)
            raise
        return written, kept

    def _keep(self, built: Built, parts: Sequence[str], decided: Mapping[str, str]) -> list[str]:
        asks = [each.ask for each in built.reading.questions]
        data: Data = {"format": 1, "note": built.reading.source, "questions": asks}
        data |= {"decided": dict(decided)}
        data |= {part: getattr(built, part) for part in parts}
        text = json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        return [self._record_name()] if _put(self.record, text) else []

    def _record_name(self) -> str:
        return f"runbooks/{self.record.relative_to(self.root / 'runbooks')}"

    # --- updating ------------------------------------------------------------------------

    def update(self, built: Built, decided: Mapping[str, str]) -> Update:
        """What the note gives now, merged into what is there. Nothing is written. Raises
        Mistakes."""
        merge = Merge(built.reading.source)
        base, ours = self._base(), self._ours("runbook")
        beside = self._ours("inventory") if self.path("inventory").is_file() else {}
        built = called(built, same_names(base.get("inventory") or beside, built.inventory))
        runbook = merge.runbook(
            base.get("runbook") or assumed(ours, built.runbook), ours, built.runbook
        )
        inventory: Data = {}
        if beside:
            then = base.get("inventory") or assumed(beside, built.inventory)
            inventory = merge.mapping("", then, beside, built.inventory)
        asks = base.get("questions", [q.ask for q in built.reading.questions])
        questions = open_now(built.reading.source, asks, ours, built.reading.questions, merge)
        runbook = refusing(runbook, built.reading.source, questions)
        return Update(built, runbook, inventory, merge, questions, decided)

    def write_update(self, update: Update, merged: Built) -> list[str]:
        """The files that have changed, for what was `merged`, with its answers. Whoever interrupts
        this finds the files as they were."""
        before = {p: p.read_bytes() for p in map(self.path, FOLDERS) if p.is_file()}
        try:
            return self._write_update(update, merged)
        except BaseException:
            for path, content in before.items():
                path.write_bytes(content)
            raise

    def _write_update(self, update: Update, merged: Built) -> list[str]:
        written = list[str]()
        for part, wanted in (("runbook", merged.runbook), ("inventory", merged.inventory)):
            path = self.path(part)
            if not wanted:
                continue
            text = path.read_text(encoding="utf-8-sig")
            edited = yaml_edit.edited(text, wanted, dumped)
            if edited != text and _put(path, edited):
                written.append(self.shown(part))
        return [*written, *self._keep(update.built, tuple(FOLDERS), update.decided)]

    def _ours(self, part: str) -> Data:
        """What a file says now. Raises Mistakes."""
        path = self.path(part)
        if not path.is_file():
            raise Mistakes(
                f"there is no {self.shown(part)} to update",
                where="command line",
                next="the same without --update; or --as NAME, for one that has another name",
            )
        mistakes: list[Any] = []
        data = yaml_tree.read(path, self.shown(part), mistakes).data()
        if mistakes or not isinstance(data, dict):
            raise Mistakes(
                "" if mistakes else f"{self.shown(part)} is no mapping", mistakes=mistakes
            )
        return data

    @property
    def decided(self) -> Mapping[str, str]:
        """Which of alternatives were meant, as somebody answered."""
        found = self._base().get("decided")
        return found if isinstance(found, dict) else {}

    def _base(self) -> Data:
        """What the import made then; empty where that is not on record."""
        with suppress(OSError, ValueError):
            data = json.loads(self.record.read_text(encoding="utf-8"))
            if isinstance(data, dict) and isinstance(data.get("runbook"), dict):
                return data
        return {}


def place(into: str | None, new: Data, merged: Data) -> str | None:
    """Where in the merged runbook that is which the note alone would have put `into`."""
    phase, _, rest = (into or "").partition("[")
    if phase not in PHASES:
        return into
    at = int(rest.rstrip("]"))
    step = new.get(phase, [])[at : at + 1]
    for index, each in enumerate(merged.get(phase, [])):
        if step and (same_step(each, step[0]) or each.get("name") == step[0].get("name")):
            return f"{phase}[{index}]"
    return None


def _put(path: Path, text: str, *, anew: bool = False) -> bool:
    """The whole of a file, or nothing of it; `anew` only where none is, and whether it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path if anew else path.resolve()
    aside = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        with aside.open("x", encoding="utf-8") as file:
            file.write(text)
        if anew:
            os.link(aside, whole)
            return True
        if whole.exists():
            aside.chmod(whole.stat().st_mode)
        aside.replace(whole)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return True

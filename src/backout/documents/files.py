"""Runbooks and inventories as YAML text, and as what `lint` accepts whatever the note said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from backout.config import loading
from backout.documents.bindings import Data
from backout.documents.draft import Built
from backout.errors import Mistake, Mistakes
from backout.registry import Tables

_TURNS = 20


class _Dumper(yaml.SafeDumper):
    """Writes `on:` as a word, as our files are read, and texts of several lines as blocks."""


_Dumper.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dumped(data: Mapping[str, Any] | list[Any]) -> str:
    """YAML text of plain data, in its order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def sound(built: Built, tables: Tables) -> Built:
    """The same, with each step and check that `lint` refuses made a step for a person, or left
    out with a question. Raises Mistakes only where nothing of that kind helps: a bug."""
    for _ in range(_TURNS):
        mistakes = tuple(mistakes_of(built, tables))
        if not mistakes:
            return _placed(built)
        built = _mended(built, mistakes)
    raise Mistakes(mistakes=mistakes)


def _placed(built: Built) -> Built:
    """With the lines led to where they now are: what was left out is nowhere."""
    checks = built.inventory.get("checks", {})

    def place(into: str) -> str | None:
        kind, _, name = into.partition(".")
        if kind != "checks" or name in checks:
            return into
        titles = [step["name"] for step in built.runbook.get("steps", ())]
        title = f"Look: {name}"
        return f"steps[{titles.index(title)}]" if title in titles else None

    found = tuple(each.led(map(place, each.places)) for each in built.reading.found)
    return replace(built, reading=replace(built.reading, found=found))


def alone(runbook: Data, tables: Tables) -> None:
    """Raises Mistakes where `lint` would refuse the runbook on its own."""
    with TemporaryDirectory() as name:
        path = Path(name) / "note.yaml"
        path.write_text(dumped(runbook), encoding="utf-8")
        loading.load_runbook(path, tables)


def mistakes_of(built: Built, tables: Tables) -> Iterator[Mistake]:
    """What `lint` would refuse."""
    with TemporaryDirectory() as name:
        root = Path(name)
        for folder, data in (("runbooks", built.runbook), ("inventories", built.inventory)):
            (root / folder).mkdir()
            (root / folder / "note.yaml").write_text(
                dumped(data), encoding="utf-8", errors="replace"
            )
        try:
            loading.load_pair(
                lambda: root / "inventories/note.yaml", lambda: root / "runbooks/note.yaml",
                [f"{name}=x" for name in built.runbook.get("params", {})], tables, root,
            )  # fmt: skip
        except Mistakes as error:
            yield from error.mistakes or [Mistake("runbooks/note.yaml", 0, "", error.what)]


def _mended(built: Built, mistakes: tuple[Mistake, ...]) -> Built:
    runbook, inventory = {**built.runbook}, {**built.inventory}
    touched = False
    for mistake in mistakes:
        place = re.match(r"(preflight|steps|settle|finally|diagnose)\[(\d+)\]", mistake.path)
        if not mistake.path and "steps" not in runbook:
            runbook["steps"], touched = [_nothing(built)], True
            continue
        if check := re.match(r"checks\.([\w.-]+?)(?:\.|\[|$)", mistake.path):
            touched |= _unchecked(runbook, inventory, check[1])
            continue
        if "inventories" in mistake.file or not place:
            touched |= _less(inventory if "inventories" in mistake.file else runbook, mistake.path)
            continue
        phase, at = place[1], int(place[2])
        items = list(runbook.get(phase, []))
        if at < len(items):
            items[at] = _by_hand(items[at], phase)
            runbook[phase] = [each for each in items if each is not None]
            touched = True
    if not touched:
        raise Mistakes(mistakes=mistakes)
    return replace(
        built,
        runbook={k: v for k, v in runbook.items() if v or k == "summary"},
        inventory=inventory,
    )


def _unchecked(runbook: Data, inventory: Data, name: str) -> bool:
    """A check that cannot be written down becomes a look by hand."""
    checks = dict(inventory.get("checks", {}))
    known = next((each for each in checks if each == name or name.startswith(f"{each}.")), "")
    if not known:
        return False
    lost = checks.pop(known)
    text = f"look by hand: {_plain(_asked(lost)) or known}"
    step = {"name": f"Look: {known}", "manual": text, "undo": "nothing to take back"}
    runbook["steps"] = [*runbook.get("steps", []), step]
    inventory["checks"] = checks
    return True


def _asked(check: Data) -> str:
    """What a check runs, or asks."""
    what = check.get("command", check.get("http", ""))
    return str(what.get("run", what.get("url", ""))) if isinstance(what, dict) else str(what)


def _plain(text: str) -> str:
    """What a person reads for a template."""
    text = re.sub(r"\{\{ (?:params|secrets|vars)\.(\w+) \}\}", r"<\1>", text)
    return text.replace("{{", "{ {")


def _nothing(built: Built) -> Data:
    """The step of a note without commands."""
    text = f"read {built.reading.source}: no command was found in it"
    return {"name": "Read the note", "manual": text, "undo": "nothing to take back"}


def _by_hand(step: Data, phase: str) -> Data | None:
    """A step that a person does; what was that already is left out."""
    told = str(step.get("run") or step.get("follows", {}).get("said", ""))
    if "manual" in step or not told or phase in ("preflight", "finally", "diagnose"):
        return None
    plain = _plain(told)
    kept: Data = {key: step[key] for key in ("name", "on", "follows") if key in step}
    return {**kept, "manual": plain, "undo": f"take back by hand: {plain}"}


def _less(data: Data, path: str) -> bool:
    """Leave out what a path leads to: a check, a secret, a part."""
    first, _, rest = path.partition(".")
    if first not in data:
        return False
    name = rest.partition(".")[0]
    if isinstance(data[first], dict) and name in data[first]:
        data[first] = {key: value for key, value in data[first].items() if key != name}
        if not data[first]:
            del data[first]
    else:
        del data[first]
    return True

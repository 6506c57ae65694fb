"""YAML -> nouns, or every mistake at once, each with file, line and path.

A file is read in three turns: its text becomes a tree (`documents`), the tree becomes nouns
(here), and the nouns are held against what they name (`judging`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from backout.config import following, freezes, project_file, rules, yaml_tree
from backout.config.files import files, name_of, names, real, resolve, shown, twin
from backout.config.frozen import dump, thaw, thaw_target
from backout.config.layers import bases_in, extended
from backout.config.parameters import load_params
from backout.config.reader import N, Reader, sound
from backout.config.yaml_tree import Node, Trail, shown_path
from backout.errors import Mistake, Mistakes
from backout.model import (
    Runbook,
    Target,
)
from backout.model.validation import did_you_mean
from backout.registry import Tables

__all__ = [
    "dump",
    "lint",
    "load_pair",
    "load_params",
    "load_runbook",
    "load_target",
    "names",
    "resolve",
    "targets",
    "thaw",
    "thaw_target",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Read(Generic[N]):
    """What was understood of a file, its tree, and every mistake in it."""

    noun: N | None
    tree: Node
    unread: Sequence[Mistake]
    """Where it was not understood."""
    wrong: Sequence[Mistake]
    """Where it was, and is wrong."""

    @property
    def mistakes(self) -> Sequence[Mistake]:
        return (*self.unread, *self.wrong)

    def whole(self) -> N:
        return sound(self.noun, self.mistakes)


def load_runbook(path: Path, tables: Tables, root: Path | None = None) -> Runbook:
    """One runbook, checked on its own; `root` is the project's directory, which it is named
    after. Raises Mistakes, with every mistake in it."""
    return _read_runbook(path, tables, root).whole()


def load_target(
    path: Path, tables: Tables, root: Path | None = None, *, base: bool = False
) -> Target:
    """One inventory laid over what it extends, checked; `root` as for a runbook. A `base` need not
    be whole: the names in it are not judged. Raises Mistakes, with every mistake in it."""
    return _read_target(path, tables, root, base=base).whole()


def _read_runbook(path: Path, tables: Tables, root: Path | None) -> _Read[Runbook]:
    reader = Reader(tables)
    tree = yaml_tree.read(path, shown(path), reader.mistakes)
    _alone(path, reader.mistakes)
    noun = reader.runbook(tree, name_of(path, root / "runbooks") if root else path.stem)
    wrong = rules.runbook(noun, tree, tables, said=reader.mistakes) if noun else []
    return _Read(noun, tree, reader.mistakes, wrong)


def _read_target(
    path: Path, tables: Tables, root: Path | None, *, base: bool = False
) -> _Read[Target]:
    reader = Reader(tables)
    folder = root / "inventories" if root else path.parent
    tree = extended(path, folder, (), reader.mistakes)
    _alone(path, reader.mistakes)
    noun = reader.target(tree, name_of(path, folder))
    judged = noun is not None and not base
    wrong = rules.target(noun, tree, tables, said=reader.mistakes) if noun and judged else []
    return _Read(noun, tree, reader.mistakes, wrong)


def _alone(path: Path, mistakes: list[Mistake]) -> None:
    """Two files of one name would be one target with two faces."""
    if other := twin(path):
        said = f"{other.name} beside it has the same name: keep one of them"
        mistakes.append(Mistake(shown(path), 0, "", said))


def load_pair(
    target: Callable[[], Path],
    runbook: Callable[[], Path],
    words: Sequence[str],
    tables: Tables,
    root: Path | None = None,
) -> tuple[Target, Runbook, dict[str, Any]]:
    """Target, runbook (each where its path is found) and the runbook's parameters (`k=v` words),
    held against each other; `root` as for `load_target`. Raises Mistakes, with every mistake of
    all three."""
    mistakes: list[Mistake] = []
    nameless: list[Mistakes] = []
    a = _attempt(lambda: _read_target(target(), tables, root), mistakes, nameless)
    b = _attempt(lambda: _read_runbook(runbook(), tables, root), mistakes, nameless)
    mistakes += [mistake for read in (a, b) if read for mistake in read.mistakes]
    made, book = a.noun if a else None, b.noun if b else None
    params = _attempt(lambda: load_params(book, words), mistakes) if book else {}
    if a and b:
        mistakes += _held(b, a, tables)
    if nameless and len(mistakes) == 1:
        raise nameless[0]
    return sound(made, mistakes), sound(book, mistakes), sound(params, mistakes)


def lint(root: Path, tables: Tables) -> tuple[Mistake, ...]:
    """Every mistake of every runbook and inventory under `root`, each on its own, and each runbook
    held against the targets; an inventory that others extend need not be whole."""
    mistakes = [
        Mistake(place.name, 0, "", "is no directory")
        for place in (root / "inventories", root / "runbooks")
        if os.path.lexists(place) and not place.is_dir()
    ]
    folder = root / "inventories"
    bases = bases_in(folder)
    known = _whole(folder, bases)
    books = [
        _attempt(partial(_read_runbook, path, tables, root), mistakes)
        for path in files(root / "runbooks")
    ]
    targets = []
    for path in files(folder):
        base = real(path) in bases
        read = _attempt(partial(_read_target, path, tables, root, base=base), mistakes)
        mistakes += read.mistakes if read else ()
        targets += [read] if read and not base else []
    for book in books:
        mistakes += book.mistakes or _nowhere(book, targets, tables) if book else ()
        mistakes += _misspelled(book, known) if book else ()
    mistakes += _drifted(root, books, targets)
    mistakes += _of_project(root, targets, mistakes)
    return tuple(sorted(set(mistakes)))


def _drifted(
    root: Path, books: Sequence[_Read[Runbook] | None], targets: Sequence[_Read[Target]]
) -> Iterator[Mistake]:
    """What no longer follows the note that it was made from."""
    lines = following.notes(root)
    for book in books:
        if book and book.noun:
            yield from following.of_runbook(book.noun, book.tree, lines)
    for target in targets:
        if target.noun:
            yield from following.of_target(target.noun, target.tree, lines)


def _of_project(
    root: Path, targets: Sequence[_Read[Target]], mistakes: list[Mistake]
) -> Iterator[Mistake]:
    """What the project's file says, held against its targets: zones that it does not name, and
    freezes that are over, or say a time twice, of each target and of the project."""
    now = datetime.now(UTC)
    found = _attempt(lambda: project_file.read(root), mistakes)
    if found:
        yield from freezes.stale(found[1], found[0].freeze, "", now)
    for read in targets:
        if read.noun and not read.mistakes:
            yield from freezes.stale(read.tree, read.noun.freeze, read.noun.timezone, now)
            yield from _strange_zones(read.noun, read.tree, found[0].strange) if found else ()


def _strange_zones(target: Target, tree: Node, strange: Callable[[str], str]) -> Iterator[Mistake]:
    """Zones that a target names and that are none."""
    named: list[tuple[Trail, str]] = [(("zone",), target.zone)]
    named += [(("hosts", host.name, "zone"), host.zone) for host in target.hosts.values()]
    for check in target.checks.values():
        named += [(("checks", check.name, "from"), zone) for zone in check.from_]
    for trail, zone in named:
        if zone and (words := strange(zone)):
            node = tree.find(trail)
            yield Mistake(node.file, node.line, shown_path(trail), words)


def _misspelled(book: _Read[Runbook], known: Sequence[str]) -> Iterator[Mistake]:
    """Names of a runbook's targets that are nearly those of inventories that it does not name. One
    that is like none may be of an inventory that is not here."""
    noun = book.noun
    others = [name for name in known if noun and not noun.is_for(name)]
    for at, name in enumerate(noun.targets if noun else ()):
        if near := did_you_mean(name, others):
            node = book.tree.find(("targets", at))
            yield Mistake(
                node.file, node.line, f"targets[{at}]", f"no inventory is named {name!r}{near}"
            )


def _nowhere(
    book: _Read[Runbook], targets: Sequence[_Read[Target]], tables: Tables
) -> Sequence[Mistake]:
    """What keeps a runbook from the targets that it is for, or, where it does not say, from the
    one that it fits best, when it fits none."""
    noun = book.noun
    held = [
        _held(book, target, tables)
        for target in targets
        if noun and target.noun and noun.is_for(target.noun.name)
    ]
    if noun and noun.targets:
        return [mistake for mistakes in held for mistake in mistakes]
    return min(held, key=len, default=())


def _held(book: _Read[Runbook], target: _Read[Target], tables: Tables) -> Sequence[Mistake]:
    """What is wrong with a runbook on a target, both of which are there."""
    made, noun = target.noun, book.noun
    if made is None or noun is None:
        return ()
    if not noun.is_for(made.name):
        at = book.tree.find(("targets",))
        meant = f"it is for {', '.join(noun.targets)}, and not for {made.name}"
        return (Mistake(at.file, at.line, "targets", meant),)
    return rules.runbook(noun, book.tree, tables, made, said=book.unread, of_target=target.unread)


def targets(folder: Path) -> list[str]:
    """The names of the inventories in `folder` that stand for themselves: others may extend an
    inventory that need not be whole."""
    return _whole(folder, bases_in(folder))


def _whole(folder: Path, bases: Collection[Path]) -> list[str]:
    whole = (path for path in files(folder) if real(path) not in bases)
    return sorted({name_of(path, folder) for path in whole})


def _attempt(
    load: Callable[[], T], mistakes: list[Mistake], nameless: list[Mistakes] | None = None
) -> T | None:
    """What `load` gives, or None and its mistakes among the others. An error that is of no file
    is kept as it is, too: alone, it has its own next command."""
    try:
        return load()
    except Mistakes as error:
        mistakes += error.mistakes or [Mistake(error.where or "command line", 0, "", error.what)]
        if nameless is not None and not error.mistakes:
            nameless.append(error)
        return None

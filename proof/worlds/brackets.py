"""`[ … ]`: what is asked of texts, numbers and files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proof.worlds.files import File, Folder
from proof.worlds.words import NotTold, Word

if TYPE_CHECKING:
    from proof.worlds.process import Process

Holds = Callable[["Process"], bool]

COMPARED: dict[str, Callable[[str, str], bool]] = {
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "-eq": lambda one, other: int(one or 0) == int(other or 0),
    "-ne": lambda one, other: int(one or 0) != int(other or 0),
    "-gt": lambda one, other: int(one or 0) > int(other or 0),
    "-lt": lambda one, other: int(one or 0) < int(other or 0),
    "-ge": lambda one, other: int(one or 0) >= int(other or 0),
    "-le": lambda one, other: int(one or 0) <= int(other or 0),
}
FOUND: dict[str, Callable[[File | Folder | None], bool]] = {
    "-e": lambda found: found is not None,
    "-d": lambda found: isinstance(found, Folder),
    "-f": lambda found: isinstance(found, File),
    "-L": lambda _: False,  # no machine has links
    "-s": lambda found: isinstance(found, File) and bool(found.text),
}


def holds(process: Process, args: list[str]) -> bool:
    """Whether that is so. Raises NotTold."""
    if args and args[0] == "!":
        return not holds(process, args[1:])
    if len(args) == 3:
        one, how, other = args
        if how not in COMPARED:
            raise NotTold(f"[ {one} {how} {other}")
        return COMPARED[how](one, other)
    if len(args) == 1:
        return bool(args[0])
    how, what = args
    if how in ("-n", "-z"):
        return bool(what) is (how == "-n")
    if how not in FOUND:
        raise NotTold(f"[ {how}")
    return FOUND[how](process.machine.found(what, process.cwd))


def holding(words: list[Word]) -> Holds | None:
    """The same of words, up to `]`, as far as they tell what is asked; None where they do not."""
    *asked, last = words
    if last.constant != "]" or not all(word.one for word in asked):
        return None
    if asked and asked[0].constant == "!":
        inside = holding(words[1:])
        return inside and (lambda process: not inside(process))
    match [word.single for word in asked]:
        case [one, _, other]:
            compared = COMPARED.get(asked[1].constant or "")
            return compared and (lambda process: compared(one(process), other(process)))
        case [one]:
            return lambda process: bool(one(process))
        case [_, what]:
            return _of_one(asked[0].constant, what)
    return None


def _of_one(how: str | None, what: Callable[[Process], str]) -> Holds | None:
    if how == "-n":
        return lambda process: bool(what(process))
    if how == "-z":
        return lambda process: not what(process)
    found = FOUND.get(how or "")
    if found is None:
        return None
    return lambda process: found(process.machine.found(what(process), process.cwd))

"""The disk of a machine: directories and files that stay what they are when they are renamed."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase


class File:
    """Text, and when it was written."""

    __slots__ = ("at", "text")

    def __init__(self, at: float) -> None:
        self.text = ""
        self.at = at


class Folder:
    """Names of files and of other folders; `gone` once it was removed."""

    __slots__ = ("gone", "names", "parent")

    def __init__(self, parent: Folder | None = None) -> None:
        self.names: dict[str, File | Folder] = {}
        self.parent = parent
        self.gone = False


class NoSpace(OSError):
    """The disk is full."""


class Disk:
    """Paths, from the root or from a folder."""

    def __init__(self) -> None:
        self.root = Folder()
        self.free: int | None = None
        """How much more fits on it; None where that is no question."""
        self.fresh: list[tuple[Folder, str]] = []
        """What was made since the last sync."""

    def find(self, path: str, start: Folder) -> File | Folder | None:
        """What is there, or nothing."""
        at: File | Folder = self.root if path[:1] == "/" else start
        for name in path.split("/"):
            if name in ("", "."):
                continue
            if not isinstance(at, Folder) or at.gone:
                return None
            found = at.parent or at if name == ".." else at.names.get(name)
            if found is None:
                return None
            at = found
        return None if isinstance(at, Folder) and at.gone else at

    def place(self, path: str, start: Folder) -> tuple[Folder | None, str]:
        """The folder that holds what a path names, and its name there."""
        above, _, name = path.rstrip("/").rpartition("/")
        holder: File | Folder | None = start
        if above or path[:1] == "/":
            holder = self.find(above or "/", start)
        return (holder if isinstance(holder, Folder) and not holder.gone else None), name

    def make(self, path: str, start: Folder) -> bool:
        """A new folder; whether it was not there."""
        holder, name = self.place(path, start)
        if holder is None or name in holder.names:
            return False
        holder.names[name] = Folder(holder)
        return True

    def set(self, file: File, text: str, at: float) -> None:
        """Write a file anew. Raises NoSpace, with nothing changed."""
        more = len(text) - len(file.text)
        if self.free is not None:
            if more > 0 and more > self.free:
                raise NoSpace("No space left on device")
            self.free -= more
        file.text, file.at = text, at

    def remove(self, holder: Folder, name: str) -> None:
        """Take it away; what is in a folder goes with it."""
        found = holder.names.pop(name)
        if isinstance(found, Folder):
            for each in list(found.names):
                self.remove(found, each)
            found.gone = True
        elif self.free is not None:
            self.free += len(found.text)

    def matching(self, pattern: str, start: Folder) -> list[str]:
        """The paths that a pattern means, in order."""
        before = next((each for each in ("/", "./") if pattern.startswith(each)), "")
        parts = [part for part in pattern.removeprefix(before).split("/") if part]
        return sorted(_below(self.root if before == "/" else start, parts, before))


def _below(folder: Folder, parts: list[str], before: str) -> Iterator[str]:
    first, *rest = parts
    plain = first.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[")
    names = [plain] if plain in folder.names else list(folder.names)
    for name in names:
        if name != plain and (not fnmatchcase(name, first) or name[0] == "."):
            continue
        found = folder.names[name]
        if not rest:
            yield before + name
        elif isinstance(found, Folder):
            yield from _below(found, rest, f"{before}{name}/")

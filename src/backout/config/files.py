"""Inventories and runbooks by name: the path below their folder, without its suffix.

`eu/api` is `inventories/eu/api.yaml`, from wherever it is named and however: that path is the
target's name everywhere. A file outside has a name too, which leads back to it: `./ops/prod` below
the project's directory, `/etc/ops/prod` elsewhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from backout.errors import Mistakes
from backout.model.operands import at_home
from backout.model.validation import did_you_mean

SUFFIXES = (".yaml", ".yml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9][A-Za-z0-9_.-]*)*")


def names(folder: Path) -> list[str]:
    """The names that `folder` offers, sorted."""
    return sorted({name_of(path, folder) for path in files(folder)})


def files(folder: Path) -> list[Path]:
    """The YAML files at and below `folder`, sorted; hidden ones are an editor's."""
    found = (path for path in folder.rglob("*.y*ml") if path.suffix in SUFFIXES)
    return sorted(p for p in found if not _hidden(p.relative_to(folder)))


def real(path: Path) -> Path:
    """A path with its links followed, as far as they lead anywhere; a circle raises nothing."""
    return Path(os.path.realpath(path))


def name_of(path: Path, folder: Path) -> str:
    """The name of a file, whether it is there or not. `folder` is `inventories` or `runbooks` in
    the project's directory."""
    place = real(path.parent) / path.name
    place = place.with_suffix("") if place.suffix in SUFFIXES else place
    top = real(folder)
    if place.is_relative_to(top):
        return place.relative_to(top).as_posix()
    project = real(folder.parent)
    inside = place.is_relative_to(project)
    return f"./{place.relative_to(project).as_posix()}" if inside else str(place)


def resolve(name: str, folder: Path, started_in: Path | None = None) -> Path:
    """A name is looked up in `folder`; a path is taken as it is, from `started_in`. Raises
    Mistakes."""
    written = name.endswith(SUFFIXES)
    if not written and (path := _known(folder, name)):
        return path
    typed = (started_in or Path()) / at_home(name)
    places = [typed] if "/" in name or written else []
    places += [folder.parent / name] if name.startswith("./") else []
    for place in places:
        for path in (place, *(Path(f"{place}{suffix}") for suffix in SUFFIXES)):
            if _is_file(path):
                return path
    if written and _NAME.fullmatch(name) and _is_file(folder / name):
        return folder / name
    raise _missing(name, folder)


def twin(path: Path) -> Path | None:
    """Another file beside this one that has the same name."""
    others = (path.with_suffix(suffix) for suffix in SUFFIXES if suffix != path.suffix)
    return next((other for other in others if path.suffix in SUFFIXES and other.is_file()), None)


def shown(path: Path) -> str:
    """A path as the operator would type it."""
    absolute, here = Path(os.path.normpath(path.absolute())), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _known(folder: Path, name: str) -> Path | None:
    if not _NAME.fullmatch(name):
        return None
    there = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in there if _is_file(path)), None)


def _missing(name: str, folder: Path) -> Mistakes:
    if name.endswith(SUFFIXES) or not _NAME.fullmatch(name):
        return Mistakes(
            f"no file {name}", next=f"a file that is there, or a name in {folder.name}/"
        )
    for suffix in SUFFIXES:
        if os.path.lexists(path := folder / f"{name}{suffix}"):
            return Mistakes(f"{shown(path)}: {no_file(path)}", next="put the file itself there")
    there = names(folder)
    listed = ", ".join(there) or "nothing"
    hint = did_you_mean(name, there)
    following = "the same command with one of these names" if there else "invoke init"
    return Mistakes(f"no {name!r} in {shown(folder)}/{hint} (it has: {listed})", next=following)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - the other one raises for a name that is too long


def no_file(path: Path) -> str:
    """Why nothing can be read there."""
    if path.is_dir():
        return "is a directory"
    if path.is_symlink() and not path.exists():
        return "is a link that leads nowhere"
    return "is no file" if os.path.lexists(path) else "no such file"


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)

"""One inventory laid over another, and one section over another of its kind."""

from __future__ import annotations

from pathlib import Path

from backout.config import yaml_tree
from backout.config.files import files, real, resolve, shown
from backout.config.yaml_tree import Node, merged
from backout.errors import Mistake, Mistakes
from backout.model.validation import as_text


def bases_in(folder: Path) -> set[Path]:
    """The inventories that others extend, as far as they can be read."""
    found = set()
    for path in files(folder):
        try:
            name = yaml_tree.read(path, shown(path), []).get("extends")
            found |= {real(_base(as_text(name.value), path, folder))} if name else set()
        except Mistakes:
            continue
    return found


def _base(name: str, path: Path, folder: Path) -> Path:
    """What an inventory extends: beside it, else from the top. Raises Mistakes."""
    try:
        return resolve(name, path.parent, path.parent)
    except Mistakes:
        return resolve(name, folder, path.parent)


def extended(path: Path, folder: Path, inner: tuple[Path, ...], mistakes: list[Mistake]) -> Node:
    """The tree of an inventory laid over the one that it extends."""
    place = shown(path)
    tree = yaml_tree.read(path, place, mistakes)
    base = tree.get("extends")
    if base is None:
        return tree
    try:
        below = _base(as_text(base.value), path, folder)
    except Mistakes as error:
        raise Mistakes(mistakes=[Mistake(place, base.line, "extends", error.what)]) from None
    chain = (*inner, real(path))
    if real(below) in chain:
        circle = " -> ".join(link.stem for link in (*chain, below))
        message = f"inventories extend each other in a circle: {circle}"
        raise Mistakes(mistakes=[Mistake(place, base.line, "extends", message)])
    return _laid_over(extended(below, folder, chain, mistakes), tree.without("extends"), mistakes)


def _laid_over(base: Node, over: Node, mistakes: list[Mistake]) -> Node:
    """A host of which only the name is said again stays what it is: without its address it would
    be whatever machine its name leads to. Nor does `null` take it away."""
    whole, known = merged(base, over), base.get("hosts")
    hosts = whole.get("hosts")
    if hosts and isinstance(hosts.value, dict):
        for name, node in known.items() if known else ():
            said = hosts.value[name]
            if said.value is None:
                hosts.value[name] = node
            if said.value is None and said.text:
                wrong = f"{said.text} does not take away a host of {node.file}; {_APART}"
                mistakes.append(Mistake(said.file, said.line, f"hosts.{name}", wrong))
    return whole


_APART = "leave it out there, and name it in the inventories that have it"


def said_of(node: Node, key: str) -> Node | None:
    """A section of which something is written."""
    found = node.get(key)
    return None if found is None or found.unwritten else found


def overlaid(service: Node | None, over: Node) -> Node:
    """A service laid over another one; over one of another backend it stands for itself."""
    backend, other = over.get("backend"), service.get("backend") if service else None
    if service is None or (backend and other and backend.text != other.text):
        return over
    return merged(service, over)

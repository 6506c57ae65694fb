"""The house in figures: how large its rooms are, and which way its imports point.

    python bench/house.py [ROOT …]

One column for each checkout (default: this one), so that before and after stand side by side.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """One file, parsed."""

    name: str
    text: str

    @property
    def room(self) -> str:
        return self.name.split(".")[0]

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def functions(self) -> Iterator[int]:
        """The lines of each function."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1

    def public(self) -> int:
        """How many names a reader of the module meets."""
        kinds = (ast.FunctionDef, ast.ClassDef)
        return sum(isinstance(n, kinds) and not n.name.startswith("_") for n in self.tree.body)

    def imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("backout."):
                yield str(node.module).removeprefix("backout.")
            elif isinstance(node, ast.ImportFrom) and node.module == "backout":
                yield from (alias.name for alias in node.names)


def modules(root: Path) -> tuple[Module, ...]:
    source = root / "src" / "backout"
    found = []
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__") or "backout"
        found.append(Module(name, path.read_text()))
    return tuple(found)


def arrows(house: Sequence[Module]) -> set[tuple[str, str]]:
    """Room -> room, of every import that crosses a threshold."""
    rooms = {module.room for module in house}
    pairs = ((m.room, name.split(".")[0]) for m in house for name in m.imports())
    return {(one, other) for one, other in pairs if one != other and other in rooms}


def floors(house: Sequence[Module]) -> int:
    """How many storeys the rooms need when every arrow points down; rooms in a circle share one."""
    pairs = arrows(house)
    below = {m.room: {other for room, other in pairs if room == m.room} for m in house}
    count = 0
    while below:
        free = {room for room, others in below.items() if not others & below.keys()}
        free = free or set(below)
        below = {room: others for room, others in below.items() if room not in free}
        count += 1
    return count


FIGURES: Mapping[str, Callable[[Sequence[Module]], float]] = {
    "modules": len,
    "lines": lambda house: sum(module.lines for module in house),
    "rooms": lambda house: len({module.room for module in house}),
    "modules at the root": lambda house: sum("." not in m.name and _alone(m, house) for m in house),
    "floors": floors,
    "arrows between rooms": lambda house: len(arrows(house)),
    "imports that cross rooms": lambda house: sum(
        name.split(".")[0] != module.room for module in house for name in module.imports()
    ),
    "largest module, lines": lambda house: max(module.lines for module in house),
    "median module, lines": lambda house: statistics.median(module.lines for module in house),
    "modules over 400 lines": lambda house: sum(module.lines > 400 for module in house),
    "median function, lines": lambda house: statistics.median(_functions(house)),
    "p90 function, lines": lambda house: statistics.quantiles(_functions(house), n=10)[-1],
    "longest function, lines": lambda house: max(_functions(house)),
    "public names a module": lambda house: statistics.mean(module.public() for module in house),
}


def _alone(module: Module, house: Sequence[Module]) -> bool:
    return not any(other.name.startswith(f"{module.name}.") for other in house)


def _functions(house: Sequence[Module]) -> list[int]:
    return [lines for module in house for lines in module.functions()]


def main() -> None:
    here = Path(__file__).parent.parent
    houses = [modules(Path(root)) for root in sys.argv[1:] or [str(here)]]
    for name, figure in FIGURES.items():
        print(f"{name:28}", *(f"{figure(house):10.4g}" for house in houses))


if __name__ == "__main__":
    main()

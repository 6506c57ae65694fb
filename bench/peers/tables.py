"""What came out, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peers.figures import Figures
from peers.scenes import Row


def of_figures(all_: Sequence[Figures]) -> str:
    """Wall, processor and lines; ratios are to the first."""
    rows = (
        (
            each.contender.name,
            f"{each.seconds:.1f} s",
            f"{each.beside(all_[0]):.2f}",
            f"{each.processor:.1f} s",
            str(each.contender.lines),
        )
        for each in all_
    )
    return _table(("", "wall", "x Backout", "processor", "lines of configuration"), rows)


def of_scenes(rows: Sequence[Row]) -> str:
    """Every scene, contender by contender."""
    told = {True: "yes", False: "**no**", None: ""}
    cells = (
        (row.scene, row.contender, row.code, told[row.true], row.left, row.again, told[row.right])
        for row in rows
    )
    heads = ("scene", "", "exit", "true", "left behind", "the old release answers again", "right")
    return _table(heads, cells)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

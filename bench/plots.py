"""Figures as curves, for docs/: `pip install matplotlib` draws them (it is no part of Backout)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Curve = Sequence[tuple[float, float]]


def draw(
    file: Path,
    title: str,
    axes: tuple[str, str],
    curves: Mapping[str, Curve],
    *,
    log: str = "",
) -> None:
    """One figure as SVG. `log` names the axes that are logarithmic: "x", "y" or "xy"."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "backout", "font.size": 9})
    from matplotlib import pyplot

    figure, plot = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, points in curves.items():
        plot.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    for axis in log:
        getattr(plot, f"set_{axis}scale")("log")
    plot.set(title=title, xlabel=axes[0], ylabel=axes[1])
    plot.grid(visible=True, alpha=0.3)
    plot.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    print(f"drawn: {file}")

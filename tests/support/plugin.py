"""The example plug-in, installed for one project as pip would install it."""

from __future__ import annotations

import tomllib
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


def install(directory: Path, source: Path = EXAMPLE) -> str:
    """Lay the package's metadata beside its code; what PYTHONPATH is to be."""
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    info = directory / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    name = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{name}")
    sections = (
        f"[{group}]\n" + "".join(f"{kind} = {row}\n" for kind, row in rows.items())
        for group, rows in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(sections))
    return f"{directory}:{source / 'src'}"

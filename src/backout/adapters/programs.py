"""Our shell programs: files of their own, read once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def program(name: str) -> str:
    """The text of `shell/NAME.sh`, without the lines that are comments: it travels to hosts."""
    text = (files("backout.adapters") / "shell" / f"{name}.sh").read_text("utf-8")
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))

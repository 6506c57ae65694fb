"""The table of faults in docs/proof.md, and a run held against its row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .project import Said

PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
HEAD = "| what happens | exit | it says | each host, as the report has it | then | exit |"


@dataclass(frozen=True, slots=True)
class Row:
    """What is promised of one fault."""

    fault: str
    code: int
    says: str
    hosts: str
    then: str
    last: str


def rows() -> dict[str, Row]:
    """By fault, as they stand on the page."""
    lines = PAGE.read_text().partition(HEAD)[2].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {c[0]: Row(c[0], int(c[1]), c[2], c[3], c[4].strip("`"), c[5]) for c in cells}


def held(fault: str, said: Said, last: Said | None = None) -> None:
    """The run that met a fault left as its row says; and so did what was typed `then`, if
    anything was."""
    row = rows()[fault]
    everything = f"{said.out}{said.err}"
    assert said.code == row.code, everything
    told = said.data
    words = [told["error"]] if "error" in told else [{"what": told.get("reason", "")}]
    text = " ".join(f"{w.get('where', '')} {w['what']}" for w in words)
    assert row.says in text, f"{row.says!r} is not in {text!r}"
    states = {name: host["state"] for name, host in told.get("hosts", {}).items()}
    found = "; ".join(f"{name} {_first(state)}" for name, state in sorted(states.items()))
    assert row.hosts == found, found
    assert row.last == (str(int(last.code)) if last else ""), last and last.out


def _first(state: str) -> str:
    """How a state begins; why it is so stands behind."""
    return re.split(r"[:;(]", state)[0].strip()

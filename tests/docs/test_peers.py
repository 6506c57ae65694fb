"""What the page on other tools says of them is what its program uses: their versions, and the lines
of configuration of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from peers.contenders import HERE, Contender
from peers.fetched import DEBIAN, PYTHON

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "peers.md").read_text()
TIMES = r"[\d.]+ s \| [\d.]+ \| [\d.]+ s"
ROW = re.compile(rf"^\| (?P<name>[\w, ]+) \| {TIMES} \| (?P<lines>\d+) \|$", re.MULTILINE)


@pytest.mark.parametrize("pin", [*PYTHON, *DEBIAN.values()])
def test_each_version_is_the_one_that_is_fetched(pin: str) -> None:
    name, version = re.split("==?", pin.rstrip("*"))
    assert re.search(rf"\b{name} {re.escape(version)}\b", PAGE, re.IGNORECASE)


def test_each_tool_has_the_lines_of_configuration_that_the_tables_say() -> None:
    rows = {(row["name"], int(row["lines"])) for row in ROW.finditer(PAGE)}
    folders = {name: re.findall(r"\w+", name.lower())[0] for name, _ in rows}
    assert {*folders.values()} == {
        p.name for p in HERE.iterdir() if p.is_dir() and p.name[0] != "_"
    }
    assert rows == {(name, Contender(name, at, (), (), ()).lines) for name, at in folders.items()}

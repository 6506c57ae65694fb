"""Paths that people type and no file has: said, by every verb that takes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.yard import Yard

PLACES = (
    ("plan", "--target"),
    ("run", "--target", "prod", "--runbook"),
    ("plan", "--target", "prod", "--out"),
    ("deploy", "--target", "prod", "--plan"),
    ("verify", "--target", "prod", "--junit"),
    ("document.import",),
    ("document.import", "note.md", "--as"),
    ("document.render",),
    ("history.export",),
    ("history.import",),
)


@pytest.mark.parametrize("words", PLACES, ids="_".join)
@pytest.mark.parametrize("odd", ["~nobody-of-that-name/x", "a" * 5000], ids=["home", "long"])
def test_a_path_that_cannot_be_is_a_mistake(yard: Yard, words: tuple[str, ...], odd: str) -> None:
    """A home of nobody's, a name that is longer than a name may be."""
    yard.runbook(yard.step("One"))
    Path(yard.project.directory, "note.md").write_text("# X\n\n```sh\ngit push\n```\n")
    said = yard.project.say(*words, odd, "--json")
    assert (said.code, said.data["exit_code"]) in ((2, 2), (3, 3)), said.err
    assert "Traceback" not in said.err
    assert said.data["error"]["what"]
    assert not [path for path in yard.project.directory.rglob("*") if "nobody" in path.name]

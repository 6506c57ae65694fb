"""A runbook becomes a note for a person, and the note the same runbook again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from backout.config import loading, yaml_tree
from backout.documents.reading import read
from backout.documents.rendered import taken
from backout.documents.rendering import render
from backout.project.project import TABLES

ROOT = Path(__file__).parents[2]
BOOKS = sorted((ROOT / "runbooks").glob("*.yaml"))


def again(text: str) -> dict[str, Any]:
    made = taken(text, read(text, "note.md"))
    assert made
    return made.runbook


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_rendered_runbook_is_imported_as_the_same(path: Path) -> None:
    data = yaml_tree.read(path, str(path), []).data()
    target = loading.load_target(ROOT / "inventories" / "local.yaml", TABLES, ROOT)
    assert again(render(data)) == data
    assert again(render(data, target)) == data


def test_a_text_with_fences_and_templates_comes_back_as_it_was() -> None:
    script = "cat <<'EOF'\n```\n{{ params.x }}\n````\nEOF\n"
    data = {"steps": [{"name": "A `b`", "run": script, "undo": "rm x", "on": "all"}]}
    assert again(render(data)) == data


def test_what_stands_beside_a_fence_runs_nothing_that_the_fence_does_not_say() -> None:
    text = render({"steps": [{"name": "A", "run": "make", "undo": "make undo"}]})
    hidden = text.replace('"run": null', '"run": "rm -rf /"')
    assert hidden != text
    assert again(hidden)["steps"][0]["run"] == "make"
    book = {"steps": [{"name": "A", "sql": {"database": "x", "script": "select 1"}, "undo": "u"}]}
    text = render(book).replace("select 1", "drop table x", 1)
    assert taken(text, read(text, "note.md")) is None


def test_the_note_has_checks_as_curl_lines_and_the_way_back_in_order(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "backout", "document.render", "deploy", "--target", "local"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "curl -sS -i" in done.stdout
    assert "## The way back, in this order" in done.stdout
    note = tmp_path / "deploy.md"
    note.write_text(done.stdout)
    argv = [sys.executable, "-m", "backout", "document.import", "deploy.md"]
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    made = yaml.load((tmp_path / "runbooks" / "deploy.yaml").read_text(), yaml.BaseLoader)  # noqa: S506 - builds text alone
    assert [step["name"] for step in made["steps"]] == ["Commit", "Push", "Update the code"]

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
from support.project import Project

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


def test_a_run_becomes_the_note_as_it_was_executed(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", {"PASS": "open-sesame-42"})
    look = {"command": "true", "expect": ["exit_code == 0"]}
    here = {"hosts": {"here": {"connection": "local"}}, "checks": {"there": look}}
    project.inventory("prod", {**here, "secrets": {"word": {"env": "PASS"}}})
    one = {"name": "One", "run": "echo $P; echo '```'", "env": {"P": "{{ secrets.word }}"}}
    two = {"name": "Two", "run": "echo bad >&2; exit 3", "undo": "true"}
    steps = [{**one, "undo": "echo taken back"}, two]
    project.runbook("deploy", {"summary": "Ship it.", "steps": steps})
    ran = project.say("deploy", "--target", "prod", "--json")
    assert ran.code == 4

    said = project.say("document.render", "--run", ran.data["run"])

    assert said.code == 0, said.err
    assert said.out.startswith("# Ship it., as executed\n")
    assert "open-sesame-42" not in said.out
    for told in (
        "- Outcome: **Failed, and backed out**: Two failed: exited 3: bad",
        f"- Run: `{ran.data['run']}` (`deploy` on `prod`)",
        f"- From {ran.data['started_at']} to {ran.data['ended_at']}",
        "### Two: failed", "echo bad >&2; exit 3", "## What was undone", "echo taken back",
        "- `there`: **pass**", "````text",
    ):  # fmt: skip
        assert told in said.out, said.out
    again = project.say("document.render", "deploy", f"--run={ran.data['run']}")
    assert again.out == said.out
    assert project.say("document.render", "other", "--run", ran.data["run"]).code == 2
    assert project.say("document.render").code == 2

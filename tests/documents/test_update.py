"""An edited note is merged into its runbook, and what people changed by hand stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.project import Project

NOTE = """\
# Release

## Deploy

```sh
git push origin main
npm run migrate
bin/warm --all
npm run cleanup
```

Restart it: `sudo systemctl restart shop`

## Verify

```sh
curl -f https://shop.example.org/health   # 200
```

## Rollback

```sh
npm run migrate:undo
```
"""
OPEN = "What the note leaves open is decided"


class Note:
    """A project with one note, imported, and edited by hand since."""

    def __init__(self, directory: Path) -> None:
        self.project = Project(directory)
        self.book = directory / "runbooks" / "rel.yaml"
        self.target = directory / "inventories" / "rel.yaml"
        self.note = directory / "docs" / "rel.md"
        self.note.parent.mkdir()
        self.note.write_text(NOTE)
        assert self.say().code == 0

    def say(self, *words: str) -> Any:
        return self.project.say("document.import", "docs/rel.md", "--json", *words)

    def update(self, *edits: tuple[str, str]) -> Any:
        """Edit the note, and merge it in; what comes of it lints."""
        replace(self.note, *edits)
        said = self.say("--update")
        assert said.code == 0, said.err
        lint = self.project.say("lint")
        assert lint.code == 0, lint.err
        return said.data

    def steps(self, phase: str = "steps") -> dict[str, Any]:
        return {step["name"]: step for step in yaml.safe_load(self.book.read_text())[phase]}


def replace(path: Path, *edits: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def made(tmp_path: Path) -> Note:
    return Note(tmp_path / "shop")


def test_lines_that_only_moved_change_no_step(made: Note) -> None:
    before = made.book.read_text()
    data = made.update(("## Deploy", "A word on this.\n\n## Deploy"))
    after = made.book.read_text()
    differ = [b for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert all("lines:" in line or "docs/rel.md:" in line for line in differ)
    assert made.steps()["Push"]["follows"]["lines"] == "8"
    assert data["updated"] == {"taken": [], "kept": []}


def test_what_the_note_says_anew_is_taken_and_what_people_wrote_is_kept(made: Note) -> None:
    replace(
        made.book,
        ("  irreversible: 'undecided: docs/rel.md:8 names no way back'\n",
         "  undo: bin/cool   # asked Maria\n  timeout: 90s\n"),
        (" \\\n      'docs/rel.md:8: how is this taken back? bin/warm --all'", ""),
        ("settle:\n",
         "- name: Tell the team   # ours\n  run: bin/tell\n  undo: bin/untell\nsettle:\n"),
    )  # fmt: skip
    replace(
        made.target, ("    - status == 200\n", "    - status == 200\n    - elapsed_ms < 500  # !\n")
    )

    made.update(
        ("npm run migrate\n", "npm run migrate -- --verbose\nbin/new-thing\n"),
        ("/health", "/healthz"),
    )

    steps = made.steps()
    assert list(steps) == [
        "Push", "npm run migrate -- --verbose", "bin/new-thing", "bin/warm --all",
        "npm run cleanup", "Tell the team",
    ]  # fmt: skip
    assert steps["npm run migrate -- --verbose"]["undo"] == "npm run migrate:undo"
    assert (steps["bin/warm --all"]["undo"], steps["bin/warm --all"]["timeout"]) == (
        "bin/cool",
        "90s",
    )
    assert "undo: bin/cool   # asked Maria" in made.book.read_text()
    assert "- name: Tell the team   # ours" in made.book.read_text()
    refusal = made.steps("preflight")[OPEN]["run"]
    assert "bin/new-thing" in refusal, "what is new is asked"
    assert "bin/warm" not in refusal, "what was decided stays decided"
    check = yaml.safe_load(made.target.read_text())["checks"]["health"]
    assert check["http"]["url"].endswith("/healthz")
    assert check["expect"] == ["status == 200", "elapsed_ms < 500"]
    assert "elapsed_ms < 500  # !" in made.target.read_text()


def test_what_people_took_out_stays_out(made: Note) -> None:
    text = made.book.read_text()
    start, end = text.index("- name: npm run cleanup"), text.index("settle:")
    made.book.write_text(text[:start] + text[end:])
    made.update(("bin/warm --all", "bin/warm"))
    assert list(made.steps()) == ["Push", "npm run migrate", "bin/warm"]
    data = made.update(("npm run cleanup", "npm run cleanup -- --hard"))
    assert "npm run cleanup -- --hard" not in made.steps()
    assert any("taken out by hand" in q["ask"] for q in data["questions"])


def test_where_both_changed_people_are_asked_and_nothing_is_guessed(made: Note) -> None:
    replace(made.book, ("  run: bin/warm --all\n", "  run: bin/warm --half\n"))
    data = made.update(("bin/warm --all", "bin/warm --most"))
    steps = made.steps()
    assert steps["bin/warm --most"]["run"] == "bin/warm --half"
    asked = [q["ask"] for q in data["questions"] if "which one?" in q["ask"]]
    assert len(asked) == 1
    assert "'bin/warm --most'" in asked[0]
    assert "'bin/warm --half'" in asked[0]
    assert "which one?" in made.steps("preflight")[OPEN]["run"], "until then no run begins"
    again = made.update()
    assert [q["ask"] for q in again["questions"] if "which one?" in q["ask"]] == asked


def test_a_step_whose_lines_are_gone_goes_unless_people_changed_it(made: Note) -> None:
    replace(made.book, ("  run: npm run cleanup\n", "  run: npm run cleanup\n  timeout: 5s\n"))
    data = made.update(("bin/warm --all\nnpm run cleanup\n", ""))
    assert list(made.steps()) == ["Push", "npm run migrate", "npm run cleanup"]
    assert "follows" not in made.steps()["npm run cleanup"]
    assert any("still needed" in q["ask"] for q in data["questions"])


def test_steps_move_with_the_note_where_people_left_the_order_alone(made: Note) -> None:
    made.update(("bin/warm --all\nnpm run cleanup\n", "npm run cleanup\nbin/warm --all\n"))
    assert list(made.steps())[2:] == ["npm run cleanup", "bin/warm --all"]


def test_without_the_record_of_the_import_what_is_there_is_peoples(made: Note) -> None:
    (made.project.directory / "runbooks" / "rel.imported.json").unlink()
    replace(made.book, ("  run: bin/warm --all\n", "  run: bin/warm --all\n  timeout: 90s\n"))
    made.update(("npm run cleanup\n", "npm run cleanup\nbin/last\n"))
    assert made.steps()["bin/warm --all"]["timeout"] == "90s"
    assert list(made.steps())[-1] == "bin/last"


def test_there_must_be_something_to_update(made: Note) -> None:
    assert made.say("--update", "--as", "other").code == 2
    before = made.book.read_text()
    made.book.write_text("steps: [\n")
    assert made.say("--update").code == 2
    made.book.write_text(before)
    shutil.rmtree(made.target.parent)
    assert made.say("--update").code == 0
    assert not made.target.exists(), "people took it away"

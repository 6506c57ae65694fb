"""What a note leaves open is asked on the terminal, and the answers go where they belong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from support.project import Project
from support.terminal import Session, on_a_terminal
from support.wait import eventually

ANSWERS = (
    ("which of these is meant", "forge"),
    ("one of: ", "systemd"),
    ("on which machines", "web1=deploy@203.0.113.7, 203.0.113.8"),
    ("how is this taken back? npm run fill", "none"),
    ("why is there none", "npm run empty"),
    ("how is this taken back? npm run tell", "none: told is told"),
    ("what is ARTIST_ID", "a1"),
    ("how is it cleaned up", "DELETE https://api.example.org/concerts/a1"),
)
NOTE = """\
# Release

```sh
npm run fill
npm run tell -- everybody
```

Restart it:

```sh
# Via Docker:
docker compose restart
# - PM2: pm2 restart shop
# - Systemd: sudo systemctl restart shop
```

## Verify

```sh
curl -X POST https://api.example.org/concerts -d '{"artist": "ARTIST_ID"}'
```
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "shop")
    (made.directory / "note.md").write_text(NOTE)
    return made


@contextmanager
def importing(project: Project, *words: str) -> Iterator[Session]:
    argv = ["backout", "document.import", "note.md", "--interactive", *words]
    program = f"""
    os.chdir({str(project.directory)!r})
    sys.argv = {argv!r}
    from backout.tasks import main
    main()
    """
    with on_a_terminal(program, columns=120, HOME=str(project.directory)) as session:
        yield session


def answer(session: Session, asked: str, text: str) -> None:
    eventually(lambda: asked in session.screen.seen, saying=asked)
    session.type(f"{text}\n")


def files(project: Project) -> list[str]:
    found = (p for f in ("runbooks", "inventories") for p in (project.directory / f).iterdir())
    return sorted(path.name for path in found)


def test_answers_are_written_and_an_update_keeps_them(project: Project) -> None:
    with importing(project) as session:
        for asked, text in ANSWERS:
            answer(session, asked, text)
        assert session.end() == 0, session.screen.seen
    book = yaml.safe_load((project.directory / "runbooks" / "note.yaml").read_text())
    target = yaml.safe_load((project.directory / "inventories" / "note.yaml").read_text())
    assert "preflight" not in book, "nothing is open any more"
    fill, tell = book["steps"]
    assert fill["undo"] == "npm run empty"
    assert tell["irreversible"] == "told is told"
    assert target["service"]["backend"] == "systemd"
    assert target["hosts"] == {
        "web1": {"address": "203.0.113.7", "user": "deploy"},
        "203.0.113.8": {"address": "203.0.113.8"},
    }  # fmt: skip
    assert target["vars"] == {"artist_id": "a1"}
    assert target["checks"]["concerts"]["cleanup"]["http"]["method"] == "DELETE"
    assert project.say("lint").code == 0

    (project.directory / "note.md").write_text(NOTE.replace("# Release", "# The release\n\nNow."))
    said = project.say("document.import", "note.md", "--update", "--json")
    assert (said.code, said.data["questions"]) == (0, []), said.err
    again = yaml.safe_load((project.directory / "runbooks" / "note.yaml").read_text())
    assert [step.get("undo") for step in again["steps"]] == ["npm run empty", None]
    kept = yaml.safe_load((project.directory / "inventories" / "note.yaml").read_text())
    assert kept["service"]["backend"] == "systemd"
    assert project.say("lint").code == 0


def test_what_is_left_open_is_asked_again_where_there_is_a_runbook(project: Project) -> None:
    with importing(project) as session:
        answer(session, "which of these is meant", "\x04")
        assert session.end() == 0, session.screen.seen
    open_ = yaml.safe_load((project.directory / "runbooks" / "note.yaml").read_text())
    assert "npm run fill" in open_["preflight"][0]["run"]
    with importing(project, "--update") as session:
        answer(session, "which of these is meant", "")
        answer(session, "on which machines", "here")
        answer(session, "npm run fill", "npm run empty")
        answer(session, "npm run tell", "\x04")
        assert session.end() == 0, session.screen.seen
    book = yaml.safe_load((project.directory / "runbooks" / "note.yaml").read_text())
    assert book["steps"][0]["undo"] == "npm run empty"
    assert "npm run fill" not in book["preflight"][0]["run"]
    assert "npm run tell" in book["preflight"][0]["run"]


def test_whoever_stops_in_the_middle_leaves_nothing(project: Project) -> None:
    with importing(project) as session:
        answer(session, "which of these is meant", "pm2")
        eventually(lambda: "on which machines" in session.screen.seen, saying="next")
        session.process.send_signal(signal.SIGINT)
        assert session.end() == 8
    assert files(project) == []


def test_where_nobody_can_be_asked_it_says_so(project: Project) -> None:
    said = project.say("document.import", "note.md", "--interactive")
    assert said.code == 2
    assert "there is none" in said.err
    assert files(project) == []

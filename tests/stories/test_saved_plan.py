"""A plan is saved, read by whoever wants to, and deployed as it is or not at all."""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.git_origin import GitOrigin
from support.postgres import Postgres
from support.project import Said
from support.terminal import Session
from support.wait import eventually
from support.yard import Yard


class Desk(Yard):
    """A target whose plan rests on something of every kind."""

    def __init__(self, directory: Path) -> None:
        self.git = GitOrigin(directory / "git")
        self.app, self.conf = directory / "app", directory / "app.conf"
        self.conf.write_text("workers = 2\n")
        super().__init__(directory)
        source = {"repository": str(self.git.copy), "directory": str(self.app)}
        self.inventory(source=source, vars={"weight": 1}, secrets={"key": {"env": "APP_KEY"}})
        self.project.env["APP_KEY"] = "hunter-2-hunter"
        self.steps()

    def steps(self, **changed: Any) -> None:
        conf = {"from": str(self.conf), "to": f"{self.files}/app.conf"}
        self.runbook(
            {"name": "Update", "update": {}, "on": "web"},
            {"name": "Configure", "upload": conf, "on": "web"},
            self.step("Weigh", before="echo {{ params.word }} {{ vars.weight }}", **changed),
            params={"word": {"default": "plain"}},
        )

    @property
    def file(self) -> Path:
        return self.project.directory / "plan.json"

    def save(self, *words: str) -> dict[str, Any]:
        said = self.say("plan", "--out", "plan.json", *words)
        assert said.code == 0, said.out + said.err
        return said.data

    def planned(self, *words: str) -> Said:
        return self.project.say("deploy", "--plan", "plan.json", "--json", *words)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    with desk:
        desk.good_release()
        yield desk


def test_a_saved_plan_is_private_names_no_secret_and_is_deployed_as_it_is(desk: Desk) -> None:
    told = desk.save("--param", "word=hunter-2-hunter")
    text = desk.file.read_text()
    saved = json.loads(text)
    assert stat.S_IMODE(desk.file.stat().st_mode) == 0o600
    assert "hunter" not in text
    assert (saved["format"], saved["digest"]) == (1, told["digest"])
    assert told["next"] == "invoke deploy --plan plan.json"
    # A run that was refused takes a number, and changes nothing that was planned.
    assert desk.deploy("--param", "nothing=1").code == 2
    said = desk.planned()
    assert said.code == 0, said.out + said.err
    assert said.data["outcome"] == "succeeded"
    # It was for one world: what runs now is another.
    again = desk.planned()
    assert (again.code, "the release on here: " in again.data["error"]["what"]) == (3, True)


WHO = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
MOVES: dict[str, tuple[Callable[[Desk], object], str]] = {
    "commits": (
        lambda desk: (desk.git.good_change(), desk.git.commit("Two"), desk.git.git("push", "-q")),
        "the commit that ships: ",
    ),
    "an uploaded file": (lambda desk: desk.conf.write_text("workers = 3\n"), "file {conf} has"),
    "an uncommitted file": (lambda desk: desk.git.good_change(), "file {copy}/RELEASE is new"),
    "hosts": (
        lambda desk: desk.inventory(
            hosts={"here": {"connection": "local", "groups": ["web"], "vars": {"x": 1}}}
        ),
        "host here.vars.x is new",
    ),
    "what runs there": (lambda desk: desk.good_release(), "the last run on here: "),
    "the code there": (
        lambda desk: desk.git._git_in(desk.app, *WHO, "commit", "-q", "--allow-empty", "-m", "x"),
        "the code on here: ",
    ),
    "the runbook": (
        lambda desk: desk.steps(after="echo more"),
        "runbook steps[2].options.script has changed",
    ),
    "the inventory": (
        lambda desk: desk.inventory(vars={"weight": 2}),
        "inventory vars.weight: 1 was planned, it is 2",
    ),
}


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("moving"))
    with desk:
        desk.good_release()
        yield desk


@pytest.mark.parametrize("part", MOVES)
def test_a_saved_plan_is_refused_when_its_world_has_moved(moving: Desk, part: str) -> None:
    moving.save()
    move, words = MOVES[part]
    move(moving)
    before = moving.effects()
    said = moving.planned()
    names = {"conf": moving.conf, "copy": moving.git.copy}
    assert said.code == 3, said.out + said.err
    assert words.format(**names) in said.data["error"]["what"]
    assert moving.effects() == before
    if part == "the code there":
        moving.git._git_in(moving.app, "checkout", "-q", "-f", "HEAD~1")
    said = moving.say("plan", "--out", "plan.json")  # it can be had anew, over the old one
    assert said.code == 0, said.out + said.err


def test_what_is_to_be_typed_makes_the_same_plan_again_as_things_are_now(desk: Desk) -> None:
    desk.save("--hosts", "here", "--param", "word=it's so")
    desk.inventory(vars={"weight": 3})
    refused = desk.planned().data["error"]["next"]
    _, _, typed = refused.partition("look, and save it anew: invoke ")
    assert desk.project.say(*shlex.split(typed), "--json").code == 0
    told = json.loads(desk.file.read_text())["words"]
    assert (told["hosts"], told["param"]) == ("here", ["word=it's so"])
    assert desk.planned().code == 0


def test_a_file_that_was_changed_or_is_no_plan_is_refused_with_its_line(desk: Desk) -> None:
    desk.save()
    good = desk.file.read_text()

    def refused(text: str) -> str:
        desk.file.write_text(text)
        said = desk.planned()
        assert said.code == 2, said.out
        return str(said.data["error"]["what"])

    lines = good.splitlines()
    digest = next(n for n, line in enumerate(lines, 1) if '"digest"' in line)
    changed = good.replace('"vars.weight": 1', '"vars.weight": 9')
    assert f"plan.json:{digest}: it was changed after it was made" in refused(changed)
    assert "plan.json:1: not JSON: " in refused("not a plan")
    assert "plan.json:1: no saved plan" in refused('{"format": 1}')
    assert "format 2, this Backout knows 1" in refused(good.replace('"format": 1', '"format": 2'))
    assert "`words` are not those of a plan" in refused(good.replace('"ref": null', '"ref": 7'))
    assert "`steps` is missing" in refused(good.replace('"steps": {', '"other": {'))


def test_a_changed_word_comes_to_another_plan_and_no_word_can_be_said_beside_it(
    desk: Desk,
) -> None:
    desk.save("--param", "word=mild")
    desk.file.write_text(desk.file.read_text().replace('"word=mild"', '"word=wild"'))
    said = desk.planned()
    assert said.code == 3
    assert "param word: mild was planned, it is wild" in said.data["error"]["what"]
    said = desk.planned("--hosts", "here", "--target", "other")
    assert (said.code, "--hosts, --target cannot be said beside it" in said.out) == (2, True)


def test_nothing_of_somebody_elses_is_written_over(desk: Desk) -> None:
    mine = desk.project.directory / "mine.txt"
    mine.write_text("mine")
    desk.file.symlink_to(mine)
    said = desk.say("plan", "--out", "plan.json")
    assert (said.code, mine.read_text()) == (2, "mine")
    assert "something lies there that is no saved plan" in said.data["error"]["what"]


TYPED = """
sys.argv = ["invoke", "deploy", "--plan", "plan.json"]
os.chdir({directory!r})
from backout.tasks import main
main()
"""


def test_what_moves_while_a_question_stands_is_seen_when_it_is_answered(desk: Desk) -> None:
    desk.inventory(protected=True)
    desk.save()
    before = desk.effects()
    env = {**desk.project.env, "PATH": os.environ["PATH"]}
    at = Session(TYPED.format(directory=str(desk.project.directory)), 100, env, echo=True)
    eventually(lambda: "Type prod" in at.screen.seen, saying="the question")
    desk.conf.write_text("workers = 64\n")
    at.type("prod\n")
    assert at.end() == 3, at.screen.shown
    assert f"file {desk.conf} has changed" in at.screen.seen.replace("\r\n", "")
    assert desk.effects() == before


def test_a_source_that_is_a_part_of_a_working_copy_is_seen_with_all_that_would_be_committed(
    tmp_path: Path,
) -> None:
    git = GitOrigin(tmp_path / "git")
    inner, beside = git.copy / "shop" / "api", git.copy / "shared"
    for folder in (inner, beside):
        folder.mkdir(parents=True)
        (folder / "conf").write_text("one\n")
    git.commit("Two parts")
    with Yard(tmp_path) as yard:
        yard.inventory(source={"repository": str(inner)})
        yard.runbook({"name": "Commit", "commit": "Both"})
        for part in (inner / "conf", beside / "conf"):
            part.write_text("two\n")
            said = yard.say("plan", "--out", "plan.json")
            assert said.code == 0, said.out + said.err
            part.write_text("three\n")
            planned = yard.project.say("deploy", "--plan", "plan.json", "--json")
            assert planned.code == 3, planned.out
            what = planned.data["error"]["what"]
            assert f"{part.parent.name}/conf has changed" in what
            part.write_text("two\n")
        (git.copy / ".git" / "index").write_bytes(b"not an index")
        untold = yard.say("plan", "--out", "other.json")
        assert (untold.code, "cannot be told" in untold.out) == (3, True), untold.out


def test_a_directory_that_is_to_be_committed_is_seen_file_by_file_also_what_is_gone(
    tmp_path: Path,
) -> None:
    git = GitOrigin(tmp_path / "git")
    folder = git.copy / "conf.d"
    gone, kept = folder / "gone", folder / "kept"
    folder.mkdir()
    for file in (gone, kept):
        file.write_text("one\n")
    git.commit("Two files")
    with Yard(tmp_path) as yard:
        yard.inventory(source={"repository": str(git.copy)})
        yard.runbook(
            {"name": "Look", "run": "echo mark", "readonly": True, "save": {"mark": "stdout"}},
            {"name": "Commit", "commit": {"message": "Conf", "paths": ["conf.d"]}},
            {"name": "Mark", "run": "touch {{ saved.mark }}", "undo": "rm {{ saved.mark }}"},
        )
        gone.unlink()
        said = yard.say("plan", "--out", "plan.json")
        assert said.code == 0, said.out + said.err
        for path, now in ((kept, "two\n"), (gone, "one\n")):
            before = path.read_text() if path.exists() else None
            path.write_text(now)
            planned = yard.project.say("deploy", "--plan", "plan.json", "--json")
            assert planned.code == 3, planned.out
            assert f"conf.d/{path.name} " in planned.data["error"]["what"]
            path.unlink() if before is None else path.write_text(before)


def test_what_a_plan_reads_runs_and_goes_back_by_is_part_of_it(
    tmp_path: Path, postgres: Postgres
) -> None:
    """A script is named within a text, an undo in a file of its own, a file through a link: each
    may be edited between a yes and the run."""
    with Yard(tmp_path) as yard:
        here, away = yard.project.directory, tmp_path / "app.conf.1"
        yard.project.env["DATABASE"] = postgres.create_database(f"planned_{os.getpid()}")
        database = {"database": "{{ secrets.database }}", "file": "up.sql"}
        conf = {"from": "app.conf", "to": f"{yard.files}/app.conf"}
        yard.inventory(secrets={"database": {"env": "DATABASE"}})
        yard.runbook(
            {"name": "Migrate", "sql": database, "undo": "\\i down.sql"},
            {"name": "Tell", "run": "sh 'tell it.sh' && ./done", "undo": "python3 untell.py"},
            {"name": "Configure", "upload": conf, "on": "web"},
            settle=[{"name": "Prove it", "verify": "all"}],
            preflight=[{"name": "Ready", "run": "test -e up.sql; ./ready", "readonly": True}],
        )
        read = {
            "up.sql": "SELECT 1;\n",
            "down.sql": "SELECT 2;\n",
            "tell it.sh": "",
            "untell.py": "",
            "ready": "#!/bin/sh",
        }
        for name, text in {**read, "done": "#!/bin/sh"}.items():
            (here / name).write_text(f"{text}\n")
            (here / name).chmod(0o755 if text else 0o644)
        away.write_text("one\n")
        (here / "app.conf").symlink_to(away)
        said = yard.say("plan", "--out", "plan.json")
        assert said.code == 0, said.out + said.err
        edited = [*(here / name for name in read), away]
        whole = {path: path.read_text() for path in edited}
        for path, text in whole.items():
            path.write_text(f"{text}# and more\n")
        said = yard.project.say("deploy", "--plan", "plan.json", "--json")
        assert said.code == 3, said.out
        moved = said.data["error"]["what"]
        for name in (*read, "app.conf"):
            assert f"file {name} has changed" in moved
        for path, text in whole.items():
            path.write_text(text)
        assert yard.project.say("deploy", "--plan", "plan.json").code == 0

"""The first hour with Backout: a directory of one's own, what it finds there, what it leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from backout.restarters import BACKENDS
from support import warm
from support.project import Project, Said

ROOT = Path(__file__).parents[2]


def say(directory: Path, *words: str) -> Said:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "NO_COLOR": "1"}
    return Said(*warm.run(words, directory, env, 60))


# --- whose directory it is -----------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("history",), ("status",), ("plan", "--target", "prod"), ("lint",), ("show", "nothing")],
    ids=lambda words: words[0],
)
def test_a_verb_that_only_looks_leaves_nothing_in_a_foreign_directory(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    say(tmp_path, *words)
    assert list(tmp_path.iterdir()) == []


def test_another_programs_tasks_py_is_not_a_project(tmp_path: Path) -> None:
    outer = Project(tmp_path)
    inner = tmp_path / "app"
    inner.mkdir()
    (inner / "tasks.py").write_text("from celery import shared_task\n")
    outer.inventory("prod", {"hosts": {"here": {"connection": "local"}}})
    assert "1 inventory" in say(inner, "lint").out
    (inner / "tasks.py").write_text("from backout.tasks import ns\n")
    assert "0 inventories" in say(inner, "lint").out


def test_a_plan_leaves_no_file_behind(tmp_path: Path) -> None:
    for name in ("runbooks", "inventories"):
        shutil.copytree(ROOT / name, tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    said = say(tmp_path, "plan", "--target", "local", "--json")
    assert said.code == 0, said.out + said.err
    assert "the first deploy makes it" in " ".join(said.data["notes"])
    assert sorted(tmp_path.rglob("*")) == before


# --- init ----------------------------------------------------------------------------------


def test_init_tells_branch_remote_and_backend_from_what_lies_there(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "trunk", tmp_path], check=True)
    remote = ["git", "-C", str(tmp_path), "remote", "add", "upstream", "https://git.invalid/x.git"]
    subprocess.run(remote, check=True)
    (tmp_path / "ecosystem.config.js").touch()
    said = say(tmp_path, "init")
    assert said.code == 0
    assert "backend: pm2 (told by ecosystem.config.js)" in said.out
    text = (tmp_path / "inventories" / "prod.yaml").read_text()
    assert "backend: pm2" in text
    assert "remote: upstream" in text
    assert "branch: trunk" in text
    assert text.startswith("# yaml-language-server: $schema=")
    schema = Path(text.splitlines()[0].partition("=")[2])
    assert json.loads(schema.read_text())["title"] == "An inventory of Backout"


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_init_writes_for_a_backend_lints_when_its_host_is_filled_in(
    tmp_path: Path, backend: str
) -> None:
    directory = tmp_path / "Größe und Maß"
    directory.mkdir()
    assert say(directory, "init", "--backend", backend).code == 0
    prod = directory / "inventories" / "prod.yaml"
    red = say(directory, "lint")
    assert (red.code, "web1.example.org is a placeholder" in red.err) == (2, True)
    assert prod.read_text().count("example.org") == 1, "nothing else is left to be filled in"
    prod.write_text(prod.read_text().replace("web1.example.org", "203.0.113.11"))
    assert f"backend: {backend}" in prod.read_text()
    planned = say(directory, "plan", "--target", "prod", "--offline")
    assert planned.code == 0, "it lints first"


def test_an_unknown_backend_is_a_mistake_and_nothing_is_written(tmp_path: Path) -> None:
    said = say(tmp_path, "init", "--backend", "pm3")
    assert said.code == 2
    assert said.err.startswith("there is no restart backend 'pm3'; there are: docker, ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lead", [None, "/nowhere/else"])
def test_a_directory_that_is_none_is_said_and_what_was_written_before_too(
    tmp_path: Path, lead: str | None
) -> None:
    """A file, or a link that leads nowhere, has the name of one."""
    place = tmp_path / "runbooks"
    place.symlink_to(lead) if lead else place.touch()
    said = say(tmp_path, "init", "--json")
    assert (said.code, said.data["exit_code"], said.err) == (3, 3, "")
    assert "runbooks is there and no directory" in said.data["error"]["what"]
    assert said.data["state"] == "written: tasks.py"
    place.unlink()
    again = say(tmp_path, "init", "--json")
    assert (again.code, again.data["kept"]) == (0, ["tasks.py"])


@pytest.mark.parametrize("below", ["src", "inventories", "src/deep"])
def test_a_project_inside_another_one_is_made_only_where_that_is_said(
    tmp_path: Path, below: str
) -> None:
    assert say(tmp_path, "init").code == 0
    place = tmp_path / below
    place.mkdir(parents=True, exist_ok=True)
    before = sorted(place.iterdir())
    said = say(place, "init")
    assert (said.code, sorted(place.iterdir())) == (3, before)
    assert f"{tmp_path} is a project of Backout's already" in said.err
    assert f"cd {tmp_path}; or, for a project of its own here: mkdir inventories" in said.err
    (place / "inventories").mkdir()
    assert say(place, "init").code == 0
    assert (place / "runbooks" / "deploy.yaml").is_file()
    assert say(tmp_path, "init").code == 0, "it may be typed again where the project is"


def test_what_another_program_keeps_above_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()  # as Ansible has them
    (tmp_path / "app").mkdir()
    assert say(tmp_path / "app", "init").code == 0


def test_a_directory_that_nobody_may_write_to_is_said(tmp_path: Path) -> None:
    said = say(Path("/proc/self"), "init")
    assert said.code == 3
    assert said.err.startswith("tasks.py cannot be written: ")
    assert "state: nothing was written" in said.err


def test_a_foreign_tasks_py_is_kept_and_what_to_add_is_said(tmp_path: Path) -> None:
    mine = "from invoke import task\n"
    (tmp_path / "tasks.py").write_text(mine)
    said = say(tmp_path, "init")
    assert (tmp_path / "tasks.py").read_text() == mine
    assert "from backout.tasks import ns" in said.out
    assert said.out.splitlines()[-1].endswith("backout lint")


# --- the example ---------------------------------------------------------------------------


def test_the_example_of_a_target_lints_is_planned_whole_and_never_deployed(tmp_path: Path) -> None:
    for name in ("runbooks", "inventories"):
        shutil.copytree(ROOT / name, tmp_path / name)
    assert say(tmp_path, "lint").code == 0
    plan = say(tmp_path, "plan", "--target", "prod", "--offline", "--json")
    assert plan.code == 0, plan.out + plan.err
    assert plan.data["hosts"] == ["web1", "web2", "db1"]
    assert plan.data["next"].startswith("write your own hosts into inventories/prod.yaml")
    for verb in ("plan", "deploy"):
        said = say(tmp_path, verb, "--target", "prod")
        assert (said.code, said.out) == (3, ""), verb
        assert said.err.startswith("prod is an example: its hosts are nobody's machines")
    assert not (tmp_path / ".backout" / "journal.db").exists()

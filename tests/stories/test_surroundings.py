"""What a process is started with: streams that lead nowhere, a directory that is gone, no room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.measured import unmeasured
from support.project import Project

LISTS = pytest.mark.parametrize("words", ["--list", "--help deploy", "--version"])
CLOSED = pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
FULL = "stdout could not be written: No space left on device\n"


def typed(
    words: str,
    streams: str = "",
    directory: Path = Path(),
    *,
    before: str = "",
    out: int | None = subprocess.DEVNULL,
) -> tuple[str, int]:
    """What `backout WORDS` says on stderr, and its exit code; `before` is what its shell does."""
    done = subprocess.run(
        ["sh", "-c", f"{before} exec {sys.executable} -m backout {words} {streams}"],
        cwd=directory,
        env=unmeasured(os.environ),
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stderr, done.returncode


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One host, which is this machine."""
    project = Project(tmp_path / "project")
    checks = {"alive": {"command": "true", "expect": ["exit_code == 0"]}}
    project.inventory("prod", {"hosts": {"here": {"connection": "local"}}, "checks": checks})
    step = {"name": "Act", "run": "echo done >> acted", "undo": "rm acted", "on": "all"}
    settle = [{"name": "Prove it", "verify": "all"}]
    project.runbook("deploy", {"summary": "One step.", "steps": [step], "settle": settle})
    return project


@LISTS
def test_a_reader_who_leaves_a_list_or_a_help_text_sees_no_traceback(words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert typed(words, "", out=writer) == ("", 0)
    finally:
        os.close(writer)


@LISTS
def test_a_list_that_a_full_disk_does_not_take_is_said_not_to_be_there(words: str) -> None:
    assert typed(words, ">/dev/full") == (FULL, 0)


@LISTS
@CLOSED
def test_a_list_that_is_told_to_nobody_is_no_fault(words: str, closed: str) -> None:
    assert typed(words, closed) == ("", 0)


@CLOSED
def test_a_deploy_whose_streams_are_closed_writes_into_no_file_that_took_their_place(
    project: Project, closed: str
) -> None:
    said, code = typed("deploy --target prod --yes", closed, project.directory)
    assert ("Traceback" in said, code) == (False, 0)
    assert project.say("history", "--check").code == 0
    assert "release 1" in project.say("status", "--target", "prod").out


def test_a_deploy_that_a_full_disk_hears_ends_as_what_it_is(project: Project) -> None:
    said, code = typed("deploy --target prod --yes", ">/dev/full", project.directory)
    assert (said.endswith(FULL), code) == (True, 0)


def test_a_directory_that_is_gone_is_said_to_be(project: Project) -> None:
    before = "mkdir gone && cd gone && rmdir ../gone &&"
    said, code = typed("status", directory=project.directory, before=before)
    gone = project.directory / "gone"
    first = "the directory that this was started in cannot be read: No such file or directory"
    assert said.splitlines() == [
        f"{first} ({gone})",
        "state: nothing was touched",
        "next:  the same command, in the project's directory",
    ]
    assert code == 2


@pytest.mark.parametrize("files", [8, 10, 12, 14, 16, 18])
def test_too_few_open_files_are_said_and_leave_nothing_half_done(
    project: Project, files: int
) -> None:
    said, code = typed(
        "deploy --target prod --yes", directory=project.directory, before=f"ulimit -n {files};"
    )
    assert "Traceback" not in said
    assert code == 0 or "Too many open files" in said
    if project.say("resume", "--target", "prod").code == 0 or code == 0:
        assert (project.directory / "acted").read_text() == "done\n"
    else:
        assert not (project.directory / "acted").exists()


@pytest.mark.parametrize("verb", ["deploy", "status", "resume", "plan", "unlock", "verify"])
@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_a_state_directory_that_cannot_be_one_is_refused(
    project: Project, verb: str, place: str
) -> None:
    file = project.directory / "taken"
    file.write_text("somebody's")
    env = {"BACKOUT_STATE": str(project.directory / place)}
    said = project.say(verb, "--target", "prod", env=env)
    assert (said.code, file.read_text()) == (3, "somebody's")
    assert said.err.splitlines()[0].startswith(f"{project.directory / place} cannot be Backout's")
    assert said.err.splitlines()[-1] == "next:  let BACKOUT_STATE name another directory"


def test_where_there_is_no_git_a_runbook_without_it_runs(project: Project, tmp_path: Path) -> None:
    (project.directory / ".git").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if not program.name.startswith("git"):
            (programs / program.name).symlink_to(program)
    said = project.say("deploy", "--target", "prod", "--yes", env={"PATH": str(programs)})
    assert (said.code, said.err) == (0, "")

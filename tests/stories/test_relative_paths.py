"""A relative path begins at the project's directory here, and at the login's home over SSH."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.ssh import SshTransport
from backout.adapters.vault import Vault
from backout.model import Command, Host, Release, Ssh
from backout.runs import release_file
from backout.runs.release_file import HostRecord
from support.project import Project
from support.sshd import SshdBed

HERE = Host(name="here", connection="local")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that is not its operator's home."""
    (tmp_path / "home").mkdir()
    made = Project(tmp_path / "project", {"HOME": str(tmp_path / "home")})
    (made.directory / "sub").mkdir()
    (made.directory / "from.txt").write_text("new")
    return made


@pytest.mark.parametrize("on", [{}, {"on": "web1"}], ids=["this machine", "a local host"])
def test_run_and_upload_agree_on_where_a_relative_directory_is(
    project: Project, on: dict[str, str]
) -> None:
    (project.directory / "sub/up.txt").write_text("old")
    project.inventory("t", {"hosts": {"web1": {"connection": "local"}}, "state": "kept-here"})
    project.runbook(
        "deploy",
        {
            "steps": [
                {"run": "pwd > ran.txt", "undo": "pwd > undone.txt", "cwd": "sub", **on},
                {"upload": {"from": "from.txt", "to": "up.txt"}, "cwd": "sub", **on},
                {"run": "cat up.txt; false", "undo": ":", "cwd": "sub", **on},
            ]
        },
    )
    said = project.say("deploy", "--target", "t", "--json")
    assert said.code == 4, said.out + said.err
    sub = project.directory / "sub"
    assert said.data["failures"][0]["output"] == "new"
    assert (sub / "ran.txt").read_text().strip() == str(sub)
    assert (sub / "undone.txt").read_text().strip() == str(sub)
    assert (sub / "up.txt").read_text() == "old"
    assert list((project.directory.parent / "home").iterdir()) == []


@pytest.mark.parametrize("cwd", ["nowhere", "file", "sub/ü #1"])
def test_a_step_whose_directory_is_not_there_never_began_and_leaves_nothing_to_take_back(
    project: Project, cwd: str
) -> None:
    (project.directory / "file").write_text("")
    project.inventory("t", {"hosts": {"web1": {"connection": "local"}}})
    first = {"run": "touch one", "undo": "rm one", "on": "all"}
    second = {"name": "Build", "run": "touch two", "undo": "rm two", "cwd": cwd, "on": "all"}
    project.runbook("deploy", {"steps": [first, second]})
    said = project.say("deploy", "--target", "t")
    assert said.code == 4, said.out + said.err
    assert f"it has not begun: {cwd} is no directory to be in" in said.out + said.err
    assert not (project.directory / "one").exists()

    made = {"run": f"mkdir -p '{cwd}2'", "undo": f"rmdir '{cwd}2'", "on": "all"}
    there = {**second, "cwd": f"{cwd}2"}
    project.runbook("deploy", {"steps": [first, made, there]})
    (project.directory / "sub").mkdir(exist_ok=True)
    assert project.say("deploy", "--target", "t").code == 0
    assert (project.directory / f"{cwd}2" / "two").exists()


@pytest.mark.parametrize("key", ["", "run/step"], ids=["reading", "changing"])
def test_on_this_machine_a_relative_directory_begins_where_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    here = LocalTransport(HERE, "state", Vault({}))
    assert here.run(Command("pwd", cwd="sub", key=key)).stdout == f"{tmp_path}/sub\n"
    assert here.home == f"{tmp_path}/state"


def test_a_tilde_is_the_home_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my app").mkdir()
    here = LocalTransport(HERE, "~/state", Vault({}))
    assert here.run(Command("pwd", cwd="~/my app")).stdout == f"{tmp_path}/my app\n"
    record = HostRecord().arrived("run", Release(7, "abc"))
    assert release_file.write(here, "~/state", record).ok
    assert (tmp_path / "state/release.json").exists()
    assert release_file.read(here, "~/state") == record


@pytest.mark.parametrize("key", ["", "run/step"], ids=["reading", "changing"])
def test_over_ssh_a_relative_directory_begins_at_the_logins_home(
    sshd_bed: SshdBed, key: str
) -> None:
    bed, given = sshd_bed["web1"], {**sshd_bed.inventory_ssh(), "config": "/dev/null"}
    host = Host(name="web1", address=bed.address, port=bed.port)
    web1 = SshTransport(host, Ssh.model_validate(given), "state", Vault({}))
    try:
        home = web1.run(Command("cd; mkdir -p sub; pwd")).stdout.strip()
        assert web1.run(Command("pwd", cwd="sub", key=key)).stdout == f"{home}/sub\n"
    finally:
        web1.close()

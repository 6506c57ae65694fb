"""Backout's own directories: nobody else may change them, and git never takes them up."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from backout.adapters import environment
from support.sshd import SshdBed
from support.yard import Yard

USER = 12345
"""Whose the application is."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make others' files")


@pytest.fixture
def site(fleet: Yard, bed: SshdBed) -> Path:
    """The application's directory on each host, below which Backout's own lies."""
    site = bed["web1"].home / "site"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir()
    only = {"web1": bed.inventory_hosts()["web1"]}
    fleet.inventory(hosts=only, source={"directory": str(site)})
    fleet.runbook(fleet.step("A"))
    return site


def test_a_directory_that_somebody_else_can_exchange_is_refused_with_the_fix(
    fleet: Yard, site: Path, tmp_path: Path
) -> None:
    os.chown(site, USER, USER)
    said = fleet.deploy()
    assert said.code == 3, said.out + said.err
    assert f"{site} belongs to user {USER}" in said.data["error"]["what"]
    assert "state:" in said.data["error"]["next"]
    assert fleet.effects() == {}
    assert not (site / ".backout").exists()

    fleet.inventory(state=str(tmp_path / "own"))
    assert fleet.deploy().code == 0


def test_notes_that_are_somebody_elses_links_are_never_followed(
    fleet: Yard, site: Path, tmp_path: Path
) -> None:
    own = site / ".backout"
    own.mkdir()
    (own / "notes").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    os.chown(own, USER, USER)
    assert fleet.deploy().code == 3
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("below", ["", "app"])
def test_what_lies_behind_a_link_to_the_live_release_is_no_place_for_it(
    fleet: Yard, site: Path, below: str
) -> None:
    """The link moves in the middle of a run: what went before, and who holds the host, would be
    gone with the way back, and the next one would find the host free."""
    for number in ("41", "42"):
        (site / "releases" / number / below).mkdir(parents=True)
    current = site / "current"
    current.symlink_to("releases/41")
    service = {"name": "api", "backend": "systemd", "directory": str(current / below)}
    fleet.inventory(source=None, service=service)
    move = f"ln -sfn releases/{{}} {current}".format
    fleet.runbook(
        {"name": "Move", "on": "all", "run": move(42), "undo": move(41)},
        {"name": "Fail", "on": "all", "run": "false", "undo": ":"},
    )

    said = fleet.deploy()

    assert said.code == 3, said.out + said.err
    assert f"behind the link {current}" in said.data["error"]["what"]
    assert f"`state:` elsewhere, for example {site}/.backout" in said.data["error"]["next"]
    assert not [*site.rglob(".backout")]

    fleet.inventory(state=f"{site}/.backout")
    said = fleet.deploy()
    assert said.code == 4, said.out + said.err
    assert str(current.readlink()) == "releases/41"


@pytest.mark.parametrize("place", ["disk", "site/disks/app", "site/app-1.2"])
def test_a_link_to_another_disk_is_as_good_as_a_directory(
    fleet: Yard, site: Path, tmp_path: Path, place: str
) -> None:
    disk = site / place.removeprefix("site/") if place.startswith("site/") else tmp_path / place
    disk.mkdir(parents=True)
    (site / "app").symlink_to(disk)
    fleet.inventory(source={"directory": str(site / "app")})

    assert fleet.deploy().code == 0
    assert (disk / ".backout").is_dir()


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_directory_that_others_may_write_is_refused_with_the_fix(
    fleet: Yard, site: Path, mode: int
) -> None:
    own = site / ".backout"
    own.mkdir()
    own.chmod(mode)
    said = fleet.deploy()
    assert said.code == 3, said.out + said.err
    assert said.data["error"]["next"] == f"on web1: chmod go-w {own}"
    own.chmod(0o700)
    assert fleet.deploy().code == 0


def test_the_root_of_a_new_file_system_becomes_private(fleet: Yard, site: Path) -> None:
    own = site / ".backout"
    for directory in (own, fleet.project.state):
        directory.mkdir()
        directory.chmod(0o1777)
    assert fleet.deploy().code == 0
    for directory in (own, fleet.project.state):
        assert directory.stat().st_mode & 0o7777 == 0o700


def test_a_directory_for_everybody_is_nobodys_own_and_stays_as_it_is(
    fleet: Yard, site: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    fleet.inventory(state=str(shared))
    assert fleet.deploy().code == 3
    fleet.project.env["BACKOUT_STATE"] = str(shared)
    assert fleet.deploy().code == 3
    assert shared.stat().st_mode & 0o7777 == 0o1777


def test_a_group_of_others_may_not_write_it_and_ones_own_may(fleet: Yard, site: Path) -> None:
    site.chmod(0o2775)
    assert fleet.deploy().code == 0, "root's own group"
    os.chown(site, 0, USER)
    site.chmod(0o2775)
    assert fleet.deploy().code == 3


# --- this machine ----------------------------------------------------------------------------


def git(yard: Yard, *words: str) -> str:
    directory = str(yard.project.directory)
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", directory, *identity, *words], capture_output=True, text=True, check=False
    )
    return done.stdout


def test_git_never_takes_up_the_journal(yard: Yard) -> None:
    git(yard, "init", "-q")
    yard.runbook(yard.step("A"))
    yard.good_release()
    git(yard, "add", "-A")
    assert ".backout" not in git(yard, "ls-files")


def test_a_journal_that_git_tracks_is_refused_with_the_fix(yard: Yard) -> None:
    yard.runbook(yard.step("A"))
    yard.good_release()
    git(yard, "init", "-q")
    git(yard, "add", "-f", ".backout/journal.db")
    git(yard, "commit", "-qm", "everything")
    said = yard.deploy()
    assert said.code == 3, said.out + said.err
    assert "git tracks files of" in said.data["error"]["what"]
    fix = said.data["error"]["next"].replace("commit", "-c user.name=T -c user.email=t@e commit")
    subprocess.run(["sh", "-c", fix], check=True, capture_output=True)
    assert yard.deploy().code == 0


def test_a_state_that_others_may_write_is_refused(yard: Yard) -> None:
    yard.runbook(yard.step("A"))
    yard.project.state.mkdir()
    yard.project.state.chmod(0o777)
    said = yard.deploy()
    assert said.code == 3, said.out + said.err
    assert said.data["error"]["next"] == f"chmod go-w {yard.project.state}"


@pytest.mark.parametrize("home", ["/", ""])
def test_a_login_without_a_home_is_told_and_nothing_is_written_below_the_root(
    fleet: Yard, bed: SshdBed, tmp_path: Path, home: str
) -> None:
    (bed["web1"].home / ".bashrc").write_text(f"export HOME={home}\n")
    fleet.inventory(hosts={"web1": bed.inventory_hosts()["web1"]})
    fleet.runbook(fleet.step("A"))
    try:
        said = fleet.deploy()
        assert said.code == 3, said.out + said.err
        assert "the login of web1 has no home directory" in said.data["error"]["what"]
        assert "state:" in said.data["error"]["next"]
        assert not Path("/.backout").exists()

        fleet.inventory(state=str(tmp_path / "own"))
        assert fleet.deploy().code == 0
    finally:
        (bed["web1"].home / ".bashrc").unlink()


def test_a_home_that_is_not_said_is_the_one_on_record() -> None:
    """As where a service or `env -i` starts Backout."""
    environ: dict[str, str] = {}
    environment.settle(environ)
    assert environ["HOME"] == pwd.getpwuid(os.getuid()).pw_dir

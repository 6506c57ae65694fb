"""Hosts on which little can be written, or whose logins let everybody write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.disk import small_disk
from support.sshd import SshdBed, SshdHost
from support.yard import Yard


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdBed]:
    with SshdBed(tmp_path_factory.mktemp("bed")) as bed:
        yield bed


@pytest.fixture
def yard(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    with Yard(tmp_path, bed) as yard:
        yard.runbook(yard.step("First"))
        yield yard


@contextmanager
def narrow(host: SshdHost, kind: str) -> Iterator[None]:
    """The directory of Backout's own on a host takes nothing more."""
    with small_disk(host.home / ".backout", host.machine, kilobytes=64, inodes=9) as disk:
        disk.freeze() if kind == "read-only" else disk.fill_with(kind)
        yield


@pytest.mark.parametrize(
    ("kind", "words", "refusal"),
    [
        ("read-only", "{place} cannot be written", "Read-only file system"),
        ("bytes", "the disk at {place} is full", ""),
        ("files", "the disk at {place} has no room for one more file", ""),
    ],
)
def test_a_host_that_no_run_could_take_is_named_by_doctor_too(
    yard: Yard, bed: SshdBed, kind: str, words: str, refusal: str
) -> None:
    told = words.format(place=bed["web2"].home / ".backout")
    with narrow(bed["web2"], kind):
        doctor, deploy = yard.say("doctor"), yard.deploy()
    rows = [row for row in doctor.data["findings"] if row["ok"] is False]
    assert [(row["host"], row["detail"]) for row in rows] == [("web2", told)], doctor.out
    assert (doctor.code, deploy.code) == (3, 3)
    assert (refusal or told) in deploy.data["error"]["what"]
    assert yard.effects() == {}
    assert yard.say("doctor").code == 0


def test_a_step_that_leaves_no_room_for_one_more_file_is_taken_back_when_there_is_some(
    yard: Yard, bed: SshdBed
) -> None:
    place = bed["web2"].home / ".backout"
    eat = f"cd {place}; i=0; while (: >$i) 2>/dev/null; do i=$((i + 1)); done"
    eats = yard.step("Eats", after=f"[ {{{{ host.name }}}} != web2 ] || {{ {eat}; }}")
    yard.runbook(yard.step("First"), eats, yard.step("Third"))
    with small_disk(place, bed["web2"].machine, inodes=99):
        said = yard.deploy()
        assert (said.code, "its note cannot be written" in said.data["reason"]) == (5, True)
        assert yard.effects() == {"First-web2": 1, "Eats-web2": 1}
        assert "resume --target prod" in said.data["next"]
        bed["web2"].machine.run("sh", "-c", f"cd {place}; rm -f [0-9]*")
        resumed = yard.say("resume")
        assert (resumed.code, yard.effects()) == (4, {}), resumed.out + resumed.err


def test_a_directory_that_everybody_may_write_is_named_by_doctor(yard: Yard, bed: SshdBed) -> None:
    open_to_all = bed["web1"].home / "srv"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    yard.inventory(state="srv/.backout")
    doctor, deploy = yard.say("doctor"), yard.deploy()
    assert (doctor.code, deploy.code) == (3, 3)
    for said in (doctor, deploy):
        assert f"others may write {open_to_all}" in said.out
        assert f"chmod go-w {open_to_all}" in said.out


def test_what_is_made_for_a_login_whose_files_everybody_may_write_is_not_refused_later(
    yard: Yard, bed: SshdBed
) -> None:
    for host in bed:
        (host.home / ".bashrc").write_text("umask 000\n")
    yard.inventory(state="made/for/it/.backout")
    for _ in range(2):
        said = yard.deploy()
        assert said.code == 0, said.out + said.err
    assert yard.say("rollback", "--yes").code == 0
    for host in bed:
        made = host.home / "made"
        for place in (made, made / "for", made / "for/it"):
            assert place.stat().st_mode & 0o002 == 0


@pytest.mark.parametrize("backend", ["systemd", "docker", "supervisor"])
def test_a_sudo_that_wants_a_password_is_no_word_about_the_service(
    yard: Yard, bed: SshdBed, tmp_path: Path, backend: str
) -> None:
    words = "sudo: a password is required"
    sudo = tmp_path / "bin/sudo"
    sudo.parent.mkdir()
    sudo.write_text(f"#!/bin/sh\necho '{words}' >&2; exit 1\n")
    sudo.chmod(0o755)
    for host in bed:
        host.configure(SetEnv=f"PATH={sudo.parent}:/usr/bin:/bin")
    yard.inventory(service={"name": "api", "backend": backend, "sudo": True})
    restart = {"name": "Restart", "restart": {}, "on": "web"}
    yard.runbook(yard.step("First"), settle=[restart, {"name": "Prove it", "verify": "all"}])
    doctor, deploy = yard.say("doctor"), yard.deploy()
    for host in bed:
        host.restore()
    (row, _) = (row for row in doctor.data["findings"] if row["ok"] is False)
    assert row["detail"] == f"cannot tell whether it runs: {words}"
    assert "NOPASSWD" in row["fix"]
    assert (doctor.code, deploy.code, yard.effects()) == (3, 3, {})
    assert words in deploy.data["error"]["what"]

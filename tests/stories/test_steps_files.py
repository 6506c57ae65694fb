"""`upload` and `template` over real files, and their way back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backout.errors import Mistakes, Refused
from backout.model import Command, Host, Result, SecretSource, State
from backout.steps import upload as step_upload
from support.tools import system_python
from support.work import Bench, Trial

AWKWARD = ("two words", 'it\'s "quoted"', "übung-✓", "-leading", "$HOME", "a*b", "new\nline")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    for name in ("srv", "home"):
        (tmp_path / name).mkdir()
    return Bench(tmp_path, host=Host(name="web1", connection="local"))


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "srv/app.conf"


def upload(bench: Bench, to: Path, content: bytes = b"new\n", **options: Any) -> Trial:
    origin = bench.directory / "app.conf"
    origin.write_bytes(content)
    return bench.step("upload", {"from": str(origin), "to": str(to), **options})


def about(path: Path) -> tuple[bytes, int, int, int]:
    status = path.stat()
    return path.read_bytes(), status.st_mode & 0o7777, status.st_uid, status.st_gid


def test_a_new_file_arrives_and_its_undo_removes_it(bench: Bench, to: Path) -> None:
    trial = upload(bench, to, b"\x00\xff binary")

    assert trial.act().ok
    assert about(to)[:2] == (b"\x00\xff binary", 0o644)

    for _ in range(2):
        assert trial.undo().ok
        assert list(to.parent.iterdir()) == []


def test_the_file_that_was_there_comes_back_with_its_owner_and_mode(bench: Bench, to: Path) -> None:
    to.write_bytes(b"old \xff\n")
    to.chmod(0o4751)
    if os.geteuid() == 0:
        os.chown(to, 1234, 4321)
        to.chmod(0o4751)
    before = about(to)
    trial = upload(bench, to, mode="0600")

    assert trial.act().ok
    assert about(to) == (b"new\n", 0o600, *before[2:])

    for _ in range(2):
        assert trial.undo().ok
        assert about(to) == before
        assert [path.name for path in to.parent.iterdir()] == [to.name]


def test_without_a_mode_the_file_keeps_the_one_it_replaces(bench: Bench, to: Path) -> None:
    to.write_text("old")
    to.chmod(0o640)

    assert upload(bench, to).act().ok

    assert about(to)[:2] == (b"new\n", 0o640)


@pytest.mark.parametrize("name", AWKWARD)
def test_any_file_name_will_do(bench: Bench, to: Path, name: str) -> None:
    target = to.with_name(name)
    target.write_text("old")
    trial = upload(bench, target)

    assert trial.act().ok
    assert target.read_text() == "new\n"
    assert trial.undo().ok
    assert target.read_text() == "old"


def test_a_link_comes_back_as_a_link(bench: Bench, to: Path) -> None:
    to.with_name("real.conf").write_text("old")
    to.symlink_to("real.conf")
    trial = upload(bench, to)

    assert trial.act().ok
    assert not to.is_symlink()
    assert trial.undo().ok

    assert to.readlink() == Path("real.conf")
    assert to.read_text() == "old"


def test_a_second_attempt_keeps_the_first_file(bench: Bench, to: Path) -> None:
    to.write_text("old")
    trial = upload(bench, to)
    assert trial.act().ok
    assert trial.again().ok

    assert trial.undo().ok

    assert to.read_text() == "old"


@pytest.mark.parametrize("before", [b"old\n", None], ids=["over a file", "a new file"])
def test_what_was_changed_by_hand_since_is_kept_beside_what_comes_back(
    bench: Bench, to: Path, before: bytes | None
) -> None:
    if before is not None:
        to.write_bytes(before)
    trial = upload(bench, to)
    assert trial.act().ok
    to.write_bytes(b"new\nby hand\n")

    undone = trial.undo()

    kept = to.with_name(f"{to.name}.{trial.work.run}")
    assert undone.ok
    assert undone.stdout == f"{to.name} was changed since: that is kept as {kept.name}\n"
    assert kept.read_bytes() == b"new\nby hand\n"
    assert (to.read_bytes() if to.exists() else None) == before
    assert trial.undo().ok
    assert sorted(to.parent.iterdir()) == sorted([kept, *([to] if before is not None else [])])


def test_the_undo_of_an_upload_that_never_ran_changes_nothing(bench: Bench, to: Path) -> None:
    trial = upload(bench, to)
    trial.before()
    to.write_text("somebody made it meanwhile")

    assert trial.undo().ok

    assert to.read_text() == "somebody made it meanwhile"


def put_and_killed(trial: Trial) -> None:
    """The new file is on the machine, and the deployer died."""

    def die(command: Command) -> Result:
        raise KeyboardInterrupt(command.key)

    transport: Any = trial.work.transport
    trial.before()
    transport.run, run = die, transport.run
    with pytest.raises(KeyboardInterrupt):
        trial.kind.act(trial.work)
    transport.run = run


def waiting(bench: Bench) -> list[Path]:
    """What has arrived and has no place yet."""
    return sorted((bench.directory / "home").glob("put-*"))


def beside(to: Path) -> list[str]:
    return sorted(path.name for path in to.parent.iterdir() if path.name != to.name)


def test_what_a_crash_left_on_the_machine_goes_with_the_undo_and_with_the_next_attempt(
    bench: Bench, to: Path
) -> None:
    to.write_text("old")
    undone, resumed = upload(bench, to), upload(bench, to)
    put_and_killed(undone)
    put_and_killed(resumed)
    assert len(waiting(bench)) == 2
    assert resumed.again().ok
    assert len(waiting(bench)) == 1, "another action's file is not this one's to remove"
    assert undone.undo().ok
    assert waiting(bench) == []
    assert beside(to) == []


def test_what_never_got_its_place_is_removed_when_that_is_found_out(bench: Bench, to: Path) -> None:
    trial = upload(bench, to)
    put_and_killed(trial)
    assert len(waiting(bench)) == 1
    assert trial.recall() is None
    assert waiting(bench) == []


@pytest.mark.parametrize("at", ["fill", "mv"])
def test_killed_while_it_gets_its_place_it_leaves_nothing_beside_it(
    bench: Bench, to: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    to.write_text("old")
    trial = upload(bench, to)
    die = {"fill": '  chmod "$mode" "$new"', "mv": '  mv -f -T -- "$stage/$new"'}[at]
    script = step_upload._script
    monkeypatch.setattr(
        step_upload,
        "_script",
        lambda *given: script(*given).replace(die, "  kill -9 0;"),
    )
    assert not trial.act().ok
    assert len(beside(to)) == 1
    monkeypatch.undo()
    assert trial.undo().ok
    assert beside(to) == []
    assert to.read_text() == "old"


def test_two_uploads_of_one_file_meet_nowhere_but_at_the_rename(bench: Bench, to: Path) -> None:
    stopped, other = upload(bench, to, b"stopped\n"), upload(bench, to, b"other\n")
    put_and_killed(other)
    (ours,) = waiting(bench)
    put_and_killed(stopped)
    assert ours.read_bytes() == b"other\n"
    assert other.again().ok
    assert to.read_bytes() == b"other\n"


def test_what_could_not_be_put_in_place_is_not_left_beside_it(bench: Bench, to: Path) -> None:
    trial = upload(bench, to)
    trial.before()
    to.mkdir()
    assert trial.kind.act(trial.work).state is State.FAILED
    assert (beside(to), waiting(bench)) == ([], [])


SWAPPER = """
import os, sys
folder, victim = sys.argv[1:]
os.chdir(folder)
print("ready", flush=True)
number = 0
while True:
    for name in os.listdir("."):
        if ".backout" not in name:
            continue
        number += 1
        try:
            os.rename(name, f"taken{number}")
            os.symlink(victim, name)
        except OSError:
            pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes modes and owners of others")
@pytest.mark.parametrize("victim", ["file", "folder"])
def test_who_owns_the_folder_cannot_have_another_files_mode_or_owner_changed(
    bench: Bench, to: Path, victim: str
) -> None:
    secret = bench.directory / "secret"
    secret.mkdir(mode=0o700)
    (secret / to.name).write_text("root's alone")
    (secret / to.name).chmod(0o600)
    for folder in to.parents:
        if folder.stat().st_mode & 0o7777 == 0o700:
            folder.chmod(0o755)
    os.chown(to.parent, 12345, 12345)
    aim = {"file": secret / to.name, "folder": secret}[victim]
    words = [system_python(), "-c", SWAPPER, str(to.parent), str(aim)]
    with subprocess.Popen(words, user=12345, stdout=subprocess.PIPE, text=True) as swapper:
        assert swapper.stdout is not None
        assert swapper.stdout.readline() == "ready\n"
        for number in range(12):
            to.write_text("old")
            os.chown(to, 12345, 12345)
            trial = upload(bench, to, f"{number}".encode(), mode="0666")
            trial.act()
            trial.undo()
        swapper.kill()
    assert about(secret / to.name) == (b"root's alone", 0o600, 0, 0)
    assert [path.name for path in secret.iterdir()] == [to.name]


def test_a_crash_after_the_upload_is_recalled(bench: Bench, to: Path) -> None:
    trial = upload(bench, to)
    trial.act()

    recalled = trial.recall()

    assert recalled is not None
    assert recalled.ok


def test_what_is_kept_is_readable_by_its_owner_alone(bench: Bench, to: Path) -> None:
    to.write_text("old")
    trial = upload(bench, to)
    trial.act()

    kept = bench.directory / "home/kept"
    assert [path.read_text() for path in kept.iterdir() if path.suffix != ".put"] == ["old"]
    assert kept.stat().st_mode & 0o777 == 0o700


def test_on_this_machine_the_old_file_is_kept_in_the_projects_state(
    bench: Bench, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.host = None
    monkeypatch.setenv("BACKOUT_STATE", str(bench.directory / "state"))
    to.write_text("old")
    trial = upload(bench, to)

    assert trial.act().ok
    kept = (bench.directory / "state/kept").iterdir()
    assert [path.read_text() for path in kept if path.suffix != ".put"] == ["old"]
    assert trial.undo().ok

    assert to.read_text() == "old"


def test_a_directory_a_missing_folder_and_a_missing_file_are_refused(
    bench: Bench, to: Path
) -> None:
    to.mkdir()
    with pytest.raises(Refused, match=r"app\.conf on here: it is a directory"):
        upload(bench, to).before()
    with pytest.raises(Refused, match="does not exist, or is no directory"):
        upload(bench, to.parent / "nowhere/app.conf").before()
    with pytest.raises(Refused, match=r"missing\.conf on this machine: No such file"):
        bench.step("upload", {"from": str(to.parent / "missing.conf"), "to": "x"}).before()


def test_a_pipe_and_a_name_that_no_file_has_are_refused(bench: Bench, to: Path) -> None:
    os.mkfifo(pipe := to.parent / "pipe")
    with pytest.raises(Refused, match="pipe on this machine is no file"):
        bench.step("upload", {"from": str(pipe), "to": str(to)}).before()
    with pytest.raises(Refused, match="at most 255 bytes"):
        upload(bench, to.with_name("é" * 128)).before()


def test_a_machine_that_cannot_take_the_file_fails_in_words(bench: Bench, to: Path) -> None:
    trial = upload(bench, to)
    trial.before()
    to.parent.rmdir()

    result = trial.kind.act(trial.work)

    assert result.state is State.FAILED
    assert result.reason.endswith("srv cannot be entered")


def test_a_template_is_filled_in_and_its_secrets_are_for_its_owner_alone(
    bench: Bench, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2hunter2")
    bench.secrets = {"password": SecretSource(env="DB_PASSWORD")}
    bench.render = lambda text: text.replace("{{ secrets.password }}", "\ue000password\ue001")
    origin = bench.directory / "app.conf.j2"
    origin.write_text("password = {{ secrets.password }}\n")
    trial = bench.step("template", {"from": str(origin), "to": str(to)})

    assert trial.act().ok

    assert about(to)[:2] == (b"password = hunter2hunter2\n", 0o600)
    assert "hunter2" not in trial.way_back.text
    assert trial.undo().ok
    assert not to.exists()


def test_a_template_without_secrets_is_an_ordinary_file(bench: Bench, to: Path) -> None:
    origin = bench.directory / "app.conf.j2"
    origin.write_text("port = {{ port }}\n")
    bench.render = lambda text: text.replace("{{ port }}", "80")

    assert bench.step("template", {"from": str(origin), "to": str(to)}).act().ok

    assert about(to)[:2] == (b"port = 80\n", 0o644)


def test_a_template_that_cannot_be_filled_in_is_refused_before_it_acts(
    bench: Bench, to: Path
) -> None:
    def undefined(text: str) -> str:
        raise Mistakes(f"{text} is undefined")

    bench.render = undefined
    origin = bench.directory / "app.conf.j2"
    origin.write_bytes(b"{{ nobody }}")
    with pytest.raises(Mistakes, match="nobody }} is undefined"):
        bench.step("template", {"from": str(origin), "to": str(to)}).act()
    origin.write_bytes(b"\xff")
    with pytest.raises(Refused, match="is not UTF-8 text"):
        bench.step("template", {"from": str(origin), "to": str(to)}).act()
    assert not to.exists()

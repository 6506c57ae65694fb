"""Each fault of the table in docs/proof.md, brought about on real parts; the page says what became
of it."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.disk import small_disk
from support.fault_table import held, rows
from support.git_origin import GitOrigin
from support.project import Said
from support.sshd import SshdBed
from support.takeover import expire
from support.tools import program
from support.warm import Started
from support.yard import Yard


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdBed]:
    with SshdBed(tmp_path_factory.mktemp("bed")) as bed:
        yield bed


@pytest.fixture
def pair(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Two hosts, each a batch of its own; the second step waits until it is let go."""
    with Yard(tmp_path, bed) as yard:
        yard.runbook(yard.step("First"), yard.step("Second", before=yard.hold()))
        yield yard
        for host in bed:
            host.restore()


def ended(process: Started) -> Said:
    out, err = process.communicate(timeout=120)
    assert process.returncode is not None
    return Said(process.returncode, out, err)


# --- links and machines ----------------------------------------------------------------------


def test_sessions_that_are_killed_in_mid_command(pair: Yard, bed: SshdBed) -> None:
    process = pair.start()
    pair.busy("Second-web1")
    bed["web1"].kill_sessions()
    pair.let_go()
    held("a host's SSH sessions are killed in mid-command", ended(process))
    assert pair.effects() == {f"{s}-{h}": 1 for s in ("First", "Second") for h in ("web1", "web2")}


def test_a_server_that_goes_away_in_mid_command_and_comes_back(pair: Yard, bed: SshdBed) -> None:
    process = pair.start()
    pair.busy("Second-web1")
    process.send_signal(signal.SIGSTOP)  # it looks again only when the server is back
    bed["web1"].stop()
    bed["web1"].kill_sessions()
    bed["web1"].start()
    process.send_signal(signal.SIGCONT)
    pair.let_go()
    held("the link is cut in mid-command, and heals", ended(process))


def test_a_server_that_goes_away_in_mid_command_for_good(pair: Yard, bed: SshdBed) -> None:
    process = pair.start()
    pair.busy("Second-web1")
    bed["web1"].stop()
    bed["web1"].kill_sessions()
    pair.let_go()
    said = ended(process)
    bed["web1"].start()
    held("the link is cut in mid-command, and stays down", said, pair.say("resume"))
    assert pair.effects() == {}


def test_a_host_that_loses_power_in_batch_two(pair: Yard, bed: SshdBed) -> None:
    waits = f"test {{{{ host.name }}}} = web1 || {{ {pair.hold()}; }}"
    pair.runbook(pair.step("First"), pair.step("Second", before=waits))
    process = pair.start()
    pair.busy("Second-web2")
    bed["web2"].power_cut()
    said = ended(process)
    bed["web2"].start()
    held("a host loses its power in batch 2", said, pair.say("resume"))
    assert pair.effects() == {}


def test_a_server_that_is_stopped_before_the_run(pair: Yard, bed: SshdBed) -> None:
    usual = pair.changes.get("ssh", pair.plain()["ssh"])
    pair.inventory(ssh={**usual, "connect_timeout": "5s"})
    bed["web2"].freeze()
    held("a host's sshd is stopped (SIGSTOP)", pair.deploy())
    pair.inventory(ssh=usual)
    bed["web2"].thaw()
    assert pair.effects() == {}
    pair.let_go()
    assert pair.deploy().code == 0, "nothing stays open after a refusal"


def test_a_host_key_that_changes_in_mid_run(pair: Yard, bed: SshdBed) -> None:
    process = pair.start()
    pair.busy("Second-web1")
    bed["web2"].change_host_key()
    bed["web2"].kill_sessions()
    pair.let_go()
    held("a host's key changes in mid-run", ended(process))
    bed.pin_keys()
    assert pair.effects() == {}


def test_one_session_and_no_more(pair: Yard, bed: SshdBed) -> None:
    bed["web1"].configure(MaxSessions=1)
    pair.let_go()
    held("a host takes one session at a time (MaxSessions)", pair.deploy())


def test_a_server_that_takes_no_more_logins(pair: Yard, bed: SshdBed) -> None:
    bed["web1"].configure(MaxStartups="1:100:1")
    with socket.create_connection((bed["web1"].address, bed.port)) as waits:
        waits.recv(16)
        held("a host takes no more logins (MaxStartups)", pair.deploy())
    assert pair.effects() == {}


# --- disks and clocks ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["a host's disk is full", "a host's disk is read-only"])
def test_a_disk_that_takes_nothing(pair: Yard, bed: SshdBed, fault: str) -> None:
    host = bed["web2"]
    with small_disk(host.home / ".backout", host.machine, kilobytes=256) as disk:
        disk.fill() if "full" in fault else disk.freeze()
        held(fault, pair.deploy())
    assert pair.effects() == {}


def test_a_clock_that_is_an_hour_ahead(pair: Yard, bed: SshdBed, tmp_path: Path) -> None:
    later, asked = tmp_path / "bin/date", tmp_path / "asked"
    later.parent.mkdir()
    real = program("date")
    later.write_text(
        f'#!/bin/sh\n[ "$1" != -r ] || exec {real} "$@"\n'
        f'echo "$@" >>{asked}; exec {real} -d "1 hour" "$@"\n'
    )
    later.chmod(0o755)
    bed["web1"].configure(SetEnv=f"PATH={later.parent}:/usr/bin:/bin")
    process = pair.start()
    pair.busy("Second-web1")
    assert pair.elsewhere().deploy().code == 7, "it is held all the same"
    assert asked.read_text()
    pair.let_go()
    held("a host's clock is an hour ahead", ended(process))


def test_state_on_a_full_disk(yard: Yard) -> None:
    filler = yard.project.state / "filler"
    fill = {"name": "Fill", "run": f"cat /dev/zero > {filler} || true", "retry_safe": True}
    yard.runbook(yard.step("First"), {**fill, "undo": f"rm -f {filler}"}, yard.step("Second"))
    with small_disk(yard.project.state, kilobytes=2048):
        said = yard.deploy()
        assert "resume --target prod" in said.data["error"]["next"]
        filler.unlink()
        held("the disk under the journal gets full in mid-run", said, yard.say("abort"))
    assert yard.effects() == {}


def test_a_journal_of_a_newer_version(yard: Yard) -> None:
    yard.runbook(yard.step("First"))
    yard.good_release()
    with closing(sqlite3.connect(yard.project.state / "journal.db")) as db:
        db.execute("PRAGMA user_version = 999")
    held("the journal is of a newer version", yard.deploy())
    assert yard.effects() == {"First-here": 1}


# --- git ---------------------------------------------------------------------------------------


@pytest.fixture
def shipped(yard: Yard, git_origin: GitOrigin) -> Yard:
    yard.inventory(source={"repository": str(git_origin.copy)})
    steps = [{"name": "Commit", "commit": {"message": "Ship"}}, {"name": "Push", "push": {}}]
    yard.runbook(*steps, yard.step("Then", on=None, before=yard.hold(), after="false"))
    git_origin.good_change()
    return yard


def colleague(origin: GitOrigin, directory: Path, name: str) -> None:
    """Somebody else publishes a change of a file."""
    clone = origin.clone(directory / "colleague")
    (clone / name).write_text("theirs\n")
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid")
    for words in (("add", "-A"), (*who, "commit", "-q", "-m", "Theirs"), ("push", "-q")):
        origin._git_in(clone, *words)


def test_a_remote_that_moved_on(shipped: Yard, git_origin: GitOrigin, tmp_path: Path) -> None:
    colleague(git_origin, tmp_path, "OTHER")
    held("the remote moved on before the push", shipped.deploy())


def test_a_revert_that_conflicts(shipped: Yard, git_origin: GitOrigin, tmp_path: Path) -> None:
    process = shipped.start()
    shipped.busy("Then")
    colleague(git_origin, tmp_path, "RELEASE")
    shipped.let_go()
    held("the revert conflicts with what was pushed since", ended(process), shipped.say("resume"))


def test_a_hook_that_fails(shipped: Yard, git_origin: GitOrigin) -> None:
    hook = git_origin.origin / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    held("a hook of the remote says no", shipped.deploy())


# --- services, undos, people -------------------------------------------------------------------


def test_health_that_flaps(yard: Yard) -> None:
    look = f"test ! -e {yard.files}/First-here || {{ echo x >> {yard.project.directory}/looks; "
    look += f"test $(( $(wc -l < {yard.project.directory}/looks) % 2 )) = 0; }}"
    yard.inventory(checks={"flaps": {"command": look, "expect": ["exit_code == 0"]}})
    yard.runbook(yard.step("First"))
    held("a check flaps once the new code runs", yard.deploy())
    assert yard.effects() == {}


def test_a_restart_that_hangs(yard: Yard) -> None:
    hangs = f"test ! -e {yard.files}/First-here || sleep 100"
    restart = {"name": "Restart", "run": hangs, "timeout": "1s"}
    yard.runbook(yard.step("First"), settle=[restart, {"name": "Prove", "verify": "all"}])
    held("a restart hangs", yard.deploy())
    assert yard.effects() == {}


def test_an_undo_that_fails(yard: Yard) -> None:
    first = yard.step("First")
    mended = yard.files.parent / "mended"
    undo = f"test -e {mended} && {first['undo']}"
    yard.runbook({**first, "undo": undo}, yard.step("Second", after="false"))
    said = yard.deploy()
    mended.touch()
    held("an undo fails", said, yard.say("resume"))
    assert yard.effects() == {}


def test_two_laptops(pair: Yard) -> None:
    process = pair.start()
    pair.busy("Second-web1")
    held("a second laptop deploys meanwhile", pair.elsewhere().deploy())
    pair.let_go()
    assert ended(process).code == 0


def test_an_owner_that_was_suspended_until_its_lease_was_taken(pair: Yard) -> None:
    process = pair.start()
    pair.busy("Second-web1")
    process.send_signal(signal.SIGSTOP)
    pair.let_go()
    expire(pair)
    other = pair.elsewhere()
    taken = other.say("unlock", "--yes")
    assert taken.code == 0, taken.out + taken.err
    process.send_signal(signal.SIGCONT)
    held("the lease expires while its owner is suspended, and is taken", ended(process))


def test_every_row_of_the_table_is_held_by_a_story() -> None:
    named = set(re.findall(r'"(.+?)"', Path(__file__).read_text()))
    assert [fault for fault in rows() if fault not in named] == []

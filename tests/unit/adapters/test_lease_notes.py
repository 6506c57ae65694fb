"""What a host is found with and left with as a run takes it. Real leases, on hosts that are
directories here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backout.adapters.lease import FEW, SPARE, LeaseLock
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import Command, Host, Result, State
from support.folders import Folders

RUN = "run-7"
LONG_AGO = 1_000_000_000


class Silent(LocalTransport):
    """A host that does what it is asked, and whose next answer is lost."""

    loses = True

    def run(self, command: Command) -> Result:
        result = super().run(command)
        lost, self.loses = self.loses, False
        return Result(State.UNKNOWN, reason="the link broke") if lost else result


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path, ("web1",))


def takes(folders: Folders, run: str = RUN) -> None:
    with LeaseLock("prod").hold(folders.transports(), run):
        pass


@pytest.mark.parametrize("changed", [True, False])
def test_who_was_not_told_that_it_has_a_host_lets_it_go_unless_it_is_half_done(
    folders: Folders, changed: bool
) -> None:
    host = Silent(Host(name="web1"), str(folders.home("web1")), Vault({}))
    with (
        pytest.raises(Refused, match="the lock of web1 cannot be taken: the link broke"),
        LeaseLock("prod").hold([host], RUN, changed=lambda: changed),
    ):
        pytest.fail("held what nobody said was taken")
    assert folders.locked() == (["web1"] if changed else [])


def test_room_for_the_way_back_is_set_aside(folders: Folders) -> None:
    takes(folders)
    assert (folders.home("web1") / "notes" / RUN / "spare").stat().st_size == SPARE


@pytest.mark.parametrize("others", [FEW - 1, FEW])
def test_old_notes_of_other_runs_go_when_they_are_many(folders: Folders, others: int) -> None:
    notes = folders.home("web1") / "notes"
    takes(folders, "young")
    for number in range(others - 1):
        old = notes / f"old-{number}"
        old.mkdir()
        os.utime(old, (LONG_AGO, LONG_AGO))
    takes(folders)
    left = {path.name for path in notes.iterdir()}
    assert {RUN, "young"} <= left
    assert len(left) == (others + 1 if others < FEW else 2)


def test_what_a_shell_left_that_was_killed_as_it_prepared_a_lease_goes_when_it_is_old(
    folders: Folders,
) -> None:
    takes(folders, "before")
    home = folders.home("web1")
    old, young = (home / f"lock.{token}.web1" for token in ("0ld", "y0ung"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "owner").write_text("somebody\n")
    os.utime(old, (LONG_AGO, LONG_AGO))
    takes(folders)
    assert not old.exists()
    assert young.exists(), "whose it is may be preparing it right now"

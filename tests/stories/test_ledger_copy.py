"""What `ledger.copy` takes is whole: nothing is run here while it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.local_lock import LocalLock
from backout.adapters.storage import moving
from backout.adapters.storage.postgres.journal import PostgresJournal
from support.journals import empty_ledger
from support.postgres import Postgres
from support.yard import Yard


@pytest.fixture
def yard(tmp_path: Path, postgres: Postgres) -> Iterator[Yard]:
    with Yard(tmp_path) as yard:
        yard.runbook(yard.step("One"))
        yard.good_release()
        yard.project.env["BACKOUT_LEDGER"] = empty_ledger(postgres)
        yield yard


def test_no_run_of_a_target_ends_or_begins_between_the_look_at_it_and_its_copy(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ended in between would be in the ledger as unfinished."""
    held: dict[str, bool] = {}
    pack, take = moving.pack, PostgresJournal.take_copy

    def seen(name: str) -> None:
        held[name] = LocalLock(yard.project.state, "prod").holder() is not None

    def packed(*words: Any, **keys: Any) -> Any:
        seen("when it was looked at last")
        return pack(*words, **keys)

    def taken(*words: Any) -> Any:
        seen("when it was copied")
        return take(*words)

    monkeypatch.setattr(moving, "pack", packed)
    monkeypatch.setattr(PostgresJournal, "take_copy", taken)
    copied = yard.project.say("ledger.copy", "--json")
    assert (copied.code, copied.data["runs"]) == (0, 1), copied.out + copied.err
    assert held == {"when it was looked at last": True, "when it was copied": True}
    assert LocalLock(yard.project.state, "prod").holder() is None


def test_while_a_run_is_at_work_here_nothing_is_copied(yard: Yard) -> None:
    address = yard.project.env.pop("BACKOUT_LEDGER")
    yard.runbook(yard.step("Slow", before=yard.hold()))
    process = yard.start()
    yard.busy("Slow-here")
    yard.project.env["BACKOUT_LEDGER"] = address
    copied = yard.project.say("ledger.copy", "--json")
    assert (copied.code, copied.data["state"]) == (7, "nothing was copied")
    yard.let_go()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert yard.project.say("ledger.copy", "--json").data["runs"] == 2

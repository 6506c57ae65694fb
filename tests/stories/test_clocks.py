"""Clocks that are wrong: where several machines share a ledger its clock decides, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.adapters.storage.postgres.store import PostgresStore
from support.journals import empty_ledger
from support.office import Office
from support.postgres import Postgres

HOUR = timedelta(hours=1)


@pytest.fixture
def office(tmp_path: Path, postgres: Postgres) -> Iterator[Office]:
    office = Office(tmp_path)
    with office:
        office.runbook(office.step("One"))
        office.project.env["TEAM_LEDGER"] = empty_ledger(postgres)
        (office.project.directory / "backout.yaml").write_text("ledger: {secret: TEAM_LEDGER}\n")
        yield office


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the ledger's clock be ahead of this machine's, which is behind."""

    def by(apart: timedelta) -> None:
        monkeypatch.setattr(PostgresStore, "clock", lambda _: datetime.now(UTC) + apart)

    return by


def window(start: timedelta, end: timedelta) -> dict[str, str]:
    now = datetime.now(UTC)
    return {"from": (now + start).isoformat(), "until": (now + end).isoformat(), "why": "holidays"}


def test_the_ledger_tells_the_time_and_a_file_that_of_its_machine(
    postgres: Postgres, tmp_path: Path
) -> None:
    def wrong() -> datetime:
        return datetime.now(UTC) - 1000 * HOUR

    with PostgresJournal(Address(empty_ledger(postgres)), str, now=wrong) as shared:
        assert abs(shared.clock() - datetime.now(UTC)) < 10 * HOUR
    with SqliteJournal(tmp_path / "journal.db", str, now=wrong) as alone:
        assert datetime.now(UTC) - alone.clock() > 900 * HOUR


def test_a_freeze_holds_by_the_clock_of_the_ledger(office: Office, ahead: Any) -> None:
    office.inventory(protected=False, freeze=[window(10 * HOUR, 30 * HOUR)])
    assert office.deploy().code == 0
    ahead(20 * HOUR)
    said = office.deploy()
    assert (said.code, "prod is frozen until" in said.data["error"]["what"]) == (3, True), said.out
    assert "holidays" in office.say("status").data["frozen"]
    assert office.say("plan").code == 3
    ahead(40 * HOUR)
    assert office.deploy().code == 0


def test_a_yes_holds_as_long_as_the_clock_of_the_ledger_says(office: Office, ahead: Any) -> None:
    office.inventory(protected={"approvals": 1, "expires": "20h"})
    run = office.ask()
    assert office.by("bob", "approve", run, "--yes").code == 0
    ahead(30 * HOUR)
    assert office.ask() != run
    assert office.effects() == {}
    ahead(-30 * HOUR)
    assert office.deploy("--yes").code == 0  # asked by it, and used by it


def test_a_rehearsal_counts_by_the_clock_of_the_ledger(office: Office, ahead: Any) -> None:
    office.inventory(protected=False, rehearsed={"within": "20h"})
    assert office.say("rehearse", "--yes").code == 0
    assert office.deploy().code == 0
    ahead(30 * HOUR)
    said = office.deploy()
    assert (said.code, "20h00m are allowed" in said.data["error"]["what"]) == (3, True), said.out
    ahead(-30 * HOUR)
    said = office.deploy()
    assert (said.code, "which is still to come" in said.data["error"]["what"]) == (3, True)

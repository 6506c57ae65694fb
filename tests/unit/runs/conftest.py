"""Runs of a whole engine over the world in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.storage.journal import SqliteJournal
from backout.model import Release, Runbook
from backout.runs import release_file
from backout.runs.release_file import HostRecord
from support.ways import Begin
from support.world import HOSTS, Deployer, World, runbook

names = itertools.count()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path_factory.mktemp("ways") / "journal.db", str) as journal:
        yield journal


@pytest.fixture
def begin(journal: SqliteJournal, tmp_path: Path) -> Begin:
    def begin(max_failures: int = 0, *, book: Runbook | None = None, **world: Any) -> Deployer:
        place = tmp_path / str(next(names))
        place.mkdir()
        run = f"r{next(names)}"
        made = Deployer(World(place, **world), journal, run, max_failures, book or runbook())
        for name in HOSTS:
            record = HostRecord().arrived(f"{run}-before", Release(1))
            release_file.write(made.world.reach(name), "~/state", record)
        return made

    return begin

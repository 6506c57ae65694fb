"""Where the history of checks lies: in a file of this working copy, or in the team's ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backout.adapters.storage.health_store import HealthStore
from backout.adapters.storage.health_tables import HealthTables
from backout.ports import Posts, Questions
from backout.project.project import Workplace
from backout.watch import rollups

if TYPE_CHECKING:
    from backout.adapters.storage.postgres.health import PostgresHealth

FILE = "health.db"


def is_there(workplace: Workplace) -> bool:
    """Whether anything may be known: nobody makes it by looking."""
    return workplace.journal.shared or (workplace.state / FILE).exists()


def open_store(workplace: Workplace, redact: Callable[[str], str]) -> HealthTables:
    """The history of checks of a workplace. Raises Refused."""
    if address := workplace.shared.address():
        return workplace.shared.health(address, redact, rollups.fold)
    return HealthStore(workplace.state / FILE, redact, rollups.fold)


def here(workplace: Workplace) -> HealthStore | None:
    """The file of this working copy, whatever the team has; None where there is none. Raises
    Refused and Damaged."""
    file = workplace.state / FILE
    return HealthStore(file, workplace.redact, rollups.fold) if file.exists() else None


def posts_of(workplace: Workplace, store: HealthTables, apart: str = "") -> Posts | None:
    """Who watches which target, where others may have the same history. `apart` tells a process
    from others of this working copy that may watch at the same time."""
    team = _of_team(store)
    return workplace.shared.posts(team, workplace.state, apart) if team else None


def questions_of(store: HealthTables) -> Questions | None:
    """What zones are asked, where there may be workers."""
    if (team := _of_team(store)) is None:
        return None
    from backout.adapters.storage.postgres.questions import Questions as Asked

    return Asked(team)


def _of_team(store: HealthTables) -> PostgresHealth | None:
    """The same, where others may write to it."""
    if not store.shared:
        return None
    from backout.adapters.storage.postgres.health import PostgresHealth

    assert isinstance(store, PostgresHealth)  # noqa: S101 - no other one is shared
    return store

"""Runs, as a test writes them into a journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from backout.adapters.storage.journal import RunJournal
from backout.errors import BackoutError
from backout.model import Release

NOW = datetime(2024, 1, 30, 20, 0, tzinfo=UTC)


def opened(journal: RunJournal, id: str, target: str = "prod", verb: str = "deploy") -> str:
    journal.open_run(id, target, verb, "deploy", {"steps": ["a"]}, "ann@laptop", NOW, {"yes": True})
    return id


def closed(journal: RunJournal, id: str, outcome: str = "succeeded", code: int = 0) -> None:
    journal.close_run(id, outcome, code, {"run": id}, NOW + timedelta(minutes=1))


def released(journal: RunJournal, id: str, commit: str, *, known_good: bool = True) -> int:
    """A whole run that changes something and makes a release."""
    opened(journal, id)
    journal.begin(id, "step", {})
    number = journal.next_number("prod")
    journal.finish(id, "succeeded", {}, release=Release(number, commit), known_good=known_good)
    closed(journal, id)
    return number


def rolled_back(journal: RunJournal, id: str, to: int) -> None:
    opened(journal, id, verb="rollback")
    journal.begin(id, "undo", {})
    journal.finish(id, "succeeded", {}, restored=to)
    closed(journal, id)


def all_at_once(calls: Sequence[Callable[[], object]]) -> list[object]:
    """What each call returned or raised, all made at the same time."""
    outcomes: list[object] = []
    threads = [started(outcomes, call) for call in calls]
    for thread in threads:
        thread.join()
    return outcomes


def started(outcomes: list[object], call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            outcomes.append(call())
        except BackoutError as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread

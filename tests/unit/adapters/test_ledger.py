"""The ledger over a long past: what is asked of it is found, and found by an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backout.adapters.storage.journal import RunJournal, SqliteJournal
from backout.errors import Mistakes
from backout.model import Release
from support.journals import Place, place

__all__ = ["place"]

NOW = datetime(2024, 1, 30, 20, 0, tzinfo=UTC)
UPDATE = {"runbook": {"steps": [{"kind": "run"}, {"kind": "update"}]}}
NO_UPDATE = {
    "runbook": {"steps": [{"kind": "run"}]},
    "target": {"vars": {"kind": "update"}},  # the same words, which are no step
}


@pytest.fixture
def journal(place: Place) -> RunJournal:
    return place()


def released(
    journal: RunJournal,
    run: str,
    *,
    hosts: tuple[str, ...] = (),
    plan: Mapping[str, object] = NO_UPDATE,
    target: str = "prod",
) -> int:
    journal.open_run(run, target, "deploy", "deploy", plan, "ann", NOW, {})
    journal.begin(run, "step", {})
    number = journal.next_number(target)
    release = Release(number, f"c{number:07}")
    journal.finish(run, "succeeded", {}, release=release, known_good=True, covers=hosts)
    journal.close_run(run, "succeeded", 0, {}, NOW)
    return number


def numbers(journal: RunJournal, *hosts: str, **which: object) -> dict[str, int]:
    rows = journal.newest_on("prod", hosts, **which)  # type: ignore[arg-type]
    return {host: row.number for host, row in rows.items()}


def test_each_host_has_the_newest_release_in_force_that_was_brought_to_it(
    journal: RunJournal,
) -> None:
    released(journal, "all", plan=UPDATE)
    released(journal, "one", hosts=("a",))
    released(journal, "other", hosts=("b", "c"), plan=UPDATE)
    released(journal, "gone", hosts=("a", "b"), plan=UPDATE)
    journal.finish("gone", "backed_out", {}, undone=["gone"])

    assert numbers(journal, "a", "b", "c", "d") == {"a": 2, "b": 3, "c": 3, "d": 1}
    assert numbers(journal, "a", "b", "c", "d", code=True) == {"a": 1, "b": 3, "c": 3, "d": 1}
    assert numbers(journal, "a", "b", without=["one", "other"]) == {"a": 1, "b": 1}
    assert numbers(journal, "a", without=["all", "one"]) == {}


def test_the_good_release_of_another_commit_is_passed_over_for_the_same_one(
    journal: RunJournal,
) -> None:
    for run in ("r1", "r2", "r3"):
        released(journal, run)
    found = journal.known_good("prod", before=3, unlike="c0000002")

    assert found is not None
    assert found.number == 1
    assert (row := journal.release_of("prod", "r2")) is not None
    assert (row.number, row.current) == (2, False)
    assert journal.release_of("staging", "r2") is None


def test_targets_are_named_from_the_newest_run_to_the_oldest(journal: RunJournal) -> None:
    assert journal.targets() == ()
    for run, target in (("1", "b"), ("2", "c"), ("3", "a"), ("4", "c"), ("5", "b")):
        released(journal, run, target=target)
    assert journal.targets() == ("b", "c", "a")


def test_an_ambiguous_run_names_the_newest_and_how_many_there_are(journal: RunJournal) -> None:
    for n in range(9):
        released(journal, f"run-{n}")
    with pytest.raises(Mistakes, match=r"'run-' names 9 runs: run-8, run-7, run-6, run-5, run-4\n"):
        journal.run("run-")
    with pytest.raises(Mistakes, match="there is no run 'run_'"):
        journal.run("run_")
    with pytest.raises(Mistakes, match="names 9 runs"):
        journal.run("")
    released(journal, "run-8-and-more")
    assert journal.run("run-8").id == "run-8"


QUESTIONS: dict[str, Callable[[SqliteJournal], object]] = {
    "current": lambda journal: journal.current("prod"),
    "known good": lambda journal: journal.known_good("prod", before=10**6, unlike="c"),
    "on hosts": lambda journal: journal.newest_on("prod", ("a", "b")),
    "code on hosts": lambda journal: journal.newest_on("prod", ("a", "b"), code=True),
    "of a run": lambda journal: journal.release_of("prod", "last"),
    "since": lambda journal: journal.since("prod", journal.peek_number("prod") - 2),
    "whether a run is known": lambda journal: journal.knows("old", "prod"),
    "the newest rehearsal": lambda journal: journal.of_verb("rehearse", "deploy", limit=1),
    "every rehearsal": lambda journal: journal.of_verb("rehearse"),
    "a run": lambda journal: journal.run("last"),
    "runs": lambda journal: journal.runs("prod", limit=5),
    "runs of another": lambda journal: journal.runs("staging", limit=5),
    "targets": lambda journal: journal.targets(),
    "the open run": lambda journal: journal.open_run_of("prod"),
    "records": lambda journal: journal.recall("last"),
    "the rollbacks that came back": lambda journal: journal.releases("prod", limit=5),
}


def effort(journal: SqliteJournal, ask: Callable[[SqliteJournal], object]) -> int:
    """How many instructions SQLite's machine needs for an answer, in tens."""
    tens = [0]

    def count() -> int:
        tens[0] += 1
        return 0

    with journal.reading() as db:
        db.set_progress_handler(count, 10)
    assert ask(journal) is not False
    with journal.reading() as db:
        db.set_progress_handler(None, 0)
    return tens[0]


GROWN = (
    """WITH RECURSIVE age (n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM age WHERE n < :past)
        INSERT INTO run SELECT 'old-' || n, target, verb, runbook, plan, owner, started, options,
        ended, outcome, exit_code, report, sealed FROM run, age WHERE id = 'old'""",
    """INSERT INTO record (run, kind, key, at, body) SELECT run.id, kind, key, at, body
        FROM run JOIN record ON record.run = 'old' WHERE run.id LIKE 'old-%'""",
    """INSERT INTO ledger SELECT target, substr(id, 5), 'c', id, started, 1, '[]' FROM run
        WHERE id LIKE 'old-%'""",
    "UPDATE number SET last = :past WHERE target = 'prod'",
)


def grown(journal: SqliteJournal, past: int) -> SqliteJournal:
    """One run of another target, and then so many of one."""
    released(journal, "elsewhere", target="staging")
    released(journal, "old")
    journal.change(lambda db: [db.execute(words, {"past": past}) for words in GROWN])
    released(journal, "last", plan=UPDATE)
    return journal


def test_no_question_costs_more_for_a_longer_past(tmp_path: Path) -> None:
    """By SQLite's own count of instructions, which no busy machine disturbs."""
    costs = []
    for past in (20, 2000):
        with SqliteJournal(tmp_path / f"{past}" / "journal.db", str) as journal:
            grown(journal, past)
            costs.append({name: effort(journal, ask) for name, ask in QUESTIONS.items()})
    young, old = costs
    assert {name: (young[name], old[name]) for name in old if old[name] > young[name] + 10} == {}

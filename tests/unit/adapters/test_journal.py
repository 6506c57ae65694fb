"""What holds of every journal, wherever its tables lie: in a file, and in PostgreSQL."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from backout.adapters.storage.chain import faults
from backout.adapters.storage.journal import RunJournal, SqliteJournal
from backout.adapters.storage.tables import Tables
from backout.errors import BackoutError, Held, Interrupted, Mistakes, Refused
from backout.model import OpenRun, Release
from backout.ports import HELD, NEEDS_PERSON
from backout.runs.decisions import Decisions, unheard
from support.journals import Place, place
from support.runs import NOW, all_at_once, closed, opened, released, rolled_back

__all__ = ["place"]


@pytest.fixture
def journal(place: Place) -> RunJournal:
    return place(lambda text: text.replace("s3cret", "[secret s]"))


def test_of_many_runs_that_open_at_once_one_wins(place: Place) -> None:
    journals = [place() for _ in range(4)]
    outcomes = all_at_once(
        [partial(opened, journal, f"r{n}") for n, journal in enumerate(journals * 4)]
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Held"] * 15 + ["str"]


def test_records_are_recalled_in_order_with_their_time(place: Place) -> None:
    times = iter(NOW + timedelta(seconds=n) for n in range(9))
    journal = place(now=lambda: next(times))
    opened(journal, "r1")
    journal.note("r1", "baseline", {"alive": "pass"})
    journal.begin("r1", "web1/0", {"undo": {"text": "git checkout abc"}})
    journal.end("r1", "web1/0", {"state": "done", "output": "ok\n"})

    records = journal.recall("r1")

    assert [(r.kind, r.key, r.body) for r in records] == [
        ("baseline", "", {"alive": "pass"}),
        ("begin", "web1/0", {"undo": {"text": "git checkout abc"}}),
        ("end", "web1/0", {"state": "done", "output": "ok\n"}),
    ]
    assert [r.at for r in records] == [NOW + timedelta(seconds=n) for n in range(3)]
    assert [r.seq for r in records] == [1, 2, 3]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("DELETE FROM record WHERE n = 1", "record 2 (end step) does not follow the one before it"),
        ("DELETE FROM record WHERE n = 2", "does not follow the one before it: 2 to 2 are missing"),
        ("DELETE FROM record WHERE n = 3", "its end was changed, or records after 2 are missing"),
        ("DELETE FROM record WHERE n > 1", "its end was changed, or records after 1 are missing"),
        ("UPDATE record SET body = '{}' WHERE n = 2", "record 2 (end step) was changed"),
        ("UPDATE record SET at = '2024-01-01T00:00:00+00:00' WHERE n = 1", "was changed"),
        ("UPDATE record SET n = 0 WHERE n = 3", "a record (decided) after record 2 has no place"),
        ("UPDATE run SET plan = '{}'", "record 1 (begin step) does not follow the one before it"),
        ("UPDATE run SET owner = 'eve@desk'", "does not follow the one before it"),
        ("UPDATE run SET outcome = 'backed_out'", "its end was changed"),
        ("UPDATE run SET report = '{}'", "its end was changed"),
        ("UPDATE ledger SET \"commit\" = 'bad'", "its release is not the one that was decided"),
        ("UPDATE ledger SET known_good = 0", "its release is not the one that was decided"),
        ("DELETE FROM ledger", "its release is not the one that was decided"),
    ],
)
def test_whatever_is_changed_or_missing_of_a_run_that_has_ended_is_found(
    place: Place, harm: str, told: str
) -> None:
    journal = place()
    opened(journal, "r1")
    journal.begin("r1", "step", {"undo": "true"})
    journal.end("r1", "step", {"stdout": "printed"})
    journal.finish("r1", "succeeded", {}, release=Release(1, "good"), known_good=True)
    closed(journal, "r1")
    assert journal.look(lambda db: list(faults(db, None))) == []
    journal.change(partial(unguarded, harm))
    found = journal.look(lambda db: list(faults(db, None)))
    assert any(told in words for _, words in found), found


def unguarded(words: str, db: Tables) -> None:
    """Said by somebody who has taken away what keeps the tables append-only."""
    if isinstance(db, sqlite3.Connection):
        guards = db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in guards:
            db.execute(f"DROP TRIGGER {name}")
    else:
        for table in ("run", "record", "ledger"):
            db.execute(f"ALTER TABLE backout.{table} DISABLE TRIGGER USER")
    db.execute(words)


def test_a_run_whose_records_were_forgotten_or_that_ended_before_there_were_seals_is_whole(
    place: Place,
) -> None:
    journal = place()
    released(journal, "r1", "good")
    opened(journal, "of old")
    journal.note("of old", "decided", {"outcome": "succeeded"})
    looked = dataclasses.replace(journal.run("r1"), id="r0")
    journal.look_back(looked, [("web1", {"stdout": "x"}), ("web2", {})])
    journal.change(partial(unguarded, "DELETE FROM record WHERE run = 'r1'"))
    assert journal.look(lambda db: list(faults(db, None))) == []
    journal.change(partial(unguarded, "UPDATE run SET sealed = '', exit_code = 3"))
    assert journal.look(lambda db: list(faults(db, None))) == []


def test_every_text_is_redacted_before_it_is_written(
    journal: RunJournal, place: Place, tmp_path: Path
) -> None:
    opened(journal, "r1")
    journal.begin("r1", "k", {"s3cret": [("a s3cret", {"deep": "s3cret"})]})
    journal.finish("r1", "succeeded", {"why": "s3cret"})
    journal.close_run("r1", "succeeded", 0, {"report": "s3cret"}, NOW)

    assert journal.recall("r1")[0].body == {
        "[secret s]": [["a [secret s]", {"deep": "[secret s]"}]]
    }
    for query in ("SELECT * FROM run", "SELECT * FROM record"):
        rows = journal.look(lambda db, words=query: db.execute(words).fetchall())  # type: ignore[misc]
        assert "s3cret" not in str(rows)
    assert not [file for file in tmp_path.rglob("*.db*") if b"s3cret" in file.read_bytes()]


def test_records_cannot_be_changed_or_deleted(journal: RunJournal) -> None:
    released(journal, "r1", "abc")
    for table in ("record", "ledger"):
        for statement in (f"UPDATE {table} SET at = ''", f"DELETE FROM {table}"):
            with pytest.raises(BackoutError, match="append-only"):
                journal.change(lambda db, words=statement: db.execute(words))  # type: ignore[misc]
    assert len(journal.recall("r1")) == 2


def test_one_bad_record_does_not_take_its_neighbours_with_it(journal: RunJournal) -> None:
    opened(journal, "r1")
    outcomes = all_at_once(
        [partial(journal.begin, run, "k", {}) for run in ("r1", "nobody", "r1") * 5]
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        *["BackoutError"] * 5,
        *["NoneType"] * 10,
    ]
    assert len(journal.recall("r1")) == 10


def test_a_closed_journal_takes_nothing_more(place: Place) -> None:
    journal = place()
    opened(journal, "r1")
    journal.close()
    journal.close()

    with pytest.raises(Interrupted, match="closed"):
        journal.begin("r1", "k", {})


def test_a_release_number_is_given_once_also_across_processes(place: Place) -> None:
    one, two = place(), place()
    assert one.peek_number("prod") == 1
    given = all_at_once([partial(j.next_number, "prod") for j in (one, two) * 10])

    assert sorted(map(str, given), key=int) == [str(n) for n in range(1, 21)]
    assert one.next_number("staging") == 1
    assert (one.peek_number("prod"), one.peek_number("prod")) == (21, 21)


def test_a_run_is_read_back_as_it_was_opened_and_closed(journal: RunJournal) -> None:
    opened(journal, "r1")
    before = journal.run("r1")
    closed(journal, "r1", "backed_out", 4)
    after = journal.run("r1")

    assert (before.open, before.plan, before.options) == (True, {"steps": ["a"]}, {"yes": True})
    assert (before.started, before.owner, before.runbook) == (NOW, "ann@laptop", "deploy")
    assert after == dataclasses.replace(
        before,
        ended=NOW + timedelta(minutes=1),
        outcome="backed_out",
        exit_code=4,
        report={"run": "r1"},
    )


def test_a_second_run_of_a_target_is_held_by_the_open_one(journal: RunJournal) -> None:
    opened(journal, "r1")
    opened(journal, "r2", target="staging")
    with pytest.raises(Held) as held:
        opened(journal, "r3")

    assert "deploy r1 of prod" in held.value.what
    assert "ann@laptop" in held.value.what
    assert "invoke resume --target prod" in held.value.next
    assert [row.id for row in journal.runs()] == ["r2", "r1"]


def test_a_target_is_free_again_when_its_run_is_closed(journal: RunJournal) -> None:
    opened(journal, "r1")
    assert (row := journal.open_run_of("prod")) is not None
    assert row.id == "r1"
    closed(journal, "r1")

    assert journal.open_run_of("prod") is None
    assert opened(journal, "r2") == "r2"


def test_what_has_not_ended_is_counted_apart_and_says_whether_it_needs_a_person(
    journal: RunJournal,
) -> None:
    for id, target, last in (
        ("r1", "at-work", "begin"),
        ("r2", "held", HELD),
        ("r3", "left", NEEDS_PERSON),
        ("r4", "over", NEEDS_PERSON),
        ("r5", "new", ""),
    ):
        opened(journal, id, target)
        if last:
            journal.note(id, last, {})
    closed(journal, "r4", "backed_out", 4)
    began = NOW.timestamp()
    assert journal.unfinished() == (
        OpenRun("at-work", "deploy", began, needs_person=False),
        OpenRun("held", "deploy", began, needs_person=True),
        OpenRun("left", "deploy", began, needs_person=True),
        OpenRun("new", "deploy", began, needs_person=False),
    )
    journal.note("r3", "resumed", {})
    assert not any(each.needs_person for each in journal.unfinished() if each.target == "left")


def test_a_closed_run_is_history(journal: RunJournal) -> None:
    closed(journal, opened(journal, "r1"))

    with pytest.raises(Refused, match="run r1 is closed: it has ended meanwhile"):
        closed(journal, "r1", "backed_out", 4)
    assert journal.run("r1").outcome == "succeeded"


def test_closing_or_recording_a_run_that_does_not_exist_is_an_error(
    journal: RunJournal,
) -> None:
    with pytest.raises(BackoutError, match="no run nobody"):
        closed(journal, "nobody")
    with pytest.raises(BackoutError, match="does not take"):
        journal.begin("nobody", "k", {})


def test_runs_are_listed_newest_first_and_by_target(journal: RunJournal) -> None:
    for n in range(4):
        closed(journal, opened(journal, f"r{n}", target=f"t{n % 2}"))

    assert [row.id for row in journal.runs()] == ["r3", "r2", "r1", "r0"]
    assert [row.id for row in journal.runs("t1")] == ["r3", "r1"]
    assert [row.id for row in journal.runs(limit=1)] == ["r3"]
    assert journal.runs("nowhere") == ()


def test_a_run_is_found_by_the_beginning_of_its_id(journal: RunJournal) -> None:
    for id in ("ab%1", "ab%12", "cd_1"):
        opened(journal, id, target=id)

    assert journal.run("ab%1").id == "ab%1"
    assert journal.run("c").id == "cd_1"
    for name, says in (("ab", "names 2 runs"), ("%", "no run '%'"), ("", "names 3 runs")):
        with pytest.raises(Mistakes, match=says):
            journal.run(name)


def test_undecodable_output_and_times_and_paths_can_be_recorded(journal: RunJournal) -> None:
    opened(journal, "r1")
    output = b"\xff\x00ok".decode(errors="surrogateescape")
    journal.end("r1", "k", {"output": output, "at": NOW, "path": Path("/srv")})

    body = journal.recall("r1")[0].body
    assert body == {"output": output, "at": "2024-01-30T20:00:00+00:00", "path": "/srv"}


def test_many_threads_write_and_read_without_losing_or_doubling_a_record(
    journal: RunJournal,
) -> None:
    opened(journal, "r1")

    def host(name: str) -> None:
        for n in range(25):
            journal.begin("r1", f"{name}/{n}", {})
            assert journal.recall("r1")
            journal.end("r1", f"{name}/{n}", {})

    outcomes = all_at_once([partial(host, f"web{n}") for n in range(8)])

    assert outcomes == [None] * 8
    records = [(r.key, r.kind) for r in journal.recall("r1")]
    assert len(records) == len(set(records)) == 400
    assert all(records.index((k, "begin")) < records.index((k, "end")) for k, _ in records)


def test_the_number_of_a_failed_run_is_not_given_again(journal: RunJournal) -> None:
    opened(journal, "r1")
    failed = journal.next_number("prod")
    journal.finish("r1", "backed_out", {})
    closed(journal, "r1", "backed_out", 4)

    assert released(journal, "r2", "abc") == failed + 1
    assert [row.number for row in journal.releases("prod")] == [failed + 1]


def test_a_deploy_makes_its_release_the_current_one(journal: RunJournal) -> None:
    assert journal.current("prod") is None
    released(journal, "r1", "aaa1111")
    released(journal, "r2", "bbb2222")

    assert [(r.number, r.current) for r in journal.releases("prod")] == [(2, True), (1, False)]
    assert (row := journal.current("prod")) is not None
    assert (row.release, row.run, row.known_good) == (Release(2, "bbb2222"), "r2", True)
    assert journal.recall("r2")[-1].kind == "decided"
    decided = journal.recall("r2")[-1].body
    assert (decided["outcome"], decided["ledger"]["known_good"]) == ("succeeded", True)


def test_a_subset_is_current_and_not_known_good(journal: RunJournal) -> None:
    released(journal, "r1", "aaa")
    opened(journal, "r2")
    number = journal.next_number("prod")
    journal.finish("r2", "succeeded", {}, release=Release(number, "bbb"), covers=("web1",))

    current, good = journal.current("prod"), journal.known_good("prod")
    assert current is not None
    assert good is not None
    assert (current.number, current.covers, current.known_good) == (2, ("web1",), False)
    assert (good.number, good.covers) == (1, ())


def test_a_rollback_makes_the_older_release_current_again(journal: RunJournal) -> None:
    for n, commit in enumerate(("aaa", "bbb", "ccc"), 1):
        released(journal, f"r{n}", commit)
    rolled_back(journal, "back", to=1)

    assert [
        (row.number, row.current, row.restored_by, row.undone_by)
        for row in journal.releases("prod")
    ] == [(3, False, "", "back"), (2, False, "", "back"), (1, True, "back", "")]
    assert journal.known_good("prod", before=1) is None


def test_an_undone_release_is_not_what_the_next_rollback_goes_back_to(
    journal: RunJournal,
) -> None:
    for n, commit in enumerate(("aaa", "bbb"), 1):
        released(journal, f"r{n}", commit)
    rolled_back(journal, "back", to=1)
    assert released(journal, "r3", "ccc") == 3

    assert (row := journal.known_good("prod", before=3)) is not None
    assert row.number == 1
    assert [run.id for run in journal.since("prod", 1)] == ["r3"]


def test_a_release_that_its_own_run_took_back_is_not_current(journal: RunJournal) -> None:
    released(journal, "r1", "aaa")
    opened(journal, "r2")
    journal.finish("r2", "succeeded", {}, release=Release(journal.next_number("prod"), "bbb"))
    journal.finish("r2", "backed_out", {"why": "it went bad while it baked"}, undone=["r2"])
    closed(journal, "r2", "backed_out", 4)

    assert (row := journal.current("prod")) is not None
    assert row.number == 1
    assert journal.since("prod", 1) == ()


def test_since_names_the_runs_that_a_rollback_has_to_undo_newest_first(
    journal: RunJournal,
) -> None:
    released(journal, "r1", "aaa")
    outcomes = {
        "migrated": "succeeded",
        "refused": "refused",
        "backed-out": "backed_out",
        "half-way": "backout_incomplete",
    }
    for id, outcome in outcomes.items():
        opened(journal, id)
        journal.begin(id, "k", {})
        closed(journal, id, outcome)
    closed(journal, opened(journal, "changed-nothing"))
    released(journal, "r2", "bbb")
    opened(journal, "still-open")
    journal.begin("still-open", "k", {})

    assert [run.id for run in journal.since("prod", 1)] == ["r2", "half-way", "migrated"]
    assert journal.since("prod", 2) == ()
    assert journal.since("staging", 1) == ()


def test_a_release_is_named_by_number_or_by_the_beginning_of_its_commit(
    journal: RunJournal,
) -> None:
    for n, commit in enumerate(("3f9c2e1", "3f9c9aa", "b00", "b00"), 1):
        released(journal, f"r{n}", commit)

    assert journal.release("prod", "1").number == 1
    assert journal.release("prod", "3F9C2").number == 1
    for name, says in (
        ("3f9c", r"ambiguous on prod.* 2 \(3f9c9aa\), 1 \(3f9c2e1\)"),
        ("b00", r"say the number: release 4 \(b00\), 3 \(b00\)"),
        ("9", "no release '9'"),
        ("", "no release"),
    ):
        with pytest.raises(Mistakes, match=says) as mistakes:
            journal.release("prod", name)
        assert mistakes.value.next == "invoke history --target prod"


def test_a_commit_that_was_undone_and_shipped_again_means_the_one_in_force(
    journal: RunJournal,
) -> None:
    released(journal, "r1", "aaa")
    released(journal, "r2", "bbb")
    rolled_back(journal, "back", to=1)
    released(journal, "r3", "bbb")

    assert journal.release("prod", "bbb").number == 3


def test_the_outcome_and_the_ledger_are_written_together_or_not_at_all(
    journal: RunJournal,
) -> None:
    number = released(journal, "r1", "aaa")
    opened(journal, "r2")
    with pytest.raises(BackoutError):
        journal.finish("r2", "succeeded", {}, release=Release(number, "bbb"), known_good=True)
    with pytest.raises(BackoutError):
        journal.finish("r2", "succeeded", {}, restored=99)

    assert journal.recall("r2") == ()
    assert [row.commit for row in journal.releases("prod")] == ["aaa"]


def test_what_a_host_that_was_away_has_of_a_run_that_was_taken_over_is_heard_later(
    place: Place, tmp_path: Path
) -> None:
    """Of two hosts one was there: it has not the records of the other, nor the last one."""
    with SqliteJournal(tmp_path / "lost" / "journal.db", str) as lost:
        opened(lost, "r1")
        for host in ("web1", "web2"):
            lost.begin("r1", f"{host}/0", {})
        lost.finish("r1", "succeeded", {}, release=Release(1, "abc"))
        opening, (first, *later) = lost.opening("r1"), lost.lines("r1")
    journal = place()
    journal.take_over(opening, (first,), {"epoch": 1, "claim": "c", "away": ["web2"]})
    assert (unheard(Decisions("r1", journal)), journal.current("prod")) == (("web2",), None)
    journal.hear("r1", later, {"claim": "c", "away": []})
    kinds = ["begin", "taken", "begin", "decided", "heard"]
    assert [record.kind for record in journal.recall("r1")] == kinds
    assert unheard(Decisions("r1", journal)) == ()
    current = journal.current("prod")
    assert (current and current.number, journal.look(lambda db: list(faults(db, None)))) == (1, [])
    numbers = {line.link.n for line in (*journal.lines("r1"), *later)}
    assert len(numbers) == len(kinds) + len(later)

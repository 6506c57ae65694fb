"""Requests with their answers, and the line of those who wait: the same in every journal."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.adapters.storage import journal_file, moving, pruning
from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.storage.letters import LetterChange
from backout.adapters.storage.line import STILL, Line
from backout.adapters.storage.people_schema import TAKEN_BACK
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.adapters.storage.tables import Tables
from backout.errors import BackoutError
from backout.model import Message
from backout.model.people import AnswerGiven, Person, Request, name_of
from support.journals import Place
from support.journals import place as place
from support.postgres import Postgres
from support.runs import all_at_once, opened

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def somebody(name: str, *, at: str = "", also: tuple[str, ...] = ()) -> Person:
    return Person(name, (name, *also), at or f"{name}@laptop-of-{name}")


ANN, BOB, CY = map(somebody, ("ann", "bob", "cy"))


def said(words: str, db: Tables) -> int:
    return db.execute(words).rowcount


def asked(id: str = "r1", **changes: Any) -> Request:
    made = Request(id, "prod", "", "d1", 1, ANN, NOW, NOW + timedelta(hours=4), {"plan": {}})
    return replace(made, **changes)


def yes(by: Person, minutes: int = 1) -> AnswerGiven:
    return AnswerGiven(by, True, "", NOW + timedelta(minutes=minutes))


def test_what_is_asked_answered_and_used_is_read_back_by_everybody(place: Place) -> None:
    mine, theirs = Approvals(place()), Approvals(place())
    mine.ask(asked())
    mine.ask(asked(digest="another"))  # it is there already, and stays as it is
    mine.ask(asked("r2", target="other"))
    (found,) = theirs.of_target("prod")
    assert found == asked()
    assert theirs.answer(found, yes(BOB))
    assert not theirs.answer(found, yes(BOB))  # once said, it is said
    (found,) = mine.named("r1")
    assert (found.answers, found.state(NOW)) == ((yes(BOB),), "approved")
    assert mine.use(found, "r1", NOW)
    assert mine.use(found, "r1", NOW)  # the same run, after a crash
    assert not theirs.use(found, "r9", NOW)
    (found,) = theirs.named("r1")
    assert (found.used_by, found.state(NOW)) == ("r1", "used")


def no(by: Person) -> AnswerGiven:
    return AnswerGiven(by, False, "not today", NOW + timedelta(minutes=2))


@pytest.mark.parametrize("by", [BOB, CY], ids=["who-said-yes", "another"])
def test_a_no_ends_a_request_also_after_a_yes_and_nothing_is_said_or_used_after_it(
    place: Place, by: Person
) -> None:
    mine, theirs = Approvals(place()), Approvals(place())
    mine.ask(asked())
    assert theirs.answer(asked(), yes(BOB))
    assert theirs.answer(asked(), no(by))
    assert not mine.use(asked(), "r1", NOW)  # by what was known before
    assert not theirs.answer(asked(), yes(somebody("dan"), 3))
    assert not theirs.answer(asked(), no(BOB if by is CY else CY))
    (found,) = mine.named("r1")
    assert (found.state(NOW), found.used_by) == ("refused", "")
    assert found.answers == (yes(BOB), no(by))


def test_what_was_answered_before_a_yes_could_be_taken_back_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    with monkeypatch.context() as patch:
        older = journal_file.MIGRATIONS[: journal_file.MIGRATIONS.index(TAKEN_BACK)]
        patch.setattr(journal_file, "MIGRATIONS", older)
        with SqliteJournal(path, str) as journal:
            Approvals(journal).ask(asked())
            assert Approvals(journal).answer(asked(), yes(BOB))
    with SqliteJournal(path, str) as journal:
        assert Approvals(journal).named("r1") == (asked(answers=(yes(BOB),)),)
        assert Approvals(journal).answer(asked(), no(BOB))
        with pytest.raises(BackoutError, match="append-only"):
            journal.change(partial(said, "DELETE FROM answer"))


def test_what_a_run_has_used_is_answered_no_more(place: Place) -> None:
    mine, theirs = Approvals(place()), Approvals(place())
    mine.ask(asked())
    theirs.answer(asked(), yes(BOB))
    assert mine.use(asked(), "r1", NOW)
    for late in (no(BOB), no(CY), yes(CY)):
        assert not theirs.answer(asked(), late)
    (found,) = theirs.named("r1")
    assert (found.answers, found.state(NOW)) == ((yes(BOB),), "used")


def test_of_a_run_that_begins_and_a_no_at_the_same_moment_one_comes_first(place: Place) -> None:
    mine, theirs, others = (Approvals(place()) for _ in range(3))
    for n in range(12):
        request = asked(f"r{n}")
        mine.ask(request)
        theirs.answer(request, yes(BOB))
        said: dict[str, bool] = {}

        def run(each: Request = request, said: dict[str, bool] = said) -> None:
            said["used"] = mine.use(each, each.id, NOW)

        def refuse(
            store: Approvals, by: Person, each: Request = request, said: dict[str, bool] = said
        ) -> None:
            said[by.name] = store.answer(each, no(by))

        all_at_once([run, partial(refuse, theirs, BOB), partial(refuse, others, CY)])
        assert sum(said.values()) == 1, said
        (found,) = mine.named(request.id)
        assert (found.state(NOW) == "used") is said["used"]
        assert (found.refusal is None) is said["used"]


def test_with_a_role_for_each_person_the_database_knows_who_has_answered(
    postgres: Postgres,
) -> None:
    """As the document says to make them; whoever is first makes the tables, and they are
    everybody's."""
    document = (Path(__file__).parents[3] / "docs" / "team.md").read_text(encoding="utf-8")
    recipe = re.findall(r"```sql\n(CREATE ROLE .*?)```", document, re.DOTALL)[0]
    person = recipe[recipe.index("CREATE ROLE ann") :]
    postgres.create_database("roles")
    for text in (recipe, person.replace("ann", "bob")):
        postgres.sql(text.replace("DATABASE backout", "DATABASE roles"))
    ledgers = [postgres.dsn("roles").replace("postgres@", f"{who}@") for who in ("ann", "bob")]
    with (
        PostgresJournal(Address(ledgers[0]), str) as hers,
        PostgresJournal(Address(ledgers[1]), str) as his,
    ):
        Approvals(hers).ask(asked())
        assert Approvals(his).answer(asked(), yes(BOB))
        opened(his, "r1")
        assert hers.open_run_of("prod") is not None
        assert all(look.ok for look in his.looked_over() if look.name == "ledger's schema")
    query = "SELECT role FROM backout.answer; SELECT DISTINCT tableowner FROM pg_tables"
    query += " WHERE schemaname = 'backout'"
    assert postgres.sql(query, "roles") == [["bob"], ["backout"]]
    postgres.sql("REASSIGN OWNED BY backout TO postgres; DROP OWNED BY backout", "roles")
    postgres.sql("DROP ROLE ann, bob, backout")


def test_the_database_itself_takes_no_answer_of_the_asker_and_forgets_none(place: Place) -> None:
    journal = place()
    store = Approvals(journal)
    store.ask(asked())
    with pytest.raises(BackoutError, match="does not take this record"):
        store.answer(asked(), yes(ANN))
    assert store.answer(asked(), yes(BOB))
    for words in ("DELETE FROM answer", "UPDATE request SET digest = 'd2'"):
        with pytest.raises(BackoutError, match="append-only"):
            journal.change(partial(said, words))


def told(key: str) -> Message:
    return Message("prod", "json://127.0.0.1/", "begun", key, "Begun", "by ann", NOW.timestamp(), 0)


def test_what_is_over_can_go_and_what_may_be_asked_for_stays(place: Place) -> None:
    journal = place()
    store = Approvals(journal)
    later = asked("r2", asked=NOW + timedelta(days=2), expires=NOW + timedelta(days=3))
    for request in (asked(), later):
        store.ask(request)
        store.answer(request, yes(BOB))
        store.use(request, request.id, NOW)

    def write(db: Tables) -> None:
        change = LetterChange(db, str)
        for key in ("sent", "waits"):
            change.post(told(key))
        db.execute("UPDATE letter SET ended = ? WHERE key = 'sent'", (NOW.timestamp(),))

    journal.change(write)
    day = NOW + timedelta(days=1)
    what = journal.look(lambda db: pruning.needless(db, None, day))
    assert (what.requests, len(what.letters)) == ((("r1", ""),), 1)
    assert not journal.look(lambda db: pruning.needless(db, "other", day))
    opened(journal, "r3")
    assert not journal.look(lambda db: pruning.needless(db, None, day))  # it may ask for them
    journal.change(lambda db: pruning.forget(db, what))
    assert store.named("r1") == ()
    assert store.named("r2")[0].used_by == "r2"
    kept = journal.look(lambda db: db.execute("SELECT key FROM letter").fetchall())
    assert [row[0] for row in kept] == ["waits"]
    with pytest.raises(BackoutError, match="append-only"):
        journal.change(partial(said, "DELETE FROM answer"))


def test_what_was_asked_and_told_goes_along_once(place: Place, tmp_path: Path) -> None:
    journal = place()
    store = Approvals(journal)
    store.ask(asked())
    store.answer(asked(), yes(BOB))
    store.use(asked(), "r1", NOW)
    for key in ("a", "b"):
        journal.change(partial(_told, key))
    sent = "UPDATE letter SET ended = 1.0, outcome = 'delivered' WHERE key = 'a'"
    journal.change(partial(said, sent))
    exported = journal.look(lambda db: moving.pack(db, "prod"))
    assert [row["key"] for row in exported.rows["letter"]] == ["a"]  # the other is ours to send
    packed = moving.unpack(exported.lines(), "a file")
    whole = journal.look(lambda db: moving.pack(db, None, unfinished=True))
    with SqliteJournal(tmp_path / "other" / "journal.db", str) as other:
        for each in (packed, packed, whole):
            other.change(partial(_taken, each))
        assert Approvals(other).named("r1") == store.named("r1")
        found = other.look(lambda db: db.execute("SELECT key, outcome FROM letter").fetchall())
    assert [tuple(row) for row in found] == [("a", "delivered"), ("b", "")]


def _told(key: str, db: Tables) -> None:
    LetterChange(db, str).post(told(key))


def _taken(packed: moving.Packed, db: Tables) -> object:
    return moving.take_up(db, packed)


def test_two_that_look_alike_to_the_system_are_one(place: Place) -> None:
    for other in (
        somebody("ann", at="ann@another-laptop"),
        somebody("zed", at=ANN.account),
        somebody("zed", at="ann@ci", also=("ann",)),
    ):
        request = asked(answers=(yes(other),))
        assert request.yes_for(ANN) == ()
    # Who begins the run does not count either, nor does anybody twice.
    request = asked(needed=2, answers=(yes(BOB), yes(somebody("rob", at=BOB.account)), yes(CY)))
    assert [each.by for each in request.yes_for(ANN)] == [BOB, CY]
    assert [each.by for each in request.yes_for(BOB)] == [CY]


@given(st.sampled_from(["ann", "Ann", "ANN", " ann ", "ann@laptop", "Ann@example.org", "ａｎｎ"]))
def test_every_spelling_of_a_name_is_one_name(spelling: str) -> None:
    assert name_of(spelling) == "ann"


@pytest.mark.parametrize("said", ["аnn", "", "@laptop", "ann bob", "-ann"])
def test_what_only_looks_like_a_name_is_none(said: str) -> None:
    with pytest.raises(ValueError, match="is no person's name"):
        name_of(said)


def test_an_answer_that_came_too_late_is_none() -> None:
    request = asked(answers=(yes(BOB),))
    late = request.expires
    assert (request.is_open(late), request.state(late)) == (False, "expired")
    no = replace(yes(CY), yes=False)
    assert asked(answers=(yes(BOB), no)).state(NOW) == "refused"


# --- the line ------------------------------------------------------------------------------


def line(place: Place, monotonic: Callable[[], float] = lambda: 0.0) -> Line:
    return Line(place(), "prod", monotonic)


def test_who_asks_first_is_first_wherever_the_line_is_looked_at(place: Place) -> None:
    one, other = line(place), line(place)
    for id in ("c", "a", "b"):
        one.join(id, id, "lock", NOW)
    one.join("c", "c", "approval", NOW)  # a sign of life keeps the place
    assert [each.id for each in other.waiting()] == ["c", "a", "b"]
    assert other.waiting()[0].waits_for == "approval"
    other.leave("c")
    one.join("c", "c", "lock", NOW)
    assert [each.id for each in one.look()] == ["a", "b", "c"]


def test_who_says_nothing_for_long_is_taken_out(place: Place) -> None:
    time = [0.0]
    journal = place()
    watching = Line(journal, "prod", lambda: time[0])
    for id in ("dead", "alive"):
        watching.join(id, id, "lock", NOW)
    # The waiter of another machine, of which only its signs are seen.
    journal.change(lambda db: db.execute("UPDATE waiter SET machine = 'elsewhere'").rowcount)
    for _ in range(3):
        assert [each.id for each in watching.waiting()] == ["dead", "alive"]
        time[0] += STILL / 2
        watching.join("alive", "alive", "lock", NOW)
    assert [each.id for each in watching.waiting()] == ["alive"]


def test_a_waiter_whose_process_has_ended_is_gone_at_once(place: Place) -> None:
    here = line(place)
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    here.join("mine", "mine", "lock", NOW)
    here.join("dead", "dead", "lock", NOW)
    place().change(
        lambda db: db.execute("UPDATE waiter SET pid = ? WHERE id = 'dead'", (pid,)).rowcount
    )
    assert [each.id for each in here.look()] == ["mine"]
    assert [each.id for each in here.waiting()] == ["mine"]


def test_a_machine_of_the_same_name_is_another_one(place: Place) -> None:
    """A container on its host's network has the host's name, and numbers of its own."""
    here = line(place)
    here.join("theirs", "theirs", "lock", NOW)
    name = socket.gethostname()
    words = "UPDATE waiter SET machine = ?, pid = ?"
    place().change(lambda db: db.execute(words, (f"{name}#0", 2**22 + 1)).rowcount)

    (theirs,) = here.waiting()

    assert (theirs.machine, here.is_alive(theirs)) == (name, False)
    here.join("theirs", "theirs", "lock", NOW)
    assert here.is_alive(here.waiting()[0])

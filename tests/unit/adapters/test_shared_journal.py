"""The journal in PostgreSQL where things go wrong: links, servers, and other machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from backout.adapters.storage import chain
from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.postgres import schema, watchdog
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.errors import BackoutError, Interrupted, Mistakes, Refused, TakenOver
from backout.model import Release
from backout.model.people import AnswerGiven, Person, Request
from support.journals import empty_ledger
from support.pgbouncer import pooled
from support.postgres import Postgres
from support.proxy import Proxy
from support.runs import NOW, all_at_once, closed, opened, released

LEDGERS = Path(__file__).parent / "ledgers"
"""A dump of a ledger of each earlier version of the schema, with runs in it."""
DROP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    return empty_ledger(postgres)


def of(dsn: str, name: str = "ann", wait: float = 0.0) -> PostgresJournal:
    return PostgresJournal(Address(dsn), str, driver=name, owner=f"{name}@laptop", wait=wait)


@pytest.fixture
def journal(dsn: str) -> Iterator[PostgresJournal]:
    with of(dsn) as journal:
        yield journal


@contextmanager
def through_a_proxy(
    server: Postgres, dsn: str, wait: float
) -> Iterator[tuple[Proxy, PostgresJournal]]:
    with Proxy(("127.0.0.1", server.port)) as proxy:
        near = dsn.replace(f":{server.port}/", f":{proxy.port}/")
        with of(near, wait=wait) as journal:
            yield proxy, journal


def under_way(journal: PostgresJournal) -> list[str]:
    said: list[str] = []
    journal.under_way(said.append, "invoke resume --target prod")
    return said


# --- who drives ------------------------------------------------------------------------------


def test_whoever_has_taken_a_run_over_writes_it_and_the_other_is_refused(dsn: str) -> None:
    with of(dsn) as ann, of(dsn, "bob") as bob:
        opened(ann, "r1")
        ann.begin("r1", "a", {})
        with pytest.raises(TakenOver, match="ann@laptop"):
            bob.begin("r1", "b", {})
        seen = bob.driving("r1")
        assert (seen.ours, seen.by, seen.epoch) == (False, "ann@laptop", 0)
        bob.claim("r1", seen)
        for write in (
            partial(ann.end, "r1", "a", {}),
            partial(ann.finish, "r1", "succeeded", {}, release=Release(1, "abc")),
            partial(closed, ann, "r1"),
        ):
            with pytest.raises(TakenOver, match="run r1 was taken over by bob@laptop"):
                write()
        bob.end("r1", "a", {"by": "bob"})
        closed(bob, "r1")

        assert [(r.kind, r.body.get("by")) for r in ann.recall("r1")] == [
            ("begin", None),
            ("taken", "bob@laptop"),
            ("end", "bob"),
        ]
        assert ann.current("prod") is None


def test_a_run_that_ended_since_it_was_looked_at_is_not_taken_over(dsn: str) -> None:
    with of(dsn) as ann, of(dsn, "bob") as bob:
        opened(ann, "r1")
        seen = bob.driving("r1")
        closed(ann, "r1")
        with pytest.raises(Refused, match="run r1 is closed: it has ended meanwhile"):
            bob.claim("r1", seen)


def test_of_many_that_take_a_run_over_at_once_one_does(dsn: str) -> None:
    with of(dsn) as ann, of(dsn, "bob") as bob, of(dsn, "cid") as cid:
        opened(ann, "r1")
        seen = bob.driving("r1")
        outcomes = all_at_once([partial(each.claim, "r1", seen) for each in (bob, cid)])

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "TakenOver"]
        assert {o.exit_code for o in outcomes if isinstance(o, TakenOver)} == {3}
        assert ann.driving("r1").epoch == 1


def test_the_database_itself_refuses_a_record_of_another_epoch(journal: PostgresJournal) -> None:
    opened(journal, "r1")
    record = "INSERT INTO record (run, epoch, kind, key, at, body) VALUES ('r1', ?, '', '', '', '')"
    journal.change(lambda db: db.execute(record, (0,)))
    with pytest.raises(TakenOver):
        journal.change(lambda db: db.execute(record, (1,)))
    with pytest.raises(BackoutError, match="never goes back"):
        journal.change(lambda db: db.execute("UPDATE run SET epoch = -1"))
    closed(journal, "r1")
    with pytest.raises(BackoutError, match="closed"):
        journal.change(lambda db: db.execute(record, (0,)))


# --- the link ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["INSERT INTO backout.record", "INSERT INTO backout.number", "COMMIT"]
)
def test_a_write_whose_answer_was_lost_is_there_once(
    postgres: Postgres, dsn: str, words: str
) -> None:
    with through_a_proxy(postgres, dsn, wait=20) as (proxy, journal):
        opened(journal, "r1")
        under_way(journal)
        proxy.losing = words.encode()
        if "record" in words:
            journal.begin("r1", "a", {})
            journal.end("r1", "a", {})
            assert [record.kind for record in journal.recall("r1")] == ["begin", "end"]
        else:
            assert journal.next_number("prod") == 1
            assert journal.peek_number("prod") == 2
        assert not proxy.losing


def test_a_session_that_is_killed_costs_nothing(
    postgres: Postgres, journal: PostgresJournal
) -> None:
    opened(journal, "r1")
    journal._wait = 20
    under_way(journal)
    for n in range(3):
        postgres.sql(DROP.format(str(journal.address).rpartition("/")[2]))
        journal.begin("r1", f"{n}", {})
        assert journal.recall("r1")[-1].key == f"{n}"


def test_a_database_that_is_gone_is_awaited_and_told_of(postgres: Postgres, dsn: str) -> None:
    with through_a_proxy(postgres, dsn, wait=0.6) as (proxy, journal):
        opened(journal, "r1")
        said = under_way(journal)
        proxy.refuse()
        proxy.cut()
        outcomes = all_at_once([partial(journal.begin, "r1", f"{n}", {}) for n in range(5)])
        with pytest.raises(Interrupted) as gone:
            journal.recall("r1")

        assert {type(outcome) for outcome in outcomes} == {Interrupted}
        assert "invoke resume --target prod" in gone.value.next
        assert "nothing further was started" in gone.value.state
        assert said[0].startswith(f"waiting for the ledger {journal.where}, 1 s more: ")
        proxy.accept()
        journal.begin("r1", "later", {})
        assert [record.key for record in journal.recall("r1")] == ["later"]


def test_a_database_that_has_gone_silent_is_noticed(
    postgres: Postgres, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watchdog.SILENT == 30
    monkeypatch.setattr(watchdog, "SILENT", 3.0)
    with through_a_proxy(postgres, dsn, wait=0) as (proxy, journal):
        opened(journal, "r1")
        proxy.stall()
        with pytest.raises(Interrupted, match="could not be written"):
            journal.begin("r1", "a", {})
        proxy.flow()


def test_behind_a_pooler_that_gives_each_transaction_another_session(
    postgres: Postgres, dsn: str
) -> None:
    with pooled(postgres) as port:
        near = dsn.replace(f":{postgres.port}/", f":{port}/")
        with of(near) as ann, of(near) as bob:
            for n in range(3):
                released(ann, f"r{n}", f"abc{n}")
            opened(bob, "last")
            all_at_once([partial(bob.begin, "last", f"{n}", {}) for n in range(20)])
            assert (len(ann.recall("last")), len(bob.runs())) == (20, 4)


# --- opening it --------------------------------------------------------------------------------


def test_two_machines_that_come_first_make_the_tables_once(postgres: Postgres) -> None:
    dsn = postgres.create_database("first_of_all")
    made = all_at_once([partial(of, dsn, name) for name in ("ann", "bob", "cid")])
    for journal in made:
        assert isinstance(journal, PostgresJournal), journal
        assert journal.runs() == ()
        journal.close()


@pytest.mark.parametrize("number", range(1, schema.VERSION))
def test_a_ledger_of_each_earlier_version_is_brought_up_with_all_that_is_in_it(
    postgres: Postgres, number: int
) -> None:
    name = f"ledger_of_version_{number}"
    dsn = postgres.create_database(name)
    postgres.sql((LEDGERS / f"{number}.sql").read_text(), name)
    with of(dsn) as journal:
        assert [run.id for run in journal.runs()] == ["open", "back", "r2", "r1"]
        assert journal.look(lambda db: list(chain.faults(db, None))) == []
        current = journal.current("prod")
        assert (current and current.number, journal.next_number("prod")) == (1, 3)
        journal.end("open", "web1/0", {})
        closed(journal, "open")
        assert journal.look(schema.version) == schema.VERSION
        store, (ann, bob) = Approvals(journal), (Person(who, (who,), who) for who in ("ann", "bob"))
        request = Request("new", "prod", "", "d2", 1, ann, NOW, NOW, {"plan": {}})
        store.ask(request)
        yes = AnswerGiven(bob, True, "", NOW)
        assert store.answer(request, yes)
        assert store.answer(request, replace(yes, yes=False, reason="not today"))


def test_a_ledger_of_a_newer_backout_is_refused_and_left_alone(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "VERSION", schema.VERSION - 1)
    with pytest.raises(Refused, match="written by a newer Backout") as refused:
        of(dsn)
    assert (refused.value.exit_code, refused.value.next) == (3, "pip install --upgrade backout")
    monkeypatch.undo()
    with of(dsn) as journal:
        assert journal.look(schema.version) == schema.VERSION


def test_a_ledger_that_is_not_there_is_refused_without_its_password(postgres: Postgres) -> None:
    with pytest.raises(Refused, match="cannot be reached") as refused:
        of(f"postgresql://ann:s3cret@127.0.0.1:{postgres.port}/nowhere")
    assert "s3cret" not in f"{refused.value} {refused.value!r} {refused.value.__cause__}"
    with pytest.raises(Mistakes, match="no PostgreSQL connection string"):
        Address("postgresql://ann:s3cret@[")

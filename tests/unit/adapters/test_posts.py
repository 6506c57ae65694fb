"""Several watchers over one ledger: one for each target, and nothing by whoever was replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from backout.adapters.storage.health_change import DAY
from backout.adapters.storage.postgres import health
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.storage.postgres.posts import Posts
from backout.adapters.storage.postgres.session import Lost
from backout.adapters.storage.tables import Tables
from backout.errors import Refused, TakenOver, Unsettled, Unwritten
from backout.model import CheckKey, Incident, Message, Sample, Streak, Verdict
from backout.watch import rollups
from backout.watch.outbox import CLAIMED
from backout.watch.shifts import EVERY, SIGNS, Shifts, patience
from support.journals import empty_ledger
from support.postgres import Postgres
from support.proxy import Proxy
from support.wait import eventually

ALIVE = CheckKey("prod", "alive")
AT = 1_790_000_000.0


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    return empty_ledger(postgres)


@contextmanager
def watcher(dsn: str, name: str, process: str = "1") -> Iterator[tuple[PostgresHealth, Posts]]:
    with PostgresHealth(Address(dsn), str, rollups.fold) as store:
        yield store, Posts(store, name, process, f"{name}@laptop")


def look(store: PostgresHealth, at: float = AT) -> None:
    with store.write() as change:
        change.look(Sample(ALIVE, at, Verdict.FAIL, 5.0), Streak(bad=1))
        change.open(Incident(ALIVE, "fail", at, at))
        change.post(Message("prod", "people", "open", "k", "title", "body", at, 1))


def looks(store: PostgresHealth) -> list[float]:
    return [each.at for each in store.looks(ALIVE)]


def test_a_target_is_watched_by_one_and_the_others_know_by_whom(dsn: str) -> None:
    with watcher(dsn, "ann") as (_, ann), watcher(dsn, "bob") as (_, bob):
        assert ann.stand(["prod", "staging"]) == {}
        others = bob.stand(["prod", "mine"])
        assert ({name: each.by for name, each in others.items()}, sorted(bob.held)) == (
            {"prod": "ann@laptop"},
            ["mine"],
        )
        ann.stand(["prod"])
        (post,) = bob.stand(["prod"]).values()
        assert (post.epoch, post.beat) == (1, others["prod"].beat + 1)
        assert not bob.relieve("prod", others["prod"])  # it has given a sign since
        ann.leave(["prod"])
        assert (bob.stand(["prod", "mine"]), len(bob.held)) == ({}, 2)


def test_whoever_was_replaced_writes_no_look_and_sends_nothing(dsn: str) -> None:
    with watcher(dsn, "ann") as (old, ann), watcher(dsn, "bob") as (new, bob):
        ann.stand(["prod", "staging"])
        look(old)
        (letter,) = old.waiting()
        (post,) = bob.stand(["prod"]).values()
        assert (bob.relieve("prod", post), list(bob.held)) == (True, ["prod"])
        for write in (lambda: look(old, AT + 1), lambda: old.claim(letter, AT)):
            old.epochs["prod"] = 1  # it does not know yet
            with pytest.raises(TakenOver, match="prod is watched by bob@laptop by now"):
                write()
        assert (list(ann.held), old.waiting(), looks(new)) == (["staging"], (), [AT])
        with old.write() as change:  # its other target goes on
            change.look(Sample(CheckKey("staging", "alive"), AT, Verdict.PASS, 5.0), Streak(good=1))
            assert change.incidents() == ()  # and it minds no incident of prod
        assert new.claim(letter, AT + CLAIMED)
        (claimed,) = new.waiting()  # whoever comes after that one tries later, under its key
        assert (claimed.key, claimed.retry_at) == (letter.key, AT + 45)
        assert [each.at for each in new.looks(CheckKey("staging", "alive"))] == [AT]


def test_the_same_working_copy_goes_on_at_once_and_the_old_process_is_replaced(dsn: str) -> None:
    with watcher(dsn, "ann") as (old, first), watcher(dsn, "ann", "2") as (_, second):
        first.stand(["prod"])
        assert second.stand(["prod"]) == {}
        with pytest.raises(TakenOver):
            look(old)


def test_whoever_only_looks_sees_all_and_is_no_watcher(dsn: str) -> None:
    with (
        watcher(dsn, "ann") as (store, ann),
        PostgresHealth(Address(dsn), str, rollups.fold) as reader,
    ):
        ann.stand(["prod"])
        look(store)
        with reader.write() as change:
            change.silence("prod", "", AT, "bob")
            change.ack(1, "bob")
        assert (len(reader.waiting()), reader.incidents()[0].acked) == (1, "bob")


def test_one_stands_by_until_the_other_gives_no_sign_by_its_own_clock(dsn: str) -> None:
    said: list[str] = []

    def say(text: str, warning: bool = False) -> None:
        said.append(text)

    with watcher(dsn, "ann") as (_, ann), watcher(dsn, "bob") as (_, bob):
        first = Shifts(ann, said.append, every=0.05, still=0.3)
        second = Shifts(bob, say, every=0.05, still=0.3)
        assert (first.mind(["prod"]), list(first.ours)) == (True, ["prod"])
        for _ in range(20):
            first.mind(["prod"])
            second.mind(["prod"])
            eventually(lambda: True)
        assert (second.ours, second.others["prod"].by) == (frozenset(), "ann@laptop")
        eventually(lambda: second.mind(["prod"]))  # ann says nothing more
        assert (list(second.ours), second.others) == (["prod"], {})
        eventually(lambda: first.mind(["prod"]))
        assert first.ours == frozenset()
    about = [text.split(" since ")[0] for text in said]
    assert about == [
        "prod is watched by ann@laptop",
        "prod: ann@laptop, who watched it, gives no sign any more: it is watched from here",
        "prod is watched by bob@laptop",
    ]


def test_of_two_that_come_at_once_and_of_two_that_relieve_at_once_one_does(dsn: str) -> None:
    with (
        watcher(dsn, "ann") as (_, ann),
        watcher(dsn, "bob") as (_, bob),
        watcher(dsn, "cid") as (_, cid),
    ):
        ann.stand(["prod"])
        (seen,) = bob.stand(["prod"]).values()
        assert [each.relieve("prod", seen) for each in (bob, cid)] == [True, False]


# --- links that break --------------------------------------------------------------------------


@contextmanager
def behind_a_proxy(server: Postgres, dsn: str) -> Iterator[tuple[Proxy, PostgresHealth]]:
    with Proxy(("127.0.0.1", server.port)) as proxy:
        near = dsn.replace(f":{server.port}/", f":{proxy.port}/")
        with PostgresHealth(Address(near), str, rollups.fold) as store:
            yield proxy, store


def test_a_database_that_is_gone_is_said_at_once_and_found_again(
    postgres: Postgres, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "AGAIN", 600.0)
    with behind_a_proxy(postgres, dsn) as (proxy, store):
        look(store)
        proxy.refuse()
        proxy.cut()
        for ask in (lambda: look(store), lambda: store.looks(ALIVE)):
            with pytest.raises(Unwritten, match="the ledger cannot be reached"):
                ask()
        with pytest.raises(Refused, match="tried again in a moment"):
            store.incidents()
        proxy.accept()
        store._away_until = 0.0  # that moment is over
        assert looks(store) == [AT]


def test_a_session_that_is_killed_costs_nothing(postgres: Postgres, dsn: str) -> None:
    name = dsn.rpartition("/")[2]
    drop = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    with PostgresHealth(Address(dsn), str, rollups.fold) as store:
        look(store)
        postgres.sql(drop)
        assert looks(store) == [AT]
        postgres.sql(drop)
        with store.write() as change:
            change.look(Sample(ALIVE, AT + 1, Verdict.PASS, 5.0), Streak())
        assert looks(store) == [AT, AT + 1]


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_was_lost_is_asked_for_and_counts_once(
    dsn: str, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """The session ends after the words were sent, or before they had arrived."""
    with PostgresHealth(Address(dsn), str, rollups.fold) as store:
        ask, lost = store._session.ask, [True]

        def losing(question: Callable[[Tables], Any]) -> Any:
            if question.__name__ == "end" and lost.pop():
                if committed:
                    ask(question)
                store._session.drop()
                raise Lost("the link is gone")
            return ask(question)

        monkeypatch.setattr(store._session, "ask", losing)
        if committed:
            look(store)
        else:
            with pytest.raises(Unwritten):
                look(store)
            store._away_until = 0.0
        assert looks(store) == ([AT] if committed else [])


def test_what_may_have_been_written_is_asked_for_later(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ASKED_FOR", 0.0)
    with PostgresHealth(Address(dsn), str, rollups.fold) as store:
        ask = store._session.ask

        def away(question: Callable[[Tables], Any]) -> Any:
            if question.__name__ in ("start", "check_key", "<lambda>"):
                if question.__name__ == "<lambda>":
                    raise Lost("away")
                return ask(question)
            ask(question)
            raise Lost("away")

        monkeypatch.setattr(store._session, "ask", away)
        with pytest.raises(Unsettled) as error:
            look(store)
        monkeypatch.undo()
        store._away_until = 0.0
        assert (store.settled(error.value.token), store.settled("another")) == (True, False)
        assert looks(store) == [AT]


@pytest.mark.parametrize("due", [10, 15, 30, 60, 300, 86400])
def test_whoever_stands_by_goes_on_before_a_second_look_is_missed(due: float) -> None:
    longest = min(EVERY, patience(due) / SIGNS)
    assert patience(due) + 2 * longest < due
    assert patience(due) > 3 * longest  # one lost sign is nobody's death


def test_a_process_leaves_one_token_however_much_it_writes(dsn: str) -> None:
    with watcher(dsn, "ann") as (ann, _), watcher(dsn, "bob") as (bob, _):
        for number in range(5):
            for store in (ann, bob):
                with store.write() as change:
                    change.silence("prod", "", AT + number, "ann")
        assert left(ann) == 2
        with pytest.raises(ZeroDivisionError), ann.write():
            raise ZeroDivisionError
        assert left(ann) == 2, "one that was taken back leaves none"


def test_a_check_that_another_process_forgot_is_looked_at_again(dsn: str) -> None:
    with watcher(dsn, "ann") as (ann, _), watcher(dsn, "bob") as (bob, _):
        look(ann)
        with ann.write() as change:
            change.resolve(1, AT)
        bob.roll_up(AT + 900 * DAY)
        assert bob.check_keys() == ()
        again = Sample(ALIVE, AT + 901 * DAY, Verdict.PASS, 5.0)
        with pytest.raises(Unwritten), ann.write() as change:
            change.look(again, Streak())
        with ann.write() as change:  # as the watcher tries it again
            change.look(again, Streak())
        assert looks(bob) == [again.at]


def left(store: PostgresHealth) -> int:
    words = "SELECT count(*) FROM backout.settled"
    return int(store.look(lambda db: db.execute(words).fetchone())[0])

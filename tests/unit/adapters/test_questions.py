"""What zones are asked: one worker answers, and nothing counts that was not asked for now."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from backout.adapters.storage.postgres import questions
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.storage.postgres.posts import Posts
from backout.adapters.storage.postgres.questions import Questions
from backout.model import Asked, CheckKey, Inventory, Taken
from backout.watch import rollups
from support.journals import empty_ledger
from support.postgres import Postgres
from support.runs import all_at_once

ALIVE = CheckKey("prod", "alive")
HERE = Inventory("d1", '{"name": "prod"}')
FOUND = ({"check": "alive", "verdict": "pass"},)


class Ledger:
    """One, with somebody who watches `prod` and asks."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.stores: list[PostgresHealth] = []
        store = self.opened()
        Posts(store, "ann", "1", "ann@laptop").stand(["prod"])
        self.ann = Questions(store)

    def opened(self) -> PostgresHealth:
        self.stores.append(PostgresHealth(Address(self.dsn), str, rollups.fold))
        return self.stores[-1]

    def worker(self) -> Questions:
        return Questions(self.opened())

    def ask(self, *zones: str) -> tuple[Asked, ...]:
        return self.ann.ask(ALIVE, zones, HERE, {"release": None})

    def answered(self, asked: Asked) -> bool:
        return self.ann.stand([asked])[asked].answered


@pytest.fixture
def ledger(postgres: Postgres) -> Iterator[Ledger]:
    made = Ledger(empty_ledger(postgres))
    yield made
    for each in made.stores:
        each.close()


def test_of_all_workers_of_a_zone_one_takes_a_question_and_it_alone_answers(ledger: Ledger) -> None:
    workers = {f"w{n}": ledger.worker() for n in range(4)}
    for _ in range(5):
        (asked,) = ledger.ask("eu")
        took: dict[str, tuple[Taken, ...]] = {}

        def take(id: str, worker: Questions, took: dict[str, tuple[Taken, ...]]) -> None:
            took[id] = worker.take("eu", f"{id}@host", id, 20)

        all_at_once([partial(take, id, each, took) for id, each in workers.items()])
        (one,) = [id for id, taken in took.items() if taken]
        assert took[one] == (Taken(asked, "d1", {"release": None}, {}),)
        other = next(id for id in workers if id != one)
        assert not workers[other].answer(asked, other, FOUND, {})
        assert not ledger.answered(asked)
        assert workers[one].answer(asked, one, FOUND, {})
        (stands,) = ledger.ann.stand([asked]).values()
        assert (stands.answered, stands.by, stands.findings) == (True, f"{one}@host", FOUND)


def test_an_answer_to_an_older_question_counts_for_nothing(ledger: Ledger) -> None:
    """The worker was frozen; what it saw was true once."""
    worker = ledger.worker()
    (old,) = ledger.ask("eu")
    worker.take("eu", "w@host", "w", 20)
    (new,) = ledger.ask("eu")
    assert not worker.answer(old, "w", FOUND, {})
    assert not ledger.answered(new)
    (taken,) = worker.take("eu", "w@host", "w", 20)
    assert worker.answer(taken.asked, "w", FOUND, {"alive": {"seen": 7}})
    assert ledger.answered(new)
    assert not ledger.answered(old)
    # the next look of the zone goes on where that one left off, whoever makes it
    ledger.ask("eu")
    (taken,) = ledger.worker().take("eu", "x@host", "x", 20)
    assert taken.memory == {"alive": {"seen": 7}}


def test_a_zone_is_asked_for_itself_and_a_question_that_nobody_took_in_time_is_nobodys(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = ledger.worker()
    ledger.ask("eu", "us")
    assert [each.asked.zone for each in worker.take("us", "w@host", "w", 20)] == ["us"]
    monkeypatch.setattr(questions, "TAKEN_WITHIN", 0.0)
    assert worker.take("eu", "w@host", "w", 20) == ()


def test_only_who_watches_a_target_asks_about_it(ledger: Ledger) -> None:
    store = ledger.opened()
    bob = Posts(store, "bob", "1", "bob@laptop")
    (seen,) = bob.stand(["prod"]).values()
    assert Questions(store).ask(ALIVE, ("eu",), HERE, {}) == ()
    assert bob.relieve("prod", seen)
    (asked,) = Questions(store).ask(ALIVE, ("eu",), Inventory("d2", "{}"), {})
    assert ledger.ask("eu") == ()  # she was frozen, and does not know yet
    worker = ledger.worker()
    assert [each.asked for each in worker.take("eu", "w@host", "w", 20)] == [asked]
    assert worker.inventory("prod") == Inventory("d2", "{}")

"""What is made of the answers of zones: who is silent and why, and what was not reached there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.storage.postgres.posts import Posts
from backout.adapters.storage.postgres.questions import Questions
from backout.config import loading
from backout.errors import TakenOver
from backout.model import CheckKey, Finding, Taken, Target, Verdict
from backout.project.project import TABLES
from backout.watch import asking, rollups, zones
from backout.watch.asking import Asking
from backout.watch.zones import Zoned
from support.journals import empty_ledger
from support.postgres import Postgres
from support.proxy import Proxy

ALIVE = CheckKey("prod", "alive")
INVENTORY = """\
checks:
  alive:
    {command: "true", expect: ["exit_code == 0"], timeout: 300ms, from: [eu, us], then: [deep]}
  deep: {command: "true", expect: ["exit_code == 0"], timeout: 300ms}
"""
PASS, FAIL, DOUBT = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
Look = Callable[[Taken], Sequence[Finding]]


def frozen(_: Taken) -> Sequence[Finding]:
    """Or killed, with the question in hand."""
    return ()


class Team:
    """Somebody who watches, and what workers of zones say."""

    def __init__(self, dsn: str, target: Target) -> None:
        self.asker, self.answerer = (
            PostgresHealth(Address(dsn), str, rollups.fold) for _ in range(2)
        )
        self.post = Posts(self.asker, "ann", "1", "ann@laptop")
        self.post.stand(["prod"])
        self.asking = Asking(Questions(self.asker))
        self.zoned = Zoned.of(target, "{}", self.asking)
        self.over = threading.Event()
        self.looks: dict[str, Look] = {}
        self.looking = threading.Lock()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        questions = Questions(self.answerer)
        while not self.over.wait(0.02):
            with self.looking:
                for zone, look in self.looks.items():
                    for taken in questions.take(zone, f"w@{zone}", zone, 20):
                        if found := look(taken):
                            told = [zones.record(each) for each in found]
                            questions.answer(taken.asked, zone, told, {})

    def works(self, **looks: Look) -> None:
        """What the worker of each zone says from now on: no question is half taken before it."""
        with self.looking:
            self.looks = looks

    def found(self) -> dict[str, Any]:
        return {each.check: each for each in self.zoned.look(ALIVE, None)}

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.asking.close()
        self.asker.close()
        self.answerer.close()


@pytest.fixture
def target(tmp_path: Any) -> Target:
    file = tmp_path / "inventories" / "prod.yaml"
    file.parent.mkdir()
    file.write_text(INVENTORY)
    return loading.load_target(file, TABLES, tmp_path)


@pytest.fixture
def team(postgres: Postgres, target: Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    monkeypatch.setattr(asking, "TAKEN_WITHIN", 4.0)
    monkeypatch.setattr(zones, "LEEWAY", 3.0)
    made = Team(empty_ledger(postgres), target)
    yield made
    made.close()


def saying(alive: Verdict, deep: Verdict) -> Look:
    reason = "" if deep is PASS else "not reached: alive did not pass"
    return lambda _: (Finding("alive", None, alive), Finding("deep", None, deep, reason=reason))


def test_what_was_not_reached_in_one_zone_is_not_well_there_and_no_zone_is_silent_for_it(
    team: Team,
) -> None:
    team.works(eu=saying(PASS, PASS), us=saying(FAIL, DOUBT))
    found = team.found()
    assert (found["alive"].verdict, found["deep"].verdict) == (PASS, PASS)
    assert "us cannot tell (w@us, " in found["deep"].reason
    team.works(eu=saying(FAIL, DOUBT), us=saying(FAIL, DOUBT))
    assert team.found()["alive"].verdict is FAIL


def test_a_worker_that_began_to_look_and_was_not_heard_of_again_is_no_green(team: Team) -> None:
    team.works(eu=saying(PASS, PASS), us=saying(PASS, PASS))
    assert team.found()["alive"].verdict is PASS
    team.works(eu=saying(PASS, PASS), us=frozen)
    found = team.found()
    assert {each.verdict for each in found.values()} == {DOUBT}
    assert "us said nothing since " in found["alive"].reason
    assert "a worker began to look, and was not heard of again" in found["alive"].reason
    team.works(eu=saying(PASS, PASS))
    assert "no worker of the zone took it up within" in team.found()["alive"].reason


def test_whoever_does_not_watch_any_more_asks_nobody(team: Team) -> None:
    team.works(eu=saying(PASS, PASS), us=saying(PASS, PASS))
    bob = Posts(team.answerer, "bob", "1", "bob@laptop")
    (seen,) = bob.stand(["prod"]).values()
    assert bob.relieve("prod", seen)
    with pytest.raises(TakenOver):
        team.found()


def test_a_ledger_that_is_away_is_said_and_no_zone_is_blamed(
    postgres: Postgres, target: Target
) -> None:
    with Proxy(("127.0.0.1", postgres.port)) as proxy:
        dsn = empty_ledger(postgres).replace(f":{postgres.port}/", f":{proxy.port}/")
        team = Team(dsn, target)
        proxy.refuse()
        proxy.cut()
        (found,) = team.zoned.look(ALIVE, None)
        proxy.accept()
        team.close()
    assert found.verdict is DOUBT
    assert found.reason.count("said nothing, ever: the ledger cannot be reached") == 2


def test_without_a_ledger_of_a_team_there_are_no_zones(target: Target) -> None:
    (found,) = Zoned.of(target, "{}", None).look(ALIVE, None)
    assert found.verdict is DOUBT
    assert "there is no ledger of a team, and so there are no workers" in found.reason

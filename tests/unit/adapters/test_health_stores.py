"""What holds of every history of checks, wherever its tables lie: in a file, and in PostgreSQL."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from backout.adapters.storage.health_change import DAY, HOUR, RAW, Change
from backout.adapters.storage.health_tables import HealthTables
from backout.errors import Refused
from backout.model import CheckKey, Incident, Message, Reverted, Sample, Streak, Verdict
from backout.watch.rollups import decode, tally
from support.health_places import HealthPlace, health_place

__all__ = ["health_place"]

ALIVE, READS = CheckKey("prod", "alive"), CheckKey("prod", "reads", "web1")
NOON = 1_790_000_000.0 // DAY * DAY + DAY / 2


@pytest.fixture
def store(health_place: HealthPlace) -> HealthTables:
    return health_place(lambda text: text.replace("s3cret", "[secret s]"))


def sample(at: float, verdict: Verdict = Verdict.PASS, key: CheckKey = ALIVE) -> Sample:
    return Sample(key, at, verdict, 5.25, 2.0, "" if verdict is Verdict.PASS else "s3cret is out")


def look(change: Change, *several: Sample) -> None:
    for each in several:
        change.look(each, Streak(bad=3), memory={"cookie": "s3cret"}, tick=each.at)


def message(key: str, destination: str = "people", incident: int = 0) -> Message:
    return Message("prod", destination, "open", key, "a title", "a s3cret", NOON, incident)


# --- looks -----------------------------------------------------------------------------------


def test_looks_streaks_and_memory_are_found_again_without_secrets(
    store: HealthTables, health_place: HealthPlace
) -> None:
    with store.write() as change:
        look(change, sample(NOON), sample(NOON + 1, Verdict.FAIL), sample(NOON, key=READS))
    other = health_place()
    assert other.check_keys() == (ALIVE, READS) == other.check_keys("prod")
    assert other.check_keys("elsewhere") == ()
    fine, bad = other.looks(ALIVE)
    assert (fine, bad.reason) == (sample(NOON), "[secret s] is out")
    assert other.looks(ALIVE, limit=1) == (bad,) == other.looks(ALIVE, since=NOON + 0.5)
    assert other.streaks()[ALIVE] == (Streak(bad=3), {"cookie": "[secret s]"}, NOON + 1)
    assert [each.check_key for _, each in other.looks_after(0)] == [ALIVE, ALIVE, READS]
    (last, _), *_ = other.looks_after(0)[-1:]
    assert other.looks_after(last) == ()


def test_a_streak_alone_and_a_look_without_memory_leave_the_rest_as_it_was(
    store: HealthTables,
) -> None:
    with store.write() as change:
        look(change, sample(NOON))
    with store.write() as change:
        change.look(sample(NOON + 1), Streak(bad=4))
        change.streak(READS, Streak(bad=9))
    assert store.streaks()[ALIVE] == (Streak(bad=4), {"cookie": "[secret s]"}, NOON)
    assert store.streaks()[READS] == (Streak(bad=9), {}, None)


def test_all_of_a_transaction_is_there_or_nothing_of_it(store: HealthTables) -> None:

    def half() -> None:
        with store.write() as change:
            look(change, sample(NOON))
            change.open(Incident(ALIVE, "fail", NOON, NOON))
            change.post(message("k"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert (store.check_keys(), store.incidents(), store.waiting()) == ((), (), ())
    with store.write() as change:
        look(change, sample(NOON))
    assert store.looks(ALIVE) == (sample(NOON),)


def test_hours_and_days_are_the_same_whenever_they_are_rolled_up(store: HealthTables) -> None:
    seen = [sample(NOON + minute * 60) for minute in range(0, 1500, 7)]
    for some, rolled in ((seen[:10], True), (seen[10:150], True), (seen[150:], False)):
        with store.write() as change:
            look(change, *some)
        if rolled:
            store.roll_up(NOON + 1500 * 60)
    for width, found in ((HOUR, store.hours(ALIVE)), (DAY, store.days(ALIVE))):
        starts = {int(each.at // width * width) for each in seen}
        assert {at: decode(body) for at, body in found.items()} == {
            at: tally([each for each in seen if each.at // width * width == at]) for at in starts
        }
    last, days, hours = store.rolled_up(0.0, NOON + 3 * HOUR)
    assert {key for key, *_ in days} == {ALIVE}
    assert (len(days), hours[0][1]) == (2, int(NOON + 3 * HOUR))
    assert [each for _, each in store.looks_after(last)] == seen[150:]


def test_single_looks_are_forgotten_when_they_are_old_and_counted(store: HealthTables) -> None:
    with store.write() as change:
        look(change, sample(NOON), sample(NOON + RAW))
    assert store.roll_up(NOON + RAW + 60) == 2
    assert [each.at for each in store.looks(ALIVE)] == [NOON + RAW]
    assert len(store.hours(ALIVE)) == 2


# --- incidents -------------------------------------------------------------------------------


def test_an_incident_is_opened_once_and_goes_through_its_life(store: HealthTables) -> None:
    made = Incident(ALIVE, "unknown", NOON, NOON + 1, {"came": "a s3cret"})
    with store.write() as change:
        id = change.open(made)
        assert change.incident(ALIVE) == replace(made, id=id, evidence={"came": "a [secret s]"})
    with pytest.raises((Refused, sqlite3.IntegrityError)), store.write() as change:
        change.open(made)
    with store.write() as change:
        change.worsen(id, "fail", {"came": "500"})
        change.told(id, NOON + 2)
        change.ack(id, "ann s3cret")
    (now,) = store.incidents("prod", open=True)
    assert (now.kind, now.told, now.acked) == ("fail", NOON + 2, "ann [secret s]")
    assert now.evidence == {"came": "500"}
    with store.write() as change:
        change.resolve(id, NOON + 60)
        assert change.incident(ALIVE) is None
    assert store.incidents(open=True) == ()
    assert [each.id for each in store.incidents(since=NOON + 60, limit=1)] == [id]
    assert store.incidents(since=NOON + 61) == ()


def test_a_silence_holds_for_a_check_or_for_all_of_a_target_until_it_is_over(
    store: HealthTables,
) -> None:
    with store.write() as change:
        change.silence("prod", "alive", NOON, "ann")
        change.silence("prod", "alive", NOON + 60, "bob s3cret")
        assert change.silenced(ALIVE, NOON + 59)
        assert not change.silenced(READS, NOON + 59)
        assert not change.silenced(ALIVE, NOON + 60)
        change.silence("prod", "", NOON + 60, "bob")
        assert change.silenced(READS, NOON + 59)
    assert ("prod", "alive", NOON + 60, "bob [secret s]") in store.silences(NOON)
    assert store.silences(NOON + 60) == ()


# --- messages --------------------------------------------------------------------------------


def test_a_message_is_delivered_once_for_its_key_and_destination(store: HealthTables) -> None:
    with store.write() as change:
        id = change.open(Incident(ALIVE, "fail", NOON, NOON))
        for key in ("a", "a", "b"):
            change.post(message(key, incident=id))
        change.post(message("a", "others", incident=id))
        assert change.in_hand(id, "people")
    first, *_ = store.waiting("people")
    assert [each.key for each in store.waiting("people")] == ["a", "b"]
    assert (first.body, len(store.waiting())) == ("a [secret s]", 3)
    with store.write() as change:
        assert change.claim(first, NOON + 45)
        assert not change.claim(first, NOON + 45)
        change.failed(first.id, NOON + 5, "503 s3cret")
    (again, _) = store.waiting("people")
    assert (again.attempts, again.retry_at, again.failure) == (1, NOON + 5, "503 [secret s]")
    with store.write() as change:
        change.delivered(first.id, NOON + 6)
        change.move(store.waiting("others")[0].id, ["more"])
    assert [each.destination for each in store.waiting()] == ["people", "more"]
    with store.write() as change:
        assert change.told_at(id) == {"people", "more"}
    ends = [(m.key, outcome, at) for m, outcome, at in store.messages()]
    assert ("a", "delivered", NOON + 6) in ends


def test_several_messages_go_as_one_in_the_place_of_the_first(store: HealthTables) -> None:
    with store.write() as change:
        for key in ("a", "b", "c"):
            change.post(message(key))
    one, two, _ = store.waiting()
    with store.write() as change:
        change.bundle([one, two], message("digest"))
    assert [each.key for each in store.waiting()] == ["digest", "c"]
    with store.write() as change:
        change.delivered(store.waiting()[0].id, NOON)
    assert [each.key for each in store.waiting()] == ["c"]
    with store.write() as change:
        change.forget(NOON + 40 * DAY)
    assert [each.key for each, *_ in store.messages()] == ["c"]


# --- the rest --------------------------------------------------------------------------------


def test_a_run_is_taken_back_once_and_what_a_release_looked_like_is_kept(
    store: HealthTables, health_place: HealthPlace
) -> None:
    with store.write() as change:
        assert change.revert("r1", "prod", NOON, "alive s3cret")
        assert not change.revert("r1", "prod", NOON, "alive")
        change.revert("r2", "prod", NOON, "reads")
        change.unmark_revert("r2")
        change.snapshot(ALIVE, 3, NOON, {"tables": 1})
        change.snapshot(ALIVE, 4, NOON, {"tables": ["s3cret"]})
    assert store.reverts() == (Reverted("r1", "prod", "alive [secret s]"),)
    assert health_place().snapshot(ALIVE) == (4, {"tables": ["[secret s]"]})
    assert store.snapshot(READS) is None
    with store.write() as change:
        change.reverted("r1", NOON + 9, "reverted")
    assert store.reverts()[0].ended == NOON + 9


def test_every_opening_of_it_has_the_same_name(health_place: HealthPlace) -> None:
    assert health_place().name == health_place().name != ""


def test_what_cannot_be_read_is_refused_with_the_place(health_place: HealthPlace) -> None:
    store = health_place()
    with pytest.raises(Refused):
        store.look(lambda db: db.execute("SELECT nothing FROM nowhere"))
    assert store.check_keys() == ()


def test_a_check_that_nobody_looks_at_any_more_is_forgotten_with_the_last_of_its_days(
    store: HealthTables, health_place: HealthPlace
) -> None:
    with store.write() as change:
        look(change, sample(NOON), sample(NOON, key=READS))
        change.snapshot(READS, 1, NOON, {})
        change.revert("run", "prod", NOON, "red")
        change.reverted("run", NOON, "back")
    store.roll_up(NOON)
    with store.write() as change:
        look(change, sample(NOON + 799 * DAY))
    store.roll_up(NOON + 799 * DAY)
    assert (store.check_keys(), len(store.reverts())) == ((ALIVE, READS), 1)
    store.roll_up(NOON + 801 * DAY)
    assert (store.check_keys(), store.snapshot(READS), store.reverts()) == ((ALIVE,), None, ())
    with store.write() as change:  # it is back
        look(change, sample(NOON + 802 * DAY, key=READS))
    assert [each.at for each in health_place().looks(READS)] == [NOON + 802 * DAY]

"""Messages of runs, in whichever journal: with their record, and sent by one."""

from __future__ import annotations

from dataclasses import replace

from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.outbox import JournalOutbox
from backout.model import Message
from support.journals import Place, place
from support.runs import opened

__all__ = ["place"]
LETTER = Message("prod", "chat", "begun", "r1-begun", "[prod] begun", "by ann", 1.0)


def announcing(journal: RunJournal) -> RunJournal:
    return journal.told_by(lambda kind, _: (LETTER,) if kind == "ready" else ())


def outbox_of(journal: RunJournal, *targets: str) -> JournalOutbox:
    return JournalOutbox(journal, lambda: targets, str)


def test_a_message_is_there_with_its_record_and_once(place: Place) -> None:
    journal = announcing(place())
    opened(journal, "r1")
    outbox = outbox_of(journal, "prod")
    journal.note("r1", "baseline", {})
    assert outbox.waiting() == ()
    journal.note("r1", "ready", {})
    journal.note("r1", "ready", {})
    (waiting,) = outbox.waiting("chat")
    assert replace(waiting, id=0) == LETTER
    assert [record.kind for record in journal.recall("r1")] == ["baseline", "ready", "ready"]
    assert outbox_of(journal, "staging").waiting() == ()


def test_one_of_two_senders_has_a_message_until_it_fails_or_has_arrived(place: Place) -> None:
    journal = announcing(place())
    opened(journal, "r1")
    journal.note("r1", "ready", {})
    outbox = outbox_of(journal, "prod")
    (seen,) = outbox.waiting()
    assert [outbox.claim(seen, 50.0), outbox.claim(seen, 50.0)] == [True, False]
    with outbox.write() as change:
        change.failed(seen.id, 60.0, "no")
    (again,) = outbox.waiting()
    assert (again.attempts, again.retry_at, again.failure) == (1, 60.0, "no")
    with outbox.write() as change:
        change.move(again.id, ["mail"])
    (moved,) = outbox.waiting()
    assert (moved.destination, moved.attempts) == ("mail", 0)
    with outbox.write() as change:
        change.delivered(moved.id, 70.0)
    assert outbox.waiting() == ()

"""What is carried: sealed, taken once or withdrawn, answered, and never begun too late. On a real
PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from backout.adapters.carrying import carrier as carrying
from backout.adapters.carrying import parcels, sender, tables
from backout.adapters.carrying.carrier import Carrier, Do
from backout.adapters.carrying.parcels import Cut
from backout.adapters.carrying.sealing import Seal, Unsealed
from backout.adapters.carrying.sender import Sender
from backout.adapters.carrying.tables import Known, Parcel
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.session import Session
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.tables import Tables
from backout.adapters.transports.captured import KEPT, Capture, Ran
from backout.errors import HostKeyRefused, Unreachable
from backout.model import Host, Observation, Ssh
from backout.model.values import Partial, Some, Unavailable
from support.journals import empty_ledger
from support.postgres import Postgres
from support.runs import all_at_once
from support.wait import eventually

T = TypeVar("T")
HOST = Host(name="web1", address="192.0.2.1")
WORDS = b"h0rse-stapler"


class Ledger:
    """One, with those who send and carry over it."""

    def __init__(self, dsn: str) -> None:
        self.address = Address(dsn)
        self.watch = Watch()
        self.said: list[str] = []
        self._open: list[Callable[[], None]] = [self.watch.close]

    def sender(self, after: float = 5.0, wait: float = 1.0) -> Sender:
        made = Sender(self.address, after=after, wait=wait)
        self._open.append(made.close)
        return made

    def carrier(self, name: str, do: Do | None = None, after: float = 5.0) -> Carrier:
        told = do or (lambda words, _: name.encode() + b" " + words)
        made = Carrier(self.address, (name, "us", f"{name}@us"), after, told, self.said.append)
        self._open.append(made.close)
        eventually(lambda: name in {known.id for known in self.ask(_carriers)})
        return made

    def ask(self, question: Callable[[Tables], T]) -> T:
        session = Session(self.address, self.watch)
        try:
            return session.ask(question)
        finally:
            session.drop()

    def rows(self) -> int:
        query = "SELECT count(*) FROM backout.parcel"
        return int(self.ask(lambda db: db.execute(query).fetchone()[0]))

    def close(self) -> None:
        for each in reversed(self._open):
            each()


def _carriers(db: Tables) -> tuple[Known, ...]:
    return tables.carriers(db, 1.0)


@pytest.fixture
def ledger(postgres: Postgres) -> Iterator[Ledger]:
    made = Ledger(empty_ledger(postgres))
    yield made
    made.close()


# --- sealed --------------------------------------------------------------------------------------


def test_what_is_sealed_is_read_by_one_and_about_one_thing_alone() -> None:
    ann, bob, eve = Seal(), Seal(), Seal()
    sealed = ann.closed(bob.public, "request 1", WORDS)
    assert WORDS not in sealed
    assert bob.opened(ann.public, "request 1", sealed) == WORDS
    torn = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for who, theirs, about, what in (
        (eve, ann.public, "request 1", sealed),
        (bob, eve.public, "request 1", sealed),
        (bob, ann.public, "request 2", sealed),
        (bob, ann.public, "answer 1", sealed),
        (ann, bob.public, "request 1", sealed),
        (bob, ann.public, "request 1", torn),
        (bob, ann.public, "request 1", b""),
    ):
        with pytest.raises(Unsealed):
            who.opened(theirs, about, what)


def test_what_a_shell_said_and_a_look_saw_arrives_as_it_was() -> None:
    mark = "backout-1"
    ran = Ran(Capture(mark), Capture(mark), exit_code=3, timed_out=True, cut="late")
    ran.out.feed(b"motd\nbackout-1 12 run 12\n" + b"\xff" * KEPT + b"x" * 5 * KEPT + b"end")
    ran.err.feed(b"no mark at all")
    again = parcels.ran(parcels.read(parcels.told(ran)), began=1.0)
    assert again is not None
    assert (again.out.text(), again.pid, again.word) == (ran.out.text(), 12, "run")
    assert isinstance(again.out.text(), Partial)
    assert (again.err.preamble, again.exit_code, again.cut, again.timed_out, again.began) == (
        "no mark at all",
        3,
        "late",
        True,
        1.0,
    )
    assert parcels.ran(parcels.read(parcels.told(None)), began=1.0) is None
    odd = [{"odd": Unavailable("gone"), "n": None}]
    facts = {"text": Partial("a"), "rows": Some([1]), "more": odd}
    seen = Observation(facts, elapsed_ms=1.5, excerpt="x\ud800", unread="y")
    found, memory = parcels.observed(parcels.read(parcels.seen(seen, {"at": 3})))
    assert (found, memory) == (seen, {"at": 3})
    assert (type(found.facts["text"]), type(found.facts["rows"])) == (Partial, Some)
    for error in (HostKeyRefused("a", where="b", state="c", next="d"), Unreachable("e")):
        with pytest.raises(Unreachable) as raised:
            parcels.refuse(parcels.read(parcels.unreached(error)))
        assert (type(raised.value), str(raised.value)) == (type(error), str(error))
    with pytest.raises(Cut, match="why"):
        parcels.refuse(parcels.read(parcels.broken("why")))


# --- taken once ----------------------------------------------------------------------------------


def test_a_parcel_is_taken_once_or_withdrawn_and_an_old_one_is_nobodys(ledger: Ledger) -> None:
    names = [f"p{n}" for n in range(40)]
    sent = [Parcel(name, "cid", "web1", b"x") for name in names]
    ledger.ask(lambda db: tables.send(db, "ann", b"k", sent))
    taken: list[str] = []
    gone: list[str] = []

    def take() -> None:
        while rows := ledger.ask(lambda db: tables.take(db, "cid", 3)):
            taken.extend(id for id, _, _ in rows)

    def withdraw() -> None:
        ask = ((name, partial(tables.withdraw, id=name)) for name in reversed(names))
        gone.extend(name for name, question in ask if ledger.ask(question))

    all_at_once([take, withdraw, take])
    assert sorted([*taken, *gone]) == sorted(names)
    late = "UPDATE backout.parcel SET asked = now() - interval '6 seconds'"
    ledger.ask(lambda db: tables.send(db, "ann", b"k", [Parcel("old", "cid", "web1", b"x")]))
    ledger.ask(lambda db: db.execute(late))
    assert ledger.ask(lambda db: tables.take(db, "cid", 3)) == ()
    # What a sender that was killed leaves behind is gone after a while, and so is what a carrier
    # had in hand that is forgotten.
    ledger.ask(lambda db: db.execute("UPDATE backout.parcel SET asked = now() - interval '2 min'"))
    ledger.ask(tables.tidy)
    assert ledger.rows() == 0


def test_hosts_are_spread_over_living_carriers_and_each_keeps_its_own(ledger: Ledger) -> None:
    cid, dan = (ledger.carrier(name) for name in ("cid", "dan"))
    ann = ledger.sender()
    hosts = [f"web{n}" for n in range(12)]

    def asked() -> dict[str, str]:
        with ThreadPoolExecutor(len(hosts)) as pool:
            answers = pool.map(lambda host: ann.send("us", host, host.encode(), 5.0)[0], hosts)
        return {host: by for by, host in (answer.decode().split() for answer in answers)}

    first = asked()
    assert (set(first), set(first.values())) == (set(hosts), {"cid", "dan"})
    assert asked() == first
    assert ann.send("us", "web1", WORDS, 5.0)[1] in ("cid@us", "dan@us")
    eventually(lambda: ledger.rows() == 0, saying="nothing left behind")
    dan.stop()
    eventually(lambda: set(asked().values()) == {"cid"}, saying="one that carries")
    cid.close()
    dan.close()
    with pytest.raises(Unreachable, match="zone us alone, and none of them is there") as refused:
        ann.send("us", "web1", WORDS, 5.0)
    assert "invoke worker --zone us" in refused.value.next


def test_what_nobody_takes_in_time_goes_to_another(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that gives signs of life, and takes nothing: as one that is frozen, for a while."""
    monkeypatch.setattr(sender, "PATIENCE", 0.2)
    dead = Known("aaa", "us", "aaa@us", Seal().public, 0, stopping=False, alive=True)
    ledger.ask(lambda db: tables.beat(db, dead, stopping=False))
    ledger.carrier("cid")
    ann = ledger.sender(after=20.0)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: ann.send("us", f"web{n}", WORDS, 5.0)[0], range(6)))
    assert answers == [b"cid " + WORDS] * 6
    assert ledger.rows() == 0


def test_a_carrier_that_is_silent_when_it_took_something_was_cut_off(ledger: Ledger) -> None:
    dead = Known("aaa", "us", "aaa@us", Seal().public, 0, stopping=False, alive=True)
    ledger.ask(lambda db: tables.beat(db, dead, stopping=False))
    ann = ledger.sender()

    def take() -> None:
        eventually(lambda: ledger.ask(lambda db: tables.take(db, "aaa", 5)), saying="a parcel")

    taking = threading.Thread(target=take)
    taking.start()
    with pytest.raises(Cut, match="gave no sign of life for 5 s at web1"):
        ann.send("us", "web1", WORDS, 60.0)
    taking.join()
    eventually(lambda: ledger.rows() == 0, saying="nothing left behind")


def test_one_that_wakes_up_late_begins_nothing_that_is_not_awaited(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "FRESH", 0.0)
    asleep, begun = threading.Event(), list[bytes]()

    def do(words: bytes, begin: Callable[[], None]) -> bytes:
        asleep.wait(60)
        begin()
        begun.append(words)
        return b"done"

    cid, ann = ledger.carrier("cid", do), ledger.sender()
    with pytest.raises(Cut, match="has not said within"):
        ann.send("us", "web1", WORDS, 0.3)
    eventually(lambda: ledger.rows() == 0)
    asleep.set()
    assert ann.send("us", "web1", b"again", 20.0)[0] == b"done"
    eventually(lambda: cid.at_work == 0)
    assert begun == [b"again"]


def test_a_carrier_that_breaks_says_so_and_goes_on(ledger: Ledger) -> None:
    def do(words: bytes, begin: Callable[[], None]) -> bytes:
        raise RuntimeError(words.decode())

    ledger.carrier("cid", do)
    ann = ledger.sender()
    for _ in range(2):
        with pytest.raises(Cut, match="RuntimeError: h0rse"):
            parcels.refuse(parcels.read(ann.send("us", "web1", WORDS, 5.0)[0]))


def test_nothing_that_is_readable_is_in_the_database(ledger: Ledger, postgres: Postgres) -> None:
    go, seen = threading.Event(), threading.Event()

    def do(words: bytes, begin: Callable[[], None]) -> bytes:
        seen.set()
        go.wait(60)
        return words * 2

    ledger.carrier("cid", do)
    ann = ledger.sender()
    words = parcels.asked(parcels.RUN, HOST, Ssh(), text="export PASSWORD=h0rse-stapler")
    asked = threading.Thread(target=lambda: ann.send("us", "web1", words, 20.0))
    asked.start()
    assert seen.wait(60)
    query = "SELECT id, carrier, host, key || body FROM backout.parcel"
    ((_, _, host, raw),) = ledger.ask(lambda db: db.execute(query).fetchall())
    assert host == "web1"
    for part in (b"h0rse", b"PASSWORD", b"export", b"192.0.2.1"):
        assert part not in bytes(raw)
    go.set()
    asked.join()


def test_a_database_that_is_gone_is_waited_for_and_then_nobody_knows(postgres: Postgres) -> None:
    dsn = empty_ledger(postgres)
    made = Ledger(dsn)
    name = dsn.rpartition("/")[2]
    cut = (
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS {{}};"
        f" SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )
    go = threading.Event()

    def do(words: bytes, begin: Callable[[], None]) -> bytes:
        go.wait(60)
        return words

    made.carrier("cid", do, after=20.0)
    ann, hasty = made.sender(after=20.0, wait=20.0), made.sender(after=20.0, wait=0.1)
    ends: list[object] = []

    def send(who: Sender) -> None:
        try:
            ends.append(who.send("us", "web1", WORDS, 60.0)[0])
        except (Cut, Unreachable) as error:
            ends.append(error)

    both = [threading.Thread(target=send, args=(who,)) for who in (ann, hasty)]
    for each in both:
        each.start()
    taken = "SELECT count(*) FROM backout.parcel WHERE taken IS NOT NULL"
    eventually(lambda: made.ask(lambda db: db.execute(taken).fetchone()[0]) == 2)
    postgres.sql(cut.format("false"))
    eventually(lambda: len(ends) == 1, saying="one that waits no longer")
    assert isinstance(ends[0], Cut)
    go.set()
    time.sleep(0.2)
    postgres.sql(cut.format("true"))
    for each in both:
        each.join(60)
    assert ends[1:] == [WORDS]
    assert any("nothing is carried from here" in said for said in made.said)
    made.close()

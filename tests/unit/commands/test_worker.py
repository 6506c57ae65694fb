"""Who is gone, and who is only not seen: what a worker takes from another, and what it lets be."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backout.adapters.queue import schema
from backout.adapters.queue.bell import Bell
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.hands import Hands
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.adapters.storage.tables import Tables
from backout.adapters.storage.telling import Telling
from backout.commands.worker import Rescuer
from backout.errors import TakenOver
from backout.ports import Hand
from backout.project.project import Workplace
from backout.reports.handed import Zones, zone_lines
from backout.reports.handed_text import zones_text
from support.journals import empty_ledger
from support.postgres import Postgres

ME = Hand("me", "default", "worker@two", 1, (), False, datetime.now(UTC), 0.0, "here:two:/srv/shop")
RECORD = {"rescue": "resume", "who": {}, "yes": False, "files": {}}


class Ledger:
    """One ledger, and two working copies that write it."""

    def __init__(self, directory: Path, address: str) -> None:
        self.address = Address(address)
        self.ann, self.two = (
            PostgresJournal(self.address, str, driver=name, owner=name) for name in ("ann", "two")
        )
        self.hands = Hands(self.ann, Bell(self.address))
        self.workplace = Workplace(directory)
        self.workplace.state.mkdir(exist_ok=True)
        self.workplace.__dict__["journal"] = self.two
        self.time = 0.0
        self.said: list[str] = []
        theirs = Hands(self.two, Bell(self.address))
        self.rescuer = Rescuer(self.workplace, theirs, ME, self.said.append, lambda: self.time)

    def handed(
        self, run: str, target: str = "prod", driver: str = "", zone: str = "default"
    ) -> None:
        """An open run of the workers, which one of them drives or none."""
        self.ann.open_run(run, target, "deploy", "deploy", {}, "ann", datetime.now(UTC), {})
        self.hands.hand_over(run, zone, RECORD)
        if driver:
            other = PostgresJournal(self.address, str, driver=driver, owner=driver)
            other.claim(run, other.driving(run), zone)
            other.close()

    def look(self, after: float) -> None:
        self.time += after
        self.rescuer()

    def driver(self, run: str) -> str:
        query = "SELECT driver FROM run WHERE id = ?"
        return str(self.ann.look(lambda db: db.execute(query, (run,)).fetchone())[0])

    def bells(self) -> list[str]:
        query = f"SELECT args->>'run' FROM {schema.SCHEMA}.procrastinate_jobs ORDER BY id"
        return [run for (run,) in self.ann.look(lambda db: db.execute(query).fetchall())]

    def forget_bells(self) -> None:
        def forget(db: Tables) -> None:
            schema.enter(db)
            db.execute("DELETE FROM procrastinate_jobs")

        self.ann.change(forget)

    def close(self) -> None:
        self.ann.close()
        self.two.close()


@pytest.fixture
def ledger(tmp_path: Path, postgres: Postgres) -> Iterator[Ledger]:
    made = Ledger(tmp_path, empty_ledger(postgres))
    yield made
    made.close()


def test_a_driver_is_gone_after_so_many_looks_that_saw_no_sign_of_it(ledger: Ledger) -> None:
    ledger.handed("r1", driver="three")
    telling = Telling(ledger.ann)
    for _ in range(4):
        telling.tell("r1", (), alive=True)
        ledger.look(10)
        assert ledger.driver("r1") == "three"
    for _ in range(3):
        ledger.look(10)
    assert ledger.driver("r1") == ""
    assert "three gave no sign of life for 30 s" in ledger.said[0]


def test_a_look_after_a_long_sleep_is_one_look(ledger: Ledger) -> None:
    """The rescuer itself may have been frozen, or the database away: nobody is dead for that."""
    ledger.handed("r1", driver="three")
    ledger.look(1)
    ledger.look(3600)
    assert ledger.driver("r1") == "three"


def test_a_driver_that_lives_after_all_keeps_its_run(ledger: Ledger) -> None:
    """Between the look and the taking it may have said something, or it is another one by now."""
    ledger.handed("r1", driver="three")
    (seen,) = ledger.hands.open()
    Telling(ledger.ann).tell("r1", (), alive=True)
    assert ledger.hands.take_away(seen, "resume", "two", "silent") == ""
    (seen,) = ledger.hands.open()
    assert ledger.hands.take_away(seen, "resume", "two", "silent") == "resume"
    assert ledger.hands.take_away(seen, "resume", "two", "silent") == ""
    assert ledger.bells() == ["r1"]


def test_what_came_to_nothing_three_times_asks_a_person(ledger: Ledger) -> None:
    ledger.handed("r1")
    done = []
    for _ in range(4):
        ledger.two.claim("r1", ledger.two.driving("r1"), "default")
        (seen,) = ledger.hands.open()
        done.append(ledger.hands.take_away(seen, "resume", "two", "silent"))
    assert done == ["resume"] * 3 + ["ask"]
    assert ledger.hands.open()[0].asks
    for _ in range(9):
        ledger.look(10)
    assert ledger.hands.open()[0].asks


def test_a_worker_takes_away_what_is_of_its_zone_or_of_its_working_copy_alone(
    ledger: Ledger,
) -> None:
    zones = {"default": "", "here:one:/srv/shop": "three", "here:two:/srv/shop": "", "eu": "three"}
    for zone in zones:
        ledger.handed(zone, f"at-{zone}", "three", zone)
    for _ in range(6):
        ledger.look(10)
    assert {zone: ledger.driver(zone) for zone in zones} == zones


def test_the_bell_rings_for_a_zone_of_any_name(ledger: Ledger) -> None:
    ledger.handed("r1", zone="z" * 63)
    ledger.handed("r2", "other", zone=f"here:two:/{'long/' * 40}")
    assert ledger.bells() == ["r1", "r2"]


def test_what_a_worker_watches_and_carries_is_shown(ledger: Ledger) -> None:
    def happen(db: Tables) -> None:
        parcels = (("a", "me", "now()"), ("b", "me", "NULL"), ("c", "you", "now()"))
        for id, carrier, taken in parcels:
            db.execute(
                "INSERT INTO backout.parcel (id, carrier, asker, host, key, body, taken)"
                f" VALUES (?, ?, 'ann', 'web1', '', '', {taken})",
                (id, carrier),
            )

    ledger.hands.arrive()
    ledger.ann.change(happen)
    ledger.hands.beat(replace(ME, watches=("prod", "shop")))
    (zone,) = zone_lines(ledger.hands.all(), ())
    assert (zone.workers[0].watches, zone.workers[0].carries) == (("prod", "shop"), 1)
    words = "idle, watches prod, shop, carries 1 for other zones"
    assert zones_text(Zones((zone,))).splitlines()[1].endswith(words)


def test_one_run_has_one_bell_and_a_lost_one_is_rung_again(ledger: Ledger) -> None:
    ledger.handed("r1")
    (seen,) = ledger.hands.open()
    ledger.hands.ring(seen)
    assert ledger.bells() == ["r1"]
    ledger.forget_bells()
    for _ in range(5):
        ledger.look(10)
    assert ledger.bells() == ["r1"]


def test_of_two_that_hear_the_bell_one_gets_the_run(ledger: Ledger) -> None:
    ledger.handed("r1")
    seen = ledger.two.driving("r1")
    assert seen.free
    assert seen.zone == "default"
    ledger.two.claim("r1", seen, seen.zone)
    with pytest.raises(TakenOver):
        ledger.ann.claim("r1", seen)
    with pytest.raises(TakenOver):
        ledger.ann.note("r1", "anything", {})  # whoever handed it over writes nothing more
    ledger.two.note("r1", "anything", {})
    # A person who takes it has it for themselves: no worker looks after it any more.
    ledger.ann.claim("r1", ledger.ann.driving("r1"))
    assert ledger.hands.open() == ()


def test_the_hand_over_and_its_bell_are_one_transaction(ledger: Ledger) -> None:
    class Broken(Bell):
        def defer(self, tables: object, zone: str, run: str) -> None:
            super().defer(tables, zone, run)
            raise TakenOver("in the last moment")

    ledger.ann.open_run("r1", "prod", "deploy", "deploy", {}, "ann", datetime.now(UTC), {})
    ledger.hands.arrive()
    with pytest.raises(TakenOver):
        Hands(ledger.ann, Broken(ledger.address)).hand_over("r1", "default", RECORD)
    assert (ledger.bells(), ledger.ann.driving("r1").ours) == ([], True)
    ledger.ann.note("r1", "still", {})


def test_the_queue_is_made_once_by_however_many_and_is_no_part_of_the_truth(
    ledger: Ledger,
) -> None:
    with ThreadPoolExecutor(4) as pool:
        others = [
            PostgresJournal(ledger.address, str, driver=str(n), owner=str(n)) for n in range(4)
        ]
        list(pool.map(lambda journal: Hands(journal, Bell(ledger.address)).arrive(), others))
    for each in others:
        each.close()
    ledger.handed("r1")
    ledger.ann.change(lambda db: db.execute(f"DROP SCHEMA {schema.SCHEMA} CASCADE").rowcount)
    assert ledger.hands.all() == ()
    assert [each.run for each in ledger.hands.open()] == ["r1"]
    for _ in range(5):
        ledger.look(10)
    assert ledger.bells() == ["r1"]


def test_a_step_that_a_newer_queue_adds_is_made_later(ledger: Ledger) -> None:
    ledger.hands.arrive()
    done = "SELECT name FROM backout_queue.migration ORDER BY name"
    names = ledger.ann.look(lambda db: db.execute(done).fetchall())
    its_newest, our_newest = [name for name in names if "backout" not in name[0]][-1], names[-1]
    forget = "DELETE FROM backout_queue.migration WHERE name IN (?, ?)"
    lacking = (*its_newest, *our_newest)
    ledger.ann.change(lambda db: db.execute(forget, lacking).rowcount)
    ledger.handed("r1")
    assert ledger.ann.look(lambda db: db.execute(done).fetchall()) == names


def test_a_clock_of_the_database_that_jumps_takes_nobody_s_run(ledger: Ledger) -> None:
    ledger.handed("r1", driver="three")
    ledger.hands.beat(ME)
    past = "UPDATE backout_queue.worker SET seen = now() - interval '1 year'"
    ledger.ann.change(lambda db: db.execute(past).rowcount)
    ledger.look(10)
    assert ledger.driver("r1") == "three"
    assert ledger.hands.all()[0].silent > 1e7
    ledger.hands.leave("nobody")
    assert ledger.hands.all() == ()

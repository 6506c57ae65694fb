"""A working copy of an operator: the real composition root and journal, over such machines."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proof.worlds.links import Wire
from proof.worlds.threads import Lock, Wall

from backout.adapters.storage.journal import RunJournal, SqliteJournal
from backout.adapters.storage.journal_queue import Queue
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import T, Write
from backout.errors import Unreachable
from backout.model import Command, Event, Host, Identity, Result, Target
from backout.ports import Operator, Restarter, Transport
from backout.project.machines import Machines
from backout.project.project import Workplace

if TYPE_CHECKING:
    from proof.worlds.world import Seat


class AtOnce:
    """The queue of a journal whose writer is whoever appends."""

    def __init__(self, queue: Queue, commit: Callable[[], None], seat: Seat) -> None:
        self._queue = queue
        self._commit = commit
        self._seat = seat

    def put(self, write: Write[T]) -> Future[T]:
        self._seat.baton.point()
        if self._seat.full:
            raise sqlite3.OperationalError("database or disk is full")
        future = self._queue.put(write)
        self._commit()
        self._seat.world.recorded(self._seat)
        self._seat.baton.point()
        return future

    def close(self) -> None:
        self._queue.close()

    def take(self) -> Any:
        return self._queue.take()


class Journal(SqliteJournal):
    """A journal in memory: the real tables and the real statements. What is committed survives
    the process that wrote it."""

    def __init__(self, template: Path, redact: Callable[[str], str], seat: Seat) -> None:
        JournalStore.__init__(self, redact, now=lambda: Wall.now(UTC))
        if not template.exists():
            SqliteJournal(template, redact).close()
        self.path = template
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.deserialize(_memory(template))
        self._db.execute("PRAGMA foreign_keys = ON")
        self._reader = self._db
        self._reading: Any = Lock()
        self.commits = 0
        self._queue: Any = AtOnce(Queue(), self._commit, seat)

    def close(self) -> None:
        """It is the world's."""

    @property
    def newest(self) -> str:
        """The kind of the newest record."""
        row = self._db.execute("SELECT kind FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        return str(row[0]) if row else ""


@cache
def _memory(template: Path) -> bytes:
    with closing(sqlite3.connect(template)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        return bytes(db.serialize())


class Reach(Machines):
    """Machines of that world."""

    seat: Seat

    def _connect(self, name: str) -> Transport:
        seat = self.seat
        if not name:
            here = Host(name="here", connection="local")
            return Wire(here, "/root/.backout", self.vault, seat.machine, None)
        host = self.target.hosts[name]
        wire = Wire(
            host, self.target.home_on(host), self.vault, seat.world.hosts[name], seat.links[name]
        )
        wire.needs_lease = True
        wire.open()
        return wire

    def locate(self, host: Host) -> Host:
        return host

    def restarter(self, name: str) -> Restarter:
        return Restarts(self.reach(name))


class Restarts:
    """The service's manager."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def identity(self) -> Identity:
        try:
            seen = self._transport.run(Command("work who", timeout=30.0))
        except Unreachable:
            return Identity(up=False, known=False)
        if not seen.ok:
            return Identity(up=False, known=False)
        return Identity(up=True, value=seen.stdout.strip())

    def restart(self, key: str) -> Result:
        return self._transport.run(
            Command("work restart 0.5", timeout=30.0, key=key, title="Restart")
        )

    def stop(self, key: str) -> Result:  # noqa: ARG002 - the seam's form
        raise AssertionError("it ran before, and is never stopped")

    def logs(self, lines: int) -> str:  # noqa: ARG002 - the seam's form
        return ""

    def streams(self, lines: int) -> Mapping[str, str]:  # noqa: ARG002 - the seam's form
        return {}

    def find(self) -> tuple[()]:
        return ()


class Place(Workplace):
    """The working copy of one operator, for one verb."""

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat.directory)
        self.root = seat.directory
        self.state = seat.directory / ".backout"
        self.seat = seat

    def target(self, name: str | None) -> Target:  # noqa: ARG002 - there is one
        return self.seat.world.target

    def target_name(self, word: str) -> str:
        return word

    @cached_property
    def journal(self) -> RunJournal:
        return self.seat.journal.through(self._hide, str)

    def machines(self, target: Target) -> Machines:
        journal = partial(self.journal_of, target)
        machines = Reach(target, self.vault(target), self.state / "here", dict, journal)
        machines.seat = self.seat
        self.close_later(machines.close)
        return machines


class Yes:
    """An operator who says yes."""

    asking = False
    present = False

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - the seam's form
        return None

    def line(self, question: str, over: Callable[[], bool]) -> str | None:  # noqa: ARG002 - the seam's form
        return None

    def confirm(self, question: str, *, typed: str = "") -> bool:  # noqa: ARG002 - the seam's form
        return True


class Screen:
    """Where the operator looks; what is said there is kept."""

    live = False

    def __init__(self) -> None:
        self.operator: Operator = Yes()
        self.events: list[Event] = []

    def print(self, text: str) -> None: ...

    def listen(self, event: Event) -> None:
        self.events.append(event)

    def over(self) -> None: ...

    def interrupted(self) -> None: ...

    def left(self, what: str, *, state: str, next: str) -> None: ...

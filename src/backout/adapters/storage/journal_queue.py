"""Appends that wait for the journal's one writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition
from typing import Any

from backout.adapters.storage.tables import T, Write


class Closed(Exception):
    """Nothing is taken any more."""

    def __str__(self) -> str:
        return "it is closed"


@dataclass(frozen=True, slots=True)
class Append:
    """Something to write, and whoever waits for it."""

    write: Write[Any]
    future: Future[Any]

    def attempt(self, db: sqlite3.Connection) -> Callable[[], None]:
        """Write, and say how to answer once it is durable. One that fails leaves no trace and
        does not disturb the others, unless it took the whole transaction with it."""
        db.execute("SAVEPOINT append")
        try:
            value = self.write(db)
        except Exception as error:
            if not db.in_transaction:
                raise
            db.execute("ROLLBACK TO append")
            db.execute("RELEASE append")
            return answering(self.future.set_exception, error)
        db.execute("RELEASE append")
        return answering(self.future.set_result, value)


def answering(tell: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: tell(value)


class Queue:
    """Appends that wait for the writer."""

    def __init__(self) -> None:
        self._waiting: list[Append] = []
        self._changed = Condition()
        self._closed = False

    def put(self, write: Write[T]) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise Closed
            self._waiting.append(Append(write, future))
            self._changed.notify()
        return future

    def wait(self) -> bool:
        """Wait for work; False when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)

    def take(self) -> list[Append]:
        with self._changed:
            taken, self._waiting = self._waiting, []
            return taken

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

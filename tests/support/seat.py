"""Where an operator of the arena sits: `backout WORDS` in a network of its own, with the clock, the
leases and the hosts that the arena gives it; and, to see that it would be noticed, without one of
the protocol's guards. All of that is for this process alone, and told by its environment::

    SEAT_NETWORK   the network namespace
    SEAT_CLOCK     a file with the seconds by which the wall clock is wrong
    SEAT_LEASE     how long a lease lasts, in seconds
    SEAT_SLOW      seconds that a host takes between two looks of a command, and a shared ledger
                   before a transaction that is more than a record
    SEAT_WITHOUT   guards that are taken away: token, void, epoch
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pkgutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType

import backout
from backout.adapters import programs
from backout.adapters.lease import LeaseLock
from backout.adapters.storage.journal_queue import Append
from backout.adapters.storage.postgres.store import PostgresStore
from backout.adapters.storage.tables import Tables
from backout.adapters.transports import shell_text

_CLONE_NEWNET = 0x40000000
_OURS = '[ -n "$bo_token" ] || return 0'
_NOTED = "bo_started $$; bo_booted\n"
_VALID = "  bo_ours || { bo_give_up fenced; return; }"
_LOOK = '[ "$found" = "$token" ]\n}'
_VOID = """{ printf '' >"$bo_note.void"; } 2>/dev/null"""
_TOLD = '[ -e "$bo_note.void" ] && [ "$bo_was"'
_EPOCH = 'if [ "$seen" -gt "$epoch" ]'


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class Wrong(datetime, metaclass=_Kind):
    """A wall clock that jumps whenever somebody writes to its file."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # the real one's
        off = float(Path(os.environ["SEAT_CLOCK"]).read_text() or 0)
        return datetime.now(tz) + timedelta(seconds=off)


def sit() -> None:
    """Take the place that the environment tells of."""
    _enter(os.environ["SEAT_NETWORK"])
    for module in pkgutil.walk_packages(backout.__path__, "backout."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert LeaseLock.__init__.__kwdefaults__
    LeaseLock.__init__.__kwdefaults__["ttl"] = float(os.environ["SEAT_LEASE"])
    without = os.environ["SEAT_WITHOUT"].split()
    pause = float(os.environ["SEAT_SLOW"])
    if pause or without:
        _other_programs(os.environ["SEAT_SLOW"], without)
    if pause:
        _late(pause)
    if "epoch" in without:
        setattr(PostgresStore, "_epoch", _whatever_epoch)  # noqa: B010 - for this process alone
    for each in _ours():
        if getattr(each, "datetime", None) is datetime:
            setattr(each, "datetime", Wrong)  # noqa: B010 - for this process alone


def _late(seconds: float) -> None:
    put = PostgresStore._put_transaction

    def late(store: PostgresStore, append: Append) -> None:
        time.sleep(seconds)  # what may happen meanwhile is the subject
        put(store, append)

    setattr(PostgresStore, "_put_transaction", late)  # noqa: B010 - for this process alone


def _whatever_epoch(store: PostgresStore, db: Tables, run: str) -> int:
    """A record is written by the epoch that the run has by now, whoever writes it."""
    row = db.execute("SELECT epoch FROM run WHERE id = ?", (run,)).fetchone()
    store._tails.pop(run, None)
    store._epochs[run] = row[0] if row else 0
    return store._epochs[run]


def _enter(network: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/run/netns/{network}").open("rb") as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network {network}")


def _ours() -> Iterator[ModuleType]:
    yield from (m for name, m in list(sys.modules.items()) if name.startswith("backout."))


def changed(name: str, slow: str, without: list[str]) -> str:
    """A program of the hosts as these operators send it."""
    text = programs.program(name)
    if name == "note":
        text = _replaced(text, _NOTED, f"sleep {slow}; {_NOTED}" if float(slow) else _NOTED)
        pause = f"  sleep {slow}\n{_VALID}" if float(slow) else _VALID
        text = _replaced(text, _VALID, pause)
    if name == "note" and "token" in without:
        text = _replaced(text, _OURS, "return 0")
    if name == "lease" and "token" in without:
        text = _replaced(text, _LOOK, _LOOK.replace("]", "] || true"))
    if name == "recall" and "void" in without:
        text = _replaced(_replaced(text, _VOID, ":"), _TOLD, '[ "$bo_was"')
    if name == "acquire" and "epoch" in without:
        text = _replaced(text, _EPOCH, "if false && " + _EPOCH.removeprefix("if "))
    return text


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def _other_programs(slow: str, without: list[str]) -> None:
    known, quote = programs.program, shell_text.quote
    library = known("note")
    other = changed("note", slow, without)
    for module in _ours():
        if getattr(module, "program", None) is known and module is not programs:
            setattr(module, "program", lambda name: changed(name, slow, without))  # noqa: B010
        for name, value in list(vars(module).items()):
            if isinstance(value, str) and (library in value or quote(library) in value):
                new = value.replace(library, other).replace(quote(library), quote(other))
                setattr(module, name, new)


if __name__ == "__main__":
    from backout.tasks import main

    sit()
    sys.argv[0] = "invoke"
    main()

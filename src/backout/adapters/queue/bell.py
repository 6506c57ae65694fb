"""`ports.Doorbell` on Procrastinate.

A job carries the name of a run and nothing else, and no lock: it is never retried, and how it ends
means nothing. Whoever hears it looks into the journal, where one of them wins the run by its epoch.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from backout.adapters.queue import schema
from backout.adapters.queue.schema import SCHEMA
from backout.adapters.storage.postgres.session import direct
from backout.errors import Refused
from backout.ports import Shift, Tick
from backout.postgres.driver import driver

if TYPE_CHECKING:
    from backout.adapters.storage.postgres.address import Address

EXTRA = "team"

DRIVE = "drive"
POLL = 5.0
"""Seconds after which is looked for jobs though nothing was heard: a link can be half open."""
AGAIN = 2.0
"""Seconds after which a queue that was gone is asked again."""
PAUSE = 0.1
LONGEST = 40
SILENT = 30.0
"""Seconds after which Procrastinate calls a worker stalled."""


def library() -> Any:
    """Procrastinate, which an extra brings. Raises Refused where it is not installed."""
    try:
        import procrastinate
    except ImportError as error:
        raise Refused(
            "workers need Procrastinate, which is not installed", next="pip install 'backout[team]'"
        ) from error
    return procrastinate


class Bell:
    """The queue in the database of the ledger."""

    def __init__(self, address: Address) -> None:
        """`address` is the one that a worker listens at: a session of its own, no pooler's."""
        self._address = address
        self._said = _Errors()

    def defer(self, tables: Any, zone: str, run: str) -> None:
        procrastinate = library()
        schema.bring_up(tables)
        if _rings(tables, run):
            return
        app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
        about = {"allow_unknown": True, "queue": _queue(zone), "task_kwargs": {"run": run}}
        schema.enter(tables)
        try:
            app.configure_task(DRIVE, connection=tables.connection, **about).defer()
        except procrastinate.exceptions.ConnectorException as error:
            raise error.__cause__ or error from error
        schema.leave(tables)

    def stalled(self, tables: Any, zone: str) -> Sequence[str]:
        query = (
            f"SELECT DISTINCT job.args->>'run' FROM {SCHEMA}.procrastinate_jobs AS job"  # noqa: S608 - our own words
            f" LEFT JOIN {SCHEMA}.procrastinate_workers AS worker ON worker.id = job.worker_id"
            " WHERE job.status = 'doing' AND job.queue_name = ? AND (worker.id IS NULL"
            " OR worker.last_heartbeat < now() - make_interval(secs => ?))"
        )
        return [str(run) for (run,) in tables.execute(query, (_queue(zone), SILENT)).fetchall()]

    def work(self, shift: Shift, ticks: Sequence[Tick]) -> None:
        self._refuse_pooler()
        with self._said.heard():
            asyncio.run(self._work(shift, ticks))

    def _refuse_pooler(self) -> None:
        """One would swallow what is listened for."""
        try:
            with self._address.connect() as link:
                if direct(link):
                    return
        except driver(EXTRA).Error:
            return  # it is gone for now, which is told while it is awaited
        raise Refused(
            "a pooler stands before the queue, and a worker would hear nothing through it",
            where=str(self._address),
            next="name the database itself in backout.yaml: workers: {secret: …}",
        )

    # --- at work ---------------------------------------------------------------------------

    async def _work(self, shift: Shift, ticks: Sequence[Tick]) -> None:
        beside = [asyncio.create_task(_again_and_again(each)) for each in ticks]
        listening = asyncio.create_task(self._listen(shift))
        while not shift.stop_asked():
            await asyncio.sleep(PAUSE)
        await _ended(listening)
        await shift.finish()
        for task in beside:
            await _ended(task)

    async def _listen(self, shift: Shift) -> None:
        """Until it is cancelled. A queue that is gone does not end the worker."""
        while True:
            try:
                async with self._opened(shift) as app:
                    await app.run_worker_async(**self._how(shift))
                shift.say(f"the queue was lost ({self._said.last}); listening again")
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and tried again
                told = " ".join(str(error.__cause__ or error).split())
                shift.say(f"the queue cannot be reached: {told}; trying again")
            await asyncio.sleep(AGAIN)

    @asynccontextmanager
    async def _opened(self, shift: Shift) -> AsyncIterator[Any]:
        procrastinate = library()
        app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=self._address.dsn,
                kwargs={**self._address.settings, "prepare_threshold": None},
                configure=_configured,
                min_size=1,
                max_size=3,
                timeout=10.0,
            )
        )

        @app.task(name=DRIVE)  # type: ignore[untyped-decorator, unused-ignore] # imported late
        async def answer(run: str) -> None:
            await shift.drive(run)

        async with app.open_async():
            yield app

    def _how(self, shift: Shift) -> Mapping[str, Any]:
        """A job that the worker leaves behind when it listens anew is over; the drive goes on."""
        return {
            "queues": list(map(_queue, shift.zones)),
            "concurrency": shift.width,
            "install_signal_handlers": False,
            "fetch_job_polling_interval": POLL,
            "shutdown_graceful_timeout": 0.1,
            "delete_jobs": "always",
            "stalled_worker_timeout": SILENT,
        }


def _queue(zone: str) -> str:
    """Its queue: PostgreSQL names no channel in more than 63 bytes, and Procrastinate puts 23 of
    its own before the queue's name."""
    return zone if len(zone.encode()) <= LONGEST else hashlib.sha256(zone.encode()).hexdigest()[:32]


def _rings(tables: Any, run: str) -> bool:
    """Whether a job for that run waits already. No lock of the queue's own says so: its violation
    would end the transaction."""
    query = (
        f"SELECT 1 FROM {SCHEMA}.procrastinate_jobs"  # noqa: S608 - our own words
        " WHERE args->>'run' = ? AND status = 'todo' LIMIT 1"
    )
    return bool(tables.execute(query, (run,)).fetchone())


async def _configured(connection: Any) -> None:
    await connection.set_autocommit(True)
    await connection.execute(f"SET search_path TO {SCHEMA}")


async def _again_and_again(tick: Tick) -> None:
    while True:
        await asyncio.to_thread(tick.do)
        await asyncio.sleep(tick.every)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


class _Errors(logging.Handler):
    """What Procrastinate and its pool log goes nowhere but here: the last word is told."""

    last = "its link was closed"

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR and record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            self.last = " ".join(str(error.__cause__ or error).split())

    @contextmanager
    def heard(self) -> Iterator[None]:
        loggers = [logging.getLogger(name) for name in ("procrastinate", "psycopg.pool")]
        before = [each.propagate for each in loggers]
        for each in loggers:
            each.addHandler(self)
            each.propagate = False
        try:
            yield
        finally:
            for each, propagate in zip(loggers, before, strict=True):
                each.removeHandler(self)
                each.propagate = propagate

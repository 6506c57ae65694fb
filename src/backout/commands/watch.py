"""The verbs of watching: watch, alert.ack, alert.silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from backout.adapters.local_lock import owner
from backout.adapters.storage.health_tables import HealthTables
from backout.commands import deploy
from backout.commands.options import (
    Aimed,
    AlertAck,
    AlertList,
    AlertSilence,
    Resume,
    Rollback,
    Watch,
)
from backout.errors import Mistakes, Refused
from backout.model import CheckKey, seconds
from backout.ports import Screen
from backout.project.project import Workplace, aimed_at
from backout.reports.answer import Answer
from backout.reports.data import stamp
from backout.reports.watched import Acknowledged, Alerts, Silence, Silenced, Stopped
from backout.status_page import publisher
from backout.status_page.listen import ListenAt
from backout.watch.alerts import alert_row
from backout.watch.process import Process
from backout.watch.stores import open_store


class Watching:
    """One verb, for one operator at one screen."""

    def __init__(self, workplace: Workplace, screen: Screen, who: str = "") -> None:
        """`who` acts; without one, whoever is at this terminal."""
        self.workplace = workplace
        self.screen = screen
        self.who = who or owner()

    def watch(self, options: Watch) -> Answer:
        beside = publisher.companions(
            self.workplace, self.screen, options.page, self._listen(options)
        )
        with Process(self.workplace, self.screen, _names(options), take_back) as process:
            process.watcher.companions += beside
            if options.once:
                return process.once()
            process.run()
        return Answer("watch", Stopped())

    def _listen(self, options: Watch) -> ListenAt | None:
        if not options.listen:
            return None
        return ListenAt(options.listen, options.listen_anywhere, options.listen_name)

    # --- alerts --------------------------------------------------------------------------

    def ack(self, options: AlertAck) -> Answer:
        """Somebody knows: no more reminders of what is open now."""
        by = f"{self.who}: {options.note}" if options.note else self.who
        with self._store() as store:
            there = store.incidents(self._target(options), open=True)
            chosen = [incident for incident in there if _meant(incident.check_key, options)]
            if not chosen:
                raise Refused("there is no such open alert", next="invoke status")
            with store.write() as change:
                for incident in chosen:
                    change.ack(incident.id, by)
        return Answer("alert", Acknowledged(tuple(str(i.check_key) for i in chosen), by))

    def list(self, options: AlertList) -> Answer:
        """What is open now, and the silences in force."""
        now = datetime.now(UTC).timestamp()
        name = self._target(options)
        with self._store() as store:
            opened = store.incidents(name, open=True)
            silences = [each for each in store.silences(now) if name in ("", each[0])]
        told = Alerts(
            tuple(alert_row(each, now) for each in opened),
            tuple(
                Silence(target, check or None, _stamp(until), by)
                for target, check, until, by in silences
            ),
        )
        return Answer("alerts", told)

    def silence(self, options: AlertSilence) -> Answer:
        """Nothing is told for a while; what is still wrong then is told then."""
        try:
            lasting = seconds(options.for_ or "")
        except ValueError as error:
            raise Mistakes(f"--for: {error}", where="command line") from None
        target = self.workplace.target(self._target(options) or None)
        check = options.check or ""
        if check and check not in target.checks:
            known = ", ".join(target.checks) or "none"
            raise Mistakes(f"{target.name} has no check {check!r}; its checks: {known}")
        until = datetime.now(UTC).timestamp() + lasting
        with self._store() as store, store.write() as change:
            change.silence(target.name, check, until, self.who)
        moment = _stamp(until)
        return Answer("alert", Silenced(target.name, check or None, moment))

    def _target(self, options: Aimed) -> str:
        return self.workplace.aimed(options.target)

    @contextmanager
    def _store(self) -> Iterator[HealthTables]:
        with open_store(self.workplace, self.workplace.redact) as store:
            yield store


def take_back(workplace: Workplace, screen: Screen, target: str, only: str) -> Answer:
    """See `reverting.TakeBack`."""
    operation = deploy.Operation(workplace, screen)
    if only:
        return operation.rollback(Rollback(target=target, yes=True), only=only)
    return operation.resume(Resume(target=target, yes=True))


def _names(options: Watch) -> list[str]:
    named = aimed_at(None)
    return list(options.target) or ([named] if named else [])


def _stamp(at: float) -> str:
    return stamp(datetime.fromtimestamp(at, UTC))


def _meant(check_key: CheckKey, options: AlertAck) -> bool:
    return not options.check or options.check in (check_key.check, check_key.key)

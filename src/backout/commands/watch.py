"""The verbs of watching: watch, alert.ack, alert.silence, and the schedules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from backout.adapters.storage.health_store import HealthStore
from backout.commands import deploy
from backout.commands.schedule import Schedule
from backout.errors import Mistakes, Refused
from backout.model import CheckKey, seconds
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import stamp
from backout.watch.process import Process, open_store
from backout.watch.watcher import Companion

Words = Mapping[str, Any]


class Watching:
    """One verb, for one operator at one screen."""

    def __init__(
        self,
        workplace: Workplace,
        screen: Screen,
        words: Words,
        companions: Sequence[Companion] = (),
    ) -> None:
        """`companions` live as long as `watch` runs."""
        self.workplace = workplace
        self.screen = screen
        self.words = words
        self.companions = companions

    def watch(self) -> Answer:
        with Process(self.workplace, self.screen, self._names()) as process:
            process.watcher.companions += self.companions
            if self.words.get("once"):
                return process.once()
            process.run()
        return Answer("watch", {"stopped": True})

    def _names(self) -> list[str]:
        named = self.words.get("target") or os.environ.get("BACKOUT_TARGET") or ()
        return [named] if isinstance(named, str) else list(named)

    # --- alerts --------------------------------------------------------------------------

    def alert_ack(self) -> Answer:
        """Somebody knows: no more reminders of what is open now."""
        by = deploy.owner()
        with self._store() as store:
            chosen = [i for i in store.incidents(self._target(), open=True) if self._meant(i.spot)]
            if not chosen:
                raise Refused("there is no such open alert", next="invoke status")
            with store.write() as change:
                for incident in chosen:
                    change.ack(incident.id, by)
        data = {"acknowledged": [str(i.spot) for i in chosen], "by": by}
        return Answer("alert", data)

    def alert_silence(self) -> Answer:
        """Nothing is told for a while; what is still wrong then is told then."""
        try:
            lasting = seconds(self.words.get("for_") or "")
        except ValueError as error:
            raise Mistakes(f"--for: {error}", where="command line") from None
        target = self.workplace.target(self._target() or None)
        check = self.words.get("check") or ""
        if check and check not in target.checks:
            known = ", ".join(target.checks) or "none"
            raise Mistakes(f"{target.name} has no check {check!r}; its checks: {known}")
        until = datetime.now(UTC).timestamp() + lasting
        with self._store() as store, store.write() as change:
            change.silence(target.name, check, until, deploy.owner())
        moment = stamp(datetime.fromtimestamp(until, UTC))
        return Answer("alert", {"silenced": target.name, "check": check or None, "until": moment})

    def _target(self) -> str:
        name = self.words.get("target") or os.environ.get("BACKOUT_TARGET") or ""
        return self.workplace.target_name(name) if name else ""

    def _meant(self, spot: CheckKey) -> bool:
        check = self.words.get("check")
        return not check or check in (spot.check, spot.key)

    @contextmanager
    def _store(self) -> Iterator[HealthStore]:
        with open_store(self.workplace, self.workplace.redact) as store:
            yield store

    # --- schedules -----------------------------------------------------------------------

    def schedule_install(self) -> Answer:
        return Schedule(self.workplace, self.screen, self.words).install()

    def schedule_remove(self) -> Answer:
        return Schedule(self.workplace, self.screen, self.words).remove()

    def schedule_show(self) -> Answer:
        return Schedule(self.workplace, self.screen, self.words).show()

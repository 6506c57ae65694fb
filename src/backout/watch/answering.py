"""Looks for those who ask: a worker takes what its zone is asked, looks, and says what it saw."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from backout.adapters.redactor import redact_data
from backout.checks.examiner import WORKERS, Examiner
from backout.config import loading
from backout.errors import BackoutError, Refused
from backout.model import Finding, Taken, Verdict
from backout.ports import Questions
from backout.project.machines import Machines
from backout.project.project import TABLES, Workplace, revealing
from backout.watch import zones
from backout.watch.targets import lookers


@dataclass(frozen=True, slots=True)
class _Lookers:
    """Who looks at one target, as whoever asks has it."""

    digest: str
    machines: Machines
    examiner: Examiner


class Answering:
    """One worker's looks for its zone."""

    def __init__(
        self,
        workplace: Workplace,
        questions: Questions,
        worker: tuple[str, str, str],
        say: Callable[[str], None],
    ) -> None:
        """`worker` is its id, its zone, and whose it is."""
        self._workplace, self._questions, self._say = workplace, questions, say
        self._id, self._zone, self._by = worker
        self._pool = ThreadPoolExecutor(WORKERS, "zone look")
        self._free = threading.Semaphore(WORKERS)
        self._crews: dict[str, _Lookers] = {}
        self._before: dict[str, _Lookers] = {}
        """The ones that looked before an inventory changed: they may be under way still."""
        self._guard = threading.Lock()

    def __call__(self) -> None:
        """Take what waits, and look at it, beside this thread. Raises Unwritten."""
        most = 0
        while most < WORKERS and self._free.acquire(blocking=False):
            most += 1
        taken: Sequence[Taken] = ()
        try:
            if most:
                taken = self._questions.take(self._zone, self._by, self._id, most)
        finally:
            for _ in range(most - len(taken)):
                self._free.release()
        for each in taken:
            self._pool.submit(self._answer, each)

    def close(self) -> None:
        """What was begun is said first."""
        self._pool.shutdown(cancel_futures=True)
        for each in (*self._crews.values(), *self._before.values()):
            each.machines.close()

    def _answer(self, taken: Taken) -> None:
        try:
            findings, memory = self._look(taken)
            told = [zones.record(each) for each in findings]
            with suppress(Refused):  # it was not said: nobody counts on it
                self._questions.answer(taken.asked, self._id, told, memory)
        finally:
            self._free.release()

    def _look(self, taken: Taken) -> tuple[Sequence[Finding], dict[str, object]]:
        """What it found, and what the next look is to find again. Raises nothing."""
        key = taken.asked.check_key
        try:
            examiner = self._lookers(taken).examiner
            examiner.memory.update({name: dict(each) for name, each in taken.memory.items()})
            release = zones.release_of(taken.about)
            found = examiner.look(key.check, key.host or None, release)
            memory = {each.key: examiner.memory.get(each.key, {}) for each in found}
            return found, {name: each for name, each in memory.items() if each}
        except BackoutError as error:
            why = error.what
        except Exception as error:  # noqa: BLE001 - one broken look must not end the others
            why = f"{type(error).__name__}: {error}"
        self._say(f"{key} cannot be looked at from here: {why}")
        reason = self._workplace.redact(f"it cannot be looked at from there: {why}")
        lost = Finding(key.check, key.host or None, Verdict.INCONCLUSIVE, reason=reason)
        return (lost,), {}

    def _lookers(self, taken: Taken) -> _Lookers:
        """Who looks at the target as it is asked about. Raises Refused and Mistakes."""
        name = taken.asked.check_key.target
        with self._guard:
            known = self._crews.get(name)
            if known is None or known.digest != taken.digest:
                made = self._made(name, taken.digest)
                if before := self._before.pop(name, None):
                    before.machines.close()
                if known is not None:
                    self._before[name] = known
                known = self._crews[name] = made
            return known

    def _made(self, name: str, digest: str) -> _Lookers:
        inventory = self._questions.inventory(name)
        if inventory.digest != digest:
            raise Refused(f"the inventory of {name} has changed since it was asked", where=name)
        data = json.loads(inventory.body)
        vault = self._workplace.vault(loading.thaw_target(data, TABLES))
        target = loading.thaw_target(redact_data(data, revealing(vault)), TABLES)
        return _Lookers(digest, *lookers(self._workplace, target))

"""`watch` as a process: its threads, its files, its signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backout.adapters import switches
from backout.adapters.clock import SystemClock
from backout.adapters.storage.health_schema import set_aside
from backout.adapters.storage.health_tables import HealthTables
from backout.checks import judging
from backout.checks.examiner import WORKERS
from backout.config import project_file
from backout.errors import BackoutError, Damaged, Held, Mistakes, Refused
from backout.model import CheckKey, Event, Finding, Target, Verdict
from backout.ports import Posts, Screen
from backout.project import needs
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import check_rows
from backout.reports.report import CODES
from backout.reports.watched import Watched, WatchedOnce
from backout.watch.alone import alone
from backout.watch.asking import Asking
from backout.watch.inventories import Inventories
from backout.watch.outbox import Sender
from backout.watch.postman import Courier
from backout.watch.reverting import Reverting, TakeBack
from backout.watch.shifts import EVERY, STILL, Shifts
from backout.watch.stores import open_store, posts_of, questions_of
from backout.watch.surroundings import Surroundings
from backout.watch.targets import Loaded, Targets
from backout.watch.watched import WatchedTarget
from backout.watch.watcher import Watcher

Words = Mapping[str, Any]

GRACE = 20.0
"""How long looks and messages under way are waited for at the end."""
ASKERS = 100
"""So many looks at most are waited for that others make."""
SHORTLY = 3.5
"""`--once` waits so long for a destination that takes one message after the other."""


@dataclass(frozen=True, slots=True)
class OfWorker:
    """A worker that watches beside its drives, as others of the same working copy may."""

    id: str
    is_ours: Callable[[Target], bool]
    """Whether a target may be watched from its zone."""


class Process:
    """`watch` as a process: its threads, its files, its signals."""

    def __init__(
        self,
        workplace: Workplace,
        screen: Screen,
        names: Sequence[str],
        take_back: TakeBack,
        worker: OfWorker | None = None,
    ) -> None:
        self.workplace = workplace
        self.screen = screen
        self.clock = SystemClock()
        self.stopping = threading.Event()
        self._names = names
        self._take_back = take_back
        self._worker = worker
        self._resources = ExitStack()
        self._mail = threading.Event()
        self._posts: Posts | None = None

    def __enter__(self) -> Process:
        """Read everything and open everything. Raises Mistakes when no inventory can be watched,
        Refused, and Held while another one watches here."""
        with ExitStack() as stack:
            apart = self._apart(stack)
            self.pool = stack.enter_context(ThreadPoolExecutor(WORKERS, "look"))
            self.askers = stack.enter_context(ThreadPoolExecutor(ASKERS, "ask"))
            self.loader = Targets(self.workplace, self._names, self.pool)
            if self._worker:
                self.loader.is_ours = self._worker.is_ours
            fingerprint, loaded = self.loader.fingerprint(), self.loader.load()
            if not loaded.targets:
                raise _nothing(loaded)
            for target in loaded.targets.values():
                wanted = (*needs.of_target(target), *needs.of_watching(target))
                needs.refuse_missing(wanted, f"watching {target.name}")
            self.store = stack.enter_context(self._open_store())
            if questions := questions_of(self.store):
                self.loader.asking = Asking(questions)
                stack.callback(self.loader.asking.close)
            self.watcher = self._watcher()
            self.watcher.messages.page = project_file.load(self.workplace.root).page
            self.sender = self._sender()
            deploys = self.loader.deploys
            outbox = self.workplace.outbox(deploys.targets)
            self.of_runs = Courier(outbox, deploys, self.workplace.state, self.say)
            posts = self._posts = posts_of(self.workplace, self.store, apart)
            still = min(STILL, self.workplace.shared.workers.after)
            shifts = Shifts(posts, self.say, every=EVERY, still=still)
            stack.callback(shifts.leave)
            self.inventories = Inventories(
                self.loader, self.store, self.watcher, shifts, submit=self.pool.submit, say=self.say
            )
            stack.callback(self._close_targets)
            self.inventories.begin(loaded, fingerprint)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def watches(self) -> frozenset[str]:
        """The targets whose place it has, where others may have it."""
        return self._posts.held if self._posts else frozenset()

    def _apart(self, stack: ExitStack) -> str:
        """What tells it from others of this working copy that may watch. Raises Held."""
        if self._worker is None:
            stack.enter_context(alone(self.workplace.state))
            return ""
        try:  # the next one here takes the place of one that was killed at once
            stack.enter_context(alone(self.workplace.state, "watch-of-worker.lock"))
            return "worker"
        except Held:
            return self._worker.id

    def _open_store(self) -> HealthTables:
        """The history of checks. A damaged one is set aside: looking and telling go on."""
        try:
            store = open_store(self.workplace, self._redact)
            store.examine()
            return store
        except Damaged as error:
            stamp = self.clock.now().strftime("%Y%m%d-%H%M%S")
            aside = set_aside(Path(error.where), stamp)
            self.say(f"{error.what}: it is set aside as {aside}, a new one begins", warning=True)
            return open_store(self.workplace, self._redact)

    def _redact(self, text: str) -> str:
        return self.loader.redact(self.workplace.redact(text))

    def _watcher(self) -> Watcher:
        around = Surroundings(
            submit=self.pool.submit,
            ask=self.askers.submit,
            news=self.loader.news,
            said=self.say,
            ping=self._ping,
            reverts=Reverting(self, self._take_back),
            wake=self._mail.set,
            shown=self._show,
            troubles=self._troubles,
        )
        return Watcher(self.store, self.clock, around)

    def _close_targets(self) -> None:
        for watched in self.watcher.targets.values():
            watched.close()

    def say(self, text: str, warning: bool = False) -> None:
        """A line on the screen, redacted."""
        kind = "warning" if warning else "note"
        self.screen.listen(Event(self.clock.now(), kind, self.loader.redact(text)))

    def _show(self, check_key: CheckKey, finding: Finding | None) -> None:
        """How a check stands, on a screen that shows it."""
        state = str(finding.verdict) if finding else ""
        bad = finding is not None and finding.verdict is not Verdict.PASS
        reason = self.loader.redact(finding.reason) if finding and bad else ""
        took = finding.elapsed_ms / 1000 if finding else 0.0
        event = Event(
            self.clock.now(),
            "state",
            check_key.key,
            host=check_key.target,
            state=state,
            seconds=took,
            detail=reason,
        )
        self.screen.listen(event)

    # --- running -------------------------------------------------------------------------

    def run(self) -> None:
        """Until a signal ends it."""
        with self._signals():
            self.work()

    def stop(self) -> None:
        """End it; from any thread, and from a signal."""
        self.stopping.set()
        self.watcher.call(lambda: None)

    def work(self) -> None:
        """Until it is stopped."""
        with self._accompanied():
            sender = self.watcher.workers.start("sender of messages", self._send_on)
            self.say(self._greeting())
            try:
                while not self.stopping.is_set():
                    self.inventories.mind()
                    self.watcher.wait(self.watcher.turn())
            finally:
                self.stopping.set()
                self.watcher.baking.join()
                self._finish()
                self._mail.set()
                sender.join()

    @contextmanager
    def _accompanied(self) -> Iterator[None]:
        self.watcher.show()
        for companion in self.watcher.companions:
            companion.begin(self.watcher)
        try:
            yield
        finally:
            for companion in self.watcher.companions:
                companion.end()

    def _greeting(self) -> str:
        count = len(self.watcher.timetable.entries)
        return f"watching {', '.join(self.watcher.targets) or 'nothing for now'}: {count} checks"

    def once(self) -> Answer:
        """Every check once, whatever its schedule; then tell what there is to tell."""
        watcher = self.watcher
        self._refuse_second()
        watcher.turn(pings=False)
        watcher.look_once()
        with self._signals(), self._accompanied():
            while watcher.busy and not self.stopping.is_set() and not watcher.trouble:
                watcher.wait(0.2)
                watcher.write()
        watcher.baking.join()
        unseen = {
            name: [f"{found.key}: {found.reason}" for found in self._unseen(each)]
            for name, each in watcher.targets.items()
        }
        watcher.tell_switches(self.clock.now().timestamp(), unseen)
        self._send_once()
        return self._answer()

    def _refuse_second(self) -> None:
        """Once is not for standing by. Raises Held when others watch all that is asked for."""
        shifts = self.inventories.shifts
        began = self.clock.monotonic()
        while shifts.others and not shifts.ours and self.clock.monotonic() - began <= STILL + EVERY:
            if shifts.alive:
                name, post = next(iter(shifts.others.items()))
                raise Held(
                    f"{name} is watched by {post.by}",
                    where=name,
                    state="it goes on",
                    next="invoke status",
                )
            self.clock.sleep(0.5)
            self.inventories.mind()

    def _send_once(self) -> None:
        """Everything that waits, as far as it is taken at once."""
        deadline = self.clock.monotonic() + GRACE
        self.of_runs.turn()
        while self.store.waiting() and self.clock.monotonic() < deadline:
            pause = self.sender.turn()
            if pause is None or pause > SHORTLY:
                break
            self.clock.sleep(pause)

    def _answer(self) -> Answer:
        watched, broken = self.watcher.targets, dict(self.watcher.broken)
        left_out = sorted(self.inventories.shifts.ours - watched.keys() - broken.keys())
        targets = (
            *map(self._looked_at, watched.values()),
            *(WatchedOnce(name, Verdict.INCONCLUSIVE) for name in left_out),
        )
        worst = judging.worst(each.verdict for each in targets)
        told = Watched(worst, targets, broken)
        return Answer("watch", told, CODES[worst] or (2 if broken else 0))

    def _looked_at(self, watched: WatchedTarget) -> WatchedOnce:
        findings = (*self.watcher.latest(watched.name), *self._unseen(watched))
        verdict, held = judging.verdict(findings), watched.news.held
        return WatchedOnce(watched.name, verdict, check_rows(findings), held=held)

    def _unseen(self, watched: WatchedTarget) -> tuple[Finding, ...]:
        """Of each check that no look has come back from, that nobody can tell."""
        seen = {found.key for found in self.watcher.latest(watched.name)}
        held, trouble = watched.news.held, self.watcher.trouble
        why = f"{held} holds it" if held else trouble or "it was stopped before the look came back"
        return tuple(
            Finding(each.check, each.host or None, Verdict.INCONCLUSIVE, reason=f"not seen: {why}")
            for each in watched.roots
            if each.key not in seen
        )

    def _finish(self) -> None:
        """What is under way comes to its end, and is written."""
        deadline = self.clock.monotonic() + GRACE
        while self.watcher.busy and self.clock.monotonic() < deadline:
            self.watcher.wait(0.1)
            self.watcher.write()
            if self.watcher.trouble:
                break
        self.say("stopped")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(*_: object) -> None:
            if self.stopping.is_set():
                os._exit(8)
            self.stop()

        def reload(*_: object) -> None:
            self.inventories.reload()
            self.watcher.call(lambda: None)

        handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = [(number, signal.signal(number, act)) for number, act in handlers.items()]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    # --- messages -------------------------------------------------------------------------

    def _sender(self) -> Sender:
        return Sender(
            self.store,
            self.loader.addresses.post,
            self.clock,
            self.loader.addresses,
            said=partial(self.say, warning=True),
            claim=getattr(self.store, "claim", None),
        )

    def _send_on(self) -> None:
        while True:
            self._mail.clear()
            try:
                pauses = (self.sender.turn() or 60.0, self.of_runs.turn())
            except Refused as error:
                self.say(f"messages cannot be sent now: {error.what}", warning=True)
                pauses = (10.0, 10.0)
            if self.stopping.is_set():
                return
            self._mail.wait(max(0.05, min(pauses)))

    def _troubles(self) -> list[str]:
        """What is wrong with telling people."""
        failing = self.sender.failing().items()
        words = [f"{name} does not take its alerts: {why}" for name, why in failing]
        return words + self.of_runs.troubles()

    def _ping(self, watched: WatchedTarget, failed: str) -> None:
        try:
            words = switches.ping(self.loader.switch(watched), failed=failed)
        except BackoutError as error:
            words = error.what
        if words:
            self.say(f"{watched.name}: its dead-man's switch was not told: {words}", warning=True)


def _nothing(loaded: Loaded) -> BackoutError:
    """Why there is nothing to watch."""
    broken = tuple(each for error in loaded.broken.values() for each in error.mistakes)
    if broken:
        return Mistakes(mistakes=broken, state="nothing is watched")
    return Refused("no inventory has checks to watch", next="invoke lint")

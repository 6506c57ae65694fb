"""`watch` as a process: its threads, its files, its signals."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from backout.adapters import notify
from backout.adapters.clock import SystemClock
from backout.adapters.lease import owner
from backout.adapters.own_directory import prepare
from backout.adapters.storage.health_store import HealthStore
from backout.checks import judging
from backout.checks.examiner import WORKERS
from backout.errors import BackoutError, Held, Refused
from backout.model import Event, Finding, Message, Target, Verdict
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import check_rows, stamp
from backout.watch import rollups
from backout.watch.outbox import Sender
from backout.watch.reverting import Reverting, TakeBack
from backout.watch.targets import Targets
from backout.watch.watched import WatchedTarget
from backout.watch.watcher import Watcher

Words = Mapping[str, Any]

FILES_EVERY = 2.0
"""How often it is looked whether an inventory was changed."""
GRACE = 20.0
"""How long looks and messages under way are waited for at the end."""
CODES = {Verdict.PASS: 0, Verdict.FAIL: 6, Verdict.ERROR: 9, Verdict.INCONCLUSIVE: 9}


class Process:
    """`watch` as a process: its threads, its files, its signals."""

    def __init__(
        self,
        workplace: Workplace,
        screen: Screen,
        names: Sequence[str],
        take_back: TakeBack,
    ) -> None:
        self.workplace = workplace
        self.screen = screen
        self.clock = SystemClock()
        self.stopping = threading.Event()
        self.reloading = threading.Event()
        self._names = names
        self._take_back = take_back
        self._resources = ExitStack()
        self._mail = threading.Event()
        self._loading = False
        self._looked = 0.0

    def __enter__(self) -> Process:
        """Read everything and open everything. Raises Mistakes, Refused, and Held while another
        one watches here."""
        with ExitStack() as stack:
            stack.enter_context(_alone(self.workplace.state))
            self.pool = stack.enter_context(ThreadPoolExecutor(WORKERS, "look"))
            self.loader = Targets(self.workplace, self._names, self.pool)
            self.fingerprint = self.loader.fingerprint()
            targets = self.loader.load()
            if not targets:
                raise Refused("no inventory has checks to watch", next="invoke lint")
            self.store = stack.enter_context(open_store(self.workplace, self.loader.redact))
            self.watcher = self._watcher()
            for target in targets.values():
                self.watcher.watch(self.loader.watched(target, self.store))
            stack.callback(self._close_wards)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _watcher(self) -> Watcher:
        return Watcher(
            self.store,
            self.clock,
            submit=self.pool.submit,
            news=self.loader.news,
            said=self.say,
            ping=self._ping,
            reverts=Reverting(self, self._take_back),
            wake=self._mail.set,
        )

    def _close_wards(self) -> None:
        for watched in self.watcher.targets.values():
            watched.close()

    def say(self, text: str, warning: bool = False) -> None:
        """A line on the screen, redacted."""
        kind = "warning" if warning else "note"
        self.screen.listen(Event(self.clock.now(), kind, self.loader.redact(text)))

    # --- running -------------------------------------------------------------------------

    def run(self) -> None:
        """Until a signal ends it."""
        sender = threading.Thread(target=self._send_on, name="sender")
        with self._signals(), self._accompanied():
            sender.start()
            self.say(self._greeting())
            try:
                while not self.stopping.is_set():
                    self._mind_files()
                    self.watcher.wait(self.watcher.turn())
            finally:
                self.stopping.set()
                self.watcher.baking.join()
                self._finish()
                self._mail.set()
                sender.join()

    @contextmanager
    def _accompanied(self) -> Iterator[None]:
        for companion in self.watcher.companions:
            companion.begin(self.watcher)
        try:
            yield
        finally:
            for companion in self.watcher.companions:
                companion.end()

    def _greeting(self) -> str:
        count = len(self.watcher.timetable.entries)
        return f"watching {', '.join(self.watcher.targets)}: {count} checks"

    def once(self) -> Answer:
        """Every check once, whatever its schedule; then tell what there is to tell."""
        watcher = self.watcher
        watcher.turn()
        watcher.look_once()
        with self._signals(), self._accompanied():
            while watcher.busy and not self.stopping.is_set() and not watcher.trouble:
                watcher.wait(0.2)
                watcher.write()
        watcher.baking.join()
        self._sender().turn()
        return self._answer()

    def _answer(self) -> Answer:
        targets = []
        for watched in self.watcher.targets.values():
            findings = self.watcher.latest(watched.name)
            verdict = judging.verdict(findings)
            rows = check_rows(findings)
            targets.append({"target": watched.name, "verdict": str(verdict), "checks": rows})
            if watched.news.held:
                targets[-1]["held"] = watched.news.held
        worst = judging.verdict(_verdicts(targets))
        return Answer("watch", {"verdict": str(worst), "targets": targets}, CODES[worst])

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
            self.stopping.set()
            self.watcher.call(lambda: None)

        def reload(*_: object) -> None:
            self.reloading.set()
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
            self._post,
            self.clock,
            known=lambda: self.loader.destinations,
            said=partial(self.say, warning=True),
        )

    def _send_on(self) -> None:
        sender = self._sender()
        while True:
            self._mail.clear()
            try:
                pause = sender.turn()
            except Refused as error:
                self.say(f"messages cannot be sent now: {error.what}", warning=True)
                pause = 10.0
            if self.stopping.is_set():
                return
            self._mail.wait(60.0 if pause is None else max(0.05, pause))

    def _post(self, destination: str, message: Message) -> str:
        known = self.loader.destinations[destination]
        try:
            url = known.vault.reveal(known.url)
        except BackoutError as error:
            return error.what
        return notify.post(url, message.kind, message.key, message.title, message.body)

    def _ping(self, watched: WatchedTarget, failed: str) -> None:
        try:
            words = notify.ping(self.loader.switch(watched), failed=failed)
        except BackoutError as error:
            words = error.what
        if words:
            self.say(f"{watched.name}: its dead-man's switch was not told: {words}", warning=True)

    # --- inventories ---------------------------------------------------------------------

    def _mind_files(self) -> None:
        now = self.clock.monotonic()
        if self._loading or not (self.reloading.is_set() or now - self._looked >= FILES_EVERY):
            return
        self._looked = now
        fingerprint = self.loader.fingerprint()
        if fingerprint == self.fingerprint and not self.reloading.is_set():
            return
        self.reloading.clear()
        self.fingerprint, self._loading = fingerprint, True
        self.pool.submit(self._load)

    def _load(self) -> None:
        """Parse beside the watcher; swap within it."""
        try:
            targets = self.loader.load()
        except BackoutError as error:
            words = error.what
            self.watcher.call(lambda: self._broken(words))
        else:
            self.watcher.call(lambda: self._swap(targets))

    def _broken(self, words: str) -> None:
        self._loading = False
        self.say(f"an inventory is broken, the old ones stay in force: {words}", warning=True)
        what = f"an inventory is broken, the old one stays in force\n{words}"
        for name in list(self.watcher.targets):
            self.watcher.messages.notice(name, what, about="inventory", next="invoke lint")

    def _swap(self, targets: Mapping[str, Target]) -> None:
        self._loading = False
        for name in self.watcher.targets.keys() - targets.keys():
            self.say(f"{name} is no longer watched")
            self.loader.forget(self.watcher.targets[name])
            self.watcher.forget(name)
        for name, target in targets.items():
            old = self.watcher.targets.get(name)
            if old is None or old.target != target:
                if old is not None:
                    self.loader.forget(old)
                self.watcher.watch(self.loader.watched(target, self.store))
                self.say(f"{name}: its inventory was read {'again' if old else 'and is watched'}")
            self.watcher.messages.notice(name, "", about="inventory")


def _verdicts(targets: Sequence[Words]) -> tuple[Finding, ...]:
    rows = [row for target in targets for row in target["checks"]]
    return tuple(Finding(row["name"], row["host"], Verdict(row["verdict"])) for row in rows)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """One watcher per state directory. Raises Held."""
    prepare(state)
    with (state / "watch.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Held(
                f"another watcher runs here: {_who(file.read())}",
                where=str(state),
                state="it goes on",
                next="invoke status",
            ) from None
        file.truncate(0)
        since = stamp(datetime.now(UTC))
        json.dump({"pid": os.getpid(), "owner": owner(), "since": since}, file)
        file.flush()
        yield


def _who(noted: str) -> str:
    try:
        by = json.loads(noted)
        return f"process {by['pid']} of {by['owner']} since {by['since']}"
    except (ValueError, KeyError):
        return "it has just started"


def open_store(workplace: Workplace, redact: Callable[[str], str]) -> HealthStore:
    """The history of checks of a workplace. Raises Refused."""
    return HealthStore(workplace.state / "health.db", redact, rollups.fold)

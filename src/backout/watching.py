"""The verbs of watching: watch, alert.ack, alert.silence, schedule.install, remove and show."""

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

from backout import rollups
from backout.adapters import notify
from backout.adapters.clock import SystemClock
from backout.adapters.storage.health_store import HealthStore
from backout.bake import Deployed
from backout.checks import judging
from backout.checks.examiner import WORKERS
from backout.commands import deploy
from backout.errors import BackoutError, Held, Mistakes, Refused, Unwritten
from backout.model import Event, Finding, Letter, Spot, Target, Verdict, seconds
from backout.ports import Operator, Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import check_rows, stamp
from backout.sending import Sender
from backout.wards import Wards
from backout.watcher import Companion, Ward, Watcher

Words = Mapping[str, Any]
CODES = {Verdict.PASS: 0, Verdict.FAIL: 6, Verdict.ERROR: 9, Verdict.INCONCLUSIVE: 9}
FILES_EVERY = 2.0
"""How often it is looked whether an inventory was changed."""
GRACE = 20.0
"""How long looks and letters under way are waited for at the end."""


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
        return Path(name).stem if "/" in name else name

    def _meant(self, spot: Spot) -> bool:
        check = self.words.get("check")
        return not check or check in (spot.check, spot.key)

    @contextmanager
    def _store(self) -> Iterator[HealthStore]:
        with open_store(self.workplace, self.workplace.redact) as store:
            yield store

    # --- schedules -----------------------------------------------------------------------

    def schedule_install(self) -> Answer:
        from backout.commands import schedule

        return schedule.Schedule(self.workplace, self.screen, self.words).install()

    def schedule_remove(self) -> Answer:
        from backout.commands import schedule

        return schedule.Schedule(self.workplace, self.screen, self.words).remove()

    def schedule_show(self) -> Answer:
        from backout.commands import schedule

        return schedule.Schedule(self.workplace, self.screen, self.words).show()


def open_store(workplace: Workplace, redact: Callable[[str], str]) -> HealthStore:
    """The history of checks of a workplace. Raises Refused."""
    return HealthStore(workplace.state / "health.db", redact, rollups.fold)


# --- the process -------------------------------------------------------------------------


class Process:
    """`watch` as a process: its threads, its files, its signals."""

    def __init__(self, workplace: Workplace, screen: Screen, names: Sequence[str]) -> None:
        self.workplace = workplace
        self.screen = screen
        self.clock = SystemClock()
        self.stopping = threading.Event()
        self.reloading = threading.Event()
        self._names = names
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
            self.wards = Wards(self.workplace, self._names, self.pool)
            self.fingerprint = self.wards.fingerprint()
            targets = self.wards.load()
            if not targets:
                raise Refused("no inventory has checks to watch", next="invoke lint")
            self.store = stack.enter_context(open_store(self.workplace, self.wards.redact))
            self.watcher = self._watcher()
            for target in targets.values():
                self.watcher.watch(self.wards.ward(target, self.store))
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
            news=self.wards.news,
            said=self.say,
            ping=self._ping,
            revert=Reverting(self).revert,
            wake=self._mail.set,
        )

    def _close_wards(self) -> None:
        for ward in self.watcher.wards.values():
            ward.close()

    def say(self, text: str, warning: bool = False) -> None:
        """A line on the screen, redacted."""
        kind = "warning" if warning else "note"
        self.screen.listen(Event(self.clock.now(), kind, self.wards.redact(text)))

    # --- running -------------------------------------------------------------------------

    def run(self) -> None:
        """Until a signal ends it."""
        sender = threading.Thread(target=self._send_on, name="sender")
        with self._signals(), self._accompanied():
            sender.start()
            self._mind_interrupted()
            self.say(self._greeting())
            try:
                while not self.stopping.is_set():
                    self._mind_files()
                    self.watcher.wait(self.watcher.turn())
            finally:
                self.stopping.set()
                self.watcher.join()
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

    def _mind_interrupted(self) -> None:
        """A revert that ended with the process that had begun it is not begun again."""
        for run, target, ended in self.store.reverts():
            ward = self.watcher.wards.get(target)
            if ended is not None or ward is None:
                continue
            with self.store.write() as change:
                change.reverted(run, self.clock.now().timestamp(), "interrupted")
            title = f"[{target}] reverting run {run} was interrupted: a person is needed"
            self.say(title, warning=True)
            self.watcher.note(
                ward, f"revert-{run}", title, f"next: invoke status --target {target}"
            )

    def _greeting(self) -> str:
        count = len(self.watcher.timetable.entries)
        return f"watching {', '.join(self.watcher.wards)}: {count} checks"

    def once(self) -> Answer:
        """Every check once, whatever its schedule; then tell what there is to tell."""
        watcher = self.watcher
        watcher.turn()
        watcher.look_once()
        with self._signals(), self._accompanied():
            while watcher.busy and not self.stopping.is_set() and not watcher.trouble:
                watcher.wait(0.2)
                watcher.write()
        self._sender().turn()
        return self._answer()

    def _answer(self) -> Answer:
        targets = []
        for ward in self.watcher.wards.values():
            findings = self.watcher.latest(ward.name)
            verdict = judging.verdict(findings)
            rows = check_rows(findings)
            targets.append({"target": ward.name, "verdict": str(verdict), "checks": rows})
            if ward.news.held:
                targets[-1]["held"] = ward.news.held
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

    # --- letters -------------------------------------------------------------------------

    def _sender(self) -> Sender:
        return Sender(
            self.store,
            self._post,
            self.clock,
            known=lambda: self.wards.destinations,
            said=partial(self.say, warning=True),
        )

    def _send_on(self) -> None:
        sender = self._sender()
        while True:
            self._mail.clear()
            try:
                pause = sender.turn()
            except Refused as error:
                self.say(f"letters cannot be sent now: {error.what}", warning=True)
                pause = 10.0
            if self.stopping.is_set():
                return
            self._mail.wait(60.0 if pause is None else max(0.05, pause))

    def _post(self, destination: str, letter: Letter) -> str:
        known = self.wards.destinations[destination]
        try:
            url = known.vault.reveal(known.url)
        except BackoutError as error:
            return error.what
        return notify.post(url, letter.kind, letter.key, letter.title, letter.body)

    def _ping(self, ward: Ward, failed: str) -> None:
        try:
            words = notify.ping(self.wards.switch(ward), failed=failed)
        except BackoutError as error:
            words = error.what
        if words:
            self.say(f"{ward.name}: its dead-man's switch was not told: {words}", warning=True)

    # --- inventories ---------------------------------------------------------------------

    def _mind_files(self) -> None:
        now = self.clock.monotonic()
        if self._loading or not (self.reloading.is_set() or now - self._looked >= FILES_EVERY):
            return
        self._looked = now
        fingerprint = self.wards.fingerprint()
        if fingerprint == self.fingerprint and not self.reloading.is_set():
            return
        self.reloading.clear()
        self.fingerprint, self._loading = fingerprint, True
        self.pool.submit(self._load)

    def _load(self) -> None:
        """Parse beside the watcher; swap within it."""
        try:
            targets = self.wards.load()
        except BackoutError as error:
            words = error.what
            self.watcher.call(lambda: self._broken(words))
        else:
            self.watcher.call(lambda: self._swap(targets))

    def _broken(self, words: str) -> None:
        self._loading = False
        self.say(f"an inventory is broken, the old ones stay in force: {words}", warning=True)
        what = f"an inventory is broken, the old one stays in force\n{words}"
        for name in list(self.watcher.wards):
            self.watcher.notice(name, what, about="inventory", next="invoke lint")

    def _swap(self, targets: Mapping[str, Target]) -> None:
        self._loading = False
        for name in self.watcher.wards.keys() - targets.keys():
            self.say(f"{name} is no longer watched")
            self.wards.forget(self.watcher.wards[name])
            self.watcher.forget(name)
        for name, target in targets.items():
            old = self.watcher.wards.get(name)
            if old is None or old.target != target:
                if old is not None:
                    self.wards.forget(old)
                self.watcher.watch(self.wards.ward(target, self.store))
                self.say(f"{name}: its inventory was read {'again' if old else 'and is watched'}")
            self.watcher.notice(name, "", about="inventory")


def _verdicts(targets: Sequence[Words]) -> tuple[Finding, ...]:
    rows = [row for target in targets for row in target["checks"]]
    return tuple(Finding(row["name"], row["host"], Verdict(row["verdict"])) for row in rows)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """One watcher per state directory. Raises Held."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        json.dump({"pid": os.getpid(), "owner": deploy.owner(), "since": since}, file)
        file.flush()
        yield


def _who(noted: str) -> str:
    try:
        by = json.loads(noted)
        return f"process {by['pid']} of {by['owner']} since {by['since']}"
    except (ValueError, KeyError):
        return "it has just started"


# --- going back by itself ----------------------------------------------------------------


class _Consent:
    """`bake:` in the inventory is the operator's yes."""

    asking = False

    def confirm(self, question: str, *, typed: str = "") -> bool:  # noqa: ARG002
        return True


class _Aside:
    """`ports.Screen` for a rollback that nobody watches: its events are shown, its answer is
    told by a letter."""

    operator: Operator = _Consent()

    def __init__(self, screen: Screen) -> None:
        self.listen = screen.listen

    def print(self, text: str) -> None:
        """Nothing is printed."""

    def interrupted(self) -> None:
        """Signals are the watcher's."""

    def left(self, what: str, *, state: str, next: str) -> None:
        """Signals are the watcher's."""


class Reverting:
    """Takes a deploy back that went bad while it baked: looks again, then once and for all."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def revert(self, ward: Ward, deployed: Deployed, red: Sequence[Spot]) -> str:
        """How it ended, in words; nothing when there was no reason to begin. Not from the
        watcher's own thread."""
        findings = {
            spot: ward.look(spot, deployed) for spot in ward.roots if _leads(ward, spot, red)
        }
        still = {
            (f.check, f.host or "") for found in findings.values() for f in found if _is_red(f)
        }
        confirmed = [spot for spot in red if (spot.check, spot.host) in still]
        if not confirmed or not self._marked(ward, deployed, confirmed):
            return ""
        answer = self._roll_back(ward, deployed)
        return self._told(ward, deployed, confirmed, answer)

    def _marked(self, ward: Ward, deployed: Deployed, red: Sequence[Spot]) -> bool:
        store, now = self.process.store, self.process.clock.now().timestamp()
        why = ", ".join(spot.key for spot in red)
        try:
            with store.write() as change:
                first = change.revert(deployed.run, ward.name, now, why)
        except Unwritten:
            return False
        self.process.watcher.reverted.add(deployed.run)
        return first

    def _roll_back(self, ward: Ward, deployed: Deployed) -> Answer | BackoutError:
        process = self.process
        workplace = Workplace(process.workplace.root)
        words = {"target": ward.target.file or ward.name, "only": deployed.run, "yes": True}
        try:
            return deploy.Operation(workplace, _Aside(process.screen), words).rollback()
        except BackoutError as error:
            return error
        finally:
            workplace.close()

    def _told(
        self, ward: Ward, deployed: Deployed, red: Sequence[Spot], answer: Answer | BackoutError
    ) -> str:
        names = ", ".join(spot.key for spot in red)
        title, following = _outcome(deployed, answer)
        body = f"went bad after it: {names}\n{following}"
        process = self.process
        now = process.clock.now().timestamp()
        while True:
            try:
                with process.store.write() as change:
                    change.reverted(deployed.run, now, title)
                process.watcher.note(ward, f"revert-{deployed.run}", f"[{ward.name}] {title}", body)
                return title
            except Unwritten:
                if process.stopping.wait(5.0):
                    return title


def _leads(ward: Ward, root: Spot, red: Sequence[Spot]) -> bool:
    """Whether a look at `root` looks at one of the red ones."""
    wanted = {spot.check for spot in red}
    reached, ahead = set(), [root.check]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += ward.target.checks[name].then
    return bool(wanted & reached)


def _is_red(finding: Finding) -> bool:
    return finding.verdict in (Verdict.FAIL, Verdict.ERROR)


def _outcome(deployed: Deployed, answer: Answer | BackoutError) -> tuple[str, str]:
    release = f"release {deployed.release}"
    if isinstance(answer, BackoutError):
        return f"{release} was NOT reverted: {answer.what}", f"next: {answer.next}"
    data = answer.data
    if answer.exit_code == 0:
        back = data["release"]["to"]
        return f"{release} was reverted: back on release {back}, and proved", (
            f"the whole story: invoke show {data['run']}"
        )
    if answer.kind == "refused":
        error = data["error"]
        return f"{release} was NOT reverted: {error['what']}", f"next: {error['next']}"
    return f"reverting {release} is INCOMPLETE: {data['reason']}", f"next: {data['next']}"

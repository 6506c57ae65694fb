"""Going back by itself: a deploy that went bad while it baked is taken back, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from backout.errors import BackoutError, ExitCode, Held, Refused, TakenOver, Unwritten
from backout.model import CheckKey, Finding, RunRow, Verdict
from backout.ports import Operator, Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.parts import release_text
from backout.reports.report import Report
from backout.watch.bake import Deployed
from backout.watch.watched import WatchedTarget

if TYPE_CHECKING:
    from backout.watch.process import Process


TakeBack = Callable[[Workplace, Screen, str, str], Answer]
"""(project, screen, target, run): roll that run back and no other; without one, resume the rollback
that is unfinished. Raises BackoutError."""


class _Consent:
    """`bake:` in the inventory is the operator's yes."""

    asking = False

    present = False

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - nobody is asked here
        return None

    def line(self, question: str, over: Callable[[], bool]) -> str | None:  # noqa: ARG002
        return None

    def confirm(self, question: str, *, typed: str = "") -> bool:  # noqa: ARG002
        return True


class Aside:
    """`ports.Screen` for a rollback that nobody watches: its events are shown, its answer is
    told by a message."""

    operator: Operator = _Consent()
    live = False

    def __init__(self, screen: Screen) -> None:
        self.listen = screen.listen

    def print(self, text: str) -> None:
        """Nothing is printed."""

    def over(self) -> None:
        """Signals are the watcher's."""

    def interrupted(self) -> None:
        """Signals are the watcher's."""

    def left(self, what: str, *, state: str, next: str) -> None:
        """Signals are the watcher's."""


class Reverting:
    """Takes a deploy back that went bad while it baked: looks again, then once and for all.

    Three facts lead to the message: that it is to be reverted (the store), what became of the
    rollback (the journal), and that this was written to somebody (the store, in one transaction
    with the message). Whatever lies between them when a process ends, the next one goes on from
    there: `finish`.
    """

    def __init__(self, process: Process, take_back: TakeBack) -> None:
        self.process = process
        self._take_back = take_back

    def revert(self, watched: WatchedTarget, deployed: Deployed, red: Sequence[CheckKey]) -> str:
        """How it ended, in words; nothing when there was no reason to begin. Not from the
        watcher's own thread."""
        confirmed = self._still_red(watched, deployed, red)
        if not confirmed or not self._marked(watched, deployed, confirmed):
            return ""
        release, names = f"release {deployed.release}", _names(confirmed)
        answer = self._roll_back(watched, deployed.run)
        return self._told(watched, deployed.run, names, release, answer)

    def finish(self, watched: WatchedTarget, run: str, why: str) -> str:
        """Go on with a revert that another process began and did not see the end of. How it
        ended, in words; nothing while somebody else is at work on the target."""
        with self._workplace() as workplace:
            release = _release_of(workplace, watched.name, run)
            row = _rollback_of(workplace, watched.name, run)
            if row is not None and row.open:
                answer = self._operate(workplace, watched)
                if isinstance(answer, Held):
                    return ""
            elif row is not None:
                answer = _as_answered(row)
            elif (deployed := watched.news.deployed) is None or deployed.run != run:
                words = f"{release} is no longer in force: there was nothing to revert"
                return self._write(watched, run, why, (words, _see(watched)))
            elif not self._still_red(watched, deployed, _named(watched, why)):
                self._unmark(run)
                return ""
            else:
                answer = self._roll_back(watched, run)
        return self._told(watched, run, why, release, answer)

    def _still_red(
        self, watched: WatchedTarget, deployed: Deployed, red: Sequence[CheckKey]
    ) -> list[CheckKey]:
        """Those that are red when they are looked at again."""
        roots = [check_key for check_key in watched.roots if _leads(watched, check_key, red)]
        findings = [found for check_key in roots for found in watched.look(check_key, deployed)]
        still = {(found.check, found.host or "") for found in findings if _is_red(found)}
        return [check_key for check_key in red if (check_key.check, check_key.host) in still]

    def _marked(self, watched: WatchedTarget, deployed: Deployed, red: Sequence[CheckKey]) -> bool:
        store, now = self.process.store, self.process.clock.now().timestamp()
        try:
            with store.write() as change:
                first = change.revert(deployed.run, watched.name, now, _names(red))
        except Refused:
            return False
        self.process.watcher.baking.reverted.add(deployed.run)
        return first

    def _unmark(self, run: str) -> None:
        """Nothing was begun, and there is no reason any more: as if nothing had been."""
        with suppress(Refused), self.process.store.write() as change:
            change.unmark_revert(run)

    def _roll_back(self, watched: WatchedTarget, run: str) -> Answer | BackoutError:
        with self._workplace() as workplace:
            return self._operate(workplace, watched, run)

    def _operate(
        self, workplace: Workplace, watched: WatchedTarget, only: str = ""
    ) -> Answer | BackoutError:
        target = watched.target.file or watched.name
        try:
            return self._take_back(workplace, Aside(self.process.screen), target, only)
        except BackoutError as error:
            return error

    @contextmanager
    def _workplace(self) -> Iterator[Workplace]:
        """A run has a journal of its own, with its own secrets."""
        workplace = Workplace(self.process.workplace.root)
        try:
            yield workplace
        finally:
            workplace.close()

    def _told(
        self,
        watched: WatchedTarget,
        run: str,
        names: str,
        release: str,
        answer: Answer | BackoutError,
    ) -> str:
        """Those who are told of runs were told of this one, by the run itself."""
        ran = isinstance(answer, Answer) and answer.kind == "run"
        deploys = self.process.loader.deploys.of(watched.name) if ran else ()
        return self._write(watched, run, names, _outcome(release, answer), but=deploys)

    def _write(
        self,
        watched: WatchedTarget,
        run: str,
        names: str,
        outcome: tuple[str, str],
        *,
        but: Sequence[str] = (),
    ) -> str:
        """The record and its message are one: neither is ever there without the other."""
        title, following = outcome
        headed = f"[{watched.name}] {title}"
        body = f"went bad after it: {names}\n{following}".rstrip()
        process = self.process
        now = process.clock.now().timestamp()
        while True:
            try:
                with process.store.write() as change:
                    change.reverted(run, now, title)
                    process.watcher.messages.note_in(
                        change, watched, f"revert-{run}", headed, body, now, but=but
                    )
                process.watcher.messages.wake()
                return title
            except TakenOver:
                return title  # whoever watches it by now tells it
            except Unwritten:
                if process.stopping.wait(5.0):
                    return title  # it is told when somebody watches again


def _names(check_keys: Sequence[CheckKey]) -> str:
    return ", ".join(check_key.key for check_key in check_keys)


def _named(watched: WatchedTarget, names: str) -> list[CheckKey]:
    """The checks of these names that there still are."""
    parted = (each.partition("@") for each in names.split(", "))
    checks = watched.target.checks
    return [CheckKey(watched.name, name, host) for name, _, host in parted if name in checks]


def _release_of(workplace: Workplace, target: str, run: str) -> str:
    row = workplace.journal.release_of(target, run)
    return f"release {row.release}" if row else f"run {run}"


def _rollback_of(workplace: Workplace, target: str, run: str) -> RunRow | None:
    """The last rollback that undoes, or undid, a run."""
    rows = workplace.journal.runs(target, limit=100)
    return next((row for row in rows if run in row.plan.get("undoing", ())), None)


def _as_answered(row: RunRow) -> Answer:
    """What the process that ended the run would have had as its answer."""
    kind = "refused" if row.outcome == "refused" else "run"
    return Answer(kind, Report.read(row.report or {}), row.exit_code or 0)


def _see(watched: WatchedTarget) -> str:
    return f"next: invoke status --target {watched.name}"


def _leads(watched: WatchedTarget, root: CheckKey, red: Sequence[CheckKey]) -> bool:
    """Whether a look at `root` looks at one of the red ones."""
    wanted = {check_key.check for check_key in red}
    reached, ahead = set(), [root.check]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += watched.target.checks[name].then
    return bool(wanted & reached)


def _is_red(finding: Finding) -> bool:
    return finding.verdict in (Verdict.FAIL, Verdict.ERROR)


def _outcome(release: str, answer: Answer | BackoutError) -> tuple[str, str]:
    if isinstance(answer, BackoutError):
        return f"{release} was NOT reverted: {answer.what}", f"next: {answer.next}"
    told = answer.told
    assert isinstance(told, Report), "a run answers with its report"  # noqa: S101
    if answer.exit_code == 0:
        story = f"{told.advice}\nthe whole story: invoke show {told.run}".lstrip()
        return f"{release} was reverted: back on {release_text(told.ends.to)}, and proved", story
    if answer.exit_code == ExitCode.BACKED_OUT:
        words = f"{release} was NOT reverted, and is there as before: {told.reason}"
        return words, f"next: {told.next}"
    if told.error:
        return f"{release} was NOT reverted: {told.error.what}", f"next: {told.error.next}"
    return f"reverting {release} is INCOMPLETE: {told.reason}", f"next: {told.next}"

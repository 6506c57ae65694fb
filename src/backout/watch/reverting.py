"""Going back by itself: a deploy that went bad while it baked is taken back, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.commands import deploy
from backout.errors import BackoutError, Unwritten
from backout.model import CheckKey, Finding, Verdict
from backout.ports import Operator, Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.watch.bake import Deployed
from backout.watch.watched import WatchedTarget

if TYPE_CHECKING:
    from backout.watch.process import Process


class _Consent:
    """`bake:` in the inventory is the operator's yes."""

    asking = False

    def confirm(self, question: str, *, typed: str = "") -> bool:  # noqa: ARG002
        return True


class _Aside:
    """`ports.Screen` for a rollback that nobody watches: its events are shown, its answer is
    told by a message."""

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

    def revert(self, watched: WatchedTarget, deployed: Deployed, red: Sequence[CheckKey]) -> str:
        """How it ended, in words; nothing when there was no reason to begin. Not from the
        watcher's own thread."""
        findings = {
            spot: watched.look(spot, deployed)
            for spot in watched.roots
            if _leads(watched, spot, red)
        }
        still = {
            (f.check, f.host or "") for found in findings.values() for f in found if _is_red(f)
        }
        confirmed = [spot for spot in red if (spot.check, spot.host) in still]
        if not confirmed or not self._marked(watched, deployed, confirmed):
            return ""
        answer = self._roll_back(watched, deployed)
        return self._told(watched, deployed, confirmed, answer)

    def _marked(self, watched: WatchedTarget, deployed: Deployed, red: Sequence[CheckKey]) -> bool:
        store, now = self.process.store, self.process.clock.now().timestamp()
        why = ", ".join(spot.key for spot in red)
        try:
            with store.write() as change:
                first = change.revert(deployed.run, watched.name, now, why)
        except Unwritten:
            return False
        self.process.watcher.baking.reverted.add(deployed.run)
        return first

    def _roll_back(self, watched: WatchedTarget, deployed: Deployed) -> Answer | BackoutError:
        process = self.process
        workplace = Workplace(process.workplace.root)
        words = {"target": watched.target.file or watched.name, "only": deployed.run, "yes": True}
        try:
            return deploy.Operation(workplace, _Aside(process.screen), words).rollback()
        except BackoutError as error:
            return error
        finally:
            workplace.close()

    def _told(
        self,
        watched: WatchedTarget,
        deployed: Deployed,
        red: Sequence[CheckKey],
        answer: Answer | BackoutError,
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
                process.watcher.messages.note(
                    watched, f"revert-{deployed.run}", f"[{watched.name}] {title}", body
                )
                return title
            except Unwritten:
                if process.stopping.wait(5.0):
                    return title


def _leads(watched: WatchedTarget, root: CheckKey, red: Sequence[CheckKey]) -> bool:
    """Whether a look at `root` looks at one of the red ones."""
    wanted = {spot.check for spot in red}
    reached, ahead = set(), [root.check]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += watched.target.checks[name].then
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

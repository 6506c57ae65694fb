"""The way back: every touched host in reverse, settle again, then this machine, then the proof.

Undoing newest-first alone would be a trap: undoing *restart* before *update* leaves the old code
on disk and the new process running. So restarts live in `settle`, which runs after the undos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backout.model import Finding, Verdict
from backout.runs.plan import Action, settle_back
from backout.runs.saga import Entry, Saga
from backout.runs.worker import Worker, side_by_side, title, trouble, went_well


class Backward:
    """Backs out one run. Idempotent: what is undone already stays undone."""

    def __init__(self, worker: Worker, past: Saga | None = None, of: str = "") -> None:
        self.worker = worker
        self.plan = worker.plan
        self.past = past or worker.saga
        """The saga whose actions are taken back: this run's, or an earlier run's."""
        self.of = of
        """Which earlier run, as the beginning of the keys."""

    def run(self) -> dict[str, str]:
        """Back out everything. Returns what is stuck: host (empty: this machine) -> why. While a
        host is stuck on the new code, what was done here for it (a migration) stays as it is."""
        if not self.plan.hosts:
            return self.here_back() | self.settle_here()
        return self.hosts_back(self.touched()) or self.here_back()

    def hosts_back(self, hosts: Sequence[str]) -> dict[str, str]:
        """Undo on these hosts and settle them again. Returns the stuck ones and why."""
        if hosts:
            self.worker.phase("backing out", hosts)
        stuck = self.undo_on(hosts)
        return stuck | self.settle_again([host for host in hosts if host not in stuck])

    def touched(self) -> tuple[str, ...]:
        """The hosts that an action may have changed, or that a restart reached."""
        settle = (action for batch in self.plan.batches for row in batch.settle for action in row)
        actions = (*self.plan.actions, *settle)
        reached = {action.host for action in actions if self.past.entry(action.key).touched}
        return tuple(host for host in self.plan.hosts if host in reached)

    def still_red(self) -> tuple[Finding, ...]:
        """The old release must prove itself: what passed before passes again."""
        before = self.worker.baseline.findings
        passed = {finding.check for finding in before if finding.verdict is Verdict.PASS}
        if not passed:
            return ()
        self.worker.phase("proving the old release")
        return self.worker.red(sorted(passed), self.plan.hosts, back=True)

    def undo_on(self, hosts: Sequence[str]) -> dict[str, str]:
        """Stage by stage in reverse; the hosts of one stage side by side."""
        stuck: dict[str, str] = {}
        for stage in reversed(self.plan.stages):
            names = [h for b in stage.batches for h in b.hosts if h in hosts and h not in stuck]
            mine = [[a for b in stage.batches for a in b.of(host)] for host in names]
            words = side_by_side(self._actions_back, mine)
            stuck |= {host: why for host, why in zip(names, words, strict=True) if why}
        return stuck

    def here_back(self) -> dict[str, str]:
        words = self._actions_back([action for action in self.plan.actions if not action.host])
        return {"": words} if words else {}

    def _actions_back(self, actions: Sequence[Action]) -> str:
        """Newest first. When one cannot be undone the older ones wait for a person."""
        for action in reversed(actions):
            words = self._undo(action, self.past.entry(action.key))
            if words:
                return words
        return ""

    def _undo(self, action: Action, entry: Entry) -> str:
        if not entry.touched or not self.worker.kind(action).changes or action.step.readonly:
            return ""
        if entry.undo.irreversible:
            words = f"{title(action)} was irreversible: {entry.undo.irreversible}"
            self.worker.say("warning", words)
            return ""
        back = replace(action, key=f"undo/{self.of}{action.key}", phase="undo")
        result = self.worker.undo(back, entry)
        return "" if went_well(result) else trouble(back, result)

    def settle_again(self, hosts: Sequence[str]) -> dict[str, str]:
        """Batch by batch in reverse, so that not every host restarts at once."""
        stuck: dict[str, str] = {}
        for batch in reversed(self.plan.batches):
            for row in settle_back(self.plan, batch, self.of):
                actions = [a for a in row if a.host in hosts and a.host not in stuck]
                if not row[0].host and set(batch.hosts) & set(hosts):
                    actions = [*row]
                stuck |= self._settle_row(actions)
        return stuck

    def settle_here(self) -> dict[str, str]:
        """Where there are no hosts, settling is done from this machine."""
        if not any(self.past.entry(action.key).touched for action in self.plan.actions):
            return {}
        rows = (
            row for batch in self.plan.batches for row in settle_back(self.plan, batch, self.of)
        )
        stuck: dict[str, str] = {}
        for row in rows:
            stuck |= self._settle_row(row)
        return stuck

    def _settle_row(self, actions: Sequence[Action]) -> dict[str, str]:
        """`verify` waits for the proof at the very end, which is stricter."""
        doing = [action for action in actions if action.step.kind != "verify"]
        results = side_by_side(self.worker.do, doing)
        return {
            action.host: trouble(action, result)
            for action, result in zip(doing, results, strict=True)
            if not went_well(result)
        }

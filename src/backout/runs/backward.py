"""The way back: every touched host in reverse, settle again, then this machine, and whatever that
may have changed settles once more; the proof comes after the last of it.

Undoing newest-first alone would be a trap: undoing *restart* before *update* leaves the old code
on disk and the new process running. So restarts live in `settle`, which runs after the undos.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from backout.checks import judging
from backout.model import Finding, State, Verdict
from backout.runs.parts import side_by_side
from backout.runs.plan import Action, BatchPlan, settle_back
from backout.runs.saga import Entry, Saga
from backout.runs.serving import stopped
from backout.runs.wording import title, trouble, went_well
from backout.runs.worker import Worker

AFTERWARDS = "here/"
"""Marks the settling after the undos on this machine."""


class Backward:
    """Backs out one run. Idempotent: what is undone already stays undone. A `turn` is the name of
    one settling: within it what is done stays done, in the next all is settled anew."""

    def __init__(self, worker: Worker, past: Saga | None = None, of: str = "") -> None:
        self.worker = worker
        self.plan = worker.plan
        self.past = past or worker.saga
        """The saga whose actions are taken back: this run's, or an earlier run's."""
        self.of = of
        """Which earlier run, as the beginning of the keys."""
        self.ill: set[str] = set()
        """Where settling again was tried, and failed."""

    def run(self, turn: str = "", settled: Collection[str] = ()) -> dict[str, str]:
        """Back out everything. Returns what is stuck: host (empty: this machine) -> why. While a
        host is stuck on the new code, what was done here for it (a migration) stays as it is.
        Hosts that are `settled` went back before and need no restart of their own."""
        if not self.plan.hosts:
            return self.here_back() | self.settle_here(turn)
        stuck = self.hosts_back(self.settling(), turn, settled)
        if in_the_way(stuck, (self,)):
            return stuck
        if here := self.here_back():
            return stuck | here
        if self.reached_from_here():
            return self.settle_again(self.settling(), turn + AFTERWARDS)
        return stuck

    def hosts_back(
        self, hosts: Sequence[str], turn: str = "", settled: Collection[str] = ()
    ) -> dict[str, str]:
        """Undo on these hosts and settle those again that anything reached. Returns the stuck ones
        and why."""
        if names := [host for host in hosts if host]:
            self.worker.phase("backing out", names)
        stuck = self.undo_on(hosts)
        reached = {"", *self.touched()} - stuck.keys() - set(settled)
        left = [host for host in hosts if host in reached]
        return stuck | self.settle_again(left, turn)

    def touched(self) -> tuple[str, ...]:
        """The hosts that an action may have changed, or that a restart reached."""
        reached = {action.host for action in self._touched()}
        return tuple(host for host in self.plan.hosts if host in reached)

    def settling(self) -> tuple[str, ...]:
        """What is settled again: the touched hosts, and this machine (the empty name) where a
        step of `settle` acted on it."""
        here = any(not a.host and self.past.entry(a.key).touched for a in self.plan.settling)
        return (*self.touched(), *([""] if here else []))

    def _touched(self) -> list[Action]:
        """Every action that may have acted, settling included."""
        actions = (*self.plan.actions, *self.plan.settling)
        return [action for action in actions if self.past.entry(action.key).touched]

    def reached_from_here(self) -> bool:
        """Whether an undo on this machine may have changed what a host's service runs."""
        return any(self.worker.saga.entry(self._key(a)).done for a in self.reaching())

    def reaching(self) -> list[Action]:
        """What this machine did, and can take back, that may have changed what a host's service
        runs."""
        in_place = self._in_place()
        here = (a for a in self.plan.actions if not a.host and self._undoable(a))
        return [a for a in here if in_place or self.worker.kind(a).reaches]

    def _undoable(self, action: Action) -> bool:
        entry = self.past.entry(action.key)
        return self._changed(action, entry) and not entry.undo.irreversible

    def _in_place(self) -> bool:
        """Whether a service may run from the working copy itself."""
        source, hosts = self.plan.target.source, self.plan.target.hosts
        if source is None or all(hosts[name].connection != "local" for name in self.plan.hosts):
            return False
        repository = Path(source.repository).expanduser().resolve()
        return Path(source.directory or ".").expanduser().resolve().is_relative_to(repository)

    def still_red(self, stuck: Collection[str] = ()) -> tuple[Finding, ...]:
        """The old release must prove itself: what passed before passes again, and what ran before
        runs again where nothing is stuck."""
        before = self.worker.baseline.findings
        required = judging.after_backing_out(before)
        names = sorted({finding.check for finding in before if finding.key in required})
        down = self.stopped(set(self.plan.hosts) - set(stuck))
        if not names:
            return down
        self.worker.phase("proving the old release")
        findings = self.worker.examine(names, self.plan.hosts)
        red = (f for f in findings if f.key in required and f.verdict is not Verdict.PASS)
        return (*down, *red)

    def remaining(self) -> list[str]:
        """What was done, or begun, and cannot be undone."""
        found = ((action, self.past.entry(action.key).undo) for action in self._touched())
        return [
            f"{title(action)} stays as it is, irreversible: {undo.irreversible}"
            for action, undo in found
            if undo.irreversible
        ]

    def stopped(self, hosts: Collection[str]) -> tuple[Finding, ...]:
        """What ran before on those of these hosts that were touched, and does not run now."""
        return stopped(self.worker, [host for host in self.touched() if host in hosts])

    # --- undoing -------------------------------------------------------------------------

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
        """Undo what was done on this machine."""
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
        if not self._changed(action, entry):
            return ""
        if entry.undo.irreversible:
            words = f"{title(action)} was irreversible: {entry.undo.irreversible}"
            self.worker.say("warning", words)
            return ""
        back = replace(action, key=self._key(action), phase="undo")
        result = self.worker.undo(back, entry)
        return "" if went_well(result) else trouble(back, result)

    def _changed(self, action: Action, entry: Entry) -> bool:
        return entry.touched and self.worker.kind(action).changes and not action.step.readonly

    def _key(self, action: Action) -> str:
        return f"undo/{self.of}{action.key}"

    # --- settling ------------------------------------------------------------------------

    def settle_again(self, hosts: Sequence[str], turn: str = "") -> dict[str, str]:
        """Batch by batch in reverse, so that not every host restarts at once."""
        stuck: dict[str, str] = {}
        for batch in reversed(self.plan.batches):
            near = bool(set(batch.hosts) & set(hosts))
            for row in self._rows(batch, turn):
                mine = [pair for pair in row if pair[1].host in hosts and pair[1].host not in stuck]
                if not row[0][1].host:
                    mine = row if near or self._acted(row[0][0], hosts) else []
                stuck |= self._settle_row(mine)
        return stuck

    def settle_here(self, turn: str = "") -> dict[str, str]:
        """Where there are no hosts, settling is done from this machine."""
        if not self._touched():
            return {}
        stuck: dict[str, str] = {}
        for row in (row for batch in self.plan.batches for row in self._rows(batch, turn)):
            stuck |= self._settle_row(row)
        return stuck

    def _rows(self, batch: BatchPlan, turn: str) -> list[list[tuple[Action, Action]]]:
        """Row by row what settled the batch, and what settles it again."""
        again = settle_back(self.plan, batch, self.of + turn)
        return [list(zip(*rows, strict=True)) for rows in zip(batch.settle, again, strict=True)]

    def _acted(self, was: Action, hosts: Sequence[str]) -> bool:
        return was.host in hosts and self.past.entry(was.key).touched

    def _settle_row(self, row: Sequence[tuple[Action, Action]]) -> dict[str, str]:
        """`verify` waits for the proof at the very end, which is stricter. What could not even
        be told on the way forward, since a step that failed was to save it, has nothing to
        repeat."""
        doing = [
            action
            for was, action in row
            if action.step.kind != "verify"
            and (self.past.entry(was.key).touched or self.worker.can_tell(action))
        ]
        stuck: dict[str, str] = {}
        for action, result in zip(doing, side_by_side(self.worker.do, doing), strict=True):
            if not went_well(result):
                stuck[action.host] = trouble(action, result)
            if result.state is State.FAILED:
                self.ill.add(action.host)
        return stuck


def in_the_way(stuck: Mapping[str, str], ways: Sequence[Backward]) -> bool:
    """Whether what is stuck keeps that which was done here as it is. Not where hosts only would
    not settle: what was done here may be the very reason."""
    ill = {host for way in ways for host in way.ill}
    return bool(stuck) and not (stuck.keys() <= ill and any(way.reaching() for way in ways))

"""The way back: every touched host in reverse, settle again, then this machine, and whatever that
may have changed settles once more; the proof comes after the last of it.

Undoing newest-first alone would be a trap: undoing *restart* before *update* leaves the old code
on disk and the new process running. So restarts live in `settle`, which runs after the undos.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from backout.checks import judging
from backout.model import Finding, State, Step, Undo, Verdict
from backout.model.operands import at_home
from backout.runs.at_work import at_work
from backout.runs.balancing import ill
from backout.runs.decisions import UNHEARD, unheard
from backout.runs.parts import side_by_side
from backout.runs.plan import BACK, Action, BatchPlan, leave_back, settle_back
from backout.runs.saga import Entry, Saga
from backout.runs.serving import stopped
from backout.runs.wording import title, trouble, went_well
from backout.runs.worker import Worker

UNDO = "undo/"
"""How the names of undos begin."""
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
        self.enough: Callable[[], bool] = bool
        """Whether no further batch is to go back, asked before each."""
        self.went: Mapping[str, Undo] = {}
        """Host -> where it is to come back to, when that lies before an earlier run than this."""

    def run(self, turn: str, settled: Collection[str]) -> dict[str, str]:
        """Back out everything. Returns what is stuck: host (empty: this machine) -> why. While a
        host is stuck on the new code, what was done here for it (a migration) stays as it is.
        Hosts that are `settled` went back before and need no restart of their own."""
        if not self.plan.hosts:
            return at_work(self, [""]) or self.here_back() | self.settle_here(turn)
        silent = self._unheard()
        hosts = [host for host in self.settling() if host not in silent]
        stuck = self.hosts_back(hosts, turn, settled) | silent
        if in_the_way(stuck, (self,)):
            return stuck
        if here := self.here_back():
            return stuck | here
        if self.reached_from_here():
            return self.settle_again(self.settling(), turn + AFTERWARDS)
        return stuck

    def _unheard(self) -> dict[str, str]:
        away = unheard(self.worker.decisions)
        return {host: UNHEARD.format(host) for host in self.plan.machines if host in away}

    def hosts_back(
        self, hosts: Sequence[str], turn: str, settled: Collection[str] = ()
    ) -> dict[str, str]:
        """Undo on these hosts and settle those again that anything reached. Returns the stuck ones
        and why."""
        if names := [host for host in hosts if host]:
            self.worker.phase("backing out", names)
        stuck = self.undo_on(hosts, turn, settled)
        reached = {"", *self.touched()} - stuck.keys() - set(settled)
        left = [host for host in hosts if host in reached]
        stuck |= self.settle_again(left, turn)
        return stuck | self.into_traffic([host for host in hosts if host not in stuck])

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
        return any(self.undo_of(action).done for action in self.reaching())

    def reaching(self) -> list[Action]:
        """What this machine did, and can take back, that may have changed what a host's service
        runs."""
        in_place = self._in_place()
        return [a for a in self.done_here() if in_place or self.worker.kind(a).reaches]

    def done_here(self) -> list[Action]:
        """What this machine did, and can take back."""
        return [a for a in self.plan.actions if not a.host and self.undoable(a)]

    def undoable(self, action: Action) -> bool:
        """Whether it did something that can be taken back."""
        entry = self.past.entry(action.key)
        return self._changed(action, entry) and not entry.undo.irreversible

    def _in_place(self) -> bool:
        """Whether a service may run from the working copy itself."""
        source, hosts = self.plan.target.source, self.plan.target.hosts
        if source is None or all(hosts[name].connection != "local" for name in self.plan.hosts):
            return False
        repository = at_home(source.repository).resolve()
        return at_home(source.directory or ".").resolve().is_relative_to(repository)

    def still_red(self, stuck: Collection[str]) -> tuple[Finding, ...]:
        """The old release must prove itself: what passed before passes again, and what ran before
        runs again where nothing is stuck."""
        before = self.worker.baseline.findings
        required = judging.after_backing_out(before)
        names = sorted({finding.check for finding in before if finding.key in required})
        left = [host for host in self.touched() if host not in stuck]
        down = (*self.stopped(left), *self.out(left))
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
        ran = [host for host in self.touched() if self.worker.baseline.up.get(host)]
        return stopped(self.worker, [host for host in ran if host in hosts])

    def out(self, hosts: Collection[str]) -> tuple[Finding, ...]:
        """Those of these hosts that are not in traffic as they were before."""
        told = self.worker.balancing.moved(self.plan.places, hosts)
        return tuple(
            Finding(f"traffic of {balancer}", host, Verdict.FAIL, reason=words)
            for balancer, host, words in told
        )

    # --- undoing -------------------------------------------------------------------------

    def undo_on(
        self, hosts: Sequence[str], turn: str, settled: Collection[str] = ()
    ) -> dict[str, str]:
        """Stage by stage in reverse; the hosts of one stage side by side. Those that are taken out
        of traffic go batch by batch, and settle before the next one leaves. What takes the new
        release out of sight at once goes first of all."""
        stuck = at_work(self, hosts)
        stuck |= self._first_back([host for host in hosts if host not in stuck])
        for stage in reversed(self.plan.stages):
            if self.plan.leaving:
                for batch in reversed(stage.batches):
                    if self.enough():
                        return stuck
                    left = [h for h in self._worked_on(batch) if h in hosts and h not in stuck]
                    stuck |= self._out_and_back(batch, left, turn, settled)
            stuck |= self._undo(stage.batches, [host for host in hosts if host not in stuck])
        return stuck

    def _undo(self, batches: Sequence[BatchPlan], hosts: Sequence[str]) -> dict[str, str]:
        names = [host for batch in batches for host in batch.hosts if host in hosts]
        return self._each_back({h: [a for b in batches for a in b.of(h)] for h in names})

    def undo_of(self, action: Action) -> Entry:
        """What is on record of its undo."""
        return self.worker.saga.entry(self._key(action))

    def undoing_here(self) -> bool:
        """Whether it has begun to take back what was done on this machine."""
        return any(self.undo_of(a).begin is not None for a in self.plan.actions if not a.host)

    def begun_on(self, host: str) -> bool:
        """Whether anything there is taken back, or settled again."""
        back = (f"{BACK}{self.of}", f"{UNDO}{self.of}")
        begun = (e.begin for start in back for e in self.worker.saga.begun(start))
        return any(begin["host"] == host for begin in begun if begin)

    def out_of_sight(self) -> None:
        """Where nothing is at work, nobody sees the new release any more."""
        hosts = [action.host for action in self.first()]
        stuck = at_work(self, hosts)
        self._first_back([host for host in hosts if host not in stuck])

    def _first_back(self, hosts: Sequence[str]) -> dict[str, str]:
        return self._each_back({h: [a for a in self.first() if a.host == h] for h in hosts})

    def first(self) -> list[Action]:
        """What takes the new release out of sight at once, when it is undone."""
        entries = ((action, self.past.entry(action.key)) for action in self.plan.settling)
        return [action for action, entry in entries if entry.touched and entry.undo.first]

    def came_from(self) -> dict[str, Undo]:
        """Host -> what its service was like before this run replaced it beside the old one."""
        return {action.host: self.past.entry(action.key).undo for action in self.first()}

    def here_back(self) -> dict[str, str]:
        """Undo what was done on this machine."""
        words = self._actions_back([action for action in self.plan.actions if not action.host])
        return {"": words} if words else {}

    def _each_back(self, actions: Mapping[str, Sequence[Action]]) -> dict[str, str]:
        """Host by host, side by side; who is stuck, and why."""
        words = side_by_side(self._actions_back, list(actions.values()))
        return {host: why for host, why in zip(actions, words, strict=True) if why}

    def _actions_back(self, actions: Sequence[Action]) -> str:
        """Newest first. When one cannot be undone the older ones wait for a person."""
        for action in reversed(actions):
            if self._settles_first(action):
                continue
            words = self.action_back(action, self.past.entry(action.key))
            if words:
                return words
        return ""

    def action_back(self, action: Action, entry: Entry) -> str:
        """Undo it, unless that was done; why it could not be."""
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
        return f"{UNDO}{self.of}{action.key}"

    # --- traffic -------------------------------------------------------------------------

    def _out_and_back(
        self, batch: BatchPlan, hosts: Sequence[str], turn: str, settled: Collection[str]
    ) -> dict[str, str]:
        """Out of traffic, back, settled, and into traffic again."""
        leaving = [host for host in hosts if host not in settled]
        self._leave(batch, leaving, turn)
        stuck = self._undo((batch,), hosts)
        left = [host for host in leaving if host not in stuck]
        stuck |= self.settle_again(left, turn, (batch,))
        return stuck | self.into_traffic([host for host in left if host not in stuck], (batch,))

    def _leave(self, batch: BatchPlan, hosts: Sequence[str], turn: str) -> None:
        """Hosts that nobody can stand in for go back all the same, in traffic."""
        if not hosts:
            return
        balancing = self.worker.balancing
        leaving = (a for a in leave_back(self.plan, batch, self.of + turn) if a.host in hosts)
        actions = [action for action in leaving if self._comes_in(batch, action)]
        places = sorted({(action.balancer, action.at) for action in actions})
        if words := balancing.too_few(places, hosts, partial(ill, self.worker), "1"):
            self.worker.say("warning", f"{', '.join(hosts)} go back while in traffic: {words}")
            return
        for action, result in zip(actions, side_by_side(self.worker.do, actions), strict=True):
            if not went_well(result):
                self.worker.say("warning", f"{trouble(action, result)}; it goes back all the same")

    def _comes_in(self, batch: BatchPlan, leaving: Action) -> bool:
        """Whether it is put back: each time by a step that settles it, or once, by the undo."""
        settled = any(a.there == leaving.there for row in batch.settle for a in row)
        left = (a for a in self.plan.actions if a.there == leaving.there and self._settles_first(a))
        return settled or not any(self.undo_of(action).done for action in left)

    def into_traffic(
        self, hosts: Sequence[str], batches: Sequence[BatchPlan] | None = None
    ) -> dict[str, str]:
        """What was taken out of traffic for good is in it again, as it was; returns who is not."""
        stuck: dict[str, str] = {}
        batches = self.plan.batches if batches is None else batches
        actions = [a for batch in batches for a in batch.actions if a.host in hosts]
        for action in reversed([a for a in actions if self._settles_first(a)]):
            if action.host not in stuck:
                words = self.action_back(action, self.past.entry(action.key))
                stuck |= {action.host: words} if words else {}
                result = self.undo_of(action).result
                if result and result.state is State.FAILED:
                    self.ill.add(action.host)
        return stuck

    def _settles_first(self, action: Action) -> bool:
        return self.worker.kind(action).settles_first(action.step.options)

    def _worked_on(self, *batches: BatchPlan) -> tuple[str, ...]:
        """The hosts of these batches, or of all, where anything but traffic may have changed."""
        actions = (a for batch in batches or self.plan.batches for a in batch.all_actions)
        touched = {a.host for a in actions if not a.balancer and self.past.entry(a.key).touched}
        return tuple(host for host in self.plan.hosts if host in touched)

    # --- settling ------------------------------------------------------------------------

    def settle_again(
        self, hosts: Sequence[str], turn: str, batches: Sequence[BatchPlan] | None = None
    ) -> dict[str, str]:
        """Batch by batch in reverse, so that not every host restarts at once; those where nothing
        but traffic was changed do not."""
        stuck: dict[str, str] = {}
        worked = {"", *self._worked_on()}
        hosts = [host for host in hosts if host in worked]
        for batch in reversed(self.plan.batches if batches is None else batches):
            if self.enough():
                break
            near = bool(set(batch.hosts) & set(hosts))
            self._leave(batch, [h for h in batch.hosts if h in hosts], turn)
            for row in self._rows(batch, turn):
                mine = [pair for pair in row if pair[1].host in hosts and pair[1].host not in stuck]
                if not row[0][1].host:
                    mine = row if near or self._acted(row[0][0], hosts) else []
                stuck |= self._settle_row(mine)
        return stuck

    def settle_here(self, turn: str) -> dict[str, str]:
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
            (action, self.went.get(action.host) or self.past.entry(was.key).undo)
            for was, action in row
            if action.step.kind != "verify"
            and (self.past.entry(was.key).touched or self.worker.can_tell(action))
        ]
        stuck: dict[str, str] = {}
        results = side_by_side(lambda each: self.worker.do(each[0], went=each[1]), doing)
        for (action, _), result in zip(doing, results, strict=True):
            if not went_well(result):
                stuck[action.host] = trouble(action, result)
            if result.state is State.FAILED:
                self.ill.add(action.host)
        return stuck


def settled_once(
    ways: Sequence[Backward], hosts: Collection[str]
) -> Iterator[tuple[Backward, list[str]]]:
    """Each run, with those of these hosts that its runbook settles: none twice in the same way."""
    settled: list[tuple[Sequence[Step], str]] = []
    for way in ways:
        steps = way.plan.runbook.settle
        mine = [h for h in way.settling() if h in hosts and (steps, h) not in settled]
        yield way, mine
        settled += [(steps, host) for host in mine]


def in_the_way(stuck: Mapping[str, str], ways: Sequence[Backward]) -> bool:
    """Whether what is stuck keeps that which was done here as it is. Not where hosts only would
    not settle: what was done here may be the very reason."""
    return bool(stuck) and not (only_ill(stuck, ways) and any(way.reaching() for way in ways))


def only_ill(stuck: Mapping[str, str], ways: Sequence[Backward]) -> bool:
    """Whether all that was done is taken back, and hosts only would not settle, if any."""
    return stuck.keys() <= {host for way in ways for host in way.ill}

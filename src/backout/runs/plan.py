"""Runbook + target + choices -> plan. Pure: nothing is asked, nothing is changed.

Consecutive steps on this machine form one stage. Consecutive steps on hosts form one stage as
long as their hosts overlap: those steps travel together, host by host and batch by batch. A step
for entirely other hosts begins a stage of its own, so that a migration on the database host is
done before the first web host is touched. `settle` belongs to each batch. Hosts that only a step
of `settle` names have no batch of their own: they settle after the last step, in a stage that is
skipped when nothing of the run changed what a service runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from backout.errors import Mistakes
from backout.model import HERE, Batch, Host, Release, Runbook, Step, Target
from backout.ports import StepKind
from backout.runs.draining import Kinds, drain_of, leaving_of, moves_traffic

Place = tuple[str, str]
"""A balancer, and one of the machines where it runs."""
BACK = "back/"
"""How the names of actions begin that settle again."""


@dataclass(frozen=True, slots=True)
class Action:
    """One step on one machine. The key names it within the run, for ever."""

    key: str
    step: Step
    host: str = ""
    phase: str = "do"
    """`preflight`, `do`, `settle`, `undo`, `back` (settled again) or `finally`."""
    balancer: str = ""
    """The balancer that it acts at, for its host."""
    at: str = ""
    """The machine where that balancer runs; this one when it is empty."""

    @property
    def machine(self) -> str:
        """Where it acts; this machine is the empty name."""
        return self.at if self.balancer else self.host

    @property
    def there(self) -> tuple[str, str, str]:
        """Whose traffic it moves, and where."""
        return self.host, self.balancer, self.at


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Hosts that go together, each through its own actions; then they settle."""

    number: int
    hosts: tuple[str, ...]
    actions: tuple[Action, ...]
    settle: tuple[tuple[Action, ...], ...]
    """Step after step; the hosts of one step go side by side."""
    count: int = 1
    """How many batches the stage has."""
    label: str = ""
    """Names the batch's settling within the run."""

    @property
    def all_actions(self) -> tuple[Action, ...]:
        """Those that settle it, too."""
        return (*self.actions, *(action for row in self.settle for action in row))

    def of(self, host: str) -> tuple[Action, ...]:
        return tuple(action for action in self.actions if action.host == host)


@dataclass(frozen=True, slots=True)
class Stage:
    """Actions on this machine, or batches of hosts; never both."""

    here: tuple[Action, ...] = ()
    batches: tuple[BatchPlan, ...] = ()
    if_moved: bool = False
    """True for hosts that only `settle` names: they settle when an earlier step changed anything
    that a service may run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does, whole. Frozen in the journal before the first change."""

    run: str
    verb: str
    target: Target
    runbook: Runbook
    params: Mapping[str, Any]
    hosts: tuple[str, ...]
    release: Release
    previous: Release | None
    stages: tuple[Stage, ...]
    preflight: tuple[Action, ...]
    finals: tuple[Action, ...]
    accept_red: tuple[str, ...] = ()
    selected: bool = False
    """True when `--hosts` chose a part of the target."""
    first: bool = False
    """True while no release of the target is known good: the baseline is recorded, not required."""
    added: tuple[str, ...] = ()
    """The hosts that were added since one was: so is what the baseline finds of them."""
    user: str = ""
    started: str = ""
    hold: float = 0.0
    """How many seconds it is held when something fails, for a person to decide; 0 goes back."""
    drain: tuple[Step, ...] = ()
    """What takes a host out of traffic before its batch, and puts it back: two steps, or none."""
    leaving: tuple[Step, ...] = ()
    """What takes a host out of traffic before it is changed, the runbook's own steps too."""

    @property
    def batches(self) -> tuple[BatchPlan, ...]:
        return tuple(batch for stage in self.stages for batch in stage.batches)

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action that may change something, in order."""
        there = ((stage.here, *(batch.actions for batch in stage.batches)) for stage in self.stages)
        return tuple(action for groups in there for group in groups for action in group)

    @property
    def last_gate(self) -> Action | None:
        """The gate after which nothing comes: every check, here, whatever the run was like. The
        last proof of the whole run stands in its place."""
        if not self.stages or not self.stages[-1].batches:
            return None
        rows = self.stages[-1].batches[-1].settle
        last = rows[-1][0] if rows else None
        whole = last is not None and last.step.kind == "verify" and not last.step.options.checks
        return last if whole and last and not (last.host or last.step.when) else None

    @property
    def settling(self) -> tuple[Action, ...]:
        """Every action of `settle`, in order."""
        return tuple(action for batch in self.batches for row in batch.settle for action in row)

    @property
    def places(self) -> tuple[Place, ...]:
        """Every balancer that a step acts at, on each of its machines."""
        moving = (a for a in (*self.actions, *self.settling) if a.balancer)
        return tuple(dict.fromkeys((each.balancer, each.at) for each in moving))

    @property
    def machines(self) -> tuple[str, ...]:
        """Every machine that it may change: its hosts, and those where their balancers run."""
        return tuple(dict.fromkeys((*self.hosts, *(on for _, on in self.places if on))))

    @property
    def irreversible(self) -> tuple[Step, ...]:
        steps = (*self.runbook.steps, *self.runbook.settle)
        return tuple(step for step in steps if step.irreversible)


def build(
    *,
    run: str,
    verb: str,
    target: Target,
    runbook: Runbook,
    params: Mapping[str, Any],
    release: Release,
    previous: Release | None = None,
    hosts: Sequence[str] = (),
    accept_red: Sequence[str] = (),
    first: bool = False,
    added: Sequence[str] = (),
    user: str = "",
    started: str = "",
    hold: float = 0.0,
    kinds: Kinds = MappingProxyType({}),
) -> Plan:
    """`kinds` tell which steps leave alone what a service runs. Raises Mistakes when the selection
    leaves no host for a step."""
    target = _expecting(target, runbook)
    drain = drain_of(target, kinds)
    chosen = _chosen(target, hosts)
    names = tuple(host.name for host in chosen)
    return Plan(
        run=run,
        verb=verb,
        target=target,
        runbook=runbook,
        params=params,
        hosts=names,
        release=release,
        previous=previous,
        stages=(
            *_stages(target, runbook, names, drain),
            *_afterwards(target, runbook, names, kinds, drain),
        ),
        preflight=tuple(_spread("preflight", runbook.preflight, target, names, "preflight")),
        finals=tuple(_spread("finally", runbook.finally_, target, names, "finally")),
        accept_red=tuple(accept_red),
        selected=bool(hosts),
        first=first,
        added=tuple(added),
        user=user,
        started=started,
        hold=hold,
        drain=drain,
        leaving=drain[:1] or tuple(leaving_of(runbook, kinds)),
    )


def _expecting(target: Target, runbook: Runbook) -> Target:
    """The target with the baseline that this runbook expects of its checks."""
    checks = {
        name: check.model_copy(update={"baseline": runbook.baseline.get(name, check.baseline)})
        for name, check in target.checks.items()
    }
    return target.model_copy(update={"checks": checks})


def sizes(spec: Sequence[Batch], count: int) -> Iterator[int]:
    """How many hosts each batch takes; the last entry repeats until all are taken."""
    left, index = count, 0
    while left > 0:
        entry = spec[min(index, len(spec) - 1)] if spec else count
        size = math.ceil(count * int(entry[:-1]) / 100) if isinstance(entry, str) else entry
        yield min(left, size)
        left -= size
        index += 1


def large_first(target: Target) -> str:
    """That the first batch is over a tenth of the fleet, and more than one host; else nothing."""
    first = next(sizes(target.rollout.batches, len(target.hosts)), 0)
    if first < 2 or first * 10 <= len(target.hosts):
        return ""
    so_many = f"{first} of {len(target.hosts)} hosts, over a tenth"
    return f"{target.name}: its first batch is {so_many}: what is wrong is found by so many"


def _chosen(target: Target, hosts: Sequence[str]) -> tuple[Host, ...]:
    for name in hosts:
        if not target.select(name):
            known = ", ".join(target.hosts) or "none"
            wrong = f"{target.name} has no such host or group; its hosts: {known}"
            raise Mistakes(f"--hosts {name}: {wrong}")
    if not hosts:
        return tuple(target.hosts.values())
    wanted = {host.name for name in hosts for host in target.select(name)}
    return tuple(host for host in target.hosts.values() if host.name in wanted)


def _on(step: Step, target: Target, names: Sequence[str]) -> tuple[str, ...]:
    chosen = set(names)
    return tuple(host.name for host in target.select(step.on or "") if host.name in chosen)


def _stages(
    target: Target, runbook: Runbook, names: Sequence[str], drain: tuple[Step, ...]
) -> Iterator[Stage]:
    here: list[Action] = []
    travelling: list[tuple[int, Step]] = []
    reached: set[str] = set()

    def arrive() -> Iterator[Stage]:
        if here:
            yield Stage(here=tuple(here))
        if travelling:
            hosts = [name for name in names if name in reached]
            yield Stage(batches=tuple(_batches(target, runbook, hosts, tuple(travelling), drain)))
        here.clear()
        travelling.clear()
        reached.clear()

    for index, step in enumerate(runbook.steps):
        hosts = set(_on(step, target, names)) if step.on else set()
        if step.on and not hosts:
            continue
        together = bool(here) if not step.on else bool(reached & hosts)
        if not together:
            yield from arrive()
        if step.on:
            travelling.append((index, step))
            reached |= hosts
        else:
            here.append(Action(f"steps/{index}", step))
    yield from arrive()
    if not any(step.on for step in runbook.steps) and runbook.settle:
        yield Stage(batches=tuple(_batches(target, runbook, names, (), drain)))


def _afterwards(
    target: Target, runbook: Runbook, names: Sequence[str], kinds: Kinds, drain: tuple[Step, ...]
) -> Iterator[Stage]:
    """What settles on hosts that no batch reaches: whatever a run changed is settled."""
    if not any(step.on for step in runbook.steps):
        return
    applying = [step for step in runbook.steps if not step.on or _on(step, target, names)]
    reached = {name for step in applying if step.on for name in _on(step, target, names)}
    apart = [on for step in runbook.settle if step.on and (on := set(_on(step, target, names)))]
    alone = {name for on in apart if not on & reached for name in on}
    if alone and any(moves(step, kinds.get(step.kind)) for step in applying):
        hosts = [name for name in names if name in alone]
        batches = tuple(_batches(target, runbook, hosts, (), drain))
        yield Stage(batches=batches, if_moved=True)


def moves(step: Step, kind: type[StepKind] | None) -> bool:
    """Whether a step may change what a service runs, on whatever host."""
    return not step.readonly and (kind is None or (kind.changes and kind.reaches))


def _batches(
    target: Target,
    runbook: Runbook,
    hosts: Sequence[str],
    steps: Sequence[tuple[int, Step]],
    drain: tuple[Step, ...],
) -> Iterator[BatchPlan]:
    counts = tuple(sizes(target.rollout.batches, len(hosts))) or (0,)
    stage = steps[0][0] if steps else "all"
    wanted = [(f"steps/{i}", step, frozenset(_on(step, target, hosts))) for i, step in steps]
    start = 0
    for number, size in enumerate(counts, start=1):
        batch = tuple(hosts[start : start + size])
        label = f"{stage}.{number}"
        leaving = [(f"drain/{label}", step, frozenset(batch)) for step in drain[:1]]
        actions = tuple(
            action
            for name in batch
            for key, step, on in (*leaving, *wanted)
            if name in on
            for action in _on_host(key, step, target, name)
        )
        settle = _settle(f"settle/{label}", runbook, target, batch, "settle", drain)
        yield BatchPlan(number, batch, actions, settle, len(counts), label)
        start += size


def settle_back(plan: Plan, batch: BatchPlan, of: str = "") -> tuple[tuple[Action, ...], ...]:
    """The settle steps of a batch once more, after its hosts went back. `of` tells them from
    those of another time, and of another run that is taken back together with this one."""
    label = f"{BACK}{of}{batch.label}"
    return _settle(label, plan.runbook, plan.target, batch.hosts, "back", plan.drain)


def leave_back(plan: Plan, batch: BatchPlan, of: str = "") -> tuple[Action, ...]:
    """What takes the hosts of a batch out of traffic before they go back."""
    label = f"{BACK}{of}{batch.label}/out"
    return tuple(_spread(label, plan.leaving, plan.target, batch.hosts, "back"))


def _settle(
    label: str,
    runbook: Runbook,
    target: Target,
    hosts: Sequence[str],
    phase: str,
    drain: tuple[Step, ...],
) -> tuple[tuple[Action, ...], ...]:
    steps = (*enumerate(runbook.settle), *(("in", step) for step in drain[1:]))
    spread = partial(_spread, target=target, names=hosts, phase=phase, single=True)
    rows = (tuple(spread(f"{label}/{index}", (step,))) for index, step in steps)
    return tuple(row for row in rows if row)


def _spread(
    label: str,
    steps: Sequence[Step],
    target: Target,
    names: Sequence[str],
    phase: str,
    *,
    single: bool = False,
) -> Iterator[Action]:
    for index, step in enumerate(steps):
        key = label if single else f"{label}/{index}"
        if step.on:
            for name in _on(step, target, names):
                yield from _on_host(key, step, target, name, phase)
        else:
            yield Action(key, step, "", phase)


def _on_host(
    key: str, step: Step, target: Target, host: str, phase: str = "do"
) -> Iterator[Action]:
    """A step for one host: on it, or at each of its balancers, on every machine of that one."""
    if not moves_traffic(step):
        yield Action(f"{key}@{host}", step, host, phase)
        return
    for balancer in target.balancers_of(host, step.options.balancer):
        for on in target.where(balancer):
            name = f"{key}@{host}+{balancer.name}+{on or HERE}"
            yield Action(name, step, host, phase, balancer.name, on)

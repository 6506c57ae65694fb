"""What hosts and records say of several operators' runs, held against one order of all of them.

It knows nothing of how runs are made: it reads the files that commands leave on hosts, in the order
in which they were written, and what was recorded of each run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OVER = {"succeeded", "backed_out"}
"""A run that ended so is whole; any other is a person's, or another machine's to tell of."""
UNTOUCHED = {"refused"}


@dataclass(frozen=True, slots=True)
class Host:
    """One host: what its commands left there."""

    name: str
    log: tuple[tuple[str, str, str], ...]
    """Run, step, and `act`, `undo` or `done`, in their order."""
    current: str
    """The run whose release is there."""
    record: str
    """The run that the host has on record as the one whose release is there."""

    @property
    def order(self) -> tuple[str, ...]:
        """The runs that changed something, as they came."""
        return tuple(dict.fromkeys(run for run, _, _ in self.log))


def host(name: str, files: Path, home: Path) -> Host:
    """What a host's files say."""
    log, current = files / f"{name}.log", files / f"{name}.current"
    lines = log.read_text().splitlines() if log.exists() else []
    told = home / "release.json"
    return Host(
        name,
        tuple((run, step, word) for run, step, word in map(str.split, lines)),
        current.read_text().strip() if current.exists() else "",
        str(json.loads(told.read_text()).get("run", "")) if told.exists() else "",
    )


def faults(
    hosts: Sequence[Host], steps: Sequence[str], outcomes: Mapping[str, set[str]], files: Path
) -> Iterator[str]:
    """Everything that no order of the recorded runs explains. `outcomes` are what each machine
    recorded of a run."""
    beside = files / "beside"
    if beside.exists():
        yield f"two commands at one time: {beside.read_text().split()}"
    ended = {run: words & OVER for run, words in outcomes.items()}
    for run, words in ended.items():
        if len(words) > 1:
            yield f"run {run} is recorded as {' and as '.join(sorted(words))}"
    yield from _orders(hosts)
    for each in hosts:
        yield from _effects(each, steps, outcomes, files)
        yield from _release(each, ended)


def _orders(hosts: Sequence[Host]) -> Iterator[str]:
    for each in hosts:
        blocks = [
            run for i, (run, _, _) in enumerate(each.log) if not i or each.log[i - 1][0] != run
        ]
        if len(blocks) > len(each.order):
            yield f"{each.name}: runs go on beneath others: {blocks}"
    for one in hosts:
        for other in hosts:
            common = [run for run in one.order if run in other.order]
            if common != [run for run in other.order if run in one.order]:
                yield f"{one.name} and {other.name} had the runs in another order: {common}"


def _effects(
    host: Host, steps: Sequence[str], outcomes: Mapping[str, set[str]], files: Path
) -> Iterator[str]:
    for run in {*host.order, *outcomes}:
        words = outcomes.get(run, set())
        found = {s: _count(files / f"{run}-{s}-{host.name}") for s in steps}
        wanted = 1 if "succeeded" in words else 0
        if words & OVER or words == UNTOUCHED:
            if found != dict.fromkeys(steps, wanted):
                yield f"{host.name}: run {run} is {sorted(words)}, and left {found}"
        elif not words and run in host.order:
            yield f"{host.name}: run {run} is on no record, and was there"
        elif any(count > 1 for count in found.values()):
            yield f"{host.name}: run {run} acted twice: {found}"


def _release(host: Host, ended: Mapping[str, set[str]]) -> Iterator[str]:
    """After the last run that a person has to see to, nothing is expected."""
    expected = ""
    for run in host.order:
        words = ended.get(run, set())
        if not words:
            return
        expected = run if "succeeded" in words else expected
    for what, found in (("runs", host.current), ("has on record", host.record)):
        if found != expected:
            yield f"{host.name} {what} {found or 'nothing'}, and should {expected or 'nothing'}"


def _count(effect: Path) -> int:
    return len(effect.read_text().splitlines()) if effect.exists() else 0

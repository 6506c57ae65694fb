"""What others have counted of each host's requests since a window began: a balancer, Prometheus.

Counts that cannot be had are no counts: too few to compare, and never green.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backout.checks.comparing import Compared, Side, compared
from backout.errors import BackoutError, Refused
from backout.language import scope, templates
from backout.model import Host
from backout.model.comparing import Prometheus
from backout.ports import Labels, Metrics

if TYPE_CHECKING:
    from backout.runs.worker import Worker

MOST = 5_000
"""So many requests of a side are compared by how long they took; more are thinned out."""
REQUESTS = "requests"


class Counter(Protocol):
    """One who counts."""

    def begin(self) -> None:
        """The window begins now."""
        ...

    def compared(self, new: Sequence[str], old: Sequence[str]) -> Mapping[str, Compared]:
        """What it says of these hosts, by what is compared. Never raises."""
        ...


def counters(worker: Worker) -> tuple[Counter, ...]:
    """Those that the rollout names."""
    compare = worker.plan.target.rollout.comparing
    if compare is None:
        return ()
    found: list[Counter] = []
    if compare.balancer:
        found.append(OfBalancer(worker, compare.balancer))
    if compare.prometheus:
        found.append(OfPrometheus(worker, compare.prometheus))
    return tuple(found)


# --- a balancer ----------------------------------------------------------------------------

Totals = Mapping[str, tuple[int, int]]
"""Host -> how many requests it has answered so far, and how many of those failed."""


class OfBalancer:
    """The counters of one balancer, which only ever grow: what has grown since the window began.
    One that was started anew counts from nothing, and the window begins again."""

    def __init__(self, worker: Worker, name: str) -> None:
        self.balancing = worker.balancing
        self.name = name
        self.begun: Totals = {}

    @property
    def title(self) -> str:
        return f"requests at {self.name}"

    def begin(self) -> None:
        try:
            self.begun = self._totals()
        except BackoutError:
            self.begun = {}

    def compared(self, new: Sequence[str], old: Sequence[str]) -> Mapping[str, Compared]:
        try:
            now = self._totals()
        except BackoutError as error:
            return {self.title: Compared(unknown=error.what)}
        if now.keys() != self.begun.keys() or any(_less(now[h], self.begun[h]) for h in now):
            self.begun = now
        ours, theirs = (_side(now, self.begun, hosts) for hosts in (new, old))
        return {self.title: compared(ours, theirs, noun=REQUESTS)}

    def _totals(self) -> Totals:
        return self.balancing.counted(self.name)


def _less(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[0] or one[1] < other[1]


def _side(now: Totals, begun: Totals, hosts: Sequence[str]) -> Side:
    known = [host for host in hosts if host in now]
    asked = sum(now[host][0] - begun[host][0] for host in known)
    failed = sum(now[host][1] - begun[host][1] for host in known)
    return Side(failed=failed, untimed=asked - failed)


# --- Prometheus ----------------------------------------------------------------------------


@dataclass(slots=True)
class OfPrometheus:
    """What a Prometheus comes to, asked anew each time for the whole window."""

    worker: Worker
    queries: Prometheus
    since: float = 0.0

    def begin(self) -> None:
        self.since = self.worker.parts.clock.monotonic()

    def compared(self, new: Sequence[str], old: Sequence[str]) -> Mapping[str, Compared]:
        titles = ["requests by Prometheus", *["latency by Prometheus"] * bool(self.queries.latency)]
        try:
            told = [self._failures(new, old), *self._latencies(new, old)]
        except BackoutError as error:
            told = [Compared(unknown=error.what)] * len(titles)
        return dict(zip(titles, told, strict=True))

    def _failures(self, new: Sequence[str], old: Sequence[str]) -> Compared:
        return compared(self._side(new), self._side(old), noun=REQUESTS)

    def _latencies(self, new: Sequence[str], old: Sequence[str]) -> Iterator[Compared]:
        if self.queries.latency:
            yield compared(Side(self._took(new)), Side(self._took(old)), noun=REQUESTS)

    def _side(self, hosts: Sequence[str]) -> Side:
        asked = round(sum(self._number(self.queries.requests, host) for host in hosts))
        failed = round(sum(self._number(self.queries.errors, host) for host in hosts))
        return Side(failed=min(failed, asked), untimed=max(0, asked - failed))

    def _took(self, hosts: Sequence[str]) -> tuple[float, ...]:
        buckets = [each for host in hosts for each in self._buckets(host)]
        each = sum(count for _, _, count in buckets)
        share = min(1.0, MOST / each) if each else 0.0
        return tuple(took for bucket in buckets for took in spread(*bucket, share))

    def _buckets(self, host: str) -> Iterator[tuple[float, float, float]]:
        said = self._ask(self.queries.latency, host)
        sums: dict[float, float] = {}
        for labels, count in said:
            limit = _limit(labels.get("le", ""))
            sums[limit] = sums.get(limit, 0.0) + count
        return between(sums)

    def _number(self, query: str, host: str) -> float:
        return sum(number for _, number in self._ask(query, host))

    def _ask(self, query: str, host: str) -> Sequence[tuple[Labels, float]]:
        target = self.worker.plan.target
        passed = self.worker.parts.clock.monotonic() - self.since
        names = {**self._names(target.hosts[host]), "window": f"{max(1, math.ceil(passed))}s"}
        where = "rollout.compare.prometheus"
        return self._metrics().ask(templates.render(query, names, where=where))

    def _metrics(self) -> Metrics:
        names = self._names(None)
        url, headers = templates.render_value(
            [self.queries.url, dict(self.queries.headers)],
            names,
            where="rollout.compare.prometheus",
        )
        return self.worker.parts.metrics(url, headers)

    def _names(self, host: Host | None) -> Mapping[str, object]:
        return scope.on(self.worker.plan.target, host)


def _limit(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Refused(
            f"rollout.compare.prometheus.latency has no buckets by le: {text!r}"
        ) from None


def between(sums: Mapping[float, float]) -> Iterator[tuple[float, float, float]]:
    """The buckets of a histogram, whose counts are sums: from, to and how many. What is over the
    last limit is taken for that."""
    low = before = 0.0
    for limit in sorted(sums):
        high = low if math.isinf(limit) else limit
        yield low, high, max(0.0, sums[limit] - before)
        low, before = high, max(before, sums[limit])


def spread(low: float, high: float, count: float, share: float = 1.0) -> tuple[float, ...]:
    """Milliseconds of that share of a bucket's requests, evenly between its limits in seconds."""
    many = round(count * share)
    return tuple(1000 * (low + (high - low) * (n + 0.5) / many) for n in range(many))

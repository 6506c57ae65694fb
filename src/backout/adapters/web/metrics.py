"""What is measured, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backout import __version__
from backout.model import CheckKey, Incident, OpenRun, Sample, Verdict, WatcherHealth

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the gauges say at the next scrape."""

    last: Mapping[CheckKey, Sample | None] = field(default_factory=dict)
    incidents: Sequence[Incident] = ()
    """The open ones."""
    targets: Sequence[str] = ()
    runs: Sequence[tuple[str, str, str, int]] = ()
    """target, verb, outcome, how many."""
    unfinished: Sequence[OpenRun] = ()
    """The runs that have not ended."""
    workers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """zone, state -> how many; as are the runs of workers."""
    handed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    written: float = 0.0
    certificates: Mapping[CheckKey, float] = field(default_factory=dict)
    """When the first certificate ends that the check saw."""


class Metrics:
    """What is measured, in Prometheus' text format. Every label is redacted."""

    def __init__(
        self,
        redact: Callable[[str], str],
        health: Callable[[], WatcherHealth],
    ) -> None:
        from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
        from prometheus_client import Counter as Count

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._redact = redact
        self._health = health
        self.reading = Reading()
        self._registry: CollectorRegistry = CollectorRegistry()
        labels = ("target", "check", "host")
        self._latency = Histogram(
            "backout_check_latency_seconds",
            "How long a look took, the wait for a worker aside",
            labels,
            buckets=SECONDS,
            registry=self._registry,
        )
        self._queue = Histogram(
            "backout_check_queue_seconds",
            "How long a look that was due waited for a worker",
            ("target",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._looks = Count(
            "backout_looks", "Looks, by verdict", (*labels, "verdict"), registry=self._registry
        )
        self._registry.register(self)

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def observe(self, samples: Iterable[Sample]) -> None:
        """Count new looks."""
        for sample in samples:
            labels = self._labels(sample.check_key)
            if sample.elapsed_ms > 0:
                self._latency.labels(*labels).observe(sample.elapsed_ms / 1000)
            self._queue.labels(labels[0]).observe(sample.queued_ms / 1000)
            self._looks.labels(*labels, str(sample.verdict)).inc()

    def text(self) -> bytes:
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def describe(self) -> Iterator[Any]:
        """Nothing is known before the first scrape."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """The gauges, as they are now."""
        reading = self.reading
        yield self._checks(reading)
        yield from self._each(reading)
        open_ = Counter(each.check_key.target for each in reading.incidents)
        yield self._gauge(
            "backout_incidents_open",
            "Open incidents",
            ("target",),
            (((name,), open_[name]) for name in reading.targets),
        )
        yield self._runs(reading)
        yield from self._unfinished(reading)
        yield from self._zones(reading)
        yield from self._watching(self._health())
        yield self._gauge(
            "backout_status_page_written_timestamp_seconds",
            "When the status page was written",
            (),
            [((), reading.written)] if reading.written else [],
        )
        yield self._gauge(
            "backout_build_info", "Which Backout this is", ("version",), [((__version__,), 1.0)]
        )

    def _watching(self, health: WatcherHealth) -> Iterator[Any]:
        """The watcher's own health."""
        yield self._gauge(
            "backout_watcher_well",
            "1 while all is watched as it should be",
            (),
            [((), health.well)],
        )
        known = sorted({*health.targets, *health.broken})
        yield self._gauge(
            "backout_inventory_broken",
            "1 while the inventory of a target cannot be read",
            ("target",),
            [((name,), name in health.broken) for name in known],
        )
        yield self._gauge(
            "backout_worker_up",
            "1 while a thread of the watcher is alive",
            ("worker",),
            [((each.name,), each.alive) for each in health.workers],
        )
        from prometheus_client.core import CounterMetricFamily

        deaths = CounterMetricFamily(
            "backout_worker_deaths", "How often a thread died", labels=("worker",)
        )
        for each in health.workers:
            deaths.add_metric([each.name], each.deaths)
        yield deaths

    def _checks(self, reading: Reading) -> Any:
        counted = Counter(
            (check_key.target, str(sample.verdict) if sample else "none")
            for check_key, sample in reading.last.items()
        )
        verdicts = (*map(str, Verdict), "none")
        rows = (((t, v), counted[t, v]) for t in reading.targets for v in verdicts)
        return self._gauge(
            "backout_checks", "Checks by their last verdict", ("target", "verdict"), rows
        )

    def _each(self, reading: Reading) -> Iterator[Any]:
        seen = [(s, sample) for s, sample in reading.last.items() if sample]
        labels = ("target", "check", "host")
        yield self._gauge(
            "backout_check_passes",
            "1 while the last look passed",
            labels,
            (((s.target, s.check, s.host), each.verdict is Verdict.PASS) for s, each in seen),
        )
        yield self._gauge(
            "backout_check_last_run_timestamp_seconds",
            "When the last look was",
            labels,
            (((s.target, s.check, s.host), each.at) for s, each in seen),
        )
        yield self._gauge(
            "backout_certificate_not_after_timestamp_seconds",
            "When the first certificate of the chain ends that a check saw",
            labels,
            (((s.target, s.check, s.host), at) for s, at in reading.certificates.items()),
        )

    def _runs(self, reading: Reading) -> Any:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "backout_runs", "Runs that ended", labels=("target", "verb", "outcome")
        )
        for target, verb, outcome, count in reading.runs:
            family.add_metric([self._redact(target), verb, outcome], count)
        return family

    def _unfinished(self, reading: Reading) -> Iterator[Any]:
        """What stays open is no outcome: it needs a person, perhaps at once."""
        labels = ("target", "verb")
        yield self._gauge(
            "backout_run_started_timestamp_seconds",
            "When the run began that has not ended",
            labels,
            (((each.target, each.verb), each.started) for each in reading.unfinished),
        )
        yield self._gauge(
            "backout_run_needs_person",
            "1 while the run that has not ended cannot go on without a person",
            labels,
            (((each.target, each.verb), each.needs_person) for each in reading.unfinished),
        )

    def _zones(self, reading: Reading) -> Iterator[Any]:
        labels = ("zone", "state")
        known = (
            ("backout_zone_workers", "Workers of a zone, by state", reading.workers),
            ("backout_zone_runs", "Runs that workers are to drive, by state", reading.handed),
        )
        for name, help, counted in known:
            yield self._gauge(name, help, labels, sorted(counted.items()))

    def _gauge(
        self,
        name: str,
        help: str,
        labels: Sequence[str],
        rows: Iterable[tuple[Sequence[str], float]],
    ) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(name, help, labels=labels)
        for values, value in rows:
            family.add_metric([self._redact(each) for each in values], float(value))
        return family

    def _labels(self, check_key: CheckKey) -> tuple[str, str, str]:
        redact = self._redact
        return redact(check_key.target), redact(check_key.check), redact(check_key.host)

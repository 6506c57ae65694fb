"""Looks: runs the checks of a target, each where it belongs, and hands over findings."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from backout.checks import drift, evidence
from backout.checks.judging import by_key, judge
from backout.errors import BackoutError, Mistakes
from backout.language import scope, templates
from backout.model import (
    Check,
    Command,
    Finding,
    Host,
    Observation,
    Release,
    Result,
    Target,
    Verdict,
)
from backout.model.values import plain, restored, writable
from backout.ports import Clock, Probe, ProbeRequest, Recorded, Restarter, Transport, Vault

WORKERS = 20
SPREAD = 0.5
SLOWEST = 0.01
PACE = 0.004
"""Not all checks start at once, for what they measure is each other then: within SPREAD seconds, at
most SLOWEST and at least PACE seconds after one another."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A check and the host it runs for, or none."""

    check: Check
    host: Host | None
    leaders: tuple[str, ...] = ()
    """The checks that led here."""

    @property
    def key(self) -> str:
        return f"{self.check.name}@{self.host.name}" if self.host else self.check.name

    def turn(self) -> int:
        """Its place among the others: always the same for the same key."""
        return zlib.crc32(self.key.encode())

    def unreached(self) -> Finding:
        """What is said of a check that the one before it did not lead to."""
        return Finding(
            check=self.check.name,
            host=self.host.name if self.host else None,
            verdict=Verdict.INCONCLUSIVE,
            reason=f"not reached: {self.leaders[-1]} did not pass",
        )


@dataclass(frozen=True, slots=True)
class _Round:
    """What all the looks of one examination have in common."""

    hosts: tuple[str, ...]
    before: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, Any]
    patient: bool
    stopping: threading.Event = field(default_factory=threading.Event)

    def hosts_of(self, check: Check, target: Target) -> tuple[Host | None, ...]:
        if check.on is None:
            return (None,)
        return tuple(host for host in target.select(check.on) if host.name in self.hosts)


def directly(kind: type[Probe], look: ProbeRequest) -> Observation:
    """From here."""
    return kind().observe(look)


@dataclass(slots=True)
class Examiner:
    """Runs the checks of one target. Illness of any sort becomes a finding, never an exception."""

    target: Target
    kinds: Mapping[str, type[Probe]]
    reach: Callable[[Host | None], Transport]
    """The machine a check looks from: the host's, or this one. May raise Unreachable."""
    restarter_for: Callable[[Host | None], Restarter]
    vault: Vault
    clock: Clock
    names: Mapping[str, Any] = field(default_factory=dict)
    """What templates and expectations may use beside `scope.on`: run and release."""
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What probes want to find again, by finding key; keep it to look on where one left off."""
    locate: Callable[[Host], Host] = lambda host: host
    """The host with the address behind its name, which may be an alias. May raise Unreachable."""
    known_good: Mapping[str, Any] = field(default_factory=dict)
    """The fact `snapshot` of each check at the last known-good release, by finding key."""
    recorded: Callable[[str, str], Recorded] | None = None
    """(host, check's key) -> what the ledger knows of the host; None within a run, which makes the
    record itself. May raise BackoutError."""
    scopes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The names that templates and expectations may use on each host, once they were asked for."""
    observe: Callable[[type[Probe], ProbeRequest], Observation] = directly
    """How a probe looks, and from where. May raise BackoutError."""
    tell: Callable[[Finding], None] = lambda _: None
    """Hears of every finding as soon as it is there, from several threads."""

    def examine(
        self,
        names: Sequence[str] = (),
        hosts: Sequence[str] | None = None,
        baseline: Iterable[Finding] = (),
        release: Release | None = None,
        *,
        patient: bool = False,
    ) -> tuple[Finding, ...]:
        """Run the named checks (all when empty) on `hosts` (all when None), each where it
        belongs, and what they lead to. `baseline` holds the findings before the change. `patient`
        lets checks retry as they say, while something is coming up. Raises Mistakes for a check
        or a group that the target does not know, and for vars that cannot be rendered."""
        chosen = tuple(self.target.hosts if hosts is None else hosts)
        turn = _Round(chosen, _results(baseline), {**self.names, **_released(release)}, patient)
        places = tuple(
            _Place(check, host)
            for check in self._roots(names)
            for host in turn.hosts_of(check, self.target)
        )
        if not places:
            return ()
        with ThreadPoolExecutor(min(WORKERS, len(places)), "check") as pool:
            begun = self.clock.monotonic()
            pace = max(PACE, min(SPREAD / len(places), SLOWEST))
            tasks = {}
            for rank, place in enumerate(sorted(places, key=_Place.turn)):
                at = begun + rank * pace
                tasks[place.key] = pool.submit(self._begin, place, turn, at)
            try:
                return tuple(f for place in places for f in tasks[place.key].result())
            except BaseException:
                turn.stopping.set()
                pool.shutdown(cancel_futures=True)
                raise

    def roots(self) -> tuple[tuple[str, str | None], ...]:
        """Every check that others do not lead to, with each host it runs on (None: on none)."""
        turn = _Round(tuple(self.target.hosts), {}, {}, patient=False)
        return tuple(
            (check.name, host.name if host else None)
            for check in self._roots(())
            for host in turn.hosts_of(check, self.target)
        )

    def look(
        self, check: str, host: str | None, release: Release | None = None
    ) -> tuple[Finding, ...]:
        """One of the `roots` and what it leads to, now and in this thread."""
        names = {**self.names, **_released(release)}
        turn = _Round(tuple(self.target.hosts), {}, names, patient=False)
        place = _Place(self.target.checks[check], self.target.hosts[host] if host else None)
        return self._prove(place, turn, {})

    def _roots(self, names: Sequence[str]) -> tuple[Check, ...]:
        """The checks to begin with: a check that others lead to is reached through them."""
        checks = self.target.checks
        for name in names:
            if name not in checks:
                known = ", ".join(checks) or "none"
                raise Mistakes(
                    f"{self.target.name} has no check {name!r}; its checks: {known}",
                    where=self.target.file,
                )
        for check in checks.values():
            if check.on is not None and not self.target.select(check.on):
                raise Mistakes(
                    f"check {check.name!r} is on {check.on!r}, and {self.target.name} has no such "
                    "host or group",
                    where=self.target.file,
                )
        led = {name for check in checks.values() for name in check.then}
        wanted = set(names or checks)
        while more := {c.name for c in checks.values() if wanted & set(c.then)} - wanted:
            wanted |= more
        return tuple(c for c in checks.values() if c.name in wanted and c.name not in led)

    def _begin(self, place: _Place, turn: _Round, at: float) -> tuple[Finding, ...]:
        if (early := at - self.clock.monotonic()) > 0:
            self.clock.sleep(early)
        queued = max(0.0, self.clock.monotonic() - at) * 1000
        first, *rest = self._prove(place, turn, {})
        findings = (replace(first, queued_ms=queued), *rest)
        for finding in findings:
            self.tell(finding)
        return findings

    def _prove(self, place: _Place, turn: _Round, saved: Mapping[str, Any]) -> tuple[Finding, ...]:
        """One check and what it leads to, again and again while its `retry` lasts."""
        retry = place.check.retry if turn.patient else None
        begun, tries = self.clock.monotonic(), 0
        while True:
            tries += 1
            memory = deepcopy(self.memory.get(place.key, {}))
            first, *rest = self._attempt(place, turn, saved, memory)
            if retry is None or first.verdict is Verdict.PASS or turn.stopping.is_set():
                break
            waited = self.clock.monotonic() - begun
            if waited + retry.every > retry.for_:
                reason = f"{first.reason} (tried {tries} times in {waited:.0f} s)"
                first = replace(first, reason=reason)
                break
            self.clock.sleep(retry.every)
        self.memory[place.key] = memory
        return (first, *rest)

    def _attempt(
        self,
        place: _Place,
        turn: _Round,
        saved: Mapping[str, Any],
        memory: dict[str, Any],
    ) -> tuple[Finding, ...]:
        check = place.check
        names = self._names(place, turn, saved)
        observation = self._observe(check, place.host, names, memory)
        kind = self.kinds[check.kind]
        expects = kind.expects if kind.judges_itself else ()
        names["now"] = self.clock.now()
        finding = judge(check, observation, names, expects, kind.names)
        kept = {**saved, **finding.saved}
        chained: list[Finding] = []
        try:
            for follower in self._followers(place, turn):
                if finding.verdict is Verdict.PASS:
                    chained += self._prove(follower, turn, kept)
                else:
                    chained += self._unreached(follower, turn)
        finally:
            left = self._clean(place, turn, kept)
        if left:
            finding = replace(finding, reason="; ".join(filter(None, (finding.reason, left))))
        return (self._held(evidence.shown(finding, self.vault.redact)), *chained)

    def _held(self, finding: Finding) -> Finding:
        """What is on a host, held against the ledger."""
        looked = drift.STANDING in finding.facts or finding.verdict is Verdict.ERROR
        per_host = getattr(self.kinds[self.target.checks[finding.check].kind], "per_host", False)
        if not (self.recorded and finding.host and looked and per_host):
            return finding
        try:
            return drift.held(finding, self.recorded(finding.host, finding.key))
        except BackoutError as error:
            return replace(finding, verdict=Verdict.ERROR, reason=error.what)

    def _unreached(self, place: _Place, turn: _Round) -> Iterator[Finding]:
        """What is said of a check that was not reached, and of all that it leads to."""
        yield place.unreached()
        for follower in self._followers(place, turn):
            yield from self._unreached(follower, turn)

    def _followers(self, place: _Place, turn: _Round) -> Iterator[_Place]:
        """What a check leads to: on the same host, or on its own hosts when it had none."""
        for name in place.check.then:
            check = self.target.checks[name]
            hosts = (place.host,) if place.host else turn.hosts_of(check, self.target)
            leaders = (*place.leaders, place.check.name)
            if name not in leaders:
                yield from (_Place(check, host, leaders) for host in hosts)

    def _names(self, place: _Place, turn: _Round, saved: Mapping[str, Any]) -> dict[str, Any]:
        """What templates and expectations may use. What came from outside cannot pass for a
        reference to a secret."""
        outside = {"saved": dict(saved)}
        if place.key in turn.before:
            outside["baseline"] = dict(turn.before[place.key])
        own = self._own(place.host)
        return {**own, **turn.names, **templates.without_references(outside)}

    def _own(self, host: Host | None) -> dict[str, Any]:
        """The names of a host, or of none: the same at every look."""
        name = host.name if host else ""
        if name not in self.scopes:
            self.scopes[name] = scope.on(self.target, host)
        return self.scopes[name]

    def _observe(
        self, check: Check, host: Host | None, names: Mapping[str, Any], memory: dict[str, Any]
    ) -> Observation:
        """Look once, with the options rendered; whatever prevents it is what was observed."""
        try:
            check, env = templates.render_check(check, names)
            look = ProbeRequest(
                check=check,
                options=check.options,
                env=env,
                host=self.locate(host) if host else None,
                timeout=check.timeout,
                transport=_OnDemand(self.reach, host),
                restarter=lambda: self.restarter_for(host),
                vault=self.vault,
                target=self.target,
                memory=memory,
                known_good=self.known_good.get(f"{check.name}@{host.name}" if host else check.name),
            )
            seen = self.observe(self.kinds[check.kind], look)
            return replace(seen, facts=plain(seen.facts), error=writable(seen.error))
        except BackoutError as error:
            return Observation(error=f"{error.what} ({error.where})" if error.where else error.what)
        except Exception as error:  # noqa: BLE001 - one broken check must not silence the others
            broke = writable(f"{type(error).__name__}: {error}")
            return Observation(error=f"the check itself broke: {broke}")

    def _clean(self, place: _Place, turn: _Round, saved: Mapping[str, Any]) -> str:
        """Remove the check's traces, whatever became of it; what is left behind, in words."""
        cleanup = place.check.cleanup
        if cleanup is None:
            return ""
        if lost := set(templates.uses(cleanup.options.model_dump(), "saved")) - set(saved):
            return f"nothing was cleaned up: {', '.join(sorted(lost))} was not saved"
        check = Check(
            name=f"cleanup of {place.check.name}",
            kind=cleanup.kind,
            options=cleanup.options,
            timeout=place.check.timeout,
        )
        names = self._names(place, turn, saved)
        observation = self._observe(check, place.host, names, {})
        names["now"] = self.clock.now()
        finding = judge(check, observation, names, self.kinds[cleanup.kind].expects)
        return "" if finding.verdict is Verdict.PASS else f"cleanup failed: {finding.reason}"


def _results(baseline: Iterable[Finding]) -> dict[str, dict[str, Any]]:
    return {
        key: {**restored(finding.facts), "verdict": str(finding.verdict)}
        for key, finding in by_key(baseline).items()
    }


def _released(release: Release | None) -> dict[str, Any]:
    return {"release": scope.release_names(release, None)} if release else {}


class _OnDemand:
    """A host's transport that is opened when a probe first uses it: many need none."""

    def __init__(self, reach: Callable[[Host | None], Transport], host: Host | None) -> None:
        self._reach = reach
        self._host = host
        self.host = host or Host(name="here", connection="local")

    def run(self, command: Command) -> Result:
        return self._reach(self._host).run(command)

    def recall(self, key: str, wait: float) -> Result | None:
        return self._reach(self._host).recall(key, wait)

    def began(self, key: str) -> bool:
        return self._reach(self._host).began(key)

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:
        return self._reach(self._host).unexplained(run, keys)

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        self._reach(self._host).put(content, path, mode)

    def close(self) -> None:
        """Nothing to do: whoever opened it closes it."""

"""Targets as they are watched: read from their inventories, reached, and held against the
journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from backout.adapters.local_lock import LocalLock
from backout.adapters.standings import standings
from backout.adapters.storage.health_tables import HealthTables
from backout.adapters.vault import Vault
from backout.checks.examiner import Examiner
from backout.config import loading
from backout.config.files import files
from backout.errors import BackoutError, Mistakes
from backout.language import scope, templates
from backout.model import CheckKey, Finding, Release, RunRow, Target, Verdict
from backout.project.machines import Machines
from backout.project.project import TABLES, Workplace
from backout.runs.baseline import Baseline
from backout.runs.leasing import spent
from backout.watch.addresses import Addresses, of_deploys
from backout.watch.asking import Asking
from backout.watch.bake import Deployed
from backout.watch.watched import TargetState, WatchedTarget
from backout.watch.zones import Zoned

SECRETS_WITHIN = 5.0
"""Nobody waits longer than this for a secret's command; what needs it cannot be told."""
LEASES_EVERY = 15.0
"""How often the hosts are asked whether somebody else's run holds them."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files say now."""

    targets: Mapping[str, Target]
    """Those that are to be watched and have checks."""
    broken: Mapping[str, Mistakes]
    """Those that cannot be read, and why."""
    there: frozenset[str]
    """All that have checks, or may have, whether they are to be watched or not."""


@dataclass(slots=True)
class Targets:
    """Makes what a watcher watches, from the files and the journal of a workplace."""

    workplace: Workplace
    names: Sequence[str]
    """The targets to watch, by name or path; all when empty."""
    pool: Executor
    asking: Asking | None = None
    """Has zones look; None where there are no workers."""
    is_ours: Callable[[Target], bool] = lambda _: True
    """Whether a target may be watched from here."""
    addresses: Addresses = field(default_factory=Addresses)
    deploys: Addresses = field(default_factory=of_deploys)
    _vaults: dict[str, Vault] = field(default_factory=dict)
    _news: dict[str, tuple[object, TargetState]] = field(default_factory=dict)
    _leases: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)
    _driven_since: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The run of another working copy that was seen, and since when."""
    _crews: dict[str, Machines] = field(default_factory=dict)

    # --- files ---------------------------------------------------------------------------

    def load(self) -> Loaded:
        """Every inventory, each for itself. Raises Mistakes for a target that was named and is
        not there."""
        everything = loading.targets(self.workplace.root / "inventories")
        wanted = [self.workplace.target_name(name) for name in self.names] or everything
        targets: dict[str, Target] = {}
        broken: dict[str, Mistakes] = {}
        for name in wanted:
            try:
                targets[name] = self.workplace.target(name)
            except Mistakes as error:
                if not error.mistakes:
                    raise
                broken[name] = error
        bare = {name for name, target in targets.items() if not target.checks}
        watched = {t.name: t for t in targets.values() if t.checks and self.is_ours(t)}
        return Loaded(watched, broken, frozenset({*everything, *wanted} - bare))

    def fingerprint(self) -> object:
        """Differs when an inventory was changed, added or removed."""
        found = set(files(self.workplace.root / "inventories"))
        for name in self.names:
            with suppress(Mistakes):
                found |= set(self.workplace.target_file(name).parent.glob("*.y*ml"))
        return tuple((str(path), *_signature(path)) for path in sorted(found))

    # --- targets ---------------------------------------------------------------------------

    def watched(self, target: Target, store: HealthTables) -> WatchedTarget:
        """A target with its machines, ready to be looked at."""
        machines, examiner = lookers(self.workplace, target)
        self._vaults[target.name], self._crews[target.name] = machines.vault, machines
        zoned = Zoned.of(target, self._body(target), self.asking)
        self.deploys.learn(target, machines.vault)
        for check_key, (_, memory, _) in store.streaks().items():
            if check_key.target == target.name and memory:
                examiner.memory[check_key.key] = dict(memory)
        return WatchedTarget(
            target=target,
            roots=tuple(
                CheckKey(target.name, check, host or "") for check, host in examiner.roots()
            ),
            look=_looker(examiner, zoned),
            destinations=self.addresses.learn(target, machines.vault),
            severities=self.addresses.severities(target),
            asks=lambda check_key: _asks(target, check_key),
            memory=lambda key: examiner.memory.get(key, {}),
            close=machines.close,
        )

    def _body(self, target: Target) -> str:
        """A target as those who look elsewhere read it: without secrets."""
        return self.workplace.journal_of(target).text_of(target.model_dump(mode="json"))

    def switch(self, watched: WatchedTarget) -> str:
        """The URL of the target's dead-man's switch. Raises BackoutError."""
        target = watched.target
        url = templates.render(target.deadman, scope.on(target, None), where=target.file)
        return self._vaults[target.name].reveal(url)

    def redact(self, text: str) -> str:
        """`text` without any secret of any target that is watched."""
        for vault in list(self._vaults.values()):
            text = vault.redact(text)
        return text

    # --- the journal ---------------------------------------------------------------------

    def news(self, target: Target) -> TargetState:
        """Who holds it, and what is deployed there."""
        journal = self.workplace.journal
        signature = journal.signature()
        known = self._news.get(target.name)
        if known is None or known[0] != signature:
            known = (signature, TargetState(deployed=deployed(self.workplace, target.name)))
            self._news[target.name] = known
        held = self._held_here(target.name) or self._held_elsewhere(target)
        return TargetState(held, known[1].deployed)

    def _held_here(self, name: str) -> str:
        """An unfinished run that a living process is at work on. The journal is asked first: the
        lock is looked at only when no new run could want it."""
        journal = self.workplace.journal
        row = journal.open_run_of(name)
        if row is None:
            return ""
        if not (driving := journal.driving(row.id)).ours:
            return self._driven(name, row, driving.by)
        if LocalLock(self.workplace.state, name).holder() is None:
            return ""
        return f"{row.verb} {row.id}"

    def _driven(self, name: str, row: RunRow, by: str) -> str:
        """A run of another working copy that the ledger knows: as long as its lease lives on the
        hosts, and until they have been asked for the first time."""
        if self._driven_since.get(name, ("", 0.0))[0] != row.id:
            self._driven_since[name] = (row.id, monotonic())
            self._asked.pop(name, None)
            self._leases.pop(name, None)
        since = self._driven_since[name][1]
        return f"{row.verb} {row.id} of {by}" if monotonic() - since < LEASES_EVERY else ""

    def _held_elsewhere(self, target: Target) -> str:
        """Somebody else's lease on one of its hosts, as of some seconds ago."""
        machines = self._crews.get(target.name)
        now = monotonic()
        if (
            machines is not None
            and now - self._asked.get(target.name, -LEASES_EVERY) >= LEASES_EVERY
        ):
            self._asked[target.name] = now
            self.pool.submit(self._ask, machines)
        return self._leases.get(target.name, "")

    def _ask(self, machines: Machines) -> None:
        name = machines.target.name
        for host in machines.target.hosts:
            try:
                (standing,) = standings([machines.reach(host)])
            except BackoutError:
                continue  # its checks will tell
            lease = standing.lease
            if lease is not None and not standing.expired and not self._known(lease.run):
                self._leases[name] = f"run {lease.run} of {lease.owner}"
                return
        self._leases.pop(name, None)

    def _known(self, run: str) -> bool:
        """Whether the run is this working copy's, or over: the journal says more than a lease."""
        journal = self.workplace.journal
        try:
            journal.run(run)
            return journal.driving(run).ours or spent(journal, run)
        except BackoutError:
            return False


def lookers(workplace: Workplace, target: Target) -> tuple[Machines, Examiner]:
    """Its machines, and who looks at them."""
    vault = workplace.vault(target, anew=True)
    vault.follow(SECRETS_WITHIN)
    journal, here = workplace.journal_of(target), workplace.state / "here"
    beyond = workplace.beyond
    machines = Machines(target, vault, here, journal=lambda: journal, beyond=beyond)
    names = {"run": {"id": "watch"}, "release": scope.release_names(Release(0), None)}
    return machines, machines.examiner(names)


def deployed(workplace: Workplace, name: str) -> Deployed | None:
    """The release in force, and what its run found before it changed anything."""
    journal = workplace.journal
    current = journal.current(name)
    if current is None:
        return None
    row = journal.run(current.run)
    notes = (record.body for record in journal.recall(row.id) if record.kind == "baseline")
    baseline = next((Baseline.of(body) for body in notes), Baseline())
    return Deployed(
        run=row.id,
        release=current.release,
        started=row.started.timestamp(),
        ended=(row.ended or current.at).timestamp(),
        green=frozenset(f.key for f in baseline.findings if _counts(row, f)),
        by=row.owner,
        known_good=current.known_good,
        restored=bool(current.restored_by),
    )


def _counts(row: RunRow, finding: Finding) -> bool:
    """Whether it may take the release back that it was green before."""
    check = row.plan.get("target", {}).get("checks", {}).get(finding.check, {})
    kind = TABLES.probes.get(check.get("kind", ""))
    return finding.verdict is Verdict.PASS and getattr(kind, "blames", True)


def _looker(
    examiner: Examiner, zoned: Zoned
) -> Callable[[CheckKey, Deployed | None], tuple[Finding, ...]]:
    def look(check_key: CheckKey, current: Deployed | None) -> tuple[Finding, ...]:
        release = current.release if current else None
        try:
            if examiner.target.checks[check_key.check].from_:
                return zoned.look(check_key, current)
            return examiner.look(check_key.check, check_key.host or None, release)
        except BackoutError as error:
            return (_broken(check_key, error.what),)
        except Exception as error:  # noqa: BLE001 - one broken check must not end the watcher
            return (_broken(check_key, f"the check itself broke: {type(error).__name__}: {error}"),)

    return look


def _broken(check_key: CheckKey, reason: str) -> Finding:
    return Finding(check_key.check, check_key.host or None, Verdict.ERROR, reason=reason)


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        seen = path.stat()
    except OSError:
        return (0, 0, 0)
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)


def _asks(target: Target, check_key: CheckKey) -> str:
    """What a check asks, in words: its URL, its command. Secrets stand there by reference."""
    check = target.checks[check_key.check]
    text = str(getattr(check.options, check.options.short, "") or "") if check.options else ""
    try:
        host = target.hosts.get(check_key.host)
        text = templates.render(text, scope.on(target, host), where=target.file)
    except BackoutError:
        pass  # it uses what another check saved: as it is written
    method = getattr(check.options, "method", "GET") or "GET"
    return text if method == "GET" else f"{method} {text}"

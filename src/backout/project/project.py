"""The composition root: the only room that knows concrete classes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from backout.adapters.clock import SystemClock
from backout.adapters.lease import LeaseLock
from backout.adapters.own_directory import prepare
from backout.adapters.redactor import redact_data
from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.storage.journal_rows import RunRow
from backout.adapters.transports import TRANSPORTS
from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.noted_shell import ShellTransport, run_name
from backout.adapters.vault import Vault
from backout.checks.examiner import Examiner
from backout.config import loading
from backout.config.files import SUFFIXES, name_of
from backout.errors import Mistakes, Refused
from backout.language import scope, templates
from backout.model import Event, Finding, Host, Release, SecretSource, Target
from backout.ports import Listener, Operator, Restarter, Transport
from backout.probes import KINDS as PROBES
from backout.project import completing
from backout.project.completing import root_of
from backout.registry import Tables
from backout.restarters import BACKENDS
from backout.runs.decisions import Stop
from backout.runs.plan import Plan
from backout.runs.worker import Parts
from backout.starter import sample
from backout.steps import KINDS as STEPS

if TYPE_CHECKING:
    from backout.adapters.transports.ssh_config import SshConfig
    from backout.adapters.transports.ssh_connect import Dialer

TABLES = Tables(STEPS, BACKENDS, PROBES, TRANSPORTS)


def find_root(start: Path) -> Path:
    """The project's directory: the nearest one at or above `start`; see `completing.root_of`."""
    return Path(root_of(str(start)))


def is_ours(tasks: Path) -> bool:
    """Whether a tasks.py is, or contains, Backout's."""
    return completing.is_ours(str(tasks))


class Workplace:
    """One project: its files, its state, its journal. Relative paths in it begin at the root."""

    def __init__(self, start: Path) -> None:
        self.started_in = start
        self.root = find_root(start)
        self.state = Path(os.environ.get("BACKOUT_STATE") or self.root / ".backout").absolute()
        self.only_reads = False
        """Whether nothing may be written, not even a journal that is not there yet."""
        self._open = ExitStack()
        self._owners: list[tuple[tuple[str, Mapping[str, SecretSource]], Vault]] = []

    def close(self) -> None:
        self._open.close()

    def close_later(self, close: Callable[[], object]) -> None:
        self._open.callback(close)

    # --- files ---------------------------------------------------------------------------

    def target(self, name: str | None) -> Target:
        """Raises Mistakes, with every mistake of the file."""
        return self.on_its_port(loading.load_target(self.target_file(name), TABLES, self.root))

    def target_file(self, name: str | None) -> Path:
        """The inventory of a target, or of the one that the environment names. Raises
        Mistakes."""
        name = name or os.environ.get("BACKOUT_TARGET")
        if not name:
            known = ", ".join(loading.names(self.root / "inventories")) or "none"
            raise Mistakes(
                f"which target? inventories/ has: {known}",
                where="command line",
                next="name one with --target, or set BACKOUT_TARGET",
            )
        return self._path(name, "inventories")

    def target_name(self, word: str) -> str:
        """The name of the target that `word` means, a name or a path, whether its file is there
        or not."""
        folder = self.root / "inventories"
        try:
            return name_of(self._path(word, "inventories"), folder)
        except Mistakes:
            typed = self.started_in / Path(word).expanduser()
            return name_of(typed, folder) if word.endswith(SUFFIXES) else word

    def runbook_file(self, name: str) -> Path:
        """Raises Mistakes."""
        return self._path(name, "runbooks")

    def _path(self, name: str, folder: str) -> Path:
        return loading.resolve(name, self.root / folder, self.started_in)

    # --- state ---------------------------------------------------------------------------

    @cached_property
    def journal(self) -> SqliteJournal:
        """Without any target's secrets: what it recalls has references where values stood."""
        journal = SqliteJournal(self._journal_file(), self._hide)
        self.close_later(journal.close)
        return journal

    def _journal_file(self) -> Path:
        """Where there is none and nothing may be written, an empty one is read elsewhere."""
        if self.only_reads and not (self.state / "journal.db").exists():
            return Path(self._open.enter_context(TemporaryDirectory())) / "journal.db"
        prepare(self.state)
        return self.state / "journal.db"

    def journal_of(self, target: Target) -> SqliteJournal:
        """The journal as this target sees it: its own secrets are referred to and revealed, those
        of others are hidden."""
        vault = self.vault(target)
        return self.journal.through(
            lambda text: self._hide(vault.refer(text), but=vault), _revealing(vault)
        )

    def forget_output(self, run: str) -> None:
        """Remove what a run that has ended printed on this machine."""
        notes = self.state / "here" / "notes" / run_name(run)
        for file in (*notes.glob("*.out"), *notes.glob("*.err")):
            file.unlink(missing_ok=True)

    def redact(self, text: str) -> str:
        """`text` without the secrets of any target that was in hand."""
        for vault in self._vaults or (Vault({}),):
            text = vault.redact(text)
        return text

    def _hide(self, text: str, but: Vault | None = None) -> str:
        """The journal knows secrets by name only, whoever writes to it."""
        for vault in self._vaults:
            text = text if vault is but else vault.hide(text)
        return text

    def vault(self, target: Target, *, anew: bool = False) -> Vault:
        """The target's own secrets; from now on they are redacted in every sink. `anew` fetches
        them again."""
        about = (target.name, target.secrets)
        known = [vault for owner, vault in self._owners if owner == about]
        if known and not anew:
            return known[-1]
        made = Vault(target.secrets, self.root)
        self._owners.append((about, made))
        return made

    @property
    def _vaults(self) -> list[Vault]:
        return [vault for _, vault in self._owners]

    # --- a target at work ----------------------------------------------------------------

    def lacks_sample(self, target: Target) -> bool:
        """Whether the sample application that the target asks for has yet to be made."""
        return bool(target.sample) and not (self.root / target.sample / "work").exists()

    def ensure_sample(self, target: Target) -> Target:
        """Make the sample application that the target asks for, unless it is there. Returns the
        target, with the port that the sample got."""
        if target.sample:
            sample.ensure(self.root / target.sample, _wanted_port(target))
        return self.on_its_port(target)

    def on_its_port(self, target: Target) -> Target:
        """The target, with the port that its sample got when it was made."""
        port = sample.port(self.root / target.sample) if target.sample else None
        if port is None or "port" not in target.vars:
            return target
        return target.model_copy(update={"vars": {**target.vars, "port": port}})

    def parts(
        self, target: Target, run: str, emit: Listener, operator: Operator, stop: Stop
    ) -> Parts:
        """Everything that a run of `target` is put together from."""
        crew = self.crew(target)
        emit = redacted(emit, crew.vault)

        def warn(text: str) -> None:
            emit(Event(crew.clock.now(), "warning", text))

        return Parts(
            journal=self.journal_of(target),
            lock=LeaseLock(target.name, warn=warn),
            clock=crew.clock,
            vault=crew.vault,
            operator=operator,
            emit=emit,
            steps=STEPS,
            reach=crew.reach,
            restarter=crew.restarter,
            examine=crew.examine(run, emit),
            stop=stop,
        )

    def crew(self, target: Target) -> Crew:
        known_good = cache(lambda: self._snapshots(target))
        crew = Crew(target, self.vault(target), self.state / "here", known_good)
        self.close_later(crew.close)
        return crew

    def _snapshots(self, target: Target) -> Mapping[str, Any]:
        """What the checks saw when the last known-good release had proved itself."""
        journal = self.journal_of(target)
        row = journal.known_good(target.name)
        records = journal.recall(row.run) if row else ()
        decided = next((record.body for record in records if record.kind == "decided"), {})
        found: Mapping[str, Any] = decided.get("snapshots", {})
        return found


class Crew:
    """A target's machines: reached once, kept until closed."""

    def __init__(
        self,
        target: Target,
        vault: Vault,
        home: Path,
        known_good: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.target = target
        self.known_good = known_good
        self.vault = vault
        self.clock = SystemClock()
        self._home = home
        self._transports: dict[str, Transport] = {}
        self._guards: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def reach(self, name: str) -> Transport:
        """The transport of a host by name; this machine for an empty name. Raises Unreachable."""
        with self._guard:
            guard = self._guards.setdefault(name, threading.Lock())
        with guard:
            if name not in self._transports:
                self._transports[name] = self._connect(name)
            return self._transports[name]

    def _connect(self, name: str) -> Transport:
        if not name:
            here = Host(name="here", connection="local")
            return LocalTransport(here, str(self._home), self.vault)
        host = self.target.hosts[name]
        home = self.target.home_on(host)
        if host.connection == "ssh":
            transport: Transport = self._connect_by_ssh(host, home)
        else:
            transport = TRANSPORTS[host.connection](host, home, self.vault)
        if isinstance(transport, ShellTransport):
            transport.needs_lease = True
        return transport

    def _connect_by_ssh(self, host: Host, home: str) -> Transport:
        from backout.adapters.transports.ssh import SshTransport

        transport = SshTransport(host, self.target.ssh, home, self.vault, self._dialer)
        transport.open()
        return transport

    @cached_property
    def _dialer(self) -> Dialer:
        """One for all hosts: it reads the SSH configuration once."""
        from backout.adapters.transports.ssh_connect import Dialer

        return Dialer(self.target.ssh, self._ssh_config)

    @cached_property
    def _ssh_config(self) -> SshConfig:
        from backout.adapters.transports.ssh_config import SshConfig

        return SshConfig(self.target.ssh)

    def locate(self, host: Host) -> Host:
        """The host with the address that its name is an alias of. Raises Unreachable."""
        if host.connection == "local":
            return host
        return host.model_copy(update={"address": self._ssh_config.of(host).host})

    def restarter(self, name: str) -> Restarter:
        """The restart backend of a host's service. Raises Refused where there is none."""
        host = self.target.hosts.get(name)
        service = self.target.service_on(host)
        if service is None:
            raise Refused(f"{self.target.name} has no service to restart", where=self.target.file)
        ready = templates.render_service(
            service, scope.on(self.target, host), where=self.target.file
        )
        restarter: Restarter = BACKENDS[service.backend](ready, self.reach(name))
        return restarter

    def examine(self, run: str, emit: Listener) -> Callable[..., tuple[Finding, ...]]:
        """How a run has its checks run; see `worker.Parts`."""

        def look(
            names: Sequence[str],
            hosts: Sequence[str],
            baseline: Sequence[Finding],
            release: Release,
            *,
            patient: bool = False,
        ) -> tuple[Finding, ...]:
            examiner = self.examiner(
                {"run": {"id": run}, "release": scope.release_names(release, None)}, emit
            )
            return examiner.examine(names, hosts, baseline, patient=patient)

        return look

    def examiner(self, names: Mapping[str, Any], emit: Listener | None = None) -> Examiner:
        return Examiner(
            target=self.target,
            kinds=PROBES,
            reach=lambda host: self.reach(host.name if host else ""),
            restarter_for=lambda host: self.restarter(host.name if host else ""),
            locate=self.locate,
            vault=self.vault,
            clock=self.clock,
            names={**scope.base(self.target), **names},
            known_good=self.known_good(),
            tell=_teller(redacted(emit, self.vault), self.clock) if emit else lambda _: None,
        )

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


def _wanted_port(target: Target) -> int:
    """The sample's port as the inventory has it."""
    given = target.vars.get("port", target.service.port if target.service else 0)
    return int(given or 0)


def redacted(emit: Listener, vault: Vault) -> Listener:
    """Whoever listens hears no secret: not what a command printed, nor why it failed."""

    def tell(event: Event) -> None:
        emit(replace(event, text=vault.redact(event.text), detail=vault.redact(event.detail)))

    return tell


def _teller(emit: Listener, clock: SystemClock) -> Callable[[Finding], None]:
    def tell(finding: Finding) -> None:
        emit(
            Event(
                clock.now(),
                "check",
                finding.check,
                host=finding.host or "",
                state=str(finding.verdict),
                seconds=finding.elapsed_ms / 1000,
                detail=finding.reason,
            )
        )

    return tell


def freeze(plan: Plan) -> dict[str, Any]:
    """The plan as the journal keeps it: a runbook edited after a crash changes nothing."""
    return {
        **loading.dump(plan.target, plan.runbook),
        "params": dict(plan.params),
        "hosts": list(plan.hosts) if plan.selected else [],
        "accept_red": list(plan.accept_red),
        "first": plan.first,
        "release": _release(plan.release),
        "previous": _release(plan.previous) if plan.previous else None,
        "user": plan.user,
        "started": plan.started,
    }


def thaw(workplace: Workplace, row: RunRow) -> Plan:
    """The plan of a run again, with the vault of its target in force."""
    from backout.runs.plan import build

    owner = _owner(loading.thaw(row.plan, TABLES)[0], row)
    frozen = redact_data(row.plan, _revealing(workplace.vault(owner)))
    target, runbook = loading.thaw(frozen, TABLES)
    previous = frozen["previous"]
    return build(
        run=row.id,
        verb=row.verb,
        target=_owner(target, row),
        runbook=runbook,
        params=frozen["params"],
        release=Release(**frozen["release"]),
        previous=Release(**previous) if previous else None,
        hosts=frozen["hosts"],
        accept_red=frozen["accept_red"],
        first=frozen.get("first", previous is None),
        user=frozen["user"],
        started=frozen["started"],
    )


def _owner(target: Target, row: RunRow) -> Target:
    """The target of a run: one that had another name when the run began has the run's."""
    return target if target.name == row.target else target.renamed(row.target)


def _revealing(vault: Vault) -> Callable[[str], str]:
    """For a run that goes on: a path in which a secret's value happened to stand is that path
    again. A secret that can no longer be fetched stays a reference."""

    def reveal(text: str) -> str:
        try:
            return vault.reveal(text)
        except Refused:
            return text

    return reveal


def _release(release: Release) -> dict[str, Any]:
    return {"number": release.number, "commit": release.commit}

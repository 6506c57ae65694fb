"""A target's machines: reached once, kept until closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backout.adapters.clock import SystemClock
from backout.adapters.storage.journal import RunJournal
from backout.adapters.transports import TRANSPORTS
from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.vault import Vault
from backout.balancers import BACKENDS as BALANCERS
from backout.checks.examiner import Examiner, directly
from backout.errors import Refused
from backout.language import scope, templates
from backout.model import Balancer, Event, Finding, Host, Release, Ssh, Target
from backout.ports import Listener, Metrics, Pool, Restarter, Transport
from backout.probes import KINDS as PROBES
from backout.project.ahead import Ahead
from backout.project.beyond import Beyond
from backout.project.recorded import Records
from backout.project.slots import bluegreen
from backout.restarters import BACKENDS

if TYPE_CHECKING:
    from backout.adapters.transports.following import Follower
    from backout.adapters.transports.ssh_config import SshConfig
    from backout.adapters.transports.ssh_connect import Dialer


def config_of(ssh: Ssh) -> SshConfig:
    """How OpenSSH reaches hosts."""
    from backout.adapters.transports.ssh_config import SshConfig

    return SshConfig(ssh)


class Machines:
    """A target's machines: reached once, kept until closed."""

    def __init__(
        self,
        target: Target,
        vault: Vault,
        home: Path,
        known_good: Callable[[], Mapping[str, Any]] = dict,
        journal: Callable[[], RunJournal] | None = None,
        beyond: Beyond | None = None,
        ahead: Ahead | None = None,
        ssh_config: Callable[[Ssh], SshConfig] = config_of,
    ) -> None:
        self.target = target
        self.follower: Follower | None = None
        """Who tells what commands say while they run, where somebody looks."""
        self.known_good = known_good
        self.records = Records(journal, target, self.reach) if journal else None
        """What the ledger knows; None within a run."""
        self.vault = vault
        self.clock = SystemClock()
        self._home = home
        self._beyond = beyond
        self._ahead = ahead
        self._read_config = ssh_config
        self.base: Path | None = None
        """Where what is kept of hosts without SSH lies, when that is not below this directory."""
        self._transports: dict[str, Transport] = {}
        self._guards: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def reach(self, name: str) -> Transport:
        """The transport of a host by name; this machine for an empty name. Raises Unreachable."""
        with self._guard:
            guard = self._guards.setdefault(name, threading.Lock())
        with guard:
            if name not in self._transports:
                self._transports[name] = self._followed(name, self._connect(name))
            return self._transports[name]

    def _connect(self, name: str) -> Transport:
        if not name:
            here = Host(name="here", connection="local")
            return LocalTransport(here, str(self._home), self.vault)
        host = self.target.hosts[name]
        home = self.target.home_on(host)
        transport: Transport
        if host.connection == "local" and self.base:
            home = str(self.base / home)
        if self._beyond and self._is_beyond(host):
            transport = self._beyond.reach(host, self.target, home, self.vault)
        elif host.connection == "ssh":
            transport = self._connect_by_ssh(host, home)
        else:
            transport = TRANSPORTS[host.connection](host, home, self.vault)
        if isinstance(transport, ShellTransport):
            transport.needs_lease = True
        return transport

    def _followed(self, name: str, transport: Transport) -> Transport:
        if self.follower and isinstance(transport, ShellTransport):
            transport.followed = partial(self.follower.follow, name, transport)
        return transport

    def call_ahead(self) -> None:
        """Begin to connect to all hosts that are reached by SSH from here."""
        hosts = self.target.hosts.values()
        near = [h for h in hosts if h.connection == "ssh" and not self._is_beyond(h)]
        if self._ahead:
            self._ahead.call([self._way(h, self.target.home_on(h)) for h in near], self._dial)

    def _connect_by_ssh(self, host: Host, home: str) -> Transport:
        way = self._way(host, home)
        return (self._ahead and self._ahead.take(way)) or self._dial(*way)

    def _way(self, host: Host, home: str) -> tuple[Host, Ssh, str, Vault]:
        return host, self.target.ssh, home, self.vault

    def _dial(self, host: Host, ssh: Ssh, home: str, vault: Vault) -> Transport:
        from backout.adapters.transports.ssh import SshTransport

        transport = SshTransport(host, ssh, home, vault, self._dialer)
        transport.open()
        return transport

    def _is_beyond(self, host: Host) -> bool:
        return self._beyond is not None and self._beyond.has(host)

    @cached_property
    def _dialer(self) -> Dialer:
        """One for all hosts: it reads the SSH configuration once."""
        from backout.adapters.transports.ssh_connect import Dialer

        return Dialer(self.target.ssh, self._ssh_config)

    @cached_property
    def _ssh_config(self) -> SshConfig:
        return self._read_config(self.target.ssh)

    def locate(self, host: Host) -> Host:
        """The host with the address that its name is an alias of. Raises Unreachable."""
        if host.connection == "local" or self._is_beyond(host):
            return host
        return host.model_copy(update={"address": self._ssh_config.of(host).host})

    def restarter(self, name: str) -> Restarter:
        """The restart backend of a host's service. Raises Refused where there is none."""
        host = self.target.hosts.get(name)
        service = self.target.service_on(host)
        if service is None:
            raise Refused(f"{self.target.name} has no service to restart", where=self.target.file)
        names, where = scope.on(self.target, host), self.target.file
        if service.bluegreen:
            home = self.target.home_on(host) if host else str(self._home)
            pools = partial(self._pools, host)
            return bluegreen(service, names, self.reach(name), home, pools, where=where)
        ready = templates.render_service(service, names, where=where)
        restarter: Restarter = BACKENDS[service.backend](ready, self.reach(name))
        return restarter

    def _pools(self, host: Host | None, name: str) -> list[Pool]:
        """A balancer where it runs: on the host itself, or else on each of its machines. Raises
        CannotRender, Unreachable."""
        balancer, where = self.target.balancers[name], self.target.file
        ready = templates.render_balancer(balancer, scope.on(self.target, host), where=where)
        on = self.target.where(balancer)
        own = [host.name] if host and host.name in on else on
        return [self.pool(ready, each) for each in own]

    def pool(self, balancer: Balancer, on: str) -> Pool:
        """A rendered balancer on one of its machines. Raises Unreachable."""
        pool: Pool = BALANCERS[balancer.backend](balancer, self.reach(on))
        return pool

    def members(self, name: str) -> Mapping[str, tuple[str, Balancer]]:
        """What a balancer sends to -> the host that it is on, and the balancer as that host is
        known there. Raises CannotRender."""
        balancer, found = self.target.balancers[name], dict[str, tuple[str, Balancer]]()
        for host in self.target.behind(balancer):
            names, where = scope.on(self.target, host), self.target.file
            ready = templates.render_balancer(balancer, names, where=where)
            found |= dict.fromkeys(ready.member, (host.name, ready))
        return found

    def metrics(self, url: str, headers: Mapping[str, str]) -> Metrics:
        """What answers queries at an address."""
        from backout.adapters.prometheus import Prometheus

        return Prometheus(url, headers, self.vault)

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
            recorded=self.records.of if self.records else None,
            observe=self._beyond.observe if self._beyond else directly,
            tell=_teller(redacted(emit, self.vault), self.clock) if emit else lambda _: None,
        )

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


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

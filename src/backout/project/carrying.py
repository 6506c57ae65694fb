"""What a worker does for drivers of other zones: runs their shell texts on the hosts that its own
zone reaches, and looks for them.

A host is reached as from this machine: its keys, its known_hosts, its ssh_config. Connections are
kept while they are used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from backout.adapters.carrying import parcels
from backout.adapters.redactor import reference_to
from backout.adapters.vault import Vault
from backout.errors import BackoutError, Refused, Unreachable
from backout.model import Check, Host, Observation, SecretSource, Ssh, Target
from backout.ports import Hand, ProbeRequest, Transport
from backout.probes import KINDS
from backout.project.shared_ledger import SharedLedger

if TYPE_CHECKING:
    from backout.adapters.transports.near import Near
    from backout.adapters.transports.ssh_connect import Dialer

IDLE = 60.0
"""Seconds after which a connection that nobody uses is let go of."""
Key = tuple[str, str, str]
"""Whose mark, which host, and how it is reached."""


class Carrying:
    """One worker's, in threads of its process."""

    def __init__(self, shared: SharedLedger, me: Hand, say: Callable[[str], None]) -> None:
        self._links = Links()
        who = (me.id, me.zone, me.by)
        self._carrier = shared.carrier(who, self._do, say, partial(self._links.hang_up, IDLE))

    def __enter__(self) -> Carrying:
        return self

    def __exit__(self, *_: object) -> None:
        self._carrier.stop()
        self._links.close()  # what is still in hand is cut, which is said
        self._carrier.close()

    def stop(self) -> None:
        """Nothing more is taken."""
        self._carrier.stop()

    @property
    def at_work(self) -> int:
        """How many it has in hand."""
        return self._carrier.at_work

    def _do(self, words: bytes, refuse_late: Callable[[], None]) -> bytes:
        asked = parcels.read(words)
        try:
            if asked.get("format") != parcels.FORMAT:
                raise Unreachable("another version of Backout is at work there: make both the same")
            return self._done(asked, refuse_late)
        except Unreachable as error:
            return parcels.unreached(error)

    def _done(self, asked: Mapping[str, Any], refuse_late: Callable[[], None]) -> bytes:
        host, ssh = Host.model_validate(asked["host"]), Ssh.model_validate(asked["ssh"])
        with self._links.to(host, ssh, asked["mark"]) as link:
            if asked["what"] == parcels.OBSERVE:
                return _observed(asked, located(host, ssh), link)
            link.open()
            refuse_late()
            match asked["what"]:
                case parcels.RUN:
                    how = {name: asked[name] for name in ("private", "brief")}
                    return parcels.told(link.carry(asked["text"], asked["timeout"], **how))
                case parcels.GLANCE:
                    return parcels.told(link.glance(asked["text"]))
                case parcels.END:
                    link.end(asked["pid"])
            return parcels.told(None)


class Links:
    """The connections to hosts."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._links: dict[Key, Near] = {}
        self._used: dict[Key, tuple[int, float]] = {}
        """By how many it is used now, and when it last was."""
        self._dialers: dict[str, Dialer] = {}

    @contextmanager
    def to(self, host: Host, ssh: Ssh, mark: str) -> Iterator[Near]:
        """The one to a host, for texts with that mark."""
        key = (mark, host.model_dump_json(), ssh.model_dump_json())
        with self._guard:
            if key not in self._links:
                self._links[key] = self._made(host, ssh, mark)
            self._used[key] = (self._used.get(key, (0, 0.0))[0] + 1, 0.0)
            link = self._links[key]
        try:
            yield link
        finally:
            with self._guard:
                self._used[key] = (self._used[key][0] - 1, time.monotonic())

    def hang_up(self, idle: float) -> None:
        """What nobody has used for so long."""
        late = time.monotonic() - idle
        with self._guard:
            found = [key for key, (users, last) in self._used.items() if not users and last < late]
            links = [self._links.pop(key) for key in found]
            for key in found:
                del self._used[key]
        for link in links:
            link.close()

    def close(self) -> None:
        with self._guard:
            links = list(self._links.values())
        for link in links:
            link.close()

    def _made(self, host: Host, ssh: Ssh, mark: str) -> Near:
        from backout.adapters.transports.near import Near
        from backout.adapters.transports.ssh_connect import Dialer

        about = ssh.model_dump_json()
        if about not in self._dialers:
            self._dialers[about] = Dialer(ssh)
        return Near(host, ssh, mark, self._dialers[about])


def located(host: Host, ssh: Ssh) -> Host:
    """The host with the address that its name is an alias of, here. Raises Unreachable."""
    from backout.adapters.transports.ssh_config import SshConfig

    return host.model_copy(update={"address": SshConfig(ssh).of(host).host})


# --- looks -------------------------------------------------------------------------------------


def question(look: ProbeRequest, names: frozenset[str]) -> dict[str, Any]:
    """A look as it goes to a carrier, with the values of the secrets of these names."""
    return {
        "kind": look.check.kind,
        "check": look.check.name,
        "options": look.options.model_dump(mode="json", exclude_unset=True),
        "target": look.target.name,
        "timeout": look.timeout,
        "memory": look.memory,
        "known_good": look.known_good,
        "secrets": {name: look.vault.reveal(reference_to(name)) for name in names},
    }


def _observed(asked: Mapping[str, Any], host: Host, transport: Transport) -> bytes:
    kind, secrets = KINDS[asked["kind"]], asked["secrets"]
    vault = Vault({name: SecretSource(env=name) for name in secrets}, environ=secrets)
    options = kind.Options.model_validate(asked["options"])
    look = ProbeRequest(
        check=Check(name=asked["check"], kind=asked["kind"], options=options),
        options=options,
        host=host,
        timeout=asked["timeout"],
        transport=transport,
        restarter=_no_service,
        vault=vault,
        target=Target(name=asked["target"]),
        memory=dict(asked["memory"]),
        known_good=asked["known_good"],
    )
    try:
        seen = kind().observe(look)
    except BackoutError as error:
        seen = Observation(error=error.what)
    return parcels.seen(seen, look.memory)


def _no_service() -> NoReturn:
    raise Refused("what looks from another zone connects to a host, and asks no service")

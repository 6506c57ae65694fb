"""Where messages go: the destinations of every target in hand, by a hash of what its inventory
says, so that no address is written down."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from backout.adapters import notify
from backout.adapters.redactor import CLOSE, OPEN
from backout.adapters.vault import Vault
from backout.errors import BackoutError
from backout.language import scope, templates
from backout.model import SEVERITIES, Delivery, Message, Severity, Target

_REFERENCE = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}")


@dataclass(frozen=True, slots=True)
class Destination:
    """One place where alerts go."""

    id: str
    """The same for two targets that say the same: what waits for one of them waits for both."""
    name: str
    """What people call it; nothing secret."""
    url: str
    """With references to secrets; revealed when it is used."""
    vault: Vault

    def reveal(self) -> str:
        """Raises Refused when a secret cannot be had."""
        return self.vault.reveal(self.url)


@dataclass(slots=True)
class Addresses:
    """`outbox.Destinations`. A target that is watched no longer keeps its own until the process
    ends: what was open there is closed there. One whose URL was corrected gives up the old one."""

    urls: Callable[[Target], Sequence[str]] = lambda target: [n.url for n in target.notify.alerts]
    """As the inventory has them."""
    called: str = "notify"
    """Where in the inventory."""
    _by_target: Mapping[str, tuple[Destination, ...]] = field(default_factory=dict)
    _all: Mapping[str, Destination] = field(default_factory=dict)
    _retired: frozenset[str] = frozenset()

    def learn(self, target: Target, vault: Vault) -> tuple[str, ...]:
        """The destinations of a target, in the order of its inventory."""
        found = tuple(
            _destination(target, vault, f"{self.called}[{number}] of {target.name}", url)
            for number, url in enumerate(self.urls(target))
        )
        self._by_target = {**self._by_target, target.name: found}
        self._all = {each.id: each for several in self._by_target.values() for each in several}
        self._retired -= {target.name}
        return tuple(dict.fromkeys(each.id for each in found))

    def severities(self, target: Target) -> dict[str, Severity]:
        """From which severity on each of a target's destinations hears; the least of equals."""
        found: dict[str, Severity] = {}
        places = self._by_target[target.name]
        for place, each in zip(places, target.notify.alerts, strict=True):
            before = found.get(place.id, each.severity)
            found[place.id] = min(before, each.severity, key=SEVERITIES.index)
        return found

    def targets(self) -> frozenset[str]:
        """Those that are known here."""
        return frozenset(self._by_target)

    def retire(self, target: str) -> None:
        """A target is watched no longer."""
        self._retired |= {target}

    def known(self) -> frozenset[str]:
        return frozenset(self._all)

    def of(self, target: str) -> tuple[str, ...]:
        found = self._by_target.get(target, ())
        return tuple(dict.fromkeys(each.id for each in found))

    def beside(self, destination: str, target: str) -> tuple[str, ...]:
        own = [each for each in self.of(target) if each != destination]
        living = [name for name in self._by_target if name not in self._retired]
        others = (each for name in living for each in self.of(name) if each != destination)
        return tuple(own or dict.fromkeys(others))

    def name(self, destination: str) -> str:
        known = self._all.get(destination)
        return known.name if known else "a destination that is gone"

    def room(self, destination: str) -> int:
        try:
            return notify.room(self._all[destination].reveal())
        except (KeyError, BackoutError):
            return notify.MOST_ROOM

    def post(self, destination: str, message: Message) -> Delivery:
        """Send it. A destination that has gone meanwhile has not taken it."""
        known = self._all.get(destination)
        if known is None:
            return Delivery("its destination is gone")
        try:
            url = known.reveal()
        except BackoutError as error:
            return Delivery(error.what)
        return notify.post(url, message.kind, message.key, message.title, message.body)


def of_deploys() -> Addresses:
    """Where the messages of runs go."""
    return Addresses(lambda target: [n.url for n in target.notify.deploys], "notify.deploys")


def _destination(target: Target, vault: Vault, place: str, text: str) -> Destination:
    url = templates.render(text, scope.on(target, None), where=target.file)
    sources = [target.secrets.get(name) for name in _REFERENCE.findall(url)]
    said = "\0".join((url, *(each.model_dump_json() for each in sources if each)))
    service = urlsplit(url).scheme
    kind = f" ({service})" if service.isalnum() else ""
    id = hashlib.sha256(said.encode()).hexdigest()[:12]
    return Destination(id, f"{place}{kind}", url, vault)

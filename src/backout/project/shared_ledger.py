"""The ledger that the machines of a team share: where it is, and the journal in it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from backout.adapters.local_lock import owner
from backout.adapters.redactor import reference_to
from backout.adapters.vault import Vault
from backout.config import project_file
from backout.config.project_file import ProjectFile, Workers
from backout.errors import Mistakes, Refused
from backout.model import SecretSource
from backout.ports import place_of

if TYPE_CHECKING:
    from backout.adapters.carrying.carrier import Carrier, Do
    from backout.adapters.carrying.sender import Sender
    from backout.adapters.storage.health_change import Fold
    from backout.adapters.storage.journal import RunJournal
    from backout.adapters.storage.postgres.address import Address
    from backout.adapters.storage.postgres.hands import Hands
    from backout.adapters.storage.postgres.health import PostgresHealth
    from backout.adapters.storage.postgres.posts import Posts
    from backout.ports import Doorbell

VARIABLE = "BACKOUT_LEDGER"
"""Goes before what `backout.yaml` says."""
ZONE = "BACKOUT_ZONE"
"""Of which zone this machine is; goes before the zone of workers that `backout.yaml` names."""
NAME = "ledger"
LISTENS = "workers"
PASSWORD = "ledger-password"  # noqa: S105 - what it is called, not what it is


class SharedLedger:
    """The address, which is a secret: from the moment it is known, every sink redacts it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.vaults: tuple[Vault, ...] = ()

    def address(self) -> Address | None:
        """None where the journal is a file of this working copy. Raises Mistakes, and Refused when
        the secret cannot be fetched or the driver is not installed."""
        return self._address

    @cached_property
    def _address(self) -> Address | None:
        source = self._source()
        if source is None:
            return None
        from backout.adapters.storage.postgres.address import Address

        vault = Vault({NAME: source}, self._root)
        self.vaults = (vault,)
        address = Address(vault.reveal(reference_to(NAME)).strip())
        self._hide_password(address)
        return address

    def _hide_password(self, address: Address) -> None:
        if address.password:
            hidden = {"PASSWORD": address.password}
            self.vaults += (Vault({PASSWORD: SecretSource(env="PASSWORD")}, environ=hidden),)

    def opened(self, address: Address, state: Path, redact: Callable[[str], str]) -> RunJournal:
        """The journal there, as this working copy writes it. Raises Refused."""
        from backout.adapters.storage.postgres.journal import PostgresJournal

        driver, wait = name_of(state), self._wait
        return PostgresJournal(address, redact, driver=driver, owner=owner(), wait=wait)

    def hands(self, journal: RunJournal) -> Hands:
        """In whose hands its runs are. Raises Refused where the journal is a file: nobody else
        would ever see what is handed over."""
        from backout.adapters.queue.bell import Bell, library

        address = self._needed()
        from backout.adapters.storage.postgres.hands import Hands

        library()
        return Hands(journal, Bell(address))

    def bell(self) -> Doorbell:
        """Where a worker listens. Raises Refused."""
        from backout.adapters.queue.bell import Bell

        return Bell(self._listens)

    @cached_property
    def _listens(self) -> Address:
        from backout.adapters.storage.postgres.address import Address

        source, address = self.workers.secret, self._needed()
        if source is not None:
            vault = Vault({LISTENS: source}, self._root)
            self.vaults += (vault,)
            address = Address(vault.reveal(reference_to(LISTENS)).strip())
            self._hide_password(address)
        return address

    # --- what only another zone reaches ----------------------------------------------------

    @property
    def zone(self) -> str:
        """Of which zone whoever drives here is. Raises Mistakes."""
        said = os.environ.get(ZONE)
        return self.zone_named(said, ZONE) if said else self.workers.zone

    def zone_named(self, word: str, where: str) -> str:
        """A zone as somebody said it there. Raises Mistakes for none, or none of the project's."""
        zone = project_file.zone_named(word)
        self.file.refuse_strange(zone, where)
        return zone

    def sender(self) -> Sender:
        """Who sends to the workers of other zones. Raises Refused."""
        from backout.adapters.carrying.sender import Sender

        return Sender(self._at_hand(), after=self.workers.after, wait=self._wait)

    def carrier(
        self,
        who: tuple[str, str, str],
        do: Do,
        say: Callable[[str], None],
        tidy: Callable[[], object],
    ) -> Carrier:
        """A worker (its id, its zone, whose it is) that does what others send. Raises Refused."""
        from backout.adapters.carrying.carrier import Carrier

        return Carrier(self._at_hand(), who, self.workers.after, do, say, tidy)

    def _at_hand(self) -> Address:
        """The database itself, where its address can be had; a pooler does, more slowly."""
        with suppress(Refused):
            return self._listens
        return self._needed()

    def _needed(self) -> Address:
        address = self.address()
        if address is None:
            raise Refused(
                "workers drive what stands in the ledger of the team, and there is none",
                where="backout.yaml",
                next="name a PostgreSQL in it: ledger: {secret: …}, see docs/workers.md",
            )
        return address

    def health(self, address: Address, redact: Callable[[str], str], fold: Fold) -> PostgresHealth:
        """The history of checks there. Raises Refused."""
        from backout.adapters.storage.postgres.health import PostgresHealth

        return PostgresHealth(address, redact, fold)

    def posts(self, store: PostgresHealth, state: Path, apart: str = "") -> Posts:
        """Which targets a process of this working copy watches, that begins now; `apart` tells it
        from others that do."""
        from backout.adapters.storage.postgres.posts import Posts

        copy = f"{name_of(state)}-{apart}" if apart else name_of(state)
        return Posts(store, copy, secrets.token_hex(4), owner())

    def _source(self) -> SecretSource | None:
        said = os.environ.get(VARIABLE)
        if said is not None and not said.strip():
            raise Mistakes(
                f"{VARIABLE} is empty: where the ledger is, it does not say",
                where="environment",
                next=f"export {VARIABLE}=postgresql://…, or unset it for what backout.yaml says",
            )
        named = self.file.ledger.secret if self.file.ledger else None
        return SecretSource(env=VARIABLE) if said else named

    @property
    def _wait(self) -> float:
        return self.file.ledger.wait if self.file.ledger else project_file.WAIT

    @property
    def workers(self) -> Workers:
        """What the project says of workers."""
        return self.file.workers

    @cached_property
    def file(self) -> ProjectFile:
        """`backout.yaml`. Raises Mistakes."""
        there = (self._root / project_file.NAME).exists()
        return project_file.load(self._root) if there else ProjectFile()


def place_here(home: Path) -> str:
    """The zone of the working copy in this directory of this machine."""
    return place_of(socket.gethostname(), str(home.resolve()))


def name_of(state: Path) -> str:
    """What tells this working copy from all others: made once."""
    file = state / "name"
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        name = secrets.token_hex(8)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.write(name)
        return name

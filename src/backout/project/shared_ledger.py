"""The ledger that the machines of a team share: where it is, and the journal in it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from backout.adapters.local_lock import owner
from backout.adapters.redactor import reference_to
from backout.adapters.vault import Vault
from backout.config import project_file
from backout.config.project_file import LedgerPlace
from backout.model import SecretSource

if TYPE_CHECKING:
    from backout.adapters.storage.health_change import Fold
    from backout.adapters.storage.journal import RunJournal
    from backout.adapters.storage.postgres.address import Address
    from backout.adapters.storage.postgres.health import PostgresHealth
    from backout.adapters.storage.postgres.posts import Posts

VARIABLE = "BACKOUT_LEDGER"
"""Goes before what `backout.yaml` says."""
NAME = "ledger"
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
        if address.password:
            hidden = {"PASSWORD": address.password}
            self.vaults += (Vault({PASSWORD: SecretSource(env="PASSWORD")}, environ=hidden),)
        return address

    def opened(self, address: Address, state: Path, redact: Callable[[str], str]) -> RunJournal:
        """The journal there, as this working copy writes it. Raises Refused."""
        from backout.adapters.storage.postgres.journal import PostgresJournal

        wait = self._said.wait
        return PostgresJournal(address, redact, driver=name_of(state), owner=owner(), wait=wait)

    def health(self, address: Address, redact: Callable[[str], str], fold: Fold) -> PostgresHealth:
        """The history of checks there. Raises Refused."""
        from backout.adapters.storage.postgres.health import PostgresHealth

        return PostgresHealth(address, redact, fold)

    def posts(self, store: PostgresHealth, state: Path) -> Posts:
        """Which targets a process of this working copy watches, that begins now."""
        from backout.adapters.storage.postgres.posts import Posts

        return Posts(store, name_of(state), secrets.token_hex(4), owner())

    def _source(self) -> SecretSource | None:
        return SecretSource(env=VARIABLE) if os.environ.get(VARIABLE) else self._said.secret

    @cached_property
    def _said(self) -> LedgerPlace:
        there = (self._root / project_file.NAME).exists()
        return project_file.load(self._root).ledger if there else LedgerPlace()


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

"""What a service wrote, for the eyes of everybody."""

from __future__ import annotations

from collections.abc import Callable

from backout.checks import evidence
from backout.model import Identity
from backout.ports import Restarter, Vault


class Discreet:
    """A restart backend whose log is shown without what looks like a credential; it notes whom it
    saw."""

    def __init__(
        self, restarter: Restarter, vault: Vault, note: Callable[[Identity], None]
    ) -> None:
        self.restart = restarter.restart
        self.stop, self.find = restarter.stop, restarter.find
        self.streams = restarter.streams
        self._logs, self._redact = restarter.logs, vault.redact
        self._look, self._note = restarter.identity, note

    def identity(self) -> Identity:
        seen = self._look()
        self._note(seen)
        return seen

    def logs(self, lines: int) -> str:
        return evidence.cleared(self._logs(lines), self._redact)

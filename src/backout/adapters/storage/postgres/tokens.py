"""What a transaction leaves, so that one whose answer was lost can be asked for: its token.

A process leaves one. The token before it, whose answer was heard, is nobody's question any more,
and goes in the same statement.
"""

from __future__ import annotations

import secrets

from backout.adapters.storage.tables import Tables

_LEAVE = (
    "WITH heard AS (DELETE FROM backout.settled WHERE token = ?)"
    " INSERT INTO backout.settled (token) VALUES (?) ON CONFLICT DO NOTHING"
)
_OLD = "DELETE FROM backout.settled WHERE at < now() - interval '7 days'"


class Tokens:
    """Those of one process, which writes one transaction at a time."""

    def __init__(self) -> None:
        self._heard = ""

    @staticmethod
    def new() -> str:
        """One that no transaction has left yet."""
        return secrets.token_hex(16)

    def leave(self, db: Tables, token: str) -> bool:
        """Within the transaction that it is of: False when it was committed before."""
        return db.execute(_LEAVE, (self._heard, token)).rowcount == 1

    def heard(self, token: str) -> None:
        """What became of that transaction is known, and is not asked any more."""
        self._heard = token


def forget(db: Tables) -> None:
    """Those that processes have left which are gone."""
    db.execute(_OLD)

"""The seam of a store of metrics: what others have counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Labels = Mapping[str, str]


class Metrics(Protocol):
    """A store of metrics that can be asked."""

    def ask(self, query: str) -> Sequence[tuple[Labels, float]]:
        """What a query comes to now: each series with its number, those without one left out.
        Raises Refused, with the reason, where nothing can be told."""
        ...

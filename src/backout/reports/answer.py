"""What a verb answers: an object, told as text for people and as `--json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backout.reports.told import Told


@dataclass(frozen=True, slots=True)
class Answer:
    """`kind` names the way in which `told` is put into words."""

    kind: str
    told: Told
    exit_code: int = 0

    @property
    def data(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return self.told.to_data()

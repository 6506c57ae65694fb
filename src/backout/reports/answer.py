"""What a verb answers: data for `--json`, which `reporting` turns into text for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`kind` names the shape of `data`, and with it the way it is told."""

    kind: str
    data: Mapping[str, Any]
    exit_code: int = 0

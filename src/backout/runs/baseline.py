"""What held before a run, as its journal keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backout.model import Finding


@dataclass(frozen=True, slots=True)
class Baseline:
    """What held before the run: each check's verdict, and which services were up."""

    findings: tuple[Finding, ...] = ()
    up: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether each host's service ran, well or not; None where nobody could tell."""
    well: Mapping[str, bool] = field(default_factory=dict)
    """Whether a service that ran was up."""
    first: bool = False

    def record(self) -> dict[str, Any]:
        rows = [finding.record() for finding in self.findings]
        return {"findings": rows, "up": dict(self.up), "well": dict(self.well), "first": self.first}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Baseline:
        findings = tuple(Finding.of(row) for row in record["findings"])
        return cls(findings, record["up"], record.get("well", {}), record["first"])

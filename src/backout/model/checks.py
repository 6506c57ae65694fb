"""Checks: what proves that a target works, who looks, and when somebody is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from backout.model.units import (
    BaselinePolicy,
    Duration,
    Noun,
    Severity,
    Span,
    Words,
    zone_name,
)


class Retry(Noun):
    """Try again `every` so often `for` so long."""

    for_: Duration = Field(alias="for")
    every: Span = 2.0


class Alert(Noun):
    """How many bad results open an alert, how many good ones resolve it, and reminders.

    `after: 3` means three in a row; with `of: 5` it means three of the last five.
    """

    after: int = Field(default=3, ge=1)
    of: int | None = Field(default=None, ge=1, le=100)
    recover: int = Field(default=2, ge=1)
    remind: Span | None = None

    @field_validator("of")
    @classmethod
    def _wide_enough(cls, of: int | None, info: ValidationInfo) -> int | None:
        if of is not None and of < info.data.get("after", 1):
            raise ValueError(f"must be at least `after`, which is {info.data['after']}")
        return of


class Follows(Noun):
    """Which lines of a note something was made from, and what they said then."""

    lines: Annotated[str, Field(pattern=r"^[1-9]\d*(?:-[1-9]\d*)?$")]
    """`41`, or `41-43`."""
    sha256: str
    said: str = ""
    """The first of them, for whoever is told that they changed."""
    document: str = ""
    """The note; a step's is the runbook's `document`."""

    @field_validator("lines", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Cleanup(Noun):
    """What removes the traces of a check, whatever became of it."""

    kind: str
    options: Any


Zone = Annotated[str, AfterValidator(zone_name)]


def _as_zones(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Check(Noun):
    """One check. `options` is what the kind's own model made of `http: …` and its like."""

    name: str
    kind: str
    options: Any
    on: str | None = None
    expect: Words = ()
    save: Mapping[str, str] = Field(default_factory=dict)
    then: Words = ()
    cleanup: Cleanup | None = None
    baseline: BaselinePolicy = "passes"
    timeout: Span = 10.0
    retry: Retry | None = None
    every: Span | None = None
    cron: str | None = None
    from_: Annotated[tuple[Zone, ...], BeforeValidator(_as_zones)] = Field(default=(), alias="from")
    """The zones whose workers look, for the watcher; without any it looks itself."""
    agree: int | None = Field(default=None, ge=1)
    """How many of them have to see it fail before it does; most of them, when it is not said."""
    alert: Alert = Alert()
    doc: str = ""
    """A link or a sentence for the person who is woken."""
    severity: Severity = "critical"
    follows: Follows | None = None

    @property
    def agreeing(self) -> int:
        """How many of its zones have to agree."""
        return self.agree or len(self.from_) // 2 + 1

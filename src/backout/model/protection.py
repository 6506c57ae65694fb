"""What a target asks for before anything is begun on it: other people, and a rehearsal."""

from __future__ import annotations

from pydantic import Field

from backout.model.units import Noun, Span


class Protection(Noun):
    """So many other people have to say yes to exactly the plan that is deployed."""

    approvals: int = Field(default=1, ge=0, le=9)
    expires: Span = 4 * 3600.0
    """How long what was asked, or said, holds."""


class Rehearsing(Noun):
    """A runbook is begun only when its way back was rehearsed, as it is now, not longer ago."""

    within: Span | None = None

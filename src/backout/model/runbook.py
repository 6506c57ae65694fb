"""The runbook: parameters, steps, rules."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import (
    Field,
)

from backout.model.inventory import Follows, Retry
from backout.model.units import BaselinePolicy, Boolean, Duration, Noun, Words


class Param(Noun):
    """A word the operator may give with `--param`."""

    type: Literal["str", "int", "bool", "list"] = "str"
    default: Any = None
    required: Boolean = False
    help: str = ""


class Step(Noun):
    """One step. `options` is what the kind's own model made of `run: …` and its like."""

    name: str
    kind: str
    options: Any
    on: str | None = None
    when: str | None = None
    cwd: str = ""
    env: Mapping[str, str] = Field(default_factory=dict)
    timeout: Duration = 600.0
    retry: Retry | None = None
    save: Mapping[str, str] = Field(default_factory=dict)
    undo: str | None = None
    check: str | None = None
    readonly: Boolean = False
    retry_safe: Boolean = False
    irreversible: str | None = None
    follows: Follows | None = None


class Rule(Noun):
    """One line of `diagnose`: when the CEL expression holds, this is what to say."""

    when: str
    say: str


class Runbook(Noun):
    """One runbook, whole."""

    name: str
    file: str = ""
    summary: str = ""
    document: str = ""
    targets: Words = ()
    """The targets that it is for, by name or pattern (`eu/*`); without them, any."""
    baseline: Mapping[str, BaselinePolicy] = Field(default_factory=dict)
    """What the target's checks must say before this runbook changes anything, where it is not
    what the inventory says: `fails` is what the runbook is there to turn green."""
    params: Mapping[str, Param] = Field(default_factory=dict)
    preflight: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    settle: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = Field(default=(), alias="finally")
    diagnose: tuple[Rule, ...] = ()

    def is_for(self, target: str) -> bool:
        """Whether it may be run on a target of that name."""
        return not self.targets or any(fnmatchcase(target, pattern) for pattern in self.targets)

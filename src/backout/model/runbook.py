"""The runbook: parameters, steps, rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import (
    Field,
    model_validator,
)

from backout.model.checks import Follows, Retry
from backout.model.units import BaselinePolicy, Boolean, Noun, Said, Span, Words

_TYPES: Mapping[str, Any] = {"str": str, "int": int, "bool": bool, "list": list}


class Param(Noun):
    """A word the operator may give with `--param`."""

    type: Literal["str", "int", "bool", "list"] = "str"
    default: Any = None
    required: Boolean = False
    help: str = ""
    min: int | None = None
    """The least of an `int`, and the greatest."""
    max: int | None = None
    choices: Words = ()
    """What it may be, or each item of a `list`."""
    pattern: str = ""
    """A regular expression that the whole of it matches, or of each item."""
    max_items: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _of_its_type(self) -> Param:
        """What it says fits its type, and its default fits what it says."""
        if self.type != "int" and (self.min is not None or self.max is not None):
            raise ValueError("min and max are of type: int")
        if self.type != "list" and self.max_items is not None:
            raise ValueError("max_items is of type: list")
        if self.type == "bool" and (self.choices or self.pattern):
            raise ValueError("a bool has no choices and no pattern")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from None
        if self.fits_type and self.default is not None and (words := self.wrong(self.default)):
            raise ValueError(f"the default {words}")
        return self

    @property
    def fits_type(self) -> bool:
        """Whether the default is of the type; none is of every type."""
        value = self.default
        plain = self.type == "bool" or not isinstance(value, bool)
        return value is None or (isinstance(value, _TYPES[self.type]) and plain)

    @property
    def _limited(self) -> bool:
        numbers = self.min is not None or self.max is not None
        return numbers or bool(self.choices or self.pattern)

    def wrong(self, value: Any) -> str:
        """Why a value will not do; empty when it will."""
        items = value if isinstance(value, list | tuple) else [value]
        if self.max_items is not None and len(items) > self.max_items:
            return f"has {len(items)} items, and at most {self.max_items} may be given"
        return next((words for item in items if (words := self._wrong(item))), "")

    def _wrong(self, item: Any) -> str:
        if item is None:
            return "has no value" if self._limited else ""
        if self.min is not None and item < self.min:
            return f"must be at least {self.min}, not {item}"
        if self.max is not None and item > self.max:
            return f"must be at most {self.max}, not {item}"
        if self.choices and str(item) not in self.choices:
            return f"must be one of {', '.join(self.choices)}, not {str(item)!r}"
        if self.pattern and not re.fullmatch(self.pattern, str(item)):
            return f"must match {self.pattern}, and {str(item)!r} does not"
        return ""


class Step(Noun):
    """One step. `options` is what the kind's own model made of `run: …` and its like."""

    name: str
    kind: str
    options: Any
    on: str | None = None
    when: str | None = None
    cwd: str = ""
    env: Mapping[str, str] = Field(default_factory=dict)
    timeout: Span = 600.0
    retry: Retry | None = None
    save: Mapping[str, str] = Field(default_factory=dict)
    undo: Said = None
    check: Said = None
    readonly: Boolean = False
    retry_safe: Boolean = False
    irreversible: Said = None
    net: Words = ()
    """The checks that must pass right before a step that cannot be undone."""
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

"""Which checks show how a release does beside another one. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from backout.model.checks import Check


def canary_checks(checks: Mapping[str, Check]) -> tuple[str, ...]:
    """The checks of single hosts that leave no trace: they may be looked at often."""
    led = {name for each in checks.values() for name in each.then}
    alone = (c for c in checks.values() if c.on and not (c.cleanup or c.then))
    return tuple(c.name for c in alone if c.name not in led)

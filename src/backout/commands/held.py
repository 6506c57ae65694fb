"""How long a run is held when something fails, as the words and the inventory have it."""

from __future__ import annotations

from backout.commands.options import Holding, Shipping
from backout.errors import Mistakes, Refused
from backout.model import Target, seconds
from backout.ports import Operator

USUAL = 3600.0
"""Seconds that a run is held where somebody is there to be asked, and nothing else is said."""


def seconds_of(options: Shipping, target: Target) -> float:
    """0 where it is not held. Raises Mistakes."""
    if not isinstance(options, Holding) or not options.hold:
        if isinstance(options, Holding) and options.hold_for is not None:
            raise Mistakes(
                "--hold-for says how long --hold holds, which was not said",
                where="command line",
                next=f"the same command with --hold --hold-for {options.hold_for}",
            )
        return 0.0
    return _said(options.hold_for) or target.rollout.hold_for or USUAL


def refuse_unattended(options: Shipping, target: Target, operator: Operator) -> None:
    """Raises Refused where nobody is there to be asked, and nothing says when it ends; Mistakes as
    `seconds_of` does."""
    held = seconds_of(options, target)
    said = isinstance(options, Holding) and options.hold_for is not None
    if held and not said and target.rollout.hold_for is None and not operator.present:
        raise Refused(
            "--hold has nobody to ask: there is no terminal, and nothing says how long it waits",
            where=target.name,
            next="the same command with --hold-for 30m, after which it backs out; it is answered"
            " by invoke hold",
        )


def _said(words: str | None) -> float | None:
    if words is None:
        return None
    try:
        found = seconds(words)
    except ValueError as error:
        raise Mistakes(
            f"--hold-for {words}: {error}", where="command line", next="invoke --help deploy"
        ) from error
    if found <= 0:
        raise Mistakes("--hold-for is longer than nothing", where="command line")
    return found

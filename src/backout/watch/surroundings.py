"""What a watcher asks of whoever runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backout.model import CheckKey, Finding, Target
from backout.watch.baking import Reverts
from backout.watch.watched import TargetState, WatchedTarget


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All of it; what is not given does nothing."""

    submit: Callable[[Callable[[], None]], object]
    """Has something done elsewhere."""
    ask: Callable[[Callable[[], None]], object] = lambda look: look()
    """The same of what waits for answers from elsewhere."""
    news: Callable[[Target], TargetState] = lambda _: TargetState()
    """What the journal says of a target."""
    said: Callable[[str, bool], None] = lambda _text, _warning: None
    """Hears a line, and whether it is a warning."""
    ping: Callable[[WatchedTarget, str], None] = lambda _watched, _failed: None
    """Tells a target's dead-man's switch, with what is wrong."""
    reverts: Reverts | None = None
    """Takes deploys back."""
    wake: Callable[[], None] = lambda: None
    """Wakes the sender."""
    shown: Callable[[CheckKey, Finding | None], None] = lambda _check, _finding: None
    """Hears how a check stands, or that it is gone."""
    troubles: Callable[[], list[str]] = list
    """What else is wrong with the watching."""

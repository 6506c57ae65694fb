"""What keeps an action from acting, asked right before each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.ports import StepContext
from backout.runs import brought, nets
from backout.runs.plan import Action

if TYPE_CHECKING:
    from backout.runs.worker import Worker


def barred(worker: Worker, action: Action, work: StepContext) -> str:
    """Why it must not act now; empty when it may. Raises BackoutError where nobody can tell."""
    return nets.torn(worker, action) or brought.changed(worker, action, work)

"""Freezes of a target and of the whole project, as the verbs that begin a run meet them.

What goes back, or goes on, is never frozen: rollback, resume and abort do not ask.
"""

from __future__ import annotations

from collections.abc import Mapping

from backout.adapters.local_lock import owner
from backout.config import project_file
from backout.errors import Refused
from backout.model import Target
from backout.model.freezing import Frozen, Window, frozen
from backout.project.project import Workplace

BROKEN = "freeze_broken"
"""The record of a run that went ahead all the same: why, by whom, and through which freeze."""


def now(workplace: Workplace, target: Target) -> Frozen | None:
    """What holds the target now, by the journal's clock. Raises Mistakes for a project file that
    cannot be read, and Refused where that clock cannot be asked."""
    own = [Window(each, each.timezone or target.timezone, target.file) for each in target.freeze]
    common = project_file.load(workplace.root).freeze
    all_ = [Window(each, each.timezone or "UTC", project_file.NAME) for each in common]
    return frozen((*own, *all_), workplace.journal.clock()) if own or all_ else None


def refuse(workplace: Workplace, target: Target, reason: str | None) -> Mapping[str, str]:
    """The record of the freeze that `reason` breaks; empty where nothing is frozen. Raises Refused
    for a frozen target without a reason."""
    found = now(workplace, target)
    if found is None:
        return {}
    if reason is None:
        raise Refused(
            f"{target.name} is frozen {found.words}",
            where=found.file,
            state="nothing was changed; the way back is open: rollback, abort and resume",
            next="wait for its end; or the same command with --break-freeze REASON, which is on"
            " record",
        )
    return {"reason": reason, "by": owner(), "freeze": found.words, "file": found.file}

"""What of earlier runs can be undone at all: asked before a rollback changes anything."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from backout.errors import Refused
from backout.runs.backward import Backward
from backout.runs.parts import side_by_side
from backout.runs.plan import Action
from backout.runs.saga import Entry
from backout.runs.wording import title


def refuse_irreversible(ways: Sequence[Backward], crossing: Collection[str]) -> None:
    """Raises Refused for a step that cannot be undone, but for those of the newest run that are
    crossed."""
    for way in ways:
        for action in way.plan.actions:
            entry, newest = way.past.entry(action.key), way is ways[0]
            if entry.stays and not (newest and action.step.name in crossing):
                raise Refused(
                    f"run {way.plan.run} cannot be undone: {action.step.name} was"
                    f" irreversible: {entry.stays}",
                    next=f"invoke show {way.plan.run}; whether the older code lives with it"
                    " shows invoke rehearse --target STAGING --old-code",
                )


def refuse_impossible(ways: Sequence[Backward], target: str) -> None:
    """Raises Refused for what a machine has no longer got that its way back needs."""
    steps = [
        (way, action, entry)
        for way in ways
        for action in way.plan.actions
        for entry in (way.past.entry(action.key),)
        if entry.touched and not entry.stays
    ]
    words = side_by_side(lambda step: _unready(*step), steps)
    if problems := dict.fromkeys(each for each in words if each):
        raise Refused("\n".join(problems), next=f"invoke history --target {target}")


def _unready(way: Backward, action: Action, entry: Entry) -> str:
    worker, undo = way.worker, entry.undo
    try:
        worker.parts.vault.reveal(json.dumps([undo.text, undo.data], ensure_ascii=False))
    except Refused as error:
        why = error.what
    else:
        why = (
            worker.kind(action).unready(worker.work(action, strict=False), undo)
            if action.host
            else ""
        )
    return f"{title(action)} cannot be undone: {why}" if why else ""

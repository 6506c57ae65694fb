"""Rehearsals that were, held against the runbook as it is."""

from __future__ import annotations

import json
from hashlib import sha256

from backout.adapters.storage.journal import RunJournal
from backout.errors import Refused
from backout.model import Runbook, Target, duration
from backout.model.units import APART
from backout.project.project import Workplace
from backout.reports.data import stamp
from backout.reports.plans import RehearsalNote

CERTIFICATE = "rehearsed"
"""The verb of the line in the history that says what a rehearsal came to."""


def digest(runbook: Runbook) -> str:
    """SHA-256 of a runbook as it is understood, wherever its file lies. What it does not say is no
    part of it, so that a newer version with more to say finds the same."""
    data = runbook.model_dump(mode="json", exclude={"file"}, exclude_defaults=True)
    return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def newest(journal: RunJournal, runbook: Runbook) -> RehearsalNote | None:
    """The last rehearsal of a runbook, on whichever target; None when there was none."""
    row = next(iter(journal.of_verb(CERTIFICATE, runbook.name, limit=1)), None)
    if row is None:
        return None
    return RehearsalNote(
        run=row.id,
        target=row.target,
        at=stamp(row.started),
        seconds=round((journal.clock() - row.started).total_seconds(), 1),
        outcome=row.outcome,
        changed=row.plan.get("digest") != digest(runbook),
    )


def missing(journal: RunJournal, target: Target, runbook: Runbook) -> str:
    """Why the runbook is not to be begun on a target that asks for a rehearsal; empty where nothing
    is missing, or none is asked for."""
    asked = target.rehearsing
    if asked is None:
        return ""
    found = newest(journal, runbook)
    if found is None:
        return f"{target.name} takes only what was rehearsed, and {runbook.name} never was"
    if found.seconds < -APART:
        what = f"{runbook.name} was rehearsed at {found.at}, which is still to come"
        return f"{target.name} takes only what was rehearsed, and {what}: a clock is wrong"
    old = asked.within is not None and found.seconds > asked.within
    if found.outcome == "succeeded" and not (found.changed or old):
        return ""
    limit = f"; {duration(asked.within)} are allowed" if old and asked.within else ""
    return f"{target.name} takes only what was rehearsed: of {runbook.name}, {words(found)}{limit}"


def refuse(workplace: Workplace, target: Target, runbook: Runbook) -> None:
    """Raises Refused for a runbook whose way back was not rehearsed as the target asks."""
    why = missing(workplace.journal, target, runbook)
    if why:
        raise Refused(
            why, where=target.file, state="nothing was changed", next=rehearse_command(runbook)
        )


def rehearse_command(runbook: Runbook) -> str:
    """What to type then."""
    book = "" if runbook.name == "deploy" else f" --runbook {runbook.name}"
    return f"invoke rehearse --target STAGING{book}, on a target that may fail"


def words(found: RehearsalNote) -> str:
    """How old it is, and what it is worth."""
    proved = found.outcome == "succeeded"
    what = "its way back was rehearsed" if proved else "the last rehearsal did NOT prove it all"
    changed = ", and the runbook has changed since" if found.changed else ""
    days = int(found.seconds // 86400)
    age = f"{days} days" if days > 1 else duration(found.seconds)
    return f"{what}: on {found.target}, {age} ago{changed} (invoke show {found.run})"

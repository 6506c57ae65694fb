"""Rehearsals that were, held against the runbook as it is."""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256

from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.journal_rows import one_run
from backout.model import Runbook, duration
from backout.reports.data import stamp
from backout.reports.plans import RehearsalNote

CERTIFICATE = "rehearsed"
"""The verb of the line in the history that says what a rehearsal came to."""


def digest(runbook: Runbook) -> str:
    """SHA-256 of a runbook as it is understood, wherever its file lies."""
    data = runbook.model_dump(mode="json", exclude={"file"})
    return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def newest(journal: RunJournal, runbook: Runbook, now: datetime) -> RehearsalNote | None:
    """The last rehearsal of a runbook, on whichever target; None when there was none."""
    row = journal.look(
        lambda db: one_run(db, "verb = ? AND runbook = ?", CERTIFICATE, runbook.name)
    )
    if row is None:
        return None
    return RehearsalNote(
        run=row.id,
        target=row.target,
        at=stamp(row.started),
        seconds=round((now - row.started).total_seconds(), 1),
        outcome=row.outcome,
        changed=row.plan.get("digest") != digest(runbook),
    )


def words(found: RehearsalNote) -> str:
    """How old it is, and what it is worth."""
    proved = found.outcome == "succeeded"
    what = "its way back was rehearsed" if proved else "the last rehearsal did NOT prove it all"
    changed = ", and the runbook has changed since" if found.changed else ""
    days = int(found.seconds // 86400)
    age = f"{days} days" if days > 1 else duration(found.seconds)
    return f"{what}: on {found.target}, {age} ago{changed} (invoke show {found.run})"

"""An import as it is told: every line of the note accounted for."""

from __future__ import annotations

from backout.documents.draft import Built
from backout.reports.notes import (
    FoundBlank,
    FoundLine,
    FoundProbe,
    Imported,
    OpenQuestion,
    RejectedLine,
)

REPORTED = (
    "cwd",
    "setting",
    "inline",
    "commented",
    "interactive",
    "follows",
    "blocking",
    "destructive",
)


def import_report(built: Built) -> Imported:
    """What was found in the note, what became of it, and what is open."""
    reading = built.reading
    return Imported(
        source=reading.source,
        runbook=built.runbook,
        inventory=built.inventory,
        found=tuple(
            FoundLine(
                line=each.line,
                text=each.text,
                phase=each.phase,
                flags=tuple(flag for flag in REPORTED if flag in each.flags),
                alternative=each.alternative,
                into=each.into,
                further=each.further,
            )
            for each in reading.found
        ),
        probes=tuple(
            FoundProbe(found.line, r.method, r.url, r.told, bool(r.body))
            for found, r in reading.probes
        ),
        backends=tuple(reading.backends),
        placeholders=tuple(FoundBlank(p.line, p.text, p.name) for p in reading.placeholders),
        rejected=tuple(RejectedLine(r.line, r.text, r.reason) for r in reading.rejected),
        questions=tuple(OpenQuestion(q.line, q.ask) for q in reading.questions),
    )

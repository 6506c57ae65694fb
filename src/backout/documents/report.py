"""An import as the data of `--json`: every line of the note accounted for."""

from __future__ import annotations

from typing import Any

from backout.documents.draft import Built

REPORTED = ("cwd", "inline", "commented", "interactive", "follows", "blocking", "destructive")


def data(built: Built) -> dict[str, Any]:
    """`source, runbook, inventory, found, probes, backends, placeholders, rejected, questions`."""
    reading = built.reading
    return {
        "source": reading.source,
        "runbook": built.runbook,
        "inventory": built.inventory,
        "found": [
            {
                "line": each.line, "text": each.text, "phase": each.phase,
                "flags": [flag for flag in REPORTED if flag in each.flags],
                "alternative": each.alternative, "into": each.into,
            }
            for each in reading.found
        ],
        "probes": [
            {
                "line": found.line, "method": r.method, "url": r.url,
                "headers": r.told, "body": bool(r.body),
            }
            for found, r in reading.probes
        ],
        "backends": list(reading.backends),
        "placeholders": [
            {"line": p.line, "text": p.text, "name": p.name} for p in reading.placeholders
        ],
        "rejected": [
            {"line": r.line, "text": r.text, "reason": r.reason} for r in reading.rejected
        ],
        "questions": [{"line": q.line, "ask": q.ask} for q in reading.questions],
    }  # fmt: skip

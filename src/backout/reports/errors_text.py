"""Errors as three lines, or as one object."""

from __future__ import annotations

import json
from typing import Any

from backout.errors import BackoutError, Mistakes
from backout.reports.told import Data

FORMAT = 1
"""Of every JSON object; it grows when a reader of the last one could be misled."""


def error_text(error: BackoutError) -> str:
    """What failed and where; the state things are in; the next command to type."""
    return str(error)


def error_report(error: BackoutError) -> dict[str, Any]:
    """The error as data; every mistake on its own when there are several."""
    report: dict[str, Any] = {
        "error": {"what": error.what, "where": error.where, "next": error.next},
        "exit_code": error.exit_code,
        "state": error.state,
    }
    if isinstance(error, Mistakes) and error.mistakes:
        report["mistakes"] = [
            {"file": each.file, "line": each.line, "path": each.path, "message": each.message}
            for each in error.mistakes
        ]
    return report


def error_json(error: BackoutError) -> str:
    return json_text(error_report(error))


def json_text(report: Data) -> str:
    """One object on one line, in ASCII, so that no terminal takes it for more than text."""
    return json.dumps({"format": FORMAT, **report}, default=str).replace("\x7f", "\\u007f")

"""Run -> text, JSON. Pure, and told nothing that is not already redacted."""

from __future__ import annotations

import json

from backout.errors import BackoutError


def error_text(error: BackoutError) -> str:
    """What failed and where; the state things are in; the next command to type."""
    return str(error)


def error_json(error: BackoutError) -> str:
    """The same as one JSON object."""
    told = {"what": error.what, "where": error.where, "next": error.next}
    return json.dumps({"error": told, "exit_code": error.exit_code})

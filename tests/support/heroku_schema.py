"""The schema that Heroku publishes of its Platform API, where a copy of it is at hand.

BACKOUT_HEROKU_SCHEMA names the file, else `../shared/heroku_schema.json` beside the project is
looked for. Without a copy nobody complains: `heroku_shapes` holds the stand-in all the same.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

_BESIDE = Path(__file__).parents[3] / "shared" / "heroku_schema.json"


def published() -> Path | None:
    """The copy at hand. A named one must exist."""
    named = os.environ.get("BACKOUT_HEROKU_SCHEMA")
    if named:
        return Path(named)
    return _BESIDE if _BESIDE.exists() else None


def complaints(definition: str, answer: object) -> list[str]:
    """What the schema says against an answer that should be `definition`, or a list of them."""
    copy = published()
    if copy is None:
        return []
    answers = answer if isinstance(answer, list) else [answer]
    return [
        f"published {definition}{error.json_path[1:]}: {error.message}"
        for each in answers
        for error in _validator(copy, definition).iter_errors(each)
    ]


@cache
def _validator(copy: Path, definition: str) -> Any:
    definitions = _strict(json.loads(copy.read_text())["definitions"])
    root = {"$ref": f"#/definitions/{definition}", "definitions": definitions}
    checker = jsonschema.FormatChecker()
    return jsonschema.Draft4Validator(root, format_checker=checker)


def _strict(part: Any) -> Any:
    """Spell `strictProperties` out: every property is required and no other is allowed."""
    if isinstance(part, list):
        return [_strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    spelled = {key: _strict(value) for key, value in part.items() if key != "links"}
    if part.get("strictProperties") is True and "properties" in part:
        spelled |= {"required": sorted(part["properties"]), "additionalProperties": False}
    return spelled

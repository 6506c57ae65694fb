"""The published schema of Heroku's Platform API, and what is wrong with an answer by it.

`heroku_schema.json` holds the definitions that the tests use, cut out of the schema that Heroku
publishes under the MIT licence (the `schema.json` of its Platform API). BACKOUT_HEROKU_SCHEMA
names the whole file, to hold the stand-in to another edition of it.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

BUNDLED = Path(__file__).with_name("heroku_schema.json")


def complaints(definition: str, answer: object) -> list[str]:
    """What the schema says against an answer that should be `definition`, or a list of them."""
    validator = _validator(definition)
    answers = answer if isinstance(answer, list) else [answer]
    return [
        f"{definition}{error.json_path[1:]}: {error.message}"
        for each in answers
        for error in validator.iter_errors(each)
    ]


@cache
def _validator(definition: str) -> Any:
    named = os.environ.get("BACKOUT_HEROKU_SCHEMA")
    whole = json.loads((Path(named) if named else BUNDLED).read_text())
    definitions = _strict(whole["definitions"])
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
    if part.get("strictProperties") is True:
        spelled |= {"required": sorted(part["properties"]), "additionalProperties": False}
    return spelled

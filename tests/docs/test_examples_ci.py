"""The jobs to copy are well-formed, and what they type is understood."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from backout.commands.options import VERBS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "ci").glob("*.yml"))
KNOWN = {each.name: {field.name for field in fields(each)} for each in VERBS}


def texts(data: Any) -> list[str]:
    if isinstance(data, dict):
        return [text for value in data.values() for text in texts(value)]
    if isinstance(data, list):
        return [text for value in data for text in texts(value)]
    return str(data).splitlines()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_command_of_a_job_is_a_verb_with_words_of_its_own(file: Path) -> None:
    lines = texts(yaml.safe_load(file.read_text()))
    typed = [shlex.split(line)[1:] for line in lines if line.startswith("backout ")]
    assert ["lint"] in typed
    for verb, *words in typed:
        said = {word.lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
        assert said <= KNOWN[verb], f"{file.name}: {verb}"

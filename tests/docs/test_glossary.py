"""One word for each thing: the glossary has it, and nothing goes by another name."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from backout import model, ports
from backout.checks.streaks import Transition
from backout.watch import watched, wellbeing

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
WORDS = [row.split("|")[1].strip() for row in GLOSSARY.splitlines() if row.startswith("| ")][1:]
NOUNS = (
    *("Target", "Host", "Service", "Source", "Check", "Runbook", "Step", "Undo", "Release"),
    *("Finding", "Observation", "Verdict", "Outcome", "Identity", "Lease", "Incident", "Message"),
    "CheckKey",
)
GONE = (
    "ward",
    "wards",
    "crew",
    "spots",
    "flip",
    "_mine",
    "_engaged",
    "_rolled",
    "_again",
    "_go",
    "_here",
)
"""Names that a thing once had in the code."""


def _apart(name: str) -> str:
    """`CheckKey` -> `check key`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    assert sorted(WORDS, key=str.lower) == WORDS
    assert len(set(WORDS)) == len(WORDS)


@pytest.mark.parametrize("name", NOUNS)
def test_every_noun_of_the_model_is_explained(name: str) -> None:
    assert inspect.isclass(getattr(model, name))
    assert _apart(name) in WORDS


@pytest.mark.parametrize(
    "kind",
    [
        *(watched.WatchedTarget, watched.TargetState, model.Streak, Transition),
        *(wellbeing.Snapshot, ports.Transport, ports.Journal, ports.Vault),
        *(ports.Probe, ports.ProbeRequest, ports.StepContext),
    ],
    ids=lambda kind: kind.__name__,
)
def test_what_lives_beside_the_model_is_explained_too(kind: type) -> None:
    assert _apart(kind.__name__) in WORDS


def test_nothing_goes_by_a_name_that_it_no_longer_has() -> None:
    gone = re.compile(rf"\b({'|'.join(GONE)})\b")
    sources = sorted((ROOT / "src" / "backout").rglob("*.py"))
    assert {
        path.name: found[0] for path in sources if (found := gone.search(path.read_text()))
    } == {}

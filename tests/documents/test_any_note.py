"""No note, however broken or hostile, crashes the importer or gets a command past the review."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backout.commands.import_report import import_report
from backout.documents.building import build
from backout.documents.files import sound
from backout.documents.reading import read
from backout.project.project import TABLES

PIECES = st.sampled_from(
    [
        line.encode().decode("unicode_escape")
        for line in (Path(__file__).parent / "notes" / "pieces.txt").read_text().split("\n")
    ]
)
NOTES = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=40).map("".join)
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.usefixtures("unhurried")
@RELAXED
@given(NOTES)
def test_any_text_is_imported_and_lints(text: str) -> None:
    made = sound(build(read(text, "docs/note.md")), TABLES)
    report = import_report(made).to_data()
    steps = [s for phase in ("steps", "settle") for s in made.runbook.get(phase, ())]
    for step in steps:
        known = ("undo", "readonly", "irreversible", "commit", "push", "update", "restart")
        assert any(key in step for key in (*known, "approve", "verify", "manual"))
    assert all(
        1 <= row["line"] <= text.count("\n") + text.count("\r") + 1 for row in report["found"]
    )


def test_what_hides_characters_is_refused() -> None:
    reading = read("```sh\necho \u202egnp.exe\n```\n", "x")
    assert reading.found == ()
    assert "hides" in reading.rejected[0].reason


def test_a_comment_of_html_hides_no_command() -> None:
    text = "<!--\n```sh\nrm -rf /\n```\n-->\n\nRun nothing.\n"
    assert read(text, "x").found == ()


def test_a_template_in_a_note_reads_no_secret() -> None:
    made = sound(build(read("```sh\necho '{{ 1 + 1 }}' {{x|raw}}\n```\n", "x")), TABLES)
    [step] = made.runbook["preflight"]
    assert "{{ 1" not in step["run"]
    assert "{{x" not in step["run"]


@pytest.mark.usefixtures("unhurried")
def test_a_note_in_which_nothing_ever_closes_is_read_all_the_same() -> None:
    for line in ("echo $(x", "echo 'it", "cat <<EOF", "if true; then"):
        reading = read(f"```sh\n{chr(10).join([line] * 400)}\n```\n", "x")
        assert reading.found

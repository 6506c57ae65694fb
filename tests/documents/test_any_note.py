"""No note, however broken or hostile, crashes the importer or gets a command past the review."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.commands.import_report import import_report
from backout.documents.building import build
from backout.documents.draft import Built
from backout.documents.files import sound
from backout.documents.reading import read
from backout.project.project import TABLES
from support import overheard, warm

PIECES = st.sampled_from(
    [
        line.encode().decode("unicode_escape")
        for line in (Path(__file__).parent / "notes" / "pieces.txt").read_text().split("\n")
    ]
)
NOTES = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=40).map("".join)
RELAXED = settings(max_examples=40)


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
    places = [at for row in report["found"] for at in (row["into"], *row["further"])]
    assert [place for place in places if not is_there(place, made)] == []


def is_there(into: str | None, made: Built) -> bool:
    """Whether the place that a line is said to have gone into is one of what was made."""
    kind, _, name = (into or "").partition(".")
    if into is None or kind == "checks":
        return into is None or name in made.inventory["checks"]
    phase, _, at = into.rstrip("]").partition("[")
    return int(at) < len(made.runbook.get(phase, ()))


def test_what_hides_characters_is_refused() -> None:
    reading = read("```sh\necho \u202egnp.exe\n```\n", "x")
    assert reading.found == ()
    assert "hides" in reading.rejected[0].reason


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("echo \u202egnp.exe", "hides characters"),
        ("rm -rf /srv/app\u200b/tmp", "hides characters"),
        ("echo \x1b[2K\x1b[1Gok", "hides characters"),
        ("echo \u3164", "hides characters"),
        ("echo \U000e0041", "hides characters"),
        ("rm\u00a0-rf /srv", "a blank in it is none"),
        ("curl https://ex\u0430mple.org/get", "only looks like another: Cyrillic Small Letter A"),
        ("\u0441at /etc/passwd", "only looks like another"),
        ("echo \uff53udo", "only looks like another"),
        ("echo " + "x" * 5000, "a line of more than 4000 characters"),
    ],
)
@pytest.mark.parametrize(
    "form", ["```sh\n{}\n```", "```console\n$ {}\n```", "```sh\n# or: {}\n```"]
)
def test_what_is_shown_is_what_would_run(line: str, why: str, form: str) -> None:
    reading = read(form.format(line) + "\n", "x")
    assert not reading.found
    if "or:" not in form:
        assert why in reading.rejected[0].reason
        assert reading.rejected[0].line == 2


def test_letters_of_other_languages_and_emoji_are_none_of_that() -> None:
    for line in ("echo 'готово'", "git commit -m 'größer → 登録fix'", "echo '👩\u200d💻 ✅\ufe0f'"):
        assert read(f"```sh\n{line}\n```\n", "x").found, line


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    "text",
    [
        "word " * 40_000,
        "`git pull` and " * 13_000,
        "[" * 200_000,
        "<summary>" * 22_000,
        "<pre>\n" * 33_000,
        "git pull is done\n" * 11_000,
        "```sh\necho " + "<app> " * 33_000 + "\n```",
        "```sh\ncase x in " + "a) b;; " * 28_000 + "\n```",
        "```console\n$ echo '(\n" + "> x\n" * 5_000 + "```",
        "```sh\n# " + "." * 200_000 + "\n```",
        "```sh\n" + "".join(f"export A{n}={n}\n" for n in range(12_000)) + "```",
        "```sh\n" + "cd a && " * 25_000 + "b\n```",
        "```sh\n" + "cat <<'E'\n" * 12_000 + "\n```",
        "On a.b " * 30_000 + "\n\n```sh\nx\n```",
    ],
    ids=lambda text: text[:24].replace("\n", " "),
)
def test_a_large_note_takes_no_more_than_its_length(text: str) -> None:
    began = process_time()
    build(read(text, "x"))
    assert process_time() - began < 30, "seconds; it is one where nothing else runs"


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


EVIL = """\
```sh
touch pwned; $(touch pwned2); `touch pwned3`
curl -f http://127.0.0.1:9/x?a={{ secrets.x }}
python3 -c "open('pwned4','w')"
```
Run `rm -rf ./docs`, then {{ ''.__class__.__mro__ }} and {% include '/etc/passwd' %}.
"""


@pytest.mark.usefixtures("unhurried")
@RELAXED
@given(st.one_of(NOTES, NOTES.map(lambda text: text + EVIL)))
def test_whatever_a_note_says_nothing_is_run_or_reached_and_only_named_files_are_written(
    text: str,
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name).resolve()
        (root / "docs").mkdir()
        (root / "tasks.py").write_text("from backout.tasks import ns\n")
        note = root / "docs" / "note.md"
        note.write_bytes(before := text.encode("utf-8", "surrogatepass"))
        code, out, err = warm.run((), root, os.environ, 60, program=(overheard.__file__,))
        assert code == 0, err
        told = json.loads(out)
        assert told["heard"] == []
        assert note.read_bytes() == before
        named = {root / each for each in told["named"]}
        there = {path for path in root.rglob("*") if path.is_file()}
        assert there == {note, root / "tasks.py", *named}
        inside = {path for path in map(Path, told["written"]) if path.is_relative_to(root)}
        assert {path.parent for path in inside} <= {path.parent for path in named}

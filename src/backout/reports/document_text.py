"""What became of a note: its lines on the left, where they went on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from textwrap import wrap

from backout.reports.notes import FoundBlank, FoundLine, Imported, OpenQuestion
from backout.reports.rehearsal_text import rehearsed_text

WIDE = 120
NARROW = 24
"""No column is narrower."""
MARGIN = 9
"""The line's number, and the gaps."""
AS_ABOVE = " (as above)"


def import_text(report: Imported, width: int = 0) -> str:
    """`document.import`: the note, what is open, the files, what to type next, on a screen of that
    width; on one that nobody knows the width of it is wide."""
    parts = [
        "\n".join(_rows(report, width or WIDE)) or "no command was found in this note",
        _listed("Taken from the note", iter(report.updated.taken if report.updated else ())),
        _listed("Kept as it is by hand", iter(report.updated.kept if report.updated else ())),
        _listed("Blanks", (f"{_at(p)} {p.text} -> {p.name}" for p in report.placeholders)),
        _listed("Open", (f"{_at(q)} {q.ask}" for q in report.questions)),
        "\n".join(
            (
                *(f"wrote {path}" for path in report.written),
                *(
                    f"kept  {path}, which was there (--as NAME writes another)"
                    for path in report.kept
                ),
            )
        ),
        rehearsed_text(replace(report.rehearsal, next="")) if report.rehearsal else "",
        f"not rehearsed: {_line(report.not_rehearsed)}" if report.not_rehearsed else "",
        f"next:  {report.next}",
    ]
    return "\n\n".join(part for part in parts if part)


def _rows(report: Imported, width: int) -> Iterator[str]:
    """The note's lines, and beside each command what became of it; both broken in their columns."""
    rows = [
        *((f.line, f.text, _became(f)) for f in report.found),
        *((r.line, r.text, f"not taken: {r.reason}") for r in report.rejected),
    ]
    rows.sort(key=lambda row: row[0])
    longest = max((len(line) for _, text, _ in rows for line in text.split("\n")), default=0)
    left = max(NARROW, min(longest, (width - MARGIN) * 11 // 20))
    right = max(NARROW, width - MARGIN - left)
    before = (0, "")
    for line, text, became in rows:
        same = before == (line - 1, became) and became.startswith("not taken: ")
        before = (line, became)
        said = [f"not taken{AS_ABOVE}"] if same else _broken(became, right)
        for number, mine, theirs in zip_longest(*_numbered(line, text, left), said, fillvalue=""):
            yield f"{number:>5}  {mine:<{left}}  {theirs}".rstrip()


def _numbered(line: int, text: str, width: int) -> tuple[list[str], list[str]]:
    """A command's lines, each with its number in the note, in a column."""
    numbers, lines = list[str](), list[str]()
    for number, each in enumerate(text.split("\n"), line):
        parts = _broken(_line(each), width)
        numbers += [str(number), *[""] * (len(parts) - 1)]
        lines += parts
    return numbers, lines


def _broken(text: str, width: int) -> list[str]:
    return wrap(text, width, break_on_hyphens=False, drop_whitespace=True) or [""]


def _became(found: FoundLine) -> str:
    flags = f" ({', '.join(found.flags)})" if found.flags else ""
    choice = f" [one of {found.alternative.partition(':')[0]}]" if found.alternative else ""
    nowhere = "in what follows" if {"cwd", "setting"} & {*found.flags} else "not taken"
    went = ", ".join((found.into, *found.further)) if found.into else nowhere
    return f"{found.phase} -> {went}{choice}{flags}"


def _listed(title: str, lines: Iterator[str]) -> str:
    rows: Sequence[str] = [f"  {_line(line)}" for line in lines]
    return "\n".join((f"{title}:", *rows)) if rows else ""


def _at(item: FoundBlank | OpenQuestion) -> str:
    return f"line {item.line}:"


def _line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in text)

"""What became of a note: its lines on the left, where they went on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backout.reports.objects import FoundBlank, FoundLine, Imported, OpenQuestion

WIDE = 56


def import_text(report: Imported) -> str:
    """`document.import`: the note, what is open, the files, what to type next."""
    parts = [
        "\n".join(_rows(report)) or "no command was found in this note",
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
        f"next:  {report.next}",
    ]
    return "\n\n".join(part for part in parts if part)


def _rows(report: Imported) -> Iterator[str]:
    rows = [
        *((f.line, f.text, _became(f)) for f in report.found),
        *((r.line, r.text, f"not taken: {r.reason}") for r in report.rejected),
    ]
    for line, text, became in sorted(rows, key=lambda row: row[0]):
        left = _line(text.partition("\n")[0])
        left = left if len(left) <= WIDE else f"{left[: WIDE - 1]}…"
        yield f"{line:>5}  {left:<{WIDE}}  {became}"


def _became(found: FoundLine) -> str:
    flags = f" ({', '.join(found.flags)})" if found.flags else ""
    choice = f" [one of {found.alternative.partition(':')[0]}]" if found.alternative else ""
    return f"{found.phase} -> {found.into or 'not taken'}{choice}{flags}"


def _listed(title: str, lines: Iterator[str]) -> str:
    rows: Sequence[str] = [f"  {_line(line)}" for line in lines]
    return "\n".join((f"{title}:", *rows)) if rows else ""


def _at(item: FoundBlank | OpenQuestion) -> str:
    return f"line {item.line}:"


def _line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in text)

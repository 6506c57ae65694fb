"""How well notes are read: the corpus in bench/documents against its labels, line by line.

    python bench/documents.py            # the score
    python bench/documents.py --wrong    # and each line that is not as labelled

A note `x.md` has its labels in `x.yaml`: `commands`, each with its line, the beginning of its text
and its phase; `probes`, the lines of requests that are checks; `backends`. Those that say
`held-out` were not tuned on, and are scored by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from backout.documents.nouns import Reading
from backout.documents.reading import read

CORPUS = Path(__file__).parent / "documents"
BEGINNING = 40
"""So many characters of a command tell it from others of its line."""
Key = tuple[int, str]


@dataclass
class Score:
    """Counts over notes."""

    notes: int = 0
    labelled: int = 0
    found: int = 0
    right: int = 0
    phases: int = 0
    back: list[int] = field(default_factory=lambda: [0, 0])
    probes: list[int] = field(default_factory=lambda: [0, 0])
    backends: list[int] = field(default_factory=lambda: [0, 0])
    wrong: list[str] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[str, float, float]]:
        """Each measure with what is asked of it."""
        yield "recall of commands", self.right / self.labelled, 0.97
        yield "precision of commands", self.right / self.found, 0.95
        yield "phase", self.phases / self.right, 0.85
        yield "rollback membership", self.back[0] / self.back[1], 0.95
        yield "probes", self.probes[0] / self.probes[1], 0.98
        yield "backends", self.backends[0] / self.backends[1], 1.0


def key(line: int, text: str) -> Key:
    """A command of a note."""
    return line, text.partition("\n")[0][:BEGINNING].rstrip()


def labels(reading: Reading) -> dict[str, object]:
    """What was read, in the form of the labels: a draft for a new note, to be corrected."""
    return {
        "commands": [[*key(each.line, each.text), str(each.phase)] for each in reading.found],
        "probes": sorted({found.line for found, _ in reading.probes}),
        "backends": sorted(reading.backends),
    }


def score(*, held_out: bool = False) -> Score:
    """The notes that were tuned on, or those that were not."""
    total = Score()
    for note in sorted(CORPUS.glob("*.md")):
        told = yaml.safe_load(note.with_suffix(".yaml").read_text())
        if bool(told.get("held-out")) is held_out:
            total.notes += 1
            _count(total, note.stem, read(note.read_bytes().decode(), note.name), told)
    return total


def _count(total: Score, name: str, reading: Reading, told: dict[str, list[list[object]]]) -> None:
    want = {key(int(str(line)), str(text)): str(phase) for line, text, phase in told["commands"]}
    have = {key(each.line, each.text): str(each.phase) for each in reading.found}
    both = want.keys() & have.keys()
    total.labelled += len(want)
    total.found += len(have)
    total.right += len(both)
    total.phases += sum(want[each] == have[each] for each in both)
    for each in both:
        total.back[1] += 1
        total.back[0] += (want[each] == "rollback") == (have[each] == "rollback")
    probes = {int(str(line)) for line in told["probes"]}
    seen = {found.line for found, _ in reading.probes}
    total.probes[0] += len(probes & seen)
    total.probes[1] += len(probes | seen)
    total.backends[0] += set(reading.backends) == set(map(str, told["backends"]))
    total.backends[1] += 1
    total.wrong += [f"{name}:{line}: missed: {text}" for line, text in want.keys() - have.keys()]
    total.wrong += [
        f"{name}:{line}: no command: {text}" for line, text in have.keys() - want.keys()
    ]
    total.wrong += [
        f"{name}:{line}: {have[line, text]}, not {want[line, text]}: {text}"
        for line, text in both
        if have[line, text] != want[line, text]
    ]
    total.wrong += [f"{name}: probes {seen ^ probes}"] if seen != probes else []


def main() -> int:
    """Prints the score. Returns 1 where something falls short."""
    short = False
    for name, total in (("tuned on", score()), ("held out", score(held_out=True))):
        if "--wrong" in sys.argv:
            print(*sorted(total.wrong), sep="\n")
        print(f"{name}: {total.notes} notes, {total.labelled} commands")
        for row, value, asked in total.rows():
            short = short or value < asked
            less = "  SHORT" if value < asked else ""
            print(f"  {row:<24} {value:.3f}  (asked: {asked:.2f}){less}")
    return int(short)


if __name__ == "__main__":
    raise SystemExit(main())

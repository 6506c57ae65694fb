"""What a long past costs: the verbs that ask the journal, over a young one and over one of many
runs, each with a release, in turn.

    python bench/archive.py [--runs 100000] [--rounds 5]     exit 1 when one is over its budget
    python bench/archive.py --grow 10 100 1000 10000 100000 --plot docs/img

The old journal is grown from a real run's rows, then really deployed over. What is told is the
difference of the medians of whole processes, start to end.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from plots import draw
from scale import cost

from support.project import Project

BUDGET = 0.1
"""Seconds that a verb may take more over the old journal."""
INVENTORY = {
    "hosts": {"here": {"connection": "local"}},
    "checks": {"alive": {"command": "true", "expect": ["exit_code == 0"]}},
}
RUNBOOK = {
    "summary": "One step.",
    "steps": [{"name": "Act", "run": "true", "undo": "true", "on": "all"}],
    "settle": [{"name": "Prove it", "verify": "all"}],
}
GROWN = (
    """WITH RECURSIVE age (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM age WHERE n < :runs)
        INSERT INTO run SELECT printf('%s-%06d', id, n), target, verb, runbook, plan, owner,
        started, options, ended, outcome, exit_code, report, sealed FROM run, age
        WHERE run.id = :id""",
    """INSERT INTO record (run, kind, key, at, body) SELECT run.id, kind, key, at, body
        FROM run JOIN record ON record.run = :id WHERE run.id <> :id""",
    """INSERT INTO ledger SELECT ledger.target, run.rowid, ledger."commit", run.id, at, known_good,
        covers FROM run, ledger WHERE ledger.run = :id AND run.id <> :id""",
    "UPDATE number SET last = (SELECT max(number) FROM ledger)",
)


def prepare(place: Path, rollbacks: int, runs: int) -> Project:
    """A project of some real deploys, over an old journal when there are `runs`."""
    project = Project(place)
    project.inventory("prod", INVENTORY)
    project.runbook("deploy", RUNBOOK)
    seconds(project, "deploy", "--target", "prod", "--yes")
    if runs:
        grow(project.state / "journal.db", runs)
    for _ in range(rollbacks):
        seconds(project, "deploy", "--target", "prod", "--yes")
    return project


def grow(journal: Path, runs: int) -> None:
    db = sqlite3.connect(journal)
    (id,) = db.execute("SELECT id FROM run").fetchone()
    for statement in GROWN:
        db.execute(statement, {"id": id, "runs": runs})
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def newest(project: Project) -> str:
    db = sqlite3.connect(project.state / "journal.db")
    (id,) = db.execute("SELECT id FROM run ORDER BY rowid DESC LIMIT 1").fetchone()
    db.close()
    return str(id)


def seconds(project: Project, *words: str) -> tuple[float, float]:
    """One verb as a process of its own: by the clock, and of a processor."""
    took = cost([sys.executable, "-m", "backout", *words], project.directory)
    return took.seconds, took.processor


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--grow", type=int, nargs="+", help="how it grows over so many runs")
    parser.add_argument("--plot", type=Path, help="the folder that gets the figure of that")
    words = parser.parse_args()
    ages = words.grow or [0, words.runs]
    with tempfile.TemporaryDirectory(prefix="archive-", dir="/tmp") as name:
        projects = [prepare(Path(name) / str(age), words.rounds + 2, age) for age in ages]
        size = (projects[-1].state / "journal.db").stat().st_size / 1e6
        print(f"{ages[-1]} runs and releases, {size:.0f} MB; {words.rounds} rounds")
        took = contest(projects, words.rounds)
    over = told(took)
    if words.plot:
        curves = {
            verb: [(age, work) for age, (_, work) in zip(ages, found, strict=True)]
            for verb, found in took.items()
        }
        title = "What a verb takes over more and more runs, each with its release"
        draw(words.plot / "archive.svg", title, ("runs", "s of a processor"), curves, log="x")
    return over


def contest(projects: Sequence[Project], rounds: int) -> dict[str, list[tuple[float, ...]]]:
    """By verb, for each project: the medians by the clock, and of a processor."""
    verbs = ("status", "history", "show", "plan", "rollback")
    took: dict[str, list[list[tuple[float, ...]]]] = {verb: [] for verb in verbs}
    for turn in range(rounds + 1):
        for verb in verbs:
            row: list[tuple[float, ...]] = [seconds(each, *typed(verb, each)) for each in projects]
            if turn:  # the first round only warms up
                took[verb].append(row)
    return {
        verb: [
            tuple(map(statistics.median, zip(*of_one, strict=True)))
            for of_one in zip(*rows, strict=True)
        ]
        for verb, rows in took.items()
    }


def told(took: Mapping[str, Sequence[tuple[float, ...]]]) -> int:
    """1 when a verb takes too much more over the oldest journal than over the youngest."""
    over = 0
    for verb, found in took.items():
        (here, work), (there, more) = found[0], found[-1]
        over += there - here > BUDGET
        print(
            f"  {verb:10} {here:6.3f} s young  {there:6.3f} s old  {there - here:+7.3f} s"
            f"  (of a processor: {work:6.3f} s  {more:6.3f} s  {more - work:+7.3f} s)"
        )
    return int(over > 0)


def typed(verb: str, project: Project) -> tuple[str, ...]:
    if verb == "show":
        return (verb, newest(project))
    return (verb, "--target", "prod", *(["--yes"] if verb == "rollback" else []))


if __name__ == "__main__":
    sys.exit(main())

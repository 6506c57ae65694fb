"""Whole runs of the tests, counted: how many are green, and which test failed how often."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

RUN = Path(__file__).parents[1] / "run"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what it left, how many tests it had, which of them failed, and how long it took."""

    code: int
    tests: int
    failed: tuple[str, ...]
    minutes: float

    @property
    def green(self) -> bool:
        return self.code == 0 and not self.failed

    def __str__(self) -> str:
        outcome = "green" if self.green else f"red ({self.code})"
        return f"{outcome:8} {self.tests:6} {len(self.failed):6} {self.minutes:8.1f}"


def read(report: Path, code: int, minutes: float) -> Run:
    """What JUnit's report says of a run; without one it never got to its tests."""
    if not report.exists():
        return Run(code, 0, (), minutes)
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - pytest wrote it
    red = (case for case in cases if case.find("failure") is not None or _broke(case))
    return Run(code, len(cases), tuple(dict.fromkeys(map(_name, red))), minutes)


def _broke(case: ET.Element) -> bool:
    return case.find("error") is not None


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def table(runs: Sequence[Run]) -> Iterator[str]:
    """A line for each run, and one for each test that ever failed."""
    yield f"{'run':>4} {'outcome':8} {'tests':>6} {'failed':>6} {'minutes':>8}"
    yield from (f"{number:4} {run}" for number, run in enumerate(runs, 1))
    green = sum(run.green for run in runs)
    yield f"{green} of {len(runs)} runs are green"
    often = Counter(name for run in runs for name in run.failed)
    yield from (f"{times:4} of {len(runs)} failed: {name}" for name, times in often.most_common())


def once(report: Path, words: Sequence[str]) -> Run:
    began = time.monotonic()
    done = subprocess.run([str(RUN), f"--junitxml={report}", "-q", *words], check=False)
    return read(report, done.returncode, (time.monotonic() - began) / 60)


def main(times: int, words: Sequence[str]) -> int:
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        try:
            for number in range(times):
                runs.append(once(Path(folder) / f"{number}.xml", words))
                print("\n".join(table(runs)), flush=True)  # noqa: T201
        except KeyboardInterrupt:
            return 130
    return int(not all(run.green for run in runs))


if __name__ == "__main__":
    if len(sys.argv) < 2 or not sys.argv[1].isdigit():
        sys.exit("tests/repeat TIMES [what tests/run takes]")
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))

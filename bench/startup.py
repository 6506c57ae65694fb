"""What `invoke --list` costs here, next to bare `invoke --version`, and a press of Tab, next to
`python -c pass`: median of paired runs.

python bench/startup.py [pairs]      exit 1 when a ratio is over its budget
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from backout.commands.completion import table
from backout.project import completing

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
BARE = [str(PROGRAMS / "invoke"), "--version"]
NOTHING = [sys.executable, "-c", "pass"]
TAB = [sys.executable, "-I", "-S", str(completing.__file__), table()]
CASES = {
    "invoke --list": ([str(PROGRAMS / "invoke"), "--list"], 1.35),
    "invoke --help deploy": ([str(PROGRAMS / "invoke"), "--help", "deploy"], 1.35),
    "invoke deploy --taget": ([str(PROGRAMS / "invoke"), "deploy", "--taget", "x"], 1.6),
    "backout --list": ([str(PROGRAMS / "backout"), "--list"], 1.35),
}
PRESSES = {
    "backout deploy --target <Tab>": ([*TAB, "backout", "deploy", "--target", ""], 2.0),
    "backout show <Tab>": ([*TAB, "backout", "show", ""], 2.0),
}


def seconds(argv: list[str], directory: Path) -> float:
    """One run, start to end."""
    start = time.perf_counter()
    subprocess.run(argv, cwd=directory, capture_output=True, check=False)
    return time.perf_counter() - start


def ratio(argv: list[str], bare: list[str], pairs: int) -> float:
    """The median over pairs, each of one bare run and one run of `argv`, in turn."""
    with tempfile.TemporaryDirectory() as empty:
        seconds(bare, Path(empty)), seconds(argv, ROOT)
        return statistics.median(
            seconds(argv, ROOT) / seconds(bare, Path(empty)) for _ in range(pairs)
        )


def main() -> int:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    over = 0
    for beside, bare, cases in (
        ("bare invoke --version", BARE, CASES),
        ("python -c pass", NOTHING, PRESSES),
    ):
        for name, (argv, budget) in cases.items():
            measured = ratio(argv, bare, pairs)
            over += measured > budget
            print(f"{name:30} {measured:5.2f} x {beside:22} (budget {budget})")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())

"""What `invoke --list` costs here, next to bare `invoke --version`: median of paired runs.

python bench/startup.py [pairs]      exit 1 when a ratio is over its budget
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
BARE = [str(PROGRAMS / "invoke"), "--version"]
CASES = {
    "invoke --list": ([str(PROGRAMS / "invoke"), "--list"], 1.35),
    "invoke --help deploy": ([str(PROGRAMS / "invoke"), "--help", "deploy"], 1.35),
    "invoke deploy --taget": ([str(PROGRAMS / "invoke"), "deploy", "--taget", "x"], 1.6),
    "backout --list": ([str(PROGRAMS / "backout"), "--list"], 1.35),
}


def seconds(argv: list[str], directory: Path) -> float:
    """One run, start to end."""
    start = time.perf_counter()
    subprocess.run(argv, cwd=directory, capture_output=True, check=False)
    return time.perf_counter() - start


def ratio(argv: list[str], pairs: int) -> float:
    """The median over pairs, each of one bare run and one run of `argv`, in turn."""
    with tempfile.TemporaryDirectory() as empty:
        seconds(BARE, Path(empty)), seconds(argv, ROOT)
        return statistics.median(
            seconds(argv, ROOT) / seconds(BARE, Path(empty)) for _ in range(pairs)
        )


def main() -> int:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    over = 0
    for name, (argv, budget) in CASES.items():
        measured = ratio(argv, pairs)
        over += measured > budget
        print(f"{name:24} {measured:5.2f} x bare invoke --version   (budget {budget})")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())

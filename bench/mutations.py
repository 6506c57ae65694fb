"""Mutants of a module that decides, held against its quick tests: each in a fork of one process
that has all imported. `mutmut` makes them; what is printed is whoever survives, and how many did.

In a copy of the repository, with `mutmut` installed and named in its pyproject.toml
(`[tool.mutmut]`, `source_paths = ["src"]`, `only_mutate = ["src/backout/runs/saga.py"]`):

    mutmut run                            # makes them, under mutants/
    cd mutants; export PYTHONPATH=src     # and hold them against the tests
    python bench/mutations.py backout.runs.saga tests/unit/runs/test_saga.py
    … --every 7 --first 114 --seconds 300 # a sample
    … tests/test_worlds.py --only backout.runs.saga.x_entries__mutmut_1    # what other tests say
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence

import pytest

LIMIT = 90
"""Seconds after which a mutant that goes on for ever counts as noticed."""


def main() -> int:
    """1 when one survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("tests", nargs="+", help="the quickest first: one that fails is enough")
    parser.add_argument("--only", nargs="*", default=(), help="those that survived before")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin none after so long")
    words = parser.parse_args()
    pytest.main(["-qq", "--collect-only", "-p", "no:cacheprovider", *words.tests])
    names, end = words.only or mutants(words.module), time.monotonic() + words.seconds
    seen: Counter[str] = Counter()
    for name in ["", *names[words.first :: words.every]]:
        if time.monotonic() > end:
            break
        survives = survived(name, words.tests)
        if not name and not survives:
            raise SystemExit("the tests fail without any mutant")
        if name:
            seen["survived" if survives else "noticed"] += 1
        if name and survives:
            print(name, flush=True)
    print(f"{seen.total()} of {len(names)}: {dict(seen)}")
    return 1 if seen["survived"] else 0


def mutants(module: str) -> list[str]:
    """The names of all of a module, in the order of its text."""
    tables = (v for n, v in vars(importlib.import_module(module)).items() if n[:8] == "mutants_")
    return [f"{module}.{name}" for table in tables for name in table if name != "_mutmut_orig"]


def survived(name: str, tests: Sequence[str]) -> bool:
    """Whether all tests pass with that mutant in the place of what it was made of."""
    process = os.fork()
    if not process:
        _test(name, tests)
    return os.waitpid(process, 0)[1] == 0


def _test(name: str, tests: Sequence[str]) -> None:
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silent, stream)
    os.environ["MUTANT_UNDER_TEST"] = name
    signal.alarm(LIMIT)
    os._exit(int(pytest.main(["-qx", "-p", "no:cacheprovider", *tests])))


if __name__ == "__main__":
    sys.exit(main())

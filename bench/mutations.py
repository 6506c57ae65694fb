"""Mutants of a module that decides, held against its quick tests: each in a fork of one process
that has all imported and collected. `mutmut` makes them; what is printed is whoever survives, and
how many did.

In a copy of the repository, with `mutmut` installed and named in its pyproject.toml
(`[tool.mutmut]`, `source_paths = ["src"]`, `only_mutate = ["src/backout/runs/saga.py"]`):

    mutmut run                            # makes them, under mutants/
    cd mutants; export PYTHONPATH=src     # and hold them against the tests
    python bench/mutations.py backout.runs.saga tests/unit/runs/test_saga.py
    … --every 7 --first 114 --seconds 300 # a sample
    … --only xǁSagaǁkeys__mutmut_1        # those that survived other tests
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

PROCESSOR = 60
"""Seconds of processor time after which a mutant that goes on for ever counts as noticed."""
STILL = 300
"""Seconds after which a test that waits for ever does."""


@dataclass
class Mutants:
    """Holds each against all that was collected, in the place of running it once."""

    names: Sequence[str]
    seconds: float
    seen: Counter[str] = field(default_factory=Counter)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        end = time.monotonic() + self.seconds
        if not survived("", session):
            raise pytest.UsageError("the tests fail without any mutant")
        for name in self.names:
            if time.monotonic() > end:
                break
            survives = survived(name, session)
            self.seen["survived" if survives else "noticed"] += 1
            if survives:
                print(name, flush=True)
        return True


def main() -> int:
    """1 when one survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("tests", nargs="+", help="the quickest first: one that fails is enough")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin none after so long")
    words = parser.parse_args()
    names = mutants(words.module)
    some = [name for name in names if name.rpartition(".")[2] in words.only]
    held = Mutants(some or names[words.first :: words.every], words.seconds)
    options = ["-qs", "-p", "no:cacheprovider", f"--timeout={STILL}", "--timeout-method=thread"]
    pytest.main([*options, *words.tests], plugins=[held])
    print(f"{held.seen.total()} of {len(names)}: {dict(held.seen)}")
    return 1 if held.seen["survived"] else 0


def mutants(module: str) -> list[str]:
    """The names of all of a module, in the order of its text."""
    tables = (v for n, v in vars(importlib.import_module(module)).items() if n[:8] == "mutants_")
    return [f"{module}.{name}" for table in tables for name in table if name != "_mutmut_orig"]


def survived(name: str, session: pytest.Session) -> bool:
    """Whether all tests pass with that mutant in the place of what it was made of. The one that
    fails goes first from then on: it may notice the next one, too."""
    process = os.fork()
    if not process:
        _test(name, session)
    failed = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if failed > 0:
        session.items.insert(0, session.items.pop(failed - 1))
    return failed == 0


def _test(name: str, session: pytest.Session) -> None:
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silent, stream)
    os.environ["MUTANT_UNDER_TEST"] = name
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
    pairs = zip(session.items, [*session.items[1:], None], strict=True)
    for place, (item, following) in enumerate(pairs, start=1):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            os._exit(min(place, 255))
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

"""What became of many trials, as a benchmark prints it."""

from __future__ import annotations

from typing import Protocol


class Tally(Protocol):
    """Counts of what became of them, in words, and what should not have."""

    violations: list[str]


def tell(title: str, tally: Tally) -> int:
    """Print it; how many violations there were."""
    print(f"{title}: {tally}", flush=True)
    for violation in tally.violations:
        print(f"  {violation}", flush=True)
    return len(tally.violations)

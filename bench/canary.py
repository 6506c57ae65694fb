"""A rollout that watches itself, on simulated load: what it finds, and what it takes for something.

    PYTHONPATH=tests:bench .venv/bin/python bench/canary.py [RUNS]

Prints the seed of every rollout in which it was wrong.
"""

from __future__ import annotations

import sys

from support.canary import Load, alarms


def main(runs: int) -> int:
    """0 when every bad canary was found, and at most one in a hundred good ones was called bad."""
    seeds = range(1, runs + 1)
    false = alarms(Load(seed) for seed in seeds)
    slow = set(seeds) - set(alarms(Load(seed, slower=1.3) for seed in seeds))
    failing = set(seeds) - set(alarms(Load(seed, failing=0.02) for seed in seeds))
    print(f"{runs} identical releases, seeds 1 to {runs}: {len(false)} false alarms {false}")
    print(f"{runs} canaries 30 % slower: {len(slow)} missed {sorted(slow)}")
    print(f"{runs} canaries that fail 2 %: {len(failing)} missed {sorted(failing)}")
    return int(len(false) * 100 > runs or bool(slow or failing))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))

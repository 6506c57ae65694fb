"""A lock over leases, and what it warns of."""

from __future__ import annotations

import pytest

from backout.adapters.lease import LeaseLock
from support.clock import ManualClock


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def lock(said: list[str]) -> LeaseLock:
    return LeaseLock("prod", warn=said.append, clock=ManualClock())

"""Machines that several stories are told on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import SshdBed
from support.yard import Yard

NAMES = ("web1", "web2", "web3")


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdBed]:
    """Three SSH hosts for one module."""
    with SshdBed(tmp_path_factory.mktemp("bed"), NAMES) as bed:
        yield bed


@pytest.fixture
def fleet(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Effects that can be counted, on three SSH hosts."""
    with Yard(tmp_path, bed) as yard:
        yield yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """Effects that can be counted, on this machine alone."""
    with Yard(tmp_path) as yard:
        yield yard

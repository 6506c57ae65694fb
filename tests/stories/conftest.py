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
def two(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Effects that can be counted, on two SSH hosts, both at once."""
    with Yard(tmp_path, bed, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        hosts = bed.inventory_hosts()
        yard.inventory(hosts={name: hosts[name] for name in ("web1", "web2")})
        yield yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """Effects that can be counted, on this machine alone."""
    with Yard(tmp_path) as yard:
        yield yard

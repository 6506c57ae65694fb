"""Fixtures over the beds in tests/support. A bed lives as long as the test that asked for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.git_origin import GitOrigin
from support.sshd import SshdBed


@pytest.fixture
def bed_directory() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets and open to other users."""
    with tempfile.TemporaryDirectory(prefix="bed-", dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def sshd_bed(bed_directory: Path) -> Iterator[SshdBed]:
    """Two hosts, web1 and web2, with a private OpenSSH server each."""
    with SshdBed(bed_directory / "sshd") as bed:
        yield bed


@pytest.fixture
def git_origin(tmp_path: Path) -> GitOrigin:
    """A bare origin and a working copy that holds release 1 of the sample service."""
    return GitOrigin(tmp_path / "git")

"""Fixtures over the beds in tests/support. A bed lives as long as the test that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dockerd import DockerEngine
from support.git_origin import GitOrigin
from support.heroku import HerokuStandIn
from support.netns import NetnsBed
from support.postgres import Postgres
from support.scratch import scratch
from support.sshd import SshdBed
from support.systemd_host import SystemdBed

LONGEST_FIRST = (
    "test_userconcert_story",
    "test_update_image",
    "test_restarters_docker",
    "test_rollout",
    "test_update_heroku",
    "test_local_default",
    "test_watch_process",
    "test_userconcert_example",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No worker is left alone at the end with a file that takes minutes."""
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture
def bed_directory() -> Iterator[Path]:
    """A short path for the beds of one test."""
    with scratch() as path:
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


@pytest.fixture
def netns_bed(bed_directory: Path) -> Iterator[NetnsBed]:
    """Two hosts, web1 and web2, each behind a network cable of its own."""
    with NetnsBed(bed_directory / "netns") as bed:
        yield bed


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """A Docker Engine: the running one, or one that lives as long as the test session."""
    with scratch() as path, DockerEngine(path) as engine:
        yield engine


@pytest.fixture
def systemd_bed(docker_engine: DockerEngine, bed_directory: Path) -> Iterator[SystemdBed]:
    """One host, web1, whose first process is systemd."""
    with SystemdBed(docker_engine, bed_directory / "systemd") as bed:
        yield bed


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; every user makes databases of its own in it."""
    with scratch() as path, Postgres(path / "postgres") as server:
        yield server


@pytest.fixture
def heroku() -> Iterator[HerokuStandIn]:
    """A stand-in for Heroku's API; it fails the test that asks it something unknown."""
    with HerokuStandIn() as stand_in:
        yield stand_in

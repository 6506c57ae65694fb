"""Fixtures over the beds in tests/support. A bed lives as long as the test that asked for it."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.changed import changed, reached
from support.dockerd import DockerEngine
from support.git_origin import GitOrigin
from support.heroku import HerokuStandIn
from support.netns import NetnsBed
from support.postgres import Postgres
from support.scratch import scratch
from support.sshd import SshdBed
from support.systemd_host import SystemdBed
from support.tiers import LIMIT, quick
from support.warm import read_everything

CHECKS_FIRST = ("test_style", "test_architecture", "test_docs", "test_site")
"""What `tests/check` says: it stands at the top of what a whole run tells."""
LONGEST_FIRST = (
    *CHECKS_FIRST,
    "test_userconcert_story",
    "test_update_image",
    "test_update_heroku",
    "test_restarters_docker",
    "test_userconcert_example",
    "test_rollout",
    "test_who_is_who",
    "test_setups_supervisor",
    "test_kill_soak",
    "test_setups_git",
    "test_local_default",
    "test_setups_pm2",
    "test_walk",
    "test_crashpoints",
    "test_worlds",
    "test_wheel",
    "test_traffic",
    "test_serve",
    "test_power_loss",
    "test_fault_table",
    "test_watch_process",
    "test_alerts_from_reports",
    "test_resume",
    "test_docker",
    "test_bake",
    "test_command_line",
    "test_restarters_pm2",
    "test_restarters_supervisor",
    "test_operators",
    "test_crews",
    "test_takeover",
    "test_workers",
    "test_team",
    "test_decisions",
    "test_schedule",
    "test_asking_zones",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only tests that start no real part")
    parser.addoption(
        "--changed", action="store_true", help="only what an uncommitted change reaches"
    )


def pytest_configure(config: pytest.Config) -> None:
    """What is made up at random takes as long as it likes; the quick tier makes up less."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the commands would not hear it
    whole = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("whole", whole)
    settings.register_profile("quick", whole, max_examples=30)
    settings.load_profile("quick" if config.getoption("--quick") else "whole")


def pytest_collection() -> None:
    gc.disable()  # nearly all that is read now stays


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.getoption("--quick"):
        read_everything()  # else it is held against the first test that needs it
    gc.enable()
    gc.freeze()  # else it would be looked through again with each full collection


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """No worker is left alone at the end with a file that takes minutes."""
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
    if config.getoption("--quick"):
        _keep(config, items, [item for item in items if quick(item)])
    if config.getoption("--changed"):
        files = reached(changed())
        _keep(config, items, [item for item in items if item.path in files])


def _keep(config: pytest.Config, items: list[pytest.Item], kept: list[pytest.Item]) -> None:
    left_out = set(items) - set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A quick test that is not quick fails in the quick tier."""
    begun = time.process_time()
    result = yield
    took = time.process_time() - begun
    if item.config.getoption("--quick") and took > LIMIT:
        pytest.fail(f"{took:.1f} s of processor time: a quick test takes {LIMIT:.0f} s at most")
    return result


@pytest.fixture
def unhurried() -> None:
    """The test takes its time, and is told in whole runs only."""


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

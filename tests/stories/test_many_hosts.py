"""Many hosts that a worker of another zone reaches; the hosts are pretended, all else is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.postgres import Postgres
from support.zoned import Team

HOSTS = {"count": 12, "first": 40}
"""One of them, h50, fails at the last step."""


@pytest.mark.timeout(400)
def test_one_budget_of_failures_is_held_over_hosts_that_workers_reach(
    tmp_path: Path, postgres: Postgres
) -> None:
    team = Team(tmp_path, postgres, None)
    team.fill(**HOSTS, zone="us", failures=1)
    with team.crew(1):
        within = team.deploy()
        team.fill(**HOSTS, zone="us", failures=0)
        over = team.deploy()
    assert (within.code, within.failed) == (0, 1), "it goes back alone"
    assert (over.code, over.failed) == (4, 1), "all of them go back"
    assert within.workers[0].megabytes < 200

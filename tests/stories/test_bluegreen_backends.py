"""Two slots by PM2, Docker and Compose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.slots import Asking
from support.twin_sites import ByImage, ByPm2, Site

MATRIX = [pytest.param(each, marks=pytest.mark.matrix) for each in ("docker", "v2")]


@pytest.fixture(params=["pm2", *MATRIX])
def site(request: pytest.FixtureRequest, bed_directory: Path) -> Iterator[Site]:
    """By `v2` of Compose."""
    with ExitStack() as stack:
        if request.param == "pm2":
            yield ByPm2(bed_directory, stack)
        else:
            engine = request.getfixturevalue("docker_engine")
            yield ByImage(bed_directory, stack, engine, request.param)


def test_the_new_one_comes_up_beside_the_old_one_and_both_ways_lose_no_request(
    site: Site, bed_directory: Path
) -> None:
    site.ship()
    site.describe()
    said = site.deploy()
    assert said.code == 0, said.out + said.err
    told = bed_directory / "told"
    with Asking(site.front.now, every=0.05, told=told) as asking:
        red = site.ship()
        site.describe(red=red, seen=f"until grep -qx {red} {told}; do sleep 0.05; done")
        said = site.deploy()
        assert said.code == 4, said.out + said.err
    assert (asking.failed, asking.releases) == (0, ["1", "2", "1"])

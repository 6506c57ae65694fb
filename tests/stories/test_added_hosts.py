"""A host joins a target that has a good release: nothing runs there yet, and there it is as on a
first deploy. Its red checks refuse nothing before, and have to be green afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import SshdBed
from support.yard import Yard

RED = "the baseline is not what it must be"


@pytest.fixture
def joined(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Release 1 is on two hosts, and the third one is in the inventory now."""
    with Yard(tmp_path, bed) as yard:
        serves = f"test -e {yard.files}/Serve-$(hostname)"
        yard.inventory(
            hosts={name: yard.plain()["hosts"][name] for name in ("web1", "web2")},
            checks={"serves": {"command": serves, "on": "web", "expect": ["exit_code == 0"]}},
        )
        yard.runbook({**yard.step("Serve"), "undo": "true"})
        yard.good_release()
        yard.inventory(hosts=yard.plain()["hosts"])
        yield yard


def test_the_new_host_need_not_be_well_before_its_first_release(joined: Yard) -> None:
    assert joined.say("plan").data["refused"] == []
    said = joined.good_release()
    assert said.on == dict.fromkeys(("web1", "web2", "web3"), 2)


def test_it_has_to_be_well_after_it(joined: Yard) -> None:
    joined.runbook(joined.step("Idle"))
    said = joined.deploy()
    assert said.code == 4, said.out + said.err
    assert "serves@web3" in said.data["reason"]


def test_the_hosts_that_have_a_release_must_be_well_as_ever(joined: Yard) -> None:
    (joined.files / "Serve-web1").unlink()
    said = joined.deploy()
    assert (said.code, said.data["error"]["what"].splitlines()[0]) == (3, RED)
    assert "serves@web1" in said.data["error"]["what"]
    assert "web3" not in said.data["error"]["what"]
    assert not joined.exists("Serve-web3")


def test_once_it_has_one_it_is_as_the_others(joined: Yard) -> None:
    joined.good_release()
    (joined.files / "Serve-web3").unlink()
    said = joined.deploy()
    assert said.code == 3, said.out + said.err
    assert "serves@web3" in said.data["error"]["what"]


def test_a_host_that_is_only_called_otherwise_is_not_new(joined: Yard) -> None:
    hosts = joined.plain()["hosts"]
    joined.inventory(hosts={"web1": hosts["web1"], "app2": hosts["web2"]})
    (joined.files / "Serve-web2").unlink()
    said = joined.deploy()
    assert said.code == 3, said.out + said.err
    assert "serves@app2" in said.data["error"]["what"]

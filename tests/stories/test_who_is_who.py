"""Which target, which machine, whose release: nothing is done in the name of another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.project import Said, number
from support.sshd import SshdBed
from support.yard import Yard


@pytest.fixture
def stages(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """`staging/api` on web1 and `prod/api` on web2."""
    with Yard(tmp_path, bed) as yard:
        hosts = bed.inventory_hosts()
        for name, host in (("staging/api", "web1"), ("prod/api", "web2")):
            yard.project.inventory(name, {**yard.plain(), "hosts": {host: hosts[host]}})
        yield yard


def say(yard: Yard, verb: str, target: str, *words: str) -> Said:
    return yard.project.say(verb, "--target", target, "--json", *words)


def deployed(yard: Yard, target: str, *names: str) -> None:
    for name in names:
        yard.runbook(yard.step(name, on="all"))
        said = say(yard, "deploy", target)
        assert said.code == 0, said.out + said.err


# --- a target is its path -------------------------------------------------------------------


def test_two_inventories_of_one_file_name_are_two_targets(stages: Yard) -> None:
    deployed(stages, "staging/api", "S1", "S2")
    deployed(stages, "inventories/prod/api.yaml", "P1", "P2")
    staging = str(stages.project.directory / "inventories/staging/api.yaml")
    said = say(stages, "rollback", staging)
    assert said.code == 0, said.out + said.err
    assert (said.data["target"], said.releases["to"]) == ("staging/api", 1)
    assert stages.effects() == {"S1-web1": 1, "P1-web2": 1, "P2-web2": 1}
    listed = {run["target"] for run in say(stages, "history", "staging/api").data["runs"]}
    assert listed == {"staging/api"}
    both = stages.project.say("status", "--json")
    releases = {row["target"]: number(row["release"]) for row in both.data["targets"]}
    assert (both.code, releases) == (0, {"staging/api": 1, "prod/api": 2})


@pytest.mark.parametrize(
    ("within", "path"), [(".", "inventories/staging/api.yaml"), ("inventories/staging", "api.yaml")]
)
def test_a_target_has_one_name_however_it_is_typed(stages: Yard, within: str, path: str) -> None:
    for typed in ("staging/api", "staging/api.yaml", path, f"./{path}", f"./{path[:-5]}"):
        said = stages.project.say("verify", "--target", typed, "--json", within=within)
        assert (said.code, said.data["target"]) == (0, "staging/api"), typed


def test_a_file_outside_of_the_inventories_has_a_name_that_leads_back_to_it(
    stages: Yard, tmp_path: Path
) -> None:
    project = stages.project
    (project.directory / "ops").mkdir()
    for place in (project.directory / "ops/api.yaml", tmp_path / "api.yaml"):
        place.write_text((project.directory / "inventories/prod/api.yaml").read_text())
    for path, name in (("ops/api.yaml", "./ops/api"), ("../api.yaml", str(tmp_path / "api"))):
        deployed(stages, path, "One", "Two")
        said = say(stages, "rollback", name)
        assert said.code == 0, said.out + said.err
        assert (said.data["target"], said.releases["to"]) == (name, 1)
        assert say(stages, "history", path).data["runs"][0]["target"] == name


def test_an_unfinished_run_is_found_when_its_inventory_is_gone(stages: Yard) -> None:
    project = stages.project
    stages.runbook({**stages.step("Bad", on="all", after="false"), "undo": "false"})
    assert say(stages, "deploy", "staging/api").code == 5
    (project.directory / "inventories/staging/api.yaml").unlink()
    for typed in ("staging/api", "inventories/staging/api.yaml"):
        said = say(stages, "resume", typed)
        assert (said.code, said.data["target"]) == (5, "staging/api"), said.out + said.err

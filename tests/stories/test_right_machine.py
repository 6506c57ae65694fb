"""Nothing starts on the wrong machine, with values that do not fit, or on hosts that went well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import SshdBed
from support.yard import Yard


@pytest.fixture
def two(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    hosts = {name: bed.inventory_hosts()[name] for name in ("web1", "web2")}
    with Yard(tmp_path, bed, hosts=hosts) as yard:
        yield yard


def test_a_machine_that_says_no_at_the_last_moment_is_not_changed(two: Yard) -> None:
    answer = two.files.parent / "answer"
    answer.write_text("yes\n")
    host = {**two.changes["hosts"]["web2"], "is": f"grep -q yes {answer} || {{ echo no; exit 1; }}"}
    two.inventory(hosts={**two.changes["hosts"], "web2": host})
    moved = two.step("First", after=f"echo moved > {answer}")
    last = {"name": "Drop", "run": f"touch {two.files}/gone", "irreversible": "gone", "on": "web2"}
    two.runbook(two.step("Before"), {**moved, "on": "web2"}, last)
    said = two.deploy("--yes")
    assert said.code == 4, said.out + said.err
    assert "web2 is not the machine that is meant: " in said.data["reason"]
    assert two.effects() == {}
    assert not two.exists("gone")
    answer.write_text("yes\n")
    two.runbook(two.step("Before"), {**two.step("First"), "on": "web2"})
    assert two.deploy().code == 0

    host["is"] = "sleep 60 & kill -9 $$"
    two.inventory(hosts={**two.changes["hosts"], "web2": host})
    two.runbook(two.step("After"))
    said = two.deploy()
    assert said.code == 4
    assert "web2 is" in said.data["reason"] or "is not known" in said.data["reason"]
    assert "After-web2" not in two.effects()


def test_only_the_hosts_that_failed_are_tried_again(two: Yard) -> None:
    two.inventory(rollout={"batches": ["100%"], "soak": "0s", "max_failures": 1})
    none = two.deploy("--hosts", "failed")
    assert none.code == 2
    broken = two.files.parent / "broken"
    broken.touch()
    fails = f'[ "$HOST" != web2 ] || [ ! -e {broken} ]'
    step = two.step("Switch", before=fails, env={"HOST": "{{ host.name }}"})
    two.runbook(step)
    said = two.deploy()
    assert said.code == 0, said.out + said.err
    assert said.data["hosts"]["web2"]["state"].startswith("withdrawn")
    broken.unlink()
    two.runbook(two.step("Again"))
    again = two.deploy("--hosts", "failed")
    assert again.code == 0, again.out + again.err
    assert list(again.data["hosts"]) == ["web2"]
    assert {"Again-web2"} == {name for name in two.effects() if name.startswith("Again")}
    nobody = two.project.say("deploy", "--target", "prod", "--hosts", "failed")
    assert nobody.code == 2
    assert "left no host of the inventory failed" in nobody.err


@pytest.mark.parametrize(
    ("param", "words"),
    [
        ("count=0", "must be at least 1, not 0"),
        ("count=9", "must be at most 5, not 9"),
        ("colour=gren", "must be one of green, blue, not 'gren'"),
        ("names=a1,B", "must match [a-z]\\d, and 'B' does not"),
        ("names=a1,a2,a3", "has 3 items, and at most 2 may be given"),
    ],
)
def test_a_value_that_does_not_fit_is_a_mistake_before_anything_is_touched(
    tmp_path: Path, param: str, words: str
) -> None:
    with Yard(tmp_path) as yard:
        yard.runbook(
            yard.step("Do"),
            params={
                "count": {"type": "int", "min": 1, "max": 5, "default": 2},
                "colour": {"choices": ["green", "blue"], "default": "blue"},
                "names": {"type": "list", "pattern": "[a-z]\\d", "max_items": 2},
            },
        )
        said = yard.project.say("deploy", "--target", "prod", "--param", param)
        assert said.code == 2
        assert words in said.err
        assert yard.effects() == {}


@pytest.mark.parametrize(
    "limits",
    [{"choices": ["a", "b"]}, {"pattern": ".+"}, {"type": "int", "max": 5}],
)
def test_what_is_left_out_has_to_fit_too(tmp_path: Path, limits: dict[str, object]) -> None:
    drop = {"name": "Drop", "run": "touch {{ params.which | string }}", "irreversible": "gone"}
    with Yard(tmp_path) as yard:
        yard.runbook(drop, params={"which": limits, "names": {"type": "list", "pattern": "x"}})
        said = yard.project.say("deploy", "--target", "prod", "--yes")
        assert said.code == 2
        assert "must be given" in said.err
        assert "names" not in said.err


def test_a_list_is_shown_item_by_item_before_it_is_confirmed(tmp_path: Path) -> None:
    with Yard(tmp_path, protected=True) as yard:
        yard.runbook(yard.step("Do"), params={"names": {"type": "list"}})
        said = yard.project.say("deploy", "--target", "prod", "--param", "names=one,two", "--yes")
        assert said.code == 0, said.err
        assert "names, 1 of 2: one" in said.out + said.err
        assert "names, 2 of 2: two" in said.out + said.err


def test_limits_that_fit_nothing_are_mistakes_of_lint(tmp_path: Path) -> None:
    with Yard(tmp_path) as yard:
        yard.runbook(
            yard.step("Do"),
            params={
                "a": {"min": 1},
                "b": {"type": "int", "max": 3, "default": 4},
                "c": {"pattern": "("},
                "d": {"type": "int", "min": 1, "default": "three"},
            },
        )
        said = yard.project.say("lint")
        assert said.code == 2
        whole = "must be a whole number"
        for words in ("of type: int", "must be at most 3, not 4", "no regular expression", whole):
            assert words in said.err

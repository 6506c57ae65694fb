"""What cannot be undone is done only when its net holds, looked at right before."""

from __future__ import annotations

from typing import Any

import pytest

from support.yard import Yard

NO = "the net of what cannot be undone does not hold: check backup"


def drop(yard: Yard, **keys: Any) -> dict[str, Any]:
    run = f"echo once >> {yard.files}/gone"
    return {"name": "Drop", "run": run, "irreversible": "the rows are gone", **keys}


@pytest.fixture
def backup(yard: Yard) -> Yard:
    """A backup that the file beside tells of: its age in minutes, and whether it was restored."""
    told = yard.files.parent / "backup.txt"
    told.write_text("10 minutes, restored")
    check = {
        "command": f"cat {told}",
        "expect": ["stdout.matches('^[0-5]?[0-9] minutes')", "stdout.contains('restored')"],
    }
    there = yard.plain()["checks"]
    yard.inventory(checks={**there, "backup": {**check, "baseline": "any"}})
    return yard


def tells(yard: Yard, text: str) -> None:
    (yard.files.parent / "backup.txt").write_text(text)


def test_a_net_that_holds_is_looked_at_right_before_and_its_evidence_is_kept(backup: Yard) -> None:
    tells(backup, "90 minutes")
    told = backup.files.parent / "backup.txt"
    fresh = f"echo '0 minutes, restored' > {told}"
    save = {"name": "Back up", "run": fresh, "undo": "true"}
    backup.runbook(save, drop(backup, net=["backup"]))

    planned = backup.project.say("plan", "--target", "prod").out
    assert "right before it must pass: backup" in planned
    said = backup.deploy("--yes")

    assert said.code == 0, said.out + said.err
    assert "right before it must pass: backup" in said.err
    (row,) = [each for each in said.data["steps"] if each["name"] == "Drop"]
    assert [(net["name"], net["verdict"]) for net in row["net"]] == [("backup", "pass")]
    kinds = [kind for kind, _key, _body in backup.records()]
    found = kinds.index("net/steps/1")
    begun = [(kind, key) for kind, key, _ in backup.records()].index(("begin", "steps/1"))
    assert found < begun, "on record before it acts"
    assert "0 minutes, restored" in str(backup.records()[found][2])


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("61 minutes, restored", "backup fail: "),
        ("1 minutes", "backup fail: "),
        ("no backup at all", "backup fail: "),
    ],
)
def test_what_its_net_does_not_hold_is_not_done_and_all_goes_back(
    backup: Yard, told: str, why: str
) -> None:
    spoiled = {"name": "Spoil", "run": f"echo '{told}' > {backup.files.parent}/backup.txt"}
    spoiled["undo"] = f"echo '1 minutes, restored' > {backup.files.parent}/backup.txt"
    backup.runbook(backup.step("First"), spoiled, drop(backup, net=["backup"]))
    said = backup.deploy("--yes")
    assert said.code == 4, said.out + said.err
    assert (
        f"Drop failed: the net of what cannot be undone does not hold: check {why}"
        in (said.data["reason"])
    )
    assert backup.effects() == {}, "nothing is gone, and what was done before it is taken back"
    assert "irreversible" not in said.data["reason"], "it never acted"
    (row,) = [each for each in said.data["steps"] if each["name"] == "Drop"]
    assert [net["verdict"] for net in row["net"]] != ["pass"]


def test_a_net_is_for_what_cannot_be_undone_and_names_checks_that_are_there(backup: Yard) -> None:
    step = {"name": "Drop", "run": "true", "undo": "true", "net": ["backup"]}
    backup.runbook(step)
    said = backup.project.say("lint")
    assert said.code == 2
    assert "a net is for a step that cannot be undone: say irreversible: why, or give undo:" in (
        said.out + said.err
    )
    backup.runbook(drop(backup, net=["bakcup"]))
    said = backup.project.say("plan", "--target", "prod")
    assert said.code == 2
    assert "prod has no check 'bakcup'; did you mean 'backup'?" in " ".join(
        (said.out + said.err).split()
    )

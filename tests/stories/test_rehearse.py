"""A rehearsal walks the way back after every step, and says what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.runs.rehearsal import OLD_CODE
from support.git_origin import GitOrigin
from support.project import Said
from support.sshd import SshdBed
from support.yard import HERE, Yard

NOWHERE = {"name": "Mark", "run": "true", "undo": "false"}
FINAL = {"name": "Drop", "run": "true", "irreversible": "it drops the table"}


def returned(said: Said) -> dict[str, bool | None]:
    return {row["name"]: row["returned"] for row in said.data["steps"]}


def test_every_step_is_failed_after_and_the_target_comes_back(bed: SshdBed, fleet: Yard) -> None:
    fleet.runbook(fleet.step("migrate", on=None), fleet.step("switch"))
    release = fleet.good_release().data["release"]["to"]
    assert fleet.effects()

    said = fleet.say("rehearse")

    assert said.code == 0, said.out + said.err
    whole = "the whole run, settled"
    assert returned(said) == {"migrate": True, "switch": True, whole: True}
    assert {row["release"]["number"] for row in said.data["steps"]} == {release["number"]}
    assert all(row["proof"] == ["there"] for row in said.data["steps"])
    assert fleet.effects() == {}, "their undos ran"
    assert fleet.say("status").data["release"] == release

    runs = fleet.project.say("history", "--json").data["runs"]
    assert [(run["verb"], run["outcome"]) for run in runs[:4]] == [
        ("rehearsed", "succeeded"), *[("rehearse", "backed_out")] * 3,
    ]  # fmt: skip
    steps = fleet.project.say("show", runs[1]["run"], "--json").data["steps"]
    everywhere = {host.name for host in bed}
    assert {s["host"] for s in steps if s["name"] == "switch"} == everywhere


def test_plan_says_how_old_it_is_and_whether_the_runbook_has_changed(yard: Yard) -> None:
    yard.runbook(yard.step("migrate", on=None))
    assert yard.say("plan").data["rehearsed"] is None
    said = yard.say("rehearse")
    assert said.code == 0, said.out + said.err
    told = yard.project.say("show", said.data["rehearsal"])
    assert "after migrate: returned" in told.out
    planned = yard.say("plan").data["rehearsed"]
    assert (planned["run"], planned["target"]) == (said.data["rehearsal"], "prod")
    assert (planned["outcome"], planned["changed"]) == ("succeeded", False)
    shown = " ".join(yard.project.say("plan", "--target", "prod").out.split())
    assert "its way back was rehearsed: on prod," in shown
    yard.runbook(yard.step("migrate", on=None, timeout="5s"))
    assert yard.say("plan").data["rehearsed"]["changed"] is True


def test_a_way_back_that_leads_nowhere_is_found_where_it_is(yard: Yard) -> None:
    yard.runbook(yard.step("one", on=None), NOWHERE, yard.step("two", on=None))
    said = yard.say("rehearse")
    assert said.code == 5
    assert returned(said) == {"one": True, "Mark": False, "two": None}
    assert "invoke resume --target prod" in said.data["next"].replace("backout", "invoke")
    assert yard.deploy().code == 7, "a person is needed first"


def test_a_runbook_that_fails_by_itself_is_told_apart(yard: Yard) -> None:
    broken = {"name": "Break", "run": "false", "undo": "true"}
    yard.runbook(yard.step("one", on=None), broken, yard.step("two", on=None))
    said = yard.say("rehearse")
    assert said.code == 4
    assert returned(said) == {"one": True, "Break": None, "two": None}
    assert said.data["reason"].startswith("Break failed")
    assert yard.effects() == {}


def test_past_a_point_of_no_return_nothing_is_rehearsed_and_nothing_is_claimed(yard: Yard) -> None:
    yard.runbook(yard.step("one", on=None), FINAL, yard.step("two", on=None))
    said = yard.say("rehearse")
    assert said.code == 9
    assert returned(said) == {"one": True, "Drop": None, "two": None}
    assert yard.say("plan").data["rehearsed"]["outcome"] == "failed"
    yard.runbook(FINAL)
    assert yard.say("rehearse").code == 3


def test_it_is_refused_where_nothing_would_prove_it_or_nobody_said_yes(yard: Yard) -> None:
    yard.runbook(yard.step("one", on=None))
    yard.inventory(protected=True)
    assert yard.say("rehearse").code == 3
    assert yard.effects() == {}
    said = yard.say("rehearse", "--yes")
    assert said.code == 0, said.out + said.err
    yard.inventory(protected=False, checks={})
    none = yard.say("rehearse")
    assert none.code == 3
    assert "no check" in none.data["error"]["what"]


def test_what_is_committed_and_pushed_is_reverted_and_taken_up_again(
    tmp_path: Path, git_origin: GitOrigin
) -> None:
    served = {
        "repository": str(git_origin.copy),
        "directory": str(git_origin.clone(tmp_path / "at")),
    }
    with Yard(tmp_path / "yard", hosts=HERE, source=served) as yard:
        yard.runbook(
            {"name": "Commit", "commit": {}},
            {"name": "Push", "push": {}},
            {"name": "Update", "update": {}, "on": "all"},
        )
        before = git_origin.head()
        git_origin.good_change()

        said = yard.say("rehearse")

        assert said.code == 0, said.out + said.err
        assert list(returned(said)) == ["Commit", "Push", "Update", "the whole run, settled"]
        assert git_origin.git("diff", before, git_origin.published()) == ""
        assert (git_origin.copy / "RELEASE").read_text() == "2\n"
        assert git_origin.git("log", "--format=%s", f"{before}..HEAD").count("Revert") == 3
        assert yard.deploy().code == 0
        assert (tmp_path / "at" / "RELEASE").read_text() == "2\n"


@pytest.fixture
def migrating(tmp_path: Path, git_origin: GitOrigin) -> Iterator[tuple[GitOrigin, Yard]]:
    """A runbook that ships, and drops a column on the way; two targets of the same source."""
    sources = [
        {"repository": str(git_origin.copy), "directory": str(git_origin.clone(tmp_path / name))}
        for name in ("staging", "prod")
    ]
    with Yard(tmp_path / "yard", hosts=HERE) as yard:
        schema = yard.files.parent / "schema"
        drop = {"name": "Drop", "run": f"echo new > {schema}", "irreversible": "the column is gone"}
        yard.runbook(
            {"name": "Commit", "commit": {}},
            {"name": "Push", "push": {}},
            {"name": "Update", "update": {}, "on": "all"},
            drop,
        )
        schema.write_text("old\n")
        checks = {"lives": {"command": f"cat {schema}", "expect": ["exit_code == 0"]}}
        for name, source in zip(("staging", "prod"), sources, strict=True):
            yard.project.inventory(name, {**yard.plain(), "source": source, "checks": checks})
        yield git_origin, yard


def both(yard: Yard, verb: str, target: str, *words: str) -> Said:
    return yard.project.say(verb, "--target", target, "--json", *words)


def test_the_old_code_beside_what_cannot_be_undone_lets_a_rollback_leave_that_as_it_is(
    migrating: tuple[GitOrigin, Yard],
) -> None:
    """Of exactly that change, and of no other."""
    origin, yard = migrating
    for target in ("staging", "prod"):
        said = both(yard, "deploy", target, "--yes")
        assert said.code == 0, said.out + said.err
    origin.good_change()
    alone = both(yard, "rehearse", "staging")
    assert (alone.code, alone.data["steps"][-1]["reason"]) == (9, "past a point of no return")

    said = both(yard, "rehearse", "staging", "--old-code", "--yes")
    assert said.code == 0, said.out + said.err
    assert returned(said)[OLD_CODE] is True
    assert said.data["crossed"] == ["Drop"]
    assert both(yard, "deploy", "prod", "--yes").code == 0

    back = both(yard, "rollback", "prod")
    assert back.code == 0, back.out + back.err
    shown = " ".join(back.err.split())
    assert "Drop stays as it is: release 1 (" in shown
    assert "was rehearsed on staging, " in shown
    assert (yard.files.parent / "schema").read_text() == "new\n"
    assert both(yard, "status", "prod").data["release"]["number"] == 1

    (origin.copy / "more").write_text("another change\n")
    origin.git("add", "more")
    assert both(yard, "deploy", "prod", "--yes").code == 0
    back = both(yard, "rollback", "prod")
    assert back.code == 3
    assert "Drop was irreversible: the column is gone" in back.data["error"]["what"]
    assert "invoke rehearse --target STAGING --old-code" in back.data["error"]["next"]


def test_there_is_no_old_code_to_live_with_where_everything_can_be_undone(yard: Yard) -> None:
    yard.runbook(yard.step("one", on=None))
    said = yard.say("rehearse", "--old-code")
    assert said.code == 3
    assert "every step of deploy can be undone" in said.data["error"]["what"]
    yard.runbook(yard.step("one", on=None), {**FINAL, "check": "true"})
    said = yard.say("rehearse", "--old-code", "--yes")
    assert said.code == 9, "its check says that it is done already: nothing was seen"
    assert "nothing that cannot be undone did anything" in said.data["reason"]


NOTE = """\
# Maintenance

```sh
{bin}/maintenance on
```

## Verify

```sh
{bin}/maintenance asked
```

## Rollback

```sh
{bin}/maintenance off
```
"""


def test_a_note_is_imported_and_its_way_back_rehearsed(yard: Yard, tmp_path: Path) -> None:
    program = tmp_path / "maintenance"
    program.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/done\n")
    program.chmod(0o755)
    (yard.project.directory / "note.md").write_text(NOTE.format(bin=tmp_path))

    said = yard.project.say("document.import", "note.md", "--rehearse", "note", "--json")

    assert said.code == 0, said.err + said.out
    assert said.data["rehearsal"]["outcome"] == "succeeded"
    done = (tmp_path / "done").read_text().split()
    assert [word for word in done if word != "asked"] == ["on", "off"]

    (yard.project.directory / "open.md").write_text("# X\n```sh\nnpm run fill\n```\n")
    refused = yard.project.say("document.import", "open.md", "--rehearse", "prod", "--json")
    assert refused.code == 3
    assert refused.data["written"][0] == "runbooks/open.yaml", "what was imported is there"


def test_a_target_takes_only_what_was_rehearsed_as_it_is(yard: Yard) -> None:
    step = yard.step("migrate", on=None)
    yard.runbook(step)
    staging = {**yard.plain(), "checks": yard.plain()["checks"]}
    yard.project.inventory("staging", staging)
    yard.inventory(rehearsed="required", protected=True)

    def refused(word: str) -> None:
        said, planned = yard.deploy("--yes"), yard.say("plan")
        assert (said.code, planned.code) == (3, 3), said.out + planned.out
        for told in (said.data["error"]["what"], *planned.data["refused"]):
            assert word in told
        assert "rehearse --target STAGING" in said.data["error"]["next"]
        assert yard.effects() == {}

    def rehearse() -> None:
        said = yard.project.say("rehearse", "--target", "staging", "--json")
        assert said.code == 0, said.out + said.err

    refused("deploy never was")
    rehearse()
    assert yard.say("plan").code == 0
    yard.runbook(yard.step("migrate", on=None, timeout="5s"))
    refused("the runbook has changed since")
    rehearse()
    yard.inventory(rehearsed={"within": "1ms"})
    refused("are allowed")
    yard.inventory(rehearsed={"within": "30d"})
    said = yard.deploy("--yes")
    assert said.code == 0, said.out + said.err
    assert yard.say("rollback", "--yes").code in (0, 3), "the way back asks for no rehearsal"


def test_how_rehearsed_is_spelt(yard: Yard) -> None:
    yard.runbook(yard.step("migrate", on=None))
    yard.inventory(rehearsed="always")
    said = yard.project.say("lint")
    assert (said.code, "rehearsed" in said.out + said.err) == (2, True)

"""A run whose lock was taken away changes nothing any more, and never calls itself a success."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sshd import SshdBed
from support.wait import eventually
from support.warm import Started
from support.yard import Yard


@pytest.fixture
def one(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Effects that can be counted, on one SSH host."""
    with Yard(tmp_path, bed, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        yard.inventory(hosts={"web1": bed.inventory_hosts()["web1"]})
        yield yard


def wait_here(yard: Yard, name: str = "go") -> dict[str, Any]:
    """A step that only waits, on this machine, where no note of it holds a host."""
    sign = yard.files.parent / f"waiting-{name}"
    return {"name": "Wait", "run": f"touch {sign}; {yard.hold(name)}", "readonly": True}


def waiting(yard: Yard, name: str = "go") -> None:
    eventually((yard.files.parent / f"waiting-{name}").exists, saying="the wait")


def ended(process: Started) -> tuple[int, dict[str, Any]]:
    out, err = process.communicate(timeout=90)
    return process.wait(), json.loads(out) if out else {"err": err}


def record(bed: SshdBed) -> dict[str, Any]:
    file = bed["web1"].home / ".backout" / "prod" / "release.json"
    return dict(json.loads(file.read_text()))


def taken_by_another(yard: Yard, *steps: dict[str, Any]) -> Yard:
    """Another machine takes the lock away, and deploys."""
    other = yard.elsewhere()
    other.runbook(*(steps or (other.step("New"),)))
    assert other.say("unlock", "--force", "--yes").code == 0
    said = other.deploy()
    assert said.code == 0, said.out + said.err
    return other


def test_taken_after_the_last_step_it_is_no_success_and_leaves_the_others_record(
    one: Yard, bed: SshdBed
) -> None:
    one.runbook(one.step("Old"), wait_here(one))
    process = one.start()
    waiting(one)
    taken_by_another(one)
    theirs = record(bed)
    one.let_go()
    code, report = ended(process)
    assert code == 5, report
    assert "has taken the lock of web1" in report["reason"] or "is gone" in report["reason"]
    assert record(bed) == theirs
    assert one.exists("New-web1")
    assert one.say("resume").code == 3
    assert record(bed) == theirs


def test_nothing_is_done_from_here_nor_put_there_once_the_lock_is_taken(
    one: Yard, bed: SshdBed
) -> None:
    place = bed["web1"].home / "app.env"
    for text in ("stopped", "other"):
        (one.files.parent / text).write_text(text)

    def ship(text: str) -> dict[str, Any]:
        words = {"from": str(one.files.parent / text), "to": str(place)}
        return {"name": "Ship", "upload": words, "on": "web"}

    one.runbook(wait_here(one), one.step("Switch", on=None))
    local = one.start()
    waiting(one)
    taken_by_another(one, ship("other"))
    one.let_go()
    code, report = ended(local)
    assert code == 5, report
    assert not one.exists("Switch"), "it would have acted from here"
    given_up = one.say("unlock", "--force", "--yes")
    assert given_up.code == 0
    one.runbook(wait_here(one, "two"), ship("stopped"))
    process = one.start()
    waiting(one, "two")
    other = one.elsewhere() if not one.project.directory.with_name("elsewhere").exists() else None
    assert other is None
    lease = bed["web1"].home / ".backout" / "prod" / "lock"
    (lease / "token").write_text("another\n")
    one.let_go("two")
    code, report = ended(process)
    assert code == 5, report
    assert place.read_text() == "other"
    left = [path.name for path in bed["web1"].home.iterdir() if ".backout." in path.name]
    left += [path.name for path in lease.parent.glob("put-*")]
    assert left == []


def test_a_host_that_comes_back_after_the_lock_was_taken_is_left_alone_until_it_is_leased(
    bed: SshdBed, tmp_path: Path
) -> None:
    with Yard(tmp_path, bed, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        hosts = bed.inventory_hosts()
        yard.inventory(hosts={name: hosts[name] for name in ("web1", "web2")})
        slow = yard.place("Slow")
        undo = f"mkdir -p {slow}-undo.busy; {yard.hold('undone')}; rm -rf {slow}*"
        yard.runbook(
            yard.step("Two", on="web2"),
            {**yard.step("Slow", on="web1", before=yard.hold()), "undo": undo},
        )
        process = yard.start()
        yard.busy("Slow-web1")
        process.kill()
        process.communicate()
        yard.let_go()
        eventually(lambda: yard.exists("Slow-web1"))
        bed["web2"].power_cut()
        abort = yard.start("abort")
        yard.busy("Slow-web1-undo")
        bed["web2"].start()
        yard.let_go("undone")
        code, report = ended(abort)
        assert code == 5, report
        assert "was not there when the lock was taken" in report["reason"]
        assert yard.effects() == {"Two-web2": 1}
        said = yard.say("abort")
        assert said.code == 4, said.out + said.err
        assert yard.effects() == {}


def test_a_step_that_removes_the_lease_is_no_success_and_can_be_backed_out(
    one: Yard, bed: SshdBed
) -> None:
    one.runbook(one.step("First"), one.step("Clear", after="rm -rf $HOME/.backout/prod"))
    said = one.deploy()
    assert said.code == 5, said.out + said.err
    assert "the lease on web1 is gone" in said.data["reason"]
    said = one.say("abort")
    assert said.code == 4, said.out + said.err
    assert one.effects() == {}


def test_git_clean_in_the_checkout_spares_the_lease_and_the_notes(one: Yard, bed: SshdBed) -> None:
    app = bed["web1"].home / "app"
    subprocess.run(["git", "init", "-q", str(app)], check=True)
    one.inventory(source={"directory": "~/app"})
    state = app / ".backout"
    clean = "cd ~/app; touch rubbish; git clean -q -fdx; test ! -e rubbish"
    one.runbook(one.step("First"), one.step("Clean", before=clean), one.step("Last"))
    said = one.deploy()
    assert said.code == 0, said.out + said.err
    assert json.loads((state / "release.json").read_text())["number"] == 1
    assert not subprocess.check_output(["git", "-C", str(app), "status", "--porcelain"])
    assert one.effects() == {f"{name}-web1": 1 for name in ("First", "Clean", "Last")}

"""Back to an earlier release, and what stands in its way."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.git_origin import GitOrigin
from support.project import Said
from support.sshd import SshdBed
from support.yard import Yard

NAMES = ("web1", "web2", "web3")
BOTH = "invoke resume --target prod, or invoke abort --target prod"


def deployed(yard: Yard, *names: str, words: tuple[str, ...] = ()) -> None:
    """One release for each name: a deploy with one step of that name."""
    for name in names:
        yard.runbook(yard.step(name), settle=settle(yard))
        said = yard.deploy(*words)
        assert said.code == 0, said.out + said.err


def settle(yard: Yard) -> list[dict[str, Any]]:
    """Settling that can be counted, outside of the effects."""
    count = f"echo x >> {yard.files.parent}/settled-{{{{ host.name }}}}"
    return [
        {"name": "Settle", "run": count, "on": "web", "readonly": True},
        {"name": "Prove it", "verify": "all"},
    ]


def settled(yard: Yard) -> dict[str, int]:
    """How often each host settled."""
    found = sorted(yard.files.parent.glob("settled-*"))
    return {p.name.removeprefix("settled-"): len(p.read_text().splitlines()) for p in found}


def killed(yard: Yard, *words: str, at: str) -> None:
    """Begin, and be killed while that is at work."""
    process = yard.start(*words)
    yard.busy(at)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def slow_undo(yard: Yard, name: str) -> dict[str, Any]:
    """A step whose undo waits until it is let go, and says when it is at work."""
    place = yard.place(name)
    undo = f"mkdir -p {place}-undo.busy; {yard.hold()}; rm -rf {place} {place}-undo.busy"
    return {**yard.step(name), "undo": undo}


# --- where to ------------------------------------------------------------------------------


def test_a_release_is_named_by_its_number(yard: Yard) -> None:
    deployed(yard, "One", "Two", "Three")
    said = yard.say("rollback", "--to", "1")
    assert said.code == 0, said.out + said.err
    assert said.releases == {"from": 3, "to": 1}
    assert yard.effects() == {"One-here": 1}


def test_a_release_is_named_by_its_commit(yard: Yard, tmp_path: Path) -> None:
    origin = GitOrigin(tmp_path / "git")
    yard.inventory(source={"repository": str(origin.copy)})
    deployed(yard, "One")
    first = origin.git("rev-parse", "HEAD").strip()
    origin.git("commit", "-q", "--allow-empty", "-m", "Second")
    deployed(yard, "Two")
    said = yard.say("rollback", "--to", first[:8])
    assert said.code == 0, said.out + said.err
    assert said.data["release"]["to"] == {"number": 1, "commit": first}
    assert yard.effects() == {"One-here": 1}


@pytest.mark.parametrize(("to", "code"), [("7", 2), ("cafe", 2), ("2", 3)])
def test_a_release_that_is_none_or_is_there_already_changes_nothing(
    yard: Yard, to: str, code: int
) -> None:
    deployed(yard, "One", "Two")
    said = yard.say("rollback", "--to", to)
    assert said.code == code, said.out + said.err
    assert yard.effects() == {"One-here": 1, "Two-here": 1}


def test_before_the_first_release_there_is_nothing_to_go_back_to(yard: Yard) -> None:
    deployed(yard, "One")
    said = yard.say("rollback")
    assert said.code == 3, said.out + said.err
    assert "no known-good release" in said.data["error"]["what"]
    assert yard.effects() == {"One-here": 1}


def test_after_a_rollback_the_next_deploy_has_a_new_number(yard: Yard) -> None:
    deployed(yard, "One", "Two")
    assert yard.say("rollback").code == 0
    yard.runbook(yard.step("Three"))
    assert yard.good_release().releases == {"from": 1, "to": 3}


def test_rolling_back_twice_goes_further_back(yard: Yard) -> None:
    deployed(yard, "One", "Two", "Three")
    assert yard.say("rollback").releases["to"] == 2
    assert yard.say("rollback").releases["to"] == 1
    assert yard.effects() == {"One-here": 1}


# --- who settles ---------------------------------------------------------------------------


def test_every_host_that_went_back_settles_once(fleet: Yard) -> None:
    deployed(fleet, "One", "Two", "Three")
    assert fleet.say("rollback", "--to", "1").code == 0
    assert settled(fleet) == dict.fromkeys(NAMES, 4)


def test_hosts_that_only_an_older_run_touched_settle_too(fleet: Yard) -> None:
    deployed(fleet, "One", "Two")
    deployed(fleet, "Three", words=("--hosts", "web1"))
    assert settled(fleet) == {"web1": 3, "web2": 2, "web3": 2}
    said = fleet.say("rollback", "--to", "1")
    assert said.code == 0, said.out + said.err
    assert fleet.effects() == {f"One-{name}": 1 for name in NAMES}
    assert settled(fleet) == {"web1": 4, "web2": 3, "web3": 3}


def test_a_run_of_another_runbook_in_between_settles_in_its_own_way(fleet: Yard) -> None:
    deployed(fleet, "One", "Two")
    fleet.runbook(fleet.step("Other"), name="other")
    assert fleet.say("run", "--runbook", "other").code == 0
    said = fleet.say("rollback", "--to", "1")
    assert said.code == 0, said.out + said.err
    assert fleet.effects() == {f"One-{name}": 1 for name in NAMES}
    assert settled(fleet) == dict.fromkeys(NAMES, 3)


def test_a_part_of_the_hosts_goes_back_to_what_the_others_have(fleet: Yard) -> None:
    deployed(fleet, "One")
    deployed(fleet, "Two", words=("--hosts", "web1"))
    assert fleet.say("status").code == 0, "what was brought to one host is not missed on others"
    said = fleet.say("rollback")
    assert said.code == 0, said.out + said.err
    assert fleet.effects() == {f"One-{name}": 1 for name in NAMES}
    assert set(said.data["hosts"]) == {"web1"}
    assert fleet.say("status").code == 0


# --- what stands in the way ----------------------------------------------------------------


def test_an_irreversible_run_in_between_refuses_by_name(yard: Yard) -> None:
    deployed(yard, "One")
    step = {k: v for k, v in yard.step("Drop the table").items() if k != "undo"}
    yard.runbook({**step, "irreversible": "the rows are gone", "run": "true"})
    said = yard.deploy("--yes")
    assert said.code == 0, said.out + said.err
    run = said.data["run"]
    deployed(yard, "Three")
    said = yard.say("rollback", "--to", "1")
    assert said.code == 3, said.out + said.err
    what = said.data["error"]["what"]
    assert run in what
    assert "Drop the table" in what
    assert "the rows are gone" in what
    assert yard.effects() == {"One-here": 1, "Three-here": 1}
    assert yard.say("rollback", "--to", "2").code == 0


def test_a_host_that_is_away_refuses_and_no_host_goes_back_alone(fleet: Yard, bed: SshdBed) -> None:
    deployed(fleet, "One", "Two")
    bed["web2"].stop()
    try:
        said = fleet.say("rollback")
    finally:
        bed["web2"].restore()
    assert said.code == 3, said.out + said.err
    assert fleet.effects() == {f"{step}-{name}": 1 for step in ("One", "Two") for name in NAMES}
    assert fleet.say("rollback").code == 0


def test_an_undo_that_fails_is_five_and_resume_goes_on_from_there(yard: Yard) -> None:
    deployed(yard, "One")
    mend = yard.files.parent / "mended"
    step = yard.step("Two")
    yard.runbook({**step, "undo": f"test -e {mend} && {step['undo']}"})
    yard.good_release()
    said = yard.say("rollback")
    assert said.code == 5, said.out + said.err
    assert "Two" in said.data["hosts"]["here"]["state"]
    assert said.on["here"] is None
    assert "resume --target prod" in said.data["next"]
    mend.touch()
    said = yard.say("resume")
    assert said.code == 0, said.out + said.err
    assert yard.effects() == {"One-here": 1}


def test_an_undo_whose_secret_is_not_there_any_more_is_refused_before_anything_is_undone(
    fleet: Yard,
) -> None:
    fleet.inventory(secrets={"token": {"env": "TOKEN_OF_TODAY"}})
    fleet.project.env["TOKEN_OF_TODAY"] = "t0k3n-0f-t0d4y"
    deployed(fleet, "One")
    tell = {"name": "Tell", "run": "true", "undo": 'test -n "$T"', "on": "web"}
    fleet.runbook(fleet.step("Two"), {**tell, "env": {"T": "{{ secrets.token }}"}})
    fleet.good_release()
    before = fleet.effects()
    del fleet.project.env["TOKEN_OF_TODAY"]
    said = fleet.say("rollback")
    assert said.code == 3, said.out + said.err
    assert "web1: Tell cannot be undone: secret token" in said.data["error"]["what"]
    assert fleet.effects() == before
    fleet.project.env["TOKEN_OF_TODAY"] = "t0k3n-0f-t0d4y"
    assert fleet.say("rollback").code == 0


# --- interrupted ---------------------------------------------------------------------------


def test_an_interrupted_rollback_is_resumed(yard: Yard) -> None:
    deployed(yard, "One")
    yard.runbook(yard.step("Before"), slow_undo(yard, "Two"))
    yard.good_release()
    killed(yard, "rollback", at="Two-here-undo")
    assert yard.deploy().code == 7
    assert yard.say("rollback").code == 7
    yard.let_go()
    said = yard.say("resume")
    assert said.code == 0, said.out + said.err
    assert yard.effects() == {"One-here": 1}
    assert said.releases == {"from": 2, "to": 1}
    assert yard.say("status").code == 0


def test_ctrl_c_does_not_stop_a_rollback_half_way(yard: Yard) -> None:
    deployed(yard, "One")
    yard.runbook(yard.step("Before"), slow_undo(yard, "Two"))
    yard.good_release()
    process = yard.start("rollback")
    yard.busy("Two-here-undo")
    process.send_signal(signal.SIGINT)
    yard.let_go()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert yard.effects() == {"One-here": 1}


def test_an_unfinished_rollback_names_both_ways_that_it_has(yard: Yard) -> None:
    deployed(yard, "One")
    yard.runbook(yard.step("Before"), slow_undo(yard, "Two"))
    yard.good_release()
    process = yard.start("rollback")
    yard.busy("Two-here-undo")
    process.kill()
    process.communicate(timeout=60)
    yard.let_go()
    run = yard.project.say("history", "--json").data["runs"][0]["run"]
    for said in (yard.say("status"), yard.project.say("show", run, "--json")):
        assert said.data["next"] == BOTH
    assert yard.deploy().data["error"]["next"] == BOTH
    assert yard.say("resume").code == 0


# --- afterwards ----------------------------------------------------------------------------


def test_a_host_that_somebody_changed_by_hand_is_six(fleet: Yard, bed: SshdBed) -> None:
    deployed(fleet, "One")
    assert fleet.say("status").code == 0
    record = bed["web2"].home / ".backout" / "prod" / "release.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "number": 9}))
    said = fleet.say("status")
    assert said.code == 6, said.out + said.err
    assert any("web2" in words and "9" in words for words in said.data["differs"])


def test_another_commit_on_disk_is_six(yard: Yard, tmp_path: Path) -> None:
    origin = GitOrigin(tmp_path / "git")
    app = tmp_path / "app"
    subprocess.run(["git", "clone", "-q", origin.origin, app], check=True)
    yard.inventory(source={"repository": str(origin.copy), "directory": str(app)})
    yard.runbook({"name": "Update the code", "update": {}, "on": "web"})
    yard.good_release()
    assert yard.say("status").code == 0
    by_hand = ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty"]
    subprocess.run(["git", "-C", app, *by_hand, "-m", "by hand"], check=True)
    said: Said = yard.say("status")
    assert said.code == 6, said.out + said.err
    assert any("on disk" in words for words in said.data["differs"])

"""A host that was away when its run let go of it keeps the lease of a run that is over. Whoever has
the end of that run on record takes it; who has not asks a person, as ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from support.journals import empty_ledger
from support.postgres import Postgres
from support.project import Said
from support.sshd import SshdBed
from support.yard import Yard

TAKEN = "which is over, was left there, and was taken"


@pytest.fixture
def two(two: Yard) -> Yard:
    """Two SSH hosts with two releases that are known to be good."""
    for name in ("First", "Second"):
        two.runbook(two.step(name))
        two.good_release()
    return two


def away_at_the_end(yard: Yard, bed: SshdBed, **fails: Any) -> str:
    """A run on web1, which ends while web2, that it holds as well, is without power; which is back
    afterwards. Gives the run."""
    yard.runbook(yard.step("Slow", before=yard.hold(), **fails))
    process = yard.start("deploy", "--hosts", "web1")
    yard.busy("Slow-web1")
    bed["web2"].power_cut()
    yard.let_go()
    out, err = process.communicate()
    assert process.returncode == (4 if fails else 0), out + err
    assert "the lease on web2 stays" in out + err
    bed["web2"].start()
    return leased(bed)


def leased(bed: SshdBed, host: str = "web2") -> str:
    """The run that has the lease there."""
    lease = bed[host].home / ".backout" / "prod" / "lock" / "run"
    return lease.read_text().strip() if lease.exists() else ""


def took(said: Said, run: str) -> bool:
    return f"web2: the lease of run {run}, {TAKEN}" in said.out + said.err


NEXT: dict[str, tuple[Sequence[str], int]] = {
    "deploy": ((), 0),
    "rollback": ((), 0),
    "exec": (("--changes", "to see", "--command", "true", "--yes"), 0),
}


@pytest.mark.parametrize("verb", NEXT)
def test_the_next_run_takes_it(two: Yard, bed: SshdBed, verb: str) -> None:
    run = away_at_the_end(two, bed)
    assert run
    two.runbook(two.step("Third"))
    words, code = NEXT[verb]
    said = two.say(verb, *words)
    assert (said.code, took(said, run)) == (code, True), said.out + said.err
    assert leased(bed) == ""


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_who_goes_on_takes_it_where_its_host_is_back(two: Yard, bed: SshdBed, verb: str) -> None:
    run = away_at_the_end(two, bed)
    mended = two.files.parent / "mended"
    two.runbook(two.step("Ill", after=f"test -e {mended}", undo=f"test -e {mended}"))
    bed["web2"].stop()
    try:
        assert two.deploy("--hosts", "web1").code == 5
    finally:
        bed["web2"].start()
    mended.touch()
    said = two.say(verb)
    assert (said.code, took(said, run)) == (4, True), said.out + said.err
    assert leased(bed) == ""


def test_one_that_was_backed_out_is_over_as_well(two: Yard, bed: SshdBed) -> None:
    run = away_at_the_end(two, bed, after="false")
    two.runbook(two.step("Third"))
    assert took(two.good_release(), run)


def test_it_is_told_and_nobody_has_to_unlock(two: Yard, bed: SshdBed) -> None:
    run = away_at_the_end(two, bed, after="false")
    status = two.say("status")
    assert (status.code, status.data["hosts"]["web2"]["left"]) == (0, run)
    assert "left" not in status.data["hosts"]["web1"]
    told = two.project.say("status", "--target", "prod").out
    assert f"left: web2 has the lease of run {run}, which is over: the next run takes it" in told


def test_unlock_takes_it_without_force(two: Yard, bed: SshdBed) -> None:
    away_at_the_end(two, bed)
    said = two.say("unlock", "--yes")
    assert (said.code, said.data["freed"]) == (0, True), said.out + said.err
    assert [(row["host"], row["over"], row["alive"]) for row in said.data["held"]] == [
        ("web2", True, False)
    ]
    assert leased(bed) == ""


def test_what_is_uninstalled_is_not_held_by_it(two: Yard, bed: SshdBed) -> None:
    run = away_at_the_end(two, bed)
    other = two.elsewhere()
    assert run in other.say("uninstall", "--yes").data["error"]["what"]
    said = two.say("uninstall", "--yes")
    assert (said.code, leased(bed)) == (0, ""), said.out + said.err


def test_a_colleague_with_the_same_ledger_takes_it(
    two: Yard, bed: SshdBed, postgres: Postgres
) -> None:
    (two.project.directory / "backout.yaml").write_text("ledger: {secret: TEAM_LEDGER}\n")
    two.project.env["TEAM_LEDGER"] = empty_ledger(postgres)
    run = away_at_the_end(two, bed)
    other = two.elsewhere()
    other.project.env.update(two.project.env)
    assert other.say("status").data["hosts"]["web2"]["left"] == run
    other.runbook(other.step("Theirs"))
    assert took(other.good_release(), run)


def test_a_colleague_who_does_not_know_the_run_is_held(two: Yard, bed: SshdBed) -> None:
    run = away_at_the_end(two, bed)
    other = two.elsewhere()
    other.runbook(other.step("Theirs"))
    said = other.deploy()
    assert (said.code, run in said.data["error"]["what"]) == (7, True), said.out + said.err
    assert "left" not in other.say("status").data["hosts"]["web2"]
    assert leased(bed) == run


def test_a_run_that_is_not_over_keeps_its_lease(two: Yard) -> None:
    two.runbook(two.step("Ill", after="false", undo="false"))
    ill = two.deploy()
    assert ill.code == 5
    assert two.deploy().code == 7
    assert "left" not in two.say("status").data["hosts"]["web2"]
    assert two.say("unlock").code == 7

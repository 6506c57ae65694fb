"""A deployer that dies, a link that is cut: what was begun is finished or backed out, once."""

from __future__ import annotations

import shutil
import signal

import pytest

from support.proxy import Proxy
from support.sshd import SshdBed
from support.wait import eventually, throughout
from support.warm import Started
from support.yard import Yard

NAMES = ("web1", "web2", "web3")


def killed(yard: Yard, *at: str) -> None:
    """A deploy whose process is killed while these steps are at work."""
    process = yard.start()
    for place in at or ("Slow-web1",):
        yard.busy(place)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def ended(process: Started) -> tuple[int, str]:
    out, err = process.communicate(timeout=90)
    return process.wait(), out + err


def all_of(*names: str) -> dict[str, int]:
    return {f"{name}-{host}": 1 for name in names for host in NAMES}


# --- the deployer is killed ----------------------------------------------------------------


def test_resume_waits_for_the_command_that_still_runs_and_never_runs_it_beside_itself(
    fleet: Yard,
) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()), fleet.step("Last"))
    killed(fleet)
    process = fleet.start("resume")
    assert throughout(lambda: process.poll() is None and not fleet.exists("beside"), seconds=1.5)
    assert fleet.effects() == {}
    fleet.let_go()
    code, said = ended(process)
    assert code == 0, said
    assert fleet.effects() == all_of("Slow", "Last")


def test_resume_ends_a_command_that_outlasts_its_timeout_and_backs_out(fleet: Yard) -> None:
    fleet.runbook(fleet.step("First"), fleet.step("Slow", before=fleet.hold(), timeout="5s"))
    killed(fleet)
    said = fleet.say("resume")
    assert said.code == 4, said.out + said.err
    assert "Slow" in said.data["reason"]
    assert fleet.effects() == {}
    fleet.let_go()
    assert throughout(lambda: fleet.effects() == {}, seconds=0.5), "the command went on"


def test_abort_waits_for_the_command_that_still_runs_before_it_undoes_it(fleet: Yard) -> None:
    fleet.runbook(fleet.step("First"), fleet.step("Slow", before=fleet.hold()))
    killed(fleet)
    process = fleet.start("abort")
    assert throughout(lambda: process.poll() is None, seconds=1.5)
    fleet.let_go()
    code, said = ended(process)
    assert code == 4, said
    assert fleet.effects() == {}
    assert not fleet.exists("Slow-web1.busy")


def test_a_command_that_ended_while_nobody_looked_is_found_done(fleet: Yard) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()))
    killed(fleet)
    fleet.let_go()
    eventually(lambda: fleet.exists("Slow-web1"))
    assert fleet.say("resume").code == 0
    assert fleet.effects() == all_of("Slow")


def test_a_command_that_failed_while_nobody_looked_is_found_failed(fleet: Yard) -> None:
    fleet.runbook(fleet.step("First"), fleet.step("Slow", before=f"{fleet.hold()}; exit 3"))
    killed(fleet)
    fleet.let_go()
    said = fleet.say("resume")
    assert said.code == 4, said.out + said.err
    assert "exited 3" in said.data["reason"]
    assert fleet.effects() == {}


def test_a_runbook_and_an_inventory_edited_after_the_crash_change_nothing(fleet: Yard) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()), fleet.step("Last"))
    killed(fleet)
    fleet.runbook(fleet.step("Other"))
    fleet.inventory(hosts={}, checks={})
    fleet.let_go()
    said = fleet.say("resume")
    assert said.code == 0, said.out + said.err
    assert fleet.effects() == all_of("Slow", "Last")


def test_files_that_are_broken_or_gone_after_the_crash_change_nothing(fleet: Yard) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()))
    killed(fleet)
    (fleet.project.directory / "runbooks" / "deploy.yaml").unlink()
    (fleet.project.directory / "inventories" / "prod.yaml").write_text("hosts: [")
    fleet.let_go()
    said = fleet.say("abort")
    assert said.code == 4, said.out + said.err
    assert fleet.effects() == {}


def test_killed_while_backing_out_it_goes_on_backing_out(yard: Yard) -> None:
    place = yard.place("Slow")
    undo = f"mkdir -p {place}-undo.busy; {yard.hold()}; rm -rf {place} {place}.busy {place}-undo*"
    yard.runbook(
        yard.step("First"), {**yard.step("Slow"), "undo": undo}, yard.step("Bad", before="false")
    )
    killed(yard, "Slow-here-undo")
    yard.let_go()
    said = yard.say("resume")
    assert said.code == 4, said.out + said.err
    assert yard.effects() == {}


# --- the link is cut -----------------------------------------------------------------------


def test_a_link_cut_in_mid_command_that_finished_all_the_same_is_found_done(
    yard: Yard, bed: SshdBed
) -> None:
    with Proxy((bed["web1"].address, bed.port)) as proxy:
        through(yard, bed, proxy)
        yard.runbook(yard.step("Slow", before=yard.hold()), yard.step("Last"))
        process = yard.start()
        yard.busy("Slow-web1")
        proxy.cut()
        yard.let_go()
        code, said = ended(process)
    assert code == 0, said
    assert yard.effects() == {"Slow-web1": 1, "Last-web1": 1}


def test_a_link_that_stays_cut_is_unknown_and_resume_finds_out_later(
    yard: Yard, bed: SshdBed
) -> None:
    with Proxy((bed["web1"].address, bed.port)) as proxy:
        through(yard, bed, proxy)
        yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold()))
        process = yard.start()
        yard.busy("Slow-web1")
        proxy.refuse()
        proxy.cut()
        code, said = ended(process)
        assert code == 5, said
        assert "NOT backed out" in said
        proxy.accept()
        yard.let_go()
        done = yard.say("resume")
    assert done.code == 4, done.out + done.err
    assert yard.effects() == {}


def through(yard: Yard, bed: SshdBed, proxy: Proxy) -> None:
    """The yard's one host is web1, behind the proxy."""
    key = bed.known_hosts.read_text().splitlines()[0].split(" ", 1)[1]
    known = yard.files.parent / "known_hosts"
    known.write_text(f"[127.0.0.1]:{proxy.port} {key}\n")
    shutil.rmtree(bed["web1"].home / ".backout", ignore_errors=True)
    yard.inventory(
        hosts={"web1": {"address": "127.0.0.1", "port": proxy.port, "groups": ["web"]}},
        ssh={**bed.inventory_ssh(), "known_hosts": str(known), "connect_timeout": "30s"},
    )


# --- signals -------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_a_second_signal_leaves_at_once_and_the_run_can_be_continued(yard: Yard, verb: str) -> None:
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold()))
    process = yard.start()
    yard.busy("Slow-here")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    eventually(lambda: "Once more leaves at once" in process.stderr.readline())  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 8, said
    assert f"{verb} --target prod" in said
    yard.let_go()
    done = yard.say(verb)
    assert done.code == {"resume": 0, "abort": 4}[verb], done.out + done.err
    assert yard.effects() == ({"First-here": 1, "Slow-here": 1} if verb == "resume" else {})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_backs_out_like_ctrl_c(yard: Yard, number: signal.Signals) -> None:
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold()), yard.step("Last"))
    process = yard.start()
    yard.busy("Slow-here")
    process.send_signal(number)
    yard.let_go()
    code, said = ended(process)
    assert code == 4, said
    assert number.name in said
    assert yard.effects() == {}


# --- a host is gone meanwhile --------------------------------------------------------------


def test_with_a_host_away_resume_refuses_without_harm_and_abort_backs_out_the_rest(
    fleet: Yard, bed: SshdBed
) -> None:
    fleet.inventory(rollout={"batches": ["100%"]})
    fleet.runbook(fleet.step("First"), fleet.step("Slow", before=fleet.hold()))
    killed(fleet, *(f"Slow-{name}" for name in NAMES))
    fleet.let_go()
    eventually(lambda: fleet.effects() == all_of("First", "Slow"))
    bed["web2"].power_cut()
    said = fleet.say("resume")
    assert said.code == 3, said.out + said.err
    assert "web2" in said.data["error"]["what"]
    assert fleet.effects() == all_of("First", "Slow")
    said = fleet.say("abort")
    assert said.code == 5, said.out + said.err
    states = {name: row["state"] for name, row in said.data["hosts"].items()}
    assert states["web1"] == states["web3"] == "backed out"
    assert states["web2"].startswith("NOT backed out")
    assert fleet.effects() == {"First-web2": 1, "Slow-web2": 1}
    bed["web2"].start()
    said = fleet.say("abort")
    assert said.code == 4, said.out + said.err
    assert fleet.effects() == {}


# --- an unfinished run ---------------------------------------------------------------------


def test_nothing_else_starts_while_a_run_is_unfinished(yard: Yard) -> None:
    yard.runbook(yard.step("Slow", before=yard.hold()))
    killed(yard, "Slow-here")
    yard.let_go()
    for verb in ("deploy", "rollback"):
        said = yard.say(verb)
        assert said.code == 7, said.out + said.err
        assert "unfinished" in said.data["error"]["what"]
        assert "resume --target prod" in said.data["error"]["next"]
        assert "abort --target prod" in said.data["error"]["next"]
    assert yard.say("resume").code == 0
    assert yard.say("resume").code == 3, "there is nothing left to resume"
    assert yard.deploy().code == 0


def test_a_living_run_cannot_be_resumed_beside_itself(yard: Yard) -> None:
    yard.runbook(yard.step("Slow", before=yard.hold()))
    process = yard.start()
    yard.busy("Slow-here")
    for verb in ("resume", "abort", "deploy"):
        said = yard.say(verb)
        assert said.code == 7, said.out + said.err
    seen = yard.say("status").data
    assert seen["unfinished"].endswith("(deploy), at work on this machine now")
    assert seen["next"] == "", "there is nothing to finish or to back out"
    yard.let_go()
    code, told = ended(process)
    assert code == 0, told
    assert yard.effects() == {"Slow-here": 1}


# --- the lock ------------------------------------------------------------------------------


def test_the_lock_of_an_unfinished_run_is_not_taken_but_resumed(yard: Yard) -> None:
    yard.runbook(yard.step("Slow", before=yard.hold()))
    process = yard.start()
    yard.busy("Slow-here")
    alive = yard.say("unlock", "--yes", "--force")
    assert alive.code == 7, alive.out + alive.err
    assert "at work" in alive.data["reason"]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    dead = yard.say("unlock", "--yes")
    assert dead.code == 7, dead.out + dead.err
    assert "unfinished" in dead.data["reason"]
    assert "resume --target prod" in dead.data["next"]
    yard.let_go()
    assert yard.say("resume").code == 0


def test_the_lease_of_another_machine_is_shown_and_taken_by_force_or_when_it_expired(
    fleet: Yard, bed: SshdBed
) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()))
    killed(fleet)
    fleet.let_go()
    eventually(lambda: fleet.exists("Slow-web1"))
    other = fleet.elsewhere()
    said = other.deploy()
    assert said.code == 7, said.out + said.err
    said = other.say("unlock", "--yes")
    assert said.code == 7, said.out + said.err
    assert {row["host"] for row in said.data["held"]} == set(NAMES)
    assert "has not expired" in said.data["reason"]
    expire(bed)
    assert other.say("unlock").code == 3, "without a terminal and without --yes nothing is freed"
    said = other.say("unlock", "--yes")
    assert said.code == 0, said.out + said.err
    assert said.data["freed"]
    assert other.say("unlock").data["held"] == []


def test_a_run_whose_lease_was_taken_cannot_go_on_over_the_new_one(
    fleet: Yard, bed: SshdBed
) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()), fleet.step("Last"))
    killed(fleet)
    fleet.let_go()
    other = fleet.elsewhere()
    assert other.say("unlock", "--yes", "--force").code == 0
    other.runbook(other.step("New", before=other.hold("new")))
    process = other.start()
    other.busy("New-web1")
    said = fleet.say("resume")
    assert said.code == 7, said.out + said.err
    assert "web1" in said.data["error"]["what"]
    other.let_go("new")
    code, told = ended(process)
    assert code == 0, told
    for verb in ("resume", "abort"):  # it would build on, or take back, from beneath the new one
        said = fleet.say(verb)
        assert said.code == 3, said.out + said.err
        assert "was on web1 since" in said.data["error"]["what"]
        assert said.data["error"]["next"].endswith("invoke unlock --target prod --force")
    given_up = fleet.say("unlock", "--force", "--yes")
    assert (given_up.code, bool(given_up.data["given_up"])) == (0, True)
    assert fleet.exists("New-web1")


def test_while_a_host_is_down_unlock_names_it_and_frees_the_others_by_force(
    fleet: Yard, bed: SshdBed
) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()))
    killed(fleet)
    fleet.let_go()
    eventually(lambda: fleet.exists("Slow-web1"))
    other = fleet.elsewhere()
    bed["web2"].stop()
    try:
        said = other.say("unlock", "--yes")
        assert (said.code, said.data["freed"]) == (7, False), said.out + said.err
        assert list(said.data["unreachable"]) == ["web2"]
        assert {row["host"] for row in said.data["held"]} == {"web1", "web3"}
        mine = fleet.say("unlock", "--yes", "--force")
        assert (mine.code, mine.data["freed"]) == (7, True), mine.out + mine.err
        assert mine.data["given_up"]
        assert mine.data["next"] == "when web2 can be reached: invoke unlock --target prod"
        said = other.say("unlock", "--yes", "--force")
        assert (said.code, said.data["held"]) == (7, [])
        shown = other.project.say("unlock", "--target", "prod").out
        assert "prod is not locked where it can be reached" in shown
        assert "web2 was not asked" in shown
    finally:
        bed["web2"].start()
    said = other.say("unlock", "--yes", "--force")
    assert said.code == 0, said.out + said.err
    assert [row["host"] for row in said.data["held"]] == ["web2"]
    assert other.deploy().code == 0


def expire(bed: SshdBed) -> None:
    for host in bed:
        (host.home / ".backout" / "prod" / "lock" / "expires").write_text("1\n")

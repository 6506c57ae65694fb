"""The deploying machine is lost in mid-run: another one ends the run from what its hosts have."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.local_lock import owner
from backout.adapters.storage import chain
from support.git_origin import GitOrigin
from support.sshd import SshdBed
from support.takeover import Laptops, Tally, expire
from support.warm import Started
from support.yard import Yard


@pytest.fixture
def two(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Effects that can be counted, on two SSH hosts, over a release that is known to be good."""
    names = ("web1", "web2")
    with Yard(tmp_path, bed, rollout={"batches": [1, "100%"], "soak": "0s"}) as yard:
        hosts = bed.inventory_hosts()
        yard.inventory(hosts={name: hosts[name] for name in names})
        yield yard


def notes(bed: SshdBed, host: str = "web1") -> Path:
    return bed[host].home / ".backout" / "prod" / "notes"


def burn(yard: Yard, process: Started) -> None:
    """The machine is gone, with all that it knew; what ran on a host ends; a minute goes by."""
    process.kill()
    process.communicate()
    shutil.rmtree(yard.project.state)
    ended(yard)


def ended(yard: Yard) -> None:
    """What was at work on a host has come to its end, and the leases have expired since."""
    yard.let_go()
    expire(yard)


def half_done(yard: Yard) -> Started:
    """A deploy that is at its second step on the first host."""
    slow = yard.step("Slow", before=f"echo waiting\n{yard.hold()}")
    yard.runbook(yard.step("Here", on=None), yard.step("First"), slow)
    process = yard.start()
    yard.busy("Slow-web1")
    return process


@pytest.mark.parametrize(
    ("verb", "code", "effects"),
    [
        ("resume", 0, ["First-web1", "First-web2", "Here", "Slow-web1", "Slow-web2"]),
        ("abort", 4, []),
    ],
)
def test_another_machine_ends_the_run_of_one_that_burnt(
    two: Yard, verb: str, code: int, effects: list[str]
) -> None:
    burn(two, half_done(two))
    other = two.elsewhere()
    asked = other.say("status")
    assert (asked.code, " has begun there by " in asked.out) == (6, True)
    assert asked.data["next"].startswith("invoke resume --target prod, or invoke abort")
    said = other.say(verb, "--yes")
    assert said.code == code, said.out + said.err
    assert two.effects() == dict.fromkeys(effects, 1)
    shown = other.project.say("show", said.data["run"]).out  # what web1 printed its note had
    assert shown.count("    | waiting") == sum(name.startswith("Slow") for name in effects)
    assert other.say("resume").code == 3  # nothing is left to be ended


def test_whatever_its_journal_had_come_to_the_other_machine_does_all_or_nothing(
    bed: SshdBed, tmp_path: Path
) -> None:
    """A sample; `bench/takeover.py` goes through every moment."""
    tally = Tally()
    laptops = Laptops(tmp_path, bed, hosts=1)
    for number in (9, 12, 19):
        list(laptops.moments(tally, range(number, number + 1)))
    assert (tally.trials, tally.violations) == (6, [])


def test_the_machine_that_slept_is_refused_and_its_journal_says_whose_the_run_is(
    two: Yard,
) -> None:
    process = half_done(two)
    os.kill(process.pid, signal.SIGSTOP)
    ended(two)
    other = two.elsewhere()
    said = other.say("resume", "--yes")
    assert said.code == 0, said.out + said.err
    everything = two.effects()
    os.kill(process.pid, signal.SIGCONT)
    process.communicate()
    assert process.returncode == 5
    assert two.effects() == everything == dict.fromkeys(everything, 1)
    refused = two.say("abort")
    assert (refused.code, two.effects()) == (3, everything)
    assert "was taken over by" in refused.data["error"]["what"]
    assert two.project.say("show", refused.data["run"], "--json").data["outcome"] == "taken_over"
    assert two.say("resume").data["error"]["what"] == "prod has no unfinished run"


def test_a_run_whose_machine_may_be_alive_is_not_taken(two: Yard) -> None:
    process = half_done(two)
    said = two.elsewhere().say("abort", "--yes")
    words = f"{owner()} holds web1 for run"
    assert (said.code, words in said.data["error"]["what"]) == (7, True), said.out
    two.let_go()
    process.communicate()
    assert process.returncode == 0


def test_nobody_takes_a_run_over_without_a_yes_and_mirrors_that_were_changed_are_not_believed(
    two: Yard, bed: SshdBed
) -> None:
    burn(two, half_done(two))
    other = two.elsewhere()
    unasked = other.say("resume")
    assert unasked.code == 3, unasked.out
    (mirror,) = notes(bed).glob("*/mirror")
    assert (mirror.stat().st_mode & 0o777, "Slow" in mirror.read_text()) == (0o600, True)
    told = mirror.read_text()
    mirror.write_text(told.replace("rm -rf", "rm -fr"))
    spoilt = other.say("abort", "--yes")
    assert spoilt.code == 3
    assert spoilt.data["error"]["what"].startswith("the mirror on web1 cannot be trusted: record")
    mirror.write_text(
        "".join(f"{json.dumps(row)}\n" for row in passed_off(mirror.parent.name, told))
    )
    spoilt = other.say("abort", "--yes")
    assert spoilt.code == 3
    words = "the mirror on web1 cannot be trusted: record 8 does not follow what is before it"
    assert spoilt.data["error"]["what"] == words
    mirror.write_text(told + '{"kind": "beg')  # the machine died while it wrote
    assert other.say("abort", "--yes").code == 4
    assert two.effects() == {}


def passed_off(run: str, told: str) -> Iterator[dict[str, Any]]:
    """A mirror with another way back for the first step on a host, and the hash of that."""
    for row in map(json.loads, told.splitlines()):
        if row["kind"] == "begin" and "First" in row["body"]:
            body = row["body"].replace("rm -rf", "rm -fr")
            about = (row["kind"], row["key"], row["at"], body)
            row |= {"body": body, "hash": chain.record(row["prev"], run, *about)}
        yield row


def test_what_acts_here_is_on_every_host_before_it_does_and_mirrors_that_disagree_are_shown(
    two: Yard, bed: SshdBed
) -> None:
    two.runbook(two.step("Here", on=None, before=two.hold()), two.step("First"))
    process = two.start()
    two.busy("Here")
    mirrors = [next(notes(bed, host).glob("*/mirror")) for host in ("web1", "web2")]
    for mirror in mirrors:
        begun = [line for line in mirror.read_text().splitlines() if '"kind": "begin"' in line]
        assert [f"rm -rf {two.files}/Here" in line for line in begun] == [True]
    burn(two, process)
    first, *rest = mirrors[1].read_text().splitlines(keepends=True)
    packed = json.loads(first)
    plan = zlib.decompress(base64.b64decode(packed["run"])).decode().replace("First", "Other")
    packed["run"] = base64.b64encode(zlib.compress(plan.encode())).decode()
    mirrors[1].write_text("".join((json.dumps(packed) + "\n", *rest)))
    other = two.elsewhere()
    for verb in ("resume", "abort"):
        said = other.say(verb, "--yes")
        assert said.code == 3, said.out + said.err
        told = said.data["error"]["what"]
        assert told.startswith("the mirrors of run ")
        assert told.endswith(" on web1 and web2 disagree about the plan")
    mirrors[1].write_text("".join((first, *rest)))
    said = other.say("resume", "--yes")  # what became of the step nobody knows, and it has no check
    assert (said.code, two.effects()) == (4, {}), said.out + said.err
    assert "nobody can tell" in said.data["reason"]


def unpacked(mirror: Path) -> str:
    """All of it, with what is packed."""
    rows = [json.loads(line) for line in mirror.read_text().splitlines()]
    packed = [row[name] for row in rows for name in ("run", "packed") if name in row]
    return mirror.read_text() + "".join(
        zlib.decompress(base64.b64decode(each)).decode() for each in packed
    )


def test_a_secret_is_in_no_mirror_and_whoever_goes_on_needs_it_of_their_own(
    two: Yard, bed: SshdBed
) -> None:
    token = "s3cret 'of' the-shop"
    two.inventory(secrets={"token": {"env": "SHOP_TOKEN"}})
    two.project.env["SHOP_TOKEN"] = token
    told, place = two.files / "told", two.place("Loud")
    back = f"[ ! -e {place} ] || echo {{{{ secrets.token }}}} > {told}\nrm -rf {place}*"
    loud = "for n in $(seq 400); do echo $n: {{ secrets.token }}; done"
    two.runbook(
        {**two.step("Loud", before=loud), "undo": back}, two.step("Slow", before=two.hold())
    )
    process = two.start()
    two.busy("Slow-web1")
    burn(two, process)
    (mirror,) = notes(bed).glob("*/mirror")
    whole = unpacked(mirror)
    assert ("400: " in whole, str(told) in whole) == (True, True)
    assert "s3cret" not in whole
    assert [each.stat().st_mode & 0o077 for each in (mirror, mirror.parent)] == [0, 0]
    other = two.elsewhere()
    for verb in ("resume", "abort"):
        lacking = other.say(verb, "--yes")
        assert (lacking.code, "SHOP_TOKEN" in lacking.out) == (3, True), lacking.out
        assert other.project.say("history", "--json").data["runs"] == []  # it is not taken over
    other.project.env["SHOP_TOKEN"] = token
    said = other.say("abort", "--yes")
    assert said.code == 4, said.out + said.err
    assert (told.read_text(), "s3cret" in said.out + said.err) == (f"{token}\n", False)


def test_of_two_machines_that_took_a_run_over_the_hosts_let_one_go_on(
    two: Yard, bed: SshdBed
) -> None:
    """While a host is away: the one that cannot go on without it comes too late."""
    ssh = {**bed.inventory_ssh()}
    two.inventory(rollout={"batches": ["100%"]}, ssh=ssh)
    process = half_done(two)
    two.busy("Slow-web2")
    burn(two, process)
    other, third = two.elsewhere(), two.elsewhere("a third")
    bed["web2"].stop()
    refused = other.say("resume", "--yes")
    assert (refused.code, refused.data["hosts"]) == (3, {}), refused.out
    assert "What web2 did is not known: not reached. yes" in refused.err
    said = third.say("abort", "--yes")
    assert said.code == 5, said.out + said.err
    states = {name: row["state"] for name, row in said.data["hosts"].items()}
    assert states["web1"] == "backed out"
    assert states["web2"].startswith("NOT backed out: web2 was away when the run was taken over")
    assert two.effects() == {"Here": 1, "First-web2": 1, "Slow-web2": 1}
    bed["web2"].start()
    late = other.say("resume")
    assert (late.code, "was taken over by" in late.data["error"]["what"]) == (3, True), late.out
    said = third.say("abort")
    assert (said.code, two.effects()) == (4, {}), said.out + said.err
    assert third.project.say("history", "--check", "--json").data["faults"] == []


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_nobody_goes_on_as_the_machine_that_took_the_run_over_after_them(
    two: Yard, bed: SshdBed, verb: str
) -> None:
    """They hear of that machine from the very host that was away for them."""
    ssh = {**bed.inventory_ssh()}
    two.inventory(rollout={"batches": ["100%"]}, ssh=ssh)
    burn(two, half_done(two))
    other, third = two.elsewhere(), two.elsewhere("a third")
    bed["web2"].stop()
    assert other.say("resume", "--yes").code == 3
    bed["web2"].start()
    assert (third.say("abort", "--yes").code, two.effects()) == (4, {})
    late = other.say(verb)
    assert (late.code, "was taken over by" in late.data["error"]["what"]) == (3, True), late.out


def test_a_run_that_had_changed_nothing_is_not_taken_over_but_unlocked(two: Yard) -> None:
    looks = f"mkdir -p {two.files}/Look.busy; {two.hold()}"
    look = {"name": "Look", "run": looks, "readonly": True, "on": "web"}
    two.runbook(two.step("First"), preflight=[look])
    process = two.start()
    two.busy("Look")
    burn(two, process)
    other = two.elsewhere()
    for verb in ("resume", "abort"):
        said = other.say(verb, "--yes")
        assert said.code == 3, said.out + said.err
        assert said.data["error"]["what"].endswith(", and no host has its records")
        assert "invoke unlock --target prod" in said.data["error"]["next"]
    assert other.say("unlock", "--yes").code == 0
    other.good_release()
    assert two.effects() == {"First-web1": 1, "First-web2": 1}


def test_who_takes_the_lock_by_force_hears_what_its_owner_may_be_at_on_its_own_machine(
    two: Yard,
) -> None:
    gate = two.hold()
    two.runbook(two.step("First"), two.step("Here", on=None, before=gate), two.step("Last"))
    process = two.start()
    two.busy("Here")
    other = two.elsewhere()
    said = other.say("unlock", "--force", "--yes")
    assert said.code == 0, said.out + said.err
    assert said.data["goes_on"] == [f"Here, on the machine of {owner()}"]
    two.let_go()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 5, out + err
    assert "Last-web1" not in two.effects()
    said = other.say("unlock", "--force", "--yes")
    assert (said.code, said.data["goes_on"]) == (0, []), said.out


def test_a_commit_that_only_the_lost_machine_has_is_said_and_the_way_back_is_open(
    two: Yard, tmp_path: Path
) -> None:
    git = GitOrigin(tmp_path / "git")
    two.inventory(source={"repository": str(git.copy)})
    two.runbook(
        {"name": "Commit", "commit": {"message": "Ship it"}},
        two.step("Slow", before=two.hold()),
        {"name": "Push", "push": {}},
    )
    git.good_change()
    process = two.start()
    two.busy("Slow-web1")
    burn(two, process)
    git.copy.rename(tmp_path / "burnt")
    git.clone(git.copy)
    other = two.elsewhere()
    refused = other.say("resume", "--yes")
    assert (refused.code, refused.data["state"]) == (3, "nothing was changed")
    assert refused.data["error"]["what"].endswith(", which is not in this working copy")
    assert "for it is on that machine alone" in refused.data["error"]["next"]
    said = other.say("abort", "--yes")
    assert said.code == 4, said.out + said.err
    assert two.effects() == {}


def test_a_record_that_was_changed_or_is_missing_is_found(two: Yard) -> None:
    two.runbook(two.step("First"))
    two.good_release()
    assert two.project.say("history", "--check", "--json").data["faults"] == []
    with sqlite3.connect(two.project.state / "journal.db") as db:
        db.execute("DROP TRIGGER record_delete")
        db.execute("DROP TRIGGER record_update")
        db.execute("DELETE FROM record WHERE n = 3")
        db.execute("UPDATE record SET body = replace(body, 'rm -rf', 'rm -fr') WHERE n > 5")
    said = two.project.say("history", "--check", "--json")
    told = " / ".join(fault["what"] for fault in said.data["faults"])
    assert said.code == 6
    assert "does not follow the one before it: 3 to 3 are missing" in told
    assert "was changed" in told


def test_a_release_that_another_machine_made_is_rolled_back_from_here(
    two: Yard, bed: SshdBed
) -> None:
    two.inventory(ssh={**bed.inventory_ssh()})
    two.runbook(two.step("First"))
    two.good_release()
    two.runbook(two.step("Second"))
    two.good_release()
    other = two.elsewhere()
    bed["web2"].stop()
    away = other.say("rollback", "--yes")  # what it did there would not be taken back
    assert (away.code, away.data["error"]["what"][:14]) == (3, "what web2 has "), away.out
    bed["web2"].start()
    assert other.say("rollback").code == 3  # nobody said yes
    said = other.say("rollback", "--yes")
    assert said.code == 0, said.out + said.err
    assert said.data["release"]["to"]["number"] == 1
    assert set(two.effects()) == {"First-web1", "First-web2"}
    assert other.say("status").code == 0
    assert other.project.say("history", "--check", "--json").data["faults"] == []
    assert other.good_release().data["release"]["to"]["number"] == 3


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_a_rollback_that_had_ended_but_for_one_lease_is_ended_from_another_machine(
    two: Yard, bed: SshdBed, verb: str
) -> None:
    two.runbook(two.step("First"))
    two.good_release()
    two.runbook(two.step("Second"))
    two.good_release()
    run = two.say("rollback").data["run"]
    lease = notes(bed, "web2").parent / "lock"
    lease.mkdir()
    told = {
        "owner": "alice@away",
        "run": run,
        "since": "1700000000",
        "token": "left",
        "host": "web2",
    }
    for name, text in {**told, "expires": "another-boot 0 1"}.items():
        (lease / name).write_text(f"{text}\n")
    shutil.rmtree(two.project.state)
    other = two.elsewhere()
    said = other.say(verb, "--yes")
    assert said.code == 0, said.out + said.err
    assert set(two.effects()) == {"First-web1", "First-web2"}
    assert other.say("status").code == 0
    assert not lease.exists()


def rolling_back(two: Yard) -> Started:
    """A rollback that is at its undo on the first host."""
    two.runbook(two.step("First"))
    two.good_release()
    place = two.place("Second")
    back = f"[ -e {place} ] || exit 0; mkdir -p {place}.busy; {two.hold()}; rm -rf {place}*"
    two.runbook(two.step("Second", undo=back))
    two.good_release()
    process = two.start("rollback")
    two.busy("Second-web1")
    return process


def test_a_rollback_is_ended_from_another_machine_too(two: Yard) -> None:
    process = rolling_back(two)
    burn(two, process)
    other = two.elsewhere()
    said = other.say("resume", "--yes")
    assert said.code == 0, said.out + said.err
    assert set(two.effects()) == {"First-web1", "First-web2"}
    assert other.say("status").code == 0


def test_a_rollback_goes_forward_again_from_another_machine(two: Yard) -> None:
    burn(two, rolling_back(two))
    other = two.elsewhere()
    said = other.say("abort", "--yes")
    assert said.code == 4, said.out + said.err
    assert two.effects() == {
        f"{each}-{host}": 1 for each in ("First", "Second") for host in ("web1", "web2")
    }
    assert other.say("status").code == 0


def test_who_was_only_refused_meanwhile_ends_the_rollback_as_if_they_had_tried_nothing(
    two: Yard,
) -> None:
    process = rolling_back(two)
    other = two.elsewhere()
    assert other.say("deploy").code == 7
    burn(two, process)
    said = other.say("resume", "--yes")
    assert said.code == 0, said.out + said.err
    assert set(two.effects()) == {"First-web1", "First-web2"}
    assert other.say("status").code == 0


def test_a_rollback_of_runs_that_one_does_not_know_is_not_taken_over(two: Yard) -> None:
    other = two.elsewhere()
    other.runbook(other.step("Zeroth"))
    other.good_release()
    process = rolling_back(two)
    undoing = two.project.say("history", "--target", "prod", "--json").data["runs"][1]["run"]
    burn(two, process)
    said = other.say("resume", "--yes")
    assert (said.code, said.data["state"]) == (3, "nothing was changed"), said.out
    assert f"takes back {undoing}, which this journal does not know" in said.data["error"]["what"]
    assert "does not know" in other.say("abort").data["error"]["what"]
    assert other.say("unlock", "--force", "--yes").code == 0
    other.good_release()


def forget(two: Yard, bed: SshdBed, host: str) -> None:
    """It has nothing of Backout's any more: wiped, or another machine in its place."""
    shutil.rmtree(bed[host].home / ".backout")


def test_of_a_host_that_has_nothing_of_the_run_any_more_nobody_says_that_it_never_began(
    two: Yard, bed: SshdBed
) -> None:
    two.inventory(rollout={"batches": ["100%"]})
    process = half_done(two)
    two.busy("Slow-web2")
    burn(two, process)
    forget(two, bed, "web2")
    other = two.elsewhere()
    refused = other.say("resume", "--yes")
    assert refused.code == 3, refused.out + refused.err
    assert "What web2 did is not known: nothing of the run is there. yes" in refused.err
    assert "or has nothing of it any more" in refused.data["error"]["what"]
    assert two.effects()["Slow-web2"] == 1, "and it is not done a second time"
    for _ in range(2):
        said = other.say("abort")
        assert said.code == 5, said.out + said.err
        states = {name: row["state"] for name, row in said.data["hosts"].items()}
        assert states["web1"] == "backed out"
        assert "or has nothing of it any more" in states["web2"]
    assert two.effects() == {"Here": 1, "First-web2": 1, "Slow-web2": 1}
    assert other.say("unlock", "--force", "--yes").code == 0


def test_a_host_that_was_the_lost_machine_itself_is_none_here(two: Yard, bed: SshdBed) -> None:
    hosts = {**two.changes["hosts"], "web2": {"connection": "local", "groups": ["web"]}}
    two.inventory(rollout={"batches": ["100%"]}, hosts=hosts)
    process = half_done(two)
    two.busy("Slow-web2")
    burn(two, process)
    other = two.elsewhere()
    said = other.say("abort", "--yes")
    assert said.code == 5, said.out + said.err
    assert "or has nothing of it any more" in said.data["hosts"]["web2"]["state"]

"""Which target, which machine, whose release: nothing is done in the name of another one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backout.project.project import Workplace
from support.git_origin import GitOrigin
from support.project import Project, Said, number
from support.sshd import SshdBed
from support.yard import HERE, Yard

NAMES = ("web1", "web2", "web3")


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


# --- a release is the run that put it there --------------------------------------------------


def run_of(said: Said) -> str:
    assert said.code == 0, said.out + said.err
    run: str = said.data["run"]
    return run


def one(yard: Yard, name: str, *words: str) -> str:
    """Deploy one release with one step of that name."""
    yard.runbook(yard.step(name))
    return run_of(yard.deploy(*words))


def refused(said: Said, run: str) -> None:
    """Before any change, with the name of the run that was found."""
    assert said.code == 3, said.out + said.err
    assert run in said.data["error"]["what"]
    assert "nothing was changed" in said.data["error"]["state"]


def copied(yard: Yard) -> Path:
    """A backup of the journal, as it is now."""
    place = yard.files.parent / "copy"
    place.mkdir(exist_ok=True)
    with (
        sqlite3.connect(yard.project.state / "journal.db") as journal,
        sqlite3.connect(place / "journal.db") as copy,
    ):
        journal.backup(copy)
    return place


def restored(yard: Yard, copy: Path) -> None:
    for file in yard.project.state.glob("journal.db*"):
        file.unlink()
    shutil.copy(copy / "journal.db", yard.project.state / "journal.db")


def test_no_machine_goes_back_beneath_the_release_of_another(fleet: Yard) -> None:
    one(fleet, "A1")
    one(fleet, "A2")
    other = fleet.elsewhere()
    b1 = one(other, "B1")
    there = {f"{name}-{host}": 1 for name in ("A1", "A2", "B1") for host in NAMES}
    refused(fleet.say("rollback"), b1)
    assert fleet.effects() == there
    status = fleet.say("status")
    assert status.code == 6, status.out
    assert all(b1 in words for words in status.data["differs"])
    assert {number(row["release"]) for row in status.data["hosts"].values()} == {3}, "taken twice"
    fleet.runbook(fleet.step("A3"))
    said = fleet.deploy()
    assert said.releases["to"] == 4
    refused(fleet.say("rollback"), b1)
    refused(fleet.say("rollback", "--to", "1"), b1)
    assert fleet.effects() == there | {f"A3-{host}": 1 for host in NAMES}
    one(fleet, "A4")
    assert fleet.say("rollback").releases["to"] == 4


def test_a_host_that_another_machine_deployed_alone_stands_in_the_way(fleet: Yard) -> None:
    one(fleet, "A1")
    one(fleet, "A2")
    b1 = one(fleet.elsewhere(), "B1", "--hosts", "web2")
    refused(fleet.say("rollback"), b1)
    assert fleet.effects()["A2-web1"] == 1


def test_a_half_done_run_of_another_machine_stands_in_the_way(fleet: Yard) -> None:
    one(fleet, "A1")
    one(fleet, "A2")
    other = fleet.elsewhere()
    other.runbook({**other.step("B1", after="false"), "undo": "false"})
    b1 = other.deploy().data["run"]
    assert fleet.say("rollback").code == 7
    assert fleet.say("unlock", "--force", "--yes").code == 0
    refused(fleet.say("rollback"), b1)
    assert any(b1 in words for words in fleet.say("status").data["differs"])
    one(fleet, "A3")
    one(fleet, "A4")
    assert fleet.say("rollback").releases["to"] == 4


def test_a_run_that_was_backed_out_elsewhere_is_in_nobodys_way(fleet: Yard) -> None:
    one(fleet, "A1")
    one(fleet, "A2")
    other = fleet.elsewhere()
    other.runbook(other.step("B1", after="false"))
    assert other.deploy().code == 4
    assert fleet.say("status").code == 0
    assert fleet.say("rollback").releases["to"] == 1
    assert fleet.say("status").code == 0


def test_a_journal_from_a_backup_undoes_nothing_and_gives_no_number_twice(fleet: Yard) -> None:
    one(fleet, "One")
    one(fleet, "Two")
    copy = copied(fleet)
    three = one(fleet, "Three")
    restored(fleet, copy)
    refused(fleet.say("rollback"), three)
    assert fleet.say("status").code == 6
    fleet.runbook(fleet.step("Four"))
    said = fleet.deploy()
    assert said.releases["to"] == 4, said.out
    refused(fleet.say("rollback"), three)
    copy = copied(fleet)
    one(fleet, "Five")
    back = run_of(fleet.say("rollback"))
    restored(fleet, copy)
    refused(fleet.say("rollback"), back)


def test_a_host_that_was_added_since_is_said_to_be_without_a_release_after_a_rollback(
    fleet: Yard,
) -> None:
    hosts = fleet.plain()["hosts"]
    fleet.inventory(hosts={"web1": hosts["web1"]})
    one(fleet, "One")
    fleet.inventory(hosts={name: hosts[name] for name in ("web1", "web2")})
    one(fleet, "Two")
    back = fleet.say("rollback")
    assert (back.code, back.on) == (0, {"web1": 1, "web2": None}), back.out + back.err
    status = fleet.say("status")
    assert (status.code, status.data["differs"]) == (0, []), status.out
    one(fleet, "Three")
    back = fleet.say("rollback")
    assert (back.code, back.on) == (0, {"web1": 1, "web2": None}), back.out + back.err
    assert fleet.effects() == {"One-web1": 1}


def test_a_part_of_the_target_takes_no_number_that_the_rest_has_seen(fleet: Yard) -> None:
    fleet.runbook(fleet.step("A"))
    for _ in range(2):
        said = fleet.deploy("--hosts", "web1")
    assert said.releases["to"] == 2, said.out
    said = fleet.elsewhere().deploy("--hosts", "web2")
    assert said.code == 0, said.out + said.err
    assert said.releases["to"] == 3


@pytest.mark.parametrize("ending", ["backed out", "deployed", "incomplete", "killed"])
@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_a_run_from_a_backup_goes_nowhere_once_it_went_on_without_it(
    fleet: Yard, ending: str, verb: str
) -> None:
    one(fleet, "Zero")
    last = {
        "backed out": {"after": "false"},
        "deployed": {},
        "incomplete": {"after": "false", "undo": "false"},
        "killed": {"before": fleet.hold("never")},
    }[ending]
    undo = {key: last.pop(key) for key in ("undo",) if key in last}
    fleet.runbook(fleet.step("A", before=fleet.hold()), {**fleet.step("B", **last), **undo})
    process = fleet.start()
    fleet.busy("A-web1")
    copy = copied(fleet)
    fleet.let_go()
    if ending == "killed":
        fleet.busy("B-web1")
        process.kill()
    process.communicate(timeout=60)
    before = fleet.effects()
    restored(fleet, copy)
    said = fleet.say(verb)
    assert said.code == 3, said.out + said.err
    assert fleet.effects() == before


# --- a target's secrets are its own ----------------------------------------------------------


def test_each_target_recalls_its_records_with_its_own_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both call it `token`, and both are in one process, as with `watch` and `status`."""
    project, now = Project(tmp_path), datetime.now(UTC)
    values = {"eu/api": "alpha-alpha", "us/api": "omega-omega"}
    for name, value in values.items():
        variable = f"{name[:2].upper()}_TOKEN"
        monkeypatch.setenv(variable, value)
        project.inventory(name, {"hosts": HERE, "secrets": {"token": {"env": variable}}})
    workplace = Workplace(tmp_path)
    targets = {name: workplace.target(name) for name in values}
    journals = {name: workplace.journal_of(target) for name, target in targets.items()}
    for name, journal in journals.items():
        journal.open_run(name, name, "deploy", "x", {"at": values[name]}, "ann", now, {})
        journal.note(name, "seen", {"here": " and ".join(values.values())})
    for name, journal in journals.items():
        other = next(value for value in values.values() if value != values[name])
        (record,) = journal.recall(name)
        assert values[name] in record.body["here"]
        assert other not in record.body["here"]
        (plain,) = workplace.journal.recall(name)
        assert not any(value in plain.body["here"] for value in values.values())
    workplace.close()
    written = b"".join(file.read_bytes() for file in project.state.glob("journal.db*"))
    assert not any(value.encode() in written for value in values.values())


# --- a host is a machine ---------------------------------------------------------------------


def twins(yard: Yard, first: dict[str, object], second: dict[str, object], **more: object) -> Said:
    """A deploy that fails, onto two entries."""
    yard.inventory(hosts={"h1": {"groups": ["web"], **first}, "h9": {"groups": ["web"], **second}})
    yard.inventory(**more)
    yard.runbook(yard.step("One", after="false"))
    return yard.deploy()


def refused_as_one(yard: Yard, said: Said, code: int) -> None:
    assert said.code == code, said.out + said.err
    assert "h1 and h9 are one machine" in said.data["error"]["what"]
    assert yard.effects() == {}


def test_two_entries_of_one_address_are_a_mistake(fleet: Yard, bed: SshdBed) -> None:
    web1 = {"address": bed["web1"].address, "port": bed.port}
    refused_as_one(fleet, twins(fleet, web1, web1), 2)
    refused_as_one(fleet, twins(fleet, web1, {**web1, "address": "127.10", "user": "root"}), 2)
    assert "h1 and h9" in fleet.project.say("lint").err


def test_two_entries_that_lead_to_one_machine_are_refused_before_any_change(
    fleet: Yard, bed: SshdBed, tmp_path: Path
) -> None:
    web1 = {"address": bed["web1"].address, "port": bed.port}
    alias = tmp_path / "config"
    address = web1["address"]
    alias.write_text(f"Host alias\n  HostName {address}\n  HostKeyAlias [{address}]:{bed.port}\n")
    ssh = {**bed.inventory_ssh(), "config": str(alias)}
    second = {"address": "alias", "port": bed.port}
    refused_as_one(fleet, twins(fleet, web1, second, ssh=ssh), 3)
    apart = [
        {**each, "service": {"name": "x", "backend": "systemd", "directory": f"{tmp_path}/{n}"}}
        for n, each in enumerate((web1, second))
    ]
    refused_as_one(fleet, twins(fleet, *apart, ssh=ssh), 3)


def test_two_machines_that_share_a_state_directory_are_refused_with_both_names(
    fleet: Yard, bed: SshdBed, tmp_path: Path
) -> None:
    """As with a home that both mount."""
    hosts = ({"address": bed[name].address, "port": bed.port} for name in ("web1", "web2"))
    refused_as_one(fleet, twins(fleet, *hosts, state=str(tmp_path / "shared")), 3)
    assert not (tmp_path / "shared/lock").exists()
    fleet.inventory(hosts=bed.inventory_hosts(), state=str(tmp_path / "own"))
    fleet.inventory(hosts={"web1": bed.inventory_hosts()["web1"]})
    fleet.runbook(fleet.step("One"))
    fleet.good_release()


# --- a release of the very commit that runs ---------------------------------------------------


def test_going_back_to_the_very_commit_that_runs_says_so_before_it_acts(
    fleet: Yard, tmp_path: Path
) -> None:
    origin = GitOrigin(tmp_path / "git")
    fleet.inventory(source={"repository": str(origin.copy)})
    for name in ("One", "Two"):
        one(fleet, name)
    origin.git("commit", "-q", "--allow-empty", "-m", "Another")
    for name in ("Three", "Four"):
        one(fleet, name)
    said = fleet.say("rollback")
    assert (said.code, said.releases["to"]) == (0, 3), said.out + said.err
    words = f"release 3 ({origin.head()[:7]}) is of the very commit that runs"
    assert said.err.index(words) < said.err.index("back to release 3")
    assert "invoke rollback --target prod --to 2" in said.err
    assert words in said.data["advice"]
    again = fleet.say("rollback")
    assert (again.code, again.releases["to"], again.data["advice"]) == (0, 2, "")

"""One ledger in PostgreSQL for several machines."""

from __future__ import annotations

import secrets
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.git_origin import GitOrigin
from support.journals import empty_ledger
from support.postgres import Postgres
from support.scratch import scratch
from support.sshd import SshdBed
from support.takeover import Laptops, Tally, expire
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

LEDGER = "ledger: {{secret: TEAM_LEDGER, wait: {}}}\n"


@pytest.fixture
def address(postgres: Postgres) -> str:
    """A database of this test's own, still empty."""
    return postgres.create_database(f"ledger_{secrets.token_hex(4)}")


@pytest.fixture
def yard(tmp_path: Path, bed: SshdBed, address: str) -> Iterator[Yard]:
    """One project whose ledger is there, over one SSH host."""
    with Yard(tmp_path, bed, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        yard.inventory(hosts={"web1": bed.inventory_hosts()["web1"]})
        (yard.project.directory / "backout.yaml").write_text(LEDGER.format("1m"))
        yard.project.env["TEAM_LEDGER"] = address
        yield yard


def elsewhere(yard: Yard) -> Yard:
    other = yard.elsewhere()
    other.project.env.update(yard.project.env)
    return other


def test_what_one_machine_deployed_another_knows_and_takes_back(yard: Yard) -> None:
    for name in ("First", "Second"):
        yard.runbook(yard.step(name))
        said = yard.deploy()
        assert said.code == 0, said.out + said.err
    other = elsewhere(yard)

    status = other.say("status").data
    assert (status["release"]["number"], status["known_good"], status["differs"]) == (2, True, [])
    runs = other.project.say("history", "--json").data["runs"]
    assert [run["outcome"] for run in runs] == ["succeeded", "succeeded"]
    shown = other.project.say("show", runs[0]["run"], "--json")
    assert [step["name"] for step in shown.data["steps"]][:1] == ["Second"]
    back = other.say("rollback")
    assert (back.code, yard.effects()) == (0, {"First-web1": 1}), back.out
    assert yard.say("status").data["release"]["number"] == 1
    assert yard.project.say("history", "--check", "--json").data["faults"] == []
    assert not (yard.project.state / "journal.db").exists()


def test_a_run_that_was_killed_is_resumed_from_its_ledger(yard: Yard) -> None:
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold()))
    process = yard.start()
    yard.busy("Slow-web1")
    process.kill()
    process.communicate()
    yard.let_go()
    said = yard.say("resume")
    assert said.code == 0, said.out + said.err
    assert yard.effects() == {"First-web1": 1, "Slow-web1": 1}


def half_done(yard: Yard, start: Callable[[], Started] | None = None) -> Started:
    """A deploy that is at its second step."""
    yard.runbook(
        yard.step("Here", on=None), yard.step("First"), yard.step("Slow", before=yard.hold())
    )
    process = start() if start else yard.start()
    yard.busy("Slow-web1")
    return process


def killed(yard: Yard, process: Started) -> None:
    """Its machine is gone; what ran on a host ends; a minute goes by."""
    process.kill()
    process.communicate()
    yard.let_go()
    expire(yard)


def test_a_host_that_is_the_machine_one_is_on_is_another_one_for_somebody_else(yard: Yard) -> None:
    """What a run did on one laptop is not taken back on the other, nor done there a second time."""
    hosts = {**yard.changes["hosts"], "here": {"connection": "local", "groups": ["web"]}}
    yard.inventory(hosts=hosts)
    process = half_done(yard)
    yard.busy("Slow-here")
    killed(yard, process)
    other = elsewhere(yard)
    refused = other.say("resume", "--yes")
    assert refused.code == 3, refused.out + refused.err
    assert refused.data["error"]["what"].startswith("here was away when the run was taken over, or")
    said = other.say("abort")
    assert said.code == 5, said.out + said.err
    states = {name: host["state"] for name, host in said.data["hosts"].items()}
    assert states["web1"] == "backed out"
    assert states["here"].startswith("NOT backed out: here was away")
    assert yard.effects() == {"Here": 1, "First-here": 1, "Slow-here": 1}
    expire(yard)
    (own,) = yard.project.directory.rglob("lock/expires")
    boot, _, ttl = own.read_text().split()
    own.write_text(f"{boot} 0 {ttl}\n")
    said = yard.say("abort", "--yes")
    assert (said.code, yard.effects()) == (4, {}), said.out + said.err


@pytest.mark.parametrize(
    ("verb", "code", "effects"),
    [("resume", 0, ["First-web1", "Here", "Slow-web1"]), ("abort", 4, [])],
)
def test_another_person_takes_a_run_over_and_ends_it(
    yard: Yard, verb: str, code: int, effects: list[str]
) -> None:
    process = half_done(yard)
    other = elsewhere(yard)
    asked = other.say(verb, "--yes")
    assert (asked.code, "is alive" in asked.out) == (7, True)
    assert other.deploy().code == 7
    killed(yard, process)

    unasked = other.say(verb)
    assert (unasked.code, "take over run" in unasked.out) == (3, True), unasked.out
    assert "in the hands of" in other.say("status").data["unfinished"]
    said = other.say(verb, "--yes")
    assert said.code == code, said.out + said.err
    assert yard.effects() == dict.fromkeys(effects, 1)
    assert yard.say("resume").code == 3  # nothing is left to be ended
    assert yard.project.say("history", "--check", "--json").data["faults"] == []


def test_what_a_lost_laptop_was_at_is_asked_for_and_a_commit_that_is_there_alone_is_named(
    yard: Yard, tmp_path: Path
) -> None:
    git = GitOrigin(tmp_path / "git")
    yard.inventory(source={"repository": str(git.copy)})
    here = yard.place("Here", None)
    at = f"echo once >> {here}; mkdir {here}.busy; {yard.hold()}"
    asked = {"undo": f"rm -rf {here} {here}.busy", "check": f"test -e {here}"}
    commit = {"name": "Commit", "commit": {"message": "Ship it"}}
    yard.runbook(commit, {"name": "Here", "run": at, **asked}, yard.step("There"))
    git.good_change()
    process = yard.start()
    yard.busy("Here")
    killed(yard, process)
    burnt = git.copy.rename(tmp_path / "burnt")
    git.clone(git.copy)
    other = elsewhere(yard)
    refused = other.say("resume", "--yes")
    assert (refused.code, refused.data["state"]) == (3, "nothing was changed"), refused.out
    assert "for it is on that machine alone" in refused.data["error"]["next"]
    git.git("fetch", "-q", str(burnt), "HEAD")  # it was found again
    said = other.say("resume", "--yes")
    assert said.code == 0, said.out + said.err
    assert yard.effects() == {"Here": 1, "There-web1": 1}


def test_a_run_that_is_held_hears_an_answer_from_another_machine(yard: Yard) -> None:
    mended = yard.files.parent / "mended"
    yard.runbook(yard.step("First"), yard.step("Second", after=f"test -e {mended}"))
    process = yard.start("deploy", "--hold", "--hold-for", "10m")
    other = elsewhere(yard)
    eventually(lambda: other.say("status").data.get("held"), saying="a hold")
    mended.touch()
    said = other.say("hold", "--answer", "again")
    assert said.data.get("answered") == "Second on web1: again", said.out + said.err
    out, err = process.communicate(timeout=60)
    assert process.wait() == 0, out + err
    assert yard.project.say("history", "--check", "--json").data["faults"] == []


def test_who_was_taken_over_in_mid_run_ends_as_such(yard: Yard) -> None:
    process = half_done(yard)
    process.send_signal(signal.SIGSTOP)
    yard.let_go()
    expire(yard)
    other = elsewhere(yard)
    assert other.say("abort", "--yes").code == 4
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, yard.effects()) == (3, {}), out + err
    assert "was taken over by" in out
    runs = yard.project.say("history", "--json").data["runs"]
    assert [run["outcome"] for run in runs] == ["backed_out"]


# --- the database is gone --------------------------------------------------------------------


def wait(yard: Yard, so_long: str) -> None:
    (yard.project.directory / "backout.yaml").write_text(LEDGER.format(so_long))


def test_a_run_waits_for_a_ledger_that_is_away_for_a_moment(yard: Yard, postgres: Postgres) -> None:
    process = half_done(yard)
    postgres.stop()
    yard.let_go()
    eventually(lambda: yard.exists("Slow-web1") and not yard.exists("Slow-web1.busy"), saying="it")
    postgres.start()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert "waiting for the ledger postgresql://127.0.0.1" in err
    assert yard.effects() == dict.fromkeys(("Here", "First-web1", "Slow-web1"), 1)


@pytest.mark.parametrize(("verb", "code", "left"), [("resume", 0, 1), ("abort", 4, 0)])
def test_a_ledger_that_stays_away_interrupts_the_run_and_nothing_is_lost(
    yard: Yard, postgres: Postgres, verb: str, code: int, left: int
) -> None:
    wait(yard, "1s")
    process = half_done(yard, lambda: yard.project.start("deploy", "--target", "prod"))
    postgres.stop()
    yard.let_go()
    _, err = process.communicate(timeout=60)
    try:
        assert (process.returncode, "it was awaited for 1 s" in err) == (8, True), err
        assert "state: nothing further was started" in err
        assert "no end on record: Slow on web1" in err
        assert "next:  when the ledger is there again: invoke resume --target prod" in err
        away = yard.say("status")
        assert (away.code, "cannot be reached" in away.out) == (3, True), away.out
    finally:
        postgres.start()
    said = yard.say(verb)
    assert said.code == code, said.out + said.err
    assert sum(yard.effects().values()) == 3 * left


# --- an older journal, and a look at the database ---------------------------------------------


def test_a_journal_of_one_machine_is_copied_once_with_its_unfinished_run(
    yard: Yard, address: str
) -> None:
    ledger = yard.project.directory / "backout.yaml"
    ledger.rename(ledger.with_suffix(".off"))
    yard.runbook(yard.step("Good"))
    yard.good_release()
    killed(yard, half_done(yard))
    ledger.with_suffix(".off").rename(ledger)

    copied = yard.project.say("ledger.copy", "--json")
    assert (copied.code, copied.data["runs"]) == (0, 2), copied.out
    assert yard.project.say("ledger.copy", "--json").data["runs"] == 0
    assert address not in copied.out
    said = yard.say("resume")
    assert said.code == 0, said.out + said.err
    again = yard.project.say("ledger.copy", "--json")
    assert (again.code, again.data["runs"]) == (0, 0), again.out
    assert yard.project.say("history", "--check", "--json").data["faults"] == []
    assert yard.say("status").data["release"]["number"] == 2

    with sqlite3.connect(yard.project.state / "journal.db") as db:
        db.execute("DROP TRIGGER record_UPDATE")
        db.execute("UPDATE record SET body = replace(body, 'Good', 'Bad')")
    spoilt = yard.project.say("ledger.copy", "--json")
    assert (spoilt.code, "was changed" in spoilt.data["error"]["what"]) == (3, True), spoilt.out


def test_doctor_looks_at_the_database_of_the_ledger(yard: Yard, address: str) -> None:
    said = yard.say("doctor")
    found = {row["name"]: row for row in said.data["findings"] if row["host"] is None}
    assert found["ledger"]["detail"].startswith("PostgreSQL ")
    assert [found[name]["ok"] for name in ("fsync", "full_page_writes", "synchronous_commit")] == [
        *[False] * 3
    ]
    assert "ALTER SYSTEM SET fsync = on" in found["fsync"]["fix"]
    assert (found["TLS"]["ok"], found["ledger's clock"]["ok"]) == (True, True)
    yard.project.env["TEAM_LEDGER"] = "postgresql://ann:s3cret@127.0.0.1:1/nothing"
    away = yard.say("doctor")
    rows = [row for row in away.data["findings"] if row["name"] == "ledger"]
    assert (away.code, [row["ok"] for row in rows]) == (3, [False])
    assert "s3cret" not in away.out + away.err


@pytest.mark.parametrize(
    ("file", "variable", "told"),
    [
        ("{}", None, "backout.yaml:1 ledger.secret: is missing"),
        ("{wait: 30s}", None, "backout.yaml:1 ledger.secret: is missing"),
        ("{secret: null}", None, "backout.yaml:1 ledger.secret: exactly one of {env: NAME}"),
        ("{secret: {}}", None, "backout.yaml:1 ledger.secret: exactly one of {env: NAME}"),
        ("{secret: {env: A, file: b}}", None, "backout.yaml:1 ledger.secret: exactly one of"),
        ("{secret: TEAM_LEDGER}", " ", "BACKOUT_LEDGER is empty"),
        ("{secret: TEAM_LEDGER}", "", "BACKOUT_LEDGER is empty"),
    ],
)
def test_where_a_ledger_is_meant_and_not_named_no_run_goes_to_a_file_of_this_machine(
    yard: Yard, file: str, variable: str | None, told: str
) -> None:
    (yard.project.directory / "backout.yaml").write_text(f"ledger: {file}\n")
    yard.runbook(yard.step("First"))
    if variable is not None:
        yard.project.env["BACKOUT_LEDGER"] = variable
    said = yard.deploy()
    assert (said.code, told in said.data["error"]["what"]) == (2, True), said.out + said.err
    assert not (yard.project.state / "journal.db").exists()


def test_without_the_driver_every_verb_says_what_to_install(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.runbook(yard.step("First"))
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for verb in ("deploy", "status", "rollback"):
        said = yard.say(verb)
        assert said.code == 3, said.out + said.err
        assert said.data["error"]["what"] == "PostgreSQL's driver is not installed"
        assert said.data["error"]["next"].endswith("[team]'")
    said = yard.say("doctor")
    rows = {row["name"]: row for row in said.data["findings"]}
    assert (said.code, rows["ledger"]["ok"]) == (3, False)
    assert rows["ledger"]["fix"].endswith("[team]'")


def test_doctor_tells_whether_anybody_looks_after_the_checks(yard: Yard) -> None:
    def row() -> dict[str, Any]:
        found = yard.say("doctor").data["findings"]
        return next(each for each in found if each["name"] == "history of checks")

    yard.runbook(yard.step("First"))
    assert (row()["ok"], row()["fix"][:12]) == (None, "invoke watch")
    assert row()["detail"] == "nobody has looked at prod yet; nobody watches it"
    assert yard.say("watch", "--once").code in (0, 6)
    assert (row()["ok"], "the last look at prod was " in row()["detail"]) == (True, True)
    del yard.project.env["TEAM_LEDGER"]
    (yard.project.directory / "backout.yaml").unlink()
    assert row()["detail"] == "nobody has watched here yet"


def test_a_password_of_the_ledger_is_nowhere(yard: Yard, postgres: Postgres, address: str) -> None:
    """Everybody is let in here, whatever the password: it is in the address all the same."""
    yard.project.env["TEAM_LEDGER"] = address.replace("postgres@", "postgres:h0rse-stapler@")
    place = yard.place("Tell", None)
    yard.runbook({"name": "Tell", "run": f'echo "$TEAM_LEDGER" | tee {place}', "undo": "true"})
    said = yard.deploy()
    assert said.code == 0, said.out + said.err
    assert "h0rse-stapler" in next(yard.files.iterdir()).read_text()
    shown = yard.project.say("show", said.data["run"], "--json").out
    dumped = postgres.sql("SELECT body FROM backout.record", address.rpartition("/")[2])
    assert "h0rse-stapler" not in said.out + said.err + shown + str(dumped)


def test_whatever_a_burnt_machine_had_written_a_second_operator_ends_the_run(
    bed: SshdBed, tmp_path: Path, postgres: Postgres
) -> None:
    """Two moments of a whole measurement, `bench/takeover.py --ledger postgresql`."""
    tally = Tally()
    laptops = Laptops(tmp_path, bed, 1, partial(empty_ledger, postgres))
    for moment in (6, 13):
        assert list(laptops.moments(tally, range(moment, moment + 1)))
    assert tally.violations == []
    assert (tally.trials, tally.done + tally.undone + tally.nothing) == (4, 4)


# --- a ledger that was restored from a backup --------------------------------------------------


def backed_up(postgres: Postgres, address: str) -> str:
    """The address of a copy of the ledger as it is now."""
    name = address.rpartition("/")[2]
    postgres.sql(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
    return f"{address}_copy"


def test_an_older_ledger_is_noticed_by_what_its_hosts_know(
    yard: Yard, postgres: Postgres, address: str
) -> None:
    for name in ("First", "Second"):
        yard.runbook(yard.step(name))
        yard.good_release()
    older = backed_up(postgres, address)
    yard.runbook(yard.step("Third"))
    newest = yard.good_release().data["run"]

    yard.project.env["TEAM_LEDGER"] = older
    assert yard.say("status").code == 6
    back = yard.say("rollback")
    assert (back.code, newest in back.out) == (3, True), back.out
    again = yard.deploy()
    assert (again.code, again.releases["to"]) == (0, 4)  # 3 was given out before


def test_a_run_that_was_taken_over_since_is_not_gone_on_with_where_a_standby_was_promoted(
    yard: Yard, postgres: Postgres, address: str
) -> None:
    killed(yard, half_done(yard))
    with scratch() as place, postgres.standby(place / "standby") as standby:
        standby.sql("ALTER SYSTEM SET primary_conninfo = ''")
        standby.sql("SELECT pg_reload_conf()")
        assert elsewhere(yard).say("resume", "--yes").code == 0
        standby.sql("SELECT pg_promote()")
        yard.project.env["TEAM_LEDGER"] = standby.dsn(address.rpartition("/")[2])
        said = yard.say("resume")
    assert (said.code, "is it an older copy?" in said.out) == (3, True), said.out
    assert yard.effects() == dict.fromkeys(("Here", "First-web1", "Slow-web1"), 1)


def test_a_ledger_that_is_lost_for_good_is_made_up_for_by_what_the_hosts_have(
    yard: Yard, postgres: Postgres
) -> None:
    """The unfinished run for a new one, and then what led to the releases for a laptop without."""
    yard.runbook(yard.step("Good"))
    yard.good_release()
    killed(yard, half_done(yard))
    yard.project.env["TEAM_LEDGER"] = empty_ledger(postgres)
    said = yard.say("resume", "--yes")
    assert said.code == 0, said.out + said.err
    assert yard.effects() == dict.fromkeys(("Good-web1", "Here", "First-web1", "Slow-web1"), 1)
    alone = yard.elsewhere()
    (alone.project.directory / "backout.yaml").unlink()
    back = alone.say("rollback", "--yes")
    assert (back.code, yard.effects()) == (0, {"Good-web1": 1}), back.out + back.err
    assert back.releases == {"from": 2, "to": 1}

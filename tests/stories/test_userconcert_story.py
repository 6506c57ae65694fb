"""The incident of `docs/userconcert-fix.md`, on a real Parse Server and PostgreSQL, wherever the
application runs: the note to the letter, the runbook that cures it, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from backout.config import yaml_tree
from backout.documents.files import dumped
from support.dockerd import DockerEngine
from support.gigz import TARGET, Gigz
from support.gigz_sites import SITES
from support.postgres import Postgres
from support.scratch import scratch

NOTE = (Path(__file__).parents[1] / "documents" / "notes" / "userconcert.md").read_bytes()
NOBODY = {"Concert": 0, "UserConcert": 0}
TOLD_IN = {
    "S1": "docker-compose",
    "S2": "pm2",
    "S5": "pm2",
}
"""Where a table's story is told each time; wherever else the application runs, and of the other
tables, with the matrix."""


def told_in(*places: str) -> list[object]:
    """Every place; all but these with the matrix."""
    return [
        pytest.param(place, marks=() if place in places else pytest.mark.matrix) for place in SITES
    ]


def everywhere(*states: str) -> pytest.MarkDecorator:
    told = [
        pytest.param(place, state, marks=() if TOLD_IN.get(state) == place else pytest.mark.matrix)
        for place in SITES
        for state in states
    ]
    return pytest.mark.parametrize(("place", "state"), told)


@pytest.fixture(scope="module")
def site(postgres: Postgres, docker_engine: DockerEngine) -> Iterator[Callable[[str], Gigz]]:
    """A place by name, with the old code deployed as release 1 on S2; made when it is first
    asked for."""
    made: dict[str, Gigz] = {}
    with ExitStack() as stack:

        def find(name: str) -> Gigz:
            if name not in made:
                path = stack.enter_context(scratch())
                gigz = stack.enter_context(SITES[name](path, postgres, docker_engine))
                gigz.set_table("S2")
                gigz.deploy_the_old_code()
                made[name] = gigz
            return made[name]

        yield find


@pytest.mark.parametrize("place", told_in("docker-compose"))
def test_the_note_to_the_letter_is_backed_out_and_the_reason_is_told(
    site: Callable[[str], Gigz], place: str
) -> None:
    gigz = site(place)
    gigz.write_the_fix()

    said = gigz.run("userconcert-note")

    report = said.data
    assert (said.code, report["outcome"]) == (4, "backed_out"), said.err
    assert (gigz.deployed, gigz.table) == ("old", "S2")
    assert gigz.adds_and_reads_back()
    assert "check adds-a-concert fails: status == 200 (status is 500)" in report["reason"]
    assert "UserConcert.user: 428C9 generated column" in report["reason"]
    assert report["advice"].startswith("428C9: UserConcert.user is a generated column")
    assert 'cannot insert a non-DEFAULT value into column "user"' in report["logs"][gigz.host]
    assert report["hosts"][gigz.host]["state"] == "backed out"
    assert gigz.rows == NOBODY
    assert gigz.git("log", "--format=%s", "-1", "origin/main").startswith("Revert")


@everywhere("S0", "S1", "S2", "S3", "S4", "S6")
def test_the_fix_heals_every_table_and_the_rollback_brings_back_both(
    site: Callable[[str], Gigz], place: str, state: str
) -> None:
    gigz = site(place)
    gigz.set_table(state)
    assert gigz.adds_and_reads_back() is (state == "S2"), "the incident shows"
    gigz.write_the_fix()

    fixed = gigz.run("userconcert-fix")

    assert (fixed.code, fixed.data["outcome"]) == (0, "succeeded"), fixed.err
    assert {check["verdict"] for check in fixed.data["checks"]} == {"pass"}
    assert (gigz.deployed, gigz.table) == ("new", "S5")
    assert gigz.adds_and_reads_back()
    assert gigz.rows == NOBODY

    back = gigz.rollback()

    assert (back.code, back.data["outcome"]) == (0, "succeeded"), back.err
    assert (gigz.deployed, gigz.table) == ("old", state)
    assert gigz.adds_and_reads_back() is (state == "S2")
    assert gigz.rows == NOBODY


@everywhere("S5")
def test_where_nothing_is_broken_the_fix_is_refused(
    site: Callable[[str], Gigz], place: str, state: str
) -> None:
    gigz = site(place)
    gigz.set_table(state)
    gigz.write_the_fix()
    said = gigz.run("userconcert-fix")
    assert (said.code, said.data["outcome"]) == (3, "refused")
    assert "check saves-directly passes already: there is nothing to fix" in said.data["reason"]
    assert (gigz.deployed, gigz.table, gigz.rows) == ("old", state, NOBODY)
    assert gigz.git("status", "--porcelain", "cloud") == "M cloud/concerts.js"


def test_a_table_that_nobody_knows_is_refused_before_any_change(
    site: Callable[[str], Gigz],
) -> None:
    gigz = site("pm2")
    gigz.set_table("S2")
    gigz.sql('ALTER TABLE "UserConcert" ALTER COLUMN concert DROP EXPRESSION')
    gigz.write_the_fix()
    said = gigz.run("userconcert-fix")
    assert (said.code, said.data["outcome"]) == (3, "refused")
    assert "in none of the states S0 to S6 that these migrations know" in said.data["reason"]
    assert gigz.deployed == "old"


def test_code_that_writes_past_parse_is_refused_before_any_change(
    site: Callable[[str], Gigz],
) -> None:
    gigz = site("pm2")
    gigz.set_table("S2")
    gigz.git("checkout", "--", "cloud")
    said = gigz.run("userconcert-fix")
    assert (said.code, said.data["outcome"]) == (3, "refused")
    assert "raw INSERT in cloud code (above): save through the Parse SDK" in said.data["reason"]


def test_the_contract_comes_later_and_can_be_taken_back(site: Callable[[str], Gigz]) -> None:
    gigz = site("pm2")
    gigz.set_table("S2")
    too_early = gigz.run("userconcert-contract")
    assert too_early.code == 3
    assert "UserConcert is not in S5: run userconcert-fix first" in too_early.data["reason"]
    gigz.write_the_fix()
    assert gigz.run("userconcert-fix").code == 0
    watched(gigz, "pass")
    gigz.sql('ALTER TABLE "UserConcert" ADD COLUMN seats integer')
    schema = watched(gigz, "fail")
    assert "drifted since release" in schema["reason"]
    assert schema["excerpt"] == '+ "UserConcert.seats: no field | integer"'
    gigz.sql('ALTER TABLE "UserConcert" DROP COLUMN seats')

    assert gigz.run("userconcert-contract").code == 0

    assert gigz.table == "S0"
    assert gigz.adds_and_reads_back()
    assert gigz.rollback().code == 0
    assert (gigz.deployed, gigz.table) == ("new", "S5")
    assert gigz.rollback().code == 0
    assert (gigz.deployed, gigz.table) == ("old", "S2")


def watched(gigz: Gigz, verdict: str) -> dict[str, Any]:
    """What a watcher says of the schema, when it looks once."""
    said = gigz.say("watch", "--once", "--json")
    (target,) = said.data["targets"]
    (schema,) = (row for row in target["checks"] if row["name"] == "schema")
    assert schema["verdict"] == verdict, said.out
    found: dict[str, Any] = schema
    return found


def verify(gigz: Gigz, check: str, **changed: object) -> dict[str, object]:
    """What `verify` says of one check when its request has been changed."""
    path = gigz.copy / "inventories" / f"{TARGET}.yaml"
    kept = path.read_text()
    data = yaml.safe_load(kept)
    path.write_text(yaml.safe_dump({**data, "checks": {check: {"http": changed}}}))
    try:
        said = gigz.say("verify", "--json")
    finally:
        path.write_text(kept)
    assert gigz.session not in said.out + said.err
    (row,) = (row for row in said.data["checks"] if row["name"] == check)
    return {**row, "code": said.code}


def test_a_200_with_a_null_user_is_caught_by_the_read_back(site: Callable[[str], Gigz]) -> None:
    gigz = site("pm2")
    gigz.set_table("S1")
    said = gigz.say("verify", "--json")
    verdicts = {row["name"]: row["verdict"] for row in said.data["checks"]}
    assert said.code == 6
    assert (verdicts["adds-a-concert"], verdicts["reads-back"]) == ("pass", "fail")
    assert gigz.rows == NOBODY


def test_a_master_key_sent_by_mistake_is_no_session(site: Callable[[str], Gigz]) -> None:
    gigz = site("pm2")
    gigz.set_table("S5")
    row = verify(gigz, "adds-a-concert", headers={"X-Parse-Master-Key": "master-key-of-the-bed"})
    assert (row["code"], row["verdict"]) == (6, "fail")
    assert '"code":209' in str(row["excerpt"])
    assert gigz.rows == NOBODY


def test_a_missing_concert_date_is_told_apart(site: Callable[[str], Gigz]) -> None:
    gigz = site("pm2")
    gigz.set_table("S5")
    row = verify(gigz, "adds-a-concert", json={"concert_date": ""})
    assert (row["code"], row["verdict"]) == (6, "fail")
    assert '"code":141' in str(row["excerpt"])
    assert "date" in str(row["excerpt"]).lower()


@pytest.mark.parametrize("place", told_in(*TOLD_IN.values()))
def test_no_session_token_is_written_anywhere(site: Callable[[str], Gigz], place: str) -> None:
    gigz = site(place)
    assert gigz.spilled("userconcert"), "there is something to look through"
    assert gigz.spilled(gigz.session) == []
    run = gigz.project.say("history", "--json").data["runs"][0]["run"]
    assert gigz.session not in gigz.project.say("show", run, "--json").out


def test_the_note_itself_is_imported_completed_and_deploys_the_application(
    site: Callable[[str], Gigz],
) -> None:
    gigz = site("pm2")
    gigz.set_table("S0")
    assert not gigz.adds_and_reads_back(), "the incident shows"
    note = gigz.copy / "docs" / "fix.md"
    note.parent.mkdir(exist_ok=True)
    note.write_bytes(NOTE)

    said = gigz.project.say("document.import", "docs/fix.md", "--json")

    assert said.code == 0, said.err
    told = said.data
    found = [row["text"].partition("\n")[0] for row in told["found"]]
    for command in (
        "git add src/cloud/concerts.ts",
        'git commit -m "Fix UserConcert user required error - use Parse SDK properly"',
        "git push origin main", "docker compose restart", "heroku restart",
        "pm2 restart gigz-api", "sudo systemctl restart gigz-api", "bun run dev",
        "bun run verify-fix.ts", "git revert",
    ):  # fmt: skip
        assert command in found
    assert sum(row["alternative"] is not None for row in told["found"][3:7]) == 4
    assert set(told["backends"]) == {"docker-compose", "pm2", "systemd", "heroku"}
    (probe,) = told["probes"]
    assert (probe["method"], probe["headers"], probe["body"]) == ("POST", 3, True)
    blanks = {row["text"] for row in told["placeholders"]}
    assert blanks >= {"YOUR_APP_ID", "USER_SESSION_TOKEN", "ARTIST_ID", "VENUE_ID"}
    assert any("git revert: of which commit" in row["ask"] for row in told["questions"])
    reasons = {row["reason"] for row in told["rejected"]}
    assert reasons == {"sql, not a shell command", "javascript, not a shell command"}
    undecided = gigz.say("run", "--runbook", "fix", "--yes", "--json")
    assert undecided.code == 3, "what is open refuses the run"

    complete(gigz)
    gigz.write_the_fix()
    session = {"APP_ID": "app-id-of-the-bed", "USER_SESSION_TOKEN": gigz.session}
    words = ("run", "--runbook", "fix", "--target", TARGET, "--yes", "--json")
    fixed = gigz.project.say(*words, env=session)
    assert fixed.code == 0, fixed.err + fixed.out
    verdicts = {row["name"]: row["verdict"] for row in fixed.data["checks"]}
    assert verdicts["add-concert"] == "pass"
    assert gigz.deployed == "new"
    assert gigz.adds_and_reads_back()
    assert gigz.rows == NOBODY, "the smoke test cleans up after itself"
    assert note.read_bytes() == NOTE
    back = gigz.project.say("rollback", "--target", TARGET, "--json", env=session)
    assert (back.code, gigz.deployed) == (0, "old"), back.err


def complete(gigz: Gigz) -> None:
    """What the note leaves open, as its people know it."""
    path = gigz.copy / "runbooks" / "fix.yaml"
    book = yaml_tree.read(path, "fix", []).data()
    del book["preflight"]
    commit, push, _by_hand = book["steps"]
    commit["commit"]["paths"] = ["cloud/concerts.js"]
    update = {"name": "Bring it to the hosts", "update": {}, "on": "all"}
    red = ("adds-a-concert", "reads-back", "found-by-user", "saves-directly", "schema")
    baseline = {"add-concert": "fails", **dict.fromkeys(red, "any")}
    whole = {**book, "steps": [commit, push, update], "baseline": baseline}
    path.write_text(dumped(whole))
    place = gigz.copy / "inventories" / "fix.yaml"
    made = yaml.safe_load(place.read_text())
    check = made["checks"]["add-concert"]
    check["http"]["headers"]["X-Parse-REST-API-Key"] = "{{ secrets.rest_key }}"
    check["http"]["json"]["notes"] = "{{ vars.artist_id }}"
    forget = {**check["http"], "json": {"marker": "{{ vars.artist_id }}"}}
    forget["url"] = forget["url"].replace("addConcert", "forgetSmokeTest")
    check |= {"cleanup": {"http": forget}, "timeout": "15s"}
    known = gigz.copy / "inventories" / f"{TARGET}.yaml"
    target = yaml.safe_load(known.read_text())
    answers = {"api_url": gigz.url.split("/")[2], "artist_id": "Backout note", "venue_id": "V"}
    target["vars"] |= answers
    target |= {"checks": {"add-concert": check}, "secrets": made["secrets"]}
    place.unlink()
    known.write_text(yaml.safe_dump(target, sort_keys=False))

"""A journal goes to another machine, forgets what nothing needs, and is taken away."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
from pathlib import Path

import pytest

from support.yard import Yard


@pytest.fixture
def shipped(yard: Yard) -> Yard:
    """Two good releases of a target, and one that was backed out."""
    yard.inventory(state=str(yard.files.parent / "there"))
    yard.runbook(yard.step("one"))
    yard.good_release()
    yard.runbook(yard.step("two"))
    yard.good_release()
    yard.runbook(yard.step("three", after="false"))
    assert yard.deploy().code == 4
    return yard


def history(yard: Yard) -> list[str]:
    return [row["run"] for row in yard.project.say("history", "--json").data["runs"]]


def exported(yard: Yard, name: str, *words: str) -> Path:
    path = yard.files.parent / name
    said = yard.project.say("history.export", str(path), *words, "--json")
    assert said.code == 0, said.out + said.err
    return path


# --- moving --------------------------------------------------------------------------------


def test_what_never_ends_is_no_export(yard: Yard) -> None:
    said = yard.project.say("history.import", "/dev/zero")
    assert said.code == 2, said.out + said.err
    assert "/dev/zero is not a whole export of a journal" in said.err
    said = yard.project.say("deploy", "--plan", "/dev/zero")
    assert (said.code, said.err.splitlines()[0]) == (2, "/dev/zero: is no file")


def test_what_was_deployed_from_one_machine_is_rolled_back_from_another(shipped: Yard) -> None:
    file = exported(shipped, "prod.history", "--target", "prod")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = shipped.elsewhere()
    first = other.project.say("history.import", str(file), "--json")
    assert (first.code, first.data["runs"], first.data["targets"]) == (0, 3, ["prod"])
    assert history(other) == history(shipped)
    again = other.project.say("history.import", str(file), "--json")
    assert (again.code, again.data["runs"]) == (0, 0)
    assert other.project.say("show", history(other)[1]).code == 0
    back = other.say("rollback", "--yes")
    assert back.code == 0, back.out + back.err
    assert other.effects() == {"one-here": 1}
    assert back.releases["to"] == 1
    # The old machine hears of it.
    newer = exported(other, "back.history")
    heard = shipped.project.say("history.import", str(newer), "--json")
    assert (heard.code, heard.data["runs"]) == (0, 1)
    shipped.runbook(shipped.step("four"))
    assert shipped.good_release().releases["to"] == 4


def test_journals_that_went_different_ways_are_not_mixed(shipped: Yard) -> None:
    file = exported(shipped, "prod.history")
    other = shipped.elsewhere()
    assert other.project.say("history.import", str(file)).code == 0
    for yard in (shipped, other):
        yard.runbook(yard.step("four"))
        yard.deploy("--yes")
    before = history(other)
    clash = other.project.say("history.import", str(exported(shipped, "later.history")))
    assert clash.code == 3
    assert "have gone different ways" in clash.err
    assert history(other) == before
    assert other.project.say("history.import", str(file), "--json").data["runs"] == 0


def test_an_unfinished_run_is_not_moved_and_no_file_is_overwritten(shipped: Yard) -> None:
    file = exported(shipped, "prod.history")
    assert shipped.project.say("history.export", str(file)).code == 3
    unknown = shipped.project.say("history.export", "x", "--target", "staging")
    assert (unknown.code, "no run of staging" in unknown.err) == (3, True)
    shipped.runbook(shipped.step("stuck", undo="false", after="false"))
    assert shipped.deploy().code == 5
    held = shipped.project.say("history.export", "held.history")
    assert (held.code, (shipped.project.directory / "held.history").exists()) == (7, False)


def fewer(lines: list[str]) -> str:
    """Without the last record, and nothing that tells of it."""
    heading, *rows = map(json.loads, lines)
    last = max(place for place, (table, _) in enumerate(rows) if table == "record")
    heading["counts"]["record"] -= 1
    kept = [heading, *rows[:last], *rows[last + 1 :]]
    return "".join(f"{json.dumps(each)}\n" for each in kept)


def otherwise(lines: list[str], table: str, column: str, value: object) -> str:
    """The last row of a table has another value there."""
    rows = list(map(json.loads, lines))
    place = max(at for at, row in enumerate(rows) if isinstance(row, list) and row[0] == table)
    rows[place][1][column] = value
    return "".join(f"{json.dumps(each)}\n" for each in rows)


HARM = ["cut", "empty", "other", "missing", "words", "value", "undo", "body", "end", "fewer"]
ROWS = {
    "another commit": ("ledger", "commit", "0" * 40),
    "another release": ("ledger", "number", 7),
    "no number": ("ledger", "number", "x"),
    "a release of nobody": ("ledger", "run", "x"),
    "a run of no target": ("run", "target", "x"),
    "no last number": ("number", "last", "x"),
    "the number of no target": ("number", "target", "x"),
    "a number of no database": ("number", "last", 10**30),
    "no word": ("record", "run", [1]),
    "half a letter": ("ledger", "at", "\ud800"),
}


@pytest.mark.parametrize("harm", [*HARM, *ROWS, "deep"])
def test_what_is_no_whole_export_is_a_mistake_and_changes_nothing(yard: Yard, harm: str) -> None:
    yard.runbook(yard.step("one"))
    yard.good_release()
    file = exported(yard, "x.history")
    lines = file.read_text().splitlines(keepends=True)
    whole = "".join(lines)
    texts = {
        "words": whole.replace('"runbook":', '"runbook\\") SELECT 1 --":', 1),
        "value": whole.replace('"deploy"', "[1]", 1),
        "undo": re.sub(r'(\["record", .*)rm -rf /', r"\1rm -rf  /", whole),
        "body": re.sub(r'("kind": "begin".*"body": )"{', r'\1"[{', whole),
        "end": whole.replace('"exit_code": 0', '"exit_code": 4', 1),
        "fewer": fewer(lines),
        "deep": "[" * 100_000,
        "cut": "".join(lines[:-1]),
        "empty": "",
        "other": '{"kind": "x"}\n',
    }
    if harm in ROWS:
        texts[harm] = otherwise(lines, *ROWS[harm])
    file.unlink()
    if harm in texts:
        file.write_text(texts[harm])
    other = yard.elsewhere()
    said = other.project.say("history.import", str(file))
    assert (said.code, said.out) == (2, "")
    assert history(other) == []


# --- pruning -------------------------------------------------------------------------------


def bodies(yard: Yard, run: str) -> list[str]:
    with sqlite3.connect(yard.project.state / "journal.db") as db:
        return [row[0] for row in db.execute("SELECT body FROM record WHERE run = ?", (run,))]


def test_prune_forgets_what_nothing_needs_and_every_rollback_goes_on(shipped: Yard) -> None:
    shipped.runbook(shipped.step("three", after="echo a long story"))
    shipped.good_release()
    runs = history(shipped)
    assert any("a long story" in body for body in bodies(shipped, runs[0]))
    assert shipped.project.say("prune", "--older", "1h", "--json").data["runs"] == []
    refused = shipped.project.say("prune", "--older", "0s")
    assert (refused.code, bool(bodies(shipped, runs[1]))) == (3, True)

    said = shipped.project.say("prune", "--older", "0s", "--yes", "--json")
    assert said.code == 0, said.out + said.err
    assert said.data["runs"] == [runs[1]]  # the one that was backed out
    assert bodies(shipped, runs[1]) == []
    assert bodies(shipped, runs[0])
    assert not any("a long story" in body for body in bodies(shipped, runs[0]))
    assert history(shipped) == runs
    shown = shipped.project.say("show", runs[1])
    assert (shown.code, "its records were pruned" in shown.out) == (0, True)
    with (
        sqlite3.connect(shipped.project.state / "journal.db") as db,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        db.execute("DELETE FROM record")

    back = shipped.say("rollback", "--to", "1")
    assert back.code == 0, back.out + back.err
    assert shipped.effects() == {"one-here": 1}
    again = shipped.project.say("prune", "--older", "0s", "--yes", "--json")
    assert set(again.data["runs"]) == {runs[0], runs[2]}  # undone by now
    assert shipped.project.say("status", "--target", "prod").code == 0


def test_a_page_that_nobody_reads_for_years_is_found_when_the_journal_is_checked(
    shipped: Yard,
) -> None:
    """A bad block beneath an index, say: most verbs never ask for it."""
    file = shipped.project.state / "journal.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = db.execute("PRAGMA page_size").fetchone()
        asked = "SELECT rootpage FROM sqlite_master WHERE name = 'run_of_verb'"
        (page,) = db.execute(asked).fetchone()
    db.close()
    with file.open("r+b") as journal:
        journal.seek((page - 1) * size)
        journal.write(b"\x55" * size)
    for words in (("history", "--check"), ("prune", "--older", "0s", "--yes")):
        said = shipped.project.say(*words, alone=True)
        assert said.code == 3, said.out + said.err
        assert "the journal is damaged: " in said.err
        assert "restore it from a backup" in said.err


@pytest.mark.parametrize("words", [(), ("--older", "soon"), ("--older", "")])
def test_prune_needs_an_age(yard: Yard, words: tuple[str, ...]) -> None:
    said = yard.project.say("prune", *words)
    assert (said.code, said.out) == (2, "")


# --- uninstalling --------------------------------------------------------------------------


def test_uninstall_takes_away_what_is_backouts_and_leaves_the_rest(fleet: Yard) -> None:
    assert fleet.bed is not None
    homes = [host.home / ".backout" / "prod" for host in fleet.bed]
    fleet.runbook(fleet.step("one"))
    fleet.good_release()
    (homes[1] / "mine").write_text("not Backout's")
    asked = fleet.project.say("uninstall", "--target", "prod")
    assert (asked.code, [home.is_dir() for home in homes]) == (3, [True] * 3)
    assert "web1: " in asked.out + asked.err

    fleet.bed["web3"].stop()
    try:
        unreached = fleet.say("uninstall", "--yes")
    finally:
        fleet.bed["web3"].start()
    assert (unreached.code, [home.is_dir() for home in homes]) == (3, [True] * 3)

    said = fleet.say("uninstall", "--yes")
    assert said.code == 0, said.out + said.err
    assert [home.exists() for home in homes] == [False, True, False]
    assert [path.name for path in homes[1].iterdir()] == ["mine"]
    assert said.data["hosts"][1]["left"] == ["mine"]
    assert fleet.effects() == {"one-web1": 1, "one-web2": 1, "one-web3": 1}
    assert (history(fleet), said.data["runs"]) == ([], 1)
    again = fleet.good_release()
    assert again.releases == {"from": None, "to": 2}


def test_uninstall_is_refused_while_a_run_is_unfinished(yard: Yard) -> None:
    yard.runbook(yard.step("stuck", undo="false", after="false"))
    assert yard.deploy().code == 5
    said = yard.say("uninstall", "--yes")
    assert said.code == 7
    assert history(yard) != []

"""Looking around: what targets there are, what services wrote, what a host answers."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.commands.logs import added
from support.project import BACKOUT
from support.supervisord import Program, Supervisord
from support.yard import Yard

SECRET = "hunter2hunter2"


@pytest.fixture
def told(fleet: Yard) -> Yard:
    """A fleet whose target has a secret."""
    fleet.inventory(secrets={"token": {"env": "YARD_TOKEN"}})
    fleet.project.env["YARD_TOKEN"] = SECRET
    return fleet


# --- targets -------------------------------------------------------------------------------


def test_targets_tells_of_each_inventory_what_it_and_the_journal_say(yard: Yard) -> None:
    yard.runbook(yard.step("one"))
    yard.good_release()
    yard.project.inventory("eu/api", {"hosts": {"a": "203.0.113.9"}, "protected": True})
    yard.project.inventory("base", {"vars": {"x": 1}})
    yard.project.inventory("shop", {"extends": "base", "hosts": {"b": {"addres": "203.0.113.9"}}})
    yard.project.inventory("next", {"extends": "base", "hosts": {"c": {"address": "203.0.113.9"}}})
    said = yard.project.say("targets", "--json")
    rows = {row["target"]: row for row in said.data["targets"]}
    assert list(rows) == ["eu/api", "next", "prod", "shop"]
    prod = rows["prod"]
    assert (prod["hosts"], prod["checks"], prod["known_good"]) == (["here"], ["there"], True)
    assert prod["release"] == {"number": 1, "commit": ""}
    assert (prod["last_run"]["verb"], prod["last_run"]["outcome"]) == ("deploy", "succeeded")
    assert "addres" in rows["shop"]["problem"]
    assert rows["next"]["last_run"] is None
    text = yard.project.say("targets")
    assert text.code == 0
    assert "shop: " in text.out
    assert text.out.endswith("invoke lint\n")


# --- exec ----------------------------------------------------------------------------------


def test_exec_asks_side_by_side_is_in_the_history_and_hides_secrets(told: Yard) -> None:
    said = told.project.say(
        "exec", "--target", "prod", f'echo "$HOME"; echo {SECRET} >&2; ! [ -e {told.files}/no ]'
    )
    assert said.code == 0, said.out + said.err
    assert "taken at its word that it changes nothing" in said.out + said.err
    for name in ("web1", "web2", "web3"):
        assert f"{name} (exit code 0):\n  " in said.out
    assert SECRET not in said.out + said.err
    row = told.project.say("history", "--json").data["runs"][0]
    assert (row["verb"], row["outcome"], row["release"]["to"]) == ("exec", "succeeded", None)
    shown = told.project.say("show", row["run"])
    assert "Ran a command on prod that is said to change nothing" in shown.out
    assert "[secret token]" in shown.out or "token" in shown.out
    assert SECRET not in shown.out
    assert SECRET.encode() not in (told.project.state / "journal.db").read_bytes()


def test_exec_says_of_each_host_how_it_ended_and_the_worst_decides(told: Yard) -> None:
    bed = told.bed
    assert bed is not None
    red = told.say("exec", "--hosts", "web1,web2", 'echo "{{ x }}"; [ "$HOME" = /nowhere ]')
    assert (red.code, red.data["exit_code"]) == (6, 6)
    assert [(o["host"], o["exit_code"]) for o in red.data["outputs"]] == [("web1", 1), ("web2", 1)]
    assert red.data["outputs"][0]["stdout"] == "{{ x }}\n"
    late = told.say("exec", "--hosts", "web1", "--timeout", "300ms", "sleep 5")
    assert (late.code, late.data["outputs"][0]["state"]) == (9, "unknown")
    bed["web2"].stop()
    try:
        gone = told.say("exec", "--hosts", "web1,web2", "true")
    finally:
        bed["web2"].start()
    assert (gone.code, [o["state"] for o in gone.data["outputs"]]) == (3, ["done", "unreachable"])
    outcomes = [row["outcome"] for row in told.project.say("history", "--json").data["runs"]]
    assert outcomes == ["failed"] * 3


def test_exec_that_looks_goes_beside_an_unfinished_run_and_is_no_release(yard: Yard) -> None:
    yard.runbook(yard.step("one", before=yard.hold()))
    with_hold = yard.start()
    yard.busy("one-here")
    assert yard.say("exec", "true").code == 0
    yard.let_go()
    with_hold.communicate(timeout=60)
    assert with_hold.returncode == 0
    yard.say("exec", "true")
    back = yard.project.say("rollback", "--yes")
    assert "has no known-good release before this one" in back.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--hosts", "db9", "true"), "no such host or group"),
        (("--timeout", "soon", "true"), "--timeout soon"),
        (("--changes", " ", "true"), "--changes is empty"),
        ((" ",), "--command is empty"),
        ((), "exec needs COMMAND"),
    ],
)
def test_mistaken_words_of_exec_touch_nothing(
    yard: Yard, words: tuple[str, ...], told: str
) -> None:
    said = yard.project.say("exec", "--target", "prod", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


def test_exec_with_changes_is_a_run_of_its_own(yard: Yard) -> None:
    yard.runbook(yard.step("one"))
    yard.good_release()
    touch = f"echo {{{{ x }}}} > {yard.files}/made"
    refused = yard.say("exec", touch, "--changes", "a full disk")
    assert (refused.code, yard.exists("made")) == (3, False)
    done = yard.say("exec", touch, "--changes", "a full disk", "--yes")
    assert done.code == 0, done.out + done.err
    assert (yard.files / "made").read_text() == "{{ x }}\n"
    assert done.data["verb"] == "exec"
    assert [check["verdict"] for check in done.data["checks"]] == ["pass"]
    back = yard.say("rollback", "--to", "1")
    assert back.code == 3
    assert "was irreversible: a full disk" in back.out + back.err
    yard.inventory(
        checks={"gone": {"command": f"! [ -e {yard.files}/bad ]", "expect": ["exit_code == 0"]}}
    )
    red = yard.say("exec", f"touch {yard.files}/bad", "--changes", "try it", "--yes")
    assert red.code == 5


# --- ssh -----------------------------------------------------------------------------------


def test_ssh_logs_in_as_the_inventory_says(fleet: Yard) -> None:
    done = subprocess.run(
        [*BACKOUT, "ssh", "--target", "prod", "web2"],
        cwd=fleet.project.directory,
        env=fleet.project.env,
        input="echo $HOME; exit 7\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert fleet.bed is not None
    assert (done.returncode, done.stdout.strip()) == (7, str(fleet.bed["web2"].home)), done.stderr


def test_ssh_refuses_what_it_cannot_do(fleet: Yard) -> None:
    said = fleet.say("ssh", "web1")
    assert (said.code, said.data["error"]["what"]) == (2, "a login has no JSON: leave --json out")
    said = fleet.project.say("ssh", "--target", "prod", "wep1")
    assert (said.code, said.out) == (2, "")
    assert "did you mean 'web1'?" in said.err


# --- logs ----------------------------------------------------------------------------------


@pytest.fixture
def talking(told: Yard, bed_directory: Path) -> Iterator[Yard]:
    """On web1 a service whose file `says` is its log, below a real supervisord."""
    assert told.bed is not None
    said = bed_directory / "says"
    said.write_text("".join(f"line {n}\n" for n in range(1, 31)) + f"token={SECRET}\n")
    command = ["/bin/sh", "-c", f"exec tail -n 100 -f {said}"]
    machine = told.bed["web1"].machine
    with Supervisord(bed_directory / "sup", [Program("api", command)], machine=machine) as running:
        running.wait_state("api", "RUNNING")
        told.files = bed_directory
        options = {"config": str(running.config), "command": running.supervisorctl}
        service = {"name": "api", "backend": "supervisor", **options}
        hosts = told.bed.inventory_hosts()
        told.inventory(hosts={**hosts, "web1": {**hosts["web1"], "service": service}})
        yield told


def test_logs_shows_what_a_service_wrote_without_secrets(talking: Yard) -> None:
    said = talking.say("logs", "--lines", "3")
    assert said.code == 0, said.out + said.err
    (log,) = said.data["logs"]
    assert (log["host"], log["reason"]) == ("web1", "")
    assert log["lines"][:2] == ["line 29", "line 30"]
    assert SECRET not in said.out
    shown = talking.project.say("logs", "--target", "prod", "--hosts", "web1", "--lines", "2")
    assert shown.out.startswith("line 30\ntoken=")
    none = talking.project.say("logs", "--target", "prod", "--hosts", "web2")
    assert (none.code, none.out) == (3, "")


def test_logs_follows_until_it_is_stopped(talking: Yard) -> None:
    process = talking.project.start("logs", "--target", "prod", "--follow", "--lines", "1")
    try:
        assert process.stdout is not None
        assert "token=" in process.stdout.readline()
        with (talking.files / "says").open("a") as file:
            file.write("one more\n")
        assert process.stdout.readline() == "one more\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out.strip()) == (0, ""), err
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "words", [("--lines", "0"), ("--lines", "x"), ("--lines=x",), ("--follow", "--json")]
)
def test_mistaken_words_of_logs(yard: Yard, words: tuple[str, ...]) -> None:
    assert yard.project.say("logs", "--target", "prod", *words).code == 2


def test_what_was_added_to_a_log_is_found_by_where_the_windows_meet() -> None:
    assert added((), "abc") == "abc"
    assert added("abc", "abcd") == "d"
    assert added("abc", "bcde") == "de"
    assert added("aab", "abab") == "ab"
    assert added("abc", "abc") == ""
    assert added("abc", "xyz") == "xyz"

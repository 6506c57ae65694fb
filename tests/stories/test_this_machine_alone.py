"""A target without hosts: all of it is done from here, and all of it comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backout.testing import Sandbox

GREEN = {"command": "! grep -qs ill code", "expect": ["exit_code == 0"]}
PROVE = {"name": "Prove it", "verify": "all"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.inventory("cloud", {"checks": {"well": GREEN}})
    return sandbox


def step(name: str, text: str = "", **keys: Any) -> dict[str, Any]:
    """Adds its name to the file `code`; the undo takes it out."""
    undo = f"sed -i /^{name}$/d code"
    return {"name": name, "run": f"echo {name} >> code\n{text}", "undo": undo, **keys}


def settle(text: str = "echo x >> settled", **keys: Any) -> dict[str, Any]:
    return {"name": "Settle", "run": text, "readonly": True, **keys}


def book(sandbox: Sandbox, *steps: dict[str, Any], **keys: Any) -> None:
    whole = {"summary": "From here.", "steps": list(steps), "settle": [settle(), PROVE], **keys}
    sandbox.runbook("deploy", whole)


def said(sandbox: Sandbox, verb: str, *words: str) -> tuple[int, dict[str, Any]]:
    done = sandbox.say(verb, "--target", "cloud", "--json", *words)
    return int(done.code), done.data


def lines(sandbox: Sandbox, name: str) -> list[str]:
    path = sandbox.directory / name
    return path.read_text().split() if path.exists() else []


def released(sandbox: Sandbox, *names: str) -> None:
    for name in names:
        book(sandbox, step(name))
        assert said(sandbox, "deploy")[0] == 0


def test_what_is_red_at_the_end_is_undone_here_and_settled_again(sandbox: Sandbox) -> None:
    released(sandbox, "one")
    book(sandbox, step("two"), step("ill"))
    code, report = said(sandbox, "deploy")
    assert (code, report["outcome"]) == (4, "backed_out")
    assert lines(sandbox, "code") == ["one"]
    assert len(lines(sandbox, "settled")) == 3, "the release, the bad one, and the way back"


def test_a_way_back_that_is_stuck_here_is_five_and_resume_goes_on(sandbox: Sandbox) -> None:
    released(sandbox, "one")
    book(sandbox, step("two", undo="test -e free && sed -i /^two$/d code"), step("bad", "false"))
    code, report = said(sandbox, "deploy")
    assert (code, report["outcome"]) == (5, "backout_incomplete")
    assert "two" in report["reason"]
    (sandbox.directory / "free").touch()
    assert said(sandbox, "resume")[0] == 4
    assert lines(sandbox, "code") == ["one"]


def test_a_rollback_takes_both_runs_back_and_settles_each_way_once(sandbox: Sandbox) -> None:
    released(sandbox, "one", "two", "three")
    (sandbox.directory / "settled").unlink()
    code, report = said(sandbox, "rollback", "--to", "1")
    assert (code, report["outcome"]) == (0, "succeeded")
    assert lines(sandbox, "code") == ["one"]
    assert lines(sandbox, "settled") == ["x"]


def test_a_rollback_that_is_stuck_here_leaves_older_runs_and_goes_on_later(
    sandbox: Sandbox,
) -> None:
    released(sandbox, "one", "two")
    book(sandbox, step("three", undo="test -e free && sed -i /^three$/d code"))
    assert said(sandbox, "deploy")[0] == 0
    code, report = said(sandbox, "rollback", "--to", "1")
    assert (code, report["outcome"]) == (5, "backout_incomplete")
    assert lines(sandbox, "code") == ["one", "two", "three"], "nothing beneath it was touched"
    (sandbox.directory / "free").touch()
    assert said(sandbox, "resume")[0] == 0
    assert lines(sandbox, "code") == ["one"]


def test_a_rollback_to_what_is_red_by_now_is_five(sandbox: Sandbox) -> None:
    released(sandbox, "one")
    book(sandbox, step("two", undo="echo ill >> code"))
    assert said(sandbox, "deploy")[0] == 0
    code, report = said(sandbox, "rollback")
    assert (code, report["outcome"]) == (5, "backout_incomplete")
    assert "well" in report["reason"]
    (sandbox.directory / "code").write_text("one\n")
    assert said(sandbox, "resume")[0] == 0


def test_a_rollback_of_a_protected_target_asks_for_its_name(sandbox: Sandbox) -> None:
    sandbox.inventory("cloud", {"checks": {"well": GREEN}, "protected": True})
    for name in ("one", "two"):
        book(sandbox, step(name))
        assert said(sandbox, "deploy")[0] == 3
        assert said(sandbox, "deploy", "--yes")[0] == 0
    assert said(sandbox, "rollback")[0] == 3
    assert lines(sandbox, "code") == ["one", "two"]
    assert said(sandbox, "rollback", "--yes")[0] == 0
    assert lines(sandbox, "code") == ["one"]


def test_a_target_that_nothing_proves_goes_back_all_the_same(sandbox: Sandbox) -> None:
    sandbox.inventory("cloud", {"checks": {}})
    book(sandbox, step("one"), step("bad", "false"), settle=[settle()])
    code, report = said(sandbox, "deploy")
    assert (code, report["outcome"]) == (4, "backed_out")
    assert lines(sandbox, "code") == []


def test_what_cannot_be_saved_is_a_failure_of_the_step(sandbox: Sandbox) -> None:
    book(sandbox, step("one", save={"port": "int(stdout)"}))
    code, report = said(sandbox, "deploy")
    assert code == 4
    assert "cannot save port: int(stdout)" in report["reason"]
    assert lines(sandbox, "code") == []


def test_what_a_failed_step_was_to_save_is_not_asked_for_on_the_way_back(sandbox: Sandbox) -> None:
    uses = settle("echo {{ saved.port }} >> settled")
    steps = (step("one", "exit 3", save={"port": "stdout"}),)
    book(sandbox, *steps, settle=[uses, PROVE])
    code, report = said(sandbox, "deploy")
    assert (code, report["outcome"]) == (4, "backed_out")
    assert lines(sandbox, "settled") == []


def test_a_step_whose_when_cannot_be_told_fails_before_it_acts(sandbox: Sandbox) -> None:
    first = step("one", save={"word": "stdout"})
    second = step("two", when="saved.word > 3")
    book(sandbox, first, second)
    code, report = said(sandbox, "deploy")
    assert code == 4
    assert "cannot tell `when: saved.word > 3`" in report["reason"]
    assert lines(sandbox, "code") == []


def test_a_step_that_is_not_wanted_is_left_out_and_undone_neither(sandbox: Sandbox) -> None:
    book(sandbox, step("one", when="run.id == 'another'"), step("two"))
    code, report = said(sandbox, "deploy")
    assert code == 0, report
    assert {each["name"]: each["state"] for each in report["steps"]}["one"] == "skipped"
    assert lines(sandbox, "code") == ["two"]


def test_preflight_refuses_with_every_reason_and_nothing_has_begun(sandbox: Sandbox) -> None:
    looks = [
        {"name": n, "run": f"echo no {n} >&2; exit 1", "readonly": True} for n in ("disk", "quota")
    ]
    book(sandbox, step("one"), preflight=looks)
    code, refused = said(sandbox, "deploy")
    assert code == 3
    assert "disk failed" in refused["error"]["what"]
    assert "quota failed" in refused["error"]["what"]
    assert lines(sandbox, "code") == []


def test_what_is_done_at_the_end_changes_no_outcome(sandbox: Sandbox) -> None:
    closing = {"name": "Close the window", "run": "exit 1", "retry_safe": True, "undo": "true"}
    book(sandbox, step("one"), **{"finally": [closing]})
    code, report = said(sandbox, "deploy")
    assert (code, report["outcome"]) == (0, "succeeded")
    assert lines(sandbox, "code") == ["one"]

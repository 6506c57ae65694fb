"""The table of step kinds, and what each kind's options make of a runbook's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backout.model import Release, Source
from backout.steps import KINDS
from backout.steps.sql_session import lock_number, step_name
from support.measured import modules
from support.work import Bench


def test_every_kind_has_options_and_says_how_it_is_undone() -> None:
    assert set(KINDS) == {
        "run", "commit", "push", "build", "update", "restart", "upload", "template", "sql",
        "verify", "wait", "approve", "manual", "traffic",
    }  # fmt: skip
    facts = {name: (kind.changes, kind.undoes, kind.shell) for name, kind in KINDS.items()}
    assert {name for name, (changes, _, _) in facts.items() if not changes} == {
        "verify", "wait", "approve",
    }  # fmt: skip
    assert {name for name, (_, undoes, _) in facts.items() if undoes} == {
        "commit", "push", "build", "update", "restart", "upload", "template", "traffic",
    }  # fmt: skip
    assert {name for name, (_, _, shell) in facts.items() if not shell} == {
        "sql", "approve", "manual", "traffic",
    }  # fmt: skip


def test_the_kinds_load_no_driver() -> None:
    program = (
        "from backout.steps import KINDS; list(KINDS.values());"
        "from backout.steps.update import STRATEGIES; list(STRATEGIES.values())"
    )
    assert {"psycopg", "fabric", "jinja2", "docker"}.isdisjoint(modules(program))


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (
            "commit",
            {"message": "It's"},
            "git commit -m 'It'\"'\"'s': every change to tracked files",
        ),
        ("commit", {"paths": ["a b", "c"]}, "git commit -m Deploy: 'a b' c"),
        ("commit", {"paths": "{{ params.paths }}"}, "git commit -m Deploy: {{ params.paths }}"),
        ("push", {}, "git push origin HEAD:refs/heads/main"),
        ("update", {}, "git -C '/srv/my app' checkout --detach 3f9c2e1"),
        ("upload", {"from": "a b", "to": "/etc/c"}, "upload 'a b' to /etc/c"),
        ("template", {"from": "a.j2", "to": "c"}, "template a.j2 to c"),
        ("sql", {"database": "x", "script": "SELECT 1"}, "SELECT 1"),
        ("sql", {"database": "x", "file": "up.sql"}, "psql -1 -f up.sql"),
        ("wait", {"for": "{{ vars.long }}"}, "wait a while"),
    ],
)
def test_a_step_says_what_it_would_do(
    tmp_path: Path, kind: str, options: dict[str, Any], said: str
) -> None:
    bench = Bench(tmp_path, Source(directory="/srv/my app"), release=Release(4, "3f9c2e1"))
    trial = bench.step(kind, options)
    assert trial.kind.describe(trial.work) == said


def test_releases_says_what_it_would_switch_to(tmp_path: Path) -> None:
    source = Source(directory="/srv/app", strategy="releases")
    trial = Bench(tmp_path, source, release=Release(4, "3f9c2e1aa")).step("update")
    assert trial.kind.describe(trial.work) == (
        "build /srv/app/releases/4-3f9c2e1 and switch /srv/app/current to it"
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("upload", {"from": "a", "to": "b", "mode": "rw"}),
        ("upload", {"from": "a", "to": ""}),
        ("upload", {"to": "b"}),
        ("wait", {"until": "true"}),
        ("wait", {"for": "soon"}),
        ("push", {"force": True}),
        ("approve", {}),
    ],
)
def test_words_that_make_no_sense_are_mistakes(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KINDS[kind].Options.model_validate(options)


@pytest.mark.parametrize(("code", "answer"), [(0, True), (1, False), (2, None), (127, None)])
def test_a_check_in_shell_answers_by_its_exit_code(
    tmp_path: Path, code: int, answer: bool | None
) -> None:
    trial = Bench(tmp_path).step("run", {"script": "true"}, check=f"exit {code}")
    assert trial.kind.done(trial.work) is answer


def test_the_runbooks_own_undo_comes_before_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    options = {"from": str(tmp_path / "a"), "to": str(tmp_path / "b")}
    common = {"undo": 'echo "$WORD" >b', "env": {"WORD": "mine"}, "cwd": str(tmp_path)}
    trial = Bench(tmp_path).step("upload", options, **common)
    assert trial.act().ok
    assert trial.undo().ok
    assert (tmp_path / "b").read_text() == "mine\n"


def test_a_database_session_is_called_by_run_and_step_within_what_the_server_keeps() -> None:
    short, long = "20240130-200000-cafe/steps/1/web1", f"r/{'x' * 80}"

    assert step_name(f"{short}#3") == step_name(short) == f"backout {short}"
    assert len(step_name(long)) <= 63
    assert len(step_name("run/ärger").encode("ascii")) <= 63
    assert step_name(long) != step_name(f"{long}y")
    assert lock_number(step_name(short)) != lock_number(step_name(long))
